//! The finished result waiting to be taken: once, within a minute, by the browser that began, at any node.

use super::Purpose;
use crate::base::clock::Clock;
use crate::base::id::{self, Fingerprint};
use crate::base::limits::GRANT_LIFE;
use crate::base::rng::Rng;
use crate::signin::Identity;
use crate::store::{Key, Seal, Space, Store, Unavailable, When};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a login came to.
#[derive(Serialize, Deserialize)]
pub struct Grant {
    pub identity: Identity,
    pub purpose: Purpose,
    /// Unix milliseconds. Sealed with the rest: a store that stepped back to an older state cannot prolong it.
    expires: i64,
}

/// Grants by the hash of their token and of the browser's flow: another browser misses, and destroys nothing. The token
/// itself is only in the event that carries it to the browser.
pub struct Grants {
    store: Arc<dyn Store>,
    seal: Seal,
    clock: Clock,
    rng: Rng,
}

impl Grants {
    pub fn new(store: Arc<dyn Store>, seal: Seal, clock: Clock, rng: Rng) -> Self {
        Self { store, seal, clock, rng }
    }

    /// For tests: grants that nobody else can see.
    #[cfg(test)]
    pub fn in_memory(clock: &Clock, rng: &Rng) -> Self {
        use crate::store::{MemoryStore, Seals};
        let seal = Seals::new(&[1; 32], rng).unwrap().store;
        Self::new(Arc::new(MemoryStore::new(clock.clone(), 1000)), seal, clock.clone(), rng.clone())
    }

    /// Keeps a grant and returns its token.
    pub async fn issue(&self, identity: Identity, purpose: Purpose, flow: &Fingerprint) -> Result<String, Unavailable> {
        let token = id::encode(&self.rng.bytes::<32>());
        let life = i64::try_from(GRANT_LIFE.as_millis()).unwrap_or(i64::MAX);
        let grant = Grant { identity, purpose, expires: self.clock.unix_ms().saturating_add(life) };
        let key = key(&token, flow);
        let text = serde_json::to_vec(&grant).unwrap_or_default();
        let sealed = self.seal.seal(&key.bytes(), &text);
        let sealed = sealed.ok_or_else(|| Unavailable::OutOfReach("a grant cannot be sealed".to_owned()))?;
        self.store.put(key, sealed, GRANT_LIFE, When::Always).await?;
        Ok(token)
    }

    /// Takes the grant if this browser began the login.
    pub async fn take(&self, token: &str, flow: &Fingerprint) -> Result<Option<Grant>, Unavailable> {
        let key = key(token, flow);
        let Some(sealed) = self.store.take(key).await? else { return Ok(None) };
        let grant = self.seal.open(&key.bytes(), &sealed).and_then(|text| serde_json::from_slice::<Grant>(&text).ok());
        Ok(grant.filter(|grant| grant.expires > self.clock.unix_ms()))
    }
}

fn key(token: &str, flow: &Fingerprint) -> Key {
    Key::of(Space::Grant, &[token.as_bytes(), flow.bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, Seals};
    use std::time::Duration;

    fn identity() -> Identity {
        Identity { id: 1, name: "И".into(), first_name: None, last_name: None, phone: None, photo_url: None }
    }

    fn site() -> Purpose {
        Purpose::Site { return_to: "/".into() }
    }

    fn grants(store: &Arc<MemoryStore>, clock: &Clock) -> Grants {
        let (rng, store) = (Rng::seeded(1), Arc::<MemoryStore>::clone(store));
        Grants::new(store, Seals::new(&[1; 32], &rng).unwrap().store, clock.clone(), rng)
    }

    #[tokio::test(start_paused = true)]
    async fn once_in_the_right_browser_and_in_time() {
        let clock = Clock::fixed(0);
        let store = Arc::new(MemoryStore::new(clock.clone(), 10));
        let (here, elsewhere) = (grants(&store, &clock), grants(&store, &clock));
        let (mine, other) = (Fingerprint::of(b"mine"), Fingerprint::of(b"other"));
        let token = here.issue(identity(), site(), &mine).await.unwrap();
        assert!(here.take(&token, &other).await.unwrap().is_none(), "another browser");
        assert!(here.take("x", &mine).await.unwrap().is_none());
        let grant = elsewhere.take(&token, &mine).await.unwrap().expect("the other browser did not burn it");
        assert_eq!((grant.identity, grant.purpose), (identity(), site()));
        assert!(here.take(&token, &mine).await.unwrap().is_none(), "once");

        let token = here.issue(identity(), site(), &mine).await.unwrap();
        tokio::time::advance(GRANT_LIFE).await;
        assert!(here.take(&token, &mine).await.unwrap().is_none(), "too late");
    }

    /// A snapshot that was put back, or a replica that lagged, has what was over or taken.
    #[tokio::test(start_paused = true)]
    async fn a_store_that_steps_back_cannot_prolong_a_grant() {
        let clock = Clock::fixed(0);
        let store = Arc::new(MemoryStore::new(clock.clone(), 10));
        let (grants, flow) = (grants(&store, &clock), Fingerprint::of(b"mine"));
        let token = grants.issue(identity(), site(), &flow).await.unwrap();
        let key = key(&token, &flow);
        let before = store.get(key).await.unwrap().unwrap();
        assert!(!before.windows(6).any(|part| part == b"return"), "nothing readable is kept");
        tokio::time::advance(GRANT_LIFE).await;
        store.put(key, before, Duration::from_secs(600), When::Always).await.unwrap();
        assert!(grants.take(&token, &flow).await.unwrap().is_none());
    }
}
