//! The Bot API and the phones beside it, on a paused clock; webhooks over real sockets.

mod api;
mod phone;
mod polling;
mod webhook;

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{BotOptions, NAME, TOKEN, Trust};
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::emulator::{Account, Emulator, Options};

/// Whom the phone belongs to where nobody is named.
const ID: i64 = 401_041_669;
const CHAT: i64 = 500_401_041_669;
const NOW: i64 = 1_787_333_000_000;

fn bot_options(clock: u32) -> BotOptions {
    BotOptions {
        name: NAME.to_owned(),
        token: TOKEN.to_owned(),
        mini_app: Some("https://site.example/app".parse().unwrap()),
        clock: NonZeroU32::new(clock).unwrap(),
        trust: Trust::load(None).unwrap(),
    }
}

fn emulator(bot: BotOptions) -> Arc<Emulator> {
    let options = Options { bot: Some(bot), account: Account::default(), ..Options::default() };
    Emulator::new(options, Clock::fixed(NOW), Rng::seeded(7), Tasks::new())
}

struct Told {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

async fn request(emulator: &Arc<Emulator>, request: Request<Body>) -> Told {
    let response = emulator.router().oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Told { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
}

/// A bot asks, with its token.
async fn ask(emulator: &Arc<Emulator>, method: &str, path: &str, body: Value) -> Told {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let asked = Request::builder().method(method).uri(format!("/bot-api{path}")).header("authorization", TOKEN);
    request(emulator, asked.body(Body::from(text)).unwrap()).await
}

/// The same, and what it answers with 200.
async fn asked(emulator: &Arc<Emulator>, method: &str, path: &str, body: Value) -> Value {
    let told = ask(emulator, method, path, body).await;
    assert_eq!(told.status, 200, "{}", told.text);
    told.json()
}

/// The status and the code of a refusal.
async fn refused(emulator: &Arc<Emulator>, method: &str, path: &str, body: Value) -> (u16, String) {
    let told = ask(emulator, method, path, body).await;
    (told.status.as_u16(), told.json()["code"].as_str().unwrap_or_default().to_owned())
}

/// Somebody does something on a phone.
async fn act(emulator: &Arc<Emulator>, path: &str, body: &str) -> Value {
    let asked = Request::post(format!("/phone/bot/{path}")).body(Body::from(body.to_owned())).unwrap();
    let told = request(emulator, asked).await;
    if told.text.is_empty() { Value::Null } else { told.json() }
}

async fn look(emulator: &Arc<Emulator>, path: &str) -> Value {
    request(emulator, Request::get(format!("/phone/bot/{path}")).body(Body::empty()).unwrap()).await.json()
}

async fn script(emulator: &Arc<Emulator>, script: Value) {
    assert_eq!(act(emulator, "fault", &script.to_string()).await, Value::Null);
}

/// What waits for a poll.
async fn updates(emulator: &Arc<Emulator>) -> Vec<Value> {
    let body = asked(emulator, "GET", "/updates?timeout=0", Value::Null).await;
    body["updates"].as_array().unwrap().clone()
}

fn keyboard(payload: &str) -> Value {
    let button = json!({ "type": "callback", "text": "42", "payload": payload });
    json!([{ "type": "inline_keyboard", "payload": { "buttons": [[button]] } }])
}
