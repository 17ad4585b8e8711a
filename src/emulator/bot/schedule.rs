//! When a webhook that was not answered with 200 is tried again, and when MAX gives it up.

use std::time::Duration;

/// How long MAX waits for the answer.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(30);

const FIRST_PAUSE: Duration = Duration::from_secs(60);
const GROWTH: f64 = 2.5;
const RETRIES: u32 = 10;

/// So long without a success, and the subscription is removed. It comes before the eighth retry, at 16.9 h: both are said.
pub(super) const REMOVED_AFTER: Duration = Duration::from_secs(8 * 3600);

/// The pause after so many failures of one delivery; `None`: it is given up.
pub(super) fn pause(failures: u32) -> Option<Duration> {
    (1..=RETRIES).contains(&failures).then(|| FIRST_PAUSE.mul_f64(GROWTH.powi(failures as i32 - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_by_two_and_a_half_ten_times() {
        let seconds = |failures| pause(failures).map(|pause| pause.as_secs_f64());
        assert_eq!([1, 2, 3, 4].map(seconds), [Some(60.0), Some(150.0), Some(375.0), Some(937.5)]);
        assert!((1..=10).all(|failures| pause(failures).is_some()));
        assert_eq!((pause(0), pause(11)), (None, None));
        let until = |retries: u32| (1..=retries).filter_map(pause).sum::<Duration>();
        assert!(until(6) < REMOVED_AFTER && REMOVED_AFTER < until(8));
    }
}
