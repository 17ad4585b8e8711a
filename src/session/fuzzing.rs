//! A cookie of the session and the file of ended sessions, for the fuzzer.

use super::{COOKIE_MAX, Phone, Sealed, Sessions, ended};
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::store::{MemoryStore, Seals};
use futures_util::FutureExt as _;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static SESSIONS: LazyLock<Option<Sessions>> = LazyLock::new(|| {
    let (clock, rng) = (Clock::system(), Rng::system());
    let (seals, store) = (Seals::new(&[7; 32], &rng)?, Arc::new(MemoryStore::new(clock.clone(), 100)));
    Some(Sessions::new(seals.session, store, clock, rng, Duration::from_secs(60), Phone::Said))
});

/// What a browser gives back is no session, unless we sealed it: then it is what was sealed.
pub fn session_cookie(data: &[u8]) {
    let Some(sessions) = &*SESSIONS else { return };
    if let Ok(cookie) = std::str::from_utf8(data) {
        assert!(sessions.read(cookie).now_or_never().flatten().is_none());
    }
    let Ok(sealed) = serde_json::from_slice::<Sealed>(data) else { return };
    if let Some(cookie) = sessions.seal(&sealed).filter(|cookie| cookie.len() <= COOKIE_MAX) {
        assert!(sessions.unseal(&cookie).is_some_and(|again| again.session == sealed.session));
    }
}

pub fn ended_sessions(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ended::parse(text) {
        Ok(ended) => assert!(ended.len() <= text.len()),
        Err(line) => assert!(line >= 1),
    }
}
