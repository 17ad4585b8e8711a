//! The single questions: whether it is max-auth at all and how a request arrives there, pages, the WebSocket. `round.rs`
//! asks them side by side.

use super::http::{Answer, Ask, Broken, Client, text};
use super::stream::millis;
use crate::base::id;
use crate::base::problem::ProblemCode;
use crate::base::rng::Rng;
use crate::base::websocket;
pub use crate::probe::RequestEcho as Echo;
use crate::probe::{
    ECHO_PATH, POLL_PATH, PollAnswer, ProbeQuery, ProbeVariant, SOCKET_PATH, ServerTime, SocketGreeting, StreamEvent,
    VISITOR_COOKIE, VISITOR_PATH, VisitorAnswer,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use http::header::{CONNECTION, CONTENT_TYPE, COOKIE, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
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
    (format!("{path}?{}", ProbeQuery { nonce: nonce.clone(), ..ProbeQuery::default() }.to_query()), nonce)
}

/// The same with a path of its own, so that a cache does not mix up two questions. `query`: but for its nonce.
pub fn own_path(path: &str, query: ProbeQuery) -> (String, String) {
    let (_, nonce) = nonce_path(path);
    let query = ProbeQuery { nonce: nonce.clone(), ..query };
    (format!("{path}/{nonce}?{}", query.to_query()), nonce)
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

    /// Our server's answer, read.
    pub fn answer<T: DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(self.ours.as_ref()?).ok()
    }

    /// Refused for being one too many.
    pub fn is_limited(&self) -> bool {
        self.ours.is_none() && matches!(self.status, 429 | 503)
    }

    /// Refused by max-auth itself, whose own limit on probes is no fault of the line.
    pub fn is_busy(&self) -> bool {
        self.status == ProblemCode::ProbesBusy.status() && self.body.contains(ProblemCode::ProbesBusy.code())
    }

    /// Our clock less the server's, as this answer has it, and how far that may be off (milliseconds).
    pub fn offset(&self) -> Option<(i64, i64)> {
        let sent = self.answer::<ServerTime>()?.unix_ms;
        Some((self.head_ms / 2, self.arrived_unix_ms - self.head_ms / 2 - sent))
    }

    pub fn location(&self) -> Option<String> {
        text(&self.headers, "location")
    }
}

/// Asks how a request arrives: also the question whether this is max-auth.
pub async fn echo(client: &Client, method: Method) -> Result<Plain, Broken> {
    let (path, nonce) = nonce_path(ECHO_PATH);
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
    pub async fn of(client: &Client, variant: ProbeVariant) -> Self {
        let (path, nonce) = own_path(POLL_PATH, ProbeQuery { variant: Some(variant), ..ProbeQuery::default() });
        let ask = Ask::get(path);
        let first = Plain::of(client, &ask, &nonce).await.ok();
        let second = Plain::of(client, &ask, &nonce).await.ok();
        Self { first, second }
    }

    /// The number that must be another one each time.
    pub fn is_cached(&self) -> bool {
        let count = |page: &Option<Plain>| Some(page.as_ref()?.answer::<PollAnswer>()?.count);
        matches!((count(&self.first), count(&self.second)), (Some(a), Some(b)) if a == b)
    }

    pub fn is_delivered(&self) -> bool {
        self.second.as_ref().is_some_and(|page| page.ours.is_some()) && !self.is_cached()
    }
}

/// The answer about one visitor, asked with a cookie and then, at the same address, without: what came the second time.
/// None where the first is no answer of ours.
pub async fn leaked(client: &Client) -> Option<bool> {
    let (path, nonce) = nonce_path(VISITOR_PATH);
    let secret: String = nonce.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut ask = Ask::get(path);
    ask.headers.extend(HeaderValue::from_str(&format!("{VISITOR_COOKIE}={secret}")).map(|cookie| (COOKIE, cookie)));
    let own: VisitorAnswer = Plain::of(client, &ask, &nonce).await.ok()?.answer()?;
    if own.visitor.as_deref() != Some(&*secret) {
        return None;
    }
    ask.headers.clear();
    let other: VisitorAnswer = Plain::of(client, &ask, &nonce).await.ok()?.answer()?;
    Some(other.visitor.as_deref() == Some(&*secret))
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
    let (path, nonce) = nonce_path(SOCKET_PATH);
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
    let (path, nonce) = nonce_path(SOCKET_PATH);
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
            if let Ok(greeting) = SocketGreeting::deserialize(&value) {
                echo = Some(greeting.echo);
                first_ms = millis(began.elapsed()) + connecting;
            }
            // The second message is sent 300 ms after the first: if it is here, the first was not held for it.
            if let Ok(StreamEvent { number: 2, sent_unix_ms: sent, .. }) = StreamEvent::deserialize(&value) {
                let arrived = client.clock.unix_ms();
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
