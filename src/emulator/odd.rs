//! Messages of MAX that a client cannot read, or not as what it waits for: each once on the wire as it might come.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WebSocketFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::max::binary::HEADER_BYTES;
use crate::max::frame::{Dialect, Frame, MAX_FRAME_BYTES, MAX_NESTING};
use crate::max::opcode::Opcode;

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// A body that is compressed in a way web clients do not know (binary dialect; JSON: a number out of range).
    Zstandard,
    /// The next version of the protocol.
    Version,
    /// A cmd that nobody knows.
    Cmd,
    /// A map with a key that is no text (binary dialect; JSON: a bare word).
    Key,
    /// Half of a surrogate pair in a text.
    Surrogate,
    /// Deeper than any sane payload.
    Nesting,
    /// Cut off in the middle.
    Truncated,
    /// Nothing at all.
    Empty,
    /// A WebSocket text message that is no UTF-8, which WebSocket libraries stop at.
    Utf8,
    /// The other dialect.
    Dialect,
    /// Above every limit of size.
    Large,
    /// A frame with reserved bits, against RFC 6455.
    Reserved,
    /// "Connect elsewhere", well-formed.
    Reconnect,
}

#[cfg(test)]
pub(super) const KINDS: [(&str, Kind); 13] = [
    ("zstandard", Kind::Zstandard),
    ("version", Kind::Version),
    ("cmd", Kind::Cmd),
    ("key", Kind::Key),
    ("surrogate", Kind::Surrogate),
    ("nesting", Kind::Nesting),
    ("truncated", Kind::Truncated),
    ("empty", Kind::Empty),
    ("utf8", Kind::Utf8),
    ("dialect", Kind::Dialect),
    ("large", Kind::Large),
    ("reserved", Kind::Reserved),
    ("reconnect", Kind::Reconnect),
];

/// What goes out.
pub(super) enum Odd {
    Message(Message),
    /// A whole WebSocket frame, past the library: it refuses to send what it would refuse to read.
    Bytes(Vec<u8>),
}

/// `frame`, spoilt: its head is kept where the kind leaves it one.
pub(super) fn spoilt(kind: Kind, frame: &Frame, dialect: Dialect) -> Odd {
    if kind != Kind::Large {
        return Odd::Message(message(kind, frame, dialect));
    }
    let filling = MAX_FRAME_BYTES + 1024 * 1024;
    let (first_byte, payload) = match dialect {
        Dialect::Json => (0x81, text(frame, 11, frame.cmd as u8, &format!("\"{}\"", "x".repeat(filling))).into_bytes()),
        Dialect::Binary => (0x82, binary(frame, 10, frame.cmd as u8, 0, &vec![0xc0; filling])),
    };
    let mut bytes = vec![first_byte, 127];
    bytes.extend((payload.len() as u64).to_be_bytes());
    bytes.extend(payload);
    Odd::Bytes(bytes)
}

fn message(kind: Kind, frame: &Frame, dialect: Dialect) -> Message {
    match kind {
        Kind::Reconnect => {
            let push = Frame::request(frame.seq, Opcode::RECONNECT, Some(json!({ "host": "elsewhere.example" })));
            match dialect {
                Dialect::Json => Message::text(text(&push, 11, push.cmd as u8, r#"{"host":"elsewhere.example"}"#)),
                Dialect::Binary => Message::binary(binary(&push, 10, push.cmd as u8, 0, b"\x81\xa4host\xa1x")),
            }
        }
        Kind::Utf8 => raw(OpCode::Data(Data::Text), vec![b'{', 0xff, 0xfe, b'}']),
        Kind::Reserved => {
            let mut frame = WebSocketFrame::message(Bytes::from_static(b"{}"), OpCode::Data(Data::Text), true);
            frame.header_mut().rsv2 = true;
            Message::Frame(frame)
        }
        Kind::Empty => match dialect {
            Dialect::Json => Message::text(""),
            Dialect::Binary => Message::binary(Vec::new()),
        },
        _ => match dialect {
            Dialect::Json => json_message(kind, frame),
            Dialect::Binary => binary_message(kind, frame),
        },
    }
}

fn raw(opcode: OpCode, payload: Vec<u8>) -> Message {
    Message::Frame(WebSocketFrame::message(payload, opcode, true))
}

fn json_message(kind: Kind, frame: &Frame) -> Message {
    let cmd = frame.cmd as u8;
    Message::text(match kind {
        Kind::Version => text(frame, 12, cmd, "{}"),
        Kind::Cmd => text(frame, 11, 4, "{}"),
        Kind::Key => text(frame, 11, cmd, "{null:1}"),
        Kind::Surrogate => text(frame, 11, cmd, r#"{"name":"\ud83d"}"#),
        Kind::Nesting => {
            text(frame, 11, cmd, &format!("{}{}", "[".repeat(MAX_NESTING + 9), "]".repeat(MAX_NESTING + 9)))
        }
        Kind::Truncated => text(frame, 11, cmd, "{").trim_end_matches('}').to_owned(),
        Kind::Dialect => return Message::binary(binary(frame, 10, cmd, 0, b"\x80")),
        // Zstandard, and what is answered further up.
        _ => text(frame, 11, cmd, r#"{"id":1e999}"#),
    })
}

fn binary_message(kind: Kind, frame: &Frame) -> Message {
    let cmd = frame.cmd as u8;
    Message::binary(match kind {
        Kind::Version => binary(frame, 11, cmd, 0, b"\x80"),
        Kind::Cmd => binary(frame, 10, 4, 0, b"\x80"),
        Kind::Key => binary(frame, 10, cmd, 0, b"\x81\xc0\x01"),
        Kind::Surrogate => binary(frame, 10, cmd, 0, b"\x81\xa4name\xa3\xed\xa0\xbd"),
        Kind::Nesting => binary(frame, 10, cmd, 0, &[vec![0x91; MAX_NESTING + 9], vec![0x90]].concat()),
        Kind::Truncated => binary(frame, 10, cmd, 0, b"\x81\xa4na")[..HEADER_BYTES + 2].to_vec(),
        Kind::Dialect => return Message::text(text(frame, 11, cmd, "{}")),
        // Zstandard, and what is answered further up.
        _ => binary(frame, 10, cmd, 0xff, b"\x28\xb5\x2f\xfd"),
    })
}

fn text(frame: &Frame, version: u8, cmd: u8, payload: &str) -> String {
    let (seq, opcode) = (frame.seq, frame.opcode.0);
    format!(r#"{{"ver":{version},"cmd":{cmd},"seq":{seq},"opcode":{opcode},"payload":{payload}}}"#)
}

fn binary(frame: &Frame, version: u8, cmd: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    // The 24 bits of the length field hold up to 16 MiB.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX) & 0x00ff_ffff;
    let mut bytes = vec![version, cmd];
    bytes.extend(frame.seq.to_be_bytes());
    bytes.extend(frame.opcode.0.to_be_bytes());
    bytes.extend((u32::from(flags) << 24 | length).to_be_bytes());
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::max::frame::{Cmd, DecodeError, Received};

    /// What a client makes of a frame that was spoilt so; `None` where its WebSocket library stops before.
    fn read(kind: Kind, dialect: Dialect) -> Option<Result<Frame, DecodeError>> {
        let frame = Frame { cmd: Cmd::Answer, seq: 7, opcode: Opcode(289), payload: Some(json!({ "x": 1 })) };
        match spoilt(kind, &frame, dialect) {
            Odd::Message(Message::Text(text)) => Some(dialect.decode(Received::Text(&text))),
            Odd::Message(Message::Binary(bytes)) => Some(dialect.decode(Received::Binary(&bytes))),
            Odd::Message(_) | Odd::Bytes(_) => None,
        }
    }

    #[test]
    fn each_kind_is_wrong_in_its_own_way() {
        for (name, kind) in KINDS {
            let both = [Dialect::Json, Dialect::Binary].map(|dialect| read(kind, dialect).map(|read| read.err()));
            let fine = match (kind, &both) {
                (Kind::Utf8 | Kind::Large | Kind::Reserved, [None, None]) => true,
                (Kind::Version, [Some(Some(DecodeError::Version { .. })), Some(Some(DecodeError::Version { .. }))])
                | (Kind::Cmd, [Some(Some(DecodeError::Cmd(4))), Some(Some(DecodeError::Cmd(4)))])
                | (Kind::Nesting, [Some(Some(DecodeError::TooDeep)), Some(Some(DecodeError::TooDeep))])
                | (Kind::Dialect, [Some(Some(DecodeError::Dialect { .. })), Some(Some(DecodeError::Dialect { .. }))])
                | (Kind::Truncated, [Some(Some(DecodeError::Json { .. })), Some(Some(DecodeError::Length { .. }))])
                | (Kind::Empty, [Some(Some(DecodeError::Json { .. })), Some(Some(DecodeError::Header(0)))])
                | (Kind::Zstandard, [Some(Some(DecodeError::Json { .. })), Some(Some(DecodeError::Zstandard))])
                | (Kind::Key, [Some(Some(DecodeError::Json { .. })), Some(Some(_))])
                // The binary dialect is read with half a pair in it.
                | (Kind::Surrogate, [Some(Some(DecodeError::Json { .. })), Some(None)])
                | (Kind::Reconnect, [Some(None), Some(None)]) => true,
                _ => false,
            };
            assert!(fine, "{name}: {both:?}");
        }
        let key = read(Kind::Key, Dialect::Binary).unwrap().unwrap_err();
        assert!(!matches!(key, DecodeError::Zstandard), "{key}");
    }
}
