//! What is not done on a phone: the link that was scanned, who somebody is, faults, counters.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::json;

use super::{WhoQuery, person as named, told};
use crate::base::problem::{Problem, ProblemCode};
use crate::emulator::bot::Bot;
use crate::emulator::bot::fault::Faults;
use crate::emulator::bot::link::{self, Target};

/// A name, in characters.
const NAME: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scan {
    link: String,
}

/// The phone's camera saw a code: the page shows where it leads, and somebody opens it.
pub(super) async fn scan(State(bot): State<Arc<Bot>>, body: String) -> Result<Response, Problem> {
    let scan: Scan = serde_json::from_str(&body).map_err(|error| Problem::invalid(error.to_string()))?;
    let mut state = bot.state();
    state.scanned = Some(scan.link);
    Ok(told(&seen(&bot, state.scanned.as_deref())))
}

pub(super) async fn scanned(State(bot): State<Arc<Bot>>) -> Response {
    told(&seen(&bot, bot.state().scanned.as_deref()))
}

fn seen(bot: &Bot, link: Option<&str>) -> serde_json::Value {
    let (kind, payload) = match link.and_then(|link| link::read(link, &bot.options.name)) {
        Some(Target::Start(payload)) => (Some("start"), payload),
        Some(Target::App(payload)) => (Some("startapp"), payload),
        None => (None, None),
    };
    json!({ "link": link, "kind": kind, "payload": payload })
}

/// A field that is there: null takes the value away.
fn given<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(field).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Changes {
    first_name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    last_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    username: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    locale: Option<Option<String>>,
    phone: Option<i64>,
    chat_id: Option<i64>,
    /// Of the next message.
    seq: Option<i64>,
    may_be_written_first: Option<bool>,
}

pub(super) async fn person(
    State(bot): State<Arc<Bot>>,
    Query(who): WhoQuery,
    body: String,
) -> Result<Response, Problem> {
    let changes: Changes = serde_json::from_str(&body).map_err(|error| Problem::invalid(error.to_string()))?;
    let texts = [&changes.last_name, &changes.username, &changes.locale].into_iter().flatten().flatten();
    if texts.chain(&changes.first_name).any(|text| text.chars().count() > NAME) {
        return Err(Problem::invalid(format!("a name has at most {NAME} characters")));
    }
    let mut state = bot.state();
    if let Some(chat_id) = changes.chat_id {
        let own = named(&mut state, &who)?.id;
        if state.people.of_chat(chat_id).is_some_and(|other| other.id != own) {
            return Err(Problem::invalid("chatId: another dialogue has it"));
        }
    }
    let person = named(&mut state, &who)?;
    macro_rules! change {
        ($($field:ident => $there:ident),*) => { $(if let Some(value) = changes.$field { person.$there = value; })* };
    }
    change!(
        first_name => first_name, last_name => last_name, username => username, locale => locale, phone => phone,
        chat_id => chat_id, seq => next_seq, may_be_written_first => may_be_written_first
    );
    Ok(told(&json!({ "id": person.id, "name": person.name(), "phone": person.phone, "chatId": person.chat_id })))
}

pub(super) async fn fault(State(bot): State<Arc<Bot>>, script: Bytes) -> Result<Response, Problem> {
    let read = Faults::parse(&script).map_err(|reason| Problem::new(ProblemCode::BadScript, reason))?;
    let mut state = bot.state();
    state.faults = read.faults;
    state.rates.on = read.limits;
    state.updates.no_marker = read.no_marker;
    if read.forget {
        state.subscriptions.forget();
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn stats(State(bot): State<Arc<Bot>>) -> Response {
    let state = bot.state();
    let mut body = state.stats.told();
    body["people"] = state.people.len().into();
    body["waiting"] = state.updates.waiting().into();
    body["subscriptions"] = state.subscriptions.told().into();
    body["faults"] = state.faults.left().into();
    told(&body)
}
