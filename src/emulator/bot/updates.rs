//! Updates that wait for a poll. A marker acknowledges all before it.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

/// Updates that wait; past it the oldest goes.
const MOST: usize = 10_000;

/// MAX forgets what nobody fetched.
const KEPT: Duration = Duration::from_secs(24 * 3600);

struct Entry {
    marker: i64,
    at: Duration,
    update: Value,
}

/// What a poll without a marker gets: MAX's page and its schema differ.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum NoMarker {
    /// Everything since the last acknowledgement.
    #[default]
    All,
    /// The last update only.
    Last,
}

#[derive(Default)]
pub(super) struct Updates {
    next: i64,
    entries: VecDeque<Entry>,
    pub(super) no_marker: NoMarker,
}

/// What is asked for.
pub(super) struct Asked {
    pub(super) marker: Option<i64>,
    pub(super) limit: usize,
    /// Empty: all kinds.
    pub(super) types: Vec<String>,
}

impl Updates {
    pub(super) fn push(&mut self, update: Value, now: Duration) {
        self.forget(now);
        if self.entries.len() >= MOST {
            self.entries.pop_front();
        }
        self.next += 1;
        self.entries.push_back(Entry { marker: self.next, at: now, update });
    }

    fn forget(&mut self, now: Duration) {
        while self.entries.front().is_some_and(|entry| entry.at + KEPT <= now) {
            self.entries.pop_front();
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.entries.len()
    }

    /// The next ones, and the marker to ask with next time.
    pub(super) fn read(&mut self, asked: &Asked, now: Duration) -> (Vec<Value>, i64) {
        self.forget(now);
        let skipped = match (asked.marker, self.no_marker) {
            (Some(marker), _) => {
                while self.entries.front().is_some_and(|entry| entry.marker < marker) {
                    self.entries.pop_front();
                }
                0
            }
            (None, NoMarker::All) => 0,
            (None, NoMarker::Last) => self.entries.len().saturating_sub(1),
        };
        let mut marker = asked.marker.unwrap_or(0).clamp(0, self.next + 1);
        let mut found = Vec::new();
        for entry in self.entries.iter().skip(skipped) {
            if found.len() >= asked.limit {
                break;
            }
            marker = entry.marker + 1;
            let kind = entry.update["update_type"].as_str().unwrap_or_default();
            if asked.types.is_empty() || asked.types.iter().any(|wanted| wanted == kind) {
                found.push(entry.update.clone());
            }
        }
        (found, marker.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(updates: &mut Updates, marker: Option<i64>, limit: usize, types: &[&str]) -> (Vec<i64>, i64) {
        let types = types.iter().map(|kind| (*kind).to_owned()).collect();
        let (found, marker) = updates.read(&Asked { marker, limit, types }, Duration::ZERO);
        (found.iter().map(|update| update["n"].as_i64().unwrap()).collect(), marker)
    }

    fn some() -> Updates {
        let mut updates = Updates::default();
        for (n, kind) in ["bot_started", "message_created", "message_callback"].into_iter().enumerate() {
            updates.push(json!({ "update_type": kind, "n": n }), Duration::ZERO);
        }
        updates
    }

    #[test]
    fn a_marker_acknowledges_all_before_it() {
        let mut updates = some();
        assert_eq!(read(&mut updates, None, 2, &[]), (vec![0, 1], 3));
        assert_eq!(read(&mut updates, None, 100, &[]), (vec![0, 1, 2], 4), "nothing was acknowledged");
        assert_eq!(read(&mut updates, Some(3), 100, &[]), (vec![2], 4));
        assert_eq!((read(&mut updates, None, 100, &[]).0, updates.waiting()), (vec![2], 1));
        assert_eq!(read(&mut updates, Some(4), 100, &[]), (vec![], 4));
        assert_eq!(read(&mut updates, Some(900), 100, &[]), (vec![], 4), "a marker of the future");
    }

    #[test]
    fn kinds_that_are_not_wanted_are_passed_over() {
        let mut updates = some();
        assert_eq!(read(&mut updates, None, 1, &["message_callback"]), (vec![2], 4));
        assert_eq!(read(&mut updates, None, 5, &["nothing"]), (vec![], 4));
    }

    #[test]
    fn without_a_marker_it_may_be_the_last_one_only() {
        let mut updates = Updates { no_marker: NoMarker::Last, ..some() };
        assert_eq!(read(&mut updates, None, 100, &[]), (vec![2], 4));
    }

    #[test]
    fn what_nobody_fetched_is_forgotten() {
        let mut updates = some();
        let asked = Asked { marker: None, limit: 9, types: Vec::new() };
        assert_eq!(updates.read(&asked, KEPT).0.len(), 0);
        for n in 0..=MOST {
            updates.push(json!({ "n": n }), KEPT);
        }
        assert_eq!(updates.waiting(), MOST);
    }
}
