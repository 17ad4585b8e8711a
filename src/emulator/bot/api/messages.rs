//! What a bot writes, and what it answers to a press.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Answer, Asked};
use crate::emulator::bot::message::Message;
use crate::emulator::bot::outgoing::Outgoing;
use crate::emulator::bot::person::{Person, Standing};
use crate::emulator::bot::{Bot, State, USER_ID, new_mid};

/// Messages of one answer.
const MOST: i64 = 100;
const USUAL: i64 = 50;

pub(super) fn send(bot: &Arc<Bot>, asked: &Asked) -> Result<Answer, Answer> {
    let given = Outgoing::read(&asked.object()?).map_err(|why| Answer::malformed(&why))?;
    if given.is_empty() {
        return Err(Answer::malformed("text or attachments: one of them is required"));
    }
    let (user, chat) = (asked.number("user_id")?, asked.number("chat_id")?);
    let mut state = bot.state();
    let sender = state.bot();
    let State { people, rates, .. } = &mut *state;
    let person = match (user, chat) {
        (Some(user), _) => people.known(user).ok_or_else(|| no_dialog(user))?,
        (None, Some(chat)) => people
            .of_chat(chat)
            .ok_or_else(|| Answer::not_found("chat.not.found", &format!("Chat {chat} not found")))?,
        (None, None) => return Err(Answer::malformed("user_id or chat_id: one of them is required")),
    };
    match person.standing {
        Standing::Stopped => return Err(Answer::refused(403, "chat.denied", "error.dialog.suspended")),
        Standing::New if !person.may_be_written_first => return Err(no_dialog(person.id)),
        _ => {}
    }
    if !rates.message(person.chat_id, bot.clock.monotonic()) {
        return Err(Answer::too_many());
    }
    let message = Message {
        mid: new_mid(&bot.rng),
        seq: person.seq(),
        timestamp: bot.clock.unix_ms(),
        from_bot: true,
        text: given.text,
        attachments: given.attachments.unwrap_or_default(),
        link: given.link,
        edited: false,
    };
    let told = message.told(&sender, person.chat_id, person.id);
    person.add(message);
    Ok(Answer::fine(json!({ "message": told })))
}

fn no_dialog(user: i64) -> Answer {
    Answer::not_found("dialog.not.found", &format!("Dialog with user {user} not found"))
}

/// One by its id, some by theirs, or the last of a chat.
pub(super) fn read(bot: &Bot, asked: &Asked, mid: Option<&str>) -> Result<Answer, Answer> {
    let mut state = bot.state();
    let (sender, now) = (state.bot(), bot.clock.unix_ms());
    let told = |person: &Person, message: &Message| -> Value {
        if message.from_bot {
            message.told(&sender, person.chat_id, person.id)
        } else {
            message.told(&person.told(now, false), person.chat_id, USER_ID)
        }
    };
    let mut one = |mid: &str| {
        let person = state.people.with_message(mid)?;
        let message = person.messages.iter().find(|message| message.mid == mid)?;
        Some(told(person, message))
    };
    if let Some(mid) = mid {
        return one(mid).map(Answer::fine).ok_or_else(no_message);
    }
    if let Some(mids) = asked.parameter("message_ids") {
        let found: Vec<Value> = mids.split(',').filter_map(&mut one).collect();
        return Ok(Answer::fine(json!({ "messages": found })));
    }
    let chat = asked.number("chat_id")?.ok_or_else(|| Answer::malformed("chat_id or message_ids: is required"))?;
    let count = asked.number("count")?.unwrap_or(USUAL);
    if !(1..=MOST).contains(&count) {
        return Err(Answer::malformed("count: 1 to 100"));
    }
    let person = state
        .people
        .of_chat(chat)
        .ok_or_else(|| Answer::not_found("chat.not.found", &format!("Chat {chat} not found")))?;
    let newest = person.messages.iter().rev().take(usize::try_from(count).unwrap_or(1));
    let newest: Vec<Value> = newest.map(|message| told(person, message)).collect();
    Ok(Answer::fine(json!({ "messages": newest })))
}

fn no_message() -> Answer {
    Answer::not_found("message.not.found", "Message not found")
}

/// The person of a message that the bot wrote and may change now.
fn own<'a>(bot: &Bot, state: &'a mut State, mid: &str) -> Result<&'a mut Person, Answer> {
    let State { people, rates, .. } = state;
    let person = people.with_message(mid).ok_or_else(no_message)?;
    if person.message(mid).is_none_or(|message| !message.from_bot) {
        return Err(Answer::refused(403, "access.denied", "The message is not the bot's"));
    }
    if !rates.message(person.chat_id, bot.clock.monotonic()) {
        return Err(Answer::too_many());
    }
    Ok(person)
}

pub(super) fn edit(bot: &Bot, asked: &Asked) -> Result<Answer, Answer> {
    let given = Outgoing::read(&asked.object()?).map_err(|why| Answer::malformed(&why))?;
    let mid = asked.parameter("message_id").ok_or_else(|| Answer::malformed("message_id: is required"))?;
    let mut state = bot.state();
    if let Some(message) = own(bot, &mut state, mid)?.message(mid) {
        change(message, given);
    }
    Ok(Answer::success())
}

/// What is null or missing stays as it is; an empty list of attachments takes them away.
fn change(message: &mut Message, given: Outgoing) {
    if let Some(text) = given.text {
        message.text = Some(text);
    }
    if let Some(attachments) = given.attachments {
        message.attachments = attachments;
    }
    message.edited = true;
}

pub(super) fn delete(bot: &Bot, asked: &Asked) -> Result<Answer, Answer> {
    let mid = asked.parameter("message_id").ok_or_else(|| Answer::malformed("message_id: is required"))?;
    let mut state = bot.state();
    own(bot, &mut state, mid)?.messages.retain(|message| message.mid != mid);
    Ok(Answer::success())
}

/// To a press: a notice for a moment, the message anew, or both.
pub(super) fn answer(bot: &Bot, asked: &Asked) -> Result<Answer, Answer> {
    let body = asked.object()?;
    let id = asked.parameter("callback_id").ok_or_else(|| Answer::malformed("callback_id: is required"))?;
    let message = match body.get("message") {
        None | Some(Value::Null) => None,
        Some(Value::Object(message)) => Some(Outgoing::read(message).map_err(|why| Answer::malformed(&why))?),
        Some(_) => return Err(Answer::malformed("message: must be an object")),
    };
    let notice = match body.get("notification") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => return Err(Answer::malformed("notification: must be a string")),
    };
    let mut state = bot.state();
    let Some((person, mid)) = state.callbacks.get(id).cloned() else {
        return Err(Answer::not_found("callback.not.found", "Callback not found"));
    };
    if let Some(person) = state.people.known(person) {
        if notice.is_some() {
            person.notice = notice;
        }
        if let (Some(given), Some(message)) = (message, person.message(&mid)) {
            change(message, given);
        }
    }
    Ok(Answer::success())
}
