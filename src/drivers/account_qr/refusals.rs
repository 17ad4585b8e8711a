//! What a visitor is told when MAX said no.

use crate::max::refusal::{Refusal, RefusalKind};
use crate::signin::{Failure, OperatorHint, Outcome};

pub fn outcome(refusal: &Refusal) -> Outcome {
    let hint =
        OperatorHint { code: refusal.code.clone(), known_code: refusal.known_code(), advice: refusal.kind.hint() };
    Outcome::Failed { failure: failure(refusal.kind), retry_after: refusal.retry_after, hint: Some(hint) }
}

fn failure(kind: RefusalKind) -> Failure {
    match kind {
        RefusalKind::AppVersionTooOld => Failure::QrDisabled,
        RefusalKind::PasswordRequired => Failure::PasswordRefused,
        RefusalKind::PasswordWrong | RefusalKind::PasswordExhausted => Failure::PasswordExhausted,
        RefusalKind::NeedsTwoFactor => Failure::NeedsTwoFactor,
        RefusalKind::Blocked => Failure::Blocked,
        RefusalKind::TooMany => Failure::TooMany,
        RefusalKind::MaxTrouble | RefusalKind::CodeGone | RefusalKind::TokenGone | RefusalKind::Unknown => {
            Failure::MaxTrouble
        }
        RefusalKind::WrongOrder | RefusalKind::OurBug => Failure::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_max_has_words_for_the_visitor_and_for_the_operator() {
        for (code, expected) in [
            ("qr_login.disabled", Failure::QrDisabled),
            ("track.not.found", Failure::MaxTrouble),
            ("proto.state", Failure::Internal),
            ("proto.payload", Failure::Internal),
            ("password2fa.wrong", Failure::PasswordExhausted),
            ("password2fa.no.attempts", Failure::PasswordExhausted),
            ("error.profile.active.session.no2fa", Failure::NeedsTwoFactor),
            ("login.token", Failure::MaxTrouble),
            ("login.blocked", Failure::Blocked),
            ("login.flood", Failure::TooMany),
            ("service.unavailable", Failure::MaxTrouble),
            ("never.seen", Failure::MaxTrouble),
        ] {
            let refusal = Refusal::from_code(code);
            let Outcome::Failed { failure, retry_after, hint: Some(hint) } = outcome(&refusal) else {
                panic!("{code} has no hint")
            };
            assert_eq!((failure, retry_after), (expected, refusal.retry_after), "{code}");
            assert_eq!((hint.code.as_str(), hint.advice), (code, refusal.kind.hint()));
            assert_eq!(hint.known_code, Some(code).filter(|code| *code != "never.seen"));
        }
        assert_eq!(failure(Refusal::password_required().kind), Failure::PasswordRefused);
    }
}
