//! What MAX's error codes mean for a sign-in.
//!
//! The code is the stable part of an error of MAX; its texts are for people in MAX's own pages and are not passed on.
//! One table decides for each code whether trying again makes sense and what the operator of a site should do.

use std::time::Duration;

use serde_json::Value;

/// The longest code that is passed on, in bytes. The longest known has 35.
const MAX_CODE_BYTES: usize = 64;

/// How long to leave MAX alone after "too many". MAX does not say; a minute is what its one public reimplementation
/// counts its limits by.
const TOO_MANY_PAUSE: Duration = Duration::from_secs(60);

/// How long to leave MAX alone when it is in trouble itself.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// Why there will be no profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// MAX's own code, or one of ours that begins with `max-auth.`. ASCII, at most 64 bytes.
    pub code: String,
    pub kind: RefusalKind,
    /// Does a new login by the same visitor have a chance?
    pub retry: bool,
    pub retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    AppVersionTooOld,
    /// The code or challenge is expired, used, or belongs to another connection.
    CodeGone,
    WrongOrder,
    OurBug,
    PasswordWrong,
    PasswordExhausted,
    /// Ours: the account has a cloud password, and this site does not ask for it.
    PasswordRequired,
    NeedsTwoFactor,
    Blocked,
    /// The token no longer opens anything.
    TokenGone,
    TooMany,
    MaxTrouble,
    Unknown,
}

impl RefusalKind {
    /// One line for the operator's log.
    pub fn hint(self) -> &'static str {
        match self {
            Self::AppVersionTooOld => {
                "MAX refuses this client version: raise upstream.app_version to what web.max.ru reports today"
            }
            Self::CodeGone => "the code is expired or used: a new login gets a new one",
            Self::WrongOrder => "MAX did not expect this request on this connection: a new connection usually cures it",
            Self::OurBug => {
                "MAX does not speak as this version of max-auth expects: look for a newer one, or report it"
            }
            Self::PasswordWrong => "the visitor's MAX cloud password was wrong",
            Self::PasswordExhausted => "MAX takes no more passwords for this login: the visitor may begin another one",
            Self::PasswordRequired => {
                "the account has a cloud password: login.password = \"ask\" would pass it through"
            }
            Self::NeedsTwoFactor => "MAX demands that this account sets a cloud password in the app first",
            Self::Blocked => "MAX has blocked this account, or no longer knows it",
            Self::TokenGone => "MAX has already ended this login",
            Self::TooMany => "MAX limits this server or account: fewer logins, or more addresses",
            Self::MaxTrouble => "MAX has trouble of its own: later it will work again",
            Self::Unknown => "MAX gave a code that this version of max-auth does not know: please report it",
        }
    }

    fn retry(self) -> bool {
        match self {
            Self::CodeGone
            | Self::WrongOrder
            | Self::PasswordWrong
            | Self::PasswordExhausted
            | Self::TokenGone
            | Self::TooMany
            | Self::MaxTrouble
            | Self::Unknown => true,
            Self::AppVersionTooOld | Self::OurBug | Self::PasswordRequired | Self::NeedsTwoFactor | Self::Blocked => {
                false
            }
        }
    }

    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::TooMany => Some(TOO_MANY_PAUSE),
            Self::MaxTrouble => Some(TROUBLE_PAUSE),
            _ => None,
        }
    }
}

/// Every code that a source names. Codes of other operations (SMS, chats) are not here: they cannot come.
const CODES: &[(&str, RefusalKind)] = &[
    ("qr_login.disabled", RefusalKind::AppVersionTooOld),
    ("client.unsupported-version", RefusalKind::AppVersionTooOld),
    ("track.not.found", RefusalKind::CodeGone),
    ("password2fa.track.invalid", RefusalKind::CodeGone),
    ("proto.state", RefusalKind::WrongOrder),
    ("session.state", RefusalKind::WrongOrder),
    ("proto.payload", RefusalKind::OurBug),
    ("proto.opcode", RefusalKind::OurBug),
    // Only phones send what this answers.
    ("qr_link.invalid", RefusalKind::OurBug),
    // A token of another device type: ours are all of one.
    ("login.cred", RefusalKind::OurBug),
    ("password2fa.wrong", RefusalKind::PasswordWrong),
    ("password.invalid", RefusalKind::PasswordWrong),
    ("password2fa.no.attempts", RefusalKind::PasswordExhausted),
    ("error.profile.active.session.no2fa", RefusalKind::NeedsTwoFactor),
    ("login.token", RefusalKind::TokenGone),
    ("login.blocked", RefusalKind::Blocked),
    ("user.not.found", RefusalKind::Blocked),
    ("login.flood", RefusalKind::TooMany),
    ("too.many.requests", RefusalKind::TooMany),
    ("error.limit.violate", RefusalKind::TooMany),
    ("error.code.attempt.limit", RefusalKind::TooMany),
    ("auth.request.forbidden", RefusalKind::TooMany),
    ("service.unavailable", RefusalKind::MaxTrouble),
    ("service.timeout", RefusalKind::MaxTrouble),
    ("internal", RefusalKind::MaxTrouble),
    ("io.exception", RefusalKind::MaxTrouble),
];

impl Refusal {
    /// The meaning of a code of MAX.
    pub fn from_code(code: &str) -> Self {
        let kind = CODES.iter().find(|(known, _)| *known == code).map_or(RefusalKind::Unknown, |(_, kind)| *kind);
        Self::of_kind(sanitised(code), kind)
    }

    /// The code, if it is one that a source names: few, whatever MAX sends.
    pub fn known_code(&self) -> Option<&'static str> {
        CODES.iter().map(|(known, _)| *known).find(|known| *known == self.code)
    }

    /// The error in a payload: of a cmd 3 frame (`failed`), or of an answer that turns out to hold one.
    ///
    /// Shapes seen: `{"error":"code"}`, `{"error":{"code":"code"}}`. An answer with `"error":null` or `false` is none.
    pub fn from_payload(payload: Option<&Value>, failed: bool) -> Option<Self> {
        let error = payload.and_then(|payload| payload.get("error"));
        let code = match error {
            Some(Value::String(code)) => Some(code),
            Some(Value::Object(error)) => match error.get("code").or_else(|| error.get("error")) {
                Some(Value::String(code)) => Some(code),
                _ => return Some(Self::from_code("")),
            },
            _ => None,
        };
        match code {
            Some(code) if failed || !code.is_empty() => Some(Self::from_code(code)),
            _ => failed.then(|| Self::from_code("")),
        }
    }

    /// An answer without what every answer of its kind was seen to hold.
    pub fn unreadable_answer() -> Self {
        Self::of_kind("max-auth.unreadable-answer".to_owned(), RefusalKind::OurBug)
    }

    /// A code whose link leads elsewhere: nobody should be sent there.
    pub fn foreign_link() -> Self {
        Self::of_kind("max-auth.foreign-link".to_owned(), RefusalKind::OurBug)
    }

    /// The account has a password and the site does not ask.
    pub fn password_required() -> Self {
        Self::of_kind("max-auth.password-required".to_owned(), RefusalKind::PasswordRequired)
    }

    /// We stop asking before MAX does.
    pub fn password_exhausted() -> Self {
        Self::of_kind("max-auth.password-exhausted".to_owned(), RefusalKind::PasswordExhausted)
    }

    fn of_kind(code: String, kind: RefusalKind) -> Self {
        Self { code, kind, retry: kind.retry(), retry_after: kind.retry_after() }
    }
}

/// The code goes to logs, metrics and browsers: no more than the alphabet that codes are made of.
fn sanitised(code: &str) -> String {
    let fit = |char: char| if char.is_ascii_alphanumeric() || "._-".contains(char) { char } else { '_' };
    let text: String = code.chars().take(MAX_CODE_BYTES).map(fit).collect();
    if text.is_empty() { "unnamed".to_owned() } else { text }
}
