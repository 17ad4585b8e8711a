//! How often one address may begin: a generic cell rate limiter with a bounded table of addresses.
//!
//! Ready-made layers keep a key for ever and believe the leftmost `X-Forwarded-For`; both let a stranger fill the
//! memory. Here the table has a fixed size and an entry is one instant.

use super::address::{Network, networks};
use super::limits::RATE_KEYS;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Between two looks for entries that are over in a full table: each look goes through all of it.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Allows `per_minute` starts a minute, all of them at once if need be.
pub struct RateLimiter {
    table: Mutex<Table>,
    per_minute: u32,
}

#[derive(Default)]
struct Table {
    /// The instant at which a network has its whole allowance back.
    full_at: HashMap<Network, Duration>,
    swept: Option<Duration>,
}

impl RateLimiter {
    /// `per_minute` 0 switches the limit off.
    pub fn new(per_minute: u32) -> Self {
        Self { table: Mutex::default(), per_minute }
    }

    pub fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// `now` is monotonic time. `times` widens the limit, for an address that stands for many people.
    /// The error is how long to wait.
    pub fn check(&self, address: IpAddr, times: u32, now: Duration) -> Result<(), Duration> {
        let per_minute = self.per_minute.saturating_mul(times);
        if per_minute == 0 {
            return Ok(());
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let charged = |share: u32, network: &Network, table: &Table| {
            let full_at = table.full_at.get(network).copied().unwrap_or(now).max(now);
            full_at + MINUTE / per_minute.saturating_mul(share)
        };
        // Every network must have room before any is charged: who is refused pays nothing.
        for (network, share) in networks(address) {
            let full_at = charged(share, &network, &table);
            if full_at > now + MINUTE {
                return Err(full_at - now - MINUTE);
            }
        }
        for (network, share) in networks(address) {
            let full_at = charged(share, &network, &table);
            if table.has_room(&network, now) {
                table.full_at.insert(network, full_at);
            } else {
                // More addresses than one site has visitors. Refusing would lock the site out.
                metrics::counter!("max_auth_rate_table_full_total").increment(1);
            }
        }
        Ok(())
    }
}

impl Table {
    fn has_room(&mut self, network: &Network, now: Duration) -> bool {
        if self.full_at.len() < RATE_KEYS || self.full_at.contains_key(network) {
            return true;
        }
        if self.swept.is_none_or(|swept| swept + SWEEP_PAUSE <= now) {
            self.swept = Some(now);
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        self.full_at.len() < RATE_KEYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ten_at_once_then_one_every_six_seconds() {
        let limiter = RateLimiter::new(10);
        let at = Duration::from_secs;
        for _ in 0..10 {
            assert_eq!(limiter.check(ip("192.0.2.1"), 1, at(100)), Ok(()));
        }
        assert_eq!(limiter.check(ip("192.0.2.1"), 1, at(100)), Err(at(6)));
        assert_eq!(limiter.check(ip("192.0.2.2"), 1, at(100)), Ok(()));
        assert_eq!(limiter.check(ip("192.0.2.1"), 1, at(106)), Ok(()));
        assert!(limiter.check(ip("192.0.2.1"), 1, at(106)).is_err());
    }

    #[test]
    fn an_address_that_stands_for_many_has_so_many_times_the_limit_and_zero_is_none() {
        let at = Duration::from_secs(100);
        for (per_minute, times, passed) in [(10, 1, 10), (10, 3, 30), (1, 1, 1), (10, 0, 100), (0, 5, 100)] {
            let limiter = RateLimiter::new(per_minute);
            assert_eq!(limiter.per_minute(), per_minute);
            let fine = (0..100).filter(|_| limiter.check(ip("192.0.2.1"), times, at).is_ok()).count();
            assert_eq!(fine, passed, "{per_minute} a minute, {times} times");
        }
    }

    #[test]
    fn a_full_table_is_looked_through_once_a_second() {
        let limiter = RateLimiter::new(60);
        let at = Duration::from_millis;
        let entries = || limiter.table.lock().unwrap().full_at.len();
        for n in 0..=(RATE_KEYS as u32) {
            limiter.check(IpAddr::from(n.to_be_bytes()), 1, at(1_000)).unwrap();
        }
        assert_eq!(entries(), RATE_KEYS, "looked through at 1.0 s, when nobody had the whole allowance back");
        for (now, left) in [(1_999, RATE_KEYS), (2_000, 1)] {
            limiter.check(ip("250.0.0.1"), 1, at(now)).unwrap();
            assert_eq!(entries(), left, "at {now} ms");
        }
    }

    #[test]
    fn a_customer_with_a_whole_48_has_sixteen_times_a_household_and_not_65_536_times() {
        let limiter = RateLimiter::new(10);
        let at = Duration::from_secs(100);
        let passed = |addresses: &mut dyn Iterator<Item = String>| {
            addresses.filter(|address| limiter.check(ip(address), 1, at).is_ok()).count()
        };
        assert_eq!(passed(&mut (0..200).map(|n| format!("2001:db8:1:200::{n:x}"))), 10, "one /64");
        assert_eq!(passed(&mut (0..200).map(|n| format!("2001:db8:1:2{n:02x}::1"))), 30, "the rest of its /56");
        assert_eq!(passed(&mut (0..2000).map(|n| format!("2001:db8:1:{n:x}::1"))), 120, "the rest of its /48");
        assert_eq!(passed(&mut (0..200).map(|n| format!("2001:db8:2:200::{n:x}"))), 10, "somebody else");
    }

    #[test]
    fn the_table_does_not_grow_past_its_bound_and_has_room_again_later() {
        let limiter = RateLimiter::new(1);
        let at = Duration::from_secs;
        let entries = || limiter.table.lock().unwrap().full_at.len();
        for n in 0..(RATE_KEYS as u32 + 1000) {
            assert_eq!(limiter.check(IpAddr::from(n.to_be_bytes()), 1, at(1)), Ok(()), "nobody is locked out");
        }
        assert_eq!(entries(), RATE_KEYS);
        assert_eq!(limiter.check(ip("250.0.0.1"), 1, at(100)), Ok(()));
        assert_eq!(entries(), 1);
        assert!(limiter.check(ip("250.0.0.1"), 1, at(100)).is_err());
    }
}
