//! How each dialect writes and reads a frame.

use super::frame::{DecodeError, Dialect, EncodeError, Frame, Head, Received, Wire};
use super::{binary, json};

impl Received<'_> {
    /// What can be known of a message that no dialect can decode: of whichever dialect and version it is, where its head
    /// stands as expected. `None` when even that cannot be read.
    pub fn head(self) -> Option<Head> {
        match self {
            Self::Text(text) => json::head(text),
            Self::Binary(bytes) => binary::head(bytes),
        }
    }
}

impl Dialect {
    /// Writes a frame. The binary dialect is left uncompressed, which MAX accepts; see [`binary::encode`] for the rest.
    pub fn encode(self, frame: &Frame) -> Result<Wire, EncodeError> {
        match self {
            Self::Json => json::encode(frame).map(Wire::Text),
            Self::Binary => binary::encode(frame, binary::Packing::PLAIN).map(Wire::Binary),
        }
    }

    /// Reads a frame.
    pub fn decode(self, message: Received<'_>) -> Result<Frame, DecodeError> {
        match (self, message) {
            (Self::Json, Received::Text(text)) => json::decode(text),
            (Self::Binary, Received::Binary(bytes)) => binary::decode(bytes),
            (Self::Json, Received::Binary(_)) => Err(DecodeError::Dialect { expected: "JSON text", got: "binary" }),
            (Self::Binary, Received::Text(_)) => Err(DecodeError::Dialect { expected: "binary", got: "text" }),
        }
    }
}
