//! The finished result waiting to be taken: once, within a minute, by the browser that began.

use super::Purpose;
use crate::base::clock::Clock;
use crate::base::id::{self, Fingerprint};
use crate::base::limits::GRANT_LIFE;
use crate::base::rng::Rng;
use crate::signin::Identity;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub struct Grant {
    pub identity: Identity,
    pub purpose: Purpose,
    flow: Fingerprint,
    expires: Duration,
}

/// Grants by the fingerprint of their token. The token itself is only in the event that carries it to the browser.
pub struct Grants {
    table: Mutex<HashMap<[u8; 32], Grant>>,
    clock: Clock,
    rng: Rng,
    max: usize,
}

impl Grants {
    /// `max`: how many may wait at once; the oldest make room.
    pub fn new(clock: Clock, rng: Rng, max: usize) -> Self {
        Self { table: Mutex::new(HashMap::new()), clock, rng, max }
    }

    /// Keeps a grant and returns its token.
    pub fn issue(&self, identity: Identity, purpose: Purpose, flow: Fingerprint) -> String {
        let token = id::encode(&self.rng.bytes::<32>());
        let now = self.clock.monotonic();
        let grant = Grant { identity, purpose, flow, expires: now + GRANT_LIFE };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= self.max
            && let Some(oldest) = table.iter().min_by_key(|(_, grant)| grant.expires).map(|(key, _)| *key)
        {
            table.remove(&oldest);
        }
        table.insert(*Fingerprint::of(token.as_bytes()).bytes(), grant);
        token
    }

    /// Takes the grant if this browser began the login. Another browser gets nothing and destroys nothing.
    pub fn take(&self, token: &str, flow: &Fingerprint) -> Option<Grant> {
        let key = *Fingerprint::of(token.as_bytes()).bytes();
        let now = self.clock.monotonic();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let grant = table.get(&key)?;
        if grant.expires <= now {
            table.remove(&key);
            return None;
        }
        if !grant.flow.matches(flow) {
            return None;
        }
        table.remove(&key)
    }
}

impl Grants {
    /// Forgets what nobody fetched in time.
    pub fn tidy(&self) {
        let now = self.clock.monotonic();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, grant| grant.expires > now);
        let few = 2 * table.len();
        table.shrink_to(few);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { id: 1, name: "И".into(), first_name: None, last_name: None, phone: None, photo_url: None }
    }

    fn site() -> Purpose {
        Purpose::Site { return_to: "/".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn once_in_the_right_browser_and_in_time() {
        let grants = Grants::new(Clock::fixed(0), Rng::seeded(1), 10);
        let (mine, other) = (Fingerprint::of(b"mine"), Fingerprint::of(b"other"));
        let token = grants.issue(identity(), site(), mine);
        assert!(grants.take(&token, &other).is_none(), "another browser");
        assert!(grants.take("x", &mine).is_none());
        assert!(grants.take(&token, &mine).is_some(), "the other browser did not burn it");
        assert!(grants.take(&token, &mine).is_none(), "once");

        let token = grants.issue(identity(), site(), mine);
        tokio::time::advance(GRANT_LIFE).await;
        assert!(grants.take(&token, &mine).is_none(), "too late");

        grants.issue(identity(), site(), mine);
        grants.tidy();
        assert_eq!(grants.table.lock().unwrap().len(), 1);
        tokio::time::advance(GRANT_LIFE).await;
        grants.tidy();
        assert_eq!(grants.table.lock().unwrap().len(), 0, "who it is is not kept for longer");
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_makes_room() {
        let grants = Grants::new(Clock::fixed(0), Rng::seeded(1), 2);
        let flow = Fingerprint::of(b"f");
        let mut tokens = Vec::new();
        for _ in 0..3 {
            tokens.push(grants.issue(identity(), site(), flow));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let taken: Vec<bool> = tokens.iter().map(|token| grants.take(token, &flow).is_some()).collect();
        assert_eq!(taken, [false, true, true]);
    }
}
