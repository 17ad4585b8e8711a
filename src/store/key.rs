//! What things are called in a store: a kind and a hash, so that whoever reads the store learns no login, token or address.

use crate::base::id::{self, Fingerprint};
use crate::base::rng::Rng;
use std::fmt;
use std::sync::Arc;

/// What a record is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Space {
    /// A finished login that waits to be taken.
    Grant,
    /// A session that was ended before its time.
    Ended,
    /// The log of a login.
    Login,
    /// How often an address began.
    Rate,
    /// The living nodes; there is one such record.
    Nodes,
    /// A request of OpenID Connect that waits for a sign-in.
    Request,
    /// A code of OAuth that waits to be redeemed.
    Code,
    /// That a code, or a refresh token, was used.
    Used,
    /// The tokens of one redeemed code: for whom, and whether they are still good.
    Family,
    /// That a person agreed to what an app wants to know.
    Consent,
    /// A signing key.
    SigningKey,
    /// Where a person is signed in.
    Person,
    /// What a node reports of how sign-ins go.
    Report,
    /// What a phone is asked by an official driver, and what it answered.
    Question,
}

impl Space {
    const ALL: [Self; 14] = [
        Self::Grant,
        Self::Ended,
        Self::Login,
        Self::Rate,
        Self::Nodes,
        Self::Request,
        Self::Code,
        Self::Used,
        Self::Family,
        Self::Consent,
        Self::SigningKey,
        Self::Person,
        Self::Report,
        Self::Question,
    ];

    /// In keys.
    pub const fn letter(self) -> u8 {
        match self {
            Self::Grant => b'g',
            Self::Ended => b'e',
            Self::Login => b'l',
            Self::Rate => b'r',
            Self::Nodes => b'n',
            Self::Request => b'q',
            Self::Code => b'c',
            Self::Used => b'u',
            Self::Family => b'f',
            Self::Consent => b'a',
            Self::SigningKey => b'k',
            Self::Person => b'p',
            Self::Report => b's',
            Self::Question => b'b',
        }
    }
}

/// The name of a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    pub space: Space,
    id: [u8; 32],
}

impl Key {
    /// Bytes of a key as a table holds it.
    pub const LENGTH: usize = 33;

    /// Of the parts that make it, none of which can be learnt from it.
    pub fn of(space: Space, parts: &[&[u8]]) -> Self {
        // Each with its length, so that no two lists of parts are one text.
        let text: Vec<u8> = parts
            .iter()
            .flat_map(|part| (part.len() as u32).to_be_bytes().into_iter().chain(part.iter().copied()))
            .collect();
        Self { space, id: *Fingerprint::of(&text).bytes() }
    }

    /// The one record of its kind.
    pub const fn only(space: Space) -> Self {
        Self { space, id: [0; 32] }
    }

    /// As a table holds it.
    pub fn bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [self.space.letter(); Self::LENGTH];
        bytes[1..].copy_from_slice(&self.id);
        bytes
    }

    /// Back from [`Self::bytes`].
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (letter, id) = bytes.split_first()?;
        let space = Space::ALL.into_iter().find(|space| space.letter() == *letter)?;
        Some(Self { space, id: id.try_into().ok()? })
    }
}

/// What a node is called: its name, and this life of it. A node that was started again is another one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Longest name, in bytes.
    pub const LONGEST: usize = 96;

    /// A new life of the node `name`.
    pub fn new(name: &str, rng: &Rng) -> Self {
        Self(format!("{name}~{}", id::encode(&rng.bytes::<6>())).into())
    }

    /// As another node wrote it.
    pub fn parse(text: &str) -> Option<Self> {
        let fine = !text.is_empty() && text.len() <= Self::LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        fine.then(|| Self(text.into()))
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_bytes_and_says_nothing_of_its_parts() {
        let key = Key::of(Space::Grant, &[b"token", b"flow"]);
        assert_eq!(Key::parse(&key.bytes()), Some(key));
        assert!(!key.bytes().windows(5).any(|part| part == b"token"));
        assert_ne!(key, Key::of(Space::Grant, &[b"tokenf", b"low"]), "parts do not run together");
        assert_ne!(key, Key::of(Space::Login, &[b"token", b"flow"]));
        for bad in [&b""[..], b"g", b"x0123456789abcdef0123456789abcdef", &[b'g'; 40]] {
            assert_eq!(Key::parse(bad), None);
        }
    }

    #[test]
    fn each_life_of_a_node_has_a_name_of_its_own() {
        let rng = Rng::seeded(1);
        let (one, two) = (NodeName::new("a", &rng), NodeName::new("a", &rng));
        assert_ne!(one, two);
        assert_eq!(NodeName::parse(one.text()), Some(one));
        for bad in ["", "a b", "é", &"x".repeat(97)] {
            assert_eq!(NodeName::parse(bad), None);
        }
    }
}
