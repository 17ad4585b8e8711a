//! In the dialogue: start, stop, write, press, hand over a contact.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Who, WhoQuery, cannot, person, told};
use crate::base::problem::Problem;
use crate::emulator::bot::delivery::emit;
use crate::emulator::bot::message::Message;
use crate::emulator::bot::person::Standing;
use crate::emulator::bot::{Bot, State as BotState, USER_ID, events, link, new_mid, signatures};

/// Random bytes of a callback's id: 120 characters as text.
const CALLBACK_BYTES: usize = 90;

/// Characters of what somebody writes.
const TEXT: usize = 4000;

pub(super) async fn start_without_payload(
    State(bot): State<Arc<Bot>>,
    Query(who): WhoQuery,
) -> Result<Response, Problem> {
    begin(&bot, &who, None)
}

pub(super) async fn start(
    State(bot): State<Arc<Bot>>,
    Path(payload): Path<String>,
    Query(who): WhoQuery,
) -> Result<Response, Problem> {
    begin(&bot, &who, link::start_payload(&payload))
}

/// The link was tapped, and "Start" where there is such a button. A dialogue that runs already makes no event of it.
fn begin(bot: &Arc<Bot>, who: &Who, payload: Option<String>) -> Result<Response, Problem> {
    let mut state = bot.state();
    let person = person(&mut state, who)?;
    let is_event = person.standing != Standing::Started;
    person.standing = Standing::Started;
    let (id, update) = (person.id, events::bot_started(person, payload.as_deref(), bot.clock.unix_ms()));
    if is_event {
        emit(bot, &mut state, id, update);
    }
    Ok(told(&json!({ "started": true, "event": is_event.then_some("bot_started"), "payload": payload })))
}

pub(super) async fn stop(State(bot): State<Arc<Bot>>, Query(who): WhoQuery) -> Result<Response, Problem> {
    let mut state = bot.state();
    let person = person(&mut state, &who)?;
    let is_event = person.standing == Standing::Started;
    if is_event {
        person.standing = Standing::Stopped;
        let (id, update) = (person.id, events::bot_stopped(person, bot.clock.unix_ms()));
        emit(&bot, &mut state, id, update);
    }
    Ok(told(&json!({ "started": false, "event": is_event.then_some("bot_stopped") })))
}

pub(super) async fn say(State(bot): State<Arc<Bot>>, Query(who): WhoQuery, text: String) -> Result<Response, Problem> {
    if text.is_empty() || text.chars().count() > TEXT {
        return Err(Problem::invalid(format!("the body is the text: 1 to {TEXT} characters")));
    }
    write(&bot, &mut bot.state(), &who, Some(text), Vec::new())
}

fn write(
    bot: &Arc<Bot>,
    state: &mut BotState,
    who: &Who,
    text: Option<String>,
    attachments: Vec<Value>,
) -> Result<Response, Problem> {
    let person = person(state, who)?;
    if person.standing != Standing::Started {
        return Err(cannot("the dialogue is not started: there is a button \"Start\" and no field to write in"));
    }
    let message = Message {
        mid: new_mid(&bot.rng),
        seq: person.seq(),
        timestamp: bot.clock.unix_ms(),
        from_bot: false,
        text,
        attachments,
        link: None,
        edited: false,
    };
    let (id, mid) = (person.id, message.mid.clone());
    let update = events::message_created(person, &message, USER_ID, message.timestamp);
    person.add(message);
    emit(bot, state, id, update);
    Ok(told(&json!({ "event": "message_created", "mid": mid })))
}

/// The newest message that has such a button.
pub(super) async fn press(
    State(bot): State<Arc<Bot>>,
    Path(payload): Path<String>,
    Query(who): WhoQuery,
) -> Result<Response, Problem> {
    let mut state = bot.state();
    let (sender, now) = (state.bot(), bot.clock.unix_ms());
    let person = person(&mut state, &who)?;
    if person.standing != Standing::Started {
        return Err(cannot("the dialogue is not started"));
    }
    person.notice = None;
    let message = person.messages.iter().rev().find(|message| message.has_callback(&payload));
    let Some(message) = message else { return Err(cannot("no message has a button with this payload")) };
    let callback_id = crate::base::id::encode(&bot.rng.bytes::<CALLBACK_BYTES>());
    let update = events::message_callback(person, message, &sender, (&callback_id, &payload), now);
    let (id, mid) = (person.id, message.mid.clone());
    state.remember_callback(callback_id.clone(), id, mid);
    emit(&bot, &mut state, id, update);
    Ok(told(&json!({ "event": "message_callback", "callbackId": callback_id })))
}

#[derive(Deserialize)]
pub(super) struct Contact {
    #[serde(default)]
    kind: Kind,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// What the button "share my contact" sends.
    #[default]
    Own,
    /// Somebody else's card, with the hash it once came with.
    Forwarded,
    /// The own card with another number in it.
    Forged,
    /// A card out of the phone's book: no hash at all.
    Plain,
}

pub(super) async fn contact(
    State(bot): State<Arc<Bot>>,
    Query(who): WhoQuery,
    Query(Contact { kind }): Query<Contact>,
    _body: Bytes,
) -> Result<Response, Problem> {
    let mut state = bot.state();
    let now = bot.clock.unix_ms();
    let own = person(&mut state, &who)?.id;
    let of = if kind == Kind::Forwarded { own.wrapping_add(1) } else { own };
    let owner = person(&mut state, &Who { person: Some(of) })?;
    let card = owner.card();
    let hash = signatures::card(&bot.options.token, &card);
    let card = if kind == Kind::Forged { card.replace("cell:7", "cell:8") } else { card };
    let mut payload = json!({ "vcf_info": card, "max_info": owner.told(now, false) });
    if kind != Kind::Plain {
        payload["hash"] = hash.into();
    }
    write(&bot, &mut state, &who, None, vec![json!({ "type": "contact", "payload": payload })])
}

pub(super) async fn dialog(State(bot): State<Arc<Bot>>, Query(who): WhoQuery) -> Result<Response, Problem> {
    let mut state = bot.state();
    let person = person(&mut state, &who)?;
    let messages: Vec<Value> = person.messages.iter().map(Message::shown).collect();
    Ok(told(&json!({
        "person": { "id": person.id, "name": person.name(), "phone": person.phone },
        "bot": bot.options.name,
        "started": person.standing == Standing::Started,
        "standing": match person.standing {
            Standing::New => "new",
            Standing::Started => "started",
            Standing::Stopped => "stopped",
        },
        "notice": person.notice,
        "messages": messages,
    })))
}
