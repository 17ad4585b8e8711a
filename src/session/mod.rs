//! The signed-in browser: who it is travels in a sealed cookie, so that a restart signs nobody out and the server
//! keeps nothing about anybody. What it does keep, on disk, is the key and the sessions that were ended early.

mod files;

use crate::base::clock::Clock;
use crate::base::id::{self, Fingerprint};
use crate::base::rng::Rng;
use crate::upstream::driver::Person;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce};
use files::Files;
pub use files::StoreError;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// Bound into the seal: a cookie of another purpose, or of another layout, does not open.
const PURPOSE: &[u8] = b"max-auth session 1";

/// Longest sealed cookie that is looked at, in bytes: browsers keep 4 KiB.
const LONGEST: usize = 4096;

/// Longest photo address that fits beside the names, in bytes; a longer one is left out.
const PHOTO: usize = 1024;

/// Who is signed in, as `/session` says it.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct Session {
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

#[derive(Serialize, Deserialize)]
struct Sealed {
    sid: String,
    #[serde(flatten)]
    session: Session,
}

pub struct Sessions {
    key: LessSafeKey,
    files: Files,
    clock: Clock,
    rng: Rng,
    ttl: Duration,
    phone: bool,
}

impl Sessions {
    /// Reads or makes the key in `directory`.
    pub fn open(directory: &Path, clock: Clock, rng: Rng, ttl: Duration, phone: bool) -> Result<Self, StoreError> {
        let (files, key) = Files::open(directory, &rng, clock.unix_seconds())?;
        let key = aws_lc_rs::aead::UnboundKey::new(&AES_256_GCM, &key[..]).map_err(|_| StoreError::key(directory))?;
        Ok(Self { key: LessSafeKey::new(key), files, clock, rng, ttl, phone })
    }

    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// A new session, under a new id, as the value of a cookie.
    pub fn begin(&self, person: Person) -> Option<String> {
        let ttl_ms = i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX);
        let session = Session {
            sub: person.id.to_string(),
            name: person.name,
            first_name: person.first_name,
            last_name: person.last_name,
            picture: person.photo_url.filter(|url| url.len() <= PHOTO),
            phone: person.phone.filter(|_| self.phone),
            auth_time: self.clock.unix_ms(),
            expires_at: self.clock.unix_ms().saturating_add(ttl_ms),
        };
        self.seal(&Sealed { sid: id::encode(&self.rng.bytes::<16>()), session })
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
    pub fn read(&self, cookie: &str) -> Option<Session> {
        let sealed = self.unseal(cookie)?;
        let fresh = sealed.session.expires_at > self.clock.unix_ms();
        (fresh && !self.files.is_ended(&Fingerprint::of(sealed.sid.as_bytes()))).then_some(sealed.session)
    }

    fn unseal(&self, cookie: &str) -> Option<Sealed> {
        if cookie.len() > LONGEST {
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

    /// Ends the session for good: the cookie is worthless from now on, also after a restart.
    pub fn end(&self, cookie: &str) -> Result<(), StoreError> {
        let Some(sealed) = self.unseal(cookie) else { return Ok(()) };
        let until = sealed.session.expires_at / 1000 + 1;
        self.files.end(&Fingerprint::of(sealed.sid.as_bytes()), until, self.clock.unix_seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person() -> Person {
        Person {
            id: 401_041_669,
            name: "Иван Петров".into(),
            first_name: Some("Иван".into()),
            last_name: Some("Петров".into()),
            phone: Some("+79991234567".into()),
            photo_url: Some(format!("https://i.oneme.ru/i?r={}", "x".repeat(2000))),
        }
    }

    fn open(directory: &Path, clock: &Clock) -> Sessions {
        Sessions::open(directory, clock.clone(), Rng::system(), Duration::from_secs(3600), false).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_survives_a_restart_and_ends_in_time() {
        let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::fixed(1_000_000));
        let cookie = open(directory.path(), &clock).begin(person()).unwrap();
        let after_restart = open(directory.path(), &clock);
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
        let (ended, other) = (sessions.begin(person()).unwrap(), sessions.begin(person()).unwrap());
        sessions.end(&ended).unwrap();
        for sessions in [sessions, open(directory.path(), &clock)] {
            assert!(sessions.read(&ended).is_none());
            assert!(sessions.read(&other).is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forged_does_not_open() {
        let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::fixed(1_000_000));
        let sessions = open(directory.path(), &clock);
        let cookie = sessions.begin(person()).unwrap();
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
