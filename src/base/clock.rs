//! Time as an argument. Everything that needs the wall clock is handed a [`Clock`], so a test can put it on
//! tokio's paused clock; monotonic time is `tokio::time::Instant`, which a test pauses by itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Of thousands of logins each has a timer or two every few seconds: apart from each other each would wake a sleeping thread,
/// and the waking costs more than what is done then. Nobody notices a question to MAX that is so much late.
const GRID: Duration = Duration::from_millis(50);

/// What is nearer than this is exact.
const FAR: Duration = Duration::from_secs(2);

/// Where the time of day comes from.
#[derive(Clone)]
pub struct Clock {
    started: Instant,
    source: Source,
}

#[derive(Clone, Copy)]
enum Source {
    System,
    /// The wall clock at `started`, moving on with tokio's (pausable) clock.
    #[cfg(test)]
    Fixed(i64),
}

impl Clock {
    pub fn system() -> Self {
        Self { started: Instant::now(), source: Source::System }
    }

    #[cfg(test)]
    pub fn fixed(unix_ms: i64) -> Self {
        Self { started: Instant::now(), source: Source::Fixed(unix_ms) }
    }

    /// Milliseconds since the Unix epoch.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn unix_ms(&self) -> i64 {
        match self.source {
            Source::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            #[cfg(test)]
            Source::Fixed(unix_ms) => unix_ms + i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Seconds since the Unix epoch.
    pub fn unix_seconds(&self) -> i64 {
        self.unix_ms() / 1000
    }

    /// Monotonic time since this clock was made.
    pub fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    /// The instant at which [`Clock::monotonic`] will read `at`.
    pub fn instant(&self, at: Duration) -> Instant {
        self.started + at
    }

    /// That instant or up to [`GRID`] later, if it is [`FAR`] away: what need not be exact happens together.
    pub fn about(&self, at: Instant) -> Instant {
        let since = at.saturating_duration_since(self.started).as_nanos();
        let late = since % GRID.as_nanos();
        if late == 0 || at < Instant::now() + FAR {
            return at;
        }
        at + GRID - Duration::from_nanos(late as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_far_away_happens_together() {
        let clock = Clock::fixed(0);
        tokio::time::advance(Duration::from_millis(7)).await;
        let about = |ms| clock.about(clock.instant(Duration::from_millis(ms))) - clock.started;
        for (asked, told) in [(2006, 2006), (2007, 2050), (5000, 5000), (5001, 5050), (5049, 5050), (5050, 5050)] {
            assert_eq!(about(asked), Duration::from_millis(told), "{asked}");
        }
    }
}
