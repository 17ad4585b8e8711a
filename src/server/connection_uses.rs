//! What a connection is used for: an end for one that is not, and its place for as long as anything of it is left.

use crate::base::limits::{HTTP2_IDLE, HTTP2_STALLED};
use crate::base::places::Place;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// After a stop: what is being answered may finish, what has not even been asked may not hold the server.
pub const STOP_ANSWERS: Duration = Duration::from_secs(2);

/// Between looks at what an HTTP/2 connection does.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// What a connection is used for, and its place, kept until the last of it is over.
pub struct Connection {
    _place: Place,
    uses: Mutex<Uses>,
}

struct Uses {
    is_http2: bool,
    /// When the first request must be in; `None` once it is.
    first_due: Option<Instant>,
    /// Requests that have no answer yet, and WebSockets.
    running: usize,
    /// Answers whose bodies are being sent.
    answers: usize,
    /// When something began or ended, or an answer was asked for more.
    moved: Instant,
}

/// What the uses of a connection say about its life.
#[derive(PartialEq, Eq, Debug)]
enum Verdict {
    /// Look again then, or never.
    Fine(Option<Instant>),
    End(&'static str),
}

impl Uses {
    fn new(is_http2: bool, first_due: Instant) -> Self {
        Self { is_http2, first_due: Some(first_due), running: 0, answers: 0, moved: Instant::now() }
    }

    fn verdict(&self, now: Instant) -> Verdict {
        if let Some(due) = self.first_due {
            return if due <= now { Verdict::End("no-request") } else { Verdict::Fine(Some(due)) };
        }
        // HTTP/1.1 has timers for heads and writes. An HTTP/2 connection lives on answers to pings alone, and a stream
        // of it without a window keeps what it was given.
        if !self.is_http2 {
            return Verdict::Fine(None);
        }
        let still = now - self.moved;
        match (self.running, self.answers) {
            (0, 0) if still >= HTTP2_IDLE => Verdict::End("idle"),
            (0, 1..) if still >= HTTP2_STALLED => Verdict::End("not-read"),
            _ => Verdict::Fine(Some(now + LOOK_PAUSE)),
        }
    }
}

impl Connection {
    pub fn new(place: Place, is_http2: bool, first_due: Instant) -> Arc<Self> {
        Arc::new(Self { _place: place, uses: Mutex::new(Uses::new(is_http2, first_due)) })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Uses) -> T) -> T {
        look(&mut self.uses.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Completes when nobody uses the connection as one does.
    pub async fn unused(&self) -> &'static str {
        loop {
            match self.with(|uses| uses.verdict(Instant::now())) {
                Verdict::End(why) => return why,
                Verdict::Fine(Some(next)) => sleep_until(next).await,
                Verdict::Fine(None) => std::future::pending().await,
            }
        }
    }
}

/// A request until it is answered, or a WebSocket until it is closed.
pub struct Use(Arc<Connection>);

impl Use {
    pub fn begin(connection: &Arc<Connection>) -> Arc<Self> {
        connection.with(|uses| {
            uses.first_due = None;
            uses.running += 1;
            uses.moved = Instant::now();
        });
        Arc::new(Self(Arc::clone(connection)))
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.0.with(|uses| {
            uses.running -= 1;
            uses.moved = Instant::now();
        });
    }
}

/// The body of an answer, which says when it is asked for more.
pub struct Answer {
    body: Body,
    connection: Arc<Connection>,
}

impl Answer {
    pub fn new(body: Body, connection: Arc<Connection>) -> Self {
        connection.with(|uses| uses.answers += 1);
        Self { body, connection }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.connection.with(|uses| uses.moved = Instant::now());
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.with(|uses| {
            uses.answers -= 1;
            uses.moved = Instant::now();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::FIRST_REQUEST_TIME;
    use crate::base::places::Places;
    use http_body::Body as _;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_ends() {
        let now = Instant::now();
        let due = now + FIRST_REQUEST_TIME;
        let uses = |is_http2, running, answers| Uses { first_due: None, running, answers, ..Uses::new(is_http2, due) };
        let after = |uses: &Uses, seconds| match uses.verdict(now + Duration::from_secs(seconds)) {
            Verdict::End(why) => why,
            Verdict::Fine(_) => "",
        };
        let nothing_asked = Uses::new(false, due);
        assert_eq!((after(&nothing_asked, 14), after(&nothing_asked, 15)), ("", "no-request"));
        assert_eq!(nothing_asked.verdict(now), Verdict::Fine(Some(due)));
        assert_eq!(uses(false, 0, 0).verdict(now), Verdict::Fine(None), "HTTP/1.1 has timers of its own");
        assert_eq!((after(&uses(true, 0, 0), 64), after(&uses(true, 0, 0), 65)), ("", "idle"));
        assert_eq!((after(&uses(true, 0, 3), 29), after(&uses(true, 0, 3), 30)), ("", "not-read"));
        assert_eq!(after(&uses(true, 1, 0), 10_000), "", "a WebSocket");
        assert_eq!(after(&uses(true, 1, 3), 10_000), "", "and streams beside it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_counts_what_runs_on_it_until_it_is_dropped() {
        let place = Arc::new(Places::for_anybody(1)).take([192, 0, 2, 1].into()).ok().unwrap();
        let connection = Connection::new(place, true, Instant::now() + FIRST_REQUEST_TIME);
        let count = || connection.with(|uses| (uses.first_due.is_none(), uses.running, uses.answers));
        let still = || connection.with(|uses| Instant::now() - uses.moved);
        let second = || tokio::time::sleep(Duration::from_secs(1));
        assert_eq!(count(), (false, 0, 0));
        second().await;
        let used = Use::begin(&connection);
        assert_eq!((count(), still()), ((true, 1, 0), Duration::ZERO));
        second().await;
        let mut answer = Answer::new(Body::from("text"), Arc::clone(&connection));
        assert_eq!((count(), still()), ((true, 1, 1), Duration::from_secs(1)));
        drop(used);
        assert_eq!((count(), still()), ((true, 0, 1), Duration::ZERO));
        second().await;
        assert_eq!((answer.size_hint().exact(), answer.is_end_stream()), (Some(4), false));
        let frame = std::future::poll_fn(|cx| Pin::new(&mut answer).poll_frame(cx)).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "text");
        assert_eq!(still(), Duration::ZERO, "it was asked for more");
        assert!(answer.is_end_stream());
        second().await;
        drop(answer);
        assert_eq!((count(), still()), ((true, 0, 0), Duration::ZERO));
    }
}
