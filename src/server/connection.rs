//! One connection: bounded heads and bodies, WebSocket over HTTP/2 announced, an end for what is not used, and a stop that
//! lets answers finish.

use super::timeouts::{TimelyBody, WriteTimeout};
use crate::base::limits::{
    FIRST_REQUEST_TIME, HTTP2_CONNECTION_WINDOW, HTTP2_IDLE, HTTP2_SEND_BUFFER, HTTP2_STALLED, HTTP2_STREAM_WINDOW,
    HTTP2_STREAMS, REQUEST_HEAD, REQUEST_HEAD_TIME,
};
use crate::base::metered::Held;
use crate::base::places::Place;
use crate::base::tasks::Tasks;
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::ConnectInfo;
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tower::ServiceExt as _;

/// How a connection of HTTP/2 begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Between looks at a connection that has begun like HTTP/2 but is not through with it.
const PREFACE_PAUSE: Duration = Duration::from_millis(50);

/// Between looks at what an HTTP/2 connection does.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// After a stop: what is being answered may finish, what has not even been asked may not hold the server.
const STOP_ANSWERS: Duration = Duration::from_secs(2);

/// Pings to HTTP/2 clients, and how long they may take to answer.
const H2_PING: Duration = Duration::from_secs(30);
const H2_PONG: Duration = Duration::from_secs(20);

/// Serves a connection to its end.
pub async fn serve(stream: TcpStream, peer: SocketAddr, place: Place, routes: Router, tasks: Tasks) {
    let due = Instant::now() + FIRST_REQUEST_TIME;
    let _ = stream.set_nodelay(true);
    let version = tokio::select! {
        version = timeout_at(due, begins_like_http2(&stream)) => version,
        () = tasks.stopping() => return,
    };
    let Ok(Some(is_http2)) = version else { return };
    let connection = Arc::new(Connection { _place: place, uses: Mutex::new(Uses::new(is_http2, due)) });
    let seen = Arc::clone(&connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let (routes, connection, used) = (routes.clone(), Arc::clone(&seen), Use::begin(&seen));
        async move {
            let mut request = request.map(|body| match body.is_end_stream() {
                true => Body::empty(),
                false => Body::new(TimelyBody::new(body)),
            });
            request.extensions_mut().insert(ConnectInfo(peer));
            // A WebSocket outlives its request, and over HTTP/1.1 the connection as its server sees it.
            request.extensions_mut().insert(Held(Arc::clone(&used) as _));
            let response = routes.oneshot(request).await;
            let response = response.map(|response: Response| match is_http2 {
                true => response.map(|body| Body::new(Answer::new(body, connection))),
                false => response,
            });
            drop(used);
            response
        }
    });
    let builder = builder(is_http2);
    let served = builder.serve_connection_with_upgrades(TokioIo::new(WriteTimeout::new(stream)), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = tasks.stopping() => {
            served.as_mut().graceful_shutdown();
            timeout(STOP_ANSWERS, served).await.unwrap_or(Ok(()))
        }
        why = connection.unused() => {
            metrics::counter!("max_auth_connections_ended_total", "why" => why).increment(1);
            served.as_mut().graceful_shutdown();
            timeout(STOP_ANSWERS, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        // A peer that went away is everyday life.
        tracing::trace!("a connection ended: {error}");
    }
}

fn builder(is_http2: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(REQUEST_HEAD_TIME).max_buf_size(REQUEST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PONG)
        .enable_connect_protocol()
        .max_header_list_size(REQUEST_HEAD as u32)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_send_buf_size(HTTP2_SEND_BUFFER)
        .max_concurrent_streams(HTTP2_STREAMS);
    if is_http2 { builder.http2_only() } else { builder.http1_only() }
}

/// Looks at the first bytes without taking them.
async fn begins_like_http2(stream: &TcpStream) -> Option<bool> {
    let mut start = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut start).await.ok()?;
        if seen == 0 {
            return None;
        }
        if seen == PREFACE.len() || !PREFACE.starts_with(&start[..seen]) {
            return Some(start == PREFACE);
        }
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
}

/// What a connection is used for, and its place, kept until the last of it is over.
struct Connection {
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
    fn with<T>(&self, look: impl FnOnce(&mut Uses) -> T) -> T {
        look(&mut self.uses.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Completes when nobody uses the connection as one does.
    async fn unused(&self) -> &'static str {
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
struct Use(Arc<Connection>);

impl Use {
    fn begin(connection: &Arc<Connection>) -> Arc<Self> {
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
struct Answer {
    body: Body,
    connection: Arc<Connection>,
}

impl Answer {
    fn new(body: Body, connection: Arc<Connection>) -> Self {
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
    use crate::base::places::Places;
    use tokio::io::AsyncWriteExt as _;

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
        let uses = Mutex::new(Uses::new(true, Instant::now() + FIRST_REQUEST_TIME));
        let connection = Arc::new(Connection { _place: place, uses });
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
        assert_eq!((http_body::Body::size_hint(&answer).exact(), answer.is_end_stream()), (Some(4), false));
        let frame = std::future::poll_fn(|cx| Pin::new(&mut answer).poll_frame(cx)).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "text");
        assert_eq!(still(), Duration::ZERO, "it was asked for more");
        assert!(answer.is_end_stream());
        second().await;
        drop(answer);
        assert_eq!((count(), still()), ((true, 0, 0), Duration::ZERO));
    }

    /// What a connection that began like this is; after each piece there is a pause.
    async fn begun(pieces: &[&[u8]]) -> Option<bool> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (ours, _) = listener.accept().await.unwrap();
        let says = async {
            for piece in pieces {
                theirs.write_all(piece).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            drop(theirs);
        };
        timeout(Duration::from_secs(10), async { tokio::join!(begins_like_http2(&ours), says).0 }).await.unwrap()
    }

    #[tokio::test]
    async fn the_first_bytes_say_which_http_it_is_however_they_come() {
        for (pieces, http2) in [
            (&[PREFACE][..], Some(true)),
            (&[&PREFACE[..1], &PREFACE[1..10], &PREFACE[10..]], Some(true)),
            (&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand more"], Some(true)),
            (&[b"GET / HTTP/1.1\r\n\r\n"], Some(false)),
            (&[b"P", b"OST / HTTP/1.1\r\n\r\n"], Some(false)),
            (&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\t"], Some(false)),
            (&[], None),
        ] {
            assert_eq!(begun(pieces).await, http2, "{pieces:?}");
        }
    }
}
