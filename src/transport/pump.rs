//! From a position to a sink: what every streaming transport does next.

use super::ends::{How, Recorder};
use crate::base::limits::{ECHO, HEARTBEAT};
use crate::base::tasks::Tasks;
use crate::login::{Gone, Login, Page, Position, Reader};
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// What a stream sends next.
pub enum Next {
    /// New events; the stream ends after them when the log is sealed.
    Page(Page),
    /// Nothing new for a while: show the proxies, and the browser, that the line lives. Also sent shortly after each
    /// event, where something may hold the last bytes until more follow.
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
    echo: bool,
    tasks: Tasks,
    recorder: Recorder,
}

impl Pump {
    /// From `after`, or from the beginning of the log. `echo`: a beat follows each event.
    pub fn new(reader: Reader, after: Option<Position>, echo: bool, tasks: Tasks, recorder: Recorder) -> Self {
        let at = after.unwrap_or_else(|| reader.login().log.start());
        Self { reader, at, opening: true, beat_at: Instant::now() + HEARTBEAT, echo, tasks, recorder }
    }

    pub fn login(&self) -> &Arc<Login> {
        self.reader.login()
    }

    /// How this stream will have ended, unless something else happens first.
    pub fn will_end(&mut self, how: How) {
        self.recorder.will_end(how);
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
        let beat_at = self.beat_at;
        tokio::select! {
            biased;
            () = self.tasks.stopping() => self.stopping(),
            page = self.reader.login().log.follow(self.at) => match page {
                Ok(page) => self.moved(page),
                Err(Gone) => self.gone(),
            },
            () = sleep_until(beat_at) => {
                self.beat_at = beat_at + HEARTBEAT;
                self.recorder.sent();
                Next::Beat
            }
        }
    }

    fn moved(&mut self, page: Page) -> Next {
        self.at = page.next;
        self.recorder.sent();
        if page.sealed {
            self.will_end(How::Finished);
        }
        if self.echo && !page.events.is_empty() {
            self.beat_at = Instant::now() + ECHO;
        }
        Next::Page(page)
    }

    fn gone(&mut self) -> Next {
        self.will_end(How::Finished);
        Next::Gone
    }

    fn stopping(&mut self) -> Next {
        self.will_end(How::Stopped);
        Next::Stopping
    }
}
