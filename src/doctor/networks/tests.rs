//! What is concluded of counts, row by row, and the report as people and programs get it.

use super::*;
use crate::probe::SilentStreams;
use crate::snapshot::assert_snapshot;

/// `logins`, `frozen`, `streams`, and what went silent below, between and above.
fn seen(network: &str, [logins, frozen, streams, below, between, above]: [u64; 6]) -> NetworkSeen {
    let mean_bytes = (between > 0).then_some(14_300);
    let silent = SilentStreams { below, between, above, mean_bytes };
    let day = NetworkCounts { logins, frozen, streams, silent };
    let hour = NetworkCounts { frozen: frozen / 4, ..NetworkCounts::default() };
    NetworkSeen { network: network.to_owned(), inside: network.starts_with("10."), hour, day }
}

fn report(seen: u64, networks: Vec<NetworkSeen>) -> NetworksReport {
    // And those that are not listed.
    let mut all = NetworkCounts { streams: 400, ..NetworkCounts::default() };
    for one in &networks {
        all.streams += one.day.streams;
        all.silent.below += one.day.silent.all();
    }
    let answer = serde_json::to_vec(&NetworksAnswer { seen, all, networks }).unwrap();
    NetworksReport::of("http://127.0.0.1:3002/networks", &answer).unwrap()
}

#[test]
fn a_network_is_in_trouble_where_enough_of_its_visitors_are() {
    use Verdict::{Few, Fine, Frozen, Inside};
    for (counts, verdict) in [
        ([0, 0, 0, 0, 0, 0], Few),
        ([2, 2, 2, 0, 2, 0], Few),
        ([3, 2, 3, 0, 2, 0], Fine),
        ([3, 3, 0, 0, 0, 0], Frozen),
        ([30, 3, 0, 0, 0, 0], Frozen),
        ([31, 3, 0, 0, 0, 0], Fine),
        ([0, 0, 30, 0, 3, 0], Frozen),
        ([0, 0, 31, 0, 3, 0], Fine),
        // Machines that sleep.
        ([9, 0, 9, 2, 3, 1], Frozen),
        ([9, 0, 9, 3, 3, 1], Fine),
        ([9, 0, 9, 9, 0, 0], Fine),
        ([9, 0, 9, 0, 0, 9], Fine),
    ] {
        let others = Streams { ended: 0, silent: 0 };
        assert_eq!(Verdict::of(&seen("198.51.0.0/16", counts), others), verdict, "{counts:?}");
        assert_eq!(Verdict::of(&seen("10.0.0.0/16", counts), others), Inside, "{counts:?}");
    }
}

#[test]
fn a_network_is_in_trouble_where_many_of_its_streams_go_silent_and_few_of_all_others() {
    use Verdict::{Fine, Frozen};
    for (ended, silent, others, verdict) in [
        (12, 3, (20, 0), Frozen),
        (12, 2, (20, 0), Fine),
        (13, 3, (20, 0), Fine),
        (12, 3, (19, 0), Fine),
        (12, 3, (160, 10), Frozen),
        (12, 3, (160, 11), Fine),
        (12, 12, (160, 40), Frozen),
        (12, 12, (160, 41), Fine),
    ] {
        let counts = seen("198.51.0.0/16", [9, 0, ended, silent, 0, 0]);
        let others = Streams { ended: others.0, silent: others.1 };
        assert_eq!(Verdict::of(&counts, others), verdict, "{ended} {silent} {} {}", others.ended, others.silent);
    }
}

#[test]
fn what_is_found_names_the_networks_and_sets_the_exit_code() {
    let fine = report(1, vec![seen("192.0.0.0/16", [20, 1, 40, 2, 1, 0])]);
    assert_eq!((fine.exit_code(), report(0, Vec::new()).exit_code()), (0, 0));
    let bad = |n: u64| seen(&format!("95.{n}.0.0/16"), [20, 9, 40, 0, 7, 1]);
    let frozen = report(41, (0..6).map(bad).collect());
    assert_eq!((frozen.exit_code(), frozen.report.findings.len()), (1, 1));
    let evidence = &frozen.report.findings[0].evidence;
    assert!(evidence.starts_with("6 of 41 networks in a day: 95.0.0.0/16: browsers"), "{evidence}");
    assert!(evidence.contains("95.3.0.0/16") && !evidence.contains("95.4.0.0/16"), "{evidence}");
    assert!(evidence.ends_with("; and 2 more"), "{evidence}");
    assert_eq!(frozen.json()["findings"][0]["code"], "frozen-by-network");
    let wrong = NetworksReport::of("http://127.0.0.1:80/networks", b"<html>").err().unwrap();
    assert!(wrong.contains("http://127.0.0.1:80/networks is not answered by max-auth"), "{wrong}");
}

#[test]
fn in_each_language_and_as_json() {
    let mixed = || {
        let rows = [
            ("95.24.0.0/16", [12, 9, 20, 0, 7, 1]),
            ("2a00:1fa0::/32", [40, 5, 61, 3, 0, 0]),
            ("192.0.0.0/16", [1900, 1, 2400, 12, 4, 9]),
            ("37.29.0.0/16", [9, 0, 14, 6, 0, 0]),
            ("203.0.0.0/16", [2, 0, 1, 0, 0, 0]),
            ("10.0.0.0/16", [7, 0, 9, 0, 0, 0]),
        ];
        report(108, rows.map(|(network, counts)| seen(network, counts)).to_vec())
    };
    let fine = || report(1, vec![seen("192.0.0.0/16", [1900, 1, 2400, 12, 4, 9])]);
    let mut text = String::new();
    for lang in [Lang::En, Lang::Ru] {
        for (title, report) in [("some", mixed()), ("none", fine()), ("nobody", report(0, Vec::new()))] {
            let _ = writeln!(text, "=== {title}, exit {}\n{}", report.exit_code(), report.text(false, lang));
        }
    }
    let _ = writeln!(text, "=== colours\n{}", mixed().text(true, Lang::En).replace('\u{1b}', "ESC"));
    let _ = writeln!(text, "=== json\n{:#}", mixed().json());
    assert_snapshot("doctor/snapshots/networks.txt", &text);
}
