//! Tiers: where a proxy stands among several of its kind.

/// Which of several proxies of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyPosition {
    Outer,
    Inner,
    Both,
    Single,
    Unknown,
}

impl ProxyPosition {
    /// As the report's JSON has it (`tier`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Outer => "outer",
            Self::Inner => "inner",
            Self::Both => "both",
            Self::Single => "single",
            Self::Unknown => "unknown",
        }
    }
}
