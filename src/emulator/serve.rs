//! The emulator's own listener. It hands out logins to whoever asks, so it stays on loopback unless told otherwise.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::Emulator;

/// Open connections of all kinds, the phone's included.
const MAX_CONNECTIONS: usize = 10_100;

/// How long a client may take to send a request head, which is also how long an idle keep-alive connection lives.
const REQUEST_HEAD_TIME: Duration = Duration::from_secs(30);

/// After a failed accept, which means no file descriptors: some may come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "{0} is not a loopback address, and the emulator gives logins to whoever can reach it; \
         to mean it, say so a second time with --allow-remote"
    )]
    Remote(SocketAddr),
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// Opens the listener: loopback only, unless told twice (by the address, and by `allow_remote`).
pub async fn listen(address: SocketAddr, allow_remote: bool) -> Result<TcpListener, ServeError> {
    if !address.ip().to_canonical().is_loopback() && !allow_remote {
        return Err(ServeError::Remote(address));
    }
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

impl Emulator {
    /// Serves MAX and the phone until the tasks are asked to stop.
    pub async fn serve(self: &Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let router = self.router();
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.tasks.stopping() => return,
                accepted = accept(&listener, &places) => accepted,
            };
            let Some((stream, place)) = accepted else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let emulator = Arc::clone(self);
            let router = router.clone();
            self.tasks.spawn("emulator-http", async move {
                // The place is given back when the connection closes or becomes a WebSocket, which has its own limit.
                let _place = place;
                emulator.serve_connection(router, stream).await;
            });
        }
    }

    /// Speaks HTTP/1.1 on a connection until it ends or becomes a WebSocket.
    pub async fn serve_connection<S>(&self, router: Router, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_HEAD_TIME)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
            .with_upgrades();
        tokio::select! {
            () = self.tasks.stopping() => {}
            // A client that breaks off is the client's business.
            _ = connection => {}
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    // Frames are small and each is waited for.
    let _ = stream.set_nodelay(true);
    Some((stream, place))
}
