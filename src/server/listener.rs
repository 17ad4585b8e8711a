//! Sockets that listen, and how many connections they take.

use super::connection;
use crate::base::limits::{CONNECTIONS, RESERVED_FILES};
use crate::base::places::{Full, Places};
use crate::base::repeat::OncePerMinute;
use crate::base::tasks::Tasks;
use axum::Router;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

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
    pub async fn serve(self, routes: Router, places: Arc<Places>, tasks: Tasks) {
        let (not_accepted, refused) = (OncePerMinute::default(), OncePerMinute::default());
        loop {
            let accepted = tokio::select! {
                biased;
                () = tasks.stopping() => return,
                accepted = self.0.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(times) = not_accepted.due() {
                        tracing::warn!(times, "a connection could not be accepted: {error}");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let place = match places.take(peer.ip()) {
                Ok(place) => place,
                Err(full) => {
                    let why = match full {
                        Full::Everywhere => "all",
                        Full::Address => "address",
                    };
                    metrics::counter!("max_auth_connections_refused_total", "why" => why).increment(1);
                    if let Some(times) = refused.due() {
                        tracing::warn!(times, peer = %peer.ip(), "a connection was refused: {full}");
                    }
                    continue;
                }
            };
            tasks.spawn("connection", connection::serve(stream, peer, place, routes.clone(), tasks.clone()));
        }
    }
}

/// How the file descriptors of this process are shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descriptors {
    /// Connections on the public listener.
    pub connections: usize,
    /// Logins in flight, each of which has a connection to MAX.
    pub logins: usize,
}

impl Descriptors {
    /// Of `limit` open files (`None`: no limit), for `max_active` logins if they fit: browsers get twice as many, so that
    /// whoever holds connections takes none from MAX, from the state folder or from the operator.
    pub fn share(limit: Option<u64>, max_active: usize) -> Self {
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let free = limit.saturating_sub(RESERVED_FILES).max(3);
        let logins = max_active.min(free / 3);
        Self { connections: CONNECTIONS.min(free - logins), logins }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_shared_so_that_nobody_takes_those_of_another() {
        let share = |limit, logins| {
            let shared = Descriptors::share(limit, logins);
            (shared.connections, shared.logins)
        };
        assert_eq!(share(None, 20_000), (50_000, 20_000));
        assert_eq!(share(Some(1_048_576), 20_000), (50_000, 20_000));
        assert_eq!(share(Some(65_536), 20_000), (45_408, 20_000), "the systemd unit's");
        assert_eq!(share(Some(400), 20_000), (182, 90));
        assert_eq!(share(Some(400), 50), (222, 50));
        for limit in 0..2000 {
            let (connections, logins) = share(Some(limit), 20_000);
            assert!(connections > 0 && logins > 0);
            assert!(limit < 140 || connections + logins + RESERVED_FILES <= limit as usize, "{limit}");
        }
    }
}
