//! Places of probes: how many run at once, in all and for each address, and how long each may take.

use crate::base::address::Network;
use crate::base::problem::{Problem, ProblemCode};
use crate::base::tasks::Tasks;
use crate::probe::PROBE_TIME;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Probes at once: a doctor has eight, and a handful of doctors is a crowd.
const AT_ONCE: usize = 64;

/// Of these, what one address may hold: two doctors behind one address, and not the places of everybody.
const AT_ONCE_EACH: usize = 24;

/// `--slow` waits for idle cuts, the commonest of which comes after 60 s; so few of those at once.
const SLOW_AT_ONCE: usize = 16;

/// The places, and who has them.
pub struct Places {
    ordinary: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    /// Places in use by each address; an address that has none is not in it, so the places bound it.
    held: Arc<Mutex<HashMap<Network, usize>>>,
    tasks: Tasks,
}

impl Places {
    pub fn new(tasks: Tasks) -> Self {
        Self {
            ordinary: Arc::new(Semaphore::new(AT_ONCE)),
            slow: Arc::new(Semaphore::new(SLOW_AT_ONCE)),
            held: Arc::default(),
            tasks,
        }
    }

    /// A place among the probes, given back after `longest` at the latest.
    pub fn take(&self, key: Network, longest: Duration) -> Result<Place, Problem> {
        let places = if longest > PROBE_TIME { &self.slow } else { &self.ordinary };
        let permit = Arc::clone(places).try_acquire_owned().map_err(|_| busy())?;
        let held = Held::take(&self.held, key).ok_or_else(busy)?;
        let over = Arc::new(Notify::new());
        let place = Place(Arc::clone(&over));
        // On a timer of its own: a body that nobody reads is not polled and could not end itself.
        self.tasks.spawn("probe place", async move {
            let _permit: OwnedSemaphorePermit = permit;
            let _held = held;
            let _ = timeout(longest, over.notified()).await;
        });
        Ok(place)
    }
}

pub fn busy() -> Problem {
    Problem::later(ProblemCode::ProbesBusy, "As many probes as this server takes are running.", PROBE_TIME)
}

/// One more place in use by an address, until it is dropped.
struct Held {
    table: Arc<Mutex<HashMap<Network, usize>>>,
    key: Network,
}

impl Held {
    fn take(table: &Arc<Mutex<HashMap<Network, usize>>>, key: Network) -> Option<Self> {
        let mut held = table.lock().unwrap_or_else(PoisonError::into_inner);
        let number = held.entry(key).or_insert(0);
        if *number >= AT_ONCE_EACH {
            return None;
        }
        *number += 1;
        Some(Self { table: Arc::clone(table), key })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = held.get_mut(&self.key) {
            *number -= 1;
            if *number == 0 {
                held.remove(&self.key);
            }
        }
    }
}

/// A place that is in use; dropping it gives it back.
pub struct Place(Arc<Notify>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::address::subscriber;
    use tokio::time::{advance, sleep};

    fn address(last: u8) -> Network {
        subscriber([203, 0, 113, last].into())
    }

    async fn settle() {
        sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_leaves_places_to_others() {
        let places = Places::new(Tasks::new());
        let taken: Vec<_> = (0..AT_ONCE_EACH).map(|_| places.take(address(1), PROBE_TIME).unwrap()).collect();
        assert!(places.take(address(1), PROBE_TIME).is_err());
        assert!(places.take(address(2), PROBE_TIME).is_ok());
        drop(taken);
        settle().await;
        assert!(places.held.lock().unwrap().is_empty(), "who has no place is not remembered");
        assert!(places.take(address(1), PROBE_TIME).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn all_together_are_bounded_and_slow_ones_apart() {
        let places = Places::new(Tasks::new());
        let take = |count: usize, longest| -> usize {
            (0..count).filter_map(|n| places.take(address(n as u8), longest).map(std::mem::forget).ok()).count()
        };
        assert_eq!(take(AT_ONCE + 5, PROBE_TIME), AT_ONCE);
        let slow = PROBE_TIME + Duration::from_millis(1);
        assert_eq!(take(SLOW_AT_ONCE + 5, slow), SLOW_AT_ONCE);
        // Nobody drops them, as with a body that is not read: they end by the clock.
        settle().await;
        advance(PROBE_TIME).await;
        settle().await;
        assert_eq!(take(AT_ONCE + 5, PROBE_TIME), AT_ONCE);
    }
}
