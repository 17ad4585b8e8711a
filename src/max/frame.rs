//! One frame of MAX, and the two dialects that write it.
//!
//! Both dialects carry the same five things, so everything above this file works on `Frame` and never learns which of
//! them is spoken. Payloads are `serde_json::Value` in both; what MessagePack can say beyond that is mapped in `msgpack`.

use std::fmt;

use serde_json::Value;
use zeroize::Zeroize;

use super::opcode::Opcode;

/// Before the body of a binary frame, in bytes.
pub const BINARY_HEADER_BYTES: usize = 10;

/// The largest frame, in bytes, after decompression. A QR sign-in needs about 2 KiB; the answer to the fallback LOGIN
/// can hold chats and settings, which is where the rest comes from. 24 bits of length would allow 16 MiB, and LZ4 in
/// front of them 4 GiB.
pub const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;

/// How deep lists and maps may nest. The deepest payload seen has 6 levels; conversion recurses, so the stack sets this.
pub const MAX_NESTING: usize = 64;

/// How many values (list items, map keys, map values) one frame may hold. A value costs up to 100 bytes of memory while
/// it may be one byte on the wire, so the size cap alone would let 4 MiB become 400. Maps as MAX sends them spend about
/// 8 bytes on a value: both limits are reached together.
pub const MAX_VALUES: usize = 512 * 1024;

/// What a frame is: a question, an answer, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cmd {
    /// A request; also every push of the server.
    Request = 0,
    Answer = 1,
    /// Named by clients, never seen on the wire.
    Event = 2,
    Error = 3,
}

impl Cmd {
    pub(super) fn from_wire(cmd: u8) -> Result<Self, DecodeError> {
        match cmd {
            0 => Ok(Self::Request),
            1 => Ok(Self::Answer),
            2 => Ok(Self::Event),
            3 => Ok(Self::Error),
            other => Err(DecodeError::Cmd(other)),
        }
    }
}

/// One frame. `payload` is `None` for "no payload"; a decoder never gives `Some(Value::Null)`.
#[derive(PartialEq)]
pub struct Frame {
    pub cmd: Cmd,
    pub seq: u16,
    pub opcode: Opcode,
    pub payload: Option<Value>,
}

impl Frame {
    pub fn request(seq: u16, opcode: Opcode, payload: Option<Value>) -> Self {
        Self { cmd: Cmd::Request, seq, opcode, payload }
    }

    pub fn answer(seq: u16, opcode: Opcode, payload: Option<Value>) -> Self {
        Self { cmd: Cmd::Answer, seq, opcode, payload }
    }

    pub fn error(seq: u16, opcode: Opcode, payload: Value) -> Self {
        Self { cmd: Cmd::Error, seq, opcode, payload: Some(payload) }
    }
}

impl Frame {
    pub fn head(&self) -> Head {
        Head { cmd: self.cmd, seq: self.seq, opcode: self.opcode }
    }
}

/// A frame without its payload: what says which request it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub cmd: Cmd,
    pub seq: u16,
    pub opcode: Opcode,
}

/// Payloads hold tokens, passwords and phone numbers: none of it may reach a log by way of `{:?}`.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("cmd", &self.cmd)
            .field("seq", &self.seq)
            .field("opcode", &self.opcode)
            .finish_non_exhaustive()
    }
}

/// The same texts must not stay behind in freed memory either.
impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(payload) = &mut self.payload {
            wipe(payload);
        }
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// How a connection writes its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Version 11: one WebSocket text message is one JSON object.
    Json,
    /// Version 10: one WebSocket binary message is a header and a MessagePack map.
    Binary,
}

/// A frame as it is sent. No `Debug`: it is the payload, readable.
#[derive(PartialEq)]
pub enum Wire {
    Text(String),
    Binary(Vec<u8>),
}

/// A received WebSocket message, borrowed.
#[derive(Clone, Copy)]
pub enum Received<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

/// Why a frame cannot be written. Our own frames are far below the limit; a payload of the emulator's user may not be.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("the frame would be {0} bytes, the limit is {MAX_FRAME_BYTES}")]
    TooLarge(usize),
    #[error("the payload cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    #[error("the payload cannot be written as MessagePack")]
    MessagePack(#[source] rmpv::encode::Error),
}

/// Why a message is not a frame of MAX. The texts say what and where, and never quote the payload.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("expected a {expected} message, got a {got} one: the wrong dialect for this address?")]
    Dialect { expected: &'static str, got: &'static str },
    #[error("the frame is {bytes} bytes, the limit is {MAX_FRAME_BYTES}")]
    TooLarge { bytes: usize },
    #[error("the frame nests deeper than {MAX_NESTING} levels")]
    TooDeep,
    #[error("the frame holds more than {MAX_VALUES} values")]
    TooManyValues,
    #[error("protocol version {got}, only {expected} is understood")]
    Version { expected: u8, got: u64 },
    #[error("cmd is {0}, only 0 to 3 are known")]
    Cmd(u8),
    #[error("not a JSON frame: {kind} at line {line}, column {column}")]
    Json { kind: &'static str, line: usize, column: usize },
    #[error("{0} bytes, a header alone has {header}", header = BINARY_HEADER_BYTES)]
    Header(usize),
    #[error("the header promises {declared} bytes of body, {present} follow")]
    Length { declared: usize, present: usize },
    #[error("the body is Zstandard (flags 0xFF), which MAX does not send to web clients and this codec does not read")]
    Zstandard,
    #[error("the LZ4 block of {compressed} bytes does not unpack into {room}")]
    Lz4 { compressed: usize, room: usize },
    #[error("not MessagePack: {what} at byte {at} of the body")]
    MessagePack { what: &'static str, at: usize },
    #[error("a map has a key that is neither text nor an integer")]
    Key,
}
