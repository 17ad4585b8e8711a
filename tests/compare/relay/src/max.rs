//! What is said to MAX and what it says, in the JSON dialect.

use crate::websocket::{PING, TEXT};
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;

pub const INIT: u16 = 6;
pub const GET_QR: u16 = 288;
pub const STATUS: u16 = 289;
pub const LOGIN: u16 = 291;

/// What is asked where MAX does not say how often.
const EVERY: u64 = 5000;

/// A request as text.
pub fn request(seq: u16, opcode: u16, payload: &str) -> String {
    format!(r#"{{"ver":11,"cmd":0,"seq":{seq},"opcode":{opcode},"payload":{payload}}}"#)
}

pub fn answer_to_ping(seq: u16) -> String {
    format!(r#"{{"ver":11,"cmd":1,"seq":{seq},"opcode":1,"payload":null}}"#)
}

/// What of a message of MAX matters.
#[derive(Debug, PartialEq)]
pub enum Said {
    Welcome,
    Code {
        link: String,
        track: Box<str>,
        every: Duration,
    },
    Waiting,
    Approved,
    Person {
        id: u64,
        name: String,
    },
    /// A code is over, or never was.
    Refused(u16),
    Ping(u16),
    /// A ping of the WebSocket itself.
    FramePing(Box<[u8]>),
    Gone,
    Other,
}

#[derive(Deserialize)]
struct Message<'a> {
    cmd: u8,
    seq: u16,
    opcode: u16,
    #[serde(borrow)]
    payload: Option<Payload<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(borrow)]
    qr_link: Cow<'a, str>,
    #[serde(borrow)]
    track_id: Cow<'a, str>,
    polling_interval: Option<u64>,
    status: Option<Status>,
    #[serde(borrow)]
    profile: Option<Profile<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    login_available: bool,
}

#[derive(Deserialize)]
struct Profile<'a> {
    #[serde(borrow)]
    contact: Contact<'a>,
}

#[derive(Deserialize)]
struct Contact<'a> {
    id: u64,
    #[serde(borrow, default)]
    names: Vec<Name<'a>>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Name<'a> {
    #[serde(borrow)]
    first_name: Cow<'a, str>,
    #[serde(borrow)]
    last_name: Cow<'a, str>,
}

pub fn read(frame: u8, payload: &[u8]) -> Said {
    match frame {
        TEXT => {}
        PING => return Said::FramePing(payload.into()),
        crate::websocket::CLOSE => return Said::Gone,
        _ => return Said::Other,
    }
    let Ok(message) = serde_json::from_slice::<Message<'_>>(payload) else { return Said::Gone };
    match (message.cmd, message.opcode) {
        (0, 1) => return Said::Ping(message.seq),
        (1, _) => {}
        (3, opcode) => return Said::Refused(opcode),
        _ => return Said::Other,
    }
    let payload = message.payload.unwrap_or_default();
    match message.opcode {
        INIT => Said::Welcome,
        GET_QR => Said::Code {
            link: payload.qr_link.into_owned(),
            track: payload.track_id.into(),
            every: Duration::from_millis(payload.polling_interval.unwrap_or(EVERY)),
        },
        STATUS if payload.status.is_some_and(|status| status.login_available) => Said::Approved,
        STATUS => Said::Waiting,
        LOGIN => match payload.profile {
            Some(Profile { contact }) => {
                let name = contact.names.first();
                let name = name.map(|name| format!("{} {}", name.first_name, name.last_name)).unwrap_or_default();
                Said::Person { id: contact.id, name }
            }
            // A cloud password is asked for, which nobody here passes on.
            None => Said::Refused(LOGIN),
        },
        _ => Said::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        read(TEXT, text.as_bytes())
    }

    #[test]
    fn answers_are_told_apart() {
        let code = r#"{"ver":11,"cmd":1,"seq":1,"opcode":288,"payload":{"qrLink":"https://max.ru/:auth/6b","trackId":"6b",
            "pollingInterval":5000,"ttl":119994,"expiresAt":1787333175762}}"#;
        let every = Duration::from_secs(5);
        assert_eq!(said(code), Said::Code { link: "https://max.ru/:auth/6b".into(), track: "6b".into(), every });
        let status = |status| said(&format!(r#"{{"cmd":1,"seq":2,"opcode":289,"payload":{{"status":{status}}}}}"#));
        assert_eq!(status(r#"{"expiresAt":1}"#), Said::Waiting);
        assert_eq!(status(r#"{"expiresAt":1,"loginAvailable":true}"#), Said::Approved);
        assert_eq!(said(r#"{"cmd":3,"seq":2,"opcode":289,"payload":{"error":"track.not.found"}}"#), Said::Refused(289));
        let profile = r#"{"contact":{"id":401,"names":[{"firstName":"Иван","lastName":"Петров"}]}}"#;
        let login = |payload| said(&format!(r#"{{"cmd":1,"seq":3,"opcode":291,"payload":{payload}}}"#));
        let person = Said::Person { id: 401, name: "Иван Петров".into() };
        assert_eq!(login(format!(r#"{{"profile":{profile}}}"#)), person);
        assert_eq!(login(r#"{"passwordChallenge":{}}"#.to_owned()), Said::Refused(291));
        assert_eq!(said(r#"{"cmd":0,"seq":7,"opcode":1}"#), Said::Ping(7));
        assert_eq!(said(r#"{"cmd":1,"seq":0,"opcode":6,"payload":null}"#), Said::Welcome);
        assert_eq!(said("{"), Said::Gone);
    }
}
