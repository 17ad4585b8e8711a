//! The sessions that were ended before their time. Looked at by every request that asks who is signed in, so reading
//! waits for no disk; written by a thread of its own, which puts all that wait into one write and one sync.

use super::files::{Folder, StoreError};
use crate::base::id::{self, Fingerprint};
use crate::base::limits::{REVOCATIONS, REVOCATIONS_AT_ONCE};
use crate::base::tasks;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{mpsc, oneshot};

const NAME: &str = "ended-sessions";

/// Bytes of a fingerprint that are kept: 128 bits tell sessions apart.
const MARK: usize = 16;

/// Between two looks for what is over in a full table, in seconds: each look goes through a million entries.
const SWEEP_PAUSE: i64 = 60;

/// Which session was ended.
pub(super) type Mark = [u8; MARK];

/// Ended sessions and when they would have ended by themselves (Unix seconds).
pub(super) type Table = HashMap<Mark, i64>;

/// One session to be ended, and whom to tell when it is on disk.
struct Request {
    mark: Mark,
    until: i64,
    now: i64,
    done: oneshot::Sender<Result<(), StoreError>>,
}

pub struct Ended {
    table: Arc<RwLock<Table>>,
    requests: mpsc::Sender<Request>,
}

impl Ended {
    /// Reads the list in `folder`, and keeps it there from now on.
    pub fn open(folder: Folder, now: i64) -> Result<Self, StoreError> {
        let (table, file, length) = read(&folder, now)?;
        let disk = Disk { folder, file, length, torn: false };
        Self::begin(table, Some(disk))
    }

    /// Kept nowhere but in memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::begin(Table::new(), None)
    }

    fn begin(table: Table, disk: Option<Disk>) -> Result<Self, StoreError> {
        let table = Arc::new(RwLock::new(table));
        let (requests, waiting) = mpsc::channel(REVOCATIONS_AT_ONCE);
        let keeper = Keeper { table: Arc::clone(&table), disk, swept: i64::MIN };
        tasks::thread("ended sessions", move || keeper.run(waiting))
            .map_err(|error| StoreError::new(NAME.into(), format!("its thread cannot be started: {error}")))?;
        Ok(Self { table, requests })
    }

    pub fn contains(&self, session: &Fingerprint) -> bool {
        self.table.read().unwrap_or_else(PoisonError::into_inner).contains_key(&mark(session))
    }

    /// On disk before this returns: a logout that a crash could undo is none. What is ended already costs nothing.
    pub async fn end(&self, session: &Fingerprint, until: i64, now: i64) -> Result<(), StoreError> {
        if until <= now || self.contains(session) {
            return Ok(());
        }
        let gone = || StoreError::new(NAME.into(), "the thread that writes it is gone; restart max-auth");
        let (done, answer) = oneshot::channel();
        self.requests.send(Request { mark: mark(session), until, now, done }).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn mark(session: &Fingerprint) -> Mark {
    let mut mark = [0; MARK];
    mark.copy_from_slice(&session.bytes()[..MARK]);
    mark
}

/// The one writer of the table and of the file.
struct Keeper {
    table: Arc<RwLock<Table>>,
    disk: Option<Disk>,
    swept: i64,
}

impl Keeper {
    fn run(mut self, mut waiting: mpsc::Receiver<Request>) {
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, REVOCATIONS_AT_ONCE) > 0 {
            let outcome = self.end(&batch);
            for request in batch.drain(..) {
                // Whoever asked may have left; the session is ended all the same.
                let _ = request.done.send(outcome.clone());
            }
        }
    }

    fn end(&mut self, batch: &[Request]) -> Result<(), StoreError> {
        let fresh: Table = {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            let new = batch.iter().filter(|request| !table.contains_key(&request.mark));
            new.map(|request| (request.mark, request.until)).collect()
        };
        if fresh.is_empty() {
            return Ok(());
        }
        self.make_room(fresh.len(), batch.iter().map(|request| request.now).max().unwrap_or(i64::MIN))?;
        if let Some(disk) = &mut self.disk {
            disk.append(&text(&fresh))?;
        }
        self.table.write().unwrap_or_else(PoisonError::into_inner).extend(fresh);
        Ok(())
    }

    fn make_room(&mut self, count: usize, now: i64) -> Result<(), StoreError> {
        let is_full =
            |table: &RwLock<Table>| table.read().unwrap_or_else(PoisonError::into_inner).len() + count > REVOCATIONS;
        if is_full(&self.table) && self.swept.saturating_add(SWEEP_PAUSE) <= now {
            self.swept = now;
            let left = {
                let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
                table.retain(|_, until| *until > now);
                text(&table)
            };
            if let Some(disk) = &mut self.disk {
                disk.rewrite(&left)?;
            }
        }
        if is_full(&self.table) {
            return Err(StoreError::new(NAME.into(), "is full; shorten session.ttl"));
        }
        Ok(())
    }
}

/// The file, its good length, and whether there may be more behind that.
struct Disk {
    folder: Folder,
    file: File,
    length: u64,
    torn: bool,
}

impl Disk {
    /// All of `text` or none of it: half a line would be continued by the next one.
    fn append(&mut self, text: &str) -> Result<(), StoreError> {
        let written = self.write(text).and_then(|()| {
            if self.folder.holds(NAME, &self.file) {
                return Ok(());
            }
            Err(io::Error::other("was moved or replaced while max-auth runs; put it back, or restart max-auth"))
        });
        match written {
            Ok(()) => self.length += text.len() as u64,
            Err(error) => {
                self.torn = self.file.set_len(self.length).is_err();
                return Err(StoreError::new(self.folder.file(NAME), error));
            }
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()
    }

    fn rewrite(&mut self, text: &str) -> Result<(), StoreError> {
        self.folder.replace(NAME, text.as_bytes())?;
        let file = self.folder.open_existing(NAME, OpenOptions::new().append(true))?;
        self.file = file.ok_or_else(|| StoreError::new(self.folder.file(NAME), "is gone"))?;
        (self.length, self.torn) = (text.len() as u64, false);
        Ok(())
    }
}

fn text(table: &Table) -> String {
    table.iter().map(|(mark, until)| format!("{} {until}\n", id::encode(mark))).collect()
}

/// What a list on disk says.
pub(super) struct List {
    pub(super) table: Table,
    /// Lines that do not count any more.
    over: usize,
    /// Bytes of whole lines: a crash in the middle of the last write leaves half a line, whose logout was never answered.
    pub(super) whole: usize,
}

/// Lines that cannot be read are refused rather than skipped (the error is their number): skipping one would bring a
/// session back.
pub(super) fn parse(text: &str, now: i64) -> Result<List, usize> {
    let whole = text.rfind('\n').map_or(0, |last| last + 1);
    let (mut table, mut over) = (Table::new(), 0);
    for (index, line) in text[..whole].lines().enumerate() {
        let parsed = line
            .split_once(' ')
            .and_then(|(mark, until)| Some((Mark::try_from(id::decode(mark)?).ok()?, until.parse::<i64>().ok()?)));
        match parsed {
            Some((mark, until)) if until > now => _ = table.insert(mark, until),
            Some(_) => over += 1,
            None => return Err(index + 1),
        }
    }
    Ok(List { table, over, whole })
}

/// The table, and the file open for appending behind its last whole line.
fn read(folder: &Folder, now: i64) -> Result<(Table, File, u64), StoreError> {
    let wrong = |why: io::Error| StoreError::new(folder.file(NAME), why);
    let mut options = OpenOptions::new();
    let options = options.read(true).append(true);
    let Some(mut file) = folder.open_existing(NAME, options)? else {
        folder.replace(NAME, b"")?;
        let file = folder.open_existing(NAME, options)?.ok_or_else(|| wrong(io::ErrorKind::NotFound.into()))?;
        return Ok((Table::new(), file, 0));
    };
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(wrong)?;
    let List { table, over, whole } = parse(&text, now).map_err(|line| {
        let why = format!("line {line} is damaged; remove the line (or the file: ended sessions come back)");
        StoreError::new(folder.file(NAME), why)
    })?;
    if whole < text.len() {
        file.set_len(whole as u64).map_err(wrong)?;
    }
    let mut disk = (file, whole as u64);
    if over > table.len() {
        disk = shortened(folder, &table, disk);
    }
    Ok((table, disk.0, disk.1))
}

/// Without what is over. A disk that is too full for that is no reason not to start.
fn shortened(folder: &Folder, table: &Table, disk: (File, u64)) -> (File, u64) {
    let text = text(table);
    let reopened = folder
        .replace(NAME, text.as_bytes())
        .and_then(|()| folder.open_existing(NAME, OpenOptions::new().append(true)));
    match reopened {
        Ok(Some(file)) => (file, text.len() as u64),
        Ok(None) => disk,
        Err(error) => {
            tracing::warn!("the list of ended sessions stays longer than it need be: {error}");
            disk
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    const LATER: i64 = 1_000;

    fn open(path: &Path) -> Result<Ended, String> {
        Folder::open(path).and_then(|folder| Ended::open(folder, 0)).map_err(|error| error.to_string())
    }

    fn session(number: u32) -> Fingerprint {
        Fingerprint::of(&number.to_be_bytes())
    }

    /// Waits until the thread of a dropped list has let go of the folder.
    fn reopened(path: &Path, ended: Ended) -> Ended {
        drop(ended);
        loop {
            match open(path) {
                Err(error) if error.contains("in use") => std::thread::yield_now(),
                other => return other.unwrap(),
            }
        }
    }

    fn lines(path: &Path) -> usize {
        fs::read_to_string(path.join(NAME)).unwrap().lines().count()
    }

    #[tokio::test]
    async fn one_session_is_written_once_however_often_it_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let ended = open(directory.path()).unwrap();
        let one = session(1);
        let again = std::array::from_fn::<_, 50, _>(|_| ended.end(&one, LATER, 0));
        for outcome in futures_util::future::join_all(again).await {
            outcome.unwrap();
        }
        ended.end(&session(1), LATER, 0).await.unwrap();
        ended.end(&session(2), 5, 5).await.unwrap();
        assert_eq!(lines(directory.path()), 1, "what is over by itself is not written either");
        let ended = reopened(directory.path(), ended);
        assert!(ended.contains(&session(1)) && !ended.contains(&session(2)));
    }

    #[tokio::test]
    async fn half_a_line_of_a_crash_is_cut_off_and_not_continued() {
        let directory = tempfile::tempdir().unwrap();
        let ended = open(directory.path()).unwrap();
        ended.end(&session(1), LATER, 0).await.unwrap();
        let path = directory.path().join(NAME);
        let ended = {
            let whole = fs::read_to_string(&path).unwrap();
            drop(ended);
            fs::write(&path, format!("{whole}{}", &whole[..whole.len() / 2])).unwrap();
            reopened(directory.path(), Ended::in_memory().unwrap())
        };
        ended.end(&session(2), LATER, 0).await.unwrap();
        let ended = reopened(directory.path(), ended);
        assert!(ended.contains(&session(1)) && ended.contains(&session(2)));
    }

    #[tokio::test]
    async fn a_folder_that_was_moved_away_ends_nothing_and_works_again_when_it_is_back() {
        let directory = tempfile::tempdir().unwrap();
        let (state, moved) = (directory.path().join("state"), directory.path().join("moved"));
        let ended = open(&state).unwrap();
        ended.end(&session(3), LATER, 0).await.unwrap();
        fs::rename(&state, &moved).unwrap();
        let error = ended.end(&session(1), LATER, 0).await.unwrap_err().to_string();
        assert!(error.contains("was moved"), "{error}");
        assert!(!ended.contains(&session(1)));
        assert_eq!(lines(&moved), 1, "undone, and no more than that");
        fs::create_dir(&state).unwrap();
        fs::write(state.join(NAME), "").unwrap();
        assert!(ended.end(&session(1), LATER, 0).await.is_err(), "another file in its place");
        fs::remove_dir_all(&state).unwrap();
        fs::rename(&moved, &state).unwrap();
        ended.end(&session(1), LATER, 0).await.unwrap();
        let ended = reopened(&state, ended);
        assert!(ended.contains(&session(1)) && ended.contains(&session(3)));
    }

    #[test]
    fn a_list_says_what_still_counts_and_where_it_is_damaged() {
        let mark = |number: u8| id::encode(&[number; size_of::<Mark>()]);
        let lines = format!("{} 5\n{} 6\n{} 7\n", mark(1), mark(2), mark(3));
        let Ok(list) = parse(&format!("{lines}{} 8", mark(4)), 5) else { panic!() };
        let until: Vec<i64> = list.table.into_values().collect();
        assert!(until.len() == 2 && until.contains(&6) && until.contains(&7), "{until:?}");
        assert_eq!((list.over, list.whole), (1, lines.len()), "half a line does not count");
        for damaged in ["x 9".to_owned(), mark(4), format!("{} x", mark(4)), format!("{}9", mark(4))] {
            assert_eq!(parse(&format!("{lines}{damaged}\n"), 5).err(), Some(4), "{damaged}");
        }
    }

    #[test]
    fn a_damaged_line_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(NAME), "garbage\n").unwrap();
        let error = open(directory.path()).err().unwrap();
        assert!(error.contains("line 1 is damaged"), "{error}");
    }

    #[tokio::test]
    async fn what_is_over_is_left_out_when_it_is_the_most() {
        let directory = tempfile::tempdir().unwrap();
        let mut ended = open(directory.path()).unwrap();
        for number in 0..4 {
            ended.end(&session(number), LATER, 0).await.unwrap();
        }
        let path = directory.path().join(NAME);
        let text = fs::read_to_string(&path).unwrap();
        drop(ended);
        fs::write(&path, text.replacen(" 1000", " -1", 3)).unwrap();
        ended = reopened(directory.path(), Ended::in_memory().unwrap());
        assert_eq!(lines(directory.path()), 1);
        ended.end(&session(9), LATER, 0).await.unwrap();
        assert_eq!(lines(directory.path()), 2, "goes on in the new file");
    }
}
