//! MessagePack to and from the payloads of a frame.
//!
//! MAX uses three things that JSON lacks: integers in ext type 1 (unwrapped wherever they stand), integer map keys
//! (written as decimal text) and other ext types (nothing of a sign-in is in them: they become null). Bytes become
//! hexadecimal text.

use std::fmt::Write as _;

use rmpv::Value as Packed;
use serde_json::{Map, Number, Value};

use super::frame::{DecodeError, EncodeError, MAX_NESTING, MAX_VALUES};

/// Which integers are wrapped in MessagePack's ext type 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapped {
    Nothing,
    /// Those that need 64 bits, as MAX does.
    Long,
    /// Every one, as a capture of MAX shows for small ones: the hardest case for a reader.
    Every,
}

/// The ext type that MAX wraps integers in.
const EXT_INTEGER: i8 = 1;

/// rmpv counts a container and its items as two levels, and a text as one more; the true limit is held by `unpack`.
const READER_DEPTH: usize = 2 * MAX_NESTING + 4;

pub(super) fn encode(payload: &Value, wrapped: Wrapped) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &pack(payload, wrapped)?).map_err(EncodeError::MessagePack)?;
    Ok(bytes)
}

fn pack(value: &Value, wrapped: Wrapped) -> Result<Packed, EncodeError> {
    Ok(match value {
        Value::Null => Packed::Nil,
        Value::Bool(value) => Packed::Boolean(*value),
        Value::Number(number) => pack_number(number, wrapped)?,
        Value::String(text) => Packed::from(text.as_str()),
        Value::Array(items) => Packed::Array(items.iter().map(|item| pack(item, wrapped)).collect::<Result<_, _>>()?),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, item)| Ok((Packed::from(key.as_str()), pack(item, wrapped)?)));
            Packed::Map(pairs.collect::<Result<_, EncodeError>>()?)
        }
    })
}

fn pack_number(number: &Number, wrapped: Wrapped) -> Result<Packed, EncodeError> {
    let integer = match (number.as_i64(), number.as_u64()) {
        (Some(value), _) => Packed::from(value),
        (None, Some(value)) => Packed::from(value),
        (None, None) => return Ok(number.as_f64().map_or(Packed::Nil, Packed::F64)),
    };
    let long = !number.as_i64().is_some_and(|value| (i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(&value));
    let wrap = match wrapped {
        Wrapped::Nothing => false,
        Wrapped::Long => long,
        Wrapped::Every => true,
    };
    if !wrap {
        return Ok(integer);
    }
    let mut body = Vec::new();
    rmpv::encode::write_value(&mut body, &integer).map_err(EncodeError::MessagePack)?;
    Ok(Packed::Ext(EXT_INTEGER, body))
}

/// The payload in `bytes`; `None` for nil.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<Value>, DecodeError> {
    let mut budget = MAX_VALUES;
    let value = unpack(read(bytes, &mut budget)?, MAX_NESTING, &mut Some(budget))?;
    Ok(Some(value).filter(|value| !value.is_null()))
}

fn read(bytes: &[u8], budget: &mut usize) -> Result<Packed, DecodeError> {
    survey(bytes, budget)?;
    let mut rest = bytes;
    rmpv::decode::read_value_with_max_depth(&mut rest, READER_DEPTH).map_err(|error| match error {
        rmpv::decode::Error::DepthLimitExceeded => DecodeError::TooDeep,
        _ => DecodeError::MessagePack { what: "an unreadable value", at: bytes.len() - rest.len() },
    })
}

/// `budget` is what is left of the values a frame may hold; `None` inside an ext body, which may not hold another.
fn unpack(packed: Packed, levels: usize, budget: &mut Option<usize>) -> Result<Value, DecodeError> {
    Ok(match packed {
        Packed::Nil => Value::Null,
        Packed::Boolean(value) => Value::Bool(value),
        Packed::Integer(integer) => integer_of(integer),
        Packed::F32(value) => Number::from_f64(value.into()).map_or(Value::Null, Value::Number),
        Packed::F64(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
        Packed::String(text) => Value::String(text_of(text)),
        Packed::Binary(bytes) => Value::String(hexadecimal(&bytes)),
        Packed::Array(items) => {
            let levels = levels.checked_sub(1).ok_or(DecodeError::TooDeep)?;
            Value::Array(items.into_iter().map(|item| unpack(item, levels, budget)).collect::<Result<_, _>>()?)
        }
        Packed::Map(pairs) => {
            let levels = levels.checked_sub(1).ok_or(DecodeError::TooDeep)?;
            let mut map = Map::new();
            for (key, item) in pairs {
                let key = match unpack(key, levels, budget)? {
                    Value::String(key) => key,
                    Value::Number(key) if !key.is_f64() => key.to_string(),
                    _ => return Err(DecodeError::Key),
                };
                map.insert(key, unpack(item, levels, budget)?);
            }
            Value::Object(map)
        }
        Packed::Ext(EXT_INTEGER, body) => {
            // Wrapped once, as MAX does. Without that limit a matryoshka of 4 MiB would be copied once per doll.
            let Some(mut left) = budget.take() else { return Err(DecodeError::TooDeep) };
            let value = unpack(read(&body, &mut left)?, levels, &mut None)?;
            *budget = Some(left);
            value
        }
        Packed::Ext(..) => Value::Null,
    })
}

fn integer_of(integer: rmpv::Integer) -> Value {
    match (integer.as_i64(), integer.as_u64()) {
        (Some(value), _) => value.into(),
        (None, Some(value)) => value.into(),
        // No such integer exists; the type cannot say so.
        (None, None) => Value::Null,
    }
}

/// Text is moved, not copied: it may be a token. What is not UTF-8 is repaired: one broken name in a list must not cost
/// the login.
fn text_of(text: rmpv::Utf8String) -> String {
    if text.is_str() {
        return text.into_str().unwrap_or_default();
    }
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Walks over the markers without building anything: is this one complete value, and how many does it hold? What comes
/// after may then allocate, because it is known how much.
fn survey(bytes: &[u8], budget: &mut usize) -> Result<(), DecodeError> {
    let mut at = 0;
    let mut open: usize = 1;
    while open > 0 {
        open -= 1;
        *budget = budget.checked_sub(1).ok_or(DecodeError::TooManyValues)?;
        let marker = *bytes.get(at).ok_or(DecodeError::MessagePack { what: "an early end", at })?;
        let Some((head, skipped, inside)) = extent(marker, bytes.get(at + 1..).unwrap_or_default()) else {
            let what = if marker == 0xc1 { "the reserved marker 0xc1" } else { "an early end" };
            return Err(DecodeError::MessagePack { what, at });
        };
        at += 1 + head + skipped;
        if at > bytes.len() {
            return Err(DecodeError::MessagePack { what: "an early end", at: bytes.len() });
        }
        // No list can hold more values than bytes follow.
        open = open.saturating_add(inside);
        if open > bytes.len() - at {
            return Err(DecodeError::MessagePack { what: "a list or map longer than the body", at });
        }
    }
    if at < bytes.len() {
        return Err(DecodeError::MessagePack { what: "more bytes after the value", at });
    }
    Ok(())
}

/// Of one value: bytes of its length field, bytes of its own content, and how many values stand inside it.
fn extent(marker: u8, after: &[u8]) -> Option<(usize, usize, usize)> {
    let length = |width: usize| {
        let field = after.get(..width)?;
        Some(field.iter().fold(0, |sum: usize, &byte| sum << 8 | usize::from(byte)))
    };
    Some(match marker {
        0x80..=0x8f => (0, 0, 2 * usize::from(marker & 0x0f)),
        0x90..=0x9f => (0, 0, usize::from(marker & 0x0f)),
        0xa0..=0xbf => (0, usize::from(marker & 0x1f), 0),
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, 0, 0),
        0xc1 => return None,
        0xc4 | 0xd9 => (1, length(1)?, 0),
        0xc5 | 0xda => (2, length(2)?, 0),
        0xc6 | 0xdb => (4, length(4)?, 0),
        // An ext value has one byte for its type.
        0xc7 => (1, 1 + length(1)?, 0),
        0xc8 => (2, 1 + length(2)?, 0),
        0xc9 => (4, 1 + length(4)?, 0),
        0xca | 0xce | 0xd2 => (0, 4, 0),
        0xcb | 0xcf | 0xd3 => (0, 8, 0),
        0xcc | 0xd0 => (0, 1, 0),
        0xcd | 0xd1 => (0, 2, 0),
        0xd4..=0xd8 => (0, 1 + (1 << (marker - 0xd4)), 0),
        0xdc => (2, 0, length(2)?),
        0xdd => (4, 0, length(4)?),
        0xde => (2, 0, length(2)?.saturating_mul(2)),
        0xdf => (4, 0, length(4)?.saturating_mul(2)),
    })
}
