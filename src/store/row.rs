//! The two records that have an inside: a log, and the living nodes. Written by hand: a few lengths and bytes.

use super::key::NodeName;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// The first byte of a record; another layout has another.
const LAYOUT: u8 = 1;

/// A log with everything that belongs to it, so that nothing of it can be lost alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogRow {
    pub owner: Option<NodeName>,
    pub fence: u64,
    pub sealed: bool,
    /// Offset of the newest record.
    pub newest: u32,
    pub head: Bytes,
    pub records: Vec<Bytes>,
    pub commands: Vec<Bytes>,
    /// Nodes whose visitors read it, and until when (Unix milliseconds).
    pub readers: Vec<(NodeName, i64)>,
}

/// Who is alive, until when (Unix milliseconds), and what they say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberRow {
    pub node: NodeName,
    pub until: i64,
    pub active: u32,
    pub note: Bytes,
}

impl LogRow {
    pub fn encode(&self) -> Bytes {
        let mut row =
            BytesMut::with_capacity(256 + self.head.len() + self.records.iter().map(Bytes::len).sum::<usize>());
        row.put_u8(LAYOUT);
        put(&mut row, self.owner.as_ref().map_or("", NodeName::text).as_bytes());
        row.put_u64(self.fence);
        row.put_u8(u8::from(self.sealed));
        row.put_u32(self.newest);
        put(&mut row, &self.head);
        for list in [&self.records, &self.commands] {
            row.put_u32(list.len() as u32);
            list.iter().for_each(|each| put(&mut row, each));
        }
        row.put_u32(self.readers.len() as u32);
        for (node, until) in &self.readers {
            put(&mut row, node.text().as_bytes());
            row.put_i64(*until);
        }
        row.freeze()
    }

    /// `None` for what no version of ours wrote.
    pub fn decode(mut row: Bytes) -> Option<Self> {
        let row = &mut row;
        if row.try_get_u8().ok()? != LAYOUT {
            return None;
        }
        let owner = take(row)?;
        let owner = if owner.is_empty() { None } else { Some(node(&owner)?) };
        Some(Self {
            owner,
            fence: row.try_get_u64().ok()?,
            sealed: row.try_get_u8().ok()? != 0,
            newest: row.try_get_u32().ok()?,
            head: take(row)?,
            records: list(row, take)?,
            commands: list(row, take)?,
            readers: list(row, |row| Some((node(&take(row)?)?, row.try_get_i64().ok()?)))?,
        })
    }

    /// Offset of the first record that is kept.
    pub fn first(&self) -> u32 {
        (self.newest + 1).saturating_sub(self.records.len() as u32)
    }
}

impl MemberRow {
    pub fn encode(members: &[Self]) -> Bytes {
        let mut row = BytesMut::new();
        row.put_u8(LAYOUT);
        row.put_u32(members.len() as u32);
        for member in members {
            put(&mut row, member.node.text().as_bytes());
            row.put_i64(member.until);
            row.put_u32(member.active);
            put(&mut row, &member.note);
        }
        row.freeze()
    }

    /// `None` for what no version of ours wrote.
    pub fn decode(mut row: Bytes) -> Option<Vec<Self>> {
        if row.try_get_u8().ok()? != LAYOUT {
            return None;
        }
        list(&mut row, |row| {
            Some(Self {
                node: node(&take(row)?)?,
                until: row.try_get_i64().ok()?,
                active: row.try_get_u32().ok()?,
                note: take(row)?,
            })
        })
    }
}

fn put(row: &mut BytesMut, bytes: &[u8]) {
    row.put_u32(bytes.len() as u32);
    row.put_slice(bytes);
}

fn take(row: &mut Bytes) -> Option<Bytes> {
    let length = row.try_get_u32().ok()? as usize;
    (length <= row.len()).then(|| row.split_to(length))
}

fn list<T>(row: &mut Bytes, one: impl Fn(&mut Bytes) -> Option<T>) -> Option<Vec<T>> {
    let length = row.try_get_u32().ok()?;
    // Each takes a byte at least, so a forged length ends soon.
    (0..length).map(|_| one(row)).collect()
}

fn node(text: &[u8]) -> Option<NodeName> {
    NodeName::parse(std::str::from_utf8(text).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> NodeName {
        NodeName::parse(text).unwrap()
    }

    #[test]
    fn rows_survive_their_bytes_and_half_of_them_is_none() {
        let log = LogRow {
            owner: Some(named("a~1")),
            fence: 7,
            sealed: true,
            newest: 12,
            head: "head".into(),
            records: vec!["one".into(), Bytes::new()],
            commands: vec!["wake".into()],
            readers: vec![(named("b~2"), -5)],
        };
        let bytes = log.encode();
        assert_eq!((LogRow::decode(bytes.clone()), log.first()), (Some(log.clone()), 11));
        let ownerless = LogRow { owner: None, ..log };
        assert_eq!(LogRow::decode(ownerless.encode()), Some(ownerless));
        let members = vec![MemberRow { node: named("a~1"), until: 9, active: 3, note: "breaker".into() }];
        let nodes = MemberRow::encode(&members);
        assert_eq!(MemberRow::decode(nodes.clone()), Some(members));
        for length in 0..bytes.len() {
            assert_eq!(LogRow::decode(bytes.slice(..length)), None, "{length} bytes");
        }
        for length in 0..nodes.len() {
            assert_eq!(MemberRow::decode(nodes.slice(..length)), None, "{length} bytes");
        }
        let other = [&[2], &bytes[1..]].concat();
        assert_eq!(LogRow::decode(other.into()), None, "another layout");
    }
}
