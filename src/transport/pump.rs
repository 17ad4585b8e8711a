//! From a position to a sink: what every streaming transport does next.

use crate::base::limits::HEARTBEAT;
use crate::base::tasks::Tasks;
use crate::login::{Gone, Login, Page, Position, Reader};
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// What a stream sends next.
pub enum Next {
    /// New events; the stream ends after them when the log is sealed.
    Page(Page),
    /// Nothing new for a while: show the proxies, and the browser, that the line lives.
    Beat,
    /// The position is not in the log any more.
    Gone,
    /// The server stops.
    Stopping,
}

pub struct Pump {
    reader: Reader,
    at: Position,
    /// The next page is what the browser missed, sent at once even if it is nothing.
    opening: bool,
    beat_at: Instant,
    tasks: Tasks,
}

impl Pump {
    /// From `after`, or from the beginning of the log.
    pub fn new(reader: Reader, after: Option<Position>, tasks: Tasks) -> Self {
        let at = after.unwrap_or_else(|| reader.login().log.start());
        Self { reader, at, opening: true, beat_at: Instant::now() + HEARTBEAT, tasks }
    }

    pub fn login(&self) -> &Arc<Login> {
        self.reader.login()
    }

    /// Safe to drop and call again: no event is lost, as the position moves only with what is returned.
    pub async fn next(&mut self) -> Next {
        if self.tasks.is_stopping() {
            return Next::Stopping;
        }
        if self.opening {
            self.opening = false;
            return match self.reader.login().log.read(Some(self.at)) {
                Ok(page) => self.moved(page),
                Err(Gone) => Next::Gone,
            };
        }
        tokio::select! {
            biased;
            () = self.tasks.stopping() => Next::Stopping,
            page = self.reader.login().log.follow(self.at) => match page {
                Ok(page) => self.moved(page),
                Err(Gone) => Next::Gone,
            },
            () = sleep_until(self.beat_at) => {
                self.beat_at += HEARTBEAT;
                Next::Beat
            }
        }
    }

    fn moved(&mut self, page: Page) -> Next {
        self.at = page.next;
        Next::Page(page)
    }
}
