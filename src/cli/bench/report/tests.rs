//! The table and the JSON of results made up.

use super::super::cost::Usage;
use super::super::plan::{Target, Transport};
use super::super::tally::{End, Told};
use super::*;

fn outcome(load: Load, told: Vec<Told>) -> Outcome {
    let url: url::Url = "http://127.0.0.1:3001/api/auth/max".parse().unwrap();
    let target = Target { url, address: "127.0.0.1:3001".parse().unwrap(), origin: String::new() };
    let mut tally = Tally::default();
    told.into_iter().for_each(|told| tally.hear(told));
    let usage = |resident_kib, cpu_ms| Some(Usage { resident_kib, cpu_ms });
    let readings =
        |pid| Readings { pid, before: usage(10_000, 50.0), settled: usage(11_000, 100.0), after: usage(11_024, 140.0) };
    Outcome {
        plan: Plan {
            load,
            targets: vec![target.clone(), target],
            emulators: Vec::new(),
            transport: Transport::Websocket,
            client: None,
            pids: vec![7, 12_345],
            any_address: false,
            timeout: Duration::from_secs(1),
            sources: 1,
            json: false,
        },
        tally,
        processes: vec![readings(7), readings(12_345)],
        length: Duration::from_millis(12_340),
        waited: 128,
        held: Duration::from_secs(2),
    }
}

fn waiting() -> Load {
    Load::Waiting { logins: 1500, begin: Begin::AtOnce(50), hold: Duration::from_secs(10), finish: true }
}

fn succeeded(count: usize) -> Vec<Told> {
    let end = |millis| End::Succeeded {
        since_start: Duration::from_millis(millis),
        since_approval: Some(Duration::from_millis(millis / 2)),
    };
    let one = |millis| [Told::FirstCode(Duration::from_millis(3)), Told::Ended(end(millis))];
    (1..=count as u64).flat_map(one).collect()
}

#[test]
fn the_table_is_aligned_and_leaves_out_what_did_not_happen() {
    let table = outcome(waiting(), succeeded(1000)).table();
    let expected = "\
1 500 waiting logins, 50 at once, held for 10 s; websocket at 2 addresses; 12.3 s in all

started                       1 000
succeeded                     1 000
waited to the end               128

milliseconds                  count          p50          p90          p99        p99.9          max
start to first code           1 000          3.0          3.0          3.0          3.0          3.0
start to success              1 000        500.0        900.0        990.0        999.0       1000.0
approval to success           1 000        250.0        450.0        495.0        499.0        500.0

process                  before KiB    after KiB       CPU ms
7                            10 000       11 024           90
12345                        10 000       11 024           90
all                          20 000       22 048          180
per waiting login         16.00 KiB                312.5 µs/s";
    assert_eq!(table, expected, "{table}");
}

#[test]
fn what_went_wrong_is_said_loudly_with_its_reasons() {
    let load = Load::Open { rate: 20.0, length: Duration::from_secs(5), at_most: 2, seed: 1 };
    let mut told = succeeded(1);
    told.extend((0..3).map(|_| Told::Ended(End::Failed { code: "busy".to_owned(), had_code: false })));
    told.extend((0..2).map(|_| Told::Ended(End::NotStarted)));
    told.push(Told::Ended(End::Lost("position-gone".to_owned())));
    let outcome = outcome(load, told);
    let table = outcome.table();
    assert!(table.starts_with("20 logins a second, for 5 s; websocket"), "{table}");
    for part in ["NOT STARTED", "did not keep up", "3  busy", "1  position-gone", "per finished login"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let said = "of 7 logins 3 failed, 1 were lost, 2 were not started (most often: busy)";
    assert_eq!(outcome.complaint(), said);
}

#[test]
fn json_has_units_in_its_names_and_null_for_what_was_not_measured() {
    let report = outcome(waiting(), succeeded(10)).json();
    assert_eq!(report["load"], "waiting");
    assert_eq!(report["logins"]["succeeded"], 10);
    assert_eq!(report["logins"]["waited"], 128);
    assert_eq!(report["success_ms"]["p90"], 9.0);
    assert_eq!(report["per_waiting_login"]["resident_kib"], 16.0);
    assert_eq!(report["per_waiting_login"]["cpu_us_per_second"], 312.5);
    assert_eq!(report["processes"][0]["waiting_cpu_ms"], 40.0);
    assert_eq!(report["per_finished_login"]["cpu_ms"], Value::Null);

    let closed = outcome(Load::Closed { visitors: 2, length: Duration::from_secs(1) }, succeeded(10)).json();
    assert_eq!(closed["per_finished_login"]["cpu_ms"], 18.0);
    assert_eq!(closed["per_waiting_login"]["resident_kib"], Value::Null);
    assert_eq!(closed["logins"]["waited"], Value::Null);

    let nothing = outcome(waiting(), Vec::new()).json();
    assert_eq!(nothing["first_code_ms"], Value::Null);
}

#[test]
fn thousands_are_set_apart() {
    let all = [0, 999, 1000, 50_000, 1_234_567].map(grouped);
    assert_eq!(all, ["0", "999", "1 000", "50 000", "1 234 567"]);
}
