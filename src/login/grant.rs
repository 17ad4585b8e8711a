//! The finished result waiting to be taken: once, within a minute, by the browser that began, at any node.

use super::Purpose;
use crate::base::id::Fingerprint;
use crate::base::limits::GRANT_LIFE;
use crate::signin::Identity;
use crate::store::{Key, Race, Space, Unavailable, Vault};
use serde::{Deserialize, Serialize};

/// What a login came to.
#[derive(Serialize, Deserialize)]
pub struct Grant {
    pub identity: Identity,
    pub purpose: Purpose,
    /// Unix milliseconds; 0 of an earlier version's.
    #[serde(default)]
    issued: i64,
}

/// Grants by the hash of their token and of the browser's flow: another browser misses, and destroys nothing. The token
/// itself is only in the event that carries it to the browser.
pub struct Grants(Vault);

impl Grants {
    pub fn new(vault: Vault) -> Self {
        Self(vault)
    }

    /// For tests: grants that nobody else can see.
    #[cfg(test)]
    pub fn in_memory(clock: &crate::base::clock::Clock, rng: &crate::base::rng::Rng) -> Self {
        use crate::store::{MemoryStore, Seals};
        let seal = Seals::new(&[1; 32], rng).unwrap().store;
        let store = std::sync::Arc::new(MemoryStore::new(clock.clone(), 1000));
        Self::new(Vault::new(store, seal, clock.clone(), rng.clone()))
    }

    /// Keeps a grant and returns its token.
    pub async fn issue(&self, identity: Identity, purpose: Purpose, flow: &Fingerprint) -> Result<String, Unavailable> {
        let token = self.0.secret();
        self.0
            .put(key(Space::Grant, &token, flow), &Grant { identity, purpose, issued: self.0.unix_ms() }, GRANT_LIFE)
            .await?;
        Ok(token)
    }

    /// Takes the grant if this browser began the login. A page that did not hear the answer may ask again by the same
    /// `attempt`; whoever names another, or none, finds it taken.
    pub async fn take(
        &self,
        token: &str,
        flow: &Fingerprint,
        attempt: Option<&str>,
    ) -> Result<Option<Grant>, Unavailable> {
        let Some((grant, again)) = self.won(token, flow, attempt).await? else { return Ok(None) };
        if !again {
            let waited = u64::try_from(self.0.unix_ms().saturating_sub(grant.issued)).unwrap_or_default();
            metrics::histogram!("max_auth_handover_seconds").record(waited as f64 / 1000.0);
        }
        Ok(Some(grant))
    }

    /// Nobody has been told of it.
    pub async fn take_back(&self, token: &str, flow: &Fingerprint) -> Result<(), Unavailable> {
        self.won(token, flow, None).await.map(drop)
    }

    /// With whether the same attempt had it before.
    async fn won(
        &self,
        token: &str,
        flow: &Fingerprint,
        attempt: Option<&str>,
    ) -> Result<Option<(Grant, bool)>, Unavailable> {
        let Some(grant) = self.0.get(key(Space::Grant, token, flow)).await? else { return Ok(None) };
        let by = attempt.map_or_else(|| self.0.name(), |attempt| self.0.pseudonym(attempt.as_bytes()));
        Ok(match self.0.race_as(by, key(Space::Used, token, flow), GRANT_LIFE).await? {
            Race::Won { again } => Some((grant, again)),
            Race::Lost(_) => None,
        })
    }
}

fn key(space: Space, token: &str, flow: &Fingerprint) -> Key {
    Key::of(space, &[b"grant", token.as_bytes(), flow.bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::base::rng::Rng;
    use crate::store::{Flaky, MemoryStore, Seals, Store, When};
    use std::sync::Arc;
    use std::time::Duration;

    fn identity() -> Identity {
        Identity {
            id: 1,
            name: "И".into(),
            first_name: None,
            last_name: None,
            phone: None,
            photo_url: None,
            driver: crate::signin::DriverName::AccountQr,
            apart: None,
        }
    }

    fn site() -> Purpose {
        Purpose::Site { return_to: "/".into() }
    }

    fn grants(store: &Arc<MemoryStore>, clock: &Clock) -> Grants {
        let (rng, store) = (Rng::seeded(1), Arc::<MemoryStore>::clone(store));
        Grants::new(Vault::new(store, Seals::new(&[1; 32], &rng).unwrap().store, clock.clone(), rng))
    }

    #[tokio::test(start_paused = true)]
    async fn once_in_the_right_browser_and_in_time() {
        let clock = Clock::fixed(0);
        let store = Arc::new(MemoryStore::new(clock.clone(), 10));
        let (here, elsewhere) = (grants(&store, &clock), grants(&store, &clock));
        let (mine, other) = (Fingerprint::of(b"mine"), Fingerprint::of(b"other"));
        let token = here.issue(identity(), site(), &mine).await.unwrap();
        assert!(here.take(&token, &other, None).await.unwrap().is_none(), "another browser");
        assert!(here.take("x", &mine, None).await.unwrap().is_none());
        let grant = elsewhere.take(&token, &mine, None).await.unwrap().expect("the other browser did not burn it");
        assert_eq!((grant.identity, grant.purpose), (identity(), site()));
        assert!(here.take(&token, &mine, None).await.unwrap().is_none(), "once");

        let token = here.issue(identity(), site(), &mine).await.unwrap();
        tokio::time::advance(GRANT_LIFE).await;
        assert!(here.take(&token, &mine, None).await.unwrap().is_none(), "too late");
    }

    /// A snapshot that was put back, or a replica that lagged, has what was over or taken.
    #[tokio::test(start_paused = true)]
    async fn a_store_that_steps_back_cannot_prolong_a_grant() {
        let clock = Clock::fixed(0);
        let store = Arc::new(MemoryStore::new(clock.clone(), 10));
        let (grants, flow) = (grants(&store, &clock), Fingerprint::of(b"mine"));
        let token = grants.issue(identity(), site(), &flow).await.unwrap();
        let key = key(Space::Grant, &token, &flow);
        let before = store.get(key).await.unwrap().unwrap();
        assert!(!before.windows(6).any(|part| part == b"return"), "nothing readable is kept");
        tokio::time::advance(GRANT_LIFE).await;
        store.put(key, before, Duration::from_secs(600), When::Always).await.unwrap();
        assert!(grants.take(&token, &flow, None).await.unwrap().is_none());
    }

    /// The answer was lost on its way to the node, or from the node to the browser.
    #[tokio::test(start_paused = true)]
    async fn whoever_did_not_hear_the_answer_asks_again_by_the_same_attempt() {
        let clock = Clock::fixed(0);
        let store = Arc::new(Flaky::new(clock.clone()));
        let rng = Rng::seeded(1);
        let seal = Seals::new(&[1; 32], &rng).unwrap().store;
        let grants = Grants::new(Vault::new(Arc::<Flaky>::clone(&store), seal, clock, rng));
        let flow = Fingerprint::of(b"mine");
        let token = grants.issue(identity(), site(), &flow).await.unwrap();
        let counted = crate::observe::Counted::listen();
        store.lose_answers(1);
        assert!(grants.take(&token, &flow, Some("page")).await.unwrap().is_some(), "the mark is the page's");
        assert!(grants.take(&token, &flow, Some("page")).await.unwrap().is_some());
        for other in [Some("other page"), Some(""), None] {
            assert!(grants.take(&token, &flow, other).await.unwrap().is_none(), "{other:?}");
        }
        assert!(grants.take(&token, &Fingerprint::of(b"other"), Some("page")).await.unwrap().is_none());
        assert_eq!(counted.of("max_auth_handover_seconds_count"), 1, "one hand-over, however often it was asked");
        tokio::time::advance(GRANT_LIFE).await;
        assert!(grants.take(&token, &flow, Some("page")).await.unwrap().is_none(), "too late");
    }
}
