//! Folders.

use super::*;
use crate::doctor::store::file_checks;
use crate::store::{Filesystem, FolderLook, Lock, Rows};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) fn healthy() -> FolderLook {
    let path = PathBuf::from("/var/lib/max-auth");
    FolderLook {
        looked_at: path.clone(),
        is_folder: true,
        owner: 1000,
        mode: 0o700,
        us: 1000,
        filesystem: Filesystem::Local,
        free: Some(1 << 40),
        reserve: 4 << 20,
        lock: Lock::Free,
        writes: Ok(vec![Duration::from_millis(2); 50]),
        bytes: Some(1 << 20),
        rows: Rows::Count(3),
        key: KeyLook { path: path.join("session.key"), file: Some((0o600, 32)) },
        path,
    }
}

#[test]
fn what_was_seen_of_a_folder_is_judged() {
    use Level::{Fault, Stop, Warning};
    assert_eq!(told(&file_checks::judge(&healthy(), true)), []);
    let key = |mode, length| KeyLook { path: PathBuf::from("/k"), file: Some((mode, length)) };
    let no_key = KeyLook { path: PathBuf::from("/k"), file: None };
    for (look, code, level) in [
        (FolderLook { writes: Err("Permission denied".to_owned()), ..healthy() }, "store-folder", Stop),
        (FolderLook { is_folder: false, ..healthy() }, "store-folder", Stop),
        (FolderLook { mode: 0o777, ..healthy() }, "store-folder", Fault),
        (FolderLook { owner: 0, ..healthy() }, "store-folder", Warning),
        (FolderLook { filesystem: Filesystem::Memory, ..healthy() }, "store-filesystem", Fault),
        (FolderLook { filesystem: Filesystem::Overlay, ..healthy() }, "store-filesystem", Warning),
        (FolderLook { filesystem: Filesystem::Network("NFS"), ..healthy() }, "store-filesystem", Warning),
        (FolderLook { free: Some(1 << 20), ..healthy() }, "store-volume", Stop),
        (FolderLook { free: Some(10 << 20), ..healthy() }, "store-volume", Warning),
        (FolderLook { writes: Ok(vec![Duration::from_millis(60); 50]), ..healthy() }, "store-sync", Warning),
        (FolderLook { writes: Ok(vec![Duration::from_millis(600); 9]), ..healthy() }, "store-sync", Fault),
        (FolderLook { rows: Rows::Broken("corrupted".to_owned()), ..healthy() }, "store-file", Stop),
        (FolderLook { key: key(0o644, 32), ..healthy() }, "store-key", Warning),
        (FolderLook { key: key(0o600, 31), ..healthy() }, "store-key", Stop),
        (FolderLook { key: no_key, ..healthy() }, "store-key", Fault),
    ] {
        let checks = file_checks::judge(&look, true);
        assert_eq!(told(&checks), [(code, level)]);
        let check = checks.iter().find(|check| check.level == level).unwrap();
        assert!(!check.fixes.is_empty() || !look.is_folder, "{check:?} says what to do");
    }
    let held = FolderLook { lock: Lock::Held, rows: Rows::NotLooked, ..healthy() };
    let checks = file_checks::judge(&held, true);
    assert_eq!(told(&checks), []);
    assert!(checks.iter().any(|check| check.measured.starts_with("a running server")), "{checks:?}");
    // Killed, and mended by the next.
    assert_eq!(told(&file_checks::judge(&FolderLook { rows: Rows::Unclean, ..healthy() }, true)), []);
}

#[test]
fn a_folder_in_memory_is_told_by_a_real_one() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let checks = file_checks::judge(&crate::store::look_at_folder(folder.path()), true);
    assert_eq!(told(&checks), [("store-filesystem", Level::Fault)]);
}

#[test]
fn a_folder_that_takes_no_file_is_told_by_a_real_one() {
    let checks = file_checks::judge(&crate::store::look_at_folder(Path::new("/proc/self")), true);
    assert!(told(&checks).contains(&("store-folder", Level::Stop)), "{checks:?}");
}

#[test]
fn a_key_that_cannot_be_used_is_told_with_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    for content in [None, Some(&b"short"[..]), Some(&[7; 33][..])] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let why = key_file(&path).err().unwrap();
        let check = file_checks::no_key(&why, &path);
        assert_eq!(check.level, Level::Stop);
        assert!(lines(&check)[0].contains("head -c 32 /dev/urandom"), "{check:?}");
    }
}
