//! Records of what waits between two requests (grants, codes, tokens): sealed, each with its end inside the seal, so that a
//! store that stepped back to an older state cannot prolong it.

use super::{Admission, Key, Seal, Space, Store, Unavailable, When};
use crate::base::clock::Clock;
use crate::base::id;
use crate::base::rng::Rng;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone)]
pub struct Vault {
    store: Arc<dyn Store>,
    seal: Seal,
    clock: Clock,
    rng: Rng,
}

/// `what` is a struct without a field `until`.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    /// Unix milliseconds.
    until: i64,
    #[serde(flatten)]
    what: T,
}

/// What wins a race: whoever wrote it first.
#[derive(Serialize, Deserialize, PartialEq)]
struct Mark {
    by: String,
    at: i64,
}

/// What became of a race that one may win.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Race {
    /// `again`: the same caller had won before.
    Won { again: bool },
    /// Somebody did so long ago.
    Lost(Duration),
}

impl Vault {
    pub fn new(store: Arc<dyn Store>, seal: Seal, clock: Clock, rng: Rng) -> Self {
        Self { store, seal, clock, rng }
    }

    pub fn unix_ms(&self) -> i64 {
        self.clock.unix_ms()
    }

    pub fn unix_seconds(&self) -> i64 {
        self.clock.unix_seconds()
    }

    /// A new secret of 256 bits, as text.
    pub fn secret(&self) -> String {
        id::encode(&self.rng.bytes::<32>())
    }

    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        self.rng.bytes()
    }

    /// One more under this key, at most `burst` at once and one per `interval` for good.
    pub async fn admit(&self, key: Key, interval: Duration, burst: u32) -> Result<Admission, Unavailable> {
        self.store.admit(key, interval, burst).await
    }

    /// A new name of 128 bits, as text.
    pub fn name(&self) -> String {
        id::encode(&self.rng.bytes::<16>())
    }

    /// What cannot be guessed and is always the same for the same text, as long as the key is.
    pub fn pseudonym(&self, text: &[u8]) -> String {
        id::encode(self.seal.name(text).bytes())
    }

    fn sealed<T: Serialize>(&self, place: &[u8], what: &T, life: Duration) -> Result<Bytes, Unavailable> {
        let until = self.clock.unix_ms().saturating_add(i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let text = serde_json::to_vec(&Kept { until, what }).unwrap_or_default();
        self.seal.seal(place, &text).ok_or_else(|| Unavailable::OutOfReach("a record cannot be sealed".to_owned()))
    }

    fn opened<T: DeserializeOwned>(&self, place: &[u8], sealed: &[u8]) -> Option<T> {
        let kept: Kept<T> = serde_json::from_slice(&self.seal.open(place, sealed)?).ok()?;
        (kept.until > self.clock.unix_ms()).then_some(kept.what)
    }

    pub async fn put<T: Serialize>(&self, key: Key, what: &T, life: Duration) -> Result<(), Unavailable> {
        let sealed = self.sealed(&key.bytes(), what, life)?;
        self.store.put(key, sealed, life, When::Always).await.map(|_| ())
    }

    /// False where there is something already.
    pub async fn put_new<T: Serialize>(&self, key: Key, what: &T, life: Duration) -> Result<bool, Unavailable> {
        let sealed = self.sealed(&key.bytes(), what, life)?;
        self.store.put(key, sealed, life, When::Absent).await
    }

    pub async fn get<T: DeserializeOwned>(&self, key: Key) -> Result<Option<T>, Unavailable> {
        let sealed = self.store.get(key).await?;
        Ok(sealed.and_then(|sealed| self.opened(&key.bytes(), &sealed)))
    }

    pub async fn take<T: DeserializeOwned>(&self, key: Key) -> Result<Option<T>, Unavailable> {
        let sealed = self.store.take(key).await?;
        Ok(sealed.and_then(|sealed| self.opened(&key.bytes(), &sealed)))
    }

    /// One caller wins, once. A store whose answer was lost may be asked again: the mark says whose it is.
    pub async fn race(&self, key: Key, life: Duration) -> Result<Race, Unavailable> {
        self.race_as(self.name(), key, life).await
    }

    /// The same for a caller with a name of its own, who wins as often as it asks.
    pub async fn race_as(&self, by: String, key: Key, life: Duration) -> Result<Race, Unavailable> {
        let mark = Mark { by, at: self.clock.unix_ms() };
        let tried = self.put_new(key, &mark, life).await;
        if matches!(tried, Ok(true)) {
            return Ok(Race::Won { again: false });
        }
        match self.get::<Mark>(key).await? {
            Some(found) if found.by == mark.by => Ok(Race::Won { again: true }),
            Some(found) => {
                let ago = u64::try_from(self.clock.unix_ms().saturating_sub(found.at)).unwrap_or_default();
                Ok(Race::Lost(Duration::from_millis(ago)))
            }
            None => Err(tried.err().unwrap_or_else(|| Unavailable::OutOfReach("a mark went away".to_owned()))),
        }
    }

    /// Something to be carried by others, which only we can read and nobody can change: text of base64url.
    pub fn seal_token<T: Serialize>(&self, purpose: &[u8], what: &T, life: Duration) -> Result<String, Unavailable> {
        Ok(id::encode(&self.sealed(purpose, what, life)?))
    }

    /// `None` for what is over, forged, or of another purpose.
    pub fn open_token<T: DeserializeOwned>(&self, purpose: &[u8], token: &str) -> Option<T> {
        if token.len() > super::VALUE_BYTES {
            return None;
        }
        self.opened(purpose, &id::decode(token)?)
    }

    pub fn key(space: Space, parts: &[&str]) -> Key {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        Key::of(space, &parts)
    }
}
