//! What was counted.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

/// Deliveries that are told.
const RECENT: usize = 50;

#[derive(Default)]
pub(super) struct Stats {
    /// Requests by what they were about.
    requests: BTreeMap<&'static str, u64>,
    /// Answers other than 200, by status.
    refused: BTreeMap<u16, u64>,
    pub(super) unsuccessful: u64,
    pub(super) updates: u64,
    pub(super) deliveries: u64,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    /// Updates on their way to a subscription.
    pub(super) pending: usize,
    /// Given up: after the last retry, or because the subscription is gone.
    pub(super) lost: u64,
    /// Subscriptions that MAX removed.
    pub(super) removed: u64,
    recent: VecDeque<Value>,
}

/// One try.
pub(super) struct Delivery<'a> {
    pub(super) url: &'a str,
    pub(super) kind: &'a str,
    /// From 1.
    pub(super) attempt: u32,
    pub(super) outcome: &'a Result<u16, String>,
}

impl Stats {
    pub(super) fn request(&mut self, name: &'static str) {
        *self.requests.entry(name).or_default() += 1;
    }

    pub(super) fn answered(&mut self, status: u16, body: &Value) {
        if status != 200 {
            *self.refused.entry(status).or_default() += 1;
        } else if body["success"] == false {
            self.unsuccessful += 1;
        }
    }

    pub(super) fn delivery(&mut self, delivery: &Delivery<'_>) {
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        let (status, error) = match delivery.outcome {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error)),
        };
        self.recent.push_back(json!({
            "url": delivery.url,
            "type": delivery.kind,
            "attempt": delivery.attempt,
            "status": status,
            "error": error,
        }));
    }

    pub(super) fn told(&self) -> Value {
        let refused: BTreeMap<String, u64> = self.refused.iter().map(|(status, n)| (status.to_string(), *n)).collect();
        json!({
            "requests": self.requests,
            "refused": refused,
            "unsuccessful": self.unsuccessful,
            "updates": self.updates,
            "webhook": {
                "tries": self.deliveries,
                "delivered": self.delivered,
                "failed": self.failed,
                "pending": self.pending,
                "lost": self.lost,
                "removed": self.removed,
                "recent": self.recent,
            },
        })
    }
}
