//! What outlives a request: the store of `store.kind`, and the key that seals what is in it and in cookies.

use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::config::{self, StoreKind};
use crate::login::Nodes;
use crate::session::EndedBefore;
use crate::store::{FileStore, Folder, FolderError, MemoryStore, RedisError, RedisOptions, RedisStore, Seals, Store};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Records of a store in memory: ended sessions, and grants of a minute. A million are 200 MiB.
const RECORDS: usize = 1_000_000;

/// A store, and the seals made of its key.
pub struct Kept {
    pub store: Arc<dyn Store>,
    pub seals: Seals,
    /// Who else has it, or had it before; nobody where it ends with this process.
    pub nodes: Option<Nodes>,
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What was configured cannot be right.
    #[error("{0}")]
    Key(String),
    #[error("store.url: {0}")]
    Redis(#[from] RedisError),
}

impl Kept {
    /// For tests: nothing on disk, and everybody signed out when it ends.
    #[cfg(test)]
    pub fn in_memory(clock: &Clock, rng: &Rng) -> Result<Self, KeptError> {
        Self::with(Arc::new(MemoryStore::new(clock.clone(), RECORDS)), None, &Zeroizing::new(rng.bytes()), rng)
    }

    /// Opens what is there, or makes it.
    pub async fn open(settings: &config::Store, clock: &Clock, rng: &Rng) -> Result<Self, KeptError> {
        let given = settings.key_file.as_deref().map(read_key).transpose()?;
        match settings.kind {
            StoreKind::Memory => {
                let key = given.unwrap_or_else(|| Zeroizing::new(rng.bytes()));
                Self::with(Arc::new(MemoryStore::new(clock.clone(), RECORDS)), None, &key, rng)
            }
            StoreKind::File => {
                let folder = Arc::new(Folder::open(&settings.path)?);
                let key = given.map_or_else(|| folder.key(rng), Ok)?;
                let before = EndedBefore::read(&folder)?;
                let store = FileStore::open(Arc::clone(&folder), clock.clone())?;
                before.take_over(&folder, &store, clock.unix_seconds()).await?;
                Self::with(Arc::new(store), Some(Nodes::One), &key, rng)
            }
            StoreKind::Redis => {
                let missing = |key: &str| KeptError::Key(format!("{key} is needed with store.kind = \"redis\""));
                let key = given.ok_or_else(|| missing("store.key_file"))?;
                let url = settings.url.as_ref().ok_or_else(|| missing("store.url"))?;
                let trusted = settings.ca_file.as_deref().map(read_certificates).transpose()?;
                let options = RedisOptions { prefix: settings.prefix.clone(), trusted, ..RedisOptions::default() };
                // Its tasks outlive those of logins, which end by writing.
                let store = RedisStore::connect(url.expose(), options, Tasks::new(), rng.clone()).await?;
                Self::with(Arc::new(store), Some(Nodes::Many), &key, rng)
            }
        }
    }

    fn with(store: Arc<dyn Store>, nodes: Option<Nodes>, key: &[u8; 32], rng: &Rng) -> Result<Self, KeptError> {
        let seals = Seals::new(key, rng).ok_or_else(|| KeptError::Key("store.key_file: is no key".to_owned()))?;
        Ok(Self { store, seals, nodes })
    }
}

fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeptError> {
    let wrong = |why: String| KeptError::Key(format!("store.key_file: {}: {why}", path.display()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(33));
    let file = File::open(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    // One more than fits tells a longer file; a device without an end is not read for ever.
    file.take(33).read_to_end(&mut bytes).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let key: Result<[u8; 32], _> = bytes.as_slice().try_into();
    let length = if bytes.len() > 32 { "more than 32".to_owned() } else { bytes.len().to_string() };
    key.map(Zeroizing::new)
        .map_err(|_| wrong(format!("has {length} bytes; 32 random ones are needed (head -c 32 /dev/urandom > FILE)")))
}

fn read_certificates(path: &Path) -> Result<Vec<u8>, KeptError> {
    std::fs::read(path)
        .map_err(|error| KeptError::Key(format!("store.ca_file: {}: cannot be read: {error}", path.display())))
}
