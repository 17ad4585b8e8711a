//! The directory of `store.path`: `session.key` (32 random bytes, mode 0600), `store.redb` and `lock`, which keeps a second
//! process out. No symbolic link is followed in it.

use crate::base::rng::Rng;
use rustix::fs::{FlockOperation, OFlags, flock};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

pub const KEY: &str = "session.key";
pub const LOCK: &str = "lock";

/// What is wrong with the directory, and what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("store.path: {path}: {why}")]
pub struct FolderError {
    path: PathBuf,
    why: String,
}

impl FolderError {
    pub fn new(path: PathBuf, why: impl ToString) -> Self {
        Self { path, why: why.to_string() }
    }
}

/// The directory, held by this process alone.
pub struct Folder {
    path: PathBuf,
    /// Of the directory itself: a rename is safe once it is written down there.
    directory: File,
    /// Let go by the operating system when this process ends, in whatever way.
    _lock: File,
}

impl Folder {
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let wrong = |what: &str, error: io::Error| FolderError::new(path.to_owned(), format!("{what}: {error}"));
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| wrong("cannot be made", error))?;
        let directory = File::open(path).map_err(|error| wrong("cannot be opened", error))?;
        let mut options = OpenOptions::new();
        let lock = open(&path.join(LOCK), options.read(true).write(true).create(true))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), directory, _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(FolderError::new(
                path.to_owned(),
                "is in use by another max-auth; stop that one, or give this one a directory of its own",
            )),
            Err(error) => Err(wrong("cannot be locked", error.into())),
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The key that seals sessions: read, or made on first use.
    pub fn key(&self, rng: &Rng) -> Result<Zeroizing<[u8; 32]>, FolderError> {
        let path = self.file(KEY);
        let wrong = |why: io::Error| FolderError::new(path.clone(), why);
        let mut key = Zeroizing::new([0; 32]);
        let Some(mut file) = self.open_existing(KEY, OpenOptions::new().read(true))? else {
            *key = rng.bytes();
            self.replace(KEY, &key[..])?;
            return Ok(key);
        };
        let metadata = file.metadata().map_err(wrong)?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "the session key could be read by others (mode {mode:o}); set to 0600");
            file.set_permissions(Permissions::from_mode(0o600)).map_err(wrong)?;
        }
        if metadata.len() != 32 {
            return Err(FolderError::new(
                path,
                "is not a key of 32 bytes; move it away to get a new one (everybody is signed out)",
            ));
        }
        file.read_exact(&mut key[..]).map_err(wrong)?;
        Ok(key)
    }

    /// Made with mode 0600 where there is none.
    pub fn open_or_make(&self, name: &str, options: &mut OpenOptions) -> Result<File, FolderError> {
        open(&self.file(name), options.create(true))
    }

    /// `None` when there is no such file.
    pub fn open_existing(&self, name: &str, options: &mut OpenOptions) -> Result<Option<File>, FolderError> {
        let path = self.file(name);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            _ => open(&path, options).map(Some),
        }
    }

    /// As if it had never been there, also after a crash.
    pub fn remove(&self, name: &str) -> Result<(), FolderError> {
        let wrong = |error: io::Error| FolderError::new(self.file(name), format!("cannot be removed: {error}"));
        match fs::remove_file(self.file(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(wrong(error)),
            _ => self.directory.sync_all().map_err(wrong),
        }
    }

    /// Writes a file whole or not at all, over what is there.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let (path, fresh) = (self.file(name), self.file(&format!("{name}.new")));
        let written = || -> io::Result<()> {
            // What an earlier crash left, whatever it is.
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(bytes).and_then(|()| file.sync_all())?;
            fs::rename(&fresh, &path)?;
            self.directory.sync_all()
        };
        written().map_err(|error| {
            let _ = fs::remove_file(&fresh);
            FolderError::new(path.clone(), format!("cannot be written: {error}"))
        })
    }

    /// Whether the file under this name is still the one that is open.
    pub fn holds(&self, name: &str, file: &File) -> bool {
        let same =
            |here: fs::Metadata| file.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (here.dev(), here.ino()));
        fs::symlink_metadata(self.file(name)).is_ok_and(same)
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> Result<File, FolderError> {
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path).map_err(|error| {
        if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
            return FolderError::new(
                path.to_owned(),
                "is a symbolic link, and none is followed here; put the file itself",
            );
        }
        FolderError::new(path.to_owned(), error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn key(path: &Path) -> Result<[u8; 32], String> {
        let key = Folder::open(path).and_then(|folder| folder.key(&Rng::system()));
        key.map(|key| *key).map_err(|error| error.to_string())
    }

    #[test]
    fn the_key_is_private_and_stays_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let first = key(&state).unwrap();
        let path = state.join(KEY);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(first, key(&state).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "mended");
    }

    #[test]
    fn a_short_key_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(KEY), "short").unwrap();
        let error = key(directory.path()).unwrap_err();
        assert!(error.contains("move it away"), "{error}");
    }

    #[test]
    fn what_a_crash_left_of_a_key_is_no_key() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("session.key.new"), "half").unwrap();
        let made = key(directory.path()).unwrap();
        assert_eq!(made, key(directory.path()).unwrap());
    }

    #[test]
    fn a_second_process_is_refused_and_a_dead_one_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let first = Folder::open(directory.path()).unwrap();
        let error = Folder::open(directory.path()).err().unwrap().to_string();
        assert!(error.contains("in use") && error.contains(&directory.path().display().to_string()), "{error}");
        drop(first);
        assert!(Folder::open(directory.path()).is_ok());
    }

    #[test]
    fn no_symbolic_link_is_followed() {
        let elsewhere = tempfile::tempdir().unwrap();
        let theirs = elsewhere.path().join("theirs");
        fs::write(&theirs, [7; 32]).unwrap();
        for name in [KEY, LOCK] {
            let directory = tempfile::tempdir().unwrap();
            symlink(&theirs, directory.path().join(name)).unwrap();
            let error = key(directory.path()).unwrap_err();
            assert!(error.contains("symbolic link"), "{error}");
        }
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(LOCK)).unwrap();
        let error = key(directory.path()).unwrap_err();
        assert!(!error.contains("symbolic link"), "what is a folder is no link: {error}");
        let directory = tempfile::tempdir().unwrap();
        symlink(&theirs, directory.path().join("session.key.new")).unwrap();
        assert_ne!(key(directory.path()).unwrap(), [7; 32]);
        assert_eq!(fs::read(&theirs).unwrap(), [7; 32], "not written through");
    }
}
