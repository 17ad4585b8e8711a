//! Keys and channels as Redis has them: short, and printable for whoever looks.

use crate::base::id;
use crate::store::{Key, NodeName};

/// Without the prefix: this is what a hint says.
pub fn of(key: &Key) -> String {
    let bytes = key.bytes();
    format!("{}:{}", char::from(bytes[0]), id::encode(&bytes[1..]))
}

/// Back from [`of`].
pub fn parse(text: &[u8]) -> Option<Key> {
    let (space, rest) = text.split_first()?;
    let name = id::decode(std::str::from_utf8(rest.strip_prefix(b":")?).ok()?)?;
    Key::parse(&[&[*space], &name[..]].concat())
}

/// What a node listens to.
pub fn channel(prefix: &str, node: &NodeName) -> String {
    format!("{prefix}n:{}", node.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Space;

    #[test]
    fn a_key_survives_its_text() {
        let key = Key::of(Space::Login, &[b"x"]);
        let text = of(&key);
        assert_eq!((parse(text.as_bytes()), text.len()), (Some(key), 45));
        for bad in [&b""[..], b"l", b"l:", b"x:AAAA", &text.as_bytes()[..44], b"?17"] {
            assert_eq!(parse(bad), None);
        }
    }
}
