//! What must be known to more than one process, or after a restart: grants, ended sessions, the logs of logins, who is
//! alive. One trait with few verbs, one engine for each `store.kind`. Nothing readable reaches an engine: [`Seal`].

#[cfg(test)]
mod costly;
mod disk;
mod file;
#[cfg(test)]
mod flaky;
mod folder;
mod folder_look;
mod given;
mod hints;
mod key;
mod memory;
mod note;
mod redis;
mod row;
mod rules;
mod seal;
#[cfg(test)]
pub mod suite;
mod vault;
#[cfg(test)]
mod volume_tests;

pub use self::redis::look::{ClusterLook, Denied, Failure, MemberLook, RedisLook, ServerLook, Trouble, look_at_redis};
#[cfg(test)]
pub use self::redis::look::{HostLook, Right};
#[cfg(test)]
pub use self::redis::tests as redis_tests;
pub use self::redis::{RedisError, RedisOptions, RedisStore};
#[cfg(test)]
pub use costly::{Costly, Load};
pub use file::FileStore;
#[cfg(test)]
pub use flaky::Flaky;
pub use folder::{Folder, FolderError};
pub use folder_look::{Filesystem, FolderLook, KeyLook, Lock, Rows, look_at_folder};
pub use given::{certificates, key_file};
pub use hints::Hints;
pub use key::{Key, NodeName, Space};
pub use memory::MemoryStore;
pub use note::{NodeNote, Noted};
pub use seal::{Seal, Seals};
pub use vault::{Race, Vault};

use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::watch;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nobody knows whether it was done. It may be asked again.
    #[error("the store is out of reach: {0}")]
    OutOfReach(String),
    /// There is no room for anything new; it was not done.
    #[error("the store is full: {0}")]
    Full(String),
}

/// An answer on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unavailable>> + Send + 'a>>;

/// When [`Store::put`] writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    Always,
    /// Only where there is nothing under that key.
    Absent,
}

/// Whether there is room for one more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    Admitted,
    /// Not before so long.
    Wait(Duration),
}

/// What became of new records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Appended {
    Stored,
    /// Another node has claimed the log.
    Fenced,
    /// There is no such log, or it does not end where its writer left it: writes were lost.
    Gone,
}

/// Records for the end of a log.
#[derive(Clone, Debug)]
pub struct Append {
    /// Of the claim under which they are written.
    pub fence: u64,
    /// Offset of the last record before them.
    pub after: u32,
    pub records: Vec<Bytes>,
    /// Nothing follows them; the log lives for so long from now.
    pub seal: Option<Duration>,
}

/// What became of a claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claimed {
    /// The log is the node's, under a fence that is higher than every one before.
    Yes { fence: u64 },
    /// It was claimed meanwhile.
    No,
    /// There is no such log, or it is sealed.
    Gone,
}

/// Who reads a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reader {
    /// Somebody who only looks.
    Nobody,
    /// A node whose visitors read it: it gets hints for so long.
    Node(NodeName, Duration),
    /// The owner: takes the commands.
    Owner { fence: u64 },
}

/// A log from a position on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPage {
    /// Nobody, once it was let go.
    pub owner: Option<NodeName>,
    pub fence: u64,
    /// What the login is; only for who has no position yet.
    pub head: Bytes,
    /// Offset of the first of `records`.
    pub first: u32,
    pub records: Vec<Bytes>,
    /// Offset of the newest record ever written.
    pub newest: u32,
    pub sealed: bool,
    /// Commands that wait, or, for the owner, those it was just given.
    pub commands: Vec<Bytes>,
    /// Visitors of another node than the owner read it.
    pub read_elsewhere: bool,
    /// How long the store keeps it.
    pub left: Duration,
}

/// A node that is alive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub node: NodeName,
    /// Its logins in flight.
    pub active: u32,
    /// What it wants others to know.
    pub note: Bytes,
}

/// The verbs. Keys are hashes, values sealed; time is the store's own. Every one may be called again after
/// [`Unavailable::OutOfReach`].
pub trait Store: Send + Sync + 'static {
    /// Keeps a value for `ttl`. False where [`When::Absent`] found something.
    fn put(&self, key: Key, value: Bytes, ttl: Duration, when: When) -> Answer<'_, bool>;

    fn get(&self, key: Key) -> Answer<'_, Option<Bytes>>;

    /// Gives the value to one caller and to nobody else.
    fn take(&self, key: Key) -> Answer<'_, Option<Bytes>>;

    /// One more under this key, at most `burst` at once and one per `interval` for good (GCRA).
    fn admit(&self, key: Key, interval: Duration, burst: u32) -> Answer<'_, Admission>;

    /// A log of the node's own, with its first records, under fence 1. Refused where there is no room.
    fn begin(&self, log: Key, node: NodeName, head: Bytes, records: Vec<Bytes>, ttl: Duration) -> Answer<'_, ()>;

    /// More records, under the owner's fence; readers on other nodes are told. What is there of them already, after an answer
    /// that was lost, is not written again.
    fn append(&self, log: Key, append: Append) -> Answer<'_, Appended>;

    /// Everything after an offset, or the whole log; `None` where there is none.
    fn read(&self, log: Key, after: Option<u32>, reader: Reader) -> Answer<'_, Option<LogPage>>;

    /// Makes `node` the owner, if the log still has the fence that was seen. `None` lets the log go, and keeps the fence.
    fn claim(&self, log: Key, node: Option<NodeName>, seen: u64) -> Answer<'_, Claimed>;

    /// A command for the owner, who is told. False where there is no such log, or too many wait.
    fn send(&self, log: Key, command: Bytes) -> Answer<'_, bool>;

    /// The node is alive for `ttl` from now (zero: it leaves), with so many logins; who else is.
    fn beat(&self, node: NodeName, ttl: Duration, active: u32, note: Bytes) -> Answer<'_, Vec<Member>>;

    /// A place for one more login of the node's, unless the living nodes have `total` already. The next beat corrects it.
    fn reserve(&self, node: NodeName, total: u32) -> Answer<'_, bool>;

    /// What other nodes have changed that concerns this one: a wake-up that may be lost.
    fn hints(&self, node: &NodeName) -> Hints;

    /// How often it was found again after it had been lost, for commands or for hints: another server may answer by now, what
    /// was written last may be gone, and what was hinted unheard. Closed where that cannot happen.
    fn found_again(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

/// Most bytes of a value, a head or a record: a session, a request of OpenID Connect, an event without its drawing.
pub const VALUE_BYTES: usize = 16 * 1024;

/// Commands that wait for an owner: one of each kind, and the tries of somebody impatient.
pub const COMMANDS: usize = 8;

/// Records of a log that are kept, the newest: as many as events (`base::limits::EVENTS`).
pub const RECORDS: usize = crate::base::limits::EVENTS;

/// Bytes of records of a log that are kept.
pub const RECORD_BYTES: usize = crate::base::limits::EVENT_BYTES;

/// Nodes that are known at once: the largest site needs a tenth.
pub const NODES: usize = 256;
