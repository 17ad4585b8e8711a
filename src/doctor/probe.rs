//! What is asked of one address, all of it side by side: first whether it is max-auth at all and how a request
//! arrives there, then the streams, the pages, the limits and the WebSocket.

use super::http::{Answer, Ask, Broken, Client, text};
use super::stream::{Kind, Seen, millis};
use crate::base::id;
use crate::base::rng::Rng;
use crate::base::websocket;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use http::header::{CONNECTION, CONTENT_TYPE, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

/// Probes of one address at once: a browser opens six connections and a WebSocket; a limit that stops more than
/// eight costs no visitor anything.
const AT_ONCE: usize = 8;

/// Held streams show what ends a request by the clock. Proxies that do so within 3 s break every wait; the usual
/// cuts (15 to 60 s) are only waited for with `--slow`.
const HOLD: Duration = Duration::from_millis(3500);
pub const SLOW_HOLD: Duration = Duration::from_secs(70);

/// Comments of the held stream that is not silent, often enough that what ends it cannot have been silence.
const BEAT: Duration = Duration::from_millis(500);

/// A WebSocket that is not answered: visitors would wait this long for nothing.
const SOCKET_PATIENCE: Duration = Duration::from_millis(2500);

/// A JSON answer, in bytes.
const ANSWER: usize = 64 * 1024;

/// Between requests once a limit was met: the strictest common one counts by the second.
const GENTLE: Duration = Duration::from_millis(1100);

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
    pub unix_ms: i64,
    pub http_version: String,
    pub host: Option<String>,
    pub connection: Option<String>,
    pub upgrade: Option<String>,
    pub sec_web_socket_key: bool,
    pub via: Option<String>,
    pub forwarded: Option<String>,
    pub x_forwarded_for: Option<String>,
    pub x_forwarded_host: Option<String>,
    pub origin: Option<String>,
    pub origin_allowed: Option<bool>,
    pub client_address: String,
    pub proxy_unlisted: bool,
    pub direct: Option<bool>,
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
    async fn of(client: &Client, ask: &Ask, nonce: &str) -> Result<Self, Broken> {
        let answer = client.ask(ask).await?;
        Ok(Self::read(client, answer, nonce, ask.patience).await)
    }

    async fn read(client: &Client, answer: Answer, nonce: &str, patience: Duration) -> Self {
        let arrived_unix_ms = client.clock.unix_ms();
        let (parts, body) = answer.response.into_parts();
        let read = timeout(patience, Limited::new(body, ANSWER).collect()).await;
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
    async fn of(client: &Client, dress: &str) -> Self {
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

/// How the WebSocket went.
#[derive(Clone, Debug, Default)]
pub enum Socket {
    #[default]
    NotTried,
    /// Messages came as they were sent.
    Live {
        echo: Box<Echo>,
        first_ms: i64,
    },
    /// It opened, and then nothing or too late.
    Silent {
        headers: HeaderMap,
    },
    /// Something else than a WebSocket was answered.
    Answered(Box<Plain>),
    /// Nothing was.
    Hung,
    Broken(String),
}

/// Asks for a WebSocket as a browser does.
pub async fn socket(client: &Client) -> Socket {
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
                return echo.map(|echo| Socket::Live { echo: Box::new(echo), first_ms });
            }
        }
        None
    };
    match timeout(SOCKET_PATIENCE, talk).await {
        Ok(Some(live)) => live,
        _ => Socket::Silent { headers },
    }
}

/// The streams of the signature table, in its order.
pub const COLUMNS: [Kind; 7] = [
    Kind::get("uncompressed", "naive", true),
    Kind::get("plain", "naive", false),
    Kind::get("X-Accel-Buffering", "accel", false),
    Kind::get("no-transform", "no-transform", false),
    Kind::get("all headers", "all", false),
    Kind::get("compressed by max-auth", "gzip", false),
    Kind::get("compressed with a tail", "best", false),
];

const POST: Kind = Kind { name: "by POST", dress: "all", identity: false, post: true, hold: None };

/// All that was asked of one address after it turned out to be max-auth.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// Empty when a limit was met: what was refused says nothing of streams.
    pub columns: Vec<Seen>,
    pub post_stream: Option<Seen>,
    /// Held with comments, and held in silence.
    pub life: Option<Seen>,
    pub quiet: Option<Seen>,
    pub held_page: Option<Plain>,
    pub pages_naive: Pages,
    pub pages: Pages,
    pub post: Option<Plain>,
    pub socket: Socket,
    /// Over HTTP/2, where that is announced.
    pub socket_over_http2: Socket,
    pub limited: Option<Limited503>,
}

/// One too many: of connections at once, or of requests in a short time.
#[derive(Clone, Debug)]
pub struct Limited503 {
    pub status: u16,
    pub headers: HeaderMap,
    pub refused: usize,
    pub asked: usize,
    /// Whether requests one after another are refused, too.
    pub by_rate: bool,
}

impl Round {
    pub async fn of(client: &Client, slow: bool) -> Self {
        let places = Semaphore::new(AT_ONCE);
        let limited = CancellationToken::new();
        let hold = if slow { SLOW_HOLD } else { HOLD };
        let held = |beat: Option<Duration>| Kind {
            hold: Some((hold.as_millis() as u64, beat.map(|beat| beat.as_millis() as u64))),
            ..Kind::get("held", "all", false)
        };
        let stream = async |kind: Kind| {
            let _place = places.acquire().await;
            let seen = Seen::of(client, kind).await;
            if matches!(seen.status, Some(429 | 503)) && seen.took_ms < 900 {
                limited.cancel();
            }
            seen
        };
        let unless_limited = async |kind: Kind| {
            tokio::select! {
                seen = stream(kind) => Some(seen),
                () = limited.cancelled() => None,
            }
        };
        let held_page = async {
            let (path, nonce) = own_path("/probe/poll");
            let mut ask = Ask::get(format!("{path}&hold={}", HOLD.as_millis()));
            ask.patience = HOLD + Duration::from_secs(1);
            let _place = places.acquire().await;
            tokio::select! {
                page = Plain::of(client, &ask, &nonce) => page.ok(),
                () = limited.cancelled() => None,
            }
        };
        let pages = async |dress: &str| {
            let _place = places.acquire().await;
            Pages::of(client, dress).await
        };
        let upgrade = async {
            let _place = places.acquire().await;
            (socket(client).await, socket_over_http2(client).await)
        };
        let post = async {
            let _place = places.acquire().await;
            echo(client, Method::POST).await.ok()
        };
        let columns = futures_util::future::join_all(COLUMNS.iter().map(|kind| stream(*kind)));
        let (life, quiet, held_page, (socket, socket_over_http2), post, pages_naive, pages, columns, post_stream) = tokio::join!(
            unless_limited(held(Some(BEAT))),
            unless_limited(held(None)),
            held_page,
            upgrade,
            post,
            pages("naive"),
            pages("all"),
            columns,
            stream(POST),
        );
        let mut round = Self {
            columns,
            post_stream: Some(post_stream),
            life,
            quiet,
            held_page,
            pages_naive,
            pages,
            post,
            socket,
            socket_over_http2,
            limited: None,
        };
        if round.any_limited() {
            round.gently(client).await;
        }
        round
    }

    fn any_limited(&self) -> bool {
        let socket = matches!(&self.socket, Socket::Answered(plain) if plain.is_limited());
        let pages = [&self.pages.first, &self.pages.second, &self.pages_naive.first, &self.pages_naive.second];
        let pages = pages.into_iter().chain([&self.post]).flatten().any(Plain::is_limited);
        let streams = self.columns.iter().chain(&self.post_stream);
        socket || pages || streams.filter(|seen| seen.took_ms < 900).any(|seen| matches!(seen.status, Some(429 | 503)))
    }

    /// Asks again, one thing after the other: what was refused says nothing about streams.
    async fn gently(&mut self, client: &Client) {
        let refused: Vec<(u16, HeaderMap)> = self
            .columns
            .iter()
            .chain(&self.post_stream)
            .filter(|seen| matches!(seen.status, Some(429 | 503)))
            .map(|seen| (seen.status.unwrap_or_default(), seen.headers.clone()))
            .collect();
        let asked = self.columns.len() + 1;
        let mut by_rate = false;
        for _ in 0..4 {
            by_rate |= echo(client, Method::GET).await.is_ok_and(|plain| plain.is_limited());
        }
        let pause = if by_rate { GENTLE } else { Duration::from_millis(50) };
        sleep(pause).await;
        self.socket = socket(client).await;
        sleep(pause).await;
        self.post = echo(client, Method::POST).await.ok();
        self.pages = Pages { first: None, second: self.post.clone() };
        sleep(pause).await;
        self.post_stream = Some(Seen::of(client, POST).await);
        self.columns.clear();
        (self.life, self.quiet, self.held_page) = (None, None, None);
        let (status, headers) = refused.first().cloned().unwrap_or((503, HeaderMap::new()));
        self.limited = Some(Limited503 { status, headers, refused: refused.len(), asked, by_rate });
    }
}
