//! One question to the running server, at its operator's listener.

use crate::config::{Config, Flags};
use axum::body::Body;
use http::header::HOST;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{CliError, waiting};

/// A server that needs longer is not well. Below the five seconds that `HEALTHCHECK` is given.
const PATIENCE: Duration = Duration::from_secs(3);

/// Longest answer that is read, in bytes.
const ANSWER: usize = 64 * 1024;

/// Where the server of this configuration is asked.
pub fn address(flags: &Flags) -> Result<SocketAddr, CliError> {
    Ok(reachable(Config::load(flags)?.config.server.ops_listen))
}

/// A server that listens on every address is asked on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}

/// Status and body; an error says why there is none.
pub async fn ask(address: SocketAddr, method: Method, path: &str) -> Result<(StatusCode, Vec<u8>), String> {
    let asked = timeout(PATIENCE, exchange(address, method, path));
    let asked = waiting::shown(&format!("http://{address}{path}"), "s", asked).await;
    asked.unwrap_or_else(|_| Err(format!("no answer in {} s", PATIENCE.as_secs())))
}

async fn exchange(address: SocketAddr, method: Method, path: &str) -> Result<(StatusCode, Vec<u8>), String> {
    let told = |error: &dyn std::error::Error| error.to_string();
    let stream = TcpStream::connect(address).await.map_err(|error| told(&error))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| told(&error))?;
    let request = Request::builder().method(method).uri(path).header(HOST, address.to_string());
    let request = request.header(crate::server::OPERATOR, "1").body(Body::empty());
    let request = request.map_err(|error| told(&error))?;
    let answer = async move {
        let answer = sender.send_request(request).await.map_err(|error| told(&error))?;
        let status = answer.status();
        let body = http_body_util::Limited::new(answer.into_body(), ANSWER).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes().to_vec()))
    };
    let (answer, _) = tokio::join!(answer, connection);
    answer
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
