//! One question over HTTP and its whole answer: whether it is max-auth at all, how a request arrives there, pages.

use super::connect::Broken;
use super::http::{Answer, Client, ProbeRequest, millis, text};
use crate::base::id;
use crate::base::problem::ProblemCode;
use crate::base::rng::Rng;
use crate::probe::{
    ECHO_PATH, POLL_PATH, PollAnswer, ProbeQuery, ProbeVariant, ServerTime, VISITOR_COOKIE, VISITOR_PATH, VisitorAnswer,
};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, ORIGIN};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt as _, Collected, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

/// A JSON answer, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

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
pub struct HttpObservation {
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

impl HttpObservation {
    pub async fn of(client: &Client, ask: &ProbeRequest, nonce: &str) -> Result<Self, Broken> {
        let answer = client.ask(ask).await?;
        Ok(Self::read(client, answer, nonce, ask.patience).await)
    }

    pub async fn read(client: &Client, answer: Answer, nonce: &str, patience: Duration) -> Self {
        let arrived_unix_ms = client.clock.unix_ms();
        let (head, body) = answer.response.into_parts();
        let body = timeout(client.at_most(patience), whole(body)).await.unwrap_or_default();
        Self {
            head_ms: millis(answer.head_after),
            took_ms: millis(answer.began.elapsed()),
            since_connect_ms: millis(answer.since_connect),
            arrived_unix_ms,
            ..Self::said(head, &body, nonce)
        }
    }

    /// What an answer says, its times apart.
    pub fn said(head: Parts, body: &[u8], nonce: &str) -> Self {
        let body = String::from_utf8_lossy(body).into_owned();
        let ours = serde_json::from_str::<Value>(&body).ok().filter(|value| value["nonce"] == *nonce);
        Self { status: head.status.as_u16(), headers: head.headers, body, ours, ..Self::default() }
    }

    /// Our server's answer, read.
    pub fn answer<T: DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(self.ours.as_ref()?).ok()
    }

    /// Refused for being one too many.
    pub fn is_limited(&self) -> bool {
        self.ours.is_none() && matches!(self.status, 429 | 503)
    }

    /// Refused by max-auth itself, whose own limit on probes is no fault of the path.
    pub fn is_busy(&self) -> bool {
        self.status == ProblemCode::ProbesBusy.status() && self.body.contains(ProblemCode::ProbesBusy.code())
    }

    /// Our clock less the server's, as this answer has it, and how far that may be off (milliseconds).
    pub fn offset(&self) -> Option<(i64, i64)> {
        let sent = self.answer::<ServerTime>()?.unix_ms;
        Some((self.head_ms / 2, (self.arrived_unix_ms - self.head_ms / 2).saturating_sub(sent)))
    }

    pub fn location(&self) -> Option<String> {
        text(&self.headers, "location")
    }
}

/// A body, unless it is too long or breaks off.
pub async fn whole(body: Incoming) -> Bytes {
    Limited::new(body, MAX_ANSWER_BYTES).collect().await.map(Collected::to_bytes).unwrap_or_default()
}

/// Asks how a request arrives: also the question whether this is max-auth.
pub async fn echo(client: &Client, method: Method) -> Result<HttpObservation, Broken> {
    let (path, nonce) = nonce_path(ECHO_PATH);
    let mut ask = ProbeRequest::get(path);
    ask.headers.extend(HeaderValue::from_str(&client.origin).map(|origin| (ORIGIN, origin)));
    if method == Method::POST {
        ask.body = "{}";
        ask.headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    }
    ask.method = method;
    HttpObservation::of(client, &ask, &nonce).await
}

/// A question for a page; twice the same address shows a cache.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    pub first: Option<HttpObservation>,
    pub second: Option<HttpObservation>,
}

impl Pages {
    pub async fn of(client: &Client, variant: ProbeVariant) -> Self {
        let (path, nonce) = own_path(POLL_PATH, ProbeQuery { variant: Some(variant), ..ProbeQuery::default() });
        let ask = ProbeRequest::get(path);
        let first = HttpObservation::of(client, &ask, &nonce).await.ok();
        let second = HttpObservation::of(client, &ask, &nonce).await.ok();
        Self { first, second }
    }

    /// The number that must be another one each time.
    pub fn is_cached(&self) -> bool {
        let count = |page: &Option<HttpObservation>| Some(page.as_ref()?.answer::<PollAnswer>()?.count);
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
    let mut ask = ProbeRequest::get(path);
    ask.headers.extend(HeaderValue::from_str(&format!("{VISITOR_COOKIE}={secret}")).map(|cookie| (COOKIE, cookie)));
    let own: VisitorAnswer = HttpObservation::of(client, &ask, &nonce).await.ok()?.answer()?;
    if own.visitor.as_deref() != Some(&*secret) {
        return None;
    }
    ask.headers.clear();
    let other: VisitorAnswer = HttpObservation::of(client, &ask, &nonce).await.ok()?.answer()?;
    Some(other.visitor.as_deref() == Some(&*secret))
}
