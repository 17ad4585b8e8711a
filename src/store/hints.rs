//! Wake-ups: which logs have changed. They may be lost, so nothing is true because of one; they only save waiting.

use super::key::{Key, NodeName};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// Hints that wait for a node: as many logins as change in a second. More are dropped; what they were about is found by
/// the next look.
const HINTS: usize = 4096;

/// The logs that changed, one after the other.
pub struct Hints(mpsc::Receiver<Key>);

impl Hints {
    /// With where they come from.
    pub fn channel() -> (mpsc::Sender<Key>, Self) {
        let (sender, receiver) = mpsc::channel(HINTS);
        (sender, Self(receiver))
    }

    /// `None` once there is no store any more.
    pub async fn next(&mut self) -> Option<Key> {
        self.0.recv().await
    }
}

/// Who wants to know, in a store of one process.
#[derive(Default)]
pub struct Listeners(Mutex<HashMap<NodeName, mpsc::Sender<Key>>>);

impl Listeners {
    /// The last one who asks for a node hears.
    pub fn add(&self, node: &NodeName) -> Hints {
        let (sender, hints) = Hints::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(node.clone(), sender);
        hints
    }

    pub fn tell(&self, node: &NodeName, log: Key) {
        let listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listeners.get(node) {
            // Full: a hint less.
            let _ = listener.try_send(log);
        }
    }
}
