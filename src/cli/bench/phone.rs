//! The phones of the emulators: approve a code wherever it is known.

use super::connect::{Connector, Kept};
use axum::body::Body;
use http::{Request, StatusCode};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Approvals at once, and connections that are kept for them.
const AT_ONCE: usize = 32;

/// A code's link ends with its name, which is a UUID; longer is none.
const LONGEST_TRACK: usize = 128;

pub struct Phones {
    emulators: Vec<Kept>,
    connector: Arc<Connector>,
    places: Semaphore,
    /// Of each server, the emulator that knew a code of it last: it is asked first.
    known: Vec<AtomicUsize>,
}

/// What came of it.
#[derive(Debug, PartialEq)]
pub enum Approval {
    Given(Instant),
    /// No emulator has such a code (any more).
    Unknown,
    /// No emulator could be asked.
    Failed(String),
}

impl Phones {
    pub fn new(emulators: &[SocketAddr], servers: usize, connector: Arc<Connector>) -> Self {
        let emulator = |&address: &SocketAddr| Kept::new(address, AT_ONCE);
        Self {
            emulators: emulators.iter().map(emulator).collect(),
            connector,
            places: Semaphore::new(AT_ONCE),
            known: (0..servers).map(|server| AtomicUsize::new(server % emulators.len().max(1))).collect(),
        }
    }

    /// Approves the code of this name, which a server shows.
    pub async fn approve(&self, track: &str, server: usize) -> Approval {
        let Ok(_place) = self.places.acquire().await else { return Approval::Unknown };
        let known = &self.known[server % self.known.len()];
        let first = known.load(Ordering::Relaxed);
        let mut outcome = Approval::Unknown;
        for turn in 0..self.emulators.len() {
            let index = (first + turn) % self.emulators.len();
            match approve(&self.emulators[index], track, &self.connector).await {
                Ok(true) => {
                    known.store(index, Ordering::Relaxed);
                    return Approval::Given(Instant::now());
                }
                Ok(false) => {}
                Err(why) => outcome = Approval::Failed(why),
            }
        }
        outcome
    }
}

/// Whether the emulator knew the code.
async fn approve(emulator: &Kept, track: &str, connector: &Connector) -> Result<bool, String> {
    let answer =
        emulator.ask(connector, || Request::post(format!("/phone/approve/{track}")).body(Body::empty())).await?;
    match answer.status {
        StatusCode::NO_CONTENT => Ok(true),
        StatusCode::NOT_FOUND => Ok(false),
        status => Err(format!("the emulator answers {}", status.as_u16())),
    }
}

/// The name of a code: the last part of its link.
pub fn track(link: &str) -> Option<&str> {
    let track = link.rsplit('/').next()?;
    let plain = track.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    (plain && !track.is_empty() && track.len() <= LONGEST_TRACK).then_some(track)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_code_is_the_end_of_its_link_and_nothing_that_could_be_a_path() {
        assert_eq!(track("https://max.ru/:auth/a1-b2_c3"), Some("a1-b2_c3"));
        for bad in ["https://max.ru/:auth/", "", "https://max.ru/x?y=1", "https://max.ru/a b", "https://max.ru/a%2fb"] {
            assert_eq!(track(bad), None, "{bad:?}");
        }
        assert_eq!(track(&"x".repeat(LONGEST_TRACK + 1)), None);
    }
}
