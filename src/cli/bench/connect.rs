//! Connections to servers and emulators of this machine, from several of its addresses: one has 28 000 ports.

use axum::body::Body;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::net::{TcpSocket, TcpStream};

use crate::base::tasks::Tasks;

/// What answers that are read whole may have (bytes).
const LARGEST_ANSWER: usize = 256 * 1024;

/// Opens connections, each from the next address.
pub struct Connector {
    sources: u8,
    next: AtomicU32,
    tasks: Tasks,
}

impl Connector {
    pub fn new(sources: u8, tasks: Tasks) -> Self {
        Self { sources, next: AtomicU32::new(0), tasks }
    }

    /// 127.0.0.1, 127.0.0.2, … in turn.
    fn source(&self) -> Ipv4Addr {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % u32::from(self.sources);
        Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + turn)
    }

    pub async fn tcp(&self, target: SocketAddr) -> io::Result<TcpStream> {
        let stream = match target.ip() {
            IpAddr::V6(_) => TcpStream::connect(target).await?,
            IpAddr::V4(_) => {
                let socket = TcpSocket::new_v4()?;
                match socket.bind((self.source(), 0).into()) {
                    // Some systems have the first address only.
                    Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => TcpStream::connect(target).await?,
                    bound => {
                        bound?;
                        socket.connect(target).await?
                    }
                }
            }
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    pub async fn http(&self, target: SocketAddr) -> Result<Http, String> {
        let stream = self.tcp(target).await.map_err(|error| broke(&error))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| broke(&error))?;
        self.tasks.spawn("bench connection", async move {
            // Whoever waits for an answer is told that it broke.
            let _ = connection.await;
        });
        Ok(Http { sender, target })
    }
}

/// A broken connection in a few words, the same for all of its kind.
pub fn broke(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(kind) => format!("connection: {kind}"),
        None => format!("connection: {cause}"),
    }
}

/// One HTTP/1.1 connection.
pub struct Http {
    sender: SendRequest<Body>,
    target: SocketAddr,
}

impl Http {
    pub async fn ask(&mut self, mut request: Request<Body>) -> Result<http::Response<Incoming>, String> {
        if let Ok(host) = self.target.to_string().parse() {
            request.headers_mut().entry(HOST).or_insert(host);
        }
        self.sender.ready().await.map_err(|error| broke(&error))?;
        self.sender.send_request(request).await.map_err(|error| broke(&error))
    }

    /// With the whole body, so that the next question can follow.
    pub async fn ask_whole(&mut self, request: Request<Body>) -> Result<Answer, String> {
        let (parts, body) = self.ask(request).await?.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| format!("connection: {error}"))?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

/// An answer that was read whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Connections to one server that are used again and again.
pub struct Kept {
    address: SocketAddr,
    most: usize,
    idle: Mutex<Vec<Http>>,
}

impl Kept {
    pub fn new(address: SocketAddr, most: usize) -> Self {
        Self { address, most, idle: Mutex::default() }
    }

    /// `request` is made again where the connection that was kept had been closed meanwhile.
    pub async fn ask(
        &self,
        connector: &Connector,
        request: impl Fn() -> http::Result<Request<Body>>,
    ) -> Result<Answer, String> {
        let made = || request().map_err(|error| error.to_string());
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut kept) = kept
            && let Ok(answer) = kept.ask_whole(made()?).await
        {
            self.keep(kept);
            return Ok(answer);
        }
        let mut fresh = connector.http(self.address).await?;
        let answer = fresh.ask_whole(made()?).await?;
        self.keep(fresh);
        Ok(answer)
    }

    fn keep(&self, connection: Http) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most {
            idle.push(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_take_turns() {
        let connector = Connector::new(3, Tasks::new());
        let four: Vec<String> = (0..4).map(|_| connector.source().to_string()).collect();
        assert_eq!(four, ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1"]);
    }

    #[tokio::test]
    async fn a_server_sees_them() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        let connector = Connector::new(2, Tasks::new());
        for expected in ["127.0.0.1", "127.0.0.2"] {
            let (ours, theirs) = tokio::join!(connector.tcp(target), listener.accept());
            assert_eq!(theirs.unwrap().1.ip().to_string(), expected);
            drop(ours);
        }
    }
}
