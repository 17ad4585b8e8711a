//! `[store]`.

use super::reader::{ConfigMerger, Source};
use super::value;
use std::path::PathBuf;

/// `store.kind`: where what must outlive a request is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreKind {
    /// In this process, and nowhere when it ends.
    Memory,
    /// In one file, for one process.
    File,
}

/// `[store]`: what must outlive the process.
pub struct Store {
    /// Which.
    pub kind: StoreKind,
    /// Somebody chose it.
    pub kind_given: bool,
    /// A directory that only we write.
    pub path: PathBuf,
    /// 32 random bytes; else they are made in `path`.
    pub key_file: Option<PathBuf>,
}

pub(super) fn read(settings: &mut ConfigMerger) -> Option<Store> {
    let kinds = [("memory", StoreKind::Memory), ("file", StoreKind::File)];
    let kind = settings.read("store.kind", |value| value::choice(value, &kinds));
    let kind_given = settings.source("store.kind") != Some(&Source::Default);
    let path =
        settings.read("store.path", |value| value::optional_text(value)?.ok_or_else(|| "needs a directory".to_owned()));
    let key_file = settings.read("store.key_file", value::optional_text);
    Some(Store { kind: kind?, kind_given, path: path.map(PathBuf::from)?, key_file: key_file?.map(PathBuf::from) })
}
