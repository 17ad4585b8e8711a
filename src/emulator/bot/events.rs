//! The objects `Update` that a bot gets.

use serde_json::{Value, json};

use super::message::Message;
use super::person::Person;

fn update(kind: &str, person: &Person, now_ms: i64) -> Value {
    let mut update = json!({ "update_type": kind, "timestamp": now_ms });
    if let Some(locale) = &person.locale {
        update["user_locale"] = locale.as_str().into();
    }
    update
}

/// The key `payload` is there only with a deep link.
pub(super) fn bot_started(person: &Person, payload: Option<&str>, now_ms: i64) -> Value {
    let mut update = update("bot_started", person, now_ms);
    update["chat_id"] = person.chat_id.into();
    update["user"] = person.told(now_ms, true);
    update["user_id"] = person.id.into();
    if let Some(payload) = payload {
        update["payload"] = payload.into();
    }
    update
}

/// Without `user_id` at the top.
pub(super) fn bot_stopped(person: &Person, now_ms: i64) -> Value {
    let mut update = update("bot_stopped", person, now_ms);
    update["chat_id"] = person.chat_id.into();
    update["user"] = person.told(now_ms, true);
    update
}

pub(super) fn message_created(person: &Person, message: &Message, bot: i64, now_ms: i64) -> Value {
    let mut update = update("message_created", person, now_ms);
    update["message"] = message.told(&person.told(now_ms, false), person.chat_id, bot);
    update
}

/// `message` is the one with the button, whole.
pub(super) fn message_callback(
    person: &Person,
    message: &Message,
    bot: &Value,
    (callback_id, payload): (&str, &str),
    now_ms: i64,
) -> Value {
    let mut update = update("message_callback", person, now_ms);
    update["callback"] = json!({
        "timestamp": now_ms,
        "callback_id": callback_id,
        "user": person.told(now_ms, false),
        "payload": payload,
    });
    update["message"] = message.told(bot, person.chat_id, person.id);
    update
}

/// The bot came into a group; since November 2026 nobody says who added it.
pub(super) fn bot_added(now_ms: i64) -> Value {
    json!({ "update_type": "bot_added", "timestamp": now_ms, "chat_id": -71_000_000_000_001_i64, "is_channel": false })
}

/// One that no client knows.
pub(super) fn unknown(person: &Person, now_ms: i64) -> Value {
    let mut update = update("dialog_painted", person, now_ms);
    update["chat_id"] = person.chat_id.into();
    update["colour"] = json!({ "hue": 7, "shades": [null, 1.5, "x"] });
    update
}
