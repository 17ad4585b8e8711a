//! Messages of the bot: a text of the table, with its buttons.

use super::question::Question;
use crate::texts::Words;
use serde_json::{Value, json};
use std::time::Duration;

/// A button, and what it means to us, sealed.
pub struct Button {
    pub text: String,
    pub payload: String,
}

/// The texts of one language, for one site.
pub struct Phrases<'a> {
    pub words: &'a Words,
    pub site: &'a str,
}

/// A text without buttons; in place of a message with some, they go.
pub fn plain(text: &str) -> Value {
    json!({"text": text, "attachments": []})
}

fn with_buttons(text: &str, rows: &[Vec<Value>]) -> Value {
    json!({"text": text, "attachments": [{"type": "inline_keyboard", "payload": {"buttons": rows}}]})
}

fn callback(button: &Button) -> Value {
    json!({"type": "callback", "text": button.text, "payload": button.payload})
}

impl Phrases<'_> {
    fn filled(&self, text: &str) -> String {
        text.replace("{site}", self.site)
    }

    /// The question, with the numbers in one row and the way out below.
    pub fn question(&self, question: &Question, picks: &[Button], not_me: &Button) -> Value {
        let words = &self.words.bot;
        let ask = if question.choices.is_empty() { &words.just_ask } else { &words.pick };
        let browser = question.browser.as_ref().map(|browser| words.browser.replace("{browser}", browser));
        let head: Vec<String> = std::iter::once(self.filled(&words.question)).chain(browser).collect();
        let text = format!("{}\n\n{}", head.join("\n"), self.filled(ask));
        with_buttons(&text, &[picks.iter().map(callback).collect(), vec![callback(not_me)]])
    }

    pub fn contact(&self, text: &str, without: &Button) -> Value {
        let words = &self.words.bot;
        let send = json!({"type": "request_contact", "text": words.send_contact});
        with_buttons(&self.filled(text), &[vec![send], vec![callback(without)]])
    }

    pub fn say(&self, text: &str) -> Value {
        plain(&self.filled(text))
    }

    pub fn locked(&self, left: Duration) -> Value {
        let minutes = left.as_secs().div_ceil(60).max(1).to_string();
        plain(&self.filled(&self.words.bot.locked).replace("{minutes}", &minutes))
    }
}
