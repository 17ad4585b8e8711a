//! The directory of `store.path`: `session.key` (32 random bytes, mode 0600) and `ended-sessions`, a line for each
//! session that was ended before its time.

use crate::base::id::{self, Fingerprint};
use crate::base::limits::REVOCATIONS;
use crate::base::rng::Rng;
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

const KEY: &str = "session.key";
const ENDED: &str = "ended-sessions";

/// Bytes of a fingerprint that are kept: 128 bits tell sessions apart.
const MARK: usize = 16;

/// What is wrong with the directory, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("store.path: {path}: {why}")]
pub struct StoreError {
    path: PathBuf,
    why: String,
}

impl StoreError {
    pub fn key(directory: &Path) -> Self {
        Self::new(
            directory.join(KEY),
            "is not a key of 32 bytes; move it away to get a new one (everybody is signed out)",
        )
    }

    fn new(path: PathBuf, why: impl ToString) -> Self {
        Self { path, why: why.to_string() }
    }
}

pub struct Files {
    ended: Mutex<Ended>,
    path: PathBuf,
}

/// Ended sessions and when they would have ended by themselves (Unix seconds).
struct Ended {
    until: HashMap<[u8; MARK], i64>,
    file: File,
}

impl Files {
    pub fn open(directory: &Path, rng: &Rng, now: i64) -> Result<(Self, Zeroizing<[u8; 32]>), StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| StoreError::new(directory.to_owned(), format!("cannot be made: {error}")))?;
        let key = key(directory, rng)?;
        let path = directory.join(ENDED);
        let until = read_ended(&path, now)?;
        let file = write_ended(&path, &until)?;
        Ok((Self { ended: Mutex::new(Ended { until, file }), path }, key))
    }

    pub fn is_ended(&self, session: &Fingerprint) -> bool {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).until.contains_key(&mark(session))
    }

    /// On disk before this returns: a logout that a crash could undo is none.
    pub fn end(&self, session: &Fingerprint, until: i64, now: i64) -> Result<(), StoreError> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.until.len() >= REVOCATIONS {
            ended.until.retain(|_, until| *until > now);
            ended.file = write_ended(&self.path, &ended.until)?;
            if ended.until.len() >= REVOCATIONS {
                return Err(StoreError::new(self.path.clone(), "is full; shorten session.ttl"));
            }
        }
        let mark = mark(session);
        ended.until.insert(mark, until);
        let line = line(&mark, until);
        let written = ended.file.write_all(line.as_bytes()).and_then(|()| ended.file.sync_data());
        written.map_err(|error| StoreError::new(self.path.clone(), error))
    }
}

fn mark(session: &Fingerprint) -> [u8; MARK] {
    let mut mark = [0; MARK];
    mark.copy_from_slice(&session.bytes()[..MARK]);
    mark
}

fn line(mark: &[u8; MARK], until: i64) -> String {
    format!("{} {until}\n", id::encode(mark))
}

fn key(directory: &Path, rng: &Rng) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let path = directory.join(KEY);
    let wrong = |why: std::io::Error| StoreError::new(path.clone(), why);
    let mut key = Zeroizing::new([0; 32]);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            *key = rng.bytes();
            file.write_all(&key[..]).and_then(|()| file.sync_all()).map_err(wrong)?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mut file = File::open(&path).map_err(wrong)?;
            let mode = file.metadata().map_err(wrong)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                tracing::warn!(path = %path.display(), "the session key could be read by others (mode {mode:o}); set to 0600");
                fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(wrong)?;
            }
            let size = file.metadata().map_err(wrong)?.len();
            if size != 32 {
                return Err(StoreError::key(directory));
            }
            file.read_exact(&mut key[..]).map_err(wrong)?;
        }
        Err(error) => return Err(wrong(error)),
    }
    Ok(key)
}

/// Lines that cannot be read are refused rather than skipped: skipping one would bring a session back.
fn read_ended(path: &Path, now: i64) -> Result<HashMap<[u8; MARK], i64>, StoreError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(StoreError::new(path.to_owned(), error)),
    };
    let mut ended = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let parsed = line.split_once(' ').and_then(|(mark, until)| {
            Some((<[u8; MARK]>::try_from(id::decode(mark)?).ok()?, until.parse::<i64>().ok()?))
        });
        match parsed {
            Some((mark, until)) => {
                if until > now {
                    ended.insert(mark, until);
                }
            }
            // A crash in the middle of the last write leaves half a line; its logout was never answered.
            None if index + 1 == text.lines().count() && !text.ends_with('\n') => {}
            None => {
                let why =
                    format!("line {} is damaged; remove the line (or the file: ended sessions come back)", index + 1);
                return Err(StoreError::new(path.to_owned(), why));
            }
        }
    }
    Ok(ended)
}

/// Rewrites the file without what is over, whole or not at all, and leaves it open for appending.
fn write_ended(path: &Path, ended: &HashMap<[u8; MARK], i64>) -> Result<File, StoreError> {
    let wrong = |error: std::io::Error| StoreError::new(path.to_owned(), error);
    let fresh = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(wrong)?;
    let text: String = ended.iter().map(|(mark, until)| line(mark, *until)).collect();
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(wrong)?;
    fs::rename(&fresh, path).map_err(wrong)?;
    OpenOptions::new().append(true).open(path).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_private_and_stays_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let (_, key) = Files::open(&state, &Rng::system(), 0).unwrap();
        let path = state.join(KEY);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let (_, again) = Files::open(&state, &Rng::system(), 0).unwrap();
        assert_eq!(*key, *again);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "mended");
    }

    #[test]
    fn a_short_key_and_a_damaged_list_are_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(KEY), "short").unwrap();
        let error = Files::open(directory.path(), &Rng::system(), 0).err().unwrap().to_string();
        assert!(error.contains("move it away"), "{error}");
        fs::remove_file(directory.path().join(KEY)).unwrap();
        fs::write(directory.path().join(ENDED), "garbage\n").unwrap();
        let error = Files::open(directory.path(), &Rng::system(), 0).err().unwrap().to_string();
        assert!(error.contains("line 1 is damaged"), "{error}");
        fs::write(directory.path().join(ENDED), "half a li").unwrap();
        assert!(Files::open(directory.path(), &Rng::system(), 0).is_ok(), "a crash in the last write");
    }
}
