//! deploy/monitoring speaks of metrics that exist, with labels that they have and values that these take.

use super::{read, root};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const ALERTS: &str = "deploy/monitoring/alerts.yml";
const FILES: [&str; 3] = [ALERTS, "deploy/monitoring/alerts.test.yml", "deploy/monitoring/dashboard.json"];

/// Given to a target by Prometheus, and what histograms have.
const EVERYWHERE: [&str; 3] = ["job", "instance", "le"];

/// Each name that `/metrics` can show, with its labels: docs/http.md, whose table is that of src/observe/series.rs.
fn shown() -> BTreeMap<String, BTreeSet<String>> {
    let page = read("docs/http.md");
    let table = page.split("\n## Metrics\n").nth(1).unwrap();
    let mut shown = BTreeMap::new();
    for line in table.lines().filter(|line| line.starts_with("| `max_auth_")) {
        let (name, rest) = line[3..].split_once('`').unwrap();
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        let labels: BTreeSet<String> = labels.trim_end_matches('}').split(',').map(str::to_owned).collect();
        let is_histogram = rest.starts_with(" | histogram |");
        let ends = if is_histogram { &["_bucket", "_count", "_sum"][..] } else { &[""] };
        shown.extend(ends.iter().map(|end| (format!("{name}{end}"), labels.clone())));
    }
    let process = table.split('`').filter(|word| word.starts_with("process_"));
    shown.extend(process.map(|name| (name.to_owned(), BTreeSet::new())));
    shown
}

/// The metrics of a text: each with what follows it in braces, if something does.
fn named(text: &str) -> Vec<(String, String)> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut found = Vec::new();
    for begin in ["max_auth_", "process_"] {
        for (at, _) in text.match_indices(begin) {
            let inside_a_word = text[..at].bytes().last().is_some_and(is_word);
            let length = text[at..].bytes().take_while(|byte| is_word(*byte)).count();
            let after = &text[at + length..];
            let matchers = after.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
            if !inside_a_word {
                found.push((text[at..at + length].to_owned(), matchers.replace('\\', "")));
            }
        }
    }
    found
}

#[test]
fn the_dashboard_and_the_alerts_name_what_metrics_show() {
    let (shown, list) = (shown(), read("src/observe/series.rs"));
    assert!(shown.len() > 60 && shown.contains_key("process_open_fds"), "{shown:?}");
    let mut used = BTreeSet::new();
    for file in FILES {
        let text = read(file);
        for (name, matchers) in named(&text) {
            let labels =
                shown.get(&name).unwrap_or_else(|| panic!("{file} names {name}, which /metrics does not show"));
            for matcher in matchers.split("\",").filter(|matcher| !matcher.is_empty()) {
                let (label, value) = matcher.split_once('"').unwrap_or_else(|| panic!("{file}: {name}: {matcher}"));
                let label = label.trim_end_matches(['=', '~', '!']).trim();
                if EVERYWHERE.contains(&label) {
                    continue;
                }
                assert!(labels.contains(label), "{file}: {name} has no label {label}");
                for value in value.trim_end_matches('"').split('|').filter(|_| label != "endpoint") {
                    assert!(list.contains(&format!("\"{value}\"")), "{file}: {name} has no {label}=\"{value}\"");
                }
            }
            used.insert(name);
        }
        // What a sum is by is a label of what it sums, or of nothing.
        for grouped in text.split(" by (").skip(1) {
            for label in grouped.split(')').next().unwrap().split(',').map(str::trim) {
                let known = EVERYWHERE.contains(&label) || shown.values().any(|labels| labels.contains(label));
                assert!(known, "{file} groups by {label}, which nothing has");
            }
        }
    }
    assert!(used.len() > 30, "{used:?}");
}

#[test]
fn each_alert_has_its_paragraph_and_its_test() {
    let (rules, tests, page) = (read(ALERTS), read(FILES[1]), read("docs/how-to/monitoring.md"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        assert!(page.contains(&format!("\n### {alert}\n")), "docs/how-to/monitoring.md says nothing of {alert}");
        assert!(rules.contains(&format!("#{}\"", alert.to_lowercase())), "{alert} leads to no paragraph");
        assert!(tests.contains(&format!("alertname=\"{alert}\",")), "{alert} is not tested");
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test may start programs")]
fn the_rules_hold_and_fire() {
    let promtool = |arguments: &[&str]| {
        let folder = root().join("deploy/monitoring");
        Command::new("promtool").args(arguments).current_dir(folder).output()
    };
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        match promtool(&arguments) {
            Ok(output) => assert!(output.status.success(), "{arguments:?}: {output:?}"),
            // Debian's package prometheus has it; scripts/setup installs that.
            Err(_) => return,
        }
    }
}
