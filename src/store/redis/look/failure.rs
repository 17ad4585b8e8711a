//! Why a server cannot be spoken to, as one of the reasons that people know what to do about.

use super::super::link::said;
use redis::{ErrorKind, RedisError};

/// Why there is no connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The name leads nowhere.
    Name,
    /// Nobody listens there.
    Refused,
    /// Nothing came back in time.
    Silence,
    /// It takes connections, and does not answer the greeting.
    Mute,
    /// Its certificate is not trusted, or it speaks no TLS.
    Tls,
    /// It is no Redis, or one that wants TLS.
    Language,
    WrongPassword,
    NoPassword,
    /// The user may not even say hello.
    Right,
    Protected,
    Loading,
    /// It has no room for another connection.
    Crowded,
    /// Older than Redis 6.
    Old,
    /// No sentinel knows a master of that name.
    NoMaster,
    /// It is no cluster, or a sentinel was taken for a server.
    Kind,
    Other,
}

/// A connection that was not made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    pub at: String,
    pub trouble: Trouble,
    /// In its own words.
    pub said: String,
}

impl Failure {
    pub fn silence(at: String, after: std::time::Duration) -> Self {
        Self { at, trouble: Trouble::Silence, said: format!("no answer within {after:?}") }
    }

    pub fn of(at: String, error: &RedisError) -> Self {
        let said = said(error);
        let trouble = match error.kind() {
            ErrorKind::MasterNameNotFoundBySentinel => Trouble::NoMaster,
            ErrorKind::RESP3NotSupported => Trouble::Old,
            ErrorKind::Parse => Trouble::Language,
            kind => trouble(&said, kind == ErrorKind::Io),
        };
        Self { at, trouble, said }
    }
}

/// What servers and the operating system say, and what it means; the first that fits.
const WORDS: &[(&str, Trouble)] = &[
    ("WRONGPASS", Trouble::WrongPassword),
    ("invalid username-password", Trouble::WrongPassword),
    ("without any password configured", Trouble::WrongPassword),
    ("NOAUTH", Trouble::NoPassword),
    ("Authentication required", Trouble::NoPassword),
    ("NOPERM", Trouble::Right),
    ("DENIED", Trouble::Protected),
    ("protected mode", Trouble::Protected),
    ("LOADING", Trouble::Loading),
    ("max number of clients", Trouble::Crowded),
    ("unknown command", Trouble::Old),
    ("cluster support disabled", Trouble::Kind),
    ("lookup address", Trouble::Name),
    ("Name or service", Trouble::Name),
    ("refused", Trouble::Refused),
    ("ertificate", Trouble::Tls),
    ("InvalidContentType", Trouble::Tls),
    ("received corrupt message", Trouble::Tls),
    ("tls", Trouble::Tls),
    ("timed out", Trouble::Silence),
];

pub(super) fn trouble(said: &str, is_io: bool) -> Trouble {
    let known = WORDS.iter().find(|(words, _)| said.contains(words));
    // A connection that is closed at the first word: what is spoken there is something else.
    let other = if is_io { Trouble::Language } else { Trouble::Other };
    known.map_or(other, |(_, trouble)| *trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_has_one_meaning() {
        for (said, meaning) in [
            ("WRONGPASS invalid username-password pair or user is disabled.", Trouble::WrongPassword),
            ("NOAUTH HELLO must be called with the client already authenticated", Trouble::NoPassword),
            ("DENIED Redis is running in protected mode because …", Trouble::Protected),
            ("LOADING Redis is loading the dataset in memory", Trouble::Loading),
            ("ERR unknown command `HELLO`, with args beginning with: `3`", Trouble::Old),
            ("ERR max number of clients reached", Trouble::Crowded),
            ("Connection refused (os error 111)", Trouble::Refused),
            ("failed to lookup address information: Name or service not known", Trouble::Name),
            ("invalid peer certificate: UnknownIssuer", Trouble::Tls),
            ("received corrupt message of type InvalidContentType", Trouble::Tls),
            ("NOPERM User max has no permissions to run the 'hello' command", Trouble::Right),
            ("something new", Trouble::Other),
        ] {
            assert_eq!(trouble(said, false), meaning, "{said}");
        }
        assert_eq!(trouble("broken pipe", true), Trouble::Language);
    }
}
