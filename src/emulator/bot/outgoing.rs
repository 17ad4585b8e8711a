//! What a bot may send: the checks of MAX, and the message as it is told afterwards.

use serde_json::{Map, Value, json};

const TEXT: usize = 4000;
const ATTACHMENTS: usize = 12;
const BUTTONS: usize = 210;
const ROWS: usize = 30;
const IN_A_ROW: usize = 7;
/// In a row with one of [`WIDE`].
const IN_A_WIDE_ROW: usize = 3;
const WIDE: [&str; 4] = ["link", "open_app", "request_contact", "request_geo_location"];
const CALLBACK_PAYLOAD: usize = 1024;
const BUTTON_TEXT: usize = 128;

/// The parts of a message that were given.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) text: Option<String>,
    pub(super) attachments: Option<Vec<Value>>,
    pub(super) link: Option<Value>,
}

impl Outgoing {
    /// Reads a `NewMessageBody`. The error is the message of a 400.
    pub(super) fn read(body: &Map<String, Value>) -> Result<Self, String> {
        let text = match body.get("text") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.chars().count() <= TEXT => Some(text.clone()),
            Some(Value::String(_)) => return Err(format!("text: must be at most {TEXT} characters")),
            Some(_) => return Err("text: must be a string".to_owned()),
        };
        if let Some(format) = body.get("format").filter(|format| !format.is_null())
            && !["markdown", "html"].iter().any(|known| format == known)
        {
            return Err("format: must be markdown or html".to_owned());
        }
        let attachments = match body.get("attachments") {
            None | Some(Value::Null) => None,
            Some(Value::Array(list)) if list.len() <= ATTACHMENTS => {
                Some(list.iter().map(attachment).collect::<Result<_, _>>()?)
            }
            Some(Value::Array(_)) => return Err(format!("attachments: at most {ATTACHMENTS}")),
            Some(_) => return Err("attachments: must be a list".to_owned()),
        };
        let link = body.get("link").filter(|link| !link.is_null()).cloned();
        Ok(Self { text, attachments, link })
    }

    /// Nothing that could be shown.
    pub(super) fn is_empty(&self) -> bool {
        let nothing = self.attachments.as_ref().is_none_or(Vec::is_empty);
        self.text.as_deref().unwrap_or_default().is_empty() && nothing && self.link.is_none()
    }
}

fn attachment(given: &Value) -> Result<Value, String> {
    match given["type"].as_str() {
        Some("inline_keyboard") => keyboard(&given["payload"]["buttons"]),
        Some("image" | "video" | "audio" | "file" | "sticker" | "contact" | "share" | "location" | "data") => {
            Ok(given.clone())
        }
        Some(other) => Err(format!("attachments: unknown type {other}")),
        None => Err("attachments: each needs a type".to_owned()),
    }
}

fn keyboard(rows: &Value) -> Result<Value, String> {
    let rows = rows.as_array().ok_or("buttons: must be a list of rows")?;
    if rows.len() > ROWS {
        return Err(format!("buttons: at most {ROWS} rows"));
    }
    let mut count = 0;
    let mut told: Vec<Vec<Value>> = Vec::new();
    for row in rows {
        let row = row.as_array().ok_or("buttons: a row must be a list")?;
        let is_wide = row.iter().any(|button| WIDE.iter().any(|kind| button["type"] == *kind));
        let most = if is_wide { IN_A_WIDE_ROW } else { IN_A_ROW };
        if row.len() > most {
            return Err(format!("buttons: at most {most} in this row"));
        }
        count += row.len();
        told.push(row.iter().map(button).collect::<Result<_, _>>()?);
    }
    if count == 0 || count > BUTTONS {
        return Err(format!("buttons: between 1 and {BUTTONS}"));
    }
    Ok(json!({ "type": "inline_keyboard", "payload": { "buttons": told } }))
}

fn button(given: &Value) -> Result<Value, String> {
    let kind = given["type"].as_str().ok_or("buttons: each needs a type")?;
    let text = given["text"].as_str().unwrap_or_default();
    if text.is_empty() || text.chars().count() > BUTTON_TEXT {
        return Err(format!("buttons: a text of 1 to {BUTTON_TEXT} characters is needed"));
    }
    let needed = |field: &str| match given[field].as_str() {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(format!("buttons: {kind} needs {field}")),
    };
    match kind {
        "callback" if needed("payload")?.chars().count() > CALLBACK_PAYLOAD => {
            return Err(format!("buttons: payload of at most {CALLBACK_PAYLOAD} characters"));
        }
        "callback" => {}
        "clipboard" => _ = needed("payload")?,
        "link" => {
            let url = needed("url")?;
            if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
                return Err("buttons: url must be a web address".to_owned());
            }
        }
        "open_app" if given["web_app"].is_null() && given["contact_id"].is_null() => {
            return Err("buttons: open_app needs web_app or contact_id".to_owned());
        }
        "open_app" | "message" | "request_contact" | "request_geo_location" => {}
        other => return Err(format!("buttons: unknown type {other}")),
    }
    let mut told = given.clone();
    if kind == "callback" && told["intent"].is_null() {
        told["intent"] = "default".into();
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Result<Outgoing, String> {
        Outgoing::read(body.as_object().unwrap())
    }

    fn keys(rows: Value) -> Result<Outgoing, String> {
        read(json!({ "attachments": [{ "type": "inline_keyboard", "payload": { "buttons": rows } }] }))
    }

    fn key(payload: &str) -> Value {
        json!({ "type": "callback", "text": "k", "payload": payload })
    }

    #[test]
    fn what_is_sent_is_told_with_an_intent() {
        let sent = read(json!({ "text": "hello", "format": "html", "notify": true, "future": 1 })).unwrap();
        assert_eq!((sent.text.as_deref(), sent.is_empty()), (Some("hello"), false));
        let sent = keys(json!([[key("a")], [{ "type": "request_contact", "text": "c" }]])).unwrap();
        let buttons = sent.attachments.unwrap()[0]["payload"]["buttons"].clone();
        assert_eq!(buttons[0][0]["intent"], "default");
        assert!(buttons[1][0].get("intent").is_none());
        for empty in [json!({}), json!({ "text": "" }), json!({ "text": null, "attachments": [] })] {
            assert!(read(empty).unwrap().is_empty());
        }
    }

    #[test]
    fn the_limits_are_those_of_max() {
        let row = |length: usize| json!(vec![key("p"); length]);
        let text = |length: usize| json!({ "text": "ж".repeat(length) });
        assert!(read(text(4000)).is_ok() && read(text(4001)).is_err());
        let image = json!({ "type": "image", "payload": {} });
        assert!(read(json!({ "attachments": vec![image.clone(); 12] })).is_ok());
        assert!(read(json!({ "attachments": vec![image; 13] })).is_err());
        assert!(keys(json!([row(7)])).is_ok() && keys(json!([row(8)])).is_err());
        assert!(keys(json!(vec![row(7); 30])).is_ok(), "210 of them");
        assert!(keys(json!(vec![row(1); 31])).is_err() && keys(json!([])).is_err());
        for kind in WIDE {
            let wide = json!({ "type": kind, "text": "t", "url": "https://max.ru", "web_app": "b" });
            assert!(keys(json!([[wide, key("a"), key("b")]])).is_ok(), "{kind}");
            assert!(keys(json!([[wide, key("a"), key("b"), key("c")]])).is_err(), "{kind}");
        }
        assert!(keys(json!([[key(&"x".repeat(1024))]])).is_ok() && keys(json!([[key(&"x".repeat(1025))]])).is_err());
    }

    #[test]
    fn what_max_does_not_know_is_refused() {
        for body in [
            json!({ "text": 7 }),
            json!({ "text": "x", "format": "rtf" }),
            json!({ "attachments": {} }),
            json!({ "attachments": [{}] }),
            json!({ "attachments": [{ "type": "keyboard" }] }),
        ] {
            assert!(read(body.clone()).is_err(), "{body}");
        }
        for button in [
            json!({ "text": "no type" }),
            json!({ "type": "callback", "text": "t" }),
            json!({ "type": "callback", "payload": "p" }),
            json!({ "type": "link", "text": "t", "url": "javascript:alert(1)" }),
            json!({ "type": "open_app", "text": "t" }),
            json!({ "type": "chat", "text": "t" }),
        ] {
            assert!(keys(json!([[button.clone()]])).is_err(), "{button}");
        }
        assert!(keys(json!({})).is_err() && keys(json!([{}])).is_err());
    }
}
