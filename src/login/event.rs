//! What a browser is told: one JSON object per event.

use super::drawing::Drawing;
use super::position::Position;
use serde_json::Value;
use std::sync::Arc;

/// The name of an event (contract).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Status,
    Qr,
    /// Somebody opened the code and must pick this on the phone.
    Confirm,
    Password,
    Success,
    Error,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Qr => "qr",
            Self::Confirm => "confirm",
            Self::Password => "password",
            Self::Success => "success",
            Self::Error => "error",
        }
    }

    /// Back from [`Self::name`].
    pub fn parse(name: &str) -> Option<Self> {
        let kinds = [Self::Status, Self::Qr, Self::Confirm, Self::Password, Self::Success, Self::Error];
        kinds.into_iter().find(|kind| kind.name() == name)
    }

    /// Nothing follows it.
    pub fn is_last(self) -> bool {
        matches!(self, Self::Success | Self::Error)
    }
}

/// One event with its place in the log. A code is kept as its link and drawn for whoever reads it: the drawing is nine
/// tenths of what a login would keep, for the minute in which nobody reads it again.
#[derive(Clone, Debug)]
pub struct Event {
    pub position: Position,
    pub kind: Kind,
    kept: Arc<str>,
}

impl Event {
    pub fn new(position: Position, kind: Kind, data: &Value) -> Self {
        Self { position, kind, kept: data.to_string().into() }
    }

    /// Bytes that it takes in the log.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// As it was written, without a picture.
    pub fn undrawn(&self) -> &str {
        &self.kept
    }

    /// `{"id":…,"event":…,"data":{…}}`
    pub fn json(&self, drawing: Drawing) -> String {
        let data = self.data(drawing);
        format!("{{\"id\":\"{}\",\"event\":\"{}\",\"data\":{data}}}", self.position, self.kind.name())
    }

    /// The `data` object alone; one line, as JSON never has a raw line break.
    pub fn data(&self, drawing: Drawing) -> String {
        match self.kind {
            Kind::Qr => self.drawn(drawing).unwrap_or_else(|| self.kept.as_ref().to_owned()),
            _ => self.kept.as_ref().to_owned(),
        }
    }

    /// With the picture; `None` without a link that fits a code.
    fn drawn(&self, drawing: Drawing) -> Option<String> {
        let mut data: Value = serde_json::from_str(&self.kept).ok()?;
        let (field, picture) = drawing.of(data["qrLink"].as_str()?)?;
        data[field] = picture.into();
        Some(data.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_object_with_its_data() {
        let event = Event::new(Position { epoch: 1, offset: 2 }, Kind::Status, &json!({"stage": "code"}));
        assert_eq!(event.json(Drawing::Svg), r#"{"id":"00000001-2","event":"status","data":{"stage":"code"}}"#);
        assert_eq!(event.data(Drawing::Svg), r#"{"stage":"code"}"#);
    }

    #[test]
    fn a_code_is_kept_as_a_link_and_read_as_a_drawing() {
        let link = "https://max.ru/:auth/6bc2adb2-6b23-4a7d-a96c-320bee4ed0d7";
        let event = Event::new(Position { epoch: 1, offset: 2 }, Kind::Qr, &json!({"qrLink": link, "ttl": 5}));
        assert!(event.kept() < 100, "{} bytes", event.kept());
        let data: Value = serde_json::from_str(&event.data(Drawing::Svg)).unwrap();
        assert_eq!(data, json!({"qrLink": link, "ttl": 5, "svg": Drawing::Svg.of(link).unwrap().1}));
        let too_long = Event::new(Position { epoch: 1, offset: 2 }, Kind::Qr, &json!({"qrLink": "x".repeat(9_000)}));
        assert!(!too_long.data(Drawing::Svg).contains("svg"), "the page shows the link");
    }
}
