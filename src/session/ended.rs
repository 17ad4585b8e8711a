//! The sessions that were ended before their time, in the store; and the file that held them before there was one, which is
//! taken over once.

use crate::base::id;
use crate::store::{Folder, FolderError, Key, Space, Store, Unavailable, When};
use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The file of earlier versions.
const FILE: &str = "ended-sessions";

/// Bytes of a fingerprint that are kept: 128 bits tell sessions apart.
pub(super) const MARK: usize = 16;

/// How long a node remembers what it ended itself: a replica that takes over is seldom further behind.
const RECENT: Duration = Duration::from_secs(60);

/// Ended sessions of that time that are remembered, 64 bytes each: 500 sign-outs a second.
const RECENT_COUNT: usize = 30_000;

/// Before the store is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// Which session was ended.
pub(super) type Mark = [u8; MARK];

#[derive(Clone)]
pub struct Ended {
    store: Arc<dyn Store>,
    /// By this node, the oldest first.
    recent: Arc<Mutex<VecDeque<RecentlyEnded>>>,
}

#[derive(Clone, Copy)]
struct RecentlyEnded {
    mark: Mark,
    at: Instant,
    until: Instant,
}

impl Ended {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, recent: Arc::default() }
    }

    pub async fn contains(&self, session: &Mark) -> Result<bool, Unavailable> {
        Ok(self.store.get(key(session)).await?.is_some())
    }

    /// Redis loses at a failover, or with a snapshot that is put back, what was written last, and says nothing. So whenever it
    /// is found again, what this node ended lately is written again.
    pub async fn write_again(self) {
        let mut found = self.store.found_again();
        while found.changed().await.is_ok() {
            while !self.recent().is_empty() {
                if self.write_recent().await.is_ok() {
                    break;
                }
                sleep(RETRY).await;
            }
        }
    }

    async fn write_recent(&self) -> Result<(), Unavailable> {
        let recent: Vec<RecentlyEnded> = self.recent().iter().copied().collect();
        for ended in recent {
            let life = ended.until.saturating_duration_since(Instant::now());
            if !life.is_zero() {
                self.store.put(key(&ended.mark), Bytes::new(), life, When::Absent).await?;
            }
        }
        Ok(())
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<RecentlyEnded>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|oldest| oldest.at.elapsed() > RECENT) {
            recent.pop_front();
        }
        recent
    }

    fn remember(&self, mark: Mark, life: Duration) {
        let at = Instant::now();
        let mut recent = self.recent();
        if recent.len() >= RECENT_COUNT {
            recent.pop_front();
        }
        recent.push_back(RecentlyEnded { mark, at, until: at + life });
    }

    /// Kept before this returns: a logout that a crash could undo is none.
    pub async fn end(&self, session: &Mark, life: Duration) -> Result<(), Unavailable> {
        let (key, mark) = (key(session), *session);
        // What is ended already is not written again, however often somebody asks.
        if life.is_zero() || self.store.get(key).await?.is_some() {
            return Ok(());
        }
        self.store.put(key, Bytes::new(), life, When::Absent).await?;
        self.remember(mark, life);
        Ok(())
    }
}

/// Back from text.
pub(super) fn mark(text: &str) -> Option<Mark> {
    Mark::try_from(id::decode(text)?).ok()
}

fn key(mark: &[u8]) -> Key {
    Key::of(Space::Ended, &[mark])
}

/// What the file of an earlier version says.
pub struct EndedBefore(Vec<(Mark, i64)>);

impl EndedBefore {
    /// Nothing where there is no such file.
    pub fn read(folder: &Folder) -> Result<Self, FolderError> {
        let wrong = |why: &dyn std::fmt::Display| FolderError::new(folder.file(FILE), why);
        let Some(mut file) = folder.open_existing(FILE, OpenOptions::new().read(true))? else {
            return Ok(Self(Vec::new()));
        };
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| wrong(&error))?;
        let ended = parse(&text).map_err(|line| {
            wrong(&format!("line {line} is damaged; remove the line (or the file: ended sessions come back)"))
        })?;
        Ok(Self(ended))
    }

    /// Puts it into the store, and only then removes the file.
    pub async fn take_over(self, folder: &Folder, store: &dyn Store, now: i64) -> Result<(), FolderError> {
        let wrong = |why: &dyn std::fmt::Display| FolderError::new(folder.file(FILE), why);
        for (mark, until) in self.0.into_iter().filter(|(_, until)| *until > now) {
            let life = Duration::from_secs(until.abs_diff(now));
            store.put(key(&mark), Bytes::new(), life, When::Always).await.map_err(|error| wrong(&error))?;
        }
        folder.remove(FILE)
    }
}

/// The lines of the file. One that cannot be read is refused rather than skipped (the error is its number): skipping it
/// would bring a session back. Half a line at the end is what a crash left of a logout that was never answered.
pub(super) fn parse(text: &str) -> Result<Vec<(Mark, i64)>, usize> {
    let whole = text.rfind('\n').map_or(0, |last| last + 1);
    let line = |line: &str| {
        let (mark, until) = line.split_once(' ')?;
        Some((self::mark(mark)?, until.parse::<i64>().ok()?))
    };
    text[..whole].lines().enumerate().map(|(index, text)| line(text).ok_or(index + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::base::id::Fingerprint;
    use crate::base::tasks::Tasks;
    use crate::store::{Flaky, MemoryStore};
    use std::fs;

    fn session(number: u32) -> Mark {
        Fingerprint::of(&number.to_be_bytes()).bytes()[..MARK].try_into().unwrap()
    }

    fn store() -> Arc<dyn Store> {
        Arc::new(MemoryStore::new(Clock::fixed(0), 100))
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_ended_for_as_long_as_it_would_have_lived() {
        let ended = Ended::new(store());
        ended.end(&session(1), Duration::from_secs(10)).await.unwrap();
        ended.end(&session(1), Duration::from_secs(10)).await.unwrap();
        ended.end(&session(2), Duration::ZERO).await.unwrap();
        assert!(ended.contains(&session(1)).await.unwrap() && !ended.contains(&session(2)).await.unwrap());
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(!ended.contains(&session(1)).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_forgot_is_told_again_what_was_ended_in_the_last_minute() {
        let store = Arc::new(Flaky::new(Clock::fixed(0)));
        let (ended, elsewhere) = (Ended::new(store.clone()), Ended::new(store.clone()));
        Tasks::new().spawn("ended-sessions", ended.clone().write_again());
        ended.end(&session(1), Duration::from_secs(3600)).await.unwrap();
        sleep(RECENT + Duration::from_secs(1)).await;
        ended.end(&session(2), Duration::from_secs(3600)).await.unwrap();
        ended.end(&session(3), Duration::from_secs(1)).await.unwrap();
        store.reach(false);
        store.forget();
        sleep(Duration::from_secs(2)).await;
        store.reach(true);
        sleep(RETRY * 2).await;
        assert!(elsewhere.contains(&session(2)).await.unwrap());
        assert!(!elsewhere.contains(&session(3)).await.unwrap(), "over by itself meanwhile");
        assert!(!elsewhere.contains(&session(1)).await.unwrap(), "longer ago than is remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let ended = Ended::new(store());
        for number in 0..RECENT_COUNT as u32 + 10 {
            ended.remember(number.to_be_bytes().repeat(4).try_into().unwrap(), Duration::from_secs(10));
        }
        assert_eq!(ended.recent().len(), RECENT_COUNT);
    }

    #[tokio::test(start_paused = true)]
    async fn the_file_of_an_earlier_version_is_taken_over_once() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        let line = |number, until| format!("{} {until}\n", id::encode(&session(number)));
        let half = &line(9, 500)[..10];
        fs::write(directory.path().join(FILE), format!("{}{}{half}", line(1, 500), line(2, 200))).unwrap();
        let store = store();
        EndedBefore::read(&folder).unwrap().take_over(&folder, &*store, 200).await.unwrap();
        let ended = Ended::new(store);
        assert!(ended.contains(&session(1)).await.unwrap());
        assert!(!ended.contains(&session(2)).await.unwrap(), "over before");
        assert!(!directory.path().join(FILE).exists());
        assert!(EndedBefore::read(&folder).unwrap().0.is_empty());
    }

    #[test]
    fn a_damaged_line_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "garbage\n").unwrap();
        let error = || EndedBefore::read(&Folder::open(directory.path()).unwrap()).err().unwrap().to_string();
        assert!(error().contains("line 1 is damaged"), "{}", error());
        let good = format!("{} 500\n", id::encode(&session(1)));
        fs::write(directory.path().join(FILE), format!("{good}{good}{good} x\n")).unwrap();
        assert!(error().contains("line 4 is damaged"), "{}", error());
    }

    #[test]
    fn lines_are_read_to_their_last_digit_and_half_a_line_is_none() {
        let line = |number, until: i64| format!("{} {until}", id::encode(&session(number)));
        let two = format!("{}\n{}\n", line(1, 500), line(2, 123));
        let read = Ok(vec![(session(1), 500), (session(2), 123)]);
        assert_eq!((parse(&two), parse(&format!("{two}{}", line(3, 7)))), (read.clone(), read));
        assert_eq!((parse(""), parse(&line(1, 500))), (Ok(vec![]), Ok(vec![])), "never finished");
        for (text, number) in [
            (format!("\n{two}"), 1),
            (format!("{two}{}\n", line(3, 7).replace(' ', "")), 3),
            (format!("{two}{}x\n", line(3, 7)), 3),
            (format!("{two}A{}\n", line(3, 7)), 3),
        ] {
            assert_eq!(parse(&text), Err(number), "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_forgotten_after_its_minute_and_not_before() {
        let ended = Ended::new(store());
        ended.remember(session(1), Duration::from_secs(3600));
        sleep(RECENT).await;
        assert_eq!(ended.recent().len(), 1);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(ended.recent().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_over_lives_as_long_as_the_file_says() {
        let (store, directory) = (store(), tempfile::tempdir().unwrap());
        let folder = Folder::open(directory.path()).unwrap();
        let before = EndedBefore(vec![(session(1), 300), (session(2), 200)]);
        before.take_over(&folder, &*store, 200).await.unwrap();
        let ended = Ended::new(store);
        assert!(!ended.contains(&session(2)).await.unwrap(), "over in this second");
        sleep(Duration::from_secs(99)).await;
        assert!(ended.contains(&session(1)).await.unwrap());
        sleep(Duration::from_secs(2)).await;
        assert!(!ended.contains(&session(1)).await.unwrap());
    }
}
