//! Exponential backoff with jitter, as an iterator of waits.

use super::rng::Rng;
use std::time::Duration;

pub struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { next: first, max }
    }

    /// The next wait: between half and the whole of a span that doubles up to the maximum.
    pub fn wait(&mut self, rng: &Rng) -> Duration {
        let span = self.next;
        self.next = (self.next * 2).min(self.max);
        span.mul_f64(0.5 + rng.unit() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_maximum_and_stay() {
        let rng = Rng::seeded(3);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..8).map(|_| backoff.wait(&rng)).collect();
        assert!(waits[0] <= Duration::from_millis(100));
        assert!(waits[7] >= Duration::from_millis(500) && waits[7] <= Duration::from_secs(1));
    }
}
