//! Rows in this process: for a demo, for a site of one process that may forget, and for tests.

use super::hints::{Hints, Listeners};
use super::key::{Key, NodeName};
use super::rules::{self, Row, Rows};
use super::{Admission, Answer, Append, Appended, Claimed, LogPage, Member, Reader, Store, Unavailable, When};
use crate::base::clock::Clock;
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use std::future::ready;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub struct MemoryStore {
    table: Mutex<Table>,
    listeners: Listeners,
    clock: Clock,
    /// Rows that are kept; past it nothing new is taken.
    max: usize,
}

#[derive(Default)]
struct Table {
    rows: HashMap<Key, Row>,
    /// By when they are over.
    order: BTreeSet<(i64, Key)>,
}

impl MemoryStore {
    pub fn new(clock: Clock, max: usize) -> Self {
        Self { table: Mutex::default(), listeners: Listeners::default(), clock, max }
    }

    fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut View<'_>) -> Result<T, Unavailable>) -> Answer<'static, T> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.sweep(self.clock.unix_ms());
        let mut view =
            View { table: &mut table, now: self.clock.unix_ms(), max: self.max, full: false, told: Vec::new() };
        let outcome = work(&mut view);
        let (told, full) = (view.told, view.full);
        drop(table);
        for (node, log) in told {
            self.listeners.tell(&node, log);
        }
        let full = full.then(|| Unavailable::Full(format!("{} records are kept in memory at most", self.max)));
        Box::pin(ready(full.map_or(outcome, Err)))
    }
}

impl Table {
    fn sweep(&mut self, now: i64) {
        while let Some((_, key)) = self.order.first().copied().filter(|(until, _)| *until <= now) {
            self.set(key, None);
        }
        // Gives back the room that a storm took.
        if self.rows.capacity() > 1024 && self.rows.len() < self.rows.capacity() / 4 {
            self.rows.shrink_to(2 * self.rows.len());
        }
    }

    fn set(&mut self, key: Key, row: Option<Row>) {
        if let Some(row) = &row {
            self.order.insert((row.until, key));
        }
        let until = row.as_ref().map(|row| row.until);
        let before = match row {
            Some(row) => self.rows.insert(key, row),
            None => self.rows.remove(&key),
        };
        if let Some(before) = before.filter(|before| Some(before.until) != until) {
            self.order.remove(&(before.until, key));
        }
    }
}

struct View<'a> {
    table: &'a mut Table,
    now: i64,
    max: usize,
    full: bool,
    told: Vec<(NodeName, Key)>,
}

impl Rows for View<'_> {
    fn now(&self) -> i64 {
        self.now
    }

    fn get(&mut self, key: &Key) -> Result<Option<Row>, Unavailable> {
        Ok(self.table.rows.get(key).filter(|row| row.until > self.now).cloned())
    }

    fn set(&mut self, key: Key, row: Option<Row>) {
        if row.is_some() && self.table.rows.len() >= self.max && !self.table.rows.contains_key(&key) {
            self.full = true;
            return;
        }
        self.table.set(key, row);
    }

    fn tell(&mut self, node: &NodeName, log: Key) {
        self.told.push((node.clone(), log));
    }
}

impl Store for MemoryStore {
    fn put(&self, key: Key, value: Bytes, ttl: Duration, when: When) -> Answer<'_, bool> {
        self.run(|rows| rules::put(rows, key, value, ttl, when))
    }

    fn get(&self, key: Key) -> Answer<'_, Option<Bytes>> {
        self.run(|rows| rules::get(rows, &key))
    }

    fn take(&self, key: Key) -> Answer<'_, Option<Bytes>> {
        self.run(|rows| rules::take(rows, &key))
    }

    fn admit(&self, key: Key, interval: Duration, burst: u32) -> Answer<'_, Admission> {
        self.run(|rows| rules::admit(rows, key, interval, burst))
    }

    fn begin(&self, log: Key, node: NodeName, head: Bytes, records: Vec<Bytes>, ttl: Duration) -> Answer<'_, ()> {
        self.run(|rows| rules::begin(rows, log, node, head, records, ttl))
    }

    fn append(&self, log: Key, append: Append) -> Answer<'_, Appended> {
        self.run(|rows| rules::append(rows, log, append))
    }

    fn read(&self, log: Key, after: Option<u32>, reader: Reader) -> Answer<'_, Option<LogPage>> {
        self.run(|rows| rules::read(rows, log, after, &reader))
    }

    fn claim(&self, log: Key, node: Option<NodeName>, seen: u64) -> Answer<'_, Claimed> {
        self.run(|rows| rules::claim(rows, log, node, seen))
    }

    fn send(&self, log: Key, command: Bytes) -> Answer<'_, bool> {
        self.run(|rows| rules::send(rows, log, command))
    }

    fn beat(&self, node: NodeName, ttl: Duration, active: u32, note: Bytes) -> Answer<'_, Vec<Member>> {
        self.run(|rows| rules::beat(rows, node, ttl, active, note))
    }

    fn reserve(&self, node: NodeName, total: u32) -> Answer<'_, bool> {
        self.run(|rows| rules::reserve(rows, &node, total))
    }

    fn hints(&self, node: &NodeName) -> Hints {
        self.listeners.add(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::Setup;
    use std::sync::Arc;

    async fn setup() -> Setup {
        let store = MemoryStore::new(Clock::fixed(1_000_000), 100_000);
        Setup { store: Arc::new(store), real: false, unit: Duration::from_secs(1) }
    }

    crate::store_suite!(tokio::test(start_paused = true), setup);

    #[tokio::test(start_paused = true)]
    async fn a_node_lives_until_its_moment_is_over_and_not_a_millisecond_longer() {
        let store = MemoryStore::new(Clock::fixed(1_000_000), 100);
        let node = |name: &str| NodeName::parse(name).unwrap();
        let beat = |name, seconds| store.beat(node(name), Duration::from_secs(seconds), 1, Bytes::new());
        let names =
            |members: Vec<Member>| members.iter().map(|member| member.node.text().to_owned()).collect::<Vec<_>>();
        beat("a~1", 2).await.unwrap();
        tokio::time::advance(Duration::from_millis(1_999)).await;
        assert_eq!(names(beat("b~1", 10).await.unwrap()), ["a~1", "b~1"]);
        assert!(!store.reserve(node("b~1"), 2).await.unwrap(), "one login of each");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(store.reserve(node("b~1"), 2).await.unwrap(), "the dead one's place is free");
        assert_eq!(names(beat("b~1", 10).await.unwrap()), ["b~1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_leaves_the_table_and_its_room_is_given_back() {
        let store = MemoryStore::new(Clock::fixed(1_000_000), 10_000);
        let key = |number: u32| Key::of(crate::store::Space::Ended, &[&number.to_be_bytes()]);
        let second = Duration::from_secs(1);
        for number in 0..5_000 {
            store.put(key(number), Bytes::new(), second, When::Always).await.unwrap();
        }
        let table = || {
            let table = store.table.lock().unwrap();
            (table.rows.len(), table.order.len(), table.rows.capacity())
        };
        assert_eq!((table().0, table().1), (5_000, 5_000));
        let large = table().2;
        tokio::time::advance(second).await;
        store.put(key(0), Bytes::new(), second, When::Always).await.unwrap();
        // Written again, it has one place in the order.
        store.put(key(0), Bytes::new(), second * 2, When::Always).await.unwrap();
        assert_eq!((table().0, table().1), (1, 1));
        assert!(table().2 < large / 2, "{} of {large}", table().2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_elsewhere_is_told_until_its_moment_is_over() {
        use futures_util::FutureExt as _;
        for (ms, told) in [(1_999, true), (2_000, false)] {
            let store = MemoryStore::new(Clock::fixed(1_000_000), 100);
            let (owner, reader) = (NodeName::parse("a~1").unwrap(), NodeName::parse("b~1").unwrap());
            let (log, life) = (Key::of(crate::store::Space::Login, &[b"l"]), Duration::from_secs(600));
            store.begin(log, owner, "head".into(), vec!["one".into()], life).await.unwrap();
            let mut hints = store.hints(&reader);
            store.read(log, None, Reader::Node(reader, Duration::from_secs(2))).await.unwrap();
            tokio::time::advance(Duration::from_millis(ms)).await;
            let append = Append { fence: 1, after: 1, records: vec!["two".into()], seal: None };
            assert_eq!(store.append(log, append).await.unwrap(), Appended::Stored);
            assert_eq!(hints.next().now_or_never().flatten().is_some(), told, "after {ms} ms");
        }
    }
}
