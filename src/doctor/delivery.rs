//! How events get to visitors.

/// What a sign-in is carried by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryMode {
    WebSocket,
    Sse,
    LongPoll,
    None,
}

impl DeliveryMode {
    /// As the report's JSON has it (`transport`).
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
            Self::LongPoll => "long-poll",
            Self::None => "none",
        }
    }
}

/// When the first event came over each (milliseconds from connecting on), where it did.
pub type DeliveryTimes = Vec<(DeliveryMode, Option<i64>)>;
