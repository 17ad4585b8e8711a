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
    use crate::base::tasks::Tasks;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[test]
    fn the_name_of_a_code_is_the_end_of_its_link_and_nothing_that_could_be_a_path() {
        assert_eq!(track("https://max.ru/:auth/a1-b2_c3"), Some("a1-b2_c3"));
        for bad in ["https://max.ru/:auth/", "", "https://max.ru/x?y=1", "https://max.ru/a b", "https://max.ru/a%2fb"] {
            assert_eq!(track(bad), None, "{bad:?}");
        }
        assert_eq!(track(&"x".repeat(LONGEST_TRACK + 1)), None);
    }

    /// An emulator that answers everything so, and counts the questions.
    async fn emulator(answer: &'static str, tasks: &Tasks) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let (counts, each) = (Arc::clone(&asked), tasks.clone());
        tasks.spawn("emulator", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let counts = Arc::clone(&counts);
                each.spawn("connection", async move {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                        counts.fetch_add(1, Ordering::Relaxed);
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                });
            }
        });
        (address, asked)
    }

    #[tokio::test]
    async fn a_code_is_approved_where_it_is_known_and_that_is_asked_first_from_then_on() {
        const KNOWN: &str = "HTTP/1.1 204 No Content\r\n\r\n";
        const UNKNOWN: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
        let tasks = Tasks::new();
        let phones = |emulators: &[SocketAddr], servers| {
            Phones::new(emulators, servers, Arc::new(Connector::new(1, tasks.clone())))
        };
        let ((no, asked_no), (yes, asked_yes)) = (emulator(UNKNOWN, &tasks).await, emulator(KNOWN, &tasks).await);
        let asked = || (asked_no.load(Ordering::Relaxed), asked_yes.load(Ordering::Relaxed));
        let two = phones(&[no, yes], 1);
        assert!(matches!(two.approve("a", 0).await, Approval::Given(_)));
        assert_eq!(asked(), (1, 1));
        assert!(matches!(two.approve("b", 0).await, Approval::Given(_)));
        assert_eq!(asked(), (1, 2), "where the last one was known");
        let spread = phones(&[no, yes], 2);
        assert!(matches!(spread.approve("c", 1).await, Approval::Given(_)));
        assert_eq!(asked(), (1, 3), "servers begin at one emulator each");
        assert_eq!(phones(&[no], 1).approve("d", 0).await, Approval::Unknown);
        let (broken, _) = emulator(BROKEN, &tasks).await;
        assert_eq!(
            phones(&[broken, no], 1).approve("e", 0).await,
            Approval::Failed("the emulator answers 500".to_owned())
        );
        assert!(matches!(phones(&[broken, yes], 1).approve("f", 0).await, Approval::Given(_)), "another knows it");
    }
}
