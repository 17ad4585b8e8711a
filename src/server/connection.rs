//! One connection: HTTP/1 or HTTP/2 by its first bytes; HTTP/2 with bounded heads and bodies, WebSocket announced, an end for
//! what is not used, and a stop that lets answers finish.

use super::connection_uses::{Answer, Connection, STOP_ANSWERS, Use};
use super::http1::{self, Asked};
use super::timeouts::{TimelyBody, WriteTimeout};
use crate::base::limits::{
    FIRST_REQUEST_TIME, HTTP2_CONNECTION_WINDOW, HTTP2_SEND_BUFFER, HTTP2_STREAM_WINDOW, HTTP2_STREAMS, REQUEST_HEAD,
};
use crate::base::metered::Held;
use crate::base::places::Place;
use crate::base::tasks::Tasks;
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tower::ServiceExt as _;

/// How a connection of HTTP/2 begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Between looks at a connection that has begun like HTTP/2 but is not through with it.
const PREFACE_PAUSE: Duration = Duration::from_millis(50);

/// Pings to HTTP/2 clients, and how long they may take to answer.
const H2_PING: Duration = Duration::from_secs(30);
const H2_PONG: Duration = Duration::from_secs(20);

/// Serves a connection to its end. Each step is a box of its own: most connections wait in one that needs little.
pub async fn serve(stream: TcpStream, peer: SocketAddr, place: Place, routes: Router, tasks: Tasks) {
    let due = Instant::now() + FIRST_REQUEST_TIME;
    let _ = stream.set_nodelay(true);
    let Some(is_http2) = Box::pin(version(&stream, due, &tasks)).await else { return };
    let connection = Connection::new(place, is_http2, due);
    if is_http2 {
        Box::pin(serve_http2(stream, peer, connection, routes, tasks)).await;
    } else {
        Box::pin(http1::serve(stream, Arc::new(Asked { peer, connection, routes, tasks }))).await;
    }
}

/// Whether it is HTTP/2; `None` when nothing came in time.
async fn version(stream: &TcpStream, due: Instant, tasks: &Tasks) -> Option<bool> {
    tokio::select! {
        version = timeout_at(due, begins_like_http2(stream)) => version.ok().flatten(),
        () = tasks.stopping() => None,
    }
}

async fn serve_http2(stream: TcpStream, peer: SocketAddr, connection: Arc<Connection>, routes: Router, tasks: Tasks) {
    let seen = Arc::clone(&connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let (routes, connection, used) = (routes.clone(), Arc::clone(&seen), Use::begin(&seen));
        async move {
            let mut request = request.map(|body| match body.is_end_stream() {
                true => Body::empty(),
                false => Body::new(TimelyBody::new(body)),
            });
            request.extensions_mut().insert(ConnectInfo(peer));
            // A WebSocket outlives its request.
            request.extensions_mut().insert(Held(Arc::clone(&used) as _));
            let response = routes.oneshot(request).await;
            let response =
                response.map(|response: Response| response.map(|body| Body::new(Answer::new(body, connection))));
            drop(used);
            response
        }
    });
    let served = http2().serve_connection(TokioIo::new(WriteTimeout::new(stream)), service);
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

fn http2() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PONG)
        .enable_connect_protocol()
        .max_header_list_size(REQUEST_HEAD as u32)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_send_buf_size(HTTP2_SEND_BUFFER)
        .max_concurrent_streams(HTTP2_STREAMS);
    builder
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

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
