//! What was found of a store, for people and for programs.

use super::super::layout::{Paint, wrap};
use super::super::words;
use super::check::{Check, Fix, Level};
use super::code::StoreCode;
use crate::config::StoreKind;
use crate::proxies::{Lang, Text};
use serde_json::{Value, json};
use std::fmt::Write as _;

const FINE: Text = ("Sign-ins are kept as they should be", "Входы хранятся как следует");
const WARNED: Text = ("Sign-ins are kept; see the warnings below", "Входы хранятся; смотрите предупреждения ниже");
const FAULTY: Text = (
    "Sign-ins are kept, and what is below costs visitors something, now or at the next restart",
    "Входы хранятся, но ошибки ниже дорого обойдутся посетителям — сейчас или при перезапуске",
);
const STOPPED: Text = ("Nobody can sign in: the store cannot be used", "Войти нельзя: хранилищем не воспользоваться");
const FORGETS: Text =
    ("A restart forgets everything: the store is in memory", "Перезапуск забудет всё: хранилище в памяти");
const WARNING: Text = ("WARNING", "ВНИМАНИЕ");
const NOT_LOOKED: Text = ("NOT SEEN", "НЕ ВИДНО");
const WHY: Text = ("why", "зачем");
const MORE_SERVERS: Text = ("more", "ещё");

pub struct StoreReport {
    pub(super) kind: StoreKind,
    /// Where it is, without a password.
    pub(super) what: String,
    pub(super) checks: Vec<Check>,
}

impl StoreReport {
    fn worst(&self) -> Level {
        self.checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok)
    }

    /// 0 fine, 1 with faults, 2 nobody can sign in.
    pub fn exit_code(&self) -> u8 {
        match self.worst() {
            Level::Stop => 2,
            Level::Fault => 1,
            Level::Ok | Level::Unknown | Level::Warning => 0,
        }
    }

    fn kind(&self) -> &'static str {
        match self.kind {
            StoreKind::Memory => "memory",
            StoreKind::File => "file",
            StoreKind::Redis => "redis",
        }
    }

    pub fn json(&self) -> Value {
        json!({
            "kind": self.kind(),
            "what": self.what,
            "usable": self.worst() < Level::Stop,
            "checks": self.checks.iter().map(Check::json).collect::<Vec<_>>(),
        })
    }

    pub fn text(&self, colours: bool, lang: Lang) -> String {
        let paint = Paint(colours);
        let mut text = format!("{}\n\n", paint.bold("max-auth doctor --store"));
        let headline = match self.worst() {
            _ if self.kind == StoreKind::Memory => FORGETS,
            Level::Stop => STOPPED,
            Level::Fault => FAULTY,
            Level::Warning => WARNED,
            Level::Ok | Level::Unknown => FINE,
        };
        let _ = writeln!(text, "{}.\nstore.kind = \"{}\", {}\n", lang.say(headline), self.kind(), self.what);
        self.lines(&mut text, &paint, lang);
        let mut worst_first: Vec<&Check> = self.checks.iter().filter(|check| check.is_told()).collect();
        worst_first.sort_by_key(|check| std::cmp::Reverse(check.level));
        for check in worst_first {
            told(&mut text, &paint, check, lang);
        }
        text.trim_end().to_owned()
    }

    /// One for each thing that was looked at, with the worst that was seen of it.
    fn lines(&self, text: &mut String, paint: &Paint, lang: Lang) {
        for code in StoreCode::ALL {
            let here: Vec<&Check> = self.checks.iter().filter(|check| check.code == *code).collect();
            // The first of the worst.
            let Some(worst) = here.iter().rev().max_by_key(|check| check.level) else { continue };
            let mark = match worst.level {
                Level::Ok => paint.green(" ok "),
                Level::Unknown => "  ? ".to_owned(),
                Level::Warning => paint.yellow("warn"),
                Level::Fault | Level::Stop => paint.red("FAIL"),
            };
            let title = lang.say(code.title());
            let more = match here.len() {
                1 => String::new(),
                several => format!(" (+{} {})", several - 1, lang.say(MORE_SERVERS)),
            };
            // What is told below needs no second place.
            let measured = if worst.is_told() { code.name() } else { &worst.measured };
            let _ = writeln!(text, "  {mark}  {title:<30} {measured}{more}");
        }
    }
}

fn told(text: &mut String, paint: &Paint, check: &Check, lang: Lang) {
    let title = match check.level {
        Level::Fault | Level::Stop => paint.red(lang.say(words::FAULT)),
        Level::Warning => paint.yellow(lang.say(WARNING)),
        Level::Ok | Level::Unknown => lang.say(NOT_LOOKED).to_owned(),
    };
    let at = if check.at.is_empty() { String::new() } else { format!(": {}", check.at) };
    let _ = writeln!(text, "\n{title}  {}", paint.bold(&format!("{}{at}", check.code.name())));
    let mut labelled = |label: Text, said: &str| {
        let _ = writeln!(text, "  {:<6} {said}", lang.say(label));
    };
    labelled(words::SEEN, &wrap(&check.measured));
    labelled(WHY, &wrap(lang.say(check.code.why())));
    for (index, fix) in check.fixes.iter().enumerate() {
        let label = if index == 0 { words::FIX } else { ("", "") };
        match fix {
            Fix::Line { text, place } => labelled(label, &format!("{}   ({place})", paint.bold(text))),
            Fix::Advice(english, russian) => {
                labelled(
                    label,
                    &wrap(match lang {
                        Lang::En => english,
                        Lang::Ru => russian,
                    }),
                );
            }
        }
    }
    labelled(words::CHECK, "max-auth doctor --store");
    labelled(words::MORE, &format!("max-auth doctor --explain {}", check.code.name()));
}
