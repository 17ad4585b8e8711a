//! `[store]`.

use super::reader::{ConfigMerger, Source};
use super::value;
use crate::base::secret::Secret;
use std::path::PathBuf;

/// `store.kind`: where what must outlive a request is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreKind {
    /// In this process, and nowhere when it ends.
    Memory,
    /// In one file, for one process.
    File,
    /// In Redis or Valkey, for many nodes.
    Redis,
}

impl StoreKind {
    /// As in `store.kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::File => "file",
            Self::Redis => "redis",
        }
    }
}

/// `[store]`: what must outlive the process.
pub struct Store {
    /// Which.
    pub kind: StoreKind,
    /// Somebody chose it.
    pub kind_given: bool,
    /// A directory that only we write.
    pub path: PathBuf,
    /// Of Redis, with user and password; given where it is needed.
    pub url: Option<Secret>,
    /// Begins all keys there.
    pub prefix: String,
    /// Certificates (PEM) that are trusted there instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// 32 random bytes; else they are made in `path`.
    pub key_file: Option<PathBuf>,
}

pub(super) fn read(settings: &mut ConfigMerger) -> Option<Store> {
    let kinds = [("memory", StoreKind::Memory), ("file", StoreKind::File), ("redis", StoreKind::Redis)];
    let kind = settings.read("store.kind", |value| value::choice(value, &kinds));
    let kind_given = settings.source("store.kind") != Some(&Source::Default);
    let path =
        settings.read("store.path", |value| value::optional_text(value)?.ok_or_else(|| "needs a directory".to_owned()));
    let url = settings.read("store.url", value::optional_text);
    let prefix = settings.read("store.prefix", |value| {
        let prefix = value::text(value)?;
        let fine =
            prefix.len() <= 32 && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-._".contains(&byte));
        if fine { Ok(prefix) } else { Err(format!("{prefix:?} is not a prefix such as \"max-auth:\"")) }
    });
    let ca_file = settings.read("store.ca_file", value::optional_text);
    let key_file = settings.read("store.key_file", value::optional_text);
    let (kind, url, key_file) = (kind?, url?, key_file?);
    if kind == StoreKind::Redis && url.is_none() {
        settings.error("store.url", "is needed with store.kind = \"redis\", e.g. \"redis://127.0.0.1:6379\"");
        return None;
    }
    if kind == StoreKind::Redis && key_file.is_none() {
        let why = "is needed with store.kind = \"redis\": 32 random bytes, the same on all nodes (head -c 32 /dev/urandom > FILE)";
        settings.error("store.key_file", why);
        return None;
    }
    Some(Store {
        kind,
        kind_given,
        path: path.map(PathBuf::from)?,
        url: url.map(Secret::new),
        prefix: prefix?,
        ca_file: ca_file?.map(PathBuf::from),
        key_file: key_file.map(PathBuf::from),
    })
}
