//! MAX's addresses in order of preference, each with a circuit breaker: a broken one is left alone for a while, so
//! that the next visitor does not pay for it.

use crate::base::id::{self, Fingerprint};
use crate::config::Endpoint;
use metrics::{Gauge, gauge};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a broken endpoint is left alone: doubled with each failure in a row.
const FIRST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(120);

/// Connections to MAX that replace lost ones: so many a second, all logins of this node together, and a second's worth at
/// once. When MAX hangs up on everybody, five thousand visitors have a fresh code within a minute, and MAX is not met by a
/// wall of handshakes from one address. A visitor's first connection does not wait here.
const REPLACEMENTS_PER_SECOND: u32 = 100;

/// The configured list, and how each address has done lately. Known by their index in the list.
pub struct Endpoints {
    list: Vec<Endpoint>,
    health: Mutex<Vec<Health>>,
    /// Of each, whether it works: 1 or 0.
    up: Vec<Gauge>,
    /// When the next replacement may be made.
    next_replacement: Mutex<Duration>,
}

/// Of addresses that rest, as many as other nodes are told of: no list that makes sense is longer.
const RESTS_TOLD: usize = 16;

#[derive(Clone, Copy, Default)]
struct Health {
    failures: u32,
    failed_at: Duration,
    rests_until: Duration,
    worked_at: Duration,
    /// What other nodes have found.
    rests_elsewhere_until: Duration,
}

/// An address that one node leaves alone, as it tells others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// Of its URL.
    address: String,
    failed_ms_ago: u64,
    left_ms: u64,
}

impl Endpoints {
    /// All are taken to work.
    pub fn new(list: Vec<Endpoint>) -> Self {
        let health = Mutex::new(vec![Health::default(); list.len()]);
        let up = list.iter().map(|endpoint| gauge!("max_auth_upstream_up", "endpoint" => address(endpoint)));
        let up: Vec<Gauge> = up.inspect(|up| up.set(1)).collect();
        Self { list, health, up, next_replacement: Mutex::new(Duration::ZERO) }
    }

    /// The address at an index that [`Self::order`] gave.
    pub fn get(&self, index: usize) -> &Endpoint {
        &self.list[index]
    }

    /// The order to try now: those in use by preference, then the resting ones, the soonest back first. Somebody has
    /// to find out whether all are still broken, so nobody is refused without a try.
    pub fn order(&self, now: Duration) -> Vec<usize> {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        order.sort_by_key(|&index| {
            let rest = health[index].rests_until.max(health[index].rests_elsewhere_until);
            if rest > now { (1, rest) } else { (0, Duration::ZERO) }
        });
        order
    }

    /// The address that [`Self::order`] would give first, unless even that one rests.
    pub fn preferred(&self, now: Duration) -> Option<usize> {
        let first = self.order(now).first().copied()?;
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner)[first];
        (health.rests_until.max(health.rests_elsewhere_until) <= now).then_some(first)
    }

    /// It did not work: it rests, longer with each failure in a row.
    pub fn failed(&self, index: usize, now: Duration) {
        self.up[index].set(0);
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let health = &mut health[index];
        let rest = FIRST_REST.saturating_mul(1 << health.failures.min(8)).min(LONGEST_REST);
        health.failures += 1;
        health.failed_at = now;
        health.rests_until = now + rest;
    }

    /// The addresses that this node has found broken, for others.
    pub fn resting(&self, now: Duration) -> Vec<Rest> {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let resting = self.list.iter().zip(&*health).filter(|(_, health)| health.rests_until > now);
        let rest = |(endpoint, health): (&Endpoint, &Health)| Rest {
            address: name(endpoint),
            failed_ms_ago: millis(now.saturating_sub(health.failed_at)),
            left_ms: millis(health.rests_until - now),
        };
        resting.map(rest).take(RESTS_TOLD).collect()
    }

    /// What other nodes have found broken, all that is known of it now: it rests here, too, unless it has worked here since.
    pub fn heed(&self, others: &[Rest], now: Duration) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        for (endpoint, health) in self.list.iter().zip(&mut *health) {
            let name = name(endpoint);
            let theirs = others.iter().filter(|rest| rest.address == name);
            let counts =
                theirs.filter(|rest| now.saturating_sub(Duration::from_millis(rest.failed_ms_ago)) >= health.worked_at);
            let longest = counts.map(|rest| Duration::from_millis(rest.left_ms)).max().unwrap_or_default();
            health.rests_elsewhere_until = now + longest.min(LONGEST_REST);
        }
    }

    /// How long from `now` a login has to wait that wants to connect again at `wanted`. The place is taken.
    pub fn brake(&self, wanted: Duration, now: Duration) -> Duration {
        let mut next = self.next_replacement.lock().unwrap_or_else(PoisonError::into_inner);
        // Unused places of the last second may still be taken.
        let place = (*next).max(wanted.saturating_sub(Duration::from_secs(1)));
        *next = place + Duration::from_secs(1) / REPLACEMENTS_PER_SECOND;
        place.max(wanted) - now
    }

    /// It is not broken, whatever was found before; whether visitors get anywhere with it is still to be seen.
    pub fn gave_code(&self, index: usize) {
        self.up[index].set(1);
    }

    /// It gave somebody a code: its failures are forgotten, here and wherever they were found.
    pub fn works(&self, index: usize, now: Duration) {
        self.gave_code(index);
        let health = Health { worked_at: now, ..Health::default() };
        self.health.lock().unwrap_or_else(PoisonError::into_inner)[index] = health;
    }
}

/// As metrics and the status page show it: without what a query or a user name could give away.
fn address(endpoint: &Endpoint) -> String {
    let url = &endpoint.url;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn name(endpoint: &Endpoint) -> String {
    id::encode(&Fingerprint::of(endpoint.url.as_str().as_bytes()).bytes()[..6])
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Dialect;

    #[test]
    fn replacements_of_all_logins_share_one_brake() {
        let endpoints = Endpoints::new(Vec::new());
        let (now, pause) = (Duration::from_secs(50), Duration::from_millis(250));
        let waits: Vec<Duration> = (0..1000).map(|_| endpoints.brake(now + pause, now)).collect();
        assert!(waits[..100].iter().all(|wait| *wait == pause), "a second's worth goes at once");
        assert_eq!(waits[999], pause + Duration::from_millis(8990), "the thousandth of a second's hundred");
        let later = now + Duration::from_secs(20);
        assert_eq!(endpoints.brake(later, later), Duration::ZERO, "when the storm is over");
    }

    #[test]
    fn the_second_takes_over_until_the_first_has_rested() {
        let endpoint = |url: &str| Endpoint { url: url.parse().unwrap(), dialect: Dialect::Json };
        let endpoints = Endpoints::new(vec![endpoint("ws://a.example/"), endpoint("ws://b.example/")]);
        let at = Duration::from_secs;
        assert_eq!(endpoints.order(at(0)), [0, 1]);
        endpoints.failed(0, at(0));
        assert_eq!((endpoints.order(at(1)), endpoints.preferred(at(1))), (vec![1, 0], Some(1)));
        assert_eq!(endpoints.order(at(6)), [0, 1]);
        endpoints.failed(0, at(6));
        assert_eq!(endpoints.order(at(15)), [1, 0], "twice as long");
        endpoints.failed(1, at(15));
        assert_eq!(endpoints.order(at(15))[0], 0, "all rest: the soonest back is tried");
        assert_eq!(endpoints.preferred(at(15)), None, "and nothing is preferred");
        endpoints.works(0, at(15));
        assert_eq!(endpoints.order(at(15)), [0, 1]);
    }

    #[test]
    fn what_one_node_found_broken_rests_at_the_others_unless_they_know_better() {
        let endpoint = |url: &str| Endpoint { url: url.parse().unwrap(), dialect: Dialect::Json };
        let node = || Endpoints::new(vec![endpoint("ws://a.example/"), endpoint("ws://b.example/")]);
        let (one, other) = (node(), node());
        let at = Duration::from_secs;
        one.failed(0, at(10));
        assert_eq!(one.resting(at(16)), [], "over");
        other.heed(&one.resting(at(11)), at(111));
        assert_eq!(other.order(at(111)), [1, 0]);
        assert_eq!(other.order(at(116)), [0, 1], "it has rested");
        assert_eq!(other.resting(at(111)), [], "what was only heard is not passed on");

        other.heed(&one.resting(at(11)), at(111));
        other.works(0, at(112));
        assert_eq!(other.order(at(112)), [0, 1]);
        other.heed(&one.resting(at(13)), at(113));
        assert_eq!(other.order(at(113)), [0, 1], "it has worked since");
        one.failed(0, at(14));
        other.heed(&one.resting(at(14)), at(114));
        assert_eq!(other.order(at(114)), [1, 0], "and was broken again after that");
        other.heed(&[], at(115));
        assert_eq!(other.order(at(115)), [0, 1], "nobody says so any more");

        let strange = Rest { left_ms: u64::MAX, failed_ms_ago: 0, ..one.resting(at(14))[0].clone() };
        other.heed(&[strange], at(200));
        assert_eq!(other.order(at(200) + LONGEST_REST), [0, 1], "for no longer than our own rests");
    }

    #[test]
    fn whether_an_address_works_is_shown() {
        let counted = crate::observe::Counted::listen();
        let url = "wss://user:secret@a.example:8443/websocket?key=secret".parse().unwrap();
        let endpoints = Endpoints::new(vec![Endpoint { url, dialect: Dialect::Json }]);
        let up = || counted.of("max_auth_upstream_up{endpoint=\"wss://a.example:8443/websocket\"}");
        assert_eq!(up(), 1);
        endpoints.failed(0, Duration::ZERO);
        assert_eq!(up(), 0);
        endpoints.gave_code(0);
        assert_eq!((up(), endpoints.preferred(Duration::ZERO)), (1, None), "it still rests");
        endpoints.failed(0, Duration::ZERO);
        endpoints.works(0, Duration::ZERO);
        assert_eq!(up(), 1);
    }
}
