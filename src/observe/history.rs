//! What was counted, over time: a fixed table of columns, sampled into rings of an hour and of a day. All of it is made once
//! and never grows. Time is an argument, Unix seconds, so that the slots of several nodes mean the same.

use super::series::{self, Kind};

/// What is kept over time: a name for `/status.json`, and the line of `/metrics` it is taken from.
pub struct Column {
    pub name: &'static str,
    line: &'static str,
}

const fn column(name: &'static str, line: &'static str) -> Column {
    Column { name, line }
}

/// In the order in which they are kept. Outcomes have the names of `max_auth_logins_ended_total`.
pub const COLUMNS: [Column; 30] = [
    column("pages", "max_auth_pages_total"),
    column("started", "max_auth_logins_started_total"),
    column("codes", "max_auth_first_code_seconds_count"),
    column("approved", "max_auth_approval_seconds_count"),
    column("success", "max_auth_logins_ended_total{outcome=\"success\"}"),
    column("handed-over", "max_auth_handover_seconds_count"),
    column("login-expired", "max_auth_logins_ended_total{outcome=\"login-expired\"}"),
    column("visitor-left", "max_auth_logins_ended_total{outcome=\"visitor-left\"}"),
    column("cancelled", "max_auth_logins_ended_total{outcome=\"cancelled\"}"),
    column("upstream-unreachable", "max_auth_logins_ended_total{outcome=\"upstream-unreachable\"}"),
    column("qr-login-disabled", "max_auth_logins_ended_total{outcome=\"qr-login-disabled\"}"),
    column("password-not-supported", "max_auth_logins_ended_total{outcome=\"password-not-supported\"}"),
    column("password-wrong", "max_auth_logins_ended_total{outcome=\"password-wrong\"}"),
    column("two-factor-needed", "max_auth_logins_ended_total{outcome=\"two-factor-needed\"}"),
    column("account-blocked", "max_auth_logins_ended_total{outcome=\"account-blocked\"}"),
    column("max-rate-limited", "max_auth_logins_ended_total{outcome=\"max-rate-limited\"}"),
    column("max-trouble", "max_auth_logins_ended_total{outcome=\"max-trouble\"}"),
    column("internal", "max_auth_logins_ended_total{outcome=\"internal\"}"),
    column("server-stopped", "max_auth_logins_ended_total{outcome=\"server-stopped\"}"),
    column("busy", "max_auth_logins_busy_total"),
    column("rate-limited", "max_auth_rate_limited_total"),
    column("origin-refused", "max_auth_origin_refused_total"),
    column("websocket", "max_auth_success_delivered_total{transport=\"websocket\"}"),
    column("sse", "max_auth_success_delivered_total{transport=\"sse\"}"),
    column("page", "max_auth_success_delivered_total{transport=\"page\"}"),
    column("frozen", "max_auth_logins_frozen_total"),
    column("declined", "max_auth_logins_ended_total{outcome=\"declined\"}"),
    column("expired", "max_auth_logins_ended_total{outcome=\"expired\"}"),
    column("locked", "max_auth_logins_ended_total{outcome=\"locked\"}"),
    column("driver-down", "max_auth_logins_ended_total{outcome=\"driver-down\"}"),
];

const WIDTH: usize = COLUMNS.len();

/// Which histograms are kept, whole: a median is none of single slots.
pub const TIMES: [&str; 4] = [
    "max_auth_first_code_seconds",
    "max_auth_approval_seconds",
    "max_auth_finish_seconds",
    "max_auth_handover_seconds",
];

/// Buckets of all of [`TIMES`], that above the highest bound included.
const BUCKETS: usize = 12 + 13 + 13 + 13;

/// Seconds of a slot, and slots: an hour by ten seconds, a day by minutes; of the times an hour by five minutes, a day by hours.
const HOUR: (i64, usize) = (10, 360);
const DAY: (i64, usize) = (60, 1440);
const HOUR_TIMES: (i64, usize) = (300, 12);
const DAY_TIMES: (i64, usize) = (3600, 24);

/// Bytes of the four rings: 223 344.
pub const BYTES: usize = 4 * (WIDTH * (HOUR.1 + DAY.1) + BUCKETS * (HOUR_TIMES.1 + DAY_TIMES.1));
const _: () = assert!(BYTES == 223_344, "docs/limits.md and docs/how-to/monitoring.md say how much it is");

/// A count for each of [`COLUMNS`].
pub type Counts = [u64; WIDTH];

/// The place of a column by its name.
pub fn index(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.name == name)
}

/// The bounds of the buckets of a histogram that is kept.
pub fn bounds(times: &str) -> &'static [f64] {
    let kind = series::ALL.iter().find(|series| series.name == times).map(|series| series.kind);
    if let Some(Kind::Seconds(bounds)) = kind { bounds } else { &[] }
}

/// What `/metrics` said at one moment.
#[derive(Clone)]
struct Reading {
    counts: Counts,
    buckets: [u64; BUCKETS],
}

impl Reading {
    const NOTHING: Self = Self { counts: [0; WIDTH], buckets: [0; BUCKETS] };

    fn of(text: &str) -> Self {
        let mut reading = Self::NOTHING;
        for line in text.lines() {
            let Some((shown, value)) = line.rsplit_once(' ') else { continue };
            if let Some(at) = COLUMNS.iter().position(|column| column.line == shown) {
                reading.counts[at] = value.parse().unwrap_or_default();
            } else if let Some((name, bound)) = shown.split_once("_bucket{le=\"") {
                reading.bucket(name, bound.trim_end_matches("\"}"), value);
            }
        }
        // As they are shown each holds those below it.
        let mut first = 0;
        for times in TIMES {
            let end = first + bounds(times).len();
            for at in (first + 1..=end).rev() {
                reading.buckets[at] = reading.buckets[at].saturating_sub(reading.buckets[at - 1]);
            }
            first = end + 1;
        }
        reading
    }

    fn bucket(&mut self, name: &str, bound: &str, value: &str) {
        let mut first = 0;
        for times in TIMES {
            let bounds = bounds(times);
            if times == name {
                let place = bound.parse::<f64>().ok().and_then(|bound| bounds.iter().position(|known| *known == bound));
                self.buckets[first + place.unwrap_or(bounds.len())] = value.parse().unwrap_or_default();
            }
            first += bounds.len() + 1;
        }
    }
}

/// Counts of the newest slots.
struct Ring {
    step: i64,
    slots: usize,
    width: usize,
    counts: Box<[u32]>,
    /// The number of the newest, from the beginning of time on.
    newest: i64,
}

impl Ring {
    fn new((step, slots): (i64, usize), width: usize) -> Self {
        Self { step, slots, width, counts: vec![0; slots * width].into_boxed_slice(), newest: 0 }
    }

    fn row(&self, slot: i64) -> std::ops::Range<usize> {
        let at = usize::try_from(slot.rem_euclid(self.slots as i64)).unwrap_or_default() * self.width;
        at..at + self.width
    }

    /// A clock that was set back adds to the newest.
    fn add(&mut self, now: i64, counts: impl Iterator<Item = u64>) {
        let slot = now.div_euclid(self.step).max(self.newest);
        let passed = (slot - self.newest).min(self.slots as i64);
        for emptied in slot + 1 - passed..=slot {
            let row = self.row(emptied);
            self.counts[row].fill(0);
        }
        self.newest = slot;
        let row = self.row(slot);
        for (kept, more) in self.counts[row].iter_mut().zip(counts) {
            *kept = kept.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        }
    }

    /// Of a slot that is still kept.
    fn of(&self, slot: i64) -> &[u32] {
        if slot > self.newest || slot <= self.newest - self.slots as i64 {
            return &[];
        }
        &self.counts[self.row(slot)]
    }

    fn sum(&self, slots: impl Iterator<Item = i64>) -> Vec<u64> {
        let mut all = vec![0; self.width];
        for slot in slots {
            for (sum, more) in all.iter_mut().zip(self.of(slot)) {
                *sum += u64::from(*more);
            }
        }
        all
    }
}

/// The rings, and what was read last.
pub struct History {
    last: Reading,
    hour: Ring,
    day: Ring,
    hour_times: Ring,
    day_times: Ring,
}

/// What happened in a stretch of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    /// Unix seconds.
    pub at: i64,
    pub seconds: i64,
    pub counts: Counts,
}

impl Default for History {
    fn default() -> Self {
        let last = Reading::NOTHING;
        let (hour, day) = (Ring::new(HOUR, WIDTH), Ring::new(DAY, WIDTH));
        Self { last, hour, day, hour_times: Ring::new(HOUR_TIMES, BUCKETS), day_times: Ring::new(DAY_TIMES, BUCKETS) }
    }
}

impl History {
    /// What was counted since the last time happened now. `text`: of `/metrics`.
    pub fn sample(&mut self, text: &str, now: i64) {
        let reading = Reading::of(text);
        let since = |now: &[u64], last: &[u64]| -> Vec<u64> {
            now.iter().zip(last).map(|(now, last)| now.saturating_sub(*last)).collect()
        };
        let counts = since(&reading.counts, &self.last.counts);
        let buckets = since(&reading.buckets, &self.last.buckets);
        for ring in [&mut self.hour, &mut self.day] {
            ring.add(now, counts.iter().copied());
        }
        for ring in [&mut self.hour_times, &mut self.day_times] {
            ring.add(now, buckets.iter().copied());
        }
        self.last = reading;
    }

    /// In the last seconds up to `now`: by tens within an hour, by minutes within a day.
    pub fn counts(&self, seconds: i64, now: i64) -> Counts {
        let within = seconds <= HOUR.0 * HOUR.1 as i64;
        let ring = if within { &self.hour } else { &self.day };
        let newest = now.div_euclid(ring.step);
        let sum = ring.sum(newest + 1 - seconds / ring.step..=newest);
        std::array::from_fn(|at| sum[at])
    }

    /// How long the steps of a sign-in took in the last hour or day: for each of [`TIMES`] its buckets.
    pub fn times(&self, day: bool, now: i64) -> Vec<Vec<u64>> {
        let ring = if day { &self.day_times } else { &self.hour_times };
        let newest = now.div_euclid(ring.step);
        let mut rest = ring.sum(newest + 1 - ring.slots as i64..=newest);
        TIMES.iter().map(|times| rest.drain(..=bounds(times).len()).collect()).collect()
    }

    /// The last `count` stretches of so many seconds, the newest still running; each begins at a multiple of its length.
    pub fn points(&self, seconds: i64, count: i64, now: i64) -> Vec<Point> {
        let ring = if seconds * count <= HOUR.0 * HOUR.1 as i64 { &self.hour } else { &self.day };
        let newest = now.div_euclid(seconds);
        let point = |number: i64| {
            let at = number * seconds;
            let sum = ring.sum(at / ring.step..(at + seconds) / ring.step);
            Point { at, seconds, counts: std::array::from_fn(|at| sum[at]) }
        };
        (newest + 1 - count..=newest).map(point).collect()
    }
}

/// Below what value lies such a part of all, in a histogram: interpolated within its bucket. `None` of nothing.
pub fn quantile(part: f64, bounds: &[f64], buckets: &[u64]) -> Option<f64> {
    let all: u64 = buckets.iter().sum();
    let wanted = part * all as f64;
    let (mut below, mut low) = (0, 0.0);
    for (bound, count) in bounds.iter().zip(buckets) {
        if *count > 0 && (below + count) as f64 >= wanted {
            return Some(low + (bound - low) * ((wanted - below as f64) / *count as f64).clamp(0.0, 1.0));
        }
        below += count;
        low = *bound;
    }
    // Above the highest bound nothing is known but that.
    (all > 0).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Begins at a full hour.
    const NOW: i64 = 1_700_002_800;

    fn text(success: u64, failed: u64) -> String {
        format!(
            "# HELP x\nmax_auth_logins_ended_total{{outcome=\"success\"}} {success}\n\
             max_auth_logins_ended_total{{outcome=\"max-trouble\"}} {failed}\nmax_auth_logins_active 7\n"
        )
    }

    fn of(counts: &Counts) -> (u64, u64) {
        (counts[index("success").unwrap()], counts[index("max-trouble").unwrap()])
    }

    #[test]
    fn each_column_and_histogram_is_a_metric_that_exists() {
        for Column { line, .. } in &COLUMNS {
            let (name, labels) = line.split_once('{').unwrap_or((line, ""));
            let name = name.trim_end_matches("_count");
            let series = series::ALL.iter().find(|series| series.name == name).unwrap_or_else(|| panic!("{name}"));
            let shown: Vec<String> = series
                .combinations()
                .iter()
                .map(|labels| match labels.as_slice() {
                    [] => String::new(),
                    [(label, value), ..] => format!("{label}=\"{value}\"}}"),
                })
                .collect();
            assert!(shown.iter().any(|shown| shown == labels), "{line}");
        }
        let outcomes = series::OUTCOMES.iter().filter(|outcome| index(outcome).is_none()).count();
        assert_eq!(outcomes, 0, "each outcome is kept");
        assert_eq!(TIMES.iter().map(|times| bounds(times).len() + 1).sum::<usize>(), BUCKETS);
    }

    #[test]
    fn what_was_counted_is_there_for_an_hour_and_for_a_day_and_no_longer() {
        let mut history = History::default();
        history.sample(&text(5, 1), NOW);
        history.sample(&text(5, 1), NOW + 10);
        history.sample(&text(8, 1), NOW + 600);
        let (hour, day) = (3600, 86_400);
        assert_eq!(of(&history.counts(hour, NOW + 600)), (8, 1));
        assert_eq!(of(&history.counts(300, NOW + 600)), (3, 0));
        assert_eq!(of(&history.counts(hour, NOW + 3599)), (8, 1));
        assert_eq!(of(&history.counts(hour, NOW + 3600)), (3, 0), "an hour later");
        assert_eq!(of(&history.counts(day, NOW + 3600)), (8, 1));
        history.sample(&text(8, 1), NOW + day + 300);
        assert_eq!(of(&history.counts(day, NOW + day + 300)), (3, 0), "a day later");
        history.sample(&text(9, 1), NOW + 30 * day);
        assert_eq!(of(&history.counts(day, NOW + 30 * day)), (1, 0));
        assert_eq!(history.hour.counts.len() + history.day.counts.len(), WIDTH * 1800);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_nothing_and_a_process_that_begins_anew_counts_from_zero() {
        let mut history = History::default();
        history.sample(&text(5, 0), NOW);
        history.sample(&text(7, 0), NOW - 500);
        assert_eq!(of(&history.counts(3600, NOW)), (7, 0));
        history.sample(&text(1, 0), NOW + 10);
        history.sample(&text(2, 0), NOW + 20);
        assert_eq!(of(&history.counts(3600, NOW + 20)), (8, 0));
    }

    #[test]
    fn points_begin_at_multiples_of_their_length() {
        let mut history = History::default();
        history.sample(&text(2, 0), NOW - 61);
        history.sample(&text(3, 0), NOW - 1);
        history.sample(&text(3, 4), NOW + 30);
        let points = history.points(60, 60, NOW + 31);
        let last: Vec<_> = points[57..].iter().map(|point| (point.at - NOW, of(&point.counts))).collect();
        assert_eq!(last, [(-120, (2, 0)), (-60, (1, 0)), (0, (0, 4))]);
        let day = history.points(1800, 48, NOW + 31);
        assert_eq!((day.len(), of(&day[46].counts), of(&day[47].counts)), (48, (3, 0), (0, 4)));
        let all: Vec<u64> = [&points, &day].map(|points| points.iter().map(|point| of(&point.counts).0).sum()).to_vec();
        assert_eq!(all, [3, 3], "both say the same");
    }

    #[test]
    fn medians_come_from_whole_histograms() {
        let shown = |counts: [u64; 3]| {
            let [a, b, all] = counts;
            let name = TIMES[0];
            format!(
                "{name}_bucket{{le=\"0.05\"}} {a}\n{name}_bucket{{le=\"0.1\"}} {b}\n{name}_bucket{{le=\"0.25\"}} {b}\n{name}_bucket{{le=\"0.5\"}} {b}\n{name}_bucket{{le=\"1\"}} {b}\n{name}_bucket{{le=\"2.5\"}} {b}\n{name}_bucket{{le=\"5\"}} {b}\n{name}_bucket{{le=\"10\"}} {b}\n{name}_bucket{{le=\"30\"}} {b}\n{name}_bucket{{le=\"+Inf\"}} {all}\n"
            )
        };
        let mut history = History::default();
        history.sample(&shown([4, 8, 9]), NOW);
        let times = &history.times(false, NOW)[0];
        assert_eq!(times, &[0, 0, 4, 4, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(quantile(0.5, bounds(TIMES[0]), times), Some(0.05 + 0.05 * 0.125));
        assert_eq!(quantile(1.0, bounds(TIMES[0]), times), Some(30.0), "more is not known");
        assert_eq!(quantile(0.5, bounds(TIMES[1]), &history.times(true, NOW)[1]), None);
        assert!(history.times(false, NOW + 3600)[0].iter().all(|count| *count == 0));
        assert_eq!(history.times(true, NOW + 3600)[0], *times);
        assert_eq!(quantile(0.5, &[1.0, 2.0], &[0, 2, 0]), Some(1.5));
    }
}
