//! The bot itself.

use serde_json::Value;

use super::{Answer, Asked};
use crate::emulator::bot::Bot;

const COMMANDS: usize = 32;

/// What may be changed.
const FIELDS: [&str; 4] = ["first_name", "name", "description", "commands"];

pub(super) fn read(bot: &Bot) -> Answer {
    Answer::fine(bot.state().profile.clone())
}

/// `PATCH /me`, and `PATCH /me/commands`, which is what SDKs call today.
pub(super) fn edit(bot: &Bot, asked: &Asked) -> Result<Answer, Answer> {
    let given = asked.object()?;
    if let Some(commands) = given.get("commands").filter(|commands| !commands.is_null()) {
        let Some(list) = commands.as_array() else { return Err(Answer::malformed("commands: must be a list")) };
        if list.len() > COMMANDS || list.iter().any(|command| command["name"].as_str().is_none_or(str::is_empty)) {
            return Err(Answer::malformed(&format!("commands: at most {COMMANDS}, each with a name")));
        }
    }
    let mut state = bot.state();
    for (name, value) in given {
        if FIELDS.contains(&name.as_str()) && !value.is_null() {
            state.profile[name] = value;
        }
    }
    let profile: Value = state.profile.clone();
    Ok(Answer::fine(profile))
}
