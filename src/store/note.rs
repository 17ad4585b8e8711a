//! What a node tells the others with each beat: its clock, and what its drivers have found; sealed. Who cannot open it has
//! another key.

use super::{NodeName, Seal};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::time::Duration;

/// The first byte: what follows it.
const LAYOUT: u8 = 1;

/// Of what the drivers say, in bytes; more is not said.
const DRIVERS_BYTES: usize = 2048;

/// A node's note, opened.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct NodeNote {
    /// The node's clock when it wrote this.
    pub unix_ms: i64,
    /// For how long it said that it lives.
    pub life: Duration,
    /// For the same driver elsewhere, by its name.
    pub drivers: Map<String, Value>,
}

/// What a note tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Noted {
    /// An earlier version of max-auth, or a later one.
    Nothing,
    /// Sealed with another key.
    OtherKey,
    Said(NodeNote),
}

fn place(node: &NodeName) -> Vec<u8> {
    [b"node ", node.text().as_bytes()].concat()
}

impl NodeNote {
    /// Empty where it cannot be sealed: a node without a note lives, too.
    pub fn sealed(&self, seal: &Seal, node: &NodeName) -> Bytes {
        let life = u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX);
        let drivers = serde_json::to_vec(&self.drivers).unwrap_or_default();
        let drivers = if self.drivers.is_empty() || drivers.len() > DRIVERS_BYTES { &[][..] } else { &drivers };
        let text = [&[LAYOUT][..], &self.unix_ms.to_be_bytes(), &life.to_be_bytes(), drivers].concat();
        seal.seal(&place(node), &text).unwrap_or_default()
    }

    pub fn open(seal: &Seal, node: &NodeName, note: &[u8]) -> Noted {
        if note.is_empty() {
            return Noted::Nothing;
        }
        let Some(text) = seal.open(&place(node), note) else { return Noted::OtherKey };
        let parts = || {
            let rest = text.strip_prefix(&[LAYOUT])?;
            let (clock, rest) = rest.split_first_chunk::<8>()?;
            let (life, drivers) = rest.split_first_chunk::<8>()?;
            let life = Duration::from_millis(u64::from_be_bytes(*life));
            let drivers = serde_json::from_slice(drivers).unwrap_or_default();
            Some(Self { unix_ms: i64::from_be_bytes(*clock), life, drivers })
        };
        parts().map_or(Noted::Nothing, Noted::Said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::store::Seals;

    #[test]
    fn a_note_is_read_with_the_same_key_by_the_name_of_its_node_only() {
        let seal = |key: u8| Seals::new(&[key; 32], &Rng::seeded(1)).unwrap().store;
        let node = |name: &str| NodeName::parse(name).unwrap();
        let note = NodeNote { unix_ms: 1_700_000_000_123, life: Duration::from_secs(6), ..NodeNote::default() };
        let sealed = note.sealed(&seal(1), &node("a~1"));
        assert_eq!(NodeNote::open(&seal(1), &node("a~1"), &sealed), Noted::Said(note.clone()));
        assert_eq!(NodeNote::open(&seal(2), &node("a~1"), &sealed), Noted::OtherKey);
        assert_eq!(NodeNote::open(&seal(1), &node("b~1"), &sealed), Noted::OtherKey);
        assert_eq!(NodeNote::open(&seal(1), &node("a~1"), b""), Noted::Nothing);
        let later = seal(1).seal(b"node a~1", &[9, 1, 2]).unwrap();
        assert_eq!(NodeNote::open(&seal(1), &node("a~1"), &later), Noted::Nothing, "of a later version");
    }
}
