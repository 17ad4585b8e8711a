//! What each verb does, once, over rows: memory and file differ only in where the rows are. Redis has the same rules as
//! scripts; the suite holds the three together.

use super::key::{Key, NodeName, Space};
use super::row::{LogRow, MemberRow};
use super::{
    Admission, Append, Appended, COMMANDS, Claimed, LogPage, Member, NODES, RECORD_BYTES, RECORDS, Reader, Unavailable,
    VALUE_BYTES, When,
};
use bytes::Bytes;
use std::time::Duration;

/// A value and when it is over, in Unix milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    pub value: Bytes,
    pub until: i64,
}

/// Where the rows are, at one moment.
pub trait Rows {
    /// Unix milliseconds.
    fn now(&self) -> i64;

    /// What is not over.
    fn get(&mut self, key: &Key) -> Result<Option<Row>, Unavailable>;

    fn set(&mut self, key: Key, row: Option<Row>);

    /// A hint for a node, once the change is there to be read.
    fn tell(&mut self, node: &NodeName, log: Key);
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn after(now: i64, ttl: Duration) -> i64 {
    now.saturating_add(millis(ttl))
}

/// Refuses what is too large.
pub fn fits(value: &Bytes) -> Result<(), Unavailable> {
    if value.len() > VALUE_BYTES {
        return Err(Unavailable::Full(format!("a value has {} bytes; {VALUE_BYTES} at most", value.len())));
    }
    Ok(())
}

pub fn put(rows: &mut impl Rows, key: Key, value: Bytes, ttl: Duration, when: When) -> Result<bool, Unavailable> {
    fits(&value)?;
    if when == When::Absent && rows.get(&key)?.is_some() {
        return Ok(false);
    }
    let until = after(rows.now(), ttl);
    rows.set(key, Some(Row { value, until }));
    Ok(true)
}

pub fn get(rows: &mut impl Rows, key: &Key) -> Result<Option<Bytes>, Unavailable> {
    Ok(rows.get(key)?.map(|row| row.value))
}

pub fn take(rows: &mut impl Rows, key: &Key) -> Result<Option<Bytes>, Unavailable> {
    let taken = rows.get(key)?;
    if taken.is_some() {
        rows.set(*key, None);
    }
    Ok(taken.map(|row| row.value))
}

/// The row is the moment at which the whole allowance is back.
pub fn admit(rows: &mut impl Rows, key: Key, interval: Duration, burst: u32) -> Result<Admission, Unavailable> {
    let now = rows.now();
    let (interval, all) = (millis(interval), millis(interval.saturating_mul(burst)));
    let back = rows.get(&key)?.map_or(now, |row| row.until.max(now)).saturating_add(interval);
    if back > now.saturating_add(all) {
        let wait = back - now - all;
        return Ok(Admission::Wait(Duration::from_millis(wait.unsigned_abs())));
    }
    rows.set(key, Some(Row { value: Bytes::new(), until: back }));
    Ok(Admission::Admitted)
}

fn log_row(rows: &mut impl Rows, log: &Key) -> Result<Option<(LogRow, i64)>, Unavailable> {
    let Some(row) = rows.get(log)? else { return Ok(None) };
    Ok(LogRow::decode(row.value).map(|decoded| (decoded, row.until)))
}

fn write(rows: &mut impl Rows, log: Key, row: &LogRow, until: i64) {
    rows.set(log, Some(Row { value: row.encode(), until }));
}

pub fn begin(
    rows: &mut impl Rows,
    log: Key,
    node: NodeName,
    head: Bytes,
    records: Vec<Bytes>,
    ttl: Duration,
) -> Result<(), Unavailable> {
    fits(&head)?;
    records.iter().try_for_each(fits)?;
    let newest = records.len() as u32;
    let (owner, commands, readers) = (Some(node), Vec::new(), Vec::new());
    let row = LogRow { owner, fence: 1, sealed: false, newest, head, records, commands, readers };
    let until = after(rows.now(), ttl);
    // The same again after an answer that was lost.
    write(rows, log, &row, until);
    Ok(())
}

pub fn append(rows: &mut impl Rows, log: Key, append: Append) -> Result<Appended, Unavailable> {
    append.records.iter().try_for_each(fits)?;
    let Some((mut row, mut until)) = log_row(rows, &log)? else { return Ok(Appended::Gone) };
    if row.fence != append.fence {
        return Ok(Appended::Fenced);
    }
    // What is there of it already, when the answer to an earlier try was lost.
    let Some(known) = row.newest.checked_sub(append.after).map(|known| known as usize) else {
        return Ok(Appended::Gone);
    };
    if known > append.records.len() || !row.records.ends_with(&append.records[..known]) {
        return Ok(Appended::Gone);
    }
    let fresh = &append.records[known..];
    if fresh.is_empty() {
        return Ok(Appended::Stored);
    }
    if row.sealed {
        return Ok(Appended::Gone);
    }
    row.newest += fresh.len() as u32;
    row.records.extend_from_slice(fresh);
    let mut bytes: usize = row.records.iter().map(Bytes::len).sum();
    let mut over = row.records.len().saturating_sub(RECORDS);
    bytes -= row.records[..over].iter().map(Bytes::len).sum::<usize>();
    while bytes > RECORD_BYTES && over + 1 < row.records.len() {
        bytes -= row.records[over].len();
        over += 1;
    }
    row.records.drain(..over);
    if let Some(life) = append.seal {
        row.sealed = true;
        until = after(rows.now(), life);
    }
    write(rows, log, &row, until);
    tell_readers(rows, log, &row);
    Ok(Appended::Stored)
}

fn tell_readers(rows: &mut impl Rows, log: Key, row: &LogRow) {
    let now = rows.now();
    for (node, until) in &row.readers {
        if *until > now && row.owner.as_ref() != Some(node) {
            rows.tell(node, log);
        }
    }
}

pub fn read(
    rows: &mut impl Rows,
    log: Key,
    after: Option<u32>,
    reader: &Reader,
) -> Result<Option<LogPage>, Unavailable> {
    let Some((mut row, until)) = log_row(rows, &log)? else { return Ok(None) };
    let now = rows.now();
    let first = row.first().max(after.map_or(0, |after| after.saturating_add(1)));
    let skip = (first - row.first()) as usize;
    let mut page = LogPage {
        owner: row.owner.clone(),
        fence: row.fence,
        head: if after.is_none() { row.head.clone() } else { Bytes::new() },
        first,
        records: row.records.iter().skip(skip).cloned().collect(),
        newest: row.newest,
        sealed: row.sealed,
        commands: row.commands.clone(),
        read_elsewhere: false,
        left: Duration::from_millis(until.saturating_sub(now).unsigned_abs()),
    };
    let known = row.readers.len();
    row.readers.retain(|(_, until)| *until > now);
    page.read_elsewhere = row.readers.iter().any(|(node, _)| row.owner.as_ref() != Some(node));
    let mut changed = false;
    match reader {
        Reader::Nobody => {}
        Reader::Node(node, ttl) => {
            let (over, room) = (self::after(now, *ttl), row.readers.len() < NODES);
            match row.readers.iter_mut().find(|(known, _)| known == node) {
                // A reader looks more often than it need be written down.
                Some((_, until)) if *until - now > millis(*ttl) / 2 => {}
                Some((_, until)) => (*until, changed) = (over, true),
                None if room => {
                    row.readers.push((node.clone(), over));
                    changed = true;
                }
                None => {}
            }
        }
        Reader::Owner { fence } if *fence == row.fence => {
            changed = !row.commands.is_empty() || row.readers.len() < known;
            row.commands.clear();
        }
        // Its commands are another's by now.
        Reader::Owner { .. } => page.commands.clear(),
    }
    if changed {
        write(rows, log, &row, until);
    }
    Ok(Some(page))
}

pub fn claim(rows: &mut impl Rows, log: Key, node: Option<NodeName>, seen: u64) -> Result<Claimed, Unavailable> {
    let Some((mut row, until)) = log_row(rows, &log)?.filter(|(row, _)| !row.sealed) else { return Ok(Claimed::Gone) };
    if row.fence != seen {
        return Ok(Claimed::No);
    }
    let before = row.owner.take();
    if node.is_some() {
        row.fence += 1;
    }
    row.owner = node;
    write(rows, log, &row, until);
    // Whoever had it stops at once; whoever reads it hears that it may be had.
    if let Some(before) = before.filter(|before| row.owner.as_ref() != Some(before)) {
        rows.tell(&before, log);
    }
    tell_readers(rows, log, &row);
    Ok(Claimed::Yes { fence: row.fence })
}

pub fn send(rows: &mut impl Rows, log: Key, command: Bytes) -> Result<bool, Unavailable> {
    fits(&command)?;
    let Some((mut row, until)) = log_row(rows, &log)?.filter(|(row, _)| !row.sealed) else { return Ok(false) };
    if row.commands.len() >= COMMANDS {
        return Ok(false);
    }
    row.commands.push(command);
    write(rows, log, &row, until);
    if let Some(owner) = &row.owner {
        rows.tell(owner, log);
    }
    Ok(true)
}

fn members(rows: &mut impl Rows) -> Result<Vec<MemberRow>, Unavailable> {
    let now = rows.now();
    let row = rows.get(&Key::only(Space::Nodes))?;
    let mut members = row.and_then(|row| MemberRow::decode(row.value)).unwrap_or_default();
    members.retain(|member| member.until > now);
    Ok(members)
}

fn write_members(rows: &mut impl Rows, members: &[MemberRow]) {
    let until = members.iter().map(|member| member.until).max();
    rows.set(Key::only(Space::Nodes), until.map(|until| Row { value: MemberRow::encode(members), until }));
}

pub fn beat(
    rows: &mut impl Rows,
    node: NodeName,
    ttl: Duration,
    active: u32,
    note: Bytes,
) -> Result<Vec<Member>, Unavailable> {
    fits(&note)?;
    let mut members = members(rows)?;
    members.retain(|member| member.node != node);
    if !ttl.is_zero() {
        if members.len() >= NODES {
            return Err(Unavailable::Full(format!("{NODES} nodes are alive already")));
        }
        members.push(MemberRow { node, until: after(rows.now(), ttl), active, note });
    }
    write_members(rows, &members);
    let member = |member: MemberRow| Member { node: member.node, active: member.active, note: member.note };
    Ok(members.into_iter().map(member).collect())
}

pub fn reserve(rows: &mut impl Rows, node: &NodeName, total: u32) -> Result<bool, Unavailable> {
    let mut members = members(rows)?;
    let taken: u64 = members.iter().map(|member| u64::from(member.active)).sum();
    if taken >= u64::from(total) {
        return Ok(false);
    }
    if let Some(member) = members.iter_mut().find(|member| member.node == *node) {
        member.active += 1;
        write_members(rows, &members);
    }
    Ok(true)
}
