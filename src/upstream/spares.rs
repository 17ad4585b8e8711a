//! Connections to MAX that are made before a visitor comes, so that TCP, TLS and the upgrade are behind us when they do. As
//! many as visitors come while one is made, and none where nobody comes.

use super::UpstreamSocket;
use crate::base::limits::UPSTREAM_SPARES;
use futures_util::{FutureExt as _, StreamExt as _};
use metrics::{counter, gauge};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long one waits for a visitor. MAX drops silent connections after 30 to 60 s, and middleboxes later than that.
pub const SPARE_LIFE: Duration = Duration::from_secs(20);

/// After one could not be made: the next visitor finds out by a connection of their own.
const REST: Duration = Duration::from_secs(5);

/// After so long a visitor who came counts a third (1/e) in how often they come: quick to learn that many do, and a pause of it
/// takes nothing away, since those that wait live longer.
const MEMORY: Duration = Duration::from_secs(5);

/// What one takes to make, until it is known.
const USUAL_MAKING: Duration = Duration::from_millis(200);

/// What is kept of it when one more is known.
const KEPT: f64 = 0.8;

/// Shared by all logins of a node.
#[derive(Default)]
pub struct Spares(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    waiting: Vec<Spare>,
    demand: Demand,
    being_made: usize,
    rests_until: Duration,
    /// Somebody closes those that nobody takes.
    watched: bool,
}

struct Spare {
    endpoint: usize,
    socket: UpstreamSocket,
    made: Duration,
}

/// How often visitors come, and how long a connection takes.
struct Demand {
    /// Visitors, each worth less the longer ago it was.
    weight: f64,
    at: Duration,
    making: Duration,
}

impl Default for Demand {
    fn default() -> Self {
        Self { weight: 0.0, at: Duration::ZERO, making: USUAL_MAKING }
    }
}

impl Demand {
    fn arrived(&mut self, now: Duration) {
        self.weight = self.weight_at(now) + 1.0;
        self.at = now;
    }

    fn weight_at(&self, now: Duration) -> f64 {
        self.weight * (-now.saturating_sub(self.at).as_secs_f64() / MEMORY.as_secs_f64()).exp()
    }

    fn took(&mut self, time: Duration) {
        self.making = self.making.mul_f64(KEPT) + time.mul_f64(1.0 - KEPT);
    }

    /// As many as come while one is made, and twice the spread of that number where they come independently of each other.
    fn wanted(&self, now: Duration) -> usize {
        let expected = self.weight_at(now) / MEMORY.as_secs_f64() * self.making.as_secs_f64();
        // A number of at most 32, where the cast could go wrong.
        let wanted = (expected + 2.0 * expected.sqrt()).ceil().clamp(1.0, UPSTREAM_SPARES as f64);
        wanted as usize
    }
}

impl Spares {
    /// A visitor has come. `None` where there is no spare connection to the preferred address that still stands.
    pub fn take(&self, preferred: Option<usize>, now: Duration) -> Option<(usize, UpstreamSocket)> {
        let mut inner = self.lock();
        inner.demand.arrived(now);
        inner.tidy(preferred, now);
        let taken = loop {
            // The youngest: the older ones are given up first when there are too many.
            let Some(mut spare) = inner.waiting.pop() else { break None };
            // MAX speaks only when asked: whatever comes, an end or a message, ends it.
            if spare.socket.next().now_or_never().is_none() {
                counter!("max_auth_upstream_spares_total", "result" => "used").increment(1);
                break Some((spare.endpoint, spare.socket));
            }
            counter!("max_auth_upstream_spares_total", "result" => "dead").increment(1);
        };
        inner.told();
        taken
    }

    /// How many are to be made now; each is to be told of by [`Self::made`] or [`Self::not_made`].
    pub fn begin(&self, now: Duration) -> usize {
        let mut inner = self.lock();
        if now < inner.rests_until {
            return 0;
        }
        let missing = inner.demand.wanted(now).saturating_sub(inner.waiting.len() + inner.being_made);
        inner.being_made += missing;
        missing
    }

    /// One is there. True when somebody has to begin to watch.
    pub fn made(&self, endpoint: usize, socket: UpstreamSocket, began: Duration, now: Duration) -> bool {
        let mut inner = self.lock();
        inner.being_made = inner.being_made.saturating_sub(1);
        inner.demand.took(now.saturating_sub(began));
        inner.waiting.push(Spare { endpoint, socket, made: now });
        inner.told();
        !std::mem::replace(&mut inner.watched, true)
    }

    /// It came to nothing.
    pub fn not_made(&self, now: Duration) {
        let mut inner = self.lock();
        inner.being_made = inner.being_made.saturating_sub(1);
        inner.rests_until = now + REST;
    }

    /// One that seemed to stand when it was taken did not: those that waited beside it are not believed either.
    pub fn distrust(&self, taken: Duration) {
        let mut inner = self.lock();
        let before = inner.waiting.len();
        inner.waiting.retain(|spare| spare.made > taken);
        counter!("max_auth_upstream_spares_total", "result" => "dead")
            .increment((1 + before - inner.waiting.len()) as u64);
        inner.told();
    }

    /// Closes what nobody took in time; says when to come again, or `None` when nothing is left to watch.
    pub fn expire(&self, now: Duration) -> Option<Duration> {
        let mut inner = self.lock();
        let before = inner.waiting.len();
        inner.waiting.retain(|spare| now < spare.made + SPARE_LIFE);
        counter!("max_auth_upstream_spares_total", "result" => "unused")
            .increment((before - inner.waiting.len()) as u64);
        inner.told();
        let next = inner.waiting.iter().map(|spare| spare.made + SPARE_LIFE).min();
        inner.watched = next.is_some();
        next
    }

    /// The server stops.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.rests_until = Duration::MAX;
        inner.waiting.clear();
        inner.watched = false;
        inner.told();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Those to an address that is not preferred any more are closed, and those whose time is over.
    fn tidy(&mut self, preferred: Option<usize>, now: Duration) {
        let before = self.waiting.len();
        self.waiting.retain(|spare| Some(spare.endpoint) == preferred && now < spare.made + SPARE_LIFE);
        counter!("max_auth_upstream_spares_total", "result" => "unused")
            .increment((before - self.waiting.len()) as u64);
    }

    fn told(&self) {
        gauge!("max_auth_upstream_spares").set(self.waiting.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_come_while_one_is_made() {
        let at = |millis: u64| Duration::from_millis(millis);
        for (every, wanted) in [(5000, 1), (1000, 2), (100, 5), (20, 17), (2, UPSTREAM_SPARES)] {
            let mut demand = Demand::default();
            (0..100_000 / every).for_each(|visitor| demand.arrived(at(visitor * every)));
            assert_eq!(demand.wanted(at(100_000)), wanted, "one in {every} ms");
            assert_eq!(demand.wanted(at(300_000)), 1, "long after");
        }
    }

    #[test]
    fn a_quick_max_needs_fewer() {
        let mut demand = Demand::default();
        (0..1000).for_each(|visitor| demand.arrived(Duration::from_millis(visitor * 20)));
        let before = demand.wanted(Duration::from_secs(20));
        (0..20).for_each(|_| demand.took(Duration::from_millis(5)));
        assert!(demand.wanted(Duration::from_secs(20)) * 3 < before);
    }
}
