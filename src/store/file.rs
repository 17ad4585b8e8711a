//! Rows in one file, for one process: redb behind one writing thread, which puts all that wait into one commit. What was
//! answered is on disk. On a full disk nothing new begins; what runs goes on in memory until there is room again.

use super::disk::{Changes, Disk};
use super::folder::{Folder, FolderError};
use super::hints::{Hints, Listeners};
use super::key::{Key, NodeName};
use super::rules::{self, Row, Rows};
use super::{Admission, Answer, Append, Appended, Claimed, LogPage, Member, Reader, Store, Unavailable, When};
use crate::base::clock::Clock;
use crate::base::repeat::OncePerMinute;
use crate::base::tasks;
use bytes::Bytes;
use std::future::ready;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Verbs that wait for one commit: a commit takes milliseconds, and more than so many wait outside.
const WAITING: usize = 1024;

/// Rows that a disk without room leaves in memory: 20 000 logins, and as many sign-outs.
const UNSAVED: usize = 40_000;

/// Between two tries to write what a full disk refused, in milliseconds.
const RETRY: i64 = 1_000;

/// Rows that are over and removed by one commit: it must not grow long.
const SWEPT: usize = 1_000;

/// Between two looks for rows that are over, in milliseconds.
const SWEEP_PAUSE: i64 = 1_000;

pub struct FileStore {
    jobs: mpsc::Sender<Box<dyn Job>>,
    disk: Arc<Disk>,
    unsaved: Arc<Unsaved>,
    listeners: Arc<Listeners>,
    clock: Clock,
}

/// Rows that are right and not on disk.
type Unsaved = RwLock<Changes>;

/// One verb on its way.
trait Job: Send {
    /// The log that it begins: refused where there is no room.
    fn begins(&self) -> Option<Key>;

    fn run(&mut self, rows: &mut View<'_>);

    /// Tells who asked, unless they left: what was done stays done.
    fn finish(self: Box<Self>, stored: Result<(), Unavailable>);
}

struct Verb<T, W> {
    begins: Option<Key>,
    work: Option<W>,
    outcome: Result<T, Unavailable>,
    done: oneshot::Sender<Result<T, Unavailable>>,
}

impl<T: Send, W: FnOnce(&mut View<'_>) -> Result<T, Unavailable> + Send> Job for Verb<T, W> {
    fn begins(&self) -> Option<Key> {
        self.begins
    }

    fn run(&mut self, rows: &mut View<'_>) {
        if let Some(work) = self.work.take() {
            self.outcome = work(rows);
        }
    }

    fn finish(self: Box<Self>, stored: Result<(), Unavailable>) {
        let _ = self.done.send(stored.and(self.outcome));
    }
}

fn gone() -> Unavailable {
    Unavailable::OutOfReach("its thread is gone; restart max-auth".to_owned())
}

impl FileStore {
    /// Opens the store in `folder`, or makes it. Claims and living nodes of before are void: the folder's lock says that
    /// nobody else lives.
    pub fn open(folder: Arc<Folder>, clock: Clock) -> Result<Self, FolderError> {
        let disk = Arc::new(Disk::open(folder)?);
        let (unsaved, listeners) = (Arc::<Unsaved>::default(), Arc::<Listeners>::default());
        let (jobs, waiting) = mpsc::channel(WAITING);
        let writer = Writer {
            disk: Arc::clone(&disk),
            unsaved: Arc::clone(&unsaved),
            listeners: Arc::clone(&listeners),
            clock: clock.clone(),
            full: None,
            retry_at: i64::MIN,
            sweep_at: i64::MIN,
            told: OncePerMinute::default(),
        };
        let path = disk.path();
        tasks::thread("store", move || writer.run(waiting))
            .map_err(|error| FolderError::new(path, format!("its thread cannot be started: {error}")))?;
        Ok(Self { jobs, disk, unsaved, listeners, clock })
    }

    fn run<T: Send + 'static>(
        &self,
        begins: Option<Key>,
        work: impl FnOnce(&mut View<'_>) -> Result<T, Unavailable> + Send + 'static,
    ) -> Answer<'_, T> {
        let (done, answer) = oneshot::channel();
        let verb = Box::new(Verb { begins, work: Some(work), outcome: Err(gone()), done });
        Box::pin(async move {
            self.jobs.send(verb).await.map_err(|_| gone())?;
            answer.await.unwrap_or_else(|_| Err(gone()))
        })
    }

    /// Without the writer: looking waits for no commit.
    fn look(&self, key: &Key) -> Result<Option<Bytes>, Unavailable> {
        let unsaved = self.unsaved.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        let row = match unsaved {
            Some(row) => row,
            None => self.disk.get(key)?,
        };
        Ok(row.filter(|row| row.until > self.clock.unix_ms()).map(|row| row.value))
    }
}

/// The one writer.
struct Writer {
    disk: Arc<Disk>,
    unsaved: Arc<Unsaved>,
    listeners: Arc<Listeners>,
    clock: Clock,
    /// There is no room, and what.
    full: Option<Unavailable>,
    retry_at: i64,
    sweep_at: i64,
    told: OncePerMinute,
}

impl Writer {
    fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, WAITING) > 0 {
            self.serve(std::mem::take(&mut batch));
        }
    }

    fn serve(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let now = self.clock.unix_ms();
        if self.full.is_some() && self.retry_at <= now {
            _ = self.save(Changes::new(), now);
        }
        let full = self.full.is_some();
        let mut view =
            View { disk: &self.disk, unsaved: &self.unsaved, now, changed: Changes::new(), told: Vec::new() };
        for job in &mut batch {
            if !full || job.begins().is_none() {
                job.run(&mut view);
            }
        }
        let View { mut changed, told, .. } = view;
        // Where the file itself is away, nothing is promised.
        let mut away = None;
        if !changed.is_empty() {
            if !full {
                self.sweep(&mut changed, now);
                away = self.save(changed.clone(), now).err();
            }
            if self.full.is_some() {
                // What did not begin leaves nothing behind; what runs goes on in memory.
                batch.iter().filter_map(|job| job.begins()).for_each(|log| _ = changed.remove(&log));
                away = self.keep(changed).err();
            }
        }
        for job in batch {
            let full = self.full.clone().filter(|_| job.begins().is_some());
            job.finish(full.or_else(|| away.clone()).map_or(Ok(()), Err));
        }
        for (node, log) in told {
            self.listeners.tell(&node, log);
        }
    }

    /// Writes what is new and what could not be written before. The error is a file that is away; a full disk is remembered.
    fn save(&mut self, mut changed: Changes, now: i64) -> Result<(), Unavailable> {
        for (key, row) in self.unsaved.read().unwrap_or_else(PoisonError::into_inner).iter() {
            changed.entry(*key).or_insert_with(|| row.clone());
        }
        let Err(failed) = self.disk.commit(&changed) else {
            if self.full.take().is_some() {
                self.unsaved.write().unwrap_or_else(PoisonError::into_inner).clear();
                tracing::info!("the store is on disk again");
            }
            return Ok(());
        };
        self.retry_at = now.saturating_add(RETRY);
        if let Some(times) = self.told.due() {
            tracing::error!(times, "{failed}; new sign-ins are refused until that is mended");
        }
        match failed {
            Unavailable::Full(_) => {
                self.full = Some(failed);
                Ok(())
            }
            Unavailable::OutOfReach(_) => Err(failed),
        }
    }

    fn keep(&self, changed: Changes) -> Result<(), Unavailable> {
        let mut unsaved = self.unsaved.write().unwrap_or_else(PoisonError::into_inner);
        if unsaved.len() + changed.len() > UNSAVED {
            return Err(Unavailable::Full(format!("{UNSAVED} records wait for room on disk")));
        }
        unsaved.extend(changed);
        Ok(())
    }

    /// What is over goes with whatever is written anyway.
    fn sweep(&mut self, changed: &mut Changes, now: i64) {
        if self.sweep_at > now {
            return;
        }
        let over = self.disk.over(now, SWEPT).unwrap_or_default();
        self.sweep_at = if over.len() < SWEPT { now.saturating_add(SWEEP_PAUSE) } else { now };
        for key in over {
            changed.entry(key).or_insert(None);
        }
    }
}

/// The rows as a batch of verbs sees them, one after the other.
struct View<'a> {
    disk: &'a Disk,
    unsaved: &'a Unsaved,
    now: i64,
    changed: Changes,
    told: Vec<(NodeName, Key)>,
}

impl Rows for View<'_> {
    fn now(&self) -> i64 {
        self.now
    }

    fn get(&mut self, key: &Key) -> Result<Option<Row>, Unavailable> {
        let unsaved = || self.unsaved.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        let row = match self.changed.get(key).cloned().or_else(unsaved) {
            Some(row) => row,
            None => self.disk.get(key)?,
        };
        Ok(row.filter(|row| row.until > self.now))
    }

    fn set(&mut self, key: Key, row: Option<Row>) {
        self.changed.insert(key, row);
    }

    fn tell(&mut self, node: &NodeName, log: Key) {
        self.told.push((node.clone(), log));
    }
}

impl Store for FileStore {
    fn put(&self, key: Key, value: Bytes, ttl: Duration, when: When) -> Answer<'_, bool> {
        self.run(None, move |rows| rules::put(rows, key, value, ttl, when))
    }

    fn get(&self, key: Key) -> Answer<'_, Option<Bytes>> {
        Box::pin(ready(self.look(&key)))
    }

    fn take(&self, key: Key) -> Answer<'_, Option<Bytes>> {
        self.run(None, move |rows| rules::take(rows, &key))
    }

    fn admit(&self, key: Key, interval: Duration, burst: u32) -> Answer<'_, Admission> {
        self.run(None, move |rows| rules::admit(rows, key, interval, burst))
    }

    fn begin(&self, log: Key, node: NodeName, head: Bytes, records: Vec<Bytes>, ttl: Duration) -> Answer<'_, ()> {
        self.run(Some(log), move |rows| rules::begin(rows, log, node, head, records, ttl))
    }

    fn append(&self, log: Key, append: Append) -> Answer<'_, Appended> {
        self.run(None, move |rows| rules::append(rows, log, append))
    }

    fn read(&self, log: Key, after: Option<u32>, reader: Reader) -> Answer<'_, Option<LogPage>> {
        self.run(None, move |rows| rules::read(rows, log, after, &reader))
    }

    fn claim(&self, log: Key, node: Option<NodeName>, seen: u64) -> Answer<'_, Claimed> {
        self.run(None, move |rows| rules::claim(rows, log, node, seen))
    }

    fn send(&self, log: Key, command: Bytes) -> Answer<'_, bool> {
        self.run(None, move |rows| rules::send(rows, log, command))
    }

    fn beat(&self, node: NodeName, ttl: Duration, active: u32, note: Bytes) -> Answer<'_, Vec<Member>> {
        self.run(None, move |rows| rules::beat(rows, node, ttl, active, note))
    }

    fn reserve(&self, node: NodeName, total: u32) -> Answer<'_, bool> {
        self.run(None, move |rows| rules::reserve(rows, &node, total))
    }

    fn hints(&self, node: &NodeName) -> Hints {
        self.listeners.add(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Space;
    use crate::store::suite::Setup;

    fn opened(path: &std::path::Path) -> FileStore {
        loop {
            let opened = Folder::open(path).and_then(|folder| FileStore::open(Arc::new(folder), Clock::system()));
            match opened {
                // The thread of the one before has not let go of the folder yet.
                Err(error) if error.to_string().contains("in use") => std::thread::yield_now(),
                other => return other.unwrap(),
            }
        }
    }

    async fn setup() -> Setup {
        let directory = tempfile::tempdir().unwrap();
        let store = opened(directory.path());
        // Unlinked while it is open would be noticed, so it stays until the store is gone.
        std::mem::forget(directory);
        Setup { store: Arc::new(store), real: true, unit: Duration::from_millis(250) }
    }

    crate::store_suite!(tokio::test, setup);

    #[tokio::test]
    async fn everything_is_there_after_a_restart_and_claims_are_void() {
        let directory = tempfile::tempdir().unwrap();
        let store = opened(directory.path());
        let (node, next) = (NodeName::parse("a~1").unwrap(), NodeName::parse("a~2").unwrap());
        let (grant, log) = (Key::of(Space::Grant, &[b"g"]), Key::of(Space::Login, &[b"l"]));
        let life = Duration::from_secs(600);
        store.put(grant, "grant".into(), life, When::Always).await.unwrap();
        store.begin(log, node.clone(), "head".into(), vec!["one".into()], life).await.unwrap();
        store.beat(node.clone(), life, 1, Bytes::new()).await.unwrap();
        drop(store);
        let store = opened(directory.path());
        assert_eq!(store.take(grant).await.unwrap().as_deref(), Some(&b"grant"[..]));
        let page = store.read(log, None, Reader::Nobody).await.unwrap().unwrap();
        assert_eq!((page.owner, page.newest), (Some(node), 1));
        let living = store.beat(next.clone(), life, 0, Bytes::new()).await.unwrap();
        assert!(living.len() == 1 && living[0].node == next, "{living:?}");
        assert_eq!(store.claim(log, Some(next), 1).await.unwrap(), Claimed::Yes { fence: 2 });
    }

    #[tokio::test]
    async fn what_is_over_leaves_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let store = opened(directory.path());
        let rows = |store: &FileStore| store.disk.over(i64::MAX, 100).unwrap().len();
        for number in 0..20u8 {
            let key = Key::of(Space::Ended, &[&[number]]);
            store.put(key, Bytes::new(), Duration::from_millis(1), When::Always).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let last = Key::of(Space::Ended, &[b"last"]);
        store.put(last, Bytes::new(), Duration::from_secs(60), When::Always).await.unwrap();
        assert_eq!(rows(&store), 1);
    }

    #[tokio::test]
    async fn a_store_that_was_moved_away_says_so_and_goes_on_when_it_is_back() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("state"), directory.path().join("moved"));
        let store = opened(&path);
        let life = Duration::from_secs(60);
        std::fs::rename(&path, &moved).unwrap();
        let (log, node) = (Key::of(Space::Login, &[b"l"]), NodeName::parse("a~1").unwrap());
        let error = store.begin(log, node.clone(), Bytes::new(), Vec::new(), life).await.unwrap_err();
        assert!(error.to_string().contains("was moved"), "{error}");
        assert_eq!(store.read(log, None, Reader::Nobody).await.unwrap(), None, "what was refused is not there");
        let ended = Key::of(Space::Ended, &[b"e"]);
        let error = store.put(ended, "x".into(), life, When::Always).await.unwrap_err();
        assert!(error.to_string().contains("was moved"), "{error}");
        assert!(store.get(ended).await.unwrap().is_none(), "what was not promised is not there");
        std::fs::rename(&moved, &path).unwrap();
        store.put(ended, "x".into(), life, When::Always).await.unwrap();
        store.begin(log, node, Bytes::new(), Vec::new(), life).await.unwrap();
        drop(store);
        assert!(opened(&path).get(ended).await.unwrap().is_some());
    }

    #[test]
    fn what_waits_for_room_on_disk_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::open(directory.path()).unwrap());
        let writer = Writer {
            disk: Arc::new(Disk::open(folder).unwrap()),
            unsaved: Arc::default(),
            listeners: Arc::default(),
            clock: Clock::fixed(0),
            full: None,
            retry_at: 0,
            sweep_at: 0,
            told: OncePerMinute::default(),
        };
        let rows = |numbers: std::ops::Range<usize>| {
            numbers.map(|number| (Key::of(Space::Ended, &[&number.to_be_bytes()]), None)).collect::<Changes>()
        };
        assert!(writer.keep(rows(0..UNSAVED - 1)).is_ok());
        let full = writer.keep(rows(UNSAVED..UNSAVED + 2));
        assert!(matches!(full, Err(Unavailable::Full(_))), "{full:?}");
        assert!(writer.keep(rows(UNSAVED..UNSAVED + 1)).is_ok(), "to the last");
        assert!(writer.keep(rows(UNSAVED + 1..UNSAVED + 2)).is_err());
    }
}
