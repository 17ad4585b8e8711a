//! The JSON dialect, version 11.
//!
//! Liberal in what it reads: `payload` may be `{}`, `null` or missing, in any key order, with keys nobody knows.
//! Strict in what it cannot guess: a version that is not 11, a cmd or seq that does not fit.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::frame::{Cmd, DecodeError, EncodeError, Frame, Head, MAX_FRAME_BYTES, MAX_NESTING, MAX_VALUES};
use super::opcode::Opcode;

const VERSION: u8 = 11;

#[derive(Serialize)]
struct Outgoing<'a> {
    ver: u8,
    cmd: u8,
    seq: u16,
    opcode: u16,
    payload: Option<&'a Value>,
}

#[derive(Deserialize)]
struct Incoming {
    /// Some doubles leave it out; all that send it mean it.
    #[serde(default)]
    ver: Option<u64>,
    cmd: u8,
    seq: u16,
    opcode: u16,
    #[serde(default)]
    payload: Option<Value>,
}

pub(super) fn encode(frame: &Frame) -> Result<String, EncodeError> {
    // A request without arguments is `{}` as in PyMax; an empty answer is `null` as from MAX.
    let nothing = Value::Object(Map::new());
    let payload = match (&frame.payload, frame.cmd) {
        (None, Cmd::Request) => Some(&nothing),
        (payload, _) => payload.as_ref(),
    };
    let outgoing = Outgoing { ver: VERSION, cmd: frame.cmd as u8, seq: frame.seq, opcode: frame.opcode.0, payload };
    let text = serde_json::to_string(&outgoing).map_err(EncodeError::Json)?;
    if text.len() > MAX_FRAME_BYTES {
        return Err(EncodeError::TooLarge(text.len()));
    }
    Ok(text)
}

pub(super) fn decode(text: &str) -> Result<Frame, DecodeError> {
    if text.len() > MAX_FRAME_BYTES {
        return Err(DecodeError::TooLarge { bytes: text.len() });
    }
    // Every value but the first of its list or map stands behind a comma. Commas inside texts count too, which makes
    // the limit a little lower than it says and never higher than twice.
    if text.bytes().filter(|&byte| byte == b',').count() > MAX_VALUES {
        return Err(DecodeError::TooManyValues);
    }
    let incoming: Incoming = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    if let Some(got) = incoming.ver.filter(|&ver| ver != u64::from(VERSION)) {
        return Err(DecodeError::Version { expected: VERSION, got });
    }
    // Into the frame before anything can fail, so that a refused payload is wiped as well.
    let frame = Frame {
        cmd: Cmd::from_wire(incoming.cmd)?,
        seq: incoming.seq,
        opcode: Opcode(incoming.opcode),
        payload: incoming.payload,
    };
    match &frame.payload {
        Some(payload) if nests_deeper_than(payload, MAX_NESTING) => Err(DecodeError::TooDeep),
        _ => Ok(frame),
    }
}

/// The head of a message whose payload cannot be read. The payload is passed over, not decoded: a lone surrogate or a
/// number out of range in it does no harm here.
pub(super) fn head(text: &str) -> Option<Head> {
    #[derive(Deserialize)]
    struct Known {
        cmd: u8,
        seq: u16,
        opcode: u16,
    }
    if text.len() > MAX_FRAME_BYTES {
        return None;
    }
    let Known { cmd, seq, opcode } = serde_json::from_str(text).ok()?;
    Some(Head { cmd: Cmd::from_wire(cmd).ok()?, seq, opcode: Opcode(opcode) })
}

/// serde_json stops at 128 levels by itself, so this recursion is bounded.
fn nests_deeper_than(value: &Value, levels: usize) -> bool {
    let Some(rest) = levels.checked_sub(1) else {
        return matches!(value, Value::Array(_) | Value::Object(_));
    };
    match value {
        Value::Array(items) => items.iter().any(|item| nests_deeper_than(item, rest)),
        Value::Object(map) => map.values().any(|item| nests_deeper_than(item, rest)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Keeps the place and drops the text: serde_json quotes what it read ("invalid type: string \"An_…\"").
fn not_json(error: &serde_json::Error) -> DecodeError {
    let kind = match error.classify() {
        serde_json::error::Category::Io => "unreadable",
        serde_json::error::Category::Syntax => "a syntax error",
        serde_json::error::Category::Data => "a missing or unfit cmd, seq or opcode",
        serde_json::error::Category::Eof => "an early end",
    };
    DecodeError::Json { kind, line: error.line(), column: error.column() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of so many bytes.
    fn frame(bytes: usize) -> Frame {
        let of = |length| Frame::request(1, Opcode(7), Some(Value::String("x".repeat(length))));
        let around = encode(&of(0)).unwrap().len();
        of(bytes - around)
    }

    #[test]
    fn a_frame_may_be_as_large_as_the_limit_says() {
        let largest = encode(&frame(MAX_FRAME_BYTES)).unwrap();
        assert_eq!(largest.len(), MAX_FRAME_BYTES);
        assert_eq!((decode(&largest).unwrap().seq, head(&largest).unwrap().opcode), (1, Opcode(7)));
        let error = encode(&frame(MAX_FRAME_BYTES + 1)).unwrap_err();
        assert!(matches!(error, EncodeError::TooLarge(bytes) if bytes == MAX_FRAME_BYTES + 1), "{error}");
        let larger = format!("{largest} ");
        assert!(matches!(decode(&larger), Err(DecodeError::TooLarge { bytes }) if bytes == MAX_FRAME_BYTES + 1));
        assert!(head(&larger).is_none());
    }

    #[test]
    fn a_frame_may_hold_as_many_values_as_the_limit_says() {
        let with = |commas: usize| {
            // Four stand between the parts of the frame.
            let values = format!("[0{}]", ",0".repeat(commas - 4));
            format!(r#"{{"ver":11,"cmd":0,"seq":1,"opcode":7,"payload":{values}}}"#)
        };
        assert!(decode(&with(MAX_VALUES)).is_ok());
        assert!(matches!(decode(&with(MAX_VALUES + 1)), Err(DecodeError::TooManyValues)));
    }
}
