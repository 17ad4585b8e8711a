//! The signing keys: one for each stretch of time and algorithm, sealed in the store, the same at all nodes. The next one is
//! published a whole stretch before it signs, the last one for as long after, so that nobody ever meets a key unknown to them.

use super::jws::{self, SigningKey};
use crate::base::id;
use crate::base::tasks::Tasks;
use crate::config::SigningAlgorithm;
use crate::store::Vault;
use crate::store::{Key, Space, Unavailable};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::sleep;
use zeroize::Zeroizing;

/// How often a node looks for what another node, or an operator, changed.
const LOOK: Duration = Duration::from_secs(30);

/// How long clients may keep the list of keys: far less than a key is published before it signs.
pub const JWKS_AGE: Duration = Duration::from_secs(900);

/// Stretches whose keys stay published after they signed: what they signed is good for `oidc.token_ttl`, and an operator may
/// cut stretches short.
const RETIRED: i64 = 3;

#[derive(Serialize, Deserialize)]
struct KeptKey {
    pkcs8: String,
    /// Unix seconds.
    #[serde(default)]
    made: i64,
}

/// How many stretches were cut short by hand.
#[derive(Serialize, Deserialize, Default)]
struct Shift {
    shift: i64,
}

pub struct Keys {
    vault: Vault,
    life: Duration,
    algorithms: Vec<SigningAlgorithm>,
    known: RwLock<Option<Arc<KeySet>>>,
    /// One makes keys at a time.
    loading: tokio::sync::Mutex<()>,
}

/// The keys of now.
pub struct KeySet {
    stretch: i64,
    /// Of the last stretches, this one and the next.
    keys: Vec<Published>,
}

struct Published {
    stretch: i64,
    /// Unix seconds: since then it is in the list.
    made: i64,
    key: SigningKey,
}

/// What became of a rotation by hand.
pub enum Rotation {
    Done(Arc<KeySet>),
    /// The next key is so young that apps may not know it: not before so long.
    TooSoon(Duration),
}

impl KeySet {
    /// What signs now.
    pub fn signing(&self, algorithm: SigningAlgorithm) -> Option<&SigningKey> {
        let now = |known: &&Published| known.stretch == self.stretch && known.key.algorithm() == algorithm;
        self.keys.iter().find(now).map(|known| &known.key)
    }

    pub fn all(&self) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().map(|known| &known.key)
    }

    /// RFC 7517 §5.
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.all().map(|key| &key.public).collect::<Vec<_>>() })
    }

    /// Each with what it is for, for the operator.
    pub fn listed(&self) -> Value {
        let listed = self.keys.iter().map(|known| {
            let key = &known.key;
            let state = match known.stretch.cmp(&self.stretch) {
                std::cmp::Ordering::Less => "retired",
                std::cmp::Ordering::Equal => "signing",
                std::cmp::Ordering::Greater => "next",
            };
            json!({ "state": state, "alg": jws::algorithm_name(key.algorithm()), "kid": key.kid })
        });
        json!({ "keys": listed.collect::<Vec<_>>() })
    }
}

impl Keys {
    /// `life`: how long a stretch is.
    pub fn new(vault: Vault, life: Duration, algorithms: Vec<SigningAlgorithm>) -> Self {
        Self { vault, life, algorithms, known: RwLock::default(), loading: tokio::sync::Mutex::default() }
    }

    /// Keeps up with time and with other nodes. Without `wanted` only once somebody asked for a key.
    pub fn spawn_watch(self: &Arc<Self>, tasks: &Tasks, wanted: bool) {
        let (keys, stopping) = (Arc::clone(self), tasks.clone());
        tasks.spawn("signing-keys", async move {
            loop {
                if (wanted || keys.known().is_some())
                    && let Err(error) = keys.load().await
                {
                    tracing::warn!("signing keys cannot be looked at: {error}");
                }
                tokio::select! {
                    () = sleep(LOOK) => {}
                    () = stopping.stopping() => return,
                }
            }
        });
    }

    /// As [`KeySet::listed`], if there are any by now.
    pub fn listed(&self) -> Option<Value> {
        self.known().map(|set| set.listed())
    }

    pub async fn set(&self) -> Result<Arc<KeySet>, Unavailable> {
        match self.known() {
            Some(known) => Ok(known),
            None => self.load().await,
        }
    }

    /// What is published now, whatever node changed it a moment ago.
    pub async fn published(&self) -> Result<Arc<KeySet>, Unavailable> {
        match (self.load().await, self.known()) {
            (Err(_), Some(known)) => Ok(known),
            (loaded, _) => loaded,
        }
    }

    /// The key that is next signs from now on, and what signed so far stays published. Unless it must be `now`, only once apps
    /// that keep the list know that key.
    pub async fn rotate(&self, now: bool) -> Result<Rotation, Unavailable> {
        let set = self.load().await?;
        let next = set.keys.iter().filter(|known| known.stretch > set.stretch);
        let youngest = next.map(|known| known.made).max().unwrap_or_default();
        let known_to_all = youngest.saturating_add(i64::try_from((JWKS_AGE + LOOK).as_secs()).unwrap_or(i64::MAX));
        let wait = known_to_all.saturating_sub(self.vault.unix_seconds());
        if wait > 0 && !now {
            return Ok(Rotation::TooSoon(Duration::from_secs(u64::try_from(wait).unwrap_or_default())));
        }
        let Shift { shift } = self.vault.get(shift_key()).await?.unwrap_or_default();
        // As long as the keys of the longest stretch.
        self.vault.put(shift_key(), &Shift { shift: shift + 1 }, self.kept_for()).await?;
        Ok(Rotation::Done(self.load().await?))
    }

    fn known(&self) -> Option<Arc<KeySet>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn kept_for(&self) -> Duration {
        self.life * 5
    }

    async fn load(&self) -> Result<Arc<KeySet>, Unavailable> {
        let _one = self.loading.lock().await;
        let Shift { shift } = self.vault.get(shift_key()).await?.unwrap_or_default();
        let life = i64::try_from(self.life.as_secs()).unwrap_or(i64::MAX).max(1);
        let stretch = self.vault.unix_seconds().div_euclid(life) + shift;
        if let Some(known) = self.known().filter(|known| known.stretch == stretch) {
            return Ok(known);
        }
        if shift != 0 {
            // Kept as long as it is needed: without it old stretches would come back.
            self.vault.put(shift_key(), &Shift { shift }, self.kept_for()).await?;
        }
        let mut keys = Vec::new();
        for algorithm in &self.algorithms {
            for at in stretch - RETIRED..=stretch + 1 {
                if let Some((made, key)) = self.key(*algorithm, at, at >= stretch).await? {
                    keys.push(Published { stretch: at, made, key });
                }
            }
        }
        let until = (stretch - shift + 1).saturating_mul(life);
        metrics::gauge!("max_auth_oidc_key_until_seconds").set(until as f64);
        let set = Arc::new(KeySet { stretch, keys });
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&set));
        Ok(set)
    }

    /// The key of a stretch; `make`: where there is none yet. Of two nodes that make one, the first is right.
    async fn key(
        &self,
        algorithm: SigningAlgorithm,
        at: i64,
        make: bool,
    ) -> Result<Option<(i64, SigningKey)>, Unavailable> {
        let place = Vault::key(Space::SigningKey, &[jws::algorithm_name(algorithm), &at.to_string()]);
        let mut kept: Option<KeptKey> = self.vault.get(place).await?;
        if kept.is_none() && make {
            // RSA takes a tenth of a second; nobody else waits for it.
            let made = tokio::task::spawn_blocking(move || jws::generate(algorithm)).await.ok().flatten();
            let made = made.map(|pkcs8| KeptKey { pkcs8: id::encode(&pkcs8), made: self.vault.unix_seconds() });
            let made = made.ok_or_else(|| Unavailable::OutOfReach("no signing key can be made".to_owned()))?;
            self.vault.put_new(place, &made, self.kept_for()).await?;
            kept = self.vault.get(place).await?;
        }
        let Some(kept) = kept else { return Ok(None) };
        let pkcs8 = id::decode(&kept.pkcs8).map(Zeroizing::new);
        let key = pkcs8.and_then(|pkcs8| SigningKey::parse(algorithm, &pkcs8));
        Ok(key.map(|key| (kept.made, key)))
    }
}

fn shift_key() -> Key {
    Vault::key(Space::SigningKey, &["shift"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::base::rng::Rng;
    use crate::store::{Flaky, MemoryStore, Seals};
    use std::collections::BTreeSet;

    const LIFE: Duration = Duration::from_secs(3600);

    fn node(store: &Arc<MemoryStore>, clock: &Clock) -> Keys {
        let rng = Rng::system();
        let seal = Seals::new(&[1; 32], &rng).unwrap().store;
        let vault = Vault::new(Arc::<MemoryStore>::clone(store), seal, clock.clone(), rng);
        Keys::new(vault, LIFE, vec![SigningAlgorithm::Es256, SigningAlgorithm::EdDsa])
    }

    fn kids(set: &KeySet) -> BTreeSet<String> {
        set.all().map(|key| key.kid.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_published_before_it_signs_and_after_at_every_node() {
        // A stretch begins.
        let clock = Clock::fixed(1_000_000_800_000);
        let store = Arc::new(MemoryStore::new(clock.clone(), 100));
        let (one, other) = (node(&store, &clock), node(&store, &clock));
        let first = one.set().await.unwrap();
        assert_eq!(first.all().count(), 4, "this stretch and the next, two algorithms");
        assert_eq!(kids(&first), kids(&other.set().await.unwrap()));
        let kid = |set: &KeySet| set.signing(SigningAlgorithm::Es256).unwrap().kid.clone();
        let mut published = kids(&first);
        let mut signed = BTreeSet::from([kid(&first)]);
        for hour in 0..4 {
            if hour == 2 {
                assert!(matches!(one.rotate(false).await.unwrap(), Rotation::TooSoon(wait) if wait <= JWKS_AGE + LOOK));
                tokio::time::advance(JWKS_AGE + LOOK).await;
                assert!(matches!(one.rotate(false).await.unwrap(), Rotation::Done(_)));
            } else {
                tokio::time::advance(LIFE).await;
            }
            let set = one.load().await.unwrap();
            assert!(published.contains(&kid(&set)), "known before it signs");
            assert!(signed.insert(kid(&set)), "a new one each time");
            let elsewhere = other.load().await.unwrap();
            assert_eq!((kids(&set), kid(&set)), (kids(&elsewhere), kid(&elsewhere)));
            let listed = set.listed();
            let listed = listed["keys"].as_array().unwrap();
            let kids_of = |state: &str| -> Vec<String> {
                let those = listed.iter().filter(|key| key["state"] == state);
                those.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
            };
            let retired = kids_of("retired");
            assert!(retired.iter().all(|kid| published.contains(kid)) && !retired.is_empty());
            let kept = usize::try_from(RETIRED).unwrap().min(hour + 1);
            assert_eq!(retired.len(), kept * 2, "what was signed lately is still checked");
            assert!(kids_of("signing").contains(&kid(&set)) && kids_of("next").len() == 2);
            published = kids(&set);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_are_known_sign_and_are_published_while_the_store_is_away() {
        let clock = Clock::fixed(1_000_000_800_000);
        let store = Arc::new(Flaky::new(clock.clone()));
        let node = || {
            let rng = Rng::system();
            let vault =
                Vault::new(Arc::<Flaky>::clone(&store), Seals::new(&[1; 32], &rng).unwrap().store, clock.clone(), rng);
            Keys::new(vault, LIFE, vec![SigningAlgorithm::Es256])
        };
        let (known, new) = (node(), node());
        let set = known.set().await.unwrap();
        store.reach(false);
        assert_eq!(kids(&known.set().await.unwrap()), kids(&set));
        assert_eq!(kids(&known.published().await.unwrap()), kids(&set));
        assert!(new.set().await.is_err() && new.published().await.is_err() && known.rotate(true).await.is_err());
        store.reach(true);
        assert_eq!(kids(&new.set().await.unwrap()), kids(&set));
        let Rotation::Done(rotated) = known.rotate(true).await.unwrap() else { panic!("it was to be now") };
        let signing = |set: &KeySet| set.signing(SigningAlgorithm::Es256).unwrap().kid.clone();
        assert!(signing(&rotated) != signing(&set) && kids(&set).contains(&signing(&rotated)), "the one that was next");
        assert_ne!(kids(&new.published().await.unwrap()), kids(&set), "as the other node has it by now");
    }
}
