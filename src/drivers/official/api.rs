//! MAX's Bot API, as far as a sign-in needs it. Source of the facts: dev.max.ru and MAX's own clients (docs/max-official.md).

use super::update::User;
use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use url::Url;

/// One answer, after the connection. MAX holds a poll for 30 s at most.
const ANSWER_TIME: Duration = Duration::from_secs(10);
pub const POLL_TIME: Duration = Duration::from_secs(30);

/// An answer (bytes): a hundred updates, each of a message of 4000 characters with what is around it.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Of one call that a person waits for: tries, and what may lie between them.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Calls on their way at once. MAX takes 30 a second from one bot, and an answer takes some 100 ms.
const AT_ONCE: usize = 8;

/// What is asked of an address.
pub struct Call {
    pub method: Method,
    pub url: Url,
    /// Of the header `Authorization`.
    pub token: Secret,
    pub body: Option<String>,
    pub most: usize,
    pub time: Duration,
}

/// What it answered.
pub struct Said {
    pub status: u16,
    pub retry_after: Option<Duration>,
    /// Unix milliseconds, as its header `Date` has them.
    pub date: Option<i64>,
    pub body: Vec<u8>,
}

/// A call on its way; the error is for the operator.
pub type Saying<'a> = Pin<Box<dyn Future<Output = Result<Said, String>> + Send + 'a>>;

/// Whoever carries calls: HTTP, with the roots that are trusted for this host and no other.
pub trait Carrier: Send + Sync + 'static {
    fn carry(&self, call: Call) -> Saying<'_>;
}

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The token is not, or no more, one of a bot.
    #[error("MAX does not take the token (401 {0})")]
    Token(String),
    /// MAX said no, and would again.
    #[error("MAX refused it ({status} {code}): {message}")]
    Refused { status: u16, code: String, message: String },
    /// It may pass: too many calls, trouble at MAX, a line that broke.
    #[error("{0}")]
    Trouble(String),
}

impl ApiError {
    /// The person stopped the bot, or never talked to it.
    pub fn is_closed_dialogue(&self) -> bool {
        matches!(self, Self::Refused { status: 403, .. })
            || matches!(self, Self::Refused { code, .. } if code.starts_with("chat.") || code.contains("dialog"))
    }
}

/// A webhook as MAX knows it.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub struct Subscription {
    pub url: String,
}

pub struct Api {
    carrier: Box<dyn Carrier>,
    base: Url,
    token: Secret,
    rng: Rng,
    at_once: Semaphore,
}

impl Api {
    pub fn new(carrier: Box<dyn Carrier>, base: Url, token: Secret, rng: Rng) -> Self {
        Self { carrier, base, token, rng, at_once: Semaphore::new(AT_ONCE) }
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn once(
        &self,
        (method, path, query): (Method, &str, &[(&str, &str)]),
        body: Option<&Value>,
        time: Duration,
    ) -> (Result<Value, ApiError>, Option<Duration>) {
        let token = Secret::new(self.token.expose().to_owned());
        let (url, body) = (self.url(path, query), body.map(Value::to_string));
        let said = self.carrier.carry(Call { method, url, token, body, most: ANSWER_BYTES, time }).await;
        match said {
            Err(why) => (Err(ApiError::Trouble(why)), None),
            Ok(said) => (judged(said.status, &said.body), said.retry_after),
        }
    }

    /// Some tries while it may pass. A message could so be sent twice, where MAX took it and its answer was lost: better than not
    /// at all.
    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut tries = 0;
        loop {
            tries += 1;
            let place = self.at_once.acquire().await;
            let (answer, retry_after) = self.once((method.clone(), path, query), body, ANSWER_TIME).await;
            drop(place);
            match answer {
                Err(ApiError::Trouble(_)) if tries < TRIES => {
                    let pause = backoff.wait(&self.rng);
                    sleep(retry_after.map_or(pause, |after| after.clamp(pause, LONGEST_PAUSE))).await;
                }
                Err(error) => {
                    metrics::counter!("max_auth_bot_calls_failed_total").increment(1);
                    return Err(error);
                }
                answer => return answer,
            }
        }
    }

    /// What MAX's clock said; `None` where it did not.
    pub async fn date(&self) -> Option<i64> {
        let token = Secret::new(self.token.expose().to_owned());
        let call = Call {
            method: Method::GET,
            url: self.url("/me", &[]),
            token,
            body: None,
            most: ANSWER_BYTES,
            time: ANSWER_TIME,
        };
        self.carrier.carry(call).await.ok()?.date
    }

    /// Who the bot is. MAX was seen to answer an empty object where it should have refused a token.
    pub async fn me(&self) -> Result<User, ApiError> {
        let (answer, _) = self.once((Method::GET, "/me", &[]), None, ANSWER_TIME).await;
        let answer = answer?;
        let nobody = || ApiError::Refused {
            status: 200,
            code: "max-auth.no-user".to_owned(),
            message: "the answer to /me names no bot".to_owned(),
        };
        serde_json::from_value(answer).map_err(|_| nobody())
    }

    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, ApiError> {
        #[derive(Deserialize)]
        struct All {
            subscriptions: Vec<Subscription>,
        }
        let answer = self.call(Method::GET, "/subscriptions", &[], None).await?;
        let all: All = read(answer)?;
        Ok(all.subscriptions)
    }

    pub async fn subscribe(&self, url: &str, kinds: &[&str], secret: &str) -> Result<(), ApiError> {
        let body = json!({"url": url, "update_types": kinds, "secret": secret});
        self.call(Method::POST, "/subscriptions", &[], Some(&body)).await.map(drop)
    }

    pub async fn unsubscribe(&self, url: &str) -> Result<(), ApiError> {
        self.call(Method::DELETE, "/subscriptions", &[("url", url)], None).await.map(drop)
    }

    /// A new message to a person.
    pub async fn send(&self, user: i64, message: &Value) -> Result<(), ApiError> {
        let user = user.to_string();
        self.call(Method::POST, "/messages", &[("user_id", &user)], Some(message)).await.map(drop)
    }

    /// In place of the message whose button was pressed.
    pub async fn answer(&self, callback: &str, message: &Value) -> Result<(), ApiError> {
        let body = json!({"message": message});
        self.call(Method::POST, "/answers", &[("callback_id", callback)], Some(&body)).await.map(drop)
    }

    /// Beside the message, which stays as it is.
    pub async fn notify(&self, callback: &str, text: &str) -> Result<(), ApiError> {
        let body = json!({"notification": text});
        self.call(Method::POST, "/answers", &[("callback_id", callback)], Some(&body)).await.map(drop)
    }

    /// What is new; and how long MAX wants to be left alone, where it says so.
    pub async fn updates(&self, marker: Option<i64>, kinds: &str) -> (Result<Value, ApiError>, Option<Duration>) {
        let (timeout, marker) = (POLL_TIME.as_secs().to_string(), marker.map(|marker| marker.to_string()));
        let mut query = vec![("timeout", timeout.as_str()), ("limit", "100"), ("types", kinds)];
        query.extend(marker.as_deref().map(|marker| ("marker", marker)));
        self.once((Method::GET, "/updates", &query), None, POLL_TIME + ANSWER_TIME).await
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, ApiError> {
    serde_json::from_value(answer).map_err(|error| ApiError::Trouble(format!("its answer cannot be read: {error}")))
}

/// Whether it worked: MAX says no with 200, too.
fn judged(status: u16, body: &[u8]) -> Result<Value, ApiError> {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let said = |key: &str| {
        let text = answer.as_ref().and_then(|answer| answer[key].as_str()).unwrap_or_default();
        // For a log: one line, and not long.
        text.chars().filter(|letter| !letter.is_control()).take(200).collect::<String>()
    };
    let refused = || ApiError::Refused { status, code: said("code"), message: said("message") };
    match (status, &answer) {
        (200, Some(answer)) if answer["success"] == false => match said("code").as_str() {
            "too.many.requests" | "service.unavailable" => Err(ApiError::Trouble(format!("MAX says {}", said("code")))),
            _ => Err(refused()),
        },
        (200..=299, Some(answer)) => Ok(answer.clone()),
        (200..=299, None) => Err(ApiError::Trouble("its answer is not JSON".to_owned())),
        (401, _) => Err(ApiError::Token(format!("{} {}", said("code"), said("message")))),
        (429 | 500.., _) => Err(ApiError::Trouble(format!("MAX answered {status} {}", said("code")))),
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_max_answers_is_a_yes_a_no_or_something_that_may_pass() {
        let kind = |status: u16, body: &str| match judged(status, body.as_bytes()) {
            Ok(_) => "fine",
            Err(ApiError::Token(_)) => "token",
            Err(ApiError::Refused { .. }) => "refused",
            Err(ApiError::Trouble(_)) => "trouble",
        };
        for (status, body, expected) in [
            (200, "{}", "fine"),
            (200, r#"{"success":true}"#, "fine"),
            (200, r#"{"success":false,"message":"no","code":"proto.payload"}"#, "refused"),
            (200, r#"{"success":false,"message":"no","code":"too.many.requests"}"#, "trouble"),
            (200, "<html>", "trouble"),
            (200, "", "trouble"),
            (400, r#"{"code":"proto.payload","message":"x"}"#, "refused"),
            (401, r#"{"code":"verify.token","message":"Invalid access_token"}"#, "token"),
            (401, "<html>", "token"),
            (403, r#"{"code":"chat.denied","message":"error.dialog.suspended"}"#, "refused"),
            (404, "", "refused"),
            (405, "", "refused"),
            (429, "", "trouble"),
            (503, "<html>", "trouble"),
        ] {
            assert_eq!(kind(status, body), expected, "{status} {body}");
        }
        let suspended = judged(403, br#"{"code":"chat.denied","message":"error.dialog.suspended"}"#).unwrap_err();
        assert!(suspended.is_closed_dialogue());
        let odd = judged(400, "{\"code\":\"a\\nb\",\"message\":\"\\u0007x\"}".as_bytes()).unwrap_err();
        assert_eq!(odd.to_string(), "MAX refused it (400 ab): x", "one line of a log");
    }
}
