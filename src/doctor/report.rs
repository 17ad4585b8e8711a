//! The report: JSON for programs, and for a person who is tired: what visitors notice first, then a line per part of
//! the path, then each fault with its evidence, the line that fixes it, where that goes and how to see that it did.

use super::compare::Changes;
use super::delivery::{DeliveryMode, DeliveryTimes};
use super::finding::{Finding, Site};
use super::layout::{Paint, wrap, wrap_at};
use super::words;
use crate::proxies::{FindingCode, Lang, PathPart, Severity, Text};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Everything that one run found out.
pub struct Report {
    /// What was asked for, and where redirects led.
    pub asked: String,
    pub url: String,
    pub site: Site,
    pub transport: DeliveryMode,
    pub first_event_ms: Option<i64>,
    pub duration_ms: i64,
    pub findings: Vec<Finding>,
    /// MAX was asked, too (`--upstream`), and what it said.
    pub upstream: Vec<String>,
    /// Whether a path was asked at all, or only MAX.
    pub path_asked: bool,
    pub times: DeliveryTimes,
    /// Since a saved report (`--against`).
    pub changes: Option<Changes>,
}

impl Report {
    pub fn delivered(&self) -> bool {
        self.transport != DeliveryMode::None
    }

    /// 0 the best transport works, 1 a fallback or a fault, 2 not delivered.
    pub fn exit_code(&self) -> u8 {
        let faults = self.findings.iter().any(Finding::is_fault);
        match self.transport {
            _ if !self.path_asked => u8::from(faults) * 2,
            DeliveryMode::None => 2,
            DeliveryMode::WebSocket if !faults => 0,
            _ => 1,
        }
    }

    pub fn json(&self) -> Value {
        // Where only MAX was asked, nothing is known of the path.
        let of_path = |value: Value| if self.path_asked { value } else { Value::Null };
        let faults = |finding: &Finding| finding.code == FindingCode::UpstreamUnreachable && finding.is_fault();
        let upstream = (!self.upstream.is_empty())
            .then(|| json!({ "reachable": !self.findings.iter().any(faults), "endpoints": self.upstream }));
        let mut report = json!({
            "schema": 1,
            "asked": of_path(json!(self.asked)),
            "url": of_path(json!(self.url)),
            "delivered": of_path(json!(self.delivered())),
            "transport": of_path(json!(self.transport.name())),
            "firstEventMs": self.first_event_ms,
            "durationMs": of_path(json!(self.duration_ms)),
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
        if self.path_asked {
            let _ = writeln!(text, "{}\n", lang.say(self.experience()));
            let parts = PathPart::ALL
                .iter()
                .filter(|part| !matches!(part, PathPart::Max | PathPart::ProtectedPage | PathPart::Networks));
            self.parts(&mut text, &paint, parts, lang);
        }
        if !self.upstream.is_empty() {
            self.parts(&mut text, &paint, [&PathPart::Max], lang);
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
        if self.path_asked {
            let first = self
                .first_event_ms
                .map(|ms| format!("; {} {ms} {}", lang.say(words::FIRST_EVENT), lang.say(words::MS)));
            let transport = words::transport(lang, self.transport);
            let _ = write!(text, "\n{}: {transport}{}", lang.say(words::DELIVERED_BY), first.unwrap_or_default());
        }
        text
    }

    /// The whole in a sentence, which nothing below it contradicts.
    fn experience(&self) -> Text {
        let fault = |code: FindingCode| self.findings.iter().any(|finding| finding.code == code && finding.is_fault());
        let faults = self.findings.iter().any(Finding::is_fault);
        match self.transport {
            DeliveryMode::None => words::CANNOT,
            _ if fault(FindingCode::OriginRefused) => words::REFUSED,
            _ if fault(FindingCode::Cached) => words::SHARED,
            DeliveryMode::WebSocket if faults => words::BEST_WITH_FAULTS,
            DeliveryMode::WebSocket => words::BEST,
            DeliveryMode::Sse => words::SECOND_BEST,
            DeliveryMode::LongPoll => words::POLLING,
        }
    }

    /// What lies behind a broken part was not seen at all.
    fn parts<'a>(&self, text: &mut String, paint: &Paint, parts: impl IntoIterator<Item = &'a PathPart>, lang: Lang) {
        let mut stopped = false;
        for part in parts {
            let here: Vec<&Finding> = self.findings.iter().filter(|finding| finding.code.part() == *part).collect();
            let mark = match here.iter().any(|finding| finding.is_fault()) {
                true => paint.red("FAIL"),
                false if stopped => "  - ".to_owned(),
                false if here.is_empty() => paint.green(" ok "),
                false => paint.yellow("note"),
            };
            let what: Vec<String> = here
                .iter()
                .map(|finding| format!("{} ({}{})", finding.code.name(), finding.layer.name(), finding.tier()))
                .collect();
            let name = lang.say(part.title());
            let _ = writeln!(text, "  {mark}  {name:<26} {}", what.join(", "));
            let first = matches!(part, PathPart::Connection | PathPart::Route);
            stopped |= first && !self.delivered() && !here.is_empty();
        }
    }

    pub fn finding(&self, text: &mut String, paint: &Paint, finding: &Finding, lang: Lang) {
        let (title, about) = match finding.severity {
            Severity::Fault => (paint.red(lang.say(words::FAULT)), String::new()),
            Severity::Note => (paint.yellow(lang.say(words::NOTE)), format!("   ({})", lang.say(words::GETS_ALONG))),
        };
        let name = format!("{}: {}{}", finding.code.name(), finding.layer.name(), finding.tier());
        let _ = writeln!(text, "\n{title}  {}{about}", paint.bold(&name));
        let mut labelled = |label: Text, said: &str| {
            let _ = writeln!(text, "  {:<6} {said}", lang.say(label));
        };
        labelled(words::MEANS, lang.say(finding.code.title()));
        labelled(words::SEEN, &wrap(&finding.evidence));
        labelled(words::WHO, &words::who(lang, finding.code, finding.severity, finding.layer));
        for (index, fix) in finding.fixes(&self.site, lang).iter().enumerate() {
            let label = if index == 0 { words::FIX } else { ("", "") };
            if fix.is_advice {
                labelled(label, &wrap(&fix.text));
                continue;
            }
            for (index, line) in fix.text.lines().enumerate() {
                labelled(if index == 0 { label } else { ("", "") }, &paint.bold(line));
            }
            if !fix.why.is_empty() {
                labelled(("", ""), &format!("    {}", wrap_at(fix.why, "             ")));
            }
        }
        labelled(words::WHERE, &wrap(&finding.place(&self.site)));
        labelled(words::CHECK, &wrap(&self.check(finding.code)));
        labelled(words::MORE, &format!("max-auth doctor --explain {}", finding.code.name()));
    }

    /// How to see that the fix worked.
    fn check(&self, code: FindingCode) -> String {
        let probe = format!("{}/probe", self.url.trim_end_matches('/'));
        match code {
            FindingCode::Dns => format!("getent hosts {}", self.site.origin.split("://").last().unwrap_or_default()),
            FindingCode::Tls => format!("curl -sv {probe}?nonce=1 -o /dev/null"),
            FindingCode::UpstreamUnreachable | FindingCode::BotDown => "max-auth doctor --upstream".to_owned(),
            FindingCode::FrozenByNetwork => "max-auth doctor --networks, a day later".to_owned(),
            _ if code.part() == PathPart::ProtectedPage => format!("max-auth doctor --forward-auth '{}'", self.asked),
            _ if code.part() == PathPart::Streams => {
                format!(
                    "curl -N --compressed '{probe}/stream?nonce=1&as=no-headers': three events, one after the other"
                )
            }
            FindingCode::NotRouted
            | FindingCode::RedirectLoop
            | FindingCode::AuthRedirect
            | FindingCode::AuthRequired
            | FindingCode::BackendDown => {
                format!("curl -i '{probe}?nonce=1': 200 and JSON with \"nonce\":\"1\"")
            }
            FindingCode::HostRewritten | FindingCode::OriginRefused | FindingCode::ClientAddressLost => {
                format!("curl -s '{probe}?nonce=1': host, origin and clientAddress are the visitor's")
            }
            FindingCode::IdleTimeout | FindingCode::TotalTimeout => format!("max-auth doctor --slow {}", self.url),
            _ => format!("max-auth doctor {}", self.url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxies::{APP, Layer, NGINX, UNKNOWN, layer};

    fn report(transport: DeliveryMode, code: FindingCode, layer: Layer) -> Report {
        let finding = Finding::new(code, layer, "evidence").severity(Severity::Fault);
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
            path_asked: true,
            times: Vec::new(),
            changes: None,
        }
    }

    #[test]
    fn the_headline_does_not_contradict_what_follows() {
        let refused = report(DeliveryMode::WebSocket, FindingCode::OriginRefused, APP).text(false, Lang::En);
        assert!(refused.contains("cannot sign in") && !refused.contains("see each step"), "{refused}");
        let cached = report(DeliveryMode::LongPoll, FindingCode::Cached, NGINX).text(false, Lang::En);
        assert!(cached.contains("a cache on the way gives what is theirs to others"), "{cached}");
    }

    #[test]
    fn a_line_says_where_it_goes() {
        let of = |code, layer| report(DeliveryMode::WebSocket, code, layer).json()["findings"][0].clone();
        let place = |finding: &Value| finding["where"].as_str().unwrap_or_default().to_owned();
        let upgrade = of(FindingCode::WsUpgradeNotPassed, NGINX);
        assert!(place(&upgrade).contains("map: the http block"), "{upgrade}");
        assert!(place(&of(FindingCode::WsUpgradeNotPassed, layer("varnish"))).contains("above the subs"));
        let (idle, total) = (
            of(FindingCode::IdleTimeout, layer("trafficserver")),
            of(FindingCode::TotalTimeout, layer("trafficserver")),
        );
        assert_eq!(place(&idle), "records.config");
        assert!(idle["fix"][0].as_str().is_some_and(|line| line.contains("no_activity")), "{idle}");
        assert!(total["fix"][0].as_str().is_some_and(|line| line.contains("transaction_active")), "{total}");
        let cache = of(FindingCode::Cached, layer("apache"));
        assert_eq!(cache["fix"], json!(["CacheDisable \"/api/auth/max\""]));
        let unknown = of(FindingCode::Cached, UNKNOWN);
        assert_eq!((unknown["fix"].clone(), unknown["advice"].as_array().map(Vec::len)), (json!([]), Some(1)));
    }

    #[test]
    fn the_frame_speaks_russian() {
        let text = report(DeliveryMode::LongPoll, FindingCode::Cached, UNKNOWN).text(false, Lang::Ru);
        for said in ["кэш на пути отдаёт", "ОШИБКА", "потоки событий", "не кэшируйте ниже /api/auth/max", "ваш хостер"]
        {
            assert!(text.contains(said), "{said}: {text}");
        }
        for said in ["Visitors", "FAULT", "your hoster", "do not cache", "delivered by"] {
            assert!(!text.contains(said), "{said}: {text}");
        }
    }
}
