//! A cookie of the session and the file of ended sessions, for the fuzzer.

use super::{LONGEST, Sealed, Sessions, ended};
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use std::sync::LazyLock;
use std::time::Duration;

static SESSIONS: LazyLock<Option<Sessions>> =
    LazyLock::new(|| Sessions::in_memory(Clock::system(), Rng::system(), Duration::from_secs(60), true).ok());

/// What a browser gives back is no session, unless we sealed it: then it is what was sealed.
pub fn session_cookie(data: &[u8]) {
    let Some(sessions) = &*SESSIONS else { return };
    if let Ok(cookie) = std::str::from_utf8(data) {
        assert!(sessions.read(cookie).is_none());
    }
    let Ok(sealed) = serde_json::from_slice::<Sealed>(data) else { return };
    if let Some(cookie) = sessions.seal(&sealed).filter(|cookie| cookie.len() <= LONGEST) {
        assert!(sessions.unseal(&cookie).is_some_and(|again| again.session == sealed.session));
    }
}

pub fn ended_sessions(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ended::parse(text, 1_000) {
        Ok(list) => assert!(list.whole <= text.len() && list.table.values().all(|until| *until > 1_000)),
        Err(line) => assert!(line >= 1),
    }
}
