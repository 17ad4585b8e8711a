//! A place in a login's log: `EPOCH-OFFSET`. The epoch names one life of the log; after a restart it is another.

use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    pub epoch: u32,
    /// The last event seen; 0 is "none yet".
    pub offset: u32,
}

impl Position {
    /// Eight hexadecimal digits, a hyphen, a decimal number.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, offset) = text.split_once('-')?;
        let hex = epoch.len() == 8 && epoch.bytes().all(|byte| byte.is_ascii_hexdigit());
        let decimal = (1..=9).contains(&offset.len()) && offset.bytes().all(|byte| byte.is_ascii_digit());
        if !hex || !decimal {
            return None;
        }
        Some(Self { epoch: u32::from_str_radix(epoch, 16).ok()?, offset: offset.parse().ok()? })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.epoch, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_text_and_nothing_else_parses() {
        let position = Position { epoch: 0x0a0b_0c0d, offset: 12 };
        assert_eq!(position.to_string(), "0a0b0c0d-12");
        assert_eq!(Position::parse("0a0b0c0d-12"), Some(position));
        for bad in
            ["", "-", "0a0b0c0d", "0a0b0c0d-", "0a0b0c0d--1", "0a0b0c0d-+1", "a-1", "zzzzzzzz-1", "0a0b0c0d-1234567890"]
        {
            assert_eq!(Position::parse(bad), None, "{bad:?}");
        }
    }
}
