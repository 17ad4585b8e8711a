//! Sockets to requests: bounded connections, bounded heads, WebSocket over HTTP/2 announced, a stop that lets answers
//! finish.

use crate::base::limits::{CONNECTIONS, REQUEST_HEAD, REQUEST_HEAD_TIME};
use crate::base::tasks::Tasks;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::ServiceExt as _;

/// After an accept that failed for want of file descriptors: time for some to be given back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why there is no listener, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("{key}: {address} is in use; stop the program that listens there or choose another address")]
    InUse { key: &'static str, address: SocketAddr },
    #[error("{key}: cannot listen on {address}: {error}")]
    Other { key: &'static str, address: SocketAddr, error: std::io::Error },
}

/// A listener that is open, before anything is served on it.
pub struct Bound(TcpListener);

/// Opens `address`; `key` is the setting it came from.
pub async fn bind(address: SocketAddr, key: &'static str) -> Result<Bound, ListenError> {
    TcpListener::bind(address).await.map(Bound).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => ListenError::InUse { key, address },
        _ => ListenError::Other { key, address, error },
    })
}

impl Bound {
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves until the soft stop; connections end by themselves after it.
    pub async fn serve(self, routes: Router, tasks: Tasks) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                biased;
                () = tasks.stopping() => return,
                accepted = self.0.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                metrics::counter!("max_auth_connections_refused_total").increment(1);
                continue;
            };
            let (routes, stopping) = (routes.clone(), tasks.clone());
            tasks.spawn("connection", async move {
                connection(stream, peer, routes, stopping).await;
                drop(place);
            });
        }
    }
}

/// How a connection of HTTP/2 begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Between looks at a connection that has begun like HTTP/2 but is not through with it.
const PREFACE_PAUSE: Duration = Duration::from_millis(50);

/// After a stop: what is being answered may finish, what has not even been asked may not hold the server.
const STOP_ANSWERS: Duration = Duration::from_secs(2);

/// Pings to HTTP/2 clients, and how long they may take to answer.
const H2_PING: Duration = Duration::from_secs(30);
const H2_PONG: Duration = Duration::from_secs(20);

/// Looks at the first bytes without taking them. `None` when none come in time: the library that tells the versions apart
/// by itself has no timer while it does.
async fn begins_like_http2(stream: &TcpStream) -> Option<bool> {
    let mut start = [0; PREFACE.len()];
    let look = async {
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
    };
    timeout(REQUEST_HEAD_TIME, look).await.ok().flatten()
}

async fn connection(stream: TcpStream, peer: SocketAddr, routes: Router, tasks: Tasks) {
    let _ = stream.set_nodelay(true);
    let version = tokio::select! {
        version = begins_like_http2(&stream) => version,
        () = tasks.stopping() => return,
    };
    let Some(is_http2) = version else { return };
    let service = service_fn(move |request: Request<Incoming>| {
        let routes = routes.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            routes.oneshot(request).await
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(REQUEST_HEAD_TIME).max_buf_size(REQUEST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PONG)
        .enable_connect_protocol()
        .max_header_list_size(REQUEST_HEAD as u32)
        .max_concurrent_streams(64);
    let builder = if is_http2 { builder.http2_only() } else { builder.http1_only() };
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = tasks.stopping() => {
            connection.as_mut().graceful_shutdown();
            timeout(STOP_ANSWERS, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        // A peer that went away is everyday life.
        tracing::trace!("a connection ended: {error}");
    }
}
