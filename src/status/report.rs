//! What one node knows of how sign-ins go: what it shows itself, and leaves in a shared store for the others. Bounded, and
//! nothing in it names a person.

use crate::observe::history::{self, COLUMNS, Counts, History, Point};
use crate::probe::NetworkSeen;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of the columns and what else is counted by place: a report of another layout is shown without its figures.
const LAYOUT: u32 = 1;

/// Bytes of a report as it is stored: a record of a store has 16 KiB, sealed and with its frame.
pub const REPORT_BYTES: usize = 15 * 1024;

/// Bars of the last hour, a minute each, and of the day, half an hour each.
pub const MINUTE: i64 = 60;
pub const HALF_HOUR: i64 = 1800;
const MINUTES: i64 = 60;
const HALF_HOURS: i64 = 48;

/// Stretches of time, in seconds.
pub const RECENT: i64 = 600;
pub const HOUR: i64 = 3600;
pub const DAY: i64 = 86_400;

/// Counts that are not zero, each with the place of its column.
pub type Sparse = Vec<(usize, u64)>;

/// A bar.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Bar {
    /// Unix seconds.
    pub at: i64,
    pub counts: Sparse,
}

/// An address of MAX.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    pub address: String,
    pub up: bool,
}

/// A login that came to nothing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedLogin {
    /// Unix milliseconds.
    pub at: i64,
    /// The beginning of its id, as in the log.
    pub login: String,
    pub reason: String,
    pub max_code: Option<String>,
    pub network: Option<String>,
}

/// How streams that came over one path ended lately.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    pub hop: String,
    pub transport: String,
    pub ended: u64,
    pub cut: u64,
    pub frozen: u64,
    /// Of a timer that most cuts point to, in seconds; `idle`: since the last byte.
    pub timer: Option<f64>,
    pub idle: bool,
}

/// What the metrics do not tell.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub node: String,
    pub version: String,
    /// When the process began, Unix seconds.
    pub since: i64,
    pub active: u64,
    pub max_active: u64,
    pub stopping: bool,
    pub app_version: String,
    pub store_kind: String,
    pub hops: Vec<Hop>,
    /// Those with trouble; and how many visitors came from in all.
    pub networks: Vec<NetworkSeen>,
    pub networks_seen: u64,
    pub failures: Vec<FailedLogin>,
    /// Codes of what was wrong with the configuration at the start.
    pub warnings: Vec<String>,
}

/// One node's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    layout: u32,
    /// When it was written, Unix seconds.
    pub at: i64,
    #[serde(flatten)]
    pub facts: Facts,
    pub store_up: bool,
    pub endpoints: Vec<Endpoint>,
    /// Since the start.
    pub refusals: BTreeMap<String, u64>,
    pub crashed: u64,
    pub left_open: u64,
    pub recent: Sparse,
    pub hour: Sparse,
    pub day: Sparse,
    /// Buckets of each of [`history::TIMES`].
    pub hour_times: Vec<Vec<u64>>,
    pub day_times: Vec<Vec<u64>>,
    pub minutes: Vec<Bar>,
    pub half_hours: Vec<Bar>,
}

fn sparse(counts: &Counts) -> Sparse {
    counts.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect()
}

fn bars(points: Vec<Point>) -> Vec<Bar> {
    let bars = points.into_iter().map(|point| Bar { at: point.at, counts: sparse(&point.counts) });
    bars.filter(|bar| !bar.counts.is_empty()).collect()
}

/// Lines of `/metrics` of one metric: what is in its braces, and its value.
fn lines<'a>(metrics: &'a str, name: &str) -> Vec<(&'a str, f64)> {
    let of = |line: &'a str| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let labels = if labels.is_empty() { "" } else { labels.strip_prefix('{')?.strip_suffix('}')? };
        Some((labels, value.parse().ok()?))
    };
    metrics.lines().filter_map(of).collect()
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
}

impl NodeReport {
    /// `metrics`: the text of `/metrics`, which `history` has been told.
    pub fn new(facts: Facts, metrics: &str, history: &History, now: i64) -> Self {
        let sum = |name: &str| lines(metrics, name).iter().map(|(_, value)| *value as u64).sum();
        let up = lines(metrics, "max_auth_upstream_up").into_iter();
        let endpoint = |(labels, value): (&str, f64)| {
            Some(Endpoint { address: label(labels, "endpoint")?.to_owned(), up: value > 0.0 })
        };
        let mut endpoints: Vec<Endpoint> = up.filter_map(endpoint).collect();
        endpoints.sort_by(|a, b| a.address.cmp(&b.address));
        let refused = lines(metrics, "max_auth_upstream_refusals_total").into_iter().filter(|(_, times)| *times > 0.0);
        let refusals = refused.filter_map(|(labels, times)| Some((label(labels, "code")?.to_owned(), times as u64)));
        let counts = |seconds| sparse(&history.counts(seconds, now));
        Self {
            layout: LAYOUT,
            at: now,
            store_up: lines(metrics, "max_auth_store_up").iter().all(|(_, up)| *up > 0.0),
            endpoints,
            refusals: refusals.collect(),
            crashed: sum("max_auth_tasks_crashed_total"),
            left_open: sum("max_auth_logins_left_open"),
            recent: counts(RECENT),
            hour: counts(HOUR),
            day: counts(DAY),
            hour_times: history.times(false, now),
            day_times: history.times(true, now),
            minutes: bars(history.points(MINUTE, MINUTES, now)),
            half_hours: bars(history.points(HALF_HOUR, HALF_HOURS, now)),
            facts,
        }
    }

    /// Its figures can be added to ours.
    pub fn is_readable(&self) -> bool {
        let places = |counts: &Sparse| counts.iter().all(|(place, _)| *place < COLUMNS.len());
        let times = |times: &[Vec<u64>]| {
            let fits = |(name, buckets): (&&str, &Vec<u64>)| buckets.len() == history::bounds(name).len() + 1;
            times.len() == history::TIMES.len() && history::TIMES.iter().zip(times).all(fits)
        };
        let bars = self.minutes.iter().chain(&self.half_hours).map(|bar| &bar.counts);
        let counts = [&self.recent, &self.hour, &self.day].into_iter().chain(bars);
        self.layout == LAYOUT && counts.into_iter().all(places) && times(&self.hour_times) && times(&self.day_times)
    }

    /// As much of it as a store keeps: the newest failures, the paths and networks with most to tell, and, where a node has so
    /// much to tell of each minute, no more than the hours.
    pub fn fitting(mut self) -> Self {
        self.facts.failures.truncate(20);
        self.facts.networks.truncate(10);
        self.facts.hops.truncate(8);
        self.endpoints.truncate(8);
        let fits = |report: &Self| serde_json::to_vec(report).is_ok_and(|json| json.len() <= REPORT_BYTES);
        let cuts: [fn(&mut Self); 3] = [
            |report| report.minutes.clear(),
            |report| {
                report.facts.failures.truncate(5);
                report.facts.hops.clear();
            },
            |report| report.half_hours.clear(),
        ];
        for cut in cuts {
            if fits(&self) {
                break;
            }
            cut(&mut self);
        }
        self
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const NOW: i64 = 1_700_002_800;

    /// So many successes, and failures for one reason, counted a minute before [`NOW`].
    pub fn report(node: &str, success: u64, failed: (&str, u64)) -> NodeReport {
        let metrics = format!(
            "max_auth_logins_started_total {}\nmax_auth_logins_ended_total{{outcome=\"success\"}} {success}\n\
             max_auth_logins_ended_total{{outcome=\"{}\"}} {}\nmax_auth_store_up 1\n\
             max_auth_upstream_up{{endpoint=\"wss://a/\"}} 1\nmax_auth_upstream_up{{endpoint=\"wss://b/\"}} 1\n\
             max_auth_upstream_refusals_total{{code=\"internal\"}} 0\n\
             max_auth_upstream_refusals_total{{code=\"other\"}} 2\n",
            success + failed.1,
            failed.0,
            failed.1
        );
        let mut history = History::default();
        history.sample(&metrics, NOW - 60);
        let facts = Facts {
            node: node.into(),
            version: "1".into(),
            since: NOW - 3 * DAY,
            max_active: 100,
            app_version: "26.1.1".into(),
            store_kind: "memory".into(),
            ..Facts::default()
        };
        NodeReport::new(facts, &metrics, &history, NOW)
    }

    #[test]
    fn a_report_says_what_the_metrics_say() {
        let report = report("one", 7, ("max-trouble", 2));
        for (counts, seconds) in [(&report.recent, RECENT), (&report.hour, HOUR), (&report.day, DAY)] {
            let of = |name: &str| {
                counts.iter().find(|(place, _)| *place == history::index(name).unwrap()).map_or(0, |(_, count)| *count)
            };
            assert_eq!((of("success"), of("max-trouble"), of("started"), of("busy")), (7, 2, 9, 0), "{seconds}");
        }
        assert_eq!(report.endpoints[1], Endpoint { address: "wss://b/".into(), up: true });
        assert_eq!(report.refusals, BTreeMap::from([("other".to_owned(), 2)]));
        assert_eq!((report.minutes.len(), report.minutes[0].at, report.half_hours[0].at), (1, NOW - 60, NOW - 1800));
        let again: NodeReport = serde_json::from_slice(&serde_json::to_vec(&report).unwrap()).unwrap();
        assert!(again == report && again.is_readable());
        assert!(!NodeReport { layout: 2, ..report.clone() }.is_readable());
        let strange = NodeReport { hour: vec![(COLUMNS.len(), 1)], ..report };
        assert!(!strange.is_readable());
    }

    #[test]
    fn a_report_fits_into_a_record_however_much_there_is_to_tell() {
        let mut report = report("one", 7, ("max-trouble", 2));
        let all: Sparse = (0..COLUMNS.len()).map(|place| (place, 1_000_000)).collect();
        let bar = |at| Bar { at, counts: all.clone() };
        report.minutes = (0..60).map(bar).collect();
        report.half_hours = (0..48).map(bar).collect();
        let failed = FailedLogin {
            at: NOW * 1000,
            login: "abcdefgh".into(),
            reason: "password-not-supported".into(),
            max_code: Some("x".repeat(64)),
            network: Some("2001:db8::/32".into()),
        };
        report.facts.failures = vec![failed; 50];
        let hop = Hop {
            hop: "x".repeat(300),
            transport: "websocket".into(),
            ended: 128,
            cut: 1,
            frozen: 1,
            timer: None,
            idle: false,
        };
        report.facts.hops = vec![hop; 64];
        assert!(serde_json::to_vec(&report).unwrap().len() > REPORT_BYTES);
        let fitting = report.clone().fitting();
        let bytes = serde_json::to_vec(&fitting).unwrap().len();
        assert!(bytes <= REPORT_BYTES, "{bytes}");
        assert_eq!(fitting.day, report.day);
    }
}
