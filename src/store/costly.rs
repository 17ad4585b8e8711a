//! A store for tests in which time is that of Redis: each verb takes its server as long as it was measured to, one after the
//! other, on the tests' clock. What a site needs can then be seen without building it.

use super::{
    Admission, Answer, Append, Appended, Claimed, Hints, Key, LogPage, Member, MemoryStore, NodeName, Reader, Space,
    Store, Unavailable, When,
};
use crate::base::clock::Clock;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// From a node to Redis and back, in one data centre.
const WAY: Duration = Duration::from_micros(500);

/// As the engine gives up.
const DEADLINE: Duration = Duration::from_secs(1);

/// Calls of a node that wait at once, as the engine takes them.
const AT_ONCE: usize = 512;

/// Room for so many records.
const RECORDS: usize = 10_000_000;

/// Microseconds of Redis 7.0 (`store::redis::tests::costs`, two cores shared with other work).
const COSTS: [(&str, f64); 12] = [
    ("begin", 32.9),
    ("append", 36.2),
    ("read by the owner", 28.7),
    ("read elsewhere", 43.6),
    ("claim", 23.3),
    ("send", 25.7),
    ("put", 13.1),
    ("get", 6.1),
    ("take", 6.6),
    ("admit", 19.0),
    ("beat", 34.0),
    ("reserve", 25.0),
];

pub struct Costly {
    store: MemoryStore,
    servers: Vec<Mutex<Server>>,
    /// Calls that wait, and how many may: those of all nodes.
    waiting: AtomicUsize,
    at_once: usize,
    /// One of ours stands for so many.
    scale: f64,
}

struct Server {
    free_at: Instant,
    load: Load,
}

/// What a server had to do.
#[derive(Clone, Default, Debug)]
pub struct Load {
    pub calls: BTreeMap<&'static str, u64>,
    pub bytes: u64,
    pub busy: Duration,
    /// Of one call, behind others.
    pub longest_wait: Duration,
    pub too_late: u64,
    pub refused: u64,
}

/// Of a call that waits.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Costly {
    /// `scale`: each call takes so many times as long, so that a tenth of the visitors needs a tenth of the servers.
    pub fn new(clock: Clock, nodes: usize, servers: usize, scale: f64) -> Self {
        let server = || Mutex::new(Server { free_at: Instant::now(), load: Load::default() });
        Self {
            store: MemoryStore::new(clock, RECORDS),
            servers: (0..servers).map(|_| server()).collect(),
            waiting: AtomicUsize::new(0),
            at_once: (AT_ONCE as f64 * nodes as f64 / scale) as usize,
            scale,
        }
    }

    /// Of all servers since the last time; and of the busiest one.
    pub fn loads(&self) -> Vec<Load> {
        self.servers.iter().map(|server| std::mem::take(&mut locked(server).load)).collect()
    }

    fn answer<'a, T: Send + 'static>(
        &'a self,
        verb: &'static str,
        key: Key,
        bytes: usize,
        work: impl FnOnce(&'a MemoryStore) -> Answer<'a, T> + Send + 'a,
    ) -> Answer<'a, T> {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst);
        let place = Place(&self.waiting);
        if waiting >= self.at_once && verb != "beat" {
            locked(&self.servers[0]).load.refused += 1;
            return Box::pin(ready(Err(Unavailable::OutOfReach("too many wait already".to_owned()))));
        }
        let micros = COSTS.iter().find(|(name, _)| *name == verb).map_or(0.0, |(_, micros)| *micros);
        let cost = Duration::from_secs_f64(micros * self.scale / 1e6);
        let of = key.bytes().iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        let now = Instant::now();
        let mut server = locked(&self.servers[of % self.servers.len()]);
        let begins = server.free_at.max(now);
        server.free_at = begins + cost;
        let ready = server.free_at + WAY;
        let load = &mut server.load;
        *load.calls.entry(verb).or_default() += 1;
        load.bytes += bytes as u64;
        load.busy += cost;
        load.longest_wait = load.longest_wait.max(begins - now);
        let late = ready > now + DEADLINE;
        load.too_late += u64::from(late);
        drop(server);
        Box::pin(async move {
            let _place = place;
            sleep_until(ready.min(now + DEADLINE)).await;
            let done = work(&self.store).await;
            if late { Err(Unavailable::OutOfReach("no answer in time".to_owned())) } else { done }
        })
    }
}

fn locked(server: &Mutex<Server>) -> MutexGuard<'_, Server> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

fn size(records: &[Bytes]) -> usize {
    records.iter().map(Bytes::len).sum()
}

impl Store for Costly {
    fn put(&self, key: Key, value: Bytes, ttl: Duration, when: When) -> Answer<'_, bool> {
        self.answer("put", key, value.len(), move |store| store.put(key, value, ttl, when))
    }

    fn get(&self, key: Key) -> Answer<'_, Option<Bytes>> {
        self.answer("get", key, 0, move |store| store.get(key))
    }

    fn take(&self, key: Key) -> Answer<'_, Option<Bytes>> {
        self.answer("take", key, 0, move |store| store.take(key))
    }

    fn admit(&self, key: Key, interval: Duration, burst: u32) -> Answer<'_, Admission> {
        self.answer("admit", key, 0, move |store| store.admit(key, interval, burst))
    }

    fn begin(&self, log: Key, node: NodeName, head: Bytes, records: Vec<Bytes>, ttl: Duration) -> Answer<'_, ()> {
        let bytes = head.len() + size(&records);
        self.answer("begin", log, bytes, move |store| store.begin(log, node, head, records, ttl))
    }

    fn append(&self, log: Key, append: Append) -> Answer<'_, Appended> {
        self.answer("append", log, size(&append.records), move |store| store.append(log, append))
    }

    fn read(&self, log: Key, after: Option<u32>, reader: Reader) -> Answer<'_, Option<LogPage>> {
        let verb = if matches!(reader, Reader::Node(..)) { "read elsewhere" } else { "read by the owner" };
        self.answer(verb, log, 0, move |store| store.read(log, after, reader))
    }

    fn claim(&self, log: Key, node: Option<NodeName>, seen: u64) -> Answer<'_, Claimed> {
        self.answer("claim", log, 0, move |store| store.claim(log, node, seen))
    }

    fn send(&self, log: Key, command: Bytes) -> Answer<'_, bool> {
        self.answer("send", log, command.len(), move |store| store.send(log, command))
    }

    fn beat(&self, node: NodeName, ttl: Duration, active: u32, note: Bytes) -> Answer<'_, Vec<Member>> {
        let key = Key::only(Space::Nodes);
        self.answer("beat", key, note.len(), move |store| store.beat(node, ttl, active, note))
    }

    fn reserve(&self, node: NodeName, total: u32) -> Answer<'_, bool> {
        self.answer("reserve", Key::only(Space::Nodes), 0, move |store| store.reserve(node, total))
    }

    fn hints(&self, node: &NodeName) -> Hints {
        self.store.hints(node)
    }
}
