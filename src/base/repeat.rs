//! Warnings that strangers can cause as often as they like.

use std::collections::HashMap;
use std::hash::Hash;
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner).due()
    }
}

/// The same for kinds that are told apart. `K` has few values: each that ever came is kept.
pub struct OncePerMinuteEach<K>(Mutex<HashMap<K, State>>);

impl<K> Default for OncePerMinuteEach<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> OncePerMinuteEach<K> {
    pub fn due(&self, kind: K) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().due()
    }
}

impl State {
    fn due(&mut self) -> Option<u64> {
        let now = Instant::now();
        self.times += 1;
        if self.told.is_some_and(|told| now - told < PAUSE) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.times))
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
        let each = OncePerMinuteEach::default();
        assert_eq!((each.due("a"), each.due("b"), each.due("a")), (Some(1), Some(1), None));
    }
}
