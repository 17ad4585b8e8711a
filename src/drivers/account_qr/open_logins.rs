//! How many MAX logins may be open at this moment, and a mark of that on disk. A process that is killed cannot end them;
//! the next one can at least say that they were left. The mark is a number: no token, no person.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// In the directory of `store.path`.
const FILE: &str = "open-logins";

/// Linux's `O_NOFOLLOW`: a link planted in the directory is not written through.
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// Digits of the number in the file, padded, so that a shorter one leaves nothing behind.
const DIGITS: usize = 8;

#[derive(Clone, Default)]
pub struct OpenLogins(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    open: u32,
    file: Option<File>,
}

impl OpenLogins {
    /// Keeps the mark in `directory`. The number is what the process before this one left.
    pub fn open(directory: &Path) -> std::io::Result<(Self, u32)> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(NO_FOLLOW)
            .open(directory.join(FILE))?;
        let mut text = String::new();
        // A mark that cannot be read tells nothing; it must not keep the server from starting.
        let left = match (&mut file).take(DIGITS as u64).read_to_string(&mut text) {
            Ok(_) => text.trim().parse().unwrap_or_default(),
            Err(_) => 0,
        };
        let mut inner = Inner { open: 0, file: Some(file) };
        inner.write()?;
        Ok((Self(Arc::new(Mutex::new(inner))), left))
    }

    /// To be called before MAX is asked to log somebody in.
    pub fn begin(&self) -> OpenLogin {
        self.change(1);
        OpenLogin(self.clone())
    }

    pub fn count(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open
    }

    fn change(&self, by: i32) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.open = inner.open.saturating_add_signed(by);
        // A full disk costs the mark, not the login.
        let _ = inner.write();
    }
}

impl Inner {
    fn write(&mut self) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        file.write_all_at(format!("{:0DIGITS$}\n", self.open).as_bytes(), 0)
    }
}

/// One login that may be open. Dropped without [`Self::settled`], when the process is stopped in the middle, it stays
/// counted, and the next start tells.
pub struct OpenLogin(OpenLogins);

impl OpenLogin {
    /// MAX has ended it, had not opened it, or its owner's ways to end it are in the log.
    pub fn settled(self) {
        self.0.change(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let open = || OpenLogins::open(directory.path()).unwrap();
        let (logins, left) = open();
        assert_eq!(left, 0);
        let (one, _two, three) = (logins.begin(), logins.begin(), logins.begin());
        one.settled();
        drop(three);
        assert_eq!(logins.count(), 2);
        assert_eq!(std::fs::read_to_string(directory.path().join(FILE)).unwrap(), "00000002\n");
        assert_eq!(open().1, 2, "as after kill -9");
        assert_eq!(open().1, 0);
    }

    #[test]
    fn a_damaged_mark_stops_nobody_and_a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), b"\xff\xfe nonsense").unwrap();
        assert_eq!(OpenLogins::open(directory.path()).unwrap().1, 0);
        std::fs::remove_file(directory.path().join(FILE)).unwrap();
        std::os::unix::fs::symlink("/dev/null", directory.path().join(FILE)).unwrap();
        assert!(OpenLogins::open(directory.path()).is_err());
    }
}
