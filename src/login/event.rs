//! What a browser is told: one JSON object per event, its bytes made once and shared by every reader and transport.

use super::position::Position;
use bytes::Bytes;
use serde_json::Value;

/// The name of an event (contract).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Status,
    Qr,
    Password,
    Success,
    Error,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Qr => "qr",
            Self::Password => "password",
            Self::Success => "success",
            Self::Error => "error",
        }
    }

    /// Back from [`Self::name`].
    pub fn parse(name: &str) -> Option<Self> {
        let kinds = [Self::Status, Self::Qr, Self::Password, Self::Success, Self::Error];
        kinds.into_iter().find(|kind| kind.name() == name)
    }

    /// Nothing follows it.
    pub fn is_last(self) -> bool {
        matches!(self, Self::Success | Self::Error)
    }
}

/// One event with its place in the log.
#[derive(Clone, Debug)]
pub struct Event {
    pub position: Position,
    pub kind: Kind,
    json: Bytes,
    data_start: usize,
}

impl Event {
    pub fn new(position: Position, kind: Kind, data: &Value) -> Self {
        let head = format!("{{\"id\":\"{position}\",\"event\":\"{}\",\"data\":", kind.name());
        let data_start = head.len();
        let mut json = head;
        json += &data.to_string();
        json.push('}');
        json.shrink_to_fit();
        Self { position, kind, json: json.into(), data_start }
    }

    /// `{"id":…,"event":…,"data":{…}}`
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The `data` object alone; one line, as JSON never has a raw line break.
    pub fn data(&self) -> Bytes {
        self.json.slice(self.data_start..self.json.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_is_a_slice_of_the_whole() {
        let event = Event::new(Position { epoch: 1, offset: 2 }, Kind::Status, &json!({"stage": "code"}));
        assert_eq!(event.json(), r#"{"id":"00000001-2","event":"status","data":{"stage":"code"}}"#);
        assert_eq!(event.data(), r#"{"stage":"code"}"#);
    }
}
