//! The rows on disk: one redb file in the folder of `store.path`. After a failed write redb answers nothing until it is
//! opened again, so it is.

use super::Unavailable;
use super::folder::{Folder, FolderError};
use super::key::{Key, Space};
use super::rules::Row;
use redb::TableDefinition;
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, Durability, ReadOnlyDatabase, ReadableDatabase as _, ReadableTableMetadata as _};
use rustix::fs::fstatvfs;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

const NAME: &str = "store.redb";

/// A key, and Unix milliseconds before its value.
const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");

/// Unix milliseconds before a key: what is over, the oldest first.
const ORDER: TableDefinition<&[u8], ()> = TableDefinition::new("order");

/// Pages that redb keeps in memory, in bytes: logins of the last minutes.
const CACHE: usize = 16 * 1024 * 1024;

/// Free bytes of the volume below which nothing is written: a commit copies the pages that it touches.
pub const RESERVE: u64 = 4 * 1024 * 1024;

/// A file of so many bytes that is nearly empty is made smaller when it is opened: less is not worth the time.
const COMPACT_ABOVE: u64 = 64 * 1024 * 1024;

/// Bytes of the file for each row, about: a login and its grant take 7 KiB.
const ROW: u64 = 4 * 1024;

/// How a disk says that it takes no more.
const NO_ROOM: [ErrorKind; 3] = [ErrorKind::StorageFull, ErrorKind::FileTooLarge, ErrorKind::QuotaExceeded];

/// Rows by their keys; `None` is a row that goes.
pub type Changes = HashMap<Key, Option<Row>>;

pub struct Disk {
    /// None while it could not be opened again. Closed before the folder is let go.
    database: RwLock<Option<Opened>>,
    folder: Arc<Folder>,
}

#[derive(Clone)]
struct Opened {
    database: Arc<Database>,
    /// The same file, to be asked of its volume and its name.
    file: Arc<File>,
}

impl Disk {
    /// The file in the folder.
    pub const NAME: &str = NAME;

    /// Rows of a file that nobody has open, without changing it; `None` where it was not closed and is to be mended.
    pub fn count(path: &Path) -> Result<Option<u64>, String> {
        let read = || -> Result<Option<u64>, redb::Error> {
            let database = match ReadOnlyDatabase::open(path) {
                Err(DatabaseError::RepairAborted) => return Ok(None),
                opened => opened?,
            };
            Ok(Some(database.begin_read()?.open_table(ROWS)?.len()?))
        };
        read().map_err(|error| error.to_string())
    }

    pub fn open(folder: Arc<Folder>) -> Result<Self, FolderError> {
        let mut opened = Opened::new(&folder)?;
        if opened.is_mostly_empty(COMPACT_ABOVE) {
            opened = opened.compacted(&folder)?;
        }
        let disk = Self { folder, database: RwLock::new(Some(opened)) };
        // Whoever owned a log does not live any more: the folder is locked.
        let nodes = Changes::from([(Key::only(Space::Nodes), None)]);
        // A disk that is full is no reason not to start.
        if let Err(error) = disk.commit(&nodes) {
            tracing::warn!("{error}");
        }
        Ok(disk)
    }

    pub fn path(&self) -> PathBuf {
        self.folder.file(NAME)
    }

    fn opened(&self) -> Result<Opened, Unavailable> {
        let opened = self.database.read().unwrap_or_else(PoisonError::into_inner).clone();
        opened.ok_or_else(|| Unavailable::OutOfReach(format!("{} could not be opened again", self.path().display())))
    }

    fn wrong(&self, error: impl std::fmt::Display) -> Unavailable {
        Unavailable::OutOfReach(format!("{}: {error}", self.path().display()))
    }

    pub fn get(&self, key: &Key) -> Result<Option<Row>, Unavailable> {
        let read = || -> Result<Option<Row>, redb::Error> {
            let Ok(opened) = self.opened() else { return Err(redb::Error::PreviousIo) };
            let rows = opened.database.begin_read()?.open_table(ROWS)?;
            let row = rows.get(&key.bytes()[..])?;
            Ok(row.and_then(|row| decode(row.value())))
        };
        read().map_err(|error| self.wrong(error))
    }

    /// Keys of rows that are over at `now`, so many at most.
    pub fn over(&self, now: i64, most: usize) -> Result<Vec<Key>, Unavailable> {
        let read = || -> Result<Vec<Key>, redb::Error> {
            let Ok(opened) = self.opened() else { return Err(redb::Error::PreviousIo) };
            let order = opened.database.begin_read()?.open_table(ORDER)?;
            let mut over = Vec::new();
            for entry in order.range::<&[u8]>(..&moment(now)[..])?.take(most) {
                over.extend(Key::parse(entry?.0.value().get(8..).unwrap_or_default()));
            }
            Ok(over)
        };
        read().map_err(|error| self.wrong(error))
    }

    /// All of it, or nothing. On disk when this returns.
    pub fn commit(&self, changes: &Changes) -> Result<(), Unavailable> {
        if self.database.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.reopen()?;
        }
        let opened = self.opened()?;
        if let Ok(volume) = fstatvfs(&*opened.file)
            && volume.f_bavail.saturating_mul(volume.f_frsize) < RESERVE
        {
            return Err(Unavailable::Full(format!("no room on the volume of {}", self.path().display())));
        }
        if !self.folder.holds(NAME, &opened.file) {
            let why = "was moved or replaced while max-auth runs; put it back, or restart max-auth";
            return Err(self.wrong(why));
        }
        let written = write(&opened.database, changes);
        drop(opened);
        written.map_err(|error| {
            let failed = match &error {
                redb::Error::Io(io) if NO_ROOM.contains(&io.kind()) => {
                    Unavailable::Full(format!("{}: {error}", self.path().display()))
                }
                _ => self.wrong(&error),
            };
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
            // For whoever reads; the next commit tries again.
            let _ = self.reopen();
            failed
        })
    }

    fn reopen(&self) -> Result<(), Unavailable> {
        let opened = Opened::new(&self.folder).map_err(|error| Unavailable::OutOfReach(error.to_string()))?;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(())
    }
}

impl Opened {
    fn new(folder: &Folder) -> Result<Self, FolderError> {
        let wrong = |error: &dyn std::fmt::Display| FolderError::new(folder.file(NAME), error);
        let file = folder.open_or_make(NAME, OpenOptions::new().read(true).write(true))?;
        let held = file.try_clone().map_err(|error| wrong(&error))?;
        let database = Database::builder()
            .set_cache_size(CACHE)
            .create_with_backend(FileBackend::new(file).map_err(|error| wrong(&error))?)
            .map_err(|error| wrong(&error))?;
        let opened = || -> Result<(), redb::Error> {
            let tables = database.begin_write()?;
            tables.open_table(ROWS)?;
            tables.open_table(ORDER)?;
            tables.commit()?;
            Ok(())
        };
        opened().map_err(|error| wrong(&error))?;
        Ok(Self { database: Arc::new(database), file: Arc::new(held) })
    }

    /// What a storm took is free for what comes, but the file keeps it.
    fn is_mostly_empty(&self, above: u64) -> bool {
        let rows = || -> Result<u64, redb::Error> { Ok(self.database.begin_read()?.open_table(ROWS)?.len()?) };
        let size = self.file.metadata().map_or(0, |file| file.len());
        rows().is_ok_and(|rows| is_mostly_empty(size, rows, above))
    }

    /// Before anybody else has it. A file that cannot be made smaller is used as it is.
    fn compacted(mut self, folder: &Folder) -> Result<Self, FolderError> {
        let Some(database) = Arc::get_mut(&mut self.database) else { return Ok(self) };
        match database.compact() {
            Ok(_) => return Ok(self),
            Err(error) => tracing::warn!("{} could not be made smaller: {error}", folder.file(NAME).display()),
        }
        // After a failed write redb answers nothing until it is opened again.
        drop(self);
        Self::new(folder)
    }
}

fn is_mostly_empty(size: u64, rows: u64, above: u64) -> bool {
    size > above && rows.saturating_mul(ROW) < size / 4
}

fn write(database: &Database, changes: &Changes) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        let (mut rows, mut order) = (transaction.open_table(ROWS)?, transaction.open_table(ORDER)?);
        for (key, row) in changes {
            let name = key.bytes();
            let before = match row {
                Some(row) => {
                    order.insert(&place(row.until, key)[..], ())?;
                    rows.insert(&name[..], &encode(row)[..])?.and_then(|before| decode(before.value()))
                }
                None => rows.remove(&name[..])?.and_then(|before| decode(before.value())),
            };
            let until = row.as_ref().map(|row| row.until);
            if let Some(before) = before.filter(|before| Some(before.until) != until) {
                order.remove(&place(before.until, key)[..])?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn moment(unix_ms: i64) -> [u8; 8] {
    // As unsigned, so that bytes are in the order of time.
    unix_ms.max(0).unsigned_abs().to_be_bytes()
}

fn place(until: i64, key: &Key) -> Vec<u8> {
    [&moment(until)[..], &key.bytes()[..]].concat()
}

fn encode(row: &Row) -> Vec<u8> {
    [&row.until.to_be_bytes()[..], &row.value[..]].concat()
}

fn decode(bytes: &[u8]) -> Option<Row> {
    let (until, value) = bytes.split_at_checked(8)?;
    Some(Row { until: i64::from_be_bytes(until.try_into().ok()?), value: value.to_vec().into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Key;
    use std::fs;

    #[test]
    fn a_file_that_is_mostly_empty_is_made_smaller_and_keeps_what_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::open(directory.path()).unwrap());
        let key = |number: u32| Key::of(Space::Grant, &[&number.to_be_bytes()]);
        let row = || Some(Row { value: vec![7; 8000].into(), until: 1_000 });
        let size = || fs::metadata(directory.path().join(NAME)).unwrap().len();
        let disk = Disk::open(Arc::clone(&folder)).unwrap();
        disk.commit(&(0..1000).map(|number| (key(number), row())).collect()).unwrap();
        let large = size();
        assert!(large > 8_000_000);
        assert!(!disk.opened().unwrap().is_mostly_empty(1_000_000), "it is full");
        disk.commit(&(1..1000).map(|number| (key(number), None)).collect()).unwrap();
        drop(disk);
        let opened = Opened::new(&folder).unwrap();
        assert!(!opened.is_mostly_empty(large * 2), "not worth it");
        assert!(opened.is_mostly_empty(1_000_000));
        drop(opened.compacted(&folder).unwrap());
        assert!(size() < large / 4, "{} of {large}", size());
        assert_eq!(Disk::open(folder).unwrap().get(&key(0)).unwrap(), row());
    }

    #[test]
    fn mostly_empty_is_less_than_a_quarter_of_what_is_large() {
        let quarter = ROW * 10;
        for (size, rows, above, empty) in [
            (quarter * 4, 10, 0, false),
            (quarter * 4, 9, 0, true),
            (quarter * 4, 9, quarter * 4, false),
            (quarter * 4, 9, quarter * 4 - 1, true),
            (quarter * 4 + 4, 10, 0, true),
            (u64::MAX, u64::MAX, 0, false),
        ] {
            assert_eq!(is_mostly_empty(size, rows, above), empty, "{rows} rows in {size}, above {above}");
        }
    }
}
