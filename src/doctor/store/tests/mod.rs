//! Judgements by tables, the report, and real servers.

mod files;
mod judgements;
mod servers;
mod word_for_word;

use super::check::{Check, Fix, Level};
use super::*;
use crate::proxies::Lang;

/// What is not fine, by name.
fn told(checks: &[Check]) -> Vec<(&'static str, Level)> {
    let told = checks.iter().filter(|check| check.level > Level::Unknown);
    told.map(|check| (check.code.name(), check.level)).collect()
}

fn lines(check: &Check) -> Vec<&str> {
    let lines = check.fixes.iter().filter_map(|fix| match fix {
        Fix::Line { text, .. } => Some(text.as_str()),
        Fix::Advice(..) => None,
    });
    lines.collect()
}

fn report(checks: Vec<Check>) -> StoreReport {
    StoreReport { kind: StoreKind::Redis, what: "at r:6379, keys max-auth:*".to_owned(), checks }
}

#[test]
fn every_code_has_its_row_and_two_languages() {
    let page = include_str!("../../../../docs/storage.md");
    let section = page.split("\n## What the doctor looks at\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    assert_eq!("what the doctor looks at".replace(' ', "-"), ANCHOR);
    for code in StoreCode::ALL {
        assert!(section.contains(&format!("| `{}` |", code.name())), "docs/storage.md has no row for {}", code.name());
        assert!(code.name().starts_with("store-"));
        for text in [code.title(), code.why()] {
            assert!(!text.0.is_empty() && !text.1.is_empty(), "{}", code.name());
        }
        let explained = explain(code.name(), Lang::Ru).unwrap();
        assert!(explained.contains(code.why().1), "{explained}");
    }
    for row in section.split("| `store-").skip(1) {
        let name = format!("store-{}", row.split('`').next().unwrap());
        assert!(
            StoreCode::ALL.iter().any(|code| code.name() == name),
            "docs/storage.md has {name}, which nothing says"
        );
    }
    assert_eq!(explain("buffered", Lang::En), None);
}

#[test]
fn the_worst_decides_and_comes_first() {
    let of = |level| Check::new(StoreCode::Memory, level, "x");
    for (level, code, headline) in [
        (Level::Ok, 0, "as they should be"),
        (Level::Unknown, 0, "as they should be"),
        (Level::Warning, 0, "see the warnings"),
        (Level::Fault, 1, "costs visitors something"),
        (Level::Stop, 2, "Nobody can sign in"),
    ] {
        let report = report(vec![of(Level::Ok), of(level)]);
        assert_eq!(report.exit_code(), code, "{level:?}");
        assert_eq!(report.json()["usable"], level != Level::Stop);
        let text = report.text(false, Lang::En);
        assert!(text.contains(headline), "{text}");
    }
    let report = report(vec![
        Check::new(StoreCode::Idle, Level::Warning, "x").setting("timeout", "0").at("a:1"),
        Check::new(StoreCode::Eviction, Level::Fault, "y").setting("maxmemory-policy", "noeviction").at("a:1"),
    ]);
    let text = report.text(false, Lang::En);
    let (fault, warning) = (text.find("FAULT  store-eviction: a:1"), text.find("WARNING  store-idle: a:1"));
    assert!(fault.unwrap() < warning.unwrap(), "{text}");
    assert!(text.contains("CONFIG SET maxmemory-policy noeviction   (redis-cli, at once)"), "{text}");
    let russian = report.text(false, Lang::Ru);
    assert!(russian.contains("ОШИБКА") && russian.contains("вытеснение") && !russian.contains("FAULT"), "{russian}");
    let check = &report.json()["checks"][1];
    assert_eq!(
        check["fix"],
        serde_json::json!(["CONFIG SET maxmemory-policy noeviction", "maxmemory-policy noeviction"])
    );
    assert_eq!((check["result"].as_str(), check["at"].as_str()), (Some("fault"), Some("a:1")));
}

#[test]
fn memory_says_in_one_line_what_a_restart_costs() {
    let report = StoreReport { kind: StoreKind::Memory, what: "in memory".to_owned(), checks: vec![memory()] };
    assert_eq!(report.exit_code(), 0);
    let text = report.text(false, Lang::En);
    assert!(text.contains("A restart forgets everything"), "{text}");
}
