//! What MAX tells a bot, read liberally: what is not needed is not looked at, what is missing is missing.

use serde::Deserialize;
use serde_json::Value;

/// The kinds that are subscribed to; MAX brings nothing else, and whatever it brings is counted.
pub const KINDS: [&str; 4] = ["bot_started", "message_created", "message_callback", "bot_stopped"];

/// A person, or a bot.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct User {
    pub user_id: i64,
    #[serde(default)]
    pub first_name: Option<String>,
    #[serde(default)]
    pub last_name: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub full_avatar_url: Option<String>,
    #[serde(default)]
    pub avatar_url: Option<String>,
}

/// Something that concerns us.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub what: What,
    pub user: User,
    /// The person's language, as MAX says it.
    pub locale: Option<String>,
    /// The same for the same update, whenever and wherever it is brought again.
    pub name: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The bot was started, by a link with this payload or without one.
    Started(Option<String>),
    /// Somebody wrote, in their dialogue with the bot.
    Said(String),
    /// Somebody sent a card of a person.
    Contact(Contact),
    /// A button was pressed.
    Pressed {
        callback: String,
        payload: String,
    },
    Stopped,
}

/// A card as MAX signs it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Contact {
    pub vcf_info: String,
    #[serde(default)]
    pub hash: String,
    /// Whose it is.
    #[serde(default)]
    pub max_info: Option<ContactOf>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ContactOf {
    pub user_id: i64,
}

/// What an update is called in metrics.
pub fn kind(update: &Value) -> &'static str {
    let said = update["update_type"].as_str().unwrap_or_default();
    KINDS.into_iter().find(|kind| *kind == said).unwrap_or("other")
}

/// `None` for what does not concern us: unknown kinds, other chats than a person's own, bots.
pub fn read(update: &Value) -> Option<Update> {
    let timestamp = update["timestamp"].as_i64().unwrap_or_default();
    let locale = update["user_locale"].as_str().map(str::to_owned);
    let user = |value: &Value| serde_json::from_value::<User>(value.clone()).ok().filter(|user| user.user_id > 0);
    let is_dialogue = |message: &Value| message["recipient"]["chat_type"] == "dialog";
    let kind = kind(update);
    let (what, user, what_name) = match kind {
        "bot_started" => {
            let payload = update["payload"].as_str().filter(|payload| !payload.is_empty()).map(str::to_owned);
            let name = payload.clone().unwrap_or_default();
            (What::Started(payload), user(&update["user"])?, name)
        }
        "bot_stopped" => (What::Stopped, user(&update["user"])?, String::new()),
        "message_callback" => {
            let callback = &update["callback"];
            // The message may have been deleted meanwhile.
            if !update["message"].is_null() && !is_dialogue(&update["message"]) {
                return None;
            }
            let (id, payload) = (callback["callback_id"].as_str()?, callback["payload"].as_str()?);
            let pressed = What::Pressed { callback: id.to_owned(), payload: payload.to_owned() };
            (pressed, user(&callback["user"])?, id.to_owned())
        }
        "message_created" => {
            let message = &update["message"];
            if !is_dialogue(message) || message["sender"]["is_bot"] == true {
                return None;
            }
            let body = &message["body"];
            let cards = body["attachments"].as_array().into_iter().flatten();
            let card = cards.into_iter().find(|attachment| attachment["type"] == "contact");
            let card = card.and_then(|card| serde_json::from_value::<Contact>(card["payload"].clone()).ok());
            let what = match (card, body["text"].as_str()) {
                (Some(card), _) => What::Contact(card),
                (None, Some(text)) => What::Said(text.trim().to_owned()),
                (None, None) => return None,
            };
            (what, user(&message["sender"])?, body["mid"].as_str().unwrap_or_default().to_owned())
        }
        _ => return None,
    };
    let name = format!("{kind} {timestamp} {} {what_name}", user.user_id);
    Some(Update { what, user, locale, name })
}

impl Contact {
    /// The number in the card, E.164 with `+`.
    pub fn phone(&self) -> Option<String> {
        let line = self.vcf_info.lines().find(|line| {
            let name = line.split([':', ';']).next().unwrap_or_default();
            name.rsplit('.').next().unwrap_or_default().eq_ignore_ascii_case("TEL")
        })?;
        phone(line.rsplit_once(':')?.1)
    }
}

/// E.164 with `+`, of digits with whatever people and cards put between them.
pub fn phone(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let other = text.chars().any(|c| !c.is_ascii_digit() && !" +-().\r".contains(c));
    ((7..=15).contains(&digits.len()) && !other).then(|| format!("+{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn person() -> Value {
        json!({"user_id": 400, "first_name": "Вася", "last_name": "", "username": null, "is_bot": false})
    }

    #[test]
    fn a_start_says_its_payload_if_there_is_one() {
        let started = |payload: Value| {
            let mut update = json!({"update_type": "bot_started", "timestamp": 1, "chat_id": -5, "user": person(),
                                    "user_id": 400, "user_locale": "ru", "new_field": {}});
            if !payload.is_null() {
                update["payload"] = payload;
            }
            read(&update).map(|update| (update.what, update.user.user_id, update.locale))
        };
        let ru = Some("ru".to_owned());
        assert_eq!(started(json!("abc")), Some((What::Started(Some("abc".into())), 400, ru.clone())));
        for nothing in [json!(null), json!(""), json!(7)] {
            assert_eq!(started(nothing), Some((What::Started(None), 400, ru.clone())));
        }
    }

    #[test]
    fn what_does_not_concern_us_is_passed_over() {
        let said = |chat: &str, sender: Value, body: Value| {
            read(&json!({"update_type": "message_created", "timestamp": 1, "message":
                {"recipient": {"chat_type": chat}, "sender": sender, "body": body}}))
        };
        let text = json!({"mid": "mid.1", "seq": 117_000_000_000_000_000_000_u128 as f64, "text": " привет "});
        assert_eq!(said("dialog", person(), text.clone()).unwrap().what, What::Said("привет".into()));
        assert_eq!(said("chat", person(), text.clone()), None);
        assert_eq!(said("dialog", json!({"user_id": 1, "is_bot": true}), text), None);
        assert_eq!(said("dialog", person(), json!({"mid": "m", "text": null})), None, "a photograph");
        for odd in [
            json!({}),
            json!([]),
            json!(null),
            json!({"update_type": "comment_created"}),
            json!({"update_type": 7}),
            json!({"update_type": "bot_started"}),
            json!({"update_type": "message_callback", "callback": {}}),
        ] {
            assert_eq!(read(&odd), None, "{odd}");
        }
    }

    #[test]
    fn a_press_is_known_by_its_callback_and_a_card_by_its_number() {
        let pressed = read(&json!({"update_type": "message_callback", "timestamp": 9, "message": null,
            "callback": {"callback_id": "c", "payload": "p", "user": person()}}))
        .unwrap();
        assert_eq!(pressed.what, What::Pressed { callback: "c".into(), payload: "p".into() });
        let contact = |vcf: &str| Contact { vcf_info: vcf.to_owned(), hash: String::new(), max_info: None }.phone();
        assert_eq!(contact("BEGIN:VCARD\r\nTEL;TYPE=cell:79990000000\r\nEND:VCARD").as_deref(), Some("+79990000000"));
        assert_eq!(contact("item1.TEL:+7 (999) 000-00-00\n").as_deref(), Some("+79990000000"));
        for nothing in ["", "TEL", "TEL:", "TEL:x", "TEL:123", "FN:TEL:79990000000x"] {
            assert_eq!(contact(nothing), None, "{nothing}");
        }
    }
}
