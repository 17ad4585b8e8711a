//! What a session gives its driver: frames to send, news for the visitor, and one end.

use std::fmt;
use std::time::Duration;

use crate::max::frame::Frame;
use crate::max::opcode::Opcode;
use crate::max::profile::Profile;
use crate::max::refusal::Refusal;

#[derive(Debug)]
pub enum Output {
    Send(Frame),
    Event(SessionEvent),
    /// The last output.
    End(End),
}

/// Something the visitor may be told.
#[derive(Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// MAX has taken our INIT.
    Initialised,
    /// A code to show; a later one replaces it.
    Code {
        link: String,
        ttl: Duration,
        /// By our clock, from `ttl`.
        unix_expires_ms: i64,
    },
    /// The phone said yes.
    Approved,
    PasswordWanted {
        hint: Option<String>,
        wrong: bool,
    },
    /// MAX said who it is; the login is being ended.
    Identified,
}

/// Whoever reads a link in a log could approve the login with another account.
impl fmt::Debug for SessionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialised => "Initialised",
            Self::Code { .. } => "Code",
            Self::Approved => "Approved",
            Self::PasswordWanted { .. } => "PasswordWanted",
            Self::Identified => "Identified",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    SignedIn {
        profile: Profile,
        logout: Logout,
    },
    /// MAX or we decided that there will be no profile.
    Refused {
        refusal: Refusal,
        logout: Logout,
    },
    /// As asked for by `stop`; also the end of `ProtocolSession::end_login`.
    Stopped {
        logout: Logout,
    },
    /// The connection is of no more use; another one may be tried. If MAX was asked to log us in and never answered,
    /// `ProtocolSession::login_in_flight` says so.
    Lost {
        why: Lost,
    },
}

impl End {
    /// What became of the MAX login, where the end says it.
    pub fn logout(&self) -> Option<Logout> {
        match self {
            Self::SignedIn { logout, .. } | Self::Refused { logout, .. } | Self::Stopped { logout } => Some(*logout),
            Self::Lost { .. } => None,
        }
    }
}

/// What became of the MAX login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logout {
    /// None was opened.
    NotNeeded,
    Confirmed,
    /// Asked for; [`ProtocolSession::take_identified`](super::ProtocolSession::take_identified) came before the answer.
    Underway,
    /// It may still be open. `ProtocolSession::take_token` has the token, where there is one.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    #[error("MAX did not answer {opcode} in time")]
    AnswerTimeout { opcode: Opcode },
    #[error("MAX answered {opcode} with what cannot be read")]
    Unreadable { opcode: Opcode },
    #[error("MAX asked to connect elsewhere")]
    Reconnect,
    #[error("MAX did not expect {opcode} now ({code})")]
    WrongOrder { opcode: Opcode, code: String },
    #[error("the connection closed")]
    Closed,
}
