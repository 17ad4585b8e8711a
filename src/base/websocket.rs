//! Both halves of a WebSocket handshake: the server's over HTTP/1.1 (RFC 6455) and HTTP/2 (RFC 8441), the client's
//! over HTTP/1.1. The frames are a library's.
//!
//! Ready-made extractors refuse what real proxies send: Envoy turns an h2 WebSocket into an upgrade without
//! `Sec-WebSocket-Key`, and nginx with one line missing sends `Connection: close`. Both work when answered. And a
//! ready-made client keeps its 4 KiB handshake buffer for as long as the connection lives, which is half of what a
//! waiting login may cost.

use super::limits::{MESSAGES_WORTH_PER_MINUTE, WEBSOCKET_READ_BUFFER};
use super::metered::{Held, Metered};
use super::rng::Rng;
use aws_lc_rs::digest;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use url::{Position, Url};

/// A browser's connection once the handshake is done.
pub type ServerSocket<S = TokioIo<Upgraded>> = WebSocketStream<Metered<S>>;

/// Appended to the key before hashing (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// How a request asks for a WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpgradeKind {
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
pub fn upgrade_asked<B>(request: &Request<B>) -> Option<UpgradeKind> {
    if request.method() == Method::CONNECT {
        let protocol = request.extensions().get::<Protocol>()?;
        return protocol.as_str().eq_ignore_ascii_case("websocket").then_some(UpgradeKind::Connect);
    }
    let upgrade = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_token(request.headers(), UPGRADE.as_str(), "websocket");
    upgrade.then_some(UpgradeKind::Upgrade)
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
    held: Option<Held>,
}

impl Pending {
    /// Completes once the answer has gone out. `None` when the peer left before.
    pub async fn socket(self) -> Option<ServerSocket> {
        let upgraded = self.on_upgrade.await.ok()?;
        Some(server_socket(TokioIo::new(upgraded), self.max_message, self.held).await)
    }
}

/// The server's end of a WebSocket whose handshake is done.
pub async fn server_socket<S>(stream: S, max_message: usize, held: Option<Held>) -> ServerSocket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = Metered::new(stream, max_message * MESSAGES_WORTH_PER_MINUTE, held);
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
    kind: UpgradeKind,
    max_message: usize,
) -> Result<(Response<Body>, Pending), Refused> {
    if request.headers().get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version != "13") {
        return Err(Refused::Version);
    }
    let on_upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(Refused::NoUpgrade)?;
    let mut response = Response::new(Body::empty());
    match kind {
        UpgradeKind::Connect => {}
        UpgradeKind::Upgrade => {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            if let Some(accept) = request.headers().get(SEC_WEBSOCKET_KEY).and_then(accept_value) {
                headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
            }
        }
    }
    let held = request.extensions_mut().remove::<Held>();
    Ok((response, Pending { on_upgrade, max_message, held }))
}

fn accept_value(key: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_str(&accept_text(key.as_bytes())).ok()
}

/// RFC 6455 §4.2.2: SHA-1 of key and GUID, in base64.
fn accept_text(key: &[u8]) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.finish())
}

/// The largest answer to a client's handshake, in bytes: a status line and a dozen headers.
const ANSWER_HEAD: usize = 4 * 1024;

/// Headers of such an answer that are looked at.
const ANSWER_HEADERS: usize = 64;

/// Why a server gave no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFailed {
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("the connection was closed")]
    Closed,
    #[error("the answer is longer than {ANSWER_HEAD} bytes")]
    TooLong,
    #[error("the answer is not HTTP: {0}")]
    NotHttp(#[from] httparse::Error),
    #[error("answered with status {0}")]
    Status(u16),
    #[error("the answer is not a WebSocket's ({0})")]
    NotWebSocket(&'static str),
}

/// A client's WebSocket.
pub struct Connected<S> {
    pub socket: WebSocketStream<S>,
    /// `name=value` of each cookie that the answer set.
    pub cookies: Vec<String>,
}

/// Asks for a WebSocket, as a client. `headers` go out as they are; `host` is that of the URL, with its port.
pub async fn connect<S>(
    mut stream: S,
    url: &Url,
    headers: &[(&str, &str)],
    rng: &Rng,
    max_message: usize,
) -> Result<Connected<S>, ConnectFailed>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let key = STANDARD.encode(rng.bytes::<16>());
    let mut request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\n",
        &url[Position::BeforePath..Position::AfterQuery],
        &url[Position::BeforeHost..Position::AfterPort],
    );
    for (name, value) in headers {
        // A line break in a value would be a header of somebody else's making.
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;

    let mut answer = Vec::with_capacity(ANSWER_HEAD);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(ConnectFailed::Closed);
        }
        let mut found = [httparse::EMPTY_HEADER; ANSWER_HEADERS];
        let mut response = httparse::Response::new(&mut found);
        if let httparse::Status::Complete(head) = response.parse(&answer)? {
            check_answer(&response, &key)?;
            let (cookies, rest) = (cookies(&response), answer[head..].to_vec());
            drop(answer);
            let socket = WebSocketStream::from_partially_read(stream, rest, Role::Client, Some(config(max_message)));
            return Ok(Connected { socket: socket.await, cookies });
        }
        if answer.len() >= ANSWER_HEAD {
            return Err(ConnectFailed::TooLong);
        }
    }
}

fn cookies(response: &httparse::Response<'_, '_>) -> Vec<String> {
    let set = response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("set-cookie"));
    let pair = |value: &str| value.split(';').next().unwrap_or_default().trim().to_owned();
    set.filter_map(|header| std::str::from_utf8(header.value).ok()).map(pair).collect()
}

fn check_answer(response: &httparse::Response<'_, '_>, key: &str) -> Result<(), ConnectFailed> {
    match response.code {
        Some(101) => {}
        status => return Err(ConnectFailed::Status(status.unwrap_or_default())),
    }
    let header = |name: &str| response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    if !header("upgrade").is_some_and(|header| header.value.eq_ignore_ascii_case(b"websocket")) {
        return Err(ConnectFailed::NotWebSocket("no Upgrade: websocket"));
    }
    let expected = accept_text(key.as_bytes());
    if header("sec-websocket-accept").is_none_or(|header| header.value != expected.as_bytes()) {
        return Err(ConnectFailed::NotWebSocket("Sec-WebSocket-Accept does not fit the key"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455() {
        let accept = accept_value(&HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==")).unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// What a server that answers `answer` (with KEY replaced by the right accept value) makes of a client.
    async fn connect_to(answer: &'static str) -> Result<Vec<String>, String> {
        let (ours, mut theirs) = tokio::io::duplex(16 * 1024);
        let server = async {
            let mut request = vec![0; 4096];
            let size = theirs.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..size]).into_owned();
            assert!(request.starts_with("GET /websocket?a=b HTTP/1.1\r\nHost: max.example:8443\r\n"), "{request}");
            assert!(request.contains("\r\nUser-Agent: aX-Evil: 1\r\n"), "no line break: {request}");
            let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap().split("\r\n").next().unwrap();
            let answer = answer.replace("KEY", &accept_text(key.as_bytes()));
            for part in answer.as_bytes().chunks(40) {
                let _ = theirs.write_all(part).await;
            }
        };
        let url = Url::parse("wss://max.example:8443/websocket?a=b").unwrap();
        let headers = [("User-Agent", "a\r\nX-Evil: 1")];
        let rng = Rng::seeded(1);
        let client = connect(ours, &url, &headers, &rng, 1024);
        let (_, socket) = tokio::join!(server, client);
        drop(theirs);
        socket.map(|connected| connected.cookies).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_client_takes_a_websocket_and_nothing_else() {
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        assert_eq!(
            connect_to("HTTP/1.1 101 x\r\nupgrade: WebSocket\r\nsec-websocket-accept: KEY\r\n\r\n").await,
            Ok(Vec::new())
        );
        let cookies = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: KEY\r\nSet-Cookie: a=b; Path=/\r\n\
                       set-cookie: c=d\r\n\r\n";
        assert_eq!(connect_to(cookies).await, Ok(vec!["a=b".to_owned(), "c=d".to_owned()]));
        for (answer, why) in [
            (format!("{head}Sec-WebSocket-Accept: wrong\r\n\r\n"), "does not fit the key"),
            (format!("{head}\r\n"), "does not fit the key"),
            ("HTTP/1.1 101 x\r\nSec-WebSocket-Accept: KEY\r\n\r\n".to_owned(), "no Upgrade"),
            ("HTTP/1.1 403 Forbidden\r\n\r\n".to_owned(), "status 403"),
            ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), "not HTTP"),
            (format!("HTTP/1.1 101 x\r\nX: {}\r\n\r\n", "y".repeat(ANSWER_HEAD)), "longer than"),
        ] {
            let error = connect_to(answer.leak()).await.unwrap_err();
            assert!(error.contains(why), "{error}");
        }
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
        assert_eq!(upgrade_asked(&request(Version::HTTP_11)), Some(UpgradeKind::Upgrade));
        assert_eq!(upgrade_asked(&request(Version::HTTP_10)), None);
    }
}
