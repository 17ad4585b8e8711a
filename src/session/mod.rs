//! The signed-in browser: who it is travels in a sealed cookie, so that a restart signs nobody out and the server
//! keeps nothing about anybody. What it does keep, on disk, is the key and the sessions that were ended early.

mod ended;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;

use crate::base::clock::Clock;
use crate::base::id::{self, Fingerprint};
use crate::base::rng::Rng;
use crate::signin::Identity;
use crate::store::Folder;
use crate::store::FolderError as StoreError;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ended::Ended;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// Bound into the seal: a cookie of another purpose, or of another layout, does not open.
const PURPOSE: &[u8] = b"max-auth session 1";

/// Longest sealed cookie that is looked at, in bytes: browsers keep 4 KiB.
const COOKIE_MAX: usize = 4096;

/// Longest sealed cookie that is made, in bytes. Browsers would keep twice that; but nginx by default takes no more than
/// 4 KiB of a whole answer's head, in which there are a Location of 1 KiB and headers of another.
const FITS: usize = 2048;

/// What is left of each name, in characters, when a session does not fit; tried in this order.
const SHORTER_NAMES: [usize; 3] = [64, 32, 16];

/// Who is signed in, as `/session` says it.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct BrowserSession {
    /// MAX's user id: stable, the key to store.
    pub sub: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// E.164, only with `session.phone = true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Unix milliseconds of the MAX sign-in.
    #[serde(rename = "authTime")]
    pub auth_time: i64,
    /// Unix milliseconds.
    #[serde(rename = "expiresAt")]
    pub expires_at: i64,
}

impl BrowserSession {
    fn shorten_names(&mut self, characters: usize) {
        let names = [Some(&mut self.name), self.first_name.as_mut(), self.last_name.as_mut()];
        for name in names.into_iter().flatten() {
            if let Some((end, _)) = name.char_indices().nth(characters) {
                name.truncate(end);
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    sid: String,
    #[serde(flatten)]
    session: BrowserSession,
}

pub struct Sessions {
    key: LessSafeKey,
    ended: Ended,
    clock: Clock,
    rng: Rng,
    ttl: Duration,
    phone: bool,
}

impl Sessions {
    /// Reads or makes the key in `directory`.
    pub fn open(directory: &Path, clock: Clock, rng: Rng, ttl: Duration, phone: bool) -> Result<Self, StoreError> {
        let folder = Folder::open(directory)?;
        let key = folder.key(&rng)?;
        let ended = Ended::open(folder, clock.unix_seconds())?;
        Self::new(&key, ended, clock, rng, ttl, phone)
    }

    /// For a demo: nothing on disk, and everybody signed out when it ends.
    pub fn in_memory(clock: Clock, rng: Rng, ttl: Duration, phone: bool) -> Result<Self, StoreError> {
        let key = Zeroizing::new(rng.bytes());
        Self::new(&key, Ended::in_memory()?, clock, rng, ttl, phone)
    }

    fn new(
        key: &[u8; 32],
        ended: Ended,
        clock: Clock,
        rng: Rng,
        ttl: Duration,
        phone: bool,
    ) -> Result<Self, StoreError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| StoreError::new("session.key".into(), "is no key"))?;
        Ok(Self { key: LessSafeKey::new(key), ended, clock, rng, ttl, phone })
    }

    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// A new session, under a new id, as the value of a cookie.
    pub fn begin(&self, identity: Identity) -> Option<String> {
        let ttl_ms = i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX);
        let session = BrowserSession {
            sub: identity.id.to_string(),
            name: identity.name,
            first_name: identity.first_name,
            last_name: identity.last_name,
            picture: identity.photo_url,
            phone: identity.phone.filter(|_| self.phone),
            auth_time: self.clock.unix_ms(),
            expires_at: self.clock.unix_ms().saturating_add(ttl_ms),
        };
        let mut sealed = Sealed { sid: id::encode(&self.rng.bytes::<16>()), session };
        let mut shorter = SHORTER_NAMES.into_iter();
        loop {
            let cookie = self.seal(&sealed)?;
            if cookie.len() <= FITS {
                return Some(cookie);
            }
            if sealed.session.picture.take().is_none() {
                sealed.session.shorten_names(shorter.next()?);
            }
        }
    }

    fn seal(&self, sealed: &Sealed) -> Option<String> {
        let nonce: [u8; NONCE_LEN] = self.rng.bytes();
        let mut text = serde_json::to_vec(sealed).ok()?;
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce_used, Aad::from(PURPOSE), &mut text).ok()?;
        let mut whole = nonce.to_vec();
        whole.append(&mut text);
        Some(id::encode(&whole))
    }

    /// The session of a cookie: `None` for what is forged, over, or was ended.
    pub fn read(&self, cookie: &str) -> Option<BrowserSession> {
        let sealed = self.unseal(cookie)?;
        let fresh = sealed.session.expires_at > self.clock.unix_ms();
        (fresh && !self.ended.contains(&Fingerprint::of(sealed.sid.as_bytes()))).then_some(sealed.session)
    }

    fn unseal(&self, cookie: &str) -> Option<Sealed> {
        if cookie.len() > COOKIE_MAX {
            return None;
        }
        let mut whole = id::decode(cookie)?;
        if whole.len() <= NONCE_LEN {
            return None;
        }
        let mut text = whole.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&whole).ok()?;
        let text = self.key.open_in_place(nonce, Aad::from(PURPOSE), &mut text).ok()?;
        serde_json::from_slice(text).ok()
    }

    /// StreamStats the session for good: the cookie is worthless from now on, also after a restart.
    pub async fn end(&self, cookie: &str) -> Result<(), StoreError> {
        let Some(sealed) = self.unseal(cookie) else { return Ok(()) };
        let until = sealed.session.expires_at / 1000 + 1;
        self.ended.end(&Fingerprint::of(sealed.sid.as_bytes()), until, self.clock.unix_seconds()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            id: 401_041_669,
            name: "Иван Петров".into(),
            first_name: Some("Иван".into()),
            last_name: Some("Петров".into()),
            phone: Some("+79991234567".into()),
            photo_url: Some(format!("https://i.oneme.ru/i?r={}", "x".repeat(2000))),
        }
    }

    /// Once the thread of the one before has let go of the folder.
    fn reopened(directory: &Path, clock: &Clock) -> Sessions {
        loop {
            let opened = Sessions::open(directory, clock.clone(), Rng::system(), Duration::from_secs(3600), false);
            match opened {
                Err(error) if error.to_string().contains("in use") => std::thread::yield_now(),
                other => return other.unwrap(),
            }
        }
    }

    fn open(directory: &Path, clock: &Clock) -> Sessions {
        Sessions::open(directory, clock.clone(), Rng::system(), Duration::from_secs(3600), false).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_survives_a_restart_and_ends_in_time() {
        let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::fixed(1_000_000));
        let cookie = open(directory.path(), &clock).begin(identity()).unwrap();
        let after_restart = reopened(directory.path(), &clock);
        let session = after_restart.read(&cookie).unwrap();
        assert_eq!((session.sub.as_str(), session.name.as_str()), ("401041669", "Иван Петров"));
        assert_eq!((session.phone, session.picture), (None, None), "phone not asked for, photo too long");
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(after_restart.read(&cookie).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_ended_session_stays_ended_after_a_restart() {
        let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::fixed(1_000_000));
        let sessions = open(directory.path(), &clock);
        let (ended, other) = (sessions.begin(identity()).unwrap(), sessions.begin(identity()).unwrap());
        sessions.end(&ended).await.unwrap();
        let seen = |sessions: &Sessions| [&ended, &other].map(|cookie| sessions.read(cookie).is_some());
        assert_eq!(seen(&sessions), [false, true]);
        drop(sessions);
        assert_eq!(seen(&reopened(directory.path(), &clock)), [false, true]);
    }

    /// Names of the greatest length that is kept, in characters of four bytes, beside a long picture and a phone.
    #[tokio::test(start_paused = true)]
    async fn whoever_signs_in_gets_a_cookie_that_browsers_and_proxies_take() {
        let sessions =
            Sessions::in_memory(Clock::fixed(1_000_000), Rng::system(), Duration::from_secs(60), true).unwrap();
        for (length, character) in [(128, "🎉"), (128, "ф"), (128, "\""), (20, "x")] {
            for photo in [2048, 1400, 60, 0] {
                let name = character.repeat(length);
                let identity = Identity {
                    name: format!("{name} {name}"),
                    first_name: Some(name.clone()),
                    last_name: Some(name.clone()),
                    photo_url: (photo > 0).then(|| "p".repeat(photo)),
                    ..identity()
                };
                let cookie = sessions.begin(identity).unwrap();
                let what = format!("{character} {length} {photo}");
                assert!(cookie.len() <= FITS, "{what}: {}", cookie.len());
                let session = sessions.read(&cookie).expect(&what);
                assert_eq!((session.sub.as_str(), session.phone.is_some()), ("401041669", true), "{what}");
                assert!(session.first_name.unwrap().starts_with(&character.repeat(16)), "{what}");
                if length == 20 && photo <= 60 {
                    assert_eq!(session.picture.is_some(), photo > 0, "{what}: no more is left out than must be");
                    assert_eq!(session.name, format!("{name} {name}"), "{what}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forged_does_not_open() {
        let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::fixed(1_000_000));
        let sessions = open(directory.path(), &clock);
        let cookie = sessions.begin(identity()).unwrap();
        let mut flipped = id::decode(&cookie).unwrap();
        for at in [0, 12, 40, flipped.len() - 1] {
            flipped[at] ^= 1;
            assert!(sessions.read(&id::encode(&flipped)).is_none(), "byte {at}");
            flipped[at] ^= 1;
        }
        for bad in ["", "x", "AAAA", &cookie[..20], &"A".repeat(5000)] {
            assert!(sessions.read(bad).is_none());
        }
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(open(elsewhere.path(), &clock).read(&cookie).is_none(), "another key");
    }
}
