//! A message of a dialogue, as the Bot API tells it.

use serde_json::{Value, json};

pub(super) struct Message {
    pub(super) mid: String,
    /// Beyond 2^53, as MAX's are.
    pub(super) seq: i64,
    /// Unix ms.
    pub(super) timestamp: i64,
    pub(super) from_bot: bool,
    pub(super) text: Option<String>,
    /// As they are told: a button has its intent.
    pub(super) attachments: Vec<Value>,
    /// What it answers or forwards, as it was sent.
    pub(super) link: Option<Value>,
    pub(super) edited: bool,
}

impl Message {
    /// Rows of buttons.
    pub(super) fn buttons(&self) -> impl Iterator<Item = &Vec<Value>> {
        let keyboards = self.attachments.iter().filter(|attachment| attachment["type"] == "inline_keyboard");
        keyboards.filter_map(|keyboard| keyboard["payload"]["buttons"].as_array()).flatten().filter_map(Value::as_array)
    }

    pub(super) fn has_callback(&self, payload: &str) -> bool {
        let is = |button: &Value| button["type"] == "callback" && button["payload"] == payload;
        self.buttons().flatten().any(is)
    }

    /// `sender` is who wrote it, `recipient` the id of the other one.
    pub(super) fn told(&self, sender: &Value, chat_id: i64, recipient: i64) -> Value {
        let mut body = json!({ "mid": self.mid, "seq": self.seq, "text": self.text });
        if !self.attachments.is_empty() {
            body["attachments"] = self.attachments.clone().into();
        }
        let mut message = json!({
            "recipient": { "chat_id": chat_id, "chat_type": "dialog", "user_id": recipient },
            "timestamp": self.timestamp,
            "body": body,
            "sender": sender,
        });
        if let Some(link) = &self.link {
            message["link"] = link.clone();
        }
        message
    }

    /// For the phone.
    pub(super) fn shown(&self) -> Value {
        let buttons: Vec<Vec<Value>> = self.buttons().cloned().collect();
        let contact = self.attachments.iter().find(|attachment| attachment["type"] == "contact");
        json!({
            "mid": self.mid,
            "from": if self.from_bot { "bot" } else { "person" },
            "text": self.text,
            "buttons": buttons,
            "contact": contact.map(|contact| contact["payload"]["vcf_info"].clone()),
            "at": self.timestamp,
            "edited": self.edited,
        })
    }
}
