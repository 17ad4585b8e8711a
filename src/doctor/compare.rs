//! `--save` and `--against`: what changed since it worked.

use super::words;
use crate::proxies::Lang;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A first event is slower only from this much on (milliseconds): a few milliseconds double by themselves.
const SLOWER_MS: i64 = 100;

/// Twice as late and by an amount that people notice.
pub fn is_slower(was: i64, is: i64) -> bool {
    is > was.saturating_mul(2) && is - was >= SLOWER_MS
}

/// A report that was saved.
pub struct Saved(Value);

/// What is different now.
#[derive(PartialEq, Eq, Debug)]
pub struct Changes {
    pub appeared: Vec<String>,
    pub gone: Vec<String>,
    pub transport: Option<(String, String)>,
    pub first_event: Option<(i64, i64)>,
    /// Where redirects led.
    pub address: Option<(String, String)>,
}

impl Saved {
    /// Reads what `--save` wrote.
    pub fn read(text: &str) -> Result<Self, String> {
        let foreign =
            |why: &str| format!("is no report of this doctor ({why}); max-auth doctor URL --save FILE makes one");
        let saved: Value = serde_json::from_str(text).map_err(|error| foreign(&error.to_string()))?;
        if saved["schema"] != 1 {
            return Err(foreign("no \"schema\": 1"));
        }
        for (key, fine) in [
            ("asked", saved["asked"].is_string()),
            ("url", saved["url"].is_string()),
            ("transport", saved["transport"].is_string()),
            ("findings", saved["findings"].is_array()),
        ] {
            if !fine {
                return Err(foreign(&format!("no {key}")));
            }
        }
        Ok(Self(saved))
    }

    /// It must have been about the same address.
    pub fn is_about(&self, asked: &str) -> Result<(), String> {
        match self.0["asked"].as_str() {
            Some(saved) if saved != asked => Err(format!("was saved of {saved}, and {asked} is asked now")),
            _ => Ok(()),
        }
    }

    pub fn changes(&self, now: &Value) -> Changes {
        let (was, is) = (named(&self.0), named(now));
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|name| !those.contains(name)).cloned().collect()
        };
        let differs = |key: &str| {
            let text = |report: &Value| report[key].as_str().unwrap_or_default().to_owned();
            Some((text(&self.0), text(now))).filter(|(was, is)| was != is)
        };
        let times = self.0["firstEventMs"].as_i64().zip(now["firstEventMs"].as_i64());
        Changes {
            appeared: only(&is, &was),
            gone: only(&was, &is),
            transport: differs("transport"),
            first_event: times.filter(|(was, is)| is_slower(*was, *is)),
            address: differs("url"),
        }
    }
}

/// "fault buffered (nginx)": a fault that became a note is another thing.
fn named(report: &Value) -> Vec<String> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().into_iter().flatten();
    findings
        .map(|each| format!("{} {} ({})", text(each, "severity"), text(each, "code"), text(each, "layer")))
        .collect()
}

impl Changes {
    pub fn json(&self) -> Value {
        let pair = |(was, is): &(String, String)| json!({ "was": was, "is": is });
        json!({
            "appeared": self.appeared,
            "gone": self.gone,
            "transport": self.transport.as_ref().map(pair),
            "url": self.address.as_ref().map(pair),
            "firstEventMs": self.first_event.map(|(was, is)| json!({ "was": was, "is": is })),
        })
    }

    pub fn text(&self, lang: Lang) -> String {
        let mut lines = Vec::new();
        lines.extend(self.appeared.iter().map(|name| format!("+ {}: {name}", lang.say(words::APPEARED))));
        lines.extend(self.gone.iter().map(|name| format!("- {}: {name}", lang.say(words::GONE))));
        for (what, pair) in [(words::TRANSPORT, &self.transport), (words::ADDRESS, &self.address)] {
            lines.extend(pair.iter().map(|(was, is)| format!("~ {}: {was} -> {is}", lang.say(what))));
        }
        let ms = lang.say(words::MS);
        let slower = self.first_event.iter();
        lines.extend(slower.map(|(was, is)| format!("~ {}: {was} -> {is} {ms}", lang.say(words::SLOWER))));
        if lines.is_empty() {
            return format!("{}: {}", lang.say(words::SINCE), lang.say(words::NOTHING_CHANGED));
        }
        let mut text = format!("{}:", lang.say(words::SINCE));
        for line in lines {
            let _ = write!(text, "\n  {line}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(transport: &str, first: i64, codes: &[&str]) -> Value {
        let findings: Vec<Value> =
            codes.iter().map(|code| json!({ "code": code, "severity": "fault", "layer": "nginx" })).collect();
        let url = "https://example.ru/api/auth/max";
        json!({ "schema": 1, "asked": url, "url": url, "transport": transport, "firstEventMs": first, "findings": findings })
    }

    #[test]
    fn what_changed_is_told_and_nothing_else() {
        let saved = Saved::read(&report("websocket", 80, &["cached"]).to_string()).unwrap();
        assert_eq!(
            saved.changes(&report("websocket", 150, &["cached"])).text(Lang::En),
            "since it was saved: nothing changed"
        );
        let worse = saved.changes(&report("sse", 300, &["buffered"]));
        assert_eq!(worse.appeared, ["fault buffered (nginx)"]);
        assert_eq!(worse.gone, ["fault cached (nginx)"]);
        assert_eq!(worse.transport, Some(("websocket".to_owned(), "sse".to_owned())));
        assert_eq!(worse.first_event, Some((80, 300)));
        assert!(!is_slower(3, 20) && !is_slower(500, 900) && is_slower(60, 161));
    }

    #[test]
    fn a_foreign_file_is_refused() {
        for text in ["", "{}", "[1]", r#"{"schema":2}"#, r#"{"schema":1,"url":"x"}"#] {
            assert!(Saved::read(text).is_err_and(|why| why.contains("--save FILE makes one")), "{text}");
        }
        let saved = Saved::read(&report("sse", 1, &[]).to_string()).unwrap();
        assert!(saved.is_about("https://other.example/api/auth/max").is_err());
    }
}
