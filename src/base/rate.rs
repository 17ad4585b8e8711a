//! How often one address may begin: a generic cell rate limiter with a bounded table of addresses.
//!
//! Ready-made layers keep a key for ever and believe the leftmost `X-Forwarded-For`; both let a stranger fill the
//! memory. Here the table has a fixed size and an entry is one instant.

use super::limits::RATE_KEYS;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An IPv4 address or an IPv6 /64: what one subscriber is given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AddressKey(IpAddr);

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let mut segments = v6.segments();
                segments[4..].fill(0);
                Self(IpAddr::V6(Ipv6Addr::from(segments)))
            }
            v4 => Self(v4),
        }
    }
}

/// Allows `per_minute` starts a minute, all of them at once if need be.
pub struct RateLimiter {
    table: Mutex<HashMap<AddressKey, Duration>>,
    per_minute: u32,
}

impl RateLimiter {
    /// `per_minute` 0 switches the limit off.
    pub fn new(per_minute: u32) -> Self {
        Self { table: Mutex::new(HashMap::new()), per_minute }
    }

    /// `now` is monotonic time. `times` widens the limit, for an address that stands for many people.
    /// The error is how long to wait.
    pub fn check(&self, key: AddressKey, times: u32, now: Duration) -> Result<(), Duration> {
        let per_minute = self.per_minute.saturating_mul(times);
        if per_minute == 0 {
            return Ok(());
        }
        let minute = Duration::from_secs(60);
        let interval = minute / per_minute;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        // An entry is the instant at which the address has its whole allowance back.
        let full_at = table.get(&key).copied().unwrap_or(now).max(now);
        if full_at + interval > now + minute {
            return Err(full_at + interval - now - minute);
        }
        if table.len() >= RATE_KEYS && !table.contains_key(&key) {
            table.retain(|_, full_at| *full_at > now);
            if table.len() >= RATE_KEYS {
                // Every entry is in use: more addresses than one site has visitors. Refusing would lock the site out.
                return Ok(());
            }
        }
        table.insert(key, full_at + interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> AddressKey {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn ten_at_once_then_one_every_six_seconds() {
        let limiter = RateLimiter::new(10);
        let at = Duration::from_secs;
        for _ in 0..10 {
            assert_eq!(limiter.check(key("192.0.2.1"), 1, at(100)), Ok(()));
        }
        assert_eq!(limiter.check(key("192.0.2.1"), 1, at(100)), Err(at(6)));
        assert_eq!(limiter.check(key("192.0.2.2"), 1, at(100)), Ok(()));
        assert_eq!(limiter.check(key("192.0.2.1"), 1, at(106)), Ok(()));
        assert!(limiter.check(key("192.0.2.1"), 1, at(106)).is_err());
    }

    #[test]
    fn an_ipv6_subscriber_is_a_64_and_a_mapped_address_is_ipv4() {
        assert_eq!(key("2001:db8:1:2:3::4"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn the_table_does_not_grow_past_its_bound() {
        let limiter = RateLimiter::new(1);
        for n in 0..(RATE_KEYS as u32 + 1000) {
            let _ = limiter.check(IpAddr::from(n.to_be_bytes()).into(), 1, Duration::from_secs(1));
        }
        assert!(limiter.table.lock().unwrap().len() <= RATE_KEYS);
    }
}
