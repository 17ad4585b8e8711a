//! How streams end. A proxy's timer cannot be waited for, but it shows in what happened to earlier visitors: "37 of 41
//! ended at 60.0 s". Kept per *hop*, the way the proxies next to us write their requests, and bounded: anybody can write
//! requests like no proxy does, so a place goes to who is seen often and not to who came first.

use super::visitor_networks::VisitorNetworks;
use crate::base::limits::{ENDS_KEPT, HOPS_KEPT};
use crate::probe::{StreamTimer, TransportTimer};
use ipnet::IpNet;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// StreamStats that lie so close together were caused by one timer.
const CLUSTER: Duration = Duration::from_millis(500);

/// A timer needs so many ends, and half of all that were cut, to be named.
const CLUSTER_MIN: usize = 3;

/// What a stream ran over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StreamTransport {
    WebSocket,
    Sse,
}

impl StreamTransport {
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
        }
    }
}

/// Who ended a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndReason {
    /// We did, after the last event.
    Finished,
    /// The browser said goodbye.
    Left,
    /// The connection went away without a word: a browser that is gone, or a proxy.
    Cut,
    /// Nothing was heard for too long.
    Silent,
    /// The server stops.
    Stopped,
}

impl EndReason {
    fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Left => "left",
            Self::Cut => "cut",
            Self::Silent => "silent",
            Self::Stopped => "stopped",
        }
    }
}

#[derive(Clone, Copy)]
struct End {
    age: Duration,
    /// Since the last byte of ours.
    silence: Duration,
    /// Bytes of ours.
    sent: u64,
    how: EndReason,
}

type Key = (String, StreamTransport);

/// The last ends, by hop and transport.
#[derive(Default)]
pub struct StreamStats {
    kept: Mutex<Kept>,
    /// The same by where visitors are.
    pub networks: VisitorNetworks,
}

#[derive(Default)]
struct Kept {
    table: HashMap<Key, VecDeque<End>>,
    use_of: Frequency,
}

impl Kept {
    /// The row of this key, if it may have one: a newcomer takes the place of one that is seen less.
    fn row(&mut self, key: Key) -> Option<&mut VecDeque<End>> {
        self.use_of.count(&key);
        if self.table.len() >= HOPS_KEPT && !self.table.contains_key(&key) {
            let least = self.table.keys().min_by_key(|each| self.use_of.of(each))?.clone();
            if self.use_of.of(&key) <= self.use_of.of(&least) {
                return None;
            }
            self.table.remove(&least);
        }
        Some(self.table.entry(key).or_default())
    }
}

/// Counters of [`Frequency`]: 64 for each place, 8 KiB in all. A hop shares its counter with one invented hop in 4096.
const COUNTERS: usize = 64 * HOPS_KEPT;

/// After so many ends all counters are halved, so that a proxy that was taken away is forgotten.
const HALVE_AFTER: usize = 16 * COUNTERS;

/// About how often each key was seen lately, of any number of keys, in fixed memory (count-min, as in TinyLFU). The hash
/// has a key of its own, so that nobody can aim at another one's counter.
struct Frequency {
    counters: [Box<[u16]>; 2],
    hashes: [RandomState; 2],
    counted: usize,
}

impl Default for Frequency {
    fn default() -> Self {
        let counters = || vec![0; COUNTERS].into_boxed_slice();
        Self { counters: [counters(), counters()], hashes: Default::default(), counted: 0 }
    }
}

impl Frequency {
    fn place(&self, row: usize, key: &Key) -> usize {
        (self.hashes[row].hash_one(key) % COUNTERS as u64) as usize
    }

    fn count(&mut self, key: &Key) {
        for row in 0..self.counters.len() {
            let place = self.place(row, key);
            self.counters[row][place] = self.counters[row][place].saturating_add(1);
        }
        self.counted += 1;
        if self.counted >= HALVE_AFTER {
            self.counted = 0;
            self.counters.iter_mut().flat_map(|row| row.iter_mut()).for_each(|counter| *counter /= 2);
        }
    }

    fn of(&self, key: &Key) -> u16 {
        let counts = (0..self.counters.len()).map(|row| self.counters[row][self.place(row, key)]);
        counts.min().unwrap_or_default()
    }
}

impl StreamStats {
    fn record(&self, hop: &str, transport: StreamTransport, end: End) {
        metrics::counter!("max_auth_stream_ends_total", "transport" => transport.name(), "how" => end.how.name())
            .increment(1);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ends) = kept.row((hop.to_owned(), transport)) else { return };
        if ends.len() >= ENDS_KEPT {
            ends.pop_front();
        }
        ends.push_back(end);
    }

    /// All hops, or one.
    pub fn summary(&self, only: Option<&str>) -> Vec<HopSummary> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<HopSummary> = kept
            .table
            .iter()
            .filter(|((hop, _), _)| only.is_none_or(|only| only == hop))
            .map(|((hop, transport), ends)| {
                let cut: Vec<End> = ends.iter().copied().filter(|end| end.how == EndReason::Cut).collect();
                let mut silent: Vec<u64> =
                    ends.iter().filter(|end| end.how == EndReason::Silent).map(|end| end.sent).collect();
                silent.sort_unstable();
                HopSummary {
                    hop: hop.clone(),
                    transport: transport.name(),
                    ended: ends.len(),
                    cut: cut.len(),
                    frozen: silent.len(),
                    frozen_bytes: silent.get(silent.len() / 2).copied(),
                    timer: timer(&cut),
                }
            })
            .collect();
        rows.sort_by(|a, b| (&a.hop, a.transport).cmp(&(&b.hop, b.transport)));
        rows
    }

    /// The timers that end streams of this hop.
    pub fn timers(&self, hop: &str) -> Vec<TransportTimer> {
        let rows = self.summary(Some(hop)).into_iter();
        let timer = |row: HopSummary| {
            let (transport, cut) = (row.transport.to_owned(), row.cut as u64);
            row.timer.map(|timer| TransportTimer { transport, cut, timer })
        };
        rows.filter_map(timer).collect()
    }
}

/// How streams of one hop over one transport ended lately, as the operator reads it at `/streams`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HopSummary {
    pub hop: String,
    pub transport: &'static str,
    /// Streams that ended, and those of them that were cut.
    pub ended: usize,
    pub cut: usize,
    /// Those from whose other end nothing came any more, and the median of what had been sent by then.
    pub frozen: usize,
    pub frozen_bytes: Option<u64>,
    pub timer: Option<StreamTimer>,
}

/// The timer that most cuts point to: one of the whole life, or one of the silence before the end.
fn timer(cut: &[End]) -> Option<StreamTimer> {
    let by_age = densest(cut.iter().map(|end| end.age));
    let by_silence = densest(cut.iter().map(|end| end.silence));
    // A timer of the whole life is also the simpler reading when both fit.
    let (idle, (at, count)) = if by_age.1 >= by_silence.1 { (false, by_age) } else { (true, by_silence) };
    if count < CLUSTER_MIN || count * 2 < cut.len() || at < Duration::from_secs(1) {
        return None;
    }
    Some(StreamTimer { seconds: (at.as_secs_f64() * 10.0).round() / 10.0, count: count as u64, idle })
}

/// The middle of the densest stretch of `2 * CLUSTER`, and how many lie in it.
fn densest(times: impl Iterator<Item = Duration>) -> (Duration, usize) {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    let mut best = (Duration::ZERO, 0);
    for (first, &from) in times.iter().enumerate() {
        let last = times.partition_point(|&time| time <= from + 2 * CLUSTER);
        if last - first > best.1 {
            best = (times[(first + last - 1) / 2], last - first);
        }
    }
    best
}

/// Where a stream comes from.
pub struct StreamSource {
    pub hop: Arc<str>,
    /// Of its visitor, where its end says something of that network.
    pub network: Option<IpNet>,
}

impl From<&str> for StreamSource {
    fn from(hop: &str) -> Self {
        Self { hop: hop.into(), network: None }
    }
}

/// Writes down how one stream ended, whatever way that is.
pub struct StreamGuard {
    ends: Arc<StreamStats>,
    source: StreamSource,
    transport: StreamTransport,
    began: Instant,
    last_byte: Instant,
    sent: u64,
    how: EndReason,
}

impl StreamGuard {
    pub fn new(ends: Arc<StreamStats>, source: StreamSource, transport: StreamTransport) -> Self {
        let now = Instant::now();
        Self { ends, source, transport, began: now, last_byte: now, sent: 0, how: EndReason::Cut }
    }

    pub fn transport(&self) -> StreamTransport {
        self.transport
    }

    pub fn sent(&mut self) {
        self.last_byte = Instant::now();
    }

    /// So many bytes have been written.
    pub fn wrote(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Unless told so, an end is a cut.
    pub fn will_end(&mut self, how: EndReason) {
        self.how = how;
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let (age, silence) = (self.began.elapsed(), self.last_byte.elapsed());
        let end = End { age, silence, sent: self.sent, how: self.how };
        self.ends.record(&self.source.hop, self.transport, end);
        if let Some(network) = self.source.network {
            self.ends.networks.stream_ended(network, (self.how == EndReason::Silent).then_some(self.sent));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(cuts: &[(u64, u64)]) -> Option<StreamTimer> {
        let ends = StreamStats::default();
        for (age, silence) in cuts {
            let end = End {
                age: Duration::from_millis(*age),
                silence: Duration::from_millis(*silence),
                sent: 0,
                how: EndReason::Cut,
            };
            ends.record("hop", StreamTransport::Sse, end);
        }
        let timers = ends.timers("hop").into_iter().map(|row| row.timer).next();
        assert_eq!(ends.summary(Some("hop"))[0].timer, timers);
        timers
    }

    #[test]
    fn a_timer_shows_in_how_streams_ended() {
        assert_eq!(ends(&[(60_010, 300), (60_040, 9_000), (59_990, 4_000), (12_000, 1_000)]).unwrap().seconds, 60.0);
        let idle = ends(&[(63_000, 60_000), (91_000, 60_020), (75_000, 60_010)]).unwrap();
        assert_eq!((idle.idle, idle.count), (true, 3));
        assert_eq!(ends(&[(5_000, 10), (20_000, 700), (90_000, 4_000)]), None, "people who left");
        assert_eq!(ends(&[(60_000, 10), (60_000, 10)]), None, "two are no proof");
    }

    #[test]
    fn invented_hops_do_not_keep_the_real_one_out() {
        let ends = StreamStats::default();
        let end = End { age: Duration::from_secs(60), silence: Duration::from_secs(60), sent: 0, how: EndReason::Cut };
        for n in 0..4 * HOPS_KEPT {
            ends.record(&format!("invented {n}"), StreamTransport::Sse, end);
        }
        for n in 0..40 {
            ends.record("real", StreamTransport::Sse, end);
            for each in 0..100 {
                ends.record(&format!("invented too {n} {each}"), StreamTransport::Sse, end);
            }
        }
        let kept = ends.summary(Some("real"));
        assert!(kept[0].ended >= 30, "{kept:?}");
        assert_eq!(ends.summary(None).len(), HOPS_KEPT);
    }

    #[test]
    fn the_table_is_bounded() {
        let ends = StreamStats::default();
        let end = End { age: Duration::ZERO, silence: Duration::ZERO, sent: 0, how: EndReason::Cut };
        for _ in 0..ENDS_KEPT + 10 {
            ends.record("0", StreamTransport::Sse, end);
        }
        for n in 0..HOPS_KEPT + 10 {
            ends.record(&n.to_string(), StreamTransport::Sse, end);
        }
        assert_eq!(ends.summary(None).len(), HOPS_KEPT);
        assert_eq!(ends.summary(Some("0"))[0].ended, ENDS_KEPT);
    }

    #[test]
    fn a_timer_is_most_of_the_cuts_and_a_second_at_least() {
        let clear = [(60_000, 10), (60_100, 5_000), (60_200, 9_000)];
        let people = |count: u64| (1..=count).map(|n| (n * 7_000, n * 1_500 + 20_000)).collect::<Vec<_>>();
        let with = |count: u64| ends(&[&clear[..], &people(count)].concat()).map(|timer| (timer.seconds, timer.count));
        assert_eq!((with(3), with(4)), (Some((60.1, 3)), None), "three of six, and of seven");
        let at = |ms: u64| ends(&[(ms, 1); 3]).map(|timer| timer.seconds);
        assert_eq!((at(999), at(1_000), at(1_049), at(1_050)), (None, Some(1.0), Some(1.0), Some(1.1)));
        assert!(!ends(&[(60_000, 60_000); 3]).unwrap().idle, "of the whole life, where both fit");
        let spread = |last: u64| ends(&[(60_000, 10), (60_500, 5_000), (last, 9_000)]).is_some();
        assert!(spread(61_000) && !spread(61_001), "within a second of each other");
    }

    #[test]
    fn an_operator_reads_rows_in_order_and_only_cuts_make_a_timer() {
        let ends = StreamStats::default();
        let end = |how| End { age: Duration::from_secs(60), silence: Duration::from_secs(60), sent: 0, how };
        let other = [StreamTransport::Sse, StreamTransport::WebSocket];
        for (hop, how) in [("b", EndReason::Cut), ("a", EndReason::Cut), ("a", EndReason::Cut), ("a", EndReason::Cut)] {
            other.iter().for_each(|transport| ends.record(hop, *transport, end(how)));
        }
        let rows = |only: Option<&str>| {
            let rows = ends.summary(only).into_iter();
            rows.map(|row| (row.hop, row.transport, row.ended, row.cut, row.timer.is_some())).collect::<Vec<_>>()
        };
        let row = |hop: &str, transport: StreamTransport, count, timer| {
            (hop.to_owned(), transport.name(), count, count, timer)
        };
        let mut expected: Vec<_> =
            other.iter().flat_map(|&each| [row("a", each, 3, true), row("b", each, 1, false)]).collect();
        expected.sort();
        assert_eq!(rows(None), expected);
        assert_eq!(rows(Some("b")), [&expected[2..3], &expected[3..]].concat());
        let timers = ends.timers("a");
        assert_eq!((timers.len(), timers[0].cut, timers[0].transport.as_str()), (2, 3, expected[0].1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_says_how_it_ended_when_it_is_dropped() {
        let ends = Arc::<StreamStats>::default();
        let cut = |what: &str| ends.summary(Some(what)).iter().map(|row| row.cut).sum::<usize>();
        let begin = |hop: &str| StreamGuard::new(Arc::clone(&ends), hop.into(), StreamTransport::Sse);
        for _ in 0..3 {
            let mut guard = begin("idle");
            tokio::time::sleep(Duration::from_secs(7 + cut("idle") as u64 * 10)).await;
            guard.sent();
            tokio::time::sleep(Duration::from_secs(30)).await;
            drop(guard);
        }
        let timer = ends.timers("idle").remove(0).timer;
        assert_eq!((timer.seconds, timer.idle, timer.count), (30.0, true, 3));
        let mut guard = begin("fine");
        guard.will_end(EndReason::Finished);
        drop(guard);
        assert_eq!((ends.summary(Some("fine"))[0].ended, cut("fine")), (1, 0));
    }
}
