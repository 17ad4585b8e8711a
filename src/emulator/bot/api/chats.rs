//! A dialogue as a chat. Groups are not played.

use serde_json::json;

use super::Answer;
use crate::emulator::bot::Bot;
use crate::emulator::bot::person::Standing;

pub(super) fn read(bot: &Bot, id: &str) -> Result<Answer, Answer> {
    let mut state = bot.state();
    let now = bot.clock.unix_ms();
    let person = id.parse().ok().and_then(|id| state.people.of_chat(id)).ok_or_else(|| unknown(id))?;
    Ok(Answer::fine(json!({
        "chat_id": person.chat_id,
        "type": "dialog",
        "status": if person.standing == Standing::Stopped { "suspended" } else { "active" },
        "title": null,
        "icon": null,
        "last_event_time": now,
        "participants_count": 2,
        "owner_id": null,
        "is_public": false,
        "description": null,
        "messages_count": person.messages.len(),
        "dialog_with_user": person.told(now, true),
    })))
}

/// "Is typing", and the like.
pub(super) fn action(bot: &Bot, id: &str) -> Result<Answer, Answer> {
    let known = id.parse().ok().is_some_and(|id| bot.state().people.of_chat(id).is_some());
    if known { Ok(Answer::success()) } else { Err(unknown(id)) }
}

fn unknown(id: &str) -> Answer {
    Answer::not_found("chat.not.found", &format!("Chat {id} not found"))
}
