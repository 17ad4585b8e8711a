//! What MAX's errors mean.

use serde_json::{Value, json};

use crate::max::refusal::{Refusal, RefusalKind};

fn kind(code: &str) -> RefusalKind {
    Refusal::from_code(code).kind
}

#[test]
fn codes_have_kinds() {
    for (code, expected) in [
        ("qr_login.disabled", RefusalKind::AppVersionTooOld),
        ("client.unsupported-version", RefusalKind::AppVersionTooOld),
        ("track.not.found", RefusalKind::CodeGone),
        ("session.state", RefusalKind::WrongOrder),
        ("proto.payload", RefusalKind::OurBug),
        ("password2fa.wrong", RefusalKind::PasswordWrong),
        ("password.invalid", RefusalKind::PasswordWrong),
        ("password2fa.no.attempts", RefusalKind::PasswordExhausted),
        ("error.profile.active.session.no2fa", RefusalKind::NeedsTwoFactor),
        ("login.blocked", RefusalKind::Blocked),
        ("error.limit.violate", RefusalKind::TooMany),
        ("io.exception", RefusalKind::MaxTrouble),
        ("something.new", RefusalKind::Unknown),
    ] {
        assert_eq!(kind(code), expected, "{code}");
    }
    for (code, waits) in [
        ("too.many.requests", true),
        ("io.exception", true),
        ("track.not.found", false),
        ("login.blocked", false),
        ("something.new", false),
    ] {
        assert_eq!(Refusal::from_code(code).retry_after.is_some(), waits, "{code}");
    }
    assert!(!Refusal::from_code("qr_login.disabled").retry);
}

#[test]
fn errors_are_found_in_all_their_shapes() {
    let of = |payload: Value, failed| Refusal::from_payload(Some(&payload), failed).map(|refusal| refusal.code);
    let code = Some("track.not.found".to_owned());
    let full = json!({"error":"track.not.found","message":"m","localizedMessage":"l","title":"t"});
    assert_eq!(of(full.clone(), true), code);
    assert_eq!(of(full, false), code, "an error in an answer is an error");
    assert_eq!(of(json!({"error":{"code":"track.not.found"}}), true), code);
    assert_eq!(of(json!({"error":{"code":"track.not.found"}}), false), code);

    let unnamed = Some("unnamed".to_owned());
    assert_eq!(of(json!({}), true), unnamed);
    assert_eq!(of(json!({"error":7}), true), unnamed);
    assert_eq!(of(json!({"error":{}}), true), unnamed);
    assert_eq!(Refusal::from_payload(None, true).map(|refusal| refusal.code), unnamed);

    for fine in [json!({}), json!({"error":null}), json!({"error":false}), json!({"error":""}), json!([1])] {
        assert_eq!(of(fine, false), None);
    }
    assert_eq!(Refusal::from_payload(None, false), None);
}

#[test]
fn codes_are_bounded_and_harmless() {
    assert_eq!(Refusal::from_code("a\r\nb <c>\u{43f}").code, "a__b__c__");
    assert_eq!(Refusal::from_code(&"x".repeat(1000)).code.len(), 64);
}
