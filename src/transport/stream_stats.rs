//! How streams end. A proxy's timer cannot be waited for, but it shows in what happened to earlier visitors: "37 of 41
//! ended at 60.0 s". Kept per *hop*, the way the proxies next to us write their requests, and bounded: anybody can write
//! requests like no proxy does, so a place goes to who is seen often and not to who came first.

use crate::base::limits::{ENDS_KEPT, HOPS_KEPT};
use crate::probe::{StreamTimer, TransportTimer};
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
    how: EndReason,
}

type Key = (String, StreamTransport);

/// The last ends, by hop and transport.
#[derive(Default)]
pub struct StreamStats {
    kept: Mutex<Kept>,
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
                HopSummary {
                    hop: hop.clone(),
                    transport: transport.name(),
                    ended: ends.len(),
                    cut: cut.len(),
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
pub struct HopSummary {
    pub hop: String,
    pub transport: &'static str,
    /// Streams that ended, and those of them that were cut.
    pub ended: usize,
    pub cut: usize,
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

/// Writes down how one stream ended, whatever way that is.
pub struct StreamGuard {
    ends: Arc<StreamStats>,
    hop: Arc<str>,
    transport: StreamTransport,
    began: Instant,
    last_byte: Instant,
    how: EndReason,
}

impl StreamGuard {
    pub fn new(ends: Arc<StreamStats>, hop: Arc<str>, transport: StreamTransport) -> Self {
        let now = Instant::now();
        Self { ends, hop, transport, began: now, last_byte: now, how: EndReason::Cut }
    }

    pub fn sent(&mut self) {
        self.last_byte = Instant::now();
    }

    /// Unless told so, an end is a cut.
    pub fn will_end(&mut self, how: EndReason) {
        self.how = how;
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let end = End { age: self.began.elapsed(), silence: self.last_byte.elapsed(), how: self.how };
        self.ends.record(&self.hop, self.transport, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(cuts: &[(u64, u64)]) -> Option<StreamTimer> {
        let ends = StreamStats::default();
        for (age, silence) in cuts {
            let end =
                End { age: Duration::from_millis(*age), silence: Duration::from_millis(*silence), how: EndReason::Cut };
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
        let end = End { age: Duration::from_secs(60), silence: Duration::from_secs(60), how: EndReason::Cut };
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
        let end = End { age: Duration::ZERO, silence: Duration::ZERO, how: EndReason::Cut };
        for _ in 0..ENDS_KEPT + 10 {
            ends.record("0", StreamTransport::Sse, end);
        }
        for n in 0..HOPS_KEPT + 10 {
            ends.record(&n.to_string(), StreamTransport::Sse, end);
        }
        assert_eq!(ends.summary(None).len(), HOPS_KEPT);
        assert_eq!(ends.summary(Some("0"))[0].ended, ENDS_KEPT);
    }
}
