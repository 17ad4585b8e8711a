//! What a run counted: how logins ended and why, and how long they took.

use std::collections::BTreeMap;
use std::time::Duration;

/// Different reasons that are told apart; the rest are one.
const REASONS: usize = 32;

/// Where the reasons past that bound are counted.
const OTHER: &str = "other";

/// What a login tells while it runs.
pub enum Told {
    FirstCode(Duration),
    /// Another code than the first one was shown.
    FreshCode,
    /// It came back with its position after its stream had ended.
    Resumed,
    /// An event came twice, or one is missing.
    OutOfOrder,
    Approved,
    /// The emulator did not know the code (any more).
    ApprovalRefused,
    Ended(End),
}

/// How a login ended. Each tells one.
pub enum End {
    Succeeded {
        since_start: Duration,
        since_approval: Option<Duration>,
    },
    /// It was still waiting when it was let go.
    Released,
    /// The server said so (an `error` event), or it never began.
    Failed {
        code: String,
        had_code: bool,
    },
    /// It had a code, and was neither held nor finished.
    Lost(String),
    /// As many as allowed were open.
    NotStarted,
}

#[derive(Default)]
pub struct Tally {
    pub started: u64,
    pub not_started: u64,
    pub succeeded: u64,
    pub released: u64,
    pub failed: u64,
    pub lost: u64,
    pub resumed: u64,
    pub fresh_codes: u64,
    pub out_of_order: u64,
    pub approved: u64,
    pub approvals_refused: u64,
    pub reasons: BTreeMap<String, u64>,
    pub first_code: Times,
    pub success: Times,
    pub approval_to_success: Times,
    without_code: u64,
}

impl Tally {
    pub fn hear(&mut self, told: Told) {
        match told {
            Told::FirstCode(after) => self.first_code.record(after),
            Told::FreshCode => self.fresh_codes += 1,
            Told::Resumed => self.resumed += 1,
            Told::OutOfOrder => self.out_of_order += 1,
            Told::Approved => self.approved += 1,
            Told::ApprovalRefused => self.approvals_refused += 1,
            Told::Ended(End::NotStarted) => self.not_started += 1,
            Told::Ended(end) => {
                self.started += 1;
                self.end(end);
            }
        }
    }

    fn end(&mut self, end: End) {
        match end {
            End::Succeeded { since_start, since_approval } => {
                self.succeeded += 1;
                self.success.record(since_start);
                if let Some(since_approval) = since_approval {
                    self.approval_to_success.record(since_approval);
                }
            }
            End::Released => self.released += 1,
            End::Failed { code, had_code } => {
                self.failed += 1;
                self.without_code += u64::from(!had_code);
                self.count(code);
            }
            End::Lost(why) => {
                self.lost += 1;
                self.count(why);
            }
            End::NotStarted => {}
        }
    }

    fn count(&mut self, reason: String) {
        let known = self.reasons.contains_key(&reason) || self.reasons.len() < REASONS;
        *self.reasons.entry(if known { reason } else { OTHER.to_owned() }).or_default() += 1;
    }

    /// Logins that have shown a code, or never will.
    pub fn begun(&self) -> u64 {
        self.first_code.count() + self.without_code
    }

    pub fn ended(&self) -> u64 {
        self.started
    }

    /// Logins that have a code and have not ended.
    pub fn waiting(&self) -> u64 {
        self.begun().saturating_sub(self.started)
    }

    pub fn is_clean(&self) -> bool {
        self.failed + self.lost + self.not_started + self.out_of_order == 0
    }

    /// The most frequent reasons first.
    pub fn top_reasons(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<_> = self.reasons.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        all.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        all
    }
}

/// Every time of one kind, exact: a run has a bounded number of logins (`plan::MOST_LOGINS`), so 4 MiB at most.
#[derive(Default)]
pub struct Times {
    micros: Vec<u32>,
}

impl Times {
    pub fn record(&mut self, time: Duration) {
        self.micros.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    pub fn count(&self) -> u64 {
        self.micros.len() as u64
    }

    /// `None` when nothing was recorded.
    pub fn percentiles(&self) -> Option<Percentiles> {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        // The smallest time that this share of all does not exceed.
        let at = |share: f64| {
            let rank = (sorted.len() as f64 * share).ceil() as usize;
            sorted.get(rank.max(1) - 1).map(|&micros| f64::from(micros) / 1000.0)
        };
        Some(Percentiles { p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)?, p999: at(0.999)?, max: at(1.0)? })
    }
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: impl Iterator<Item = u64>) -> Times {
        let mut times = Times::default();
        millis.for_each(|millis| times.record(Duration::from_millis(millis)));
        times
    }

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let thousand = times((1..=1000).rev()).percentiles();
        assert_eq!(thousand, Some(Percentiles { p50: 500.0, p90: 900.0, p99: 990.0, p999: 999.0, max: 1000.0 }));
        let one = times([7].into_iter()).percentiles();
        assert_eq!(one, Some(Percentiles { p50: 7.0, p90: 7.0, p99: 7.0, p999: 7.0, max: 7.0 }));
        let two = times([1, 9].into_iter()).percentiles();
        assert_eq!(two, Some(Percentiles { p50: 1.0, p90: 9.0, p99: 9.0, p999: 9.0, max: 9.0 }));
        assert_eq!(times([].into_iter()).percentiles(), None);
    }

    #[test]
    fn a_time_beyond_what_is_kept_is_the_longest() {
        let mut times = Times::default();
        times.record(Duration::from_secs(100_000));
        assert_eq!(times.percentiles().map(|all| all.max), Some(f64::from(u32::MAX) / 1000.0));
    }

    #[test]
    fn who_waits_has_a_code_and_no_end() {
        let mut tally = Tally::default();
        for _ in 0..3 {
            tally.hear(Told::FirstCode(Duration::from_millis(5)));
        }
        tally.hear(Told::Ended(End::Failed { code: "busy".to_owned(), had_code: false }));
        assert_eq!((tally.begun(), tally.waiting(), tally.ended()), (4, 3, 1));
        tally.hear(Told::Ended(End::Failed { code: "login-expired".to_owned(), had_code: true }));
        tally.hear(Told::Ended(End::Lost("status 404".to_owned())));
        assert_eq!((tally.begun(), tally.waiting(), tally.ended()), (4, 1, 3));
        assert!(!tally.is_clean());
        tally.hear(Told::Ended(End::NotStarted));
        assert_eq!((tally.ended(), tally.not_started), (3, 1), "what was not started did not end");
    }

    #[test]
    fn one_that_was_not_started_or_came_out_of_order_is_not_well() {
        for told in [Told::Ended(End::NotStarted), Told::OutOfOrder] {
            let mut tally = Tally::default();
            assert!(tally.is_clean());
            tally.hear(told);
            assert!(!tally.is_clean());
        }
    }

    #[test]
    fn reasons_are_bounded_and_the_most_frequent_comes_first() {
        let mut tally = Tally::default();
        for index in 0..100 {
            tally.hear(Told::Ended(End::Lost(format!("reason {}", index.min(50)))));
        }
        assert_eq!(tally.reasons.len(), REASONS + 1);
        assert_eq!(tally.top_reasons()[0], (OTHER, 68));
        assert_eq!(tally.reasons.values().sum::<u64>(), 100);
    }
}
