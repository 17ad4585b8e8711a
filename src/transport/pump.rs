//! From a position to a sink: what every streaming transport does next.

use super::mark::Mark;
use super::stream_stats::{EndReason, StreamGuard};
use crate::base::limits::{FLUSH_COMMENT_DELAY, HEARTBEAT, MARK_GAP, OPENING_MARKS};
use crate::base::tasks::Tasks;
use crate::login::{Gone, Kind, LogReader, Login, Page, Position};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What a stream sends next.
pub enum Next {
    /// New events, behind a mark; the stream ends after them when the log is sealed. The first page is what the browser
    /// missed, and may be empty.
    Page(Page, Mark),
    /// Nothing new for a while: show the proxies, and the browser, that the line lives. Also sent shortly after each
    /// event, where something may hold the last bytes until more follow.
    Heartbeat(Mark),
    /// The position is not in the log any more.
    Gone,
    /// The server stops.
    Stopping,
}

/// Which marks a stream sends besides its heartbeat.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// None: nobody reads them.
    Plain,
    /// One after each event.
    Flush,
    /// That, and a few at the opening, by which a browser judges the stream.
    Opening,
    /// So often and no more: each costs packets, of which some networks let few through a connection.
    Every(Duration),
}

/// What carried a success to its browser.
pub fn count_success(page: &Page, transport: &'static str) {
    if page.events.last().is_some_and(|event| event.kind == Kind::Success) {
        metrics::counter!("max_auth_success_delivered_total", "transport" => transport).increment(1);
    }
}

pub struct Pump {
    reader: LogReader,
    at: Position,
    /// The next page is what the browser missed, sent at once even if it is nothing.
    opening: bool,
    heartbeat_at: Instant,
    flush: bool,
    /// Of the opening, not yet sent.
    opening_marks: u32,
    /// From one heartbeat to the next.
    period: Duration,
    tasks: Tasks,
    guard: StreamGuard,
}

impl Pump {
    /// From `after`, or from the beginning of the log.
    pub fn new(reader: LogReader, after: Option<Position>, marks: Marks, tasks: Tasks, guard: StreamGuard) -> Self {
        let at = after.unwrap_or_else(|| reader.login().log.start());
        let opening_marks = if marks == Marks::Opening { OPENING_MARKS } else { 0 };
        let period = if let Marks::Every(period) = marks { period } else { HEARTBEAT };
        let pause = if opening_marks > 0 { MARK_GAP } else { period };
        let flush = matches!(marks, Marks::Flush | Marks::Opening);
        let heartbeat_at = reader.login().clock().about(Instant::now() + pause);
        Self { reader, at, opening: true, heartbeat_at, flush, opening_marks, period, tasks, guard }
    }

    pub fn login(&self) -> &Arc<Login> {
        self.reader.login()
    }

    /// How this stream will have ended, unless something else happens first.
    pub fn will_end(&mut self, how: EndReason) {
        self.guard.will_end(how);
    }

    /// So many bytes have been written to this stream.
    pub fn wrote(&mut self, bytes: usize) {
        self.guard.wrote(bytes);
    }

    /// The end of the stream: the login has one reader less, and what is left is how it went.
    pub fn into_guard(self) -> StreamGuard {
        self.guard
    }

    /// Safe to drop and call again: no event is lost, as the position moves only with what is returned.
    pub async fn next(&mut self) -> Next {
        if self.tasks.is_stopping() {
            return self.stopping();
        }
        if self.opening {
            self.opening = false;
            return match self.reader.login().log.read(Some(self.at)) {
                Ok(page) => self.moved(page),
                Err(Gone) => self.gone(),
            };
        }
        let heartbeat_at = self.heartbeat_at;
        tokio::select! {
            biased;
            () = self.tasks.stopping() => self.stopping(),
            page = self.reader.login().log.follow(self.at) => match page {
                Ok(page) => self.moved(page),
                Err(Gone) => self.gone(),
            },
            () = sleep_until(heartbeat_at) => {
                self.opening_marks = self.opening_marks.saturating_sub(1);
                let pause = if self.opening_marks > 0 { MARK_GAP } else { self.period };
                self.heartbeat_at = self.reader.login().clock().about(heartbeat_at + pause);
                self.guard.sent();
                Next::Heartbeat(self.mark())
            }
        }
    }

    fn moved(&mut self, page: Page) -> Next {
        self.at = page.next;
        self.guard.sent();
        if page.sealed {
            count_success(&page, self.guard.transport().name());
            self.will_end(EndReason::Finished);
        }
        if self.flush && !page.events.is_empty() {
            self.heartbeat_at = self.heartbeat_at.min(Instant::now() + FLUSH_COMMENT_DELAY);
        }
        Next::Page(page, self.mark())
    }

    fn mark(&self) -> Mark {
        // In whole milliseconds, and never too early.
        let next = self.heartbeat_at.saturating_duration_since(Instant::now());
        Mark { sent: self.reader.login().unix_ms(), next: next.max(Duration::from_millis(1)) }
    }

    fn gone(&mut self) -> Next {
        self.will_end(EndReason::Finished);
        Next::Gone
    }

    fn stopping(&mut self) -> Next {
        self.will_end(EndReason::Stopped);
        Next::Stopping
    }
}
