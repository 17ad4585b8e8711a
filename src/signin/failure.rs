//! Why a sign-in came to nothing.

/// Each has a code that browsers get in the event `error` (docs/http.md); the words for visitors are `login`'s.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Failure {
    /// `login.ttl` is over.
    Expired,
    VisitorLeft,
    Cancelled,
    /// MAX was out of reach for `upstream.give_up_after`.
    UpstreamUnreachable,
    /// MAX gives this client no code: `upstream.app_version` is too old for it.
    QrDisabled,
    /// The account has a cloud password, and this site does not ask for it.
    PasswordRefused,
    PasswordExhausted,
    /// MAX demands that the account sets a cloud password first.
    NeedsTwoFactor,
    Blocked,
    /// MAX limits this server or this account.
    TooMany,
    /// MAX has trouble of its own.
    MaxTrouble,
    /// The phone said that it was not them, or picked what the page does not show.
    Declined,
    /// The phone opened the code and never answered.
    CodeExpired,
    /// Whoever opened the code picked wrongly too often.
    Locked,
    /// MAX, or what it tells us by, does not work for this driver now.
    DriverDown,
    /// A defect of ours.
    Internal,
}

impl Failure {
    /// Each of them.
    #[cfg(test)]
    pub const ALL: [Self; 16] = [
        Self::Expired,
        Self::VisitorLeft,
        Self::Cancelled,
        Self::UpstreamUnreachable,
        Self::QrDisabled,
        Self::PasswordRefused,
        Self::PasswordExhausted,
        Self::NeedsTwoFactor,
        Self::Blocked,
        Self::TooMany,
        Self::MaxTrouble,
        Self::Declined,
        Self::CodeExpired,
        Self::Locked,
        Self::DriverDown,
        Self::Internal,
    ];

    /// As in the event `error` and in metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Expired => "login-expired",
            Self::VisitorLeft => "visitor-left",
            Self::Cancelled => "cancelled",
            Self::UpstreamUnreachable => "upstream-unreachable",
            Self::QrDisabled => "qr-login-disabled",
            Self::PasswordRefused => "password-not-supported",
            Self::PasswordExhausted => "password-wrong",
            Self::NeedsTwoFactor => "two-factor-needed",
            Self::Blocked => "account-blocked",
            Self::TooMany => "max-rate-limited",
            Self::MaxTrouble => "max-trouble",
            Self::Declined => "declined",
            Self::CodeExpired => "expired",
            Self::Locked => "locked",
            Self::DriverDown => "driver-down",
            Self::Internal => "internal",
        }
    }

    /// Whether the same visitor has a chance in a new login.
    pub fn retry(self) -> bool {
        match self {
            Self::Expired
            | Self::VisitorLeft
            | Self::Cancelled
            | Self::UpstreamUnreachable
            | Self::PasswordExhausted
            | Self::TooMany
            | Self::MaxTrouble
            | Self::Declined
            | Self::CodeExpired
            | Self::Locked
            | Self::DriverDown
            | Self::Internal => true,
            Self::QrDisabled | Self::PasswordRefused | Self::NeedsTwoFactor | Self::Blocked => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;
    use std::collections::BTreeSet;

    #[test]
    fn each_failure_has_a_code_of_its_own() {
        let codes: BTreeSet<&str> = Failure::ALL.iter().map(|failure| failure.code()).collect();
        assert_eq!(codes.len(), Failure::ALL.len());
        let hopeless: Vec<&str> = Failure::ALL.iter().filter(|failure| !failure.retry()).map(|f| f.code()).collect();
        assert_eq!(hopeless, ["qr-login-disabled", "password-not-supported", "two-factor-needed", "account-blocked"]);
    }
}
