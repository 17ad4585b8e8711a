//! A store for tests, which can be away, or forget.

use super::{
    Admission, Answer, Append, Appended, Claimed, Hints, Key, LogPage, Member, MemoryStore, NodeName, Reader, Store,
    Unavailable, When,
};
use crate::base::clock::Clock;
use bytes::Bytes;
use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Room for so many records.
const RECORDS: usize = 1000;

pub struct Flaky {
    store: Mutex<Arc<MemoryStore>>,
    clock: Clock,
    away: AtomicBool,
    /// Puts that are done and whose answers are lost.
    lost: AtomicUsize,
    found: watch::Sender<u64>,
}

impl Flaky {
    pub fn new(clock: Clock) -> Self {
        let store = Mutex::new(Arc::new(MemoryStore::new(clock.clone(), RECORDS)));
        Self { store, clock, away: AtomicBool::new(false), lost: AtomicUsize::new(0), found: watch::Sender::new(0) }
    }

    /// Out of reach from now on, or within.
    pub fn reach(&self, within: bool) {
        if self.away.swap(!within, Ordering::SeqCst) && within {
            self.started_again();
        }
    }

    /// The next puts are done, and nobody hears of it.
    pub fn lose_answers(&self, puts: usize) {
        self.lost.store(puts, Ordering::SeqCst);
    }

    /// All that was written is gone: it was started again in between.
    pub fn forget(&self) {
        let empty = Arc::new(MemoryStore::new(self.clock.clone(), RECORDS));
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = empty;
        self.started_again();
    }

    /// It was away for a moment, as whoever steps back must be.
    pub fn started_again(&self) {
        self.found.send_modify(|times| *times += 1);
    }

    fn store(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn through<T: Send + 'static>(&self, answer: impl FnOnce(Arc<MemoryStore>) -> Answer<'static, T>) -> Answer<'_, T> {
        if self.away.load(Ordering::SeqCst) {
            return Box::pin(ready(Err(Unavailable::OutOfReach("test".to_owned()))));
        }
        answer(self.store())
    }
}

impl Store for Flaky {
    fn put(&self, key: Key, value: Bytes, ttl: Duration, when: When) -> Answer<'_, bool> {
        let lost = self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |puts| puts.checked_sub(1)).is_ok();
        self.through(|store| {
            Box::pin(async move {
                let put = store.put(key, value, ttl, when).await?;
                if lost { Err(Unavailable::OutOfReach("the answer was lost".to_owned())) } else { Ok(put) }
            })
        })
    }

    fn get(&self, key: Key) -> Answer<'_, Option<Bytes>> {
        self.through(|store| Box::pin(async move { store.get(key).await }))
    }

    fn take(&self, key: Key) -> Answer<'_, Option<Bytes>> {
        self.through(|store| Box::pin(async move { store.take(key).await }))
    }

    fn admit(&self, key: Key, interval: Duration, burst: u32) -> Answer<'_, Admission> {
        self.through(|store| Box::pin(async move { store.admit(key, interval, burst).await }))
    }

    fn begin(&self, log: Key, node: NodeName, head: Bytes, records: Vec<Bytes>, ttl: Duration) -> Answer<'_, ()> {
        self.through(|store| Box::pin(async move { store.begin(log, node, head, records, ttl).await }))
    }

    fn append(&self, log: Key, append: Append) -> Answer<'_, Appended> {
        self.through(|store| Box::pin(async move { store.append(log, append).await }))
    }

    fn read(&self, log: Key, after: Option<u32>, reader: Reader) -> Answer<'_, Option<LogPage>> {
        self.through(|store| Box::pin(async move { store.read(log, after, reader).await }))
    }

    fn claim(&self, log: Key, node: Option<NodeName>, seen: u64) -> Answer<'_, Claimed> {
        self.through(|store| Box::pin(async move { store.claim(log, node, seen).await }))
    }

    fn send(&self, log: Key, command: Bytes) -> Answer<'_, bool> {
        self.through(|store| Box::pin(async move { store.send(log, command).await }))
    }

    fn beat(&self, node: NodeName, ttl: Duration, active: u32, note: Bytes) -> Answer<'_, Vec<Member>> {
        self.through(|store| Box::pin(async move { store.beat(node, ttl, active, note).await }))
    }

    fn reserve(&self, node: NodeName, total: u32) -> Answer<'_, bool> {
        self.through(|store| Box::pin(async move { store.reserve(node, total).await }))
    }

    fn hints(&self, node: &NodeName) -> Hints {
        self.store().hints(node)
    }

    fn found_again(&self) -> watch::Receiver<u64> {
        self.found.subscribe()
    }
}
