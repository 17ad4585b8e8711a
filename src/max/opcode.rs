//! The numbers of MAX's operations.
//!
//! A newtype and not an enum: MAX pushes operations that we have never seen, and an unknown number is nothing unusual.
//! SESSIONS_CLOSE (97) is left out on purpose: it closes all the *other* sessions of the user, the phone included, so
//! no code on our side may be able to name it.

use std::fmt;

/// The number of an operation; requests, answers and pushes carry it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Opcode(pub u16);

impl Opcode {
    pub const PING: Self = Self(1);
    /// Pushed by MAX: go and connect elsewhere.
    pub const RECONNECT: Self = Self(3);
    pub const LOG: Self = Self(5);
    pub const SESSION_INIT: Self = Self(6);
    pub const LOGIN: Self = Self(19);
    pub const LOGOUT: Self = Self(20);
    pub const SESSIONS_INFO: Self = Self(96);
    pub const AUTH_LOGIN_CHECK_PASSWORD: Self = Self(115);
    pub const GET_QR: Self = Self(288);
    pub const GET_QR_STATUS: Self = Self(289);
    /// Sent by a phone that is logged in.
    pub const AUTH_QR_APPROVE: Self = Self(290);
    pub const LOGIN_BY_QR: Self = Self(291);

    /// The name that clients of MAX use, for logs and error texts.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::PING => "PING",
            Self::RECONNECT => "RECONNECT",
            Self::LOG => "LOG",
            Self::SESSION_INIT => "SESSION_INIT",
            Self::LOGIN => "LOGIN",
            Self::LOGOUT => "LOGOUT",
            Self::SESSIONS_INFO => "SESSIONS_INFO",
            Self::AUTH_LOGIN_CHECK_PASSWORD => "AUTH_LOGIN_CHECK_PASSWORD",
            Self::GET_QR => "GET_QR",
            Self::GET_QR_STATUS => "GET_QR_STATUS",
            Self::AUTH_QR_APPROVE => "AUTH_QR_APPROVE",
            Self::LOGIN_BY_QR => "LOGIN_BY_QR",
            _ => return None,
        })
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Opcode;

    #[test]
    fn opcodes_are_shown_with_the_names_that_clients_of_max_use() {
        for (number, shown) in [
            (1, "1 PING"),
            (3, "3 RECONNECT"),
            (5, "5 LOG"),
            (6, "6 SESSION_INIT"),
            (19, "19 LOGIN"),
            (20, "20 LOGOUT"),
            (96, "96 SESSIONS_INFO"),
            (115, "115 AUTH_LOGIN_CHECK_PASSWORD"),
            (288, "288 GET_QR"),
            (289, "289 GET_QR_STATUS"),
            (290, "290 AUTH_QR_APPROVE"),
            (291, "291 LOGIN_BY_QR"),
            (4711, "4711"),
        ] {
            assert_eq!(Opcode(number).to_string(), shown);
            assert_eq!(format!("{:?}", Opcode(number)), shown);
        }
    }
}
