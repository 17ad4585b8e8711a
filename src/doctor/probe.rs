//! The single questions: whether it is max-auth at all and how a request arrives there, pages, the WebSocket. `round.rs`
//! asks them side by side.

use super::http::{Answer, Ask, Broken, Client, text};
use super::stream::millis;
use crate::base::id;
use crate::base::rng::Rng;
use crate::base::websocket;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use http::header::{CONNECTION, CONTENT_TYPE, COOKIE, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// A WebSocket that is not answered: visitors would wait this long for nothing.
const SOCKET_PATIENCE: Duration = Duration::from_millis(2500);

/// A JSON answer, in bytes.
const ANSWER: usize = 64 * 1024;

/// A probe's address with a nonce of its own.
pub fn nonce_path(path: &str) -> (String, String) {
    let nonce = id::encode(&Rng::system().bytes::<16>());
    (format!("{path}?nonce={nonce}"), nonce)
}

/// The same with a path of its own, so that a cache does not mix up two questions.
pub fn own_path(path: &str) -> (String, String) {
    let (_, nonce) = nonce_path(path);
    (format!("{path}/{nonce}?nonce={nonce}"), nonce)
}

/// The request as it arrived at the server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Echo {
    /// Timers that ended earlier visitors' streams on this way.
    #[serde(default)]
    pub timers: Vec<Timers>,
    pub http_version: String,
    pub host: Option<String>,
    pub connection: Option<String>,
    pub upgrade: Option<String>,
    pub sec_web_socket_key: bool,
    pub via: Option<String>,
    /// Names of headers that proxies add.
    #[serde(default)]
    pub marks: Vec<String>,
    pub forwarded: Option<String>,
    pub x_forwarded_for: Option<String>,
    pub x_forwarded_host: Option<String>,
    pub origin: Option<String>,
    pub origin_allowed: Option<bool>,
    /// The address that max-auth takes for the visitor's is the one that asked; and it is one of the inside.
    pub client_is_asker: Option<bool>,
    #[serde(default)]
    pub client_is_inner: bool,
    pub proxy_unlisted: bool,
    pub direct: Option<bool>,
}

impl Echo {
    /// Hops that forwarding headers list.
    pub fn hops(&self) -> usize {
        let listed = self.x_forwarded_for.as_ref().or(self.forwarded.as_ref());
        listed.and_then(|hops| hops.split(' ').next()?.parse().ok()).unwrap_or(0)
    }

    pub fn has_mark(&self, name: &str) -> bool {
        self.marks.iter().any(|mark| mark == name)
    }
}

/// What the server remembers of how streams ended: "37 of 41 ended at 60.0 s".
#[derive(Clone, Debug, Deserialize)]
pub struct Timers {
    pub transport: String,
    pub cut: u64,
    pub timer: Timer,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Timer {
    pub seconds: f64,
    pub count: u64,
    pub idle: bool,
}

/// An ordinary answer: its head, its body as far as it goes, and whether it is our server's.
#[derive(Clone, Debug, Default)]
pub struct Plain {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
    /// The JSON with our nonce in it.
    pub ours: Option<Value>,
    pub head_ms: i64,
    pub took_ms: i64,
    /// From connecting on.
    pub since_connect_ms: i64,
    pub arrived_unix_ms: i64,
}

impl Plain {
    pub async fn of(client: &Client, ask: &Ask, nonce: &str) -> Result<Self, Broken> {
        let answer = client.ask(ask).await?;
        Ok(Self::read(client, answer, nonce, ask.patience).await)
    }

    async fn read(client: &Client, answer: Answer, nonce: &str, patience: Duration) -> Self {
        let arrived_unix_ms = client.clock.unix_ms();
        let (parts, body) = answer.response.into_parts();
        let read = timeout(client.at_most(patience), Limited::new(body, ANSWER).collect()).await;
        let bytes = read.ok().and_then(Result::ok).map(|read| read.to_bytes()).unwrap_or_default();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        let ours = serde_json::from_str::<Value>(&body).ok().filter(|value| value["nonce"] == *nonce);
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
            ours,
            head_ms: millis(answer.head_after),
            took_ms: millis(answer.began.elapsed()),
            since_connect_ms: millis(answer.since_connect),
            arrived_unix_ms,
        }
    }

    /// Refused for being one too many.
    pub fn is_limited(&self) -> bool {
        self.ours.is_none() && matches!(self.status, 429 | 503)
    }

    /// Refused by max-auth itself, whose own limit on probes is no fault of the line.
    pub fn is_busy(&self) -> bool {
        self.status == 429 && self.body.contains("\"probes-busy\"")
    }

    /// Our clock less the server's, as this answer has it, and how far that may be off (milliseconds).
    pub fn offset(&self) -> Option<(i64, i64)> {
        let sent = self.ours.as_ref()?["unixMs"].as_i64()?;
        Some((self.head_ms / 2, self.arrived_unix_ms - self.head_ms / 2 - sent))
    }

    pub fn location(&self) -> Option<String> {
        text(&self.headers, "location")
    }
}

/// Asks how a request arrives: also the question whether this is max-auth.
pub async fn echo(client: &Client, method: Method) -> Result<Plain, Broken> {
    let (path, nonce) = nonce_path("/probe");
    let mut ask = Ask::get(path);
    ask.headers.extend(HeaderValue::from_str(&client.origin).map(|origin| (ORIGIN, origin)));
    if method == Method::POST {
        ask.body = "{}";
        ask.headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    }
    ask.method = method;
    Plain::of(client, &ask, &nonce).await
}

/// A question for a page; twice the same address shows a cache.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    pub first: Option<Plain>,
    pub second: Option<Plain>,
}

impl Pages {
    pub async fn of(client: &Client, dress: &str) -> Self {
        let (path, nonce) = own_path("/probe/poll");
        let ask = Ask::get(format!("{path}&as={dress}"));
        let first = Plain::of(client, &ask, &nonce).await.ok();
        let second = Plain::of(client, &ask, &nonce).await.ok();
        Self { first, second }
    }

    /// The number that must be another one each time.
    pub fn is_cached(&self) -> bool {
        let count = |page: &Option<Plain>| page.as_ref()?.ours.as_ref()?["count"].as_u64();
        matches!((count(&self.first), count(&self.second)), (Some(a), Some(b)) if a == b)
    }

    pub fn is_delivered(&self) -> bool {
        self.second.as_ref().is_some_and(|page| page.ours.is_some()) && !self.is_cached()
    }
}

/// The answer about one visitor, asked with a cookie and then, at the same address, without: what came the second time.
/// None where the first is no answer of ours.
pub async fn leaked(client: &Client) -> Option<bool> {
    let (path, nonce) = nonce_path("/probe/visitor");
    let secret: String = nonce.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut ask = Ask::get(path);
    ask.headers.extend(HeaderValue::from_str(&format!("max-auth-probe={secret}")).map(|cookie| (COOKIE, cookie)));
    let own = Plain::of(client, &ask, &nonce).await.ok()?.ours?;
    if own["visitor"] != *secret {
        return None;
    }
    ask.headers.clear();
    let other = Plain::of(client, &ask, &nonce).await.ok()?.ours?;
    Some(other["visitor"] == *secret)
}

/// How the WebSocket went.
#[derive(Clone, Debug, Default)]
pub enum Socket {
    #[default]
    NotTried,
    /// Messages came as they were sent.
    Live {
        echo: Box<Echo>,
        first_ms: i64,
        /// The server's Unix milliseconds at the second message, and ours when it came.
        sent: i64,
        arrived: i64,
    },
    /// It opened, and then nothing, or too late.
    Silent {
        headers: HeaderMap,
    },
    /// Something else than a WebSocket was answered.
    Answered(Box<Plain>),
    /// Nothing was.
    Hung,
    Broken(String),
}

/// Asks for a WebSocket as a browser does, and if nothing comes of it soon, once more beside the first: one lost packet
/// is no fault of a proxy.
pub async fn socket(client: &Client) -> Socket {
    let later = async {
        sleep(SOCKET_PATIENCE / 2).await;
        socket_once(client).await
    };
    let first = socket_once(client);
    tokio::pin!(first, later);
    tokio::select! {
        socket = &mut first => match socket {
            Socket::Hung | Socket::Silent { .. } => match later.await {
                Socket::Hung => socket,
                other => other,
            },
            _ => socket,
        },
        socket = &mut later => match socket {
            Socket::Live { .. } => socket,
            _ => first.await,
        },
    }
}

async fn socket_once(client: &Client) -> Socket {
    let (path, nonce) = nonce_path("/probe/socket");
    let mut ask = Ask::get(path);
    let key = STANDARD.encode(Rng::system().bytes::<16>());
    ask.only_http1 = true;
    ask.headers =
        vec![(CONNECTION, HeaderValue::from_static("Upgrade")), (UPGRADE, HeaderValue::from_static("websocket"))];
    ask.headers.extend(HeaderValue::from_str(&key).map(|key| (SEC_WEBSOCKET_KEY, key)));
    open(client, ask, &nonce).await
}

/// The same over HTTP/2, as browsers do it where it is announced; `NotTried` where it is not.
pub async fn socket_over_http2(client: &Client) -> Socket {
    if !client.announces_extended_connect() {
        return Socket::NotTried;
    }
    let (path, nonce) = nonce_path("/probe/socket");
    let mut ask = Ask::get(path);
    ask.method = Method::CONNECT;
    ask.extended_connect = true;
    open(client, ask, &nonce).await
}

async fn open(client: &Client, mut ask: Ask, nonce: &str) -> Socket {
    ask.patience = SOCKET_PATIENCE;
    ask.headers.push((SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    ask.headers.extend(HeaderValue::from_str(&client.origin).map(|origin| (ORIGIN, origin)));
    let mut answer = match client.ask(&ask).await {
        Ok(answer) => answer,
        // Only what was waited for says anything.
        Err(Broken::Silent(seconds)) if seconds < SOCKET_PATIENCE.as_secs_f64() / 2.0 => return Socket::NotTried,
        Err(Broken::Silent(_)) => return Socket::Hung,
        Err(broken) => return Socket::Broken(broken.to_string()),
    };
    let opened = if ask.extended_connect { 200 } else { 101 };
    if answer.response.status().as_u16() != opened {
        return Socket::Answered(Box::new(Plain::read(client, answer, nonce, SOCKET_PATIENCE).await));
    }
    let headers = answer.response.headers().clone();
    let connecting = millis(answer.since_connect) - millis(answer.head_after);
    let began = answer.began;
    let talk = async {
        let upgraded = hyper::upgrade::on(&mut answer.response).await.ok()?;
        let config = Some(websocket::config(ANSWER));
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, config).await;
        let mut echo = None;
        let mut first_ms = 0;
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
            if value["nonce"] != *nonce {
                continue;
            }
            if let Ok(arrived) = serde_json::from_value::<Echo>(value["echo"].clone()) {
                echo = Some(arrived);
                first_ms = millis(began.elapsed()) + connecting;
            }
            // The second message is sent 300 ms after the first: if it is here, the first was not held for it.
            if value["number"] == 2 {
                let (sent, arrived) = (value["sentUnixMs"].as_i64().unwrap_or_default(), client.clock.unix_ms());
                return echo.map(|echo| Socket::Live { echo: Box::new(echo), first_ms, sent, arrived });
            }
        }
        None
    };
    let patience = client.at_most(SOCKET_PATIENCE);
    match timeout(patience, talk).await {
        Ok(Some(live)) => live,
        Err(_) if patience < SOCKET_PATIENCE / 2 => Socket::NotTried,
        _ => Socket::Silent { headers },
    }
}
