//! `max-auth health`: is the server that runs with this configuration alive? For `HEALTHCHECK`, where there is no curl.

use super::{CliError, block_on, say};
use crate::config::{Config, Flags};
use axum::body::Body;
use http::header::HOST;
use http::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server that needs longer to say "ok" is not well. Below the five seconds that `HEALTHCHECK` is given.
const PATIENCE: Duration = Duration::from_secs(3);

pub fn run(flags: &Flags) -> Result<(), CliError> {
    let address = reachable(Config::load(flags)?.config.server.ops_listen);
    block_on(async move {
        let asked = timeout(PATIENCE, ask(address)).await;
        let outcome = asked.unwrap_or_else(|_| Err(format!("no answer in {} s", PATIENCE.as_secs())));
        outcome
            .map_err(|why| CliError::No(format!("not healthy: http://{address}/healthz: {why} (server.ops_listen)")))?;
        say("healthy");
        Ok(())
    })
}

/// A server that listens on every address is asked on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}

async fn ask(address: SocketAddr) -> Result<(), String> {
    let told = |error: &dyn std::error::Error| error.to_string();
    let stream = TcpStream::connect(address).await.map_err(|error| told(&error))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| told(&error))?;
    let request = Request::get("/healthz").header(HOST, address.to_string()).body(Body::empty());
    let request = request.map_err(|error| told(&error))?;
    let status = tokio::select! {
        answer = sender.send_request(request) => answer.map_err(|error| told(&error))?.status(),
        ended = connection => return Err(ended.err().map_or_else(|| "closed".to_owned(), |error| error.to_string())),
    };
    if status == StatusCode::OK { Ok(()) } else { Err(format!("answered {status}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_asked_on_loopback() {
        for (listens, asked) in [
            ("0.0.0.0:3002", "127.0.0.1:3002"),
            ("[::]:1", "[::1]:1"),
            ("192.0.2.1:5", "192.0.2.1:5"),
            ("[2001:db8::1]:5", "[2001:db8::1]:5"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
