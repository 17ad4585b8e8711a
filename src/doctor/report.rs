//! The report: JSON for programs, and for a person who is tired: what visitors notice first, then a line per part of
//! the way, then each fault with its evidence, the line that cures it, where that goes and how to see that it did.

use super::compare::Changes;
use super::conclude::Transport;
use super::finding::{Finding, Severity, Site};
use super::words::{self, Both, Lang};
use crate::config::facts::Code;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Everything that one run found out.
pub struct Report {
    /// What was asked for, and where redirects led.
    pub asked: String,
    pub url: String,
    pub site: Site,
    pub transport: Transport,
    pub first_event_ms: Option<i64>,
    pub duration_ms: i64,
    pub findings: Vec<Finding>,
    /// MAX was asked, too (`--upstream`), and what it said.
    pub upstream: Vec<String>,
    /// Whether the line was asked at all.
    pub line: bool,
    /// When the first event came over each transport, where it did.
    pub ways: Vec<(Transport, Option<i64>)>,
    /// Since a saved report (`--against`).
    pub changes: Option<Changes>,
}

/// The parts of the way, in its order, and the findings that belong to each.
const PARTS: &[(&str, &[Code])] = &[
    ("name and connection", &[Code::Dns, Code::Tls, Code::BackendDown]),
    ("path to max-auth", &[Code::NotRouted, Code::RedirectLoop, Code::AuthRedirect, Code::AuthRequired]),
    (
        "WebSocket",
        &[
            Code::WsUpgradeNotPassed,
            Code::WsConnectionHeaderMissing,
            Code::WsUpgradeRefused,
            Code::WsUpgradeHangs,
            Code::WsFramesHeld,
            Code::WsKeyMissing,
        ],
    ),
    (
        "event streams",
        &[
            Code::Buffered,
            Code::WholeResponseBuffered,
            Code::Compressed,
            Code::CompressedLateByOne,
            Code::AppCompression,
            Code::Delayed,
            Code::XAccelIgnored,
        ],
    ),
    ("pages and posts", &[Code::Cached, Code::PostRefused]),
    (
        "limits and timeouts",
        &[Code::RateLimited, Code::ConnectionLimited, Code::OneWorker, Code::IdleTimeout, Code::TotalTimeout],
    ),
    ("what arrives of a request", &[Code::HostRewritten, Code::OriginRefused, Code::ClientAddressLost]),
    ("clock", &[Code::ClockSkew]),
    ("inner addresses", &[Code::HopNotAsked]),
];

const MAX: (&str, &[Code]) = ("MAX", &[Code::UpstreamUnreachable]);

impl Report {
    pub fn delivered(&self) -> bool {
        self.transport != Transport::None
    }

    /// 0 the best transport works, 1 a fallback or a fault, 2 not delivered.
    pub fn exit_code(&self) -> u8 {
        let faults = self.findings.iter().any(|finding| finding.severity == Severity::Fault);
        match self.transport {
            _ if !self.line => u8::from(faults) * 2,
            Transport::None => 2,
            Transport::WebSocket if !faults => 0,
            _ => 1,
        }
    }

    pub fn json(&self) -> Value {
        // Where only MAX was asked, nothing is known of the line.
        let of_line = |value: Value| if self.line { value } else { Value::Null };
        let faults =
            |finding: &Finding| finding.code == Code::UpstreamUnreachable && finding.severity == Severity::Fault;
        let upstream = (!self.upstream.is_empty())
            .then(|| json!({ "reachable": !self.findings.iter().any(faults), "endpoints": self.upstream }));
        let mut report = json!({
            "schema": 1,
            "asked": of_line(json!(self.asked)),
            "url": of_line(json!(self.url)),
            "delivered": of_line(json!(self.delivered())),
            "transport": of_line(json!(self.transport.name())),
            "firstEventMs": self.first_event_ms,
            "durationMs": of_line(json!(self.duration_ms)),
            "upstream": upstream,
            "findings": self.findings.iter().map(|finding| finding.json(&self.site)).collect::<Vec<_>>(),
        });
        if let Some(changes) = &self.changes {
            report["changes"] = changes.json();
        }
        report
    }

    pub fn text(&self, colours: bool, lang: Lang) -> String {
        let paint = Paint(colours);
        let mut text = format!("{}\n\n", paint.bold(&format!("max-auth doctor {}", self.url)));
        if self.line {
            let _ = writeln!(text, "{}\n", lang.say(self.experience()));
            self.parts(&mut text, &paint, PARTS, lang);
        }
        if !self.upstream.is_empty() {
            self.parts(&mut text, &paint, &[MAX], lang);
            for line in &self.upstream {
                let _ = writeln!(text, "          {line}");
            }
        }
        for finding in &self.findings {
            self.finding(&mut text, &paint, finding, lang);
        }
        if let Some(changes) = &self.changes {
            let _ = writeln!(text, "\n{}", changes.text(lang));
        }
        if self.line {
            let first = self
                .first_event_ms
                .map(|ms| format!("; {} {ms} {}", lang.say(words::FIRST_EVENT), lang.say(words::MS)));
            let transport = words::transport(lang, self.transport);
            let _ = write!(text, "\n{}: {transport}{}", lang.say(words::DELIVERED_BY), first.unwrap_or_default());
        }
        text
    }

    /// The whole in a sentence, which nothing below it contradicts.
    fn experience(&self) -> Both {
        let fault = |code: Code| {
            self.findings.iter().any(|finding| finding.code == code && finding.severity == Severity::Fault)
        };
        let faults = self.findings.iter().any(|finding| finding.severity == Severity::Fault);
        match self.transport {
            Transport::None => words::CANNOT,
            _ if fault(Code::OriginRefused) => words::REFUSED,
            _ if fault(Code::Cached) => words::SHARED,
            Transport::WebSocket if faults => words::BEST_WITH_FAULTS,
            Transport::WebSocket => words::BEST,
            Transport::Sse => words::SECOND_BEST,
            Transport::LongPoll => words::POLLING,
        }
    }

    /// What lies behind a broken part was not seen at all.
    fn parts(&self, text: &mut String, paint: &Paint, parts: &[(&'static str, &[Code])], lang: Lang) {
        let mut stopped = false;
        for (index, (name, codes)) in parts.iter().enumerate() {
            let here: Vec<&Finding> = self.findings.iter().filter(|finding| codes.contains(&finding.code)).collect();
            let mark = match here.iter().any(|finding| finding.severity == Severity::Fault) {
                true => paint.red("FAIL"),
                false if stopped => "  - ".to_owned(),
                false if here.is_empty() => paint.green(" ok "),
                false => paint.yellow("note"),
            };
            let what: Vec<String> = here
                .iter()
                .map(|finding| format!("{} ({}{})", finding.code.name(), finding.layer.name(), tier(finding)))
                .collect();
            let name = words::part(lang, name);
            let _ = writeln!(text, "  {mark}  {name:<26} {}", what.join(", "));
            stopped |= index < 2 && !self.delivered() && !here.is_empty();
        }
    }

    fn finding(&self, text: &mut String, paint: &Paint, finding: &Finding, lang: Lang) {
        let (title, about) = match finding.severity {
            Severity::Fault => (paint.red(lang.say(words::FAULT)), String::new()),
            Severity::Note => (paint.yellow(lang.say(words::NOTE)), format!("   ({})", lang.say(words::GETS_ALONG))),
        };
        let name = format!("{}: {}{}", finding.code.name(), finding.layer.name(), tier(finding));
        let _ = writeln!(text, "\n{title}  {}{about}", paint.bold(&name));
        let mut labelled = |label: Both, said: &str| {
            let _ = writeln!(text, "  {:<6} {said}", lang.say(label));
        };
        labelled(words::MEANS, words::means(lang, finding.code));
        labelled(words::SEEN, &wrap(&finding.evidence));
        labelled(words::WHO, &words::who(lang, finding));
        for (index, cure) in finding.cures(&self.site, lang).iter().enumerate() {
            let label = if index == 0 { words::FIX } else { ("", "") };
            if cure.words {
                labelled(label, &wrap(&cure.text));
                continue;
            }
            for (index, line) in cure.text.lines().enumerate() {
                labelled(if index == 0 { label } else { ("", "") }, &paint.bold(line));
            }
            if !cure.why.is_empty() {
                labelled(("", ""), &format!("    {}", wrap_at(cure.why, "             ")));
            }
        }
        labelled(words::WHERE, &wrap(&finding.place(&self.site)));
        labelled(words::CHECK, &wrap(&self.check(finding.code)));
        labelled(words::MORE, &format!("max-auth doctor --explain {}", finding.code.name()));
    }

    /// How to see that the fix worked.
    fn check(&self, code: Code) -> String {
        let probe = format!("{}/probe", self.url.trim_end_matches('/'));
        match code {
            Code::Dns => format!("getent hosts {}", self.site.origin.split("://").last().unwrap_or_default()),
            Code::Tls => format!("curl -sv {probe}?nonce=1 -o /dev/null"),
            Code::UpstreamUnreachable => "max-auth doctor --upstream".to_owned(),
            _ if PARTS[3].1.contains(&code) => {
                format!(
                    "curl -N --compressed '{probe}/stream?nonce=1&as=no-headers': three events, one after the other"
                )
            }
            Code::NotRouted | Code::RedirectLoop | Code::AuthRedirect | Code::AuthRequired | Code::BackendDown => {
                format!("curl -i '{probe}?nonce=1': 200 and JSON with \"nonce\":\"1\"")
            }
            Code::HostRewritten | Code::OriginRefused | Code::ClientAddressLost => {
                format!("curl -s '{probe}?nonce=1': host, origin and clientAddress are the visitor's")
            }
            Code::IdleTimeout | Code::TotalTimeout => format!("max-auth doctor --slow {}", self.url),
            _ => format!("max-auth doctor {}", self.url),
        }
    }
}

fn tier(finding: &Finding) -> String {
    match finding.tier.name() {
        "unknown" | "single" => String::new(),
        name => format!(", {name}"),
    }
}

/// Columns of a line of the report.
const WIDTH: usize = 100;

fn wrap(text: &str) -> String {
    wrap_at(text, "         ")
}

/// Letters, which are two bytes each in Russian.
fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Breaks lines between words and begins each further one with `indent`.
fn wrap_at(text: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full =
            lines.last().is_some_and(|line| !line.is_empty() && columns(line) + columns(word) >= WIDTH - indent.len());
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join(&format!("\n{indent}"))
}

/// Colours, on a terminal only.
struct Paint(bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn red(&self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn yellow(&self, text: &str) -> String {
        self.with("33", text)
    }

    fn green(&self, text: &str) -> String {
        self.with("32", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::facts::{Layer, Tier};

    fn report(transport: Transport, code: Code, layer: Layer) -> Report {
        let finding = Finding::new(code, Severity::Fault, layer, Tier::Unknown, "evidence");
        let url = "https://example.ru/api/auth/max".to_owned();
        Report {
            asked: url.clone(),
            url,
            site: Site { base: "/api/auth/max".to_owned(), origin: "https://example.ru".to_owned() },
            transport,
            first_event_ms: None,
            duration_ms: 0,
            findings: vec![finding],
            upstream: Vec::new(),
            line: true,
            ways: Vec::new(),
            changes: None,
        }
    }

    #[test]
    fn the_headline_does_not_contradict_what_follows() {
        let refused = report(Transport::WebSocket, Code::OriginRefused, Layer::App).text(false, Lang::En);
        assert!(refused.contains("cannot sign in") && !refused.contains("see each step"), "{refused}");
        let cached = report(Transport::LongPoll, Code::Cached, Layer::Nginx).text(false, Lang::En);
        assert!(cached.contains("a cache on the way gives what is theirs to others"), "{cached}");
    }

    #[test]
    fn a_line_says_where_it_goes() {
        let of = |code, layer| report(Transport::WebSocket, code, layer).json()["findings"][0].clone();
        let place = |finding: &Value| finding["where"].as_str().unwrap_or_default().to_owned();
        let upgrade = of(Code::WsUpgradeNotPassed, Layer::Nginx);
        assert!(place(&upgrade).contains("map: the http block"), "{upgrade}");
        assert!(place(&of(Code::WsUpgradeNotPassed, Layer::Varnish)).contains("above the subs"));
        let (idle, total) = (of(Code::IdleTimeout, Layer::Trafficserver), of(Code::TotalTimeout, Layer::Trafficserver));
        assert_eq!(place(&idle), "records.config");
        assert!(idle["fix"][0].as_str().is_some_and(|line| line.contains("no_activity")), "{idle}");
        assert!(total["fix"][0].as_str().is_some_and(|line| line.contains("transaction_active")), "{total}");
        let cache = of(Code::Cached, Layer::Apache);
        assert_eq!(cache["fix"], json!(["CacheDisable \"/api/auth/max\""]));
        let unknown = of(Code::Cached, Layer::Unknown);
        assert_eq!((unknown["fix"].clone(), unknown["advice"].as_array().map(Vec::len)), (json!([]), Some(1)));
    }

    #[test]
    fn the_frame_speaks_russian() {
        let text = report(Transport::LongPoll, Code::Cached, Layer::Unknown).text(false, Lang::Ru);
        for said in ["кэш на пути отдаёт", "ОШИБКА", "потоки событий", "не кэшируйте ниже /api/auth/max", "ваш хостер"]
        {
            assert!(text.contains(said), "{said}: {text}");
        }
        for said in ["Visitors", "FAULT", "your hoster", "do not cache", "delivered by"] {
            assert!(!text.contains(said), "{said}: {text}");
        }
        let names: Vec<&str> = PARTS.iter().chain([&MAX]).map(|(name, _)| *name).collect();
        assert_eq!(names, words::PARTS.iter().map(|(en, _)| *en).collect::<Vec<_>>());
    }

    #[test]
    fn every_code_has_a_part_of_the_way() {
        for &code in Code::ALL {
            let parts = PARTS.iter().chain([&MAX]).filter(|(_, codes)| codes.contains(&code)).count();
            assert_eq!(parts, 1, "{}", code.name());
        }
    }
}
