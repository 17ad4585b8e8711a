//! Time as an argument. Everything that needs the wall clock is handed a [`Clock`], so a test can put it on
//! tokio's paused clock; monotonic time is `tokio::time::Instant`, which a test pauses by itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

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
}
