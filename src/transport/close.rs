//! Every way our side closes a WebSocket. Codes from 4400 say that coming back with the same position is of no use.

use crate::base::problem::ProblemCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// The last event has been sent.
    Finished,
    NoInitialMessage,
    InvalidInitialMessage,
    TooManyMessages,
    MessageTooBig,
    /// Come back: another process takes over.
    Restarting,
    /// The login was not begun; the error event before it says why.
    TryLater,
    NoSuchLogin,
    PositionGone,
    TooManyReaders,
}

impl Close {
    pub fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Finished => (1000, ""),
            Self::NoInitialMessage => (1002, "No initial message received"),
            Self::InvalidInitialMessage => (1003, "Invalid initial message"),
            Self::TooManyMessages => (1008, "Too many messages"),
            Self::MessageTooBig => (1009, "Message too big"),
            Self::Restarting => (1012, "Server restarts"),
            Self::TryLater => (1013, "Try again later"),
            Self::NoSuchLogin => (4404, ProblemCode::LoginNotFound.code()),
            Self::PositionGone => (4410, ProblemCode::PositionGone.code()),
            Self::TooManyReaders => (4429, ProblemCode::TooManyReaders.code()),
        };
        CloseFrame { code: code.into(), reason: reason.into() }
    }
}
