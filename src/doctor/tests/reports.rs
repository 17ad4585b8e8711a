//! The report as people and programs get it, kept as text.

use crate::doctor::compare::Saved;
use crate::doctor::delivery::DeliveryMode;
use crate::doctor::finding::{Finding, Site};
use crate::doctor::report::Report;
use crate::proxies::{APP, CLIENT_SIDE, FindingCode, Lang, NGINX, ProxyPosition, Severity, UNKNOWN, layer, layers};
use crate::snapshot::assert_snapshot;
use std::fmt::Write as _;

fn report(transport: DeliveryMode, findings: Vec<Finding>) -> Report {
    let url = "https://example.ru/api/auth/max".to_owned();
    Report {
        asked: url.clone(),
        url,
        site: Site { base: "/api/auth/max".to_owned(), origin: "https://example.ru".to_owned() },
        transport,
        first_event_ms: Some(42),
        duration_ms: 3650,
        findings,
        upstream: Vec::new(),
        path_asked: true,
        times: Vec::new(),
        changes: None,
    }
}

/// Reports of each kind.
fn reports() -> Vec<(&'static str, Report)> {
    let seen =
        "what was seen of it, in a sentence that is long enough to be broken into two lines of the report, or three";
    let new = |code, layer| Finding::new(code, layer, seen);
    let mut max = report(DeliveryMode::None, vec![new(FindingCode::UpstreamUnreachable, APP)]);
    (max.path_asked, max.upstream) = (false, vec!["wss://max.example: no code within 15s".to_owned()]);
    let mut changed = report(DeliveryMode::Sse, vec![new(FindingCode::Compressed, layer("varnish"))]);
    let before = report(DeliveryMode::WebSocket, vec![new(FindingCode::Cached, UNKNOWN)]).json();
    let saved = Saved::read(&before.to_string()).unwrap();
    changed.first_event_ms = Some(300);
    changed.changes = Some(saved.changes(&changed.json()));
    vec![
        ("clean", report(DeliveryMode::WebSocket, Vec::new())),
        ("a note", report(DeliveryMode::WebSocket, vec![new(FindingCode::WsKeyMissing, layer("envoy"))])),
        (
            "two tiers",
            report(
                DeliveryMode::Sse,
                vec![
                    new(FindingCode::WsUpgradeNotPassed, NGINX),
                    new(FindingCode::ClientAddressLost, NGINX).at(ProxyPosition::Inner),
                    new(FindingCode::Buffered, NGINX).at(ProxyPosition::Outer).severity(Severity::Note),
                    new(FindingCode::ClockSkew, UNKNOWN).seconds(12.0),
                    new(FindingCode::HopNotAsked, CLIENT_SIDE),
                ],
            ),
        ),
        ("no path", report(DeliveryMode::None, vec![new(FindingCode::NotRouted, UNKNOWN)])),
        ("no name", report(DeliveryMode::None, vec![new(FindingCode::Dns, UNKNOWN)])),
        ("a cache", report(DeliveryMode::LongPoll, vec![new(FindingCode::Cached, layer("apache"))])),
        (
            "a timer",
            report(DeliveryMode::WebSocket, vec![new(FindingCode::IdleTimeout, layer("cloudflare")).seconds(5.0)]),
        ),
        ("only MAX", max),
        ("changed", changed),
    ]
}

#[test]
fn in_each_language_and_as_json() {
    for (name, lang) in [("en", Lang::En), ("ru", Lang::Ru)] {
        let mut text = String::new();
        for (title, report) in reports() {
            let _ = writeln!(text, "=== {title}, exit {}\n{}", report.exit_code(), report.text(false, lang));
        }
        assert_snapshot(&format!("doctor/snapshots/report.{name}.txt"), &text);
    }
    let mut text = String::new();
    for (title, report) in reports() {
        let _ = writeln!(text, "=== {title}\n{:#}", report.json());
    }
    assert_snapshot("doctor/snapshots/report.json.txt", &text);
    let coloured = reports().iter().map(|(_, report)| report.text(true, Lang::En)).collect::<Vec<_>>().join("\n");
    assert_snapshot("doctor/snapshots/report.colours.txt", &coloured.replace('\u{1b}', "ESC"));
}

/// For each code at each layer: who acts, where the lines go, and the lines.
#[test]
fn each_fix() {
    let site = Site { base: "/max".to_owned(), origin: "https://example.ru".to_owned() };
    let mut text = String::new();
    for &code in FindingCode::ALL {
        let _ = writeln!(text, "=== {} {} {}", code.name(), code.severity().name(), code.page());
        for layer in layers() {
            let own = layer.product().all_facts().any(|fact| fact.fixes.contains(&code));
            if !own {
                continue;
            }
            let finding = Finding::new(code, layer, "");
            let fixes = finding.fixes(&site, Lang::En);
            let lines: Vec<&str> = fixes.iter().map(|fix| fix.text.as_str()).collect();
            let _ = writeln!(text, "{}: {}\n    {}", layer.name(), finding.place(&site), lines.join("\n    "));
        }
    }
    assert_snapshot("doctor/snapshots/fixes.txt", &text);
}
