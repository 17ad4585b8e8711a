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

async fn connection(stream: TcpStream, peer: SocketAddr, routes: Router, tasks: Tasks) {
    let _ = stream.set_nodelay(true);
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
        .enable_connect_protocol()
        .max_header_list_size(REQUEST_HEAD as u32)
        .max_concurrent_streams(64);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = tasks.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // A peer that went away is everyday life.
        tracing::trace!("a connection ended: {error}");
    }
}
