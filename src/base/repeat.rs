//! Warnings that strangers can cause as often as they like.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const PAUSE: Duration = Duration::from_secs(60);

/// One kind of warning: told at once, then once a minute with how often it happened.
#[derive(Default)]
pub struct OncePerMinute(Mutex<State>);

#[derive(Default)]
struct State {
    told: Option<Instant>,
    times: u64,
}

impl OncePerMinute {
    /// It happened. `Some` when it is time to tell: how often it happened since it was last told, this time included.
    pub fn due(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.times += 1;
        if state.told.is_some_and(|told| now - told < PAUSE) {
            return None;
        }
        state.told = Some(now);
        Some(std::mem::take(&mut state.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn told_at_once_and_then_once_a_minute_with_the_number() {
        let warning = OncePerMinute::default();
        assert_eq!(warning.due(), Some(1));
        for _ in 0..9 {
            assert_eq!(warning.due(), None);
        }
        tokio::time::advance(PAUSE).await;
        assert_eq!(warning.due(), Some(10));
        assert_eq!(warning.due(), None);
    }
}
