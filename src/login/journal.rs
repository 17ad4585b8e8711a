//! Where the events of a login's task go: into its log at once, or, where the log is shared, into the store first. A
//! visitor has then seen nothing that whoever goes on with the login does not know.

use super::Login;
use super::event::Kind;
use super::sharing::{RETRY, Sharing};
use crate::base::limits::SEALED_LIFE;
use crate::store::{Append, Appended};
use bytes::Bytes;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::sleep;

/// Events that wait for the store: a code has two, and while the store is away there are few codes.
const WAITING: usize = 64;

/// Why this process writes a login no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// Another process has claimed it.
    Fenced,
    /// The store has not heard of this process for so long that another may claim it.
    Claim,
    /// The store has lost what was written.
    Gone,
}

/// One writer of one log.
pub enum Journal {
    Local,
    Shared(Box<Shared>),
}

pub struct Shared {
    sharing: Arc<Sharing>,
    fence: u64,
    /// [`Sharing::losses`] before the log was claimed.
    losses: u64,
    queue: Mutex<VecDeque<Item>>,
    arrived: Notify,
}

/// An event on its way. Sealed once, so that a retry is the same record.
#[derive(Clone)]
struct Item {
    kind: Kind,
    data: Value,
    record: Bytes,
}

impl Journal {
    /// Under the fence of a claim; `losses` is [`Sharing::losses`] from before it.
    pub fn shared(sharing: &Arc<Sharing>, losses: u64, fence: u64) -> Self {
        let (sharing, queue, arrived) = (Arc::clone(sharing), Mutex::default(), Notify::new());
        Self::Shared(Box::new(Shared { sharing, fence, losses, queue, arrived }))
    }

    /// Completes when another process may write the login.
    pub async fn claim_lost(&self) {
        match self {
            Self::Local => std::future::pending().await,
            Self::Shared(shared) => shared.claim_lost().await,
        }
    }

    /// Whether it outlives this process.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// Adds events that belong together. Returns at once.
    pub fn append<const N: usize>(&self, login: &Login, events: [(Kind, Value); N]) {
        match self {
            Self::Local => login.tell(events.iter().map(|(kind, data)| (*kind, data))),
            Self::Shared(shared) => shared.push(login, events),
        }
    }

    /// Writes what waits, until there is a reason not to write any more. Safe to drop at any moment.
    pub async fn lost(&self, login: &Login) -> Lost {
        match self {
            Self::Local => std::future::pending().await,
            // Boxed: a login that is not shared keeps no room for it.
            Self::Shared(shared) => Box::pin(shared.run(login)).await,
        }
    }

    /// Writes what waits and the last event.
    pub async fn finish(&self, login: &Login, kind: Kind, data: Value) -> Result<(), Lost> {
        match self {
            Self::Local => {
                login.tell([(kind, &data)]);
                Ok(())
            }
            Self::Shared(shared) => {
                shared.push(login, [(kind, data)]);
                shared.flush(login).await
            }
        }
    }

    /// Lets the login go, so that another process takes it at once.
    pub async fn release(&self, login: &Login) {
        if let Self::Shared(shared) = self {
            let store = &shared.sharing.store;
            let _ = shared.flush(login).await;
            let _ = store.claim(Sharing::log(login.id), None, shared.fence).await;
        }
    }

    /// Whether visitors of another node read it. While nobody knows, somebody may.
    pub async fn read_elsewhere(&self, login: &Login) -> bool {
        match self {
            Self::Local => false,
            Self::Shared(shared) => Box::pin(shared.read_elsewhere(login)).await,
        }
    }
}

impl Shared {
    async fn claim_lost(&self) {
        self.sharing.claim_lost(self.losses).await;
    }

    async fn read_elsewhere(&self, login: &Login) -> bool {
        let reader = crate::store::Reader::Nobody;
        let page = self.sharing.store.read(Sharing::log(login.id), Some(u32::MAX - 1), reader).await;
        page.map_or(true, |page| page.is_some_and(|page| page.read_elsewhere))
    }

    fn push<const N: usize>(&self, login: &Login, events: [(Kind, Value); N]) {
        let mut queue = self.queue();
        for (kind, data) in events {
            if queue.len() >= WAITING {
                break;
            }
            let offset = login.log.newest() + queue.len() as u32 + 1;
            let Some(record) = self.sharing.records(login.id).seal_event(offset, kind, &data) else { break };
            queue.push_back(Item { kind, data, record });
        }
        drop(queue);
        self.arrived.notify_one();
    }

    async fn run(&self, login: &Login) -> Lost {
        loop {
            tokio::select! {
                () = self.arrived.notified() => {}
                () = self.claim_lost() => return Lost::Claim,
            }
            if let Err(lost) = self.flush(login).await {
                return lost;
            }
        }
    }

    async fn flush(&self, login: &Login) -> Result<(), Lost> {
        loop {
            let items: Vec<Item> = self.queue().iter().cloned().collect();
            let Some(last) = items.last() else { return Ok(()) };
            let append = Append {
                fence: self.fence,
                after: login.log.newest(),
                records: items.iter().map(|item| item.record.clone()).collect(),
                seal: last.kind.is_last().then_some(SEALED_LIFE),
            };
            let stored = tokio::select! {
                biased;
                stored = self.sharing.store.append(Sharing::log(login.id), append) => stored,
                () = self.claim_lost() => return Err(Lost::Claim),
            };
            match stored {
                Ok(Appended::Stored) => {
                    let mut queue = self.queue();
                    queue.drain(..items.len());
                    login.tell(items.iter().map(|item| (item.kind, &item.data)));
                }
                Ok(Appended::Fenced) => return Err(Lost::Fenced),
                Ok(Appended::Gone) => return Err(Lost::Gone),
                Err(_) => tokio::select! {
                    () = sleep(RETRY) => {}
                    // Above it is not heard of while each try fails at once.
                    () = self.claim_lost() => return Err(Lost::Claim),
                },
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Item>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
