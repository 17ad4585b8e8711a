//! What the doctor sees of the directory of `store.path`, whether or not a server holds it. Only what was seen.

use super::disk::{Disk, RESERVE};
use super::folder::{KEY, LOCK};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat, statfs, statvfs, unlinkat};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Small writes whose way to the disk is timed, and how long they may take together.
const WRITES: usize = 50;
const WRITES_TIME: Duration = Duration::from_secs(6);

/// Bytes of one: a page, as redb writes them.
const PAGE: [u8; 4096] = [0; 4096];

pub struct FolderLook {
    pub path: PathBuf,
    /// Where `path` is not there yet, the nearest folder that is: `serve` makes the rest.
    pub looked_at: PathBuf,
    /// It is a folder at all.
    pub is_folder: bool,
    pub owner: u32,
    pub mode: u32,
    /// Who looks.
    pub us: u32,
    pub filesystem: Filesystem,
    /// Bytes that we may still write; `None` where nobody knows.
    pub free: Option<u64>,
    /// Bytes below which nothing is written.
    pub reserve: u64,
    pub lock: Lock,
    /// Of a page and its way to the disk, one after the other; or why there is no writing.
    pub writes: Result<Vec<Duration>, String>,
    /// Bytes of `store.redb`.
    pub bytes: Option<u64>,
    pub rows: Rows,
    /// `session.key`.
    pub key: KeyLook,
}

/// What keeps the folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filesystem {
    Local,
    /// In memory: gone with the machine, or the container.
    Memory,
    /// The upper layer of a container: gone with it.
    Overlay,
    /// On another machine, where locks and syncs are promises.
    Network(&'static str),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lock {
    Free,
    /// A server runs.
    Held,
    Unknown(String),
}

/// What is in `store.redb`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rows {
    /// There is no such file, or a server has it open.
    NotLooked,
    Count(u64),
    /// The last server was killed; the next one mends it.
    Unclean,
    Broken(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyLook {
    pub path: PathBuf,
    /// Mode and length; `None` where there is none.
    pub file: Option<(u32, u64)>,
}

impl KeyLook {
    pub fn of(path: &Path) -> Self {
        let file = fs::metadata(path).ok().map(|file| (file.permissions().mode() & 0o777, file.len()));
        Self { path: path.to_owned(), file }
    }
}

/// Looks without changing anything but a file of its own, which it removes. Blocks.
pub fn look_at_folder(path: &Path) -> FolderLook {
    let there = |path: &Path| fs::metadata(path).ok();
    let looked_at = path.ancestors().find(|path| there(path).is_some()).unwrap_or(Path::new("."));
    let looked_at = if looked_at.as_os_str().is_empty() { Path::new(".") } else { looked_at };
    let found = there(looked_at);
    let is_folder = found.as_ref().is_some_and(fs::Metadata::is_dir);
    let exists = looked_at == path;
    let lock = if exists { lock(path) } else { Lock::Free };
    let free = statvfs(looked_at).ok().map(|volume| volume.f_bavail.saturating_mul(volume.f_frsize));
    let room = free.is_none_or(|free| free >= RESERVE);
    let bytes = there(&path.join(Disk::NAME)).map(|file| file.len());
    FolderLook {
        path: path.to_owned(),
        looked_at: looked_at.to_owned(),
        is_folder,
        owner: found.as_ref().map_or(0, |found| found.uid()),
        mode: found.as_ref().map_or(0, |found| found.permissions().mode() & 0o7777),
        us: rustix::process::geteuid().as_raw(),
        filesystem: filesystem(looked_at),
        free,
        reserve: RESERVE,
        writes: match is_folder {
            true => writes(looked_at, room).map_err(|error| error.to_string()),
            false => Err("it is not a folder".to_owned()),
        },
        rows: match (&lock, bytes) {
            (Lock::Free, Some(_)) => rows(path),
            _ => Rows::NotLooked,
        },
        lock,
        bytes,
        key: KeyLook::of(&path.join(KEY)),
    }
}

/// Numbers of Linux' `statfs`.
fn filesystem(path: &Path) -> Filesystem {
    let Ok(found) = statfs(path) else { return Filesystem::Local };
    // Its type differs between machines; the number fits in 32 bits everywhere.
    of_magic(found.f_type as u32)
}

fn of_magic(magic: u32) -> Filesystem {
    match magic {
        0x0102_1994 | 0x8584_58f6 => Filesystem::Memory,
        0x794c_7630 => Filesystem::Overlay,
        0x6969 => Filesystem::Network("NFS"),
        0x517b | 0xfe53_4d42 | 0xff53_4d42 => Filesystem::Network("SMB"),
        0x0102_1997 => Filesystem::Network("9p"),
        0x6573_5546 => Filesystem::Network("FUSE"),
        0x00c3_6400 => Filesystem::Network("Ceph"),
        _ => Filesystem::Local,
    }
}

/// Whether a server holds it. Taken for an instant where it is free.
fn lock(path: &Path) -> Lock {
    let file = match File::open(path.join(LOCK)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Lock::Free,
        Err(error) => return Lock::Unknown(error.to_string()),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Lock::Free,
        Err(rustix::io::Errno::WOULDBLOCK) => Lock::Held,
        Err(error) => Lock::Unknown(error.to_string()),
    }
}

/// Each page down to the disk, in a file that no name leads to any more.
fn writes(folder: &Path, room: bool) -> std::io::Result<Vec<Duration>> {
    let name = format!(".doctor-{}", std::process::id());
    let directory = File::open(folder)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(&directory, &name, flags, Mode::RUSR | Mode::WUSR)?);
    unlinkat(&directory, &name, rustix::fs::AtFlags::empty())?;
    let (mut times, began) = (Vec::with_capacity(WRITES), Instant::now());
    while room && times.len() < WRITES && began.elapsed() < WRITES_TIME {
        let before = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        times.push(before.elapsed());
    }
    Ok(times)
}

/// Held like a server would, so that none begins meanwhile.
fn rows(path: &Path) -> Rows {
    let Ok(held) = File::open(path.join(LOCK)) else { return Rows::NotLooked };
    if flock(&held, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Rows::NotLooked;
    }
    match Disk::count(&path.join(Disk::NAME)) {
        Ok(Some(count)) => Rows::Count(count),
        Ok(None) => Rows::Unclean,
        Err(why) => Rows::Broken(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::base::rng::Rng;
    use crate::store::{FileStore, Folder};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_folder_is_seen_with_and_without_its_server() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/state");
        let look = look_at_folder(&path);
        assert_eq!((look.looked_at.as_path(), look.is_folder), (directory.path(), true));
        assert_eq!((look.lock, look.rows, look.key.file, look.bytes), (Lock::Free, Rows::NotLooked, None, None));
        assert_eq!(look.writes.unwrap().len(), 50);
        assert!(!path.exists(), "nothing is made");

        let folder = Arc::new(Folder::open(&path).unwrap());
        folder.key(&Rng::system()).unwrap();
        let store = FileStore::open(Arc::clone(&folder), Clock::system()).unwrap();
        let look = look_at_folder(&path);
        assert_eq!((look.lock, look.rows, look.looked_at), (Lock::Held, Rows::NotLooked, path.clone()));
        assert_eq!((look.key.file, look.mode, look.owner), (Some((0o600, 32)), 0o700, look.us));
        drop((store, folder));
        // Its thread closes the file.
        let until = Instant::now() + Duration::from_secs(5);
        while look_at_folder(&path).rows != Rows::Count(0) {
            assert!(Instant::now() < until, "{:?}", look_at_folder(&path).rows);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(Folder::open(&path).is_ok(), "the doctor let it go");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 3, "key, lock, store and nothing of ours");

        fs::write(path.join(Disk::NAME), vec![7; 8192]).unwrap();
        assert!(matches!(look_at_folder(&path).rows, Rows::Broken(_)), "{:?}", look_at_folder(&path).rows);
    }

    #[test]
    fn a_folder_that_takes_nothing_says_why() {
        // Also root may make no file there.
        let look = look_at_folder(Path::new("/proc/self"));
        assert!(look.is_folder && look.writes.is_err(), "{:?}", look.writes);
        let file = tempfile::NamedTempFile::new().unwrap();
        let look = look_at_folder(file.path());
        assert_eq!((look.is_folder, look.writes), (false, Err("it is not a folder".to_owned())));
    }

    #[test]
    fn a_volume_in_memory_is_known() {
        assert_eq!(filesystem(Path::new("/dev/shm")), Filesystem::Memory);
        for (magic, filesystem) in [
            (0x0102_1994, Filesystem::Memory),
            (0x8584_58f6, Filesystem::Memory),
            (0x794c_7630, Filesystem::Overlay),
            (0x6969, Filesystem::Network("NFS")),
            (0x517b, Filesystem::Network("SMB")),
            (0xfe53_4d42, Filesystem::Network("SMB")),
            (0xff53_4d42, Filesystem::Network("SMB")),
            (0x0102_1997, Filesystem::Network("9p")),
            (0x6573_5546, Filesystem::Network("FUSE")),
            (0x00c3_6400, Filesystem::Network("Ceph")),
            (0xef53, Filesystem::Local),
        ] {
            assert_eq!(of_magic(magic), filesystem, "{magic:#x}");
        }
    }
}
