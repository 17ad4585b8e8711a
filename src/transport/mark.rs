//! A mark tells a browser when it was sent and when the next one comes at the latest. Pages carry when they were sent as
//! well, so the browser knows how much later a stream is than an ordinary answer, and goes back to those when it is late:
//! what a proxy does to a stream need not be known.

use crate::base::clock::Clock;
use std::fmt;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Milliseconds since the Unix epoch, by this server's clock; browsers compare it with other such times only.
    pub sent: i64,
    /// Until the next mark, events or none.
    pub next: Duration,
}

impl Mark {
    pub fn now(clock: &Clock, next: Duration) -> Self {
        Self { sent: clock.unix_ms(), next }
    }

    /// As a WebSocket's message.
    pub fn message(self) -> String {
        format!("{{\"event\":\"beat\",\"sent\":{},\"next\":{}}}", self.sent, self.next.as_millis())
    }
}

/// As the text of a comment in an event stream.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ": {} {}", self.sent, self.next.as_millis())
    }
}
