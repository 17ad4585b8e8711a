//! What outlives a request: the store of `store.kind`, and the key that seals what is in it and in cookies.

use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::config::{self, StoreKind};
use crate::login::Nodes;
use crate::session::EndedBefore;
use crate::store::{
    FileStore, Folder, FolderError, MemoryStore, RedisError, RedisOptions, RedisStore, Seals, Store, certificates,
    key_file,
};
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

    /// For tests: over a store of theirs.
    #[cfg(test)]
    pub fn over(store: Arc<dyn Store>, rng: &Rng) -> Result<Self, KeptError> {
        Self::with(store, None, &Zeroizing::new(rng.bytes()), rng)
    }

    /// Opens what is there, or makes it.
    pub async fn open(settings: &config::Store, clock: &Clock, rng: &Rng) -> Result<Self, KeptError> {
        let given = settings.key_file.as_deref().map(key_file).transpose().map_err(KeptError::Key)?;
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
                let trusted = settings.ca_file.as_deref().map(certificates).transpose().map_err(KeptError::Key)?;
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
