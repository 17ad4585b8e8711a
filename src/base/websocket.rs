//! The server's half of a WebSocket handshake, over HTTP/1.1 (RFC 6455) and HTTP/2 (RFC 8441).
//!
//! Ready-made extractors refuse what real proxies send: Envoy turns an h2 WebSocket into an upgrade without
//! `Sec-WebSocket-Key`, and nginx with one line missing sends `Connection: close`. Both work when answered.

use super::limits::WEBSOCKET_READ_BUFFER;
use aws_lc_rs::digest;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// A browser's connection once the handshake is done.
pub type ServerSocket<S = TokioIo<Upgraded>> = WebSocketStream<S>;

/// Appended to the key before hashing (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// How a request asks for a WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// `Upgrade: websocket` over HTTP/1.1.
    Upgrade,
    /// Extended CONNECT over HTTP/2.
    Connect,
}

/// Why a request that asks for a WebSocket cannot have one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// `Sec-WebSocket-Version` is something else than 13.
    Version,
    /// The connection cannot be taken over (HTTP/1.0, or somebody took it).
    NoUpgrade,
}

/// Whether this request asks for a WebSocket at all.
pub fn asked<B>(request: &Request<B>) -> Option<Asked> {
    if request.method() == Method::CONNECT {
        let protocol = request.extensions().get::<Protocol>()?;
        return protocol.as_str().eq_ignore_ascii_case("websocket").then_some(Asked::Connect);
    }
    let upgrade = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_token(request.headers(), UPGRADE.as_str(), "websocket");
    upgrade.then_some(Asked::Upgrade)
}

/// Whether a comma-separated header holds this token.
pub fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// The connection that is about to become a WebSocket.
pub struct Pending {
    on_upgrade: OnUpgrade,
    max_message: usize,
}

impl Pending {
    /// Completes once the answer has gone out. `None` when the peer left before.
    pub async fn socket(self) -> Option<ServerSocket> {
        let upgraded = self.on_upgrade.await.ok()?;
        Some(server_socket(TokioIo::new(upgraded), self.max_message).await)
    }
}

/// The server's end of a WebSocket whose handshake is done.
pub async fn server_socket<S>(stream: S, max_message: usize) -> ServerSocket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config(max_message))).await
}

/// Small buffers (a waiting login holds two sockets), nothing kept back on write, no message above `max_message` bytes.
pub fn config(max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(WEBSOCKET_READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

/// Answers the handshake. Headers such as `Set-Cookie` may be added to the response.
pub fn accept<B>(
    request: &mut Request<B>,
    asked: Asked,
    max_message: usize,
) -> Result<(Response<Body>, Pending), Refused> {
    if request.headers().get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version != "13") {
        return Err(Refused::Version);
    }
    let on_upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(Refused::NoUpgrade)?;
    let mut response = Response::new(Body::empty());
    match asked {
        Asked::Connect => {}
        Asked::Upgrade => {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            if let Some(accept) = request.headers().get(SEC_WEBSOCKET_KEY).and_then(accept_value) {
                headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
            }
        }
    }
    Ok((response, Pending { on_upgrade, max_message }))
}

/// RFC 6455 §4.2.2: SHA-1 of key and GUID, in base64.
fn accept_value(key: &HeaderValue) -> Option<HeaderValue> {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(GUID);
    HeaderValue::from_str(&STANDARD.encode(hash.finish())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455() {
        let accept = accept_value(&HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==")).unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_connection_token_is_not_needed_but_http_1_1_is() {
        let request = |version| {
            Request::builder()
                .version(version)
                .header("Upgrade", "WebSocket")
                .header("Connection", "close")
                .body(())
                .unwrap()
        };
        assert_eq!(asked(&request(Version::HTTP_11)), Some(Asked::Upgrade));
        assert_eq!(asked(&request(Version::HTTP_10)), None);
    }
}
