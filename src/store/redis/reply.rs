//! What Redis answers, as what the verbs answer. Anything else is nobody's answer, and never a guess.

use crate::store::{Appended, Claimed, LogPage, Member, NodeName, Unavailable};
use bytes::Bytes;
use redis::Value;
use std::time::Duration;

fn strange() -> Unavailable {
    Unavailable::OutOfReach("it answers something that max-auth did not write".to_owned())
}

/// Nothing, or bytes.
pub fn value(reply: Value) -> Result<Option<Bytes>, Unavailable> {
    match reply {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        Value::SimpleString(text) => Ok(Some(text.into())),
        _ => Err(strange()),
    }
}

pub fn number(reply: &Value) -> Result<i64, Unavailable> {
    match reply {
        Value::Int(number) => Ok(*number),
        Value::BulkString(bytes) => {
            std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(strange)
        }
        _ => Err(strange()),
    }
}

pub fn yes(reply: &Value) -> Result<bool, Unavailable> {
    Ok(number(reply)? != 0)
}

/// Of `SET`: done, or refused by `NX`.
pub fn set(reply: &Value) -> Result<bool, Unavailable> {
    match reply {
        Value::Okay => Ok(true),
        Value::Nil => Ok(false),
        _ => Err(strange()),
    }
}

pub fn appended(reply: Value) -> Result<Appended, Unavailable> {
    match value(reply)?.as_deref() {
        Some(b"stored") => Ok(Appended::Stored),
        Some(b"fenced") => Ok(Appended::Fenced),
        Some(b"gone") => Ok(Appended::Gone),
        _ => Err(strange()),
    }
}

pub fn claimed(reply: &Value) -> Result<Claimed, Unavailable> {
    Ok(match number(reply)? {
        0 => Claimed::No,
        fence if fence > 0 => Claimed::Yes { fence: fence.unsigned_abs() },
        _ => Claimed::Gone,
    })
}

/// Of the script that reads, in its order.
pub fn page(reply: Value) -> Result<Option<LogPage>, Unavailable> {
    let fields = match reply {
        Value::Nil => return Ok(None),
        Value::Array(fields) => fields,
        _ => return Err(strange()),
    };
    let mut fields = fields.into_iter();
    let mut next = || fields.next().ok_or_else(strange);
    let owner = name(next()?)?;
    let fence = number(&next()?)?.unsigned_abs();
    let newest = offset(&next()?)?;
    let first = offset(&next()?)?;
    let sealed = yes(&next()?)?;
    let head = value(next()?)?.unwrap_or_default();
    let left = Duration::from_millis(number(&next()?)?.max(0).unsigned_abs());
    let read_elsewhere = yes(&next()?)?;
    let waiting = usize::try_from(number(&next()?)?).map_err(|_| strange())?;
    let mut rest = fields.map(|field| value(field)?.ok_or_else(strange)).collect::<Result<Vec<_>, _>>()?;
    if waiting > rest.len() {
        return Err(strange());
    }
    let records = rest.split_off(waiting);
    Ok(Some(LogPage { owner, fence, head, first, records, newest, sealed, commands: rest, read_elsewhere, left }))
}

/// Of the script that beats: three fields for each node. `None`: too many.
pub fn members(reply: Value) -> Result<Option<Vec<Member>>, Unavailable> {
    let Value::Array(fields) = reply else {
        return if number(&reply)? < 0 { Ok(None) } else { Err(strange()) };
    };
    let (mut members, mut fields) = (Vec::with_capacity(fields.len() / 3), fields.into_iter());
    while let (Some(node), Some(active), Some(note)) = (fields.next(), fields.next(), fields.next()) {
        members.push(Member {
            node: name(node)?.ok_or_else(strange)?,
            active: offset(&active)?,
            note: value(note)?.unwrap_or_default(),
        });
    }
    Ok(Some(members))
}

fn offset(reply: &Value) -> Result<u32, Unavailable> {
    u32::try_from(number(reply)?).map_err(|_| strange())
}

fn name(reply: Value) -> Result<Option<NodeName>, Unavailable> {
    let text = value(reply)?.unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    let name = std::str::from_utf8(&text).ok().and_then(NodeName::parse);
    name.map(Some).ok_or_else(strange)
}
