//! The append-only log of one login: one writer, any number of readers, each of them a position and nothing else.

use super::event::{Event, Kind};
use super::position::Position;
use crate::base::limits::{EVENT_BYTES, EVENTS};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

pub struct Log {
    epoch: u32,
    inner: Mutex<Inner>,
    grown: Notify,
}

struct Inner {
    events: VecDeque<Event>,
    /// Offset of the newest event ever written.
    newest: u32,
    bytes: usize,
    sealed: bool,
    /// The store has lost what was written: no position in it means anything any more.
    lost: bool,
}

impl Inner {
    fn add(&mut self, event: Event) {
        self.newest += 1;
        self.bytes += event.kept();
        self.sealed = event.kind.is_last();
        self.events.push_back(event);
        while self.events.len() > EVENTS || self.bytes > EVENT_BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.kept();
        }
    }
}

/// "Your epoch is gone": another life of the log, or so far back that the events have been dropped. Not the same as
/// "nothing new".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone;

/// What follows a position.
#[derive(Debug)]
pub struct Page {
    pub events: Vec<Event>,
    /// Where to go on.
    pub next: Position,
    /// Nothing will ever follow `next`.
    pub sealed: bool,
}

impl Log {
    pub fn new(epoch: u32) -> Self {
        let inner = Inner { events: VecDeque::new(), newest: 0, bytes: 0, sealed: false, lost: false };
        Self { epoch, inner: Mutex::new(inner), grown: Notify::new() }
    }

    /// Nothing before `first` is known.
    pub fn begin_at(&self, first: u32) {
        let mut inner = self.lock();
        if inner.events.is_empty() {
            inner.newest = first.saturating_sub(1);
        }
    }

    /// Offset of the newest event.
    pub fn newest(&self) -> u32 {
        self.lock().newest
    }

    /// The position of the event at an offset.
    pub fn position(&self, offset: u32) -> Position {
        Position { epoch: self.epoch, offset }
    }

    /// Tells every reader, now and later, that its position is gone.
    pub fn lose(&self) {
        self.lock().lost = true;
        self.grown.notify_waiters();
    }

    pub fn is_lost(&self) -> bool {
        self.lock().lost
    }

    /// The last status, as a page would show it.
    pub fn last_of(&self, kind: Kind) -> Option<Event> {
        self.lock().events.iter().rev().find(|event| event.kind == kind).cloned()
    }

    /// The position before the first event.
    pub fn start(&self) -> Position {
        Position { epoch: self.epoch, offset: 0 }
    }

    /// Adds an event and wakes the readers. After `success` or `error` nothing is added: false.
    pub fn append(&self, kind: Kind, data: &Value) -> bool {
        self.append_all([(kind, data)])
    }

    /// Adds events that are read together. False when the last of them was not added.
    pub fn append_all<'a>(&self, events: impl IntoIterator<Item = (Kind, &'a Value)>) -> bool {
        let mut inner = self.lock();
        let mut added = true;
        for (kind, data) in events {
            added = !inner.sealed;
            if added {
                let event = Event::new(self.position(inner.newest + 1), kind, data);
                inner.add(event);
            }
        }
        drop(inner);
        self.grown.notify_waiters();
        added
    }

    /// Adds an event that another process wrote; only the next one counts.
    pub fn mirror(&self, event: Event) {
        let mut inner = self.lock();
        if !inner.sealed && event.position == self.position(inner.newest + 1) {
            inner.add(event);
            drop(inner);
            self.grown.notify_waiters();
        }
    }

    pub fn is_sealed(&self) -> bool {
        self.lock().sealed
    }

    /// Everything after `after`; the whole log when there is no position.
    pub fn read(&self, after: Option<Position>) -> Result<Page, Gone> {
        let inner = self.lock();
        let oldest = inner.newest - inner.events.len() as u32;
        let offset = match after {
            _ if inner.lost => return Err(Gone),
            None => oldest,
            Some(position) if position.epoch != self.epoch => return Err(Gone),
            Some(position) if position.offset > inner.newest || position.offset < oldest => return Err(Gone),
            Some(position) => position.offset,
        };
        let events = inner.events.iter().skip((offset - oldest) as usize).cloned().collect();
        Ok(Page { events, next: Position { epoch: self.epoch, offset: inner.newest }, sealed: inner.sealed })
    }

    /// Like [`Log::read`], but waits until there is an event or the log is sealed.
    pub async fn follow(&self, after: Position) -> Result<Page, Gone> {
        loop {
            let grown = self.grown.notified();
            tokio::pin!(grown);
            // Registered before the look, so that an event in between is not missed.
            grown.as_mut().enable();
            let page = self.read(Some(after))?;
            if !page.events.is_empty() || page.sealed {
                return Ok(page);
            }
            grown.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn offsets(page: &Page) -> Vec<u32> {
        page.events.iter().map(|event| event.position.offset).collect()
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let log = Log::new(7);
        log.append(Kind::Status, &json!({}));
        log.append(Kind::Qr, &json!({}));
        let page = log.read(None).unwrap();
        assert_eq!(offsets(&page), [1, 2]);
        assert!(log.read(Some(page.next)).unwrap().events.is_empty());
        log.append(Kind::Success, &json!({}));
        let page = log.read(Some(page.next)).unwrap();
        assert_eq!((offsets(&page), page.sealed), (vec![3], true));
        assert!(!log.append(Kind::Status, &json!({})), "sealed");
    }

    #[test]
    fn another_epoch_and_the_future_are_gone() {
        let log = Log::new(7);
        log.append(Kind::Status, &json!({}));
        for (epoch, offset) in [(8, 1), (7, 2)] {
            assert_eq!(log.read(Some(Position { epoch, offset })).unwrap_err(), Gone);
        }
    }

    #[test]
    fn an_old_position_is_gone_when_its_events_were_dropped() {
        let log = Log::new(7);
        for n in 0..(EVENTS + 10) {
            log.append(Kind::Status, &json!({ "n": n }));
        }
        assert_eq!(log.read(Some(Position { epoch: 7, offset: 9 })).unwrap_err(), Gone);
        assert_eq!(log.read(Some(Position { epoch: 7, offset: 10 })).unwrap().events.len(), EVENTS);
        assert_eq!(log.read(None).unwrap().events.len(), EVENTS);
    }

    #[test]
    fn events_are_dropped_by_their_bytes_the_oldest_first() {
        let log = Log::new(7);
        let large = json!({"message": "x".repeat(EVENT_BYTES / 3)});
        for _ in 0..9 {
            log.append(Kind::Status, &large);
            log.append(Kind::Status, &json!({}));
        }
        // Two large ones, and the small ones before, between and behind them.
        assert_eq!(offsets(&log.read(None).unwrap()), [14, 15, 16, 17, 18]);
        for _ in 0..100 {
            log.append(Kind::Status, &json!({}));
        }
        assert_eq!(offsets(&log.read(None).unwrap())[..2], [14, 15], "what is small drops nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_wakes_for_each_event() {
        let log = std::sync::Arc::new(Log::new(1));
        let writer = std::sync::Arc::clone(&log);
        let write = async {
            for _ in 0..3 {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                writer.append(Kind::Status, &json!({}));
            }
        };
        let read = async {
            let mut at = log.start();
            for expected in 1..=3 {
                let page = log.follow(at).await.unwrap();
                assert_eq!(offsets(&page), [expected]);
                at = page.next;
            }
        };
        tokio::join!(write, read);
    }

    proptest! {
        /// Any cuts and resumes see every event once and in order.
        #[test]
        fn any_cut_and_resume_sees_the_same_story(appends in prop::collection::vec(0usize..4, 1..60)) {
            let log = Log::new(3);
            let (mut seen, mut at) = (Vec::new(), None);
            for burst in appends {
                for _ in 0..burst {
                    log.append(Kind::Status, &json!({}));
                }
                let page = log.read(at).unwrap();
                seen.extend(offsets(&page));
                at = Some(page.next);
            }
            let all: Vec<u32> = (1..=seen.len() as u32).collect();
            prop_assert_eq!(seen, all);
        }
    }
}
