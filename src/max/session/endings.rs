//! Transcripts of how sessions end: LOGOUT and its fallback, stops, lost connections. The rest is in `tests`.

use serde_json::json;

use super::tests::{SETTINGS, Story, is_ivan, login, now};
use super::*;
use crate::max::refusal::RefusalKind;
use crate::max::tests::hello;

#[test]
fn a_logout_that_needs_a_login_first() {
    let mut story = Story::approved();
    story.answer(login()).expect(20).refuse("proto.state");
    let sent = story.sent();
    let expected = json!({"token":"An_canary","interactive":false,"chatsCount":0,
                          "chatsSync":-1,"contactsSync":-1,"presenceSync":-1,"draftsSync":-1});
    assert_eq!(sent, [(19, Some(expected))]);
    story.answer(json!({"chats":[{"id":1}]})).expect(20).answer(json!({}));
    assert!(matches!(story.ended(), End::SignedIn { logout: Logout::Confirmed, .. }));
}

#[test]
fn who_it_is_can_be_told_before_logout_is_answered() {
    let mut story = Story::approved();
    assert_eq!(story.session.take_identified(), None);
    story.answer(login());
    story.expect(20);
    let Some(End::SignedIn { profile, logout: Logout::Underway }) = story.session.take_identified() else { panic!() };
    assert!(is_ivan(&profile));
    assert_eq!(story.session.take_identified(), None, "once");
    assert!(story.session.holds_token(), "until it is answered");
    story.answer(json!({}));
    assert_eq!(story.ended(), End::Stopped { logout: Logout::Confirmed });
    assert!(!story.session.holds_token());
}

#[test]
fn a_logout_that_fails_leaves_the_token() {
    let mut story = Story::approved();
    story.answer(login()).expect(20).refuse("proto.state").expect(19).answer(json!({})).expect(20).refuse("internal");
    assert!(matches!(story.ended(), End::SignedIn { logout: Logout::Failed, .. }));
    assert_eq!(story.session.take_token().unwrap().expose(), "An_canary");
    assert!(story.session.take_token().is_none());
}

#[test]
fn a_token_that_is_gone_is_a_login_that_has_ended() {
    let mut story = Story::approved();
    story.answer(login()).expect(20).refuse("session.state").expect(19).refuse("login.token");
    assert!(matches!(story.ended(), End::SignedIn { logout: Logout::Confirmed, .. }));
}

#[test]
fn logout_is_bounded_as_a_whole() {
    let mut story = Story::approved();
    story.answer(login()).expect(20).after(14_000).refuse("proto.state").expect(19).after(1000);
    assert!(matches!(story.ended(), End::SignedIn { logout: Logout::Failed, .. }));
}

#[test]
fn stopping_is_immediate_while_nothing_is_open() {
    for mut story in [Story::begin(SETTINGS), Story::with_code()] {
        story.sent();
        story.session.stop(now(story.mono));
        assert_eq!(story.ended(), End::Stopped { logout: Logout::NotNeeded });
    }
}

#[test]
fn stopping_ends_a_login_in_flight() {
    let mut story = Story::approved();
    story.session.stop(now(story.mono));
    story.quiet().answer(login()).expect(20).answer(json!({}));
    assert_eq!(story.ended(), End::Stopped { logout: Logout::Confirmed });
    assert_eq!(story.events.last(), Some(&SessionEvent::Approved), "nobody is left to be told who it was");
}

#[test]
fn a_login_that_is_late_is_logged_out_behind_its_back() {
    let mut story = Story::approved();
    let (seq, opcode) = story.asked;
    story.after(10_000).expect(20);
    let logout = story.asked;
    story.frame(Frame::answer(seq, opcode, Some(login()))).quiet();
    story.asked = logout;
    story.answer(json!({}));
    assert_eq!(story.ended(), End::Lost { why: Lost::AnswerTimeout { opcode: Opcode::LOGIN_BY_QR } });
    assert!(story.session.take_token().is_none());
    assert!(!story.session.login_in_flight());
}

#[test]
fn a_login_that_is_never_answered_is_reported() {
    let mut story = Story::approved();
    story.after(10_000).expect(20).after(15_000);
    assert_eq!(story.ended(), End::Lost { why: Lost::AnswerTimeout { opcode: Opcode::LOGIN_BY_QR } });
    assert!(story.session.login_in_flight());
}

#[test]
fn a_lost_connection_keeps_what_was_learned() {
    let mut story = Story::approved();
    story.answer(login()).expect(20);
    story.session.on_closed(now(story.mono));
    let End::SignedIn { profile, logout: Logout::Failed } = story.ended() else { panic!() };
    assert!(is_ivan(&profile));

    let token = story.session.take_token().unwrap();
    let mut rescue = Story::of(ProtocolSession::end_login(SETTINGS, &hello(), token, now(Duration::ZERO)));
    rescue.expect(6).answer(json!({})).expect(19).answer(json!({})).expect(20).answer(json!({}));
    assert_eq!(rescue.ended(), End::Stopped { logout: Logout::Confirmed });
    assert_eq!(rescue.events, []);
}

#[test]
fn connections_are_lost_in_several_ways() {
    let mut story = Story::with_code();
    story.frame(Frame::request(0, Opcode::RECONNECT, Some(json!({"redirectHost":"evil.example"}))));
    assert_eq!(story.ended(), End::Lost { why: Lost::Reconnect });

    let mut story = Story::begin(SETTINGS);
    story.expect(6).after(10_000);
    assert_eq!(story.ended(), End::Lost { why: Lost::AnswerTimeout { opcode: Opcode::SESSION_INIT } });

    let mut story = Story::begin(SETTINGS);
    story.expect(6).answer(json!({})).expect(288).refuse("proto.state");
    let why = Lost::WrongOrder { opcode: Opcode::GET_QR, code: "proto.state".into() };
    assert_eq!(story.ended(), End::Lost { why });
}

#[test]
fn a_login_without_a_person_is_ended_all_the_same() {
    let mut story = Story::approved();
    story.answer(json!({"tokenAttrs":{"LOGIN":{"token":"An_canary"}}})).expect(20).answer(json!({}));
    let End::Refused { refusal, logout: Logout::Confirmed } = story.ended() else { panic!() };
    assert_eq!(refusal.kind, RefusalKind::OurBug);
}

#[test]
fn a_late_login_whose_logout_fails_leaves_its_token() {
    let mut story = Story::approved();
    let (seq, opcode) = story.asked;
    story.after(10_000).expect(20);
    let logout = story.asked;
    // An answer to something else is not the one that was given up on.
    story.frame(Frame::answer(seq.wrapping_add(7), opcode, Some(login()))).quiet();
    assert!(!story.session.holds_token() && story.session.login_in_flight());
    story.frame(Frame::answer(seq, opcode, Some(login()))).quiet();
    assert!(story.session.holds_token() && !story.session.login_in_flight());
    story.asked = logout;
    story.refuse("internal").expect(19).answer(json!({})).expect(20).refuse("internal");
    assert_eq!(story.ended(), End::Lost { why: Lost::AnswerTimeout { opcode: Opcode::LOGIN_BY_QR } });
    assert_eq!(story.session.take_token().unwrap().expose(), "An_canary");
}

#[test]
fn a_login_that_is_refused_while_stopping_needs_no_logout() {
    for code in ["track.not.found", "internal"] {
        let mut story = Story::approved();
        story.session.stop(now(story.mono));
        story.quiet().refuse(code);
        assert_eq!(story.ended(), End::Stopped { logout: Logout::NotNeeded }, "{code}");
        assert!(!story.session.login_in_flight());
    }
    let mut story = Story::approved();
    story.refuse("login.blocked");
    let End::Refused { refusal, logout: Logout::NotNeeded } = story.ended() else { panic!() };
    assert_eq!(refusal.kind, RefusalKind::Blocked, "nobody stopped");
}

#[test]
fn a_stop_is_a_stop_even_if_the_connection_goes_first() {
    for password in [false, true] {
        let mut story = Story::approved();
        if password {
            story.answer(json!({"passwordChallenge":{"trackId":"p1"}})).quiet();
            story.session.password(Zeroizing::new("x".into()), now(story.mono)).unwrap();
            story.expect(115);
        }
        story.session.stop(now(story.mono));
        story.quiet();
        story.session.on_closed(now(story.mono));
        assert_eq!(story.ended(), End::Stopped { logout: Logout::Failed }, "password: {password}");
    }
    let mut story = Story::approved();
    story.session.on_closed(now(story.mono));
    assert_eq!(story.ended(), End::Lost { why: Lost::Closed }, "nobody stopped");
}

#[test]
fn no_log_line_shows_a_link_or_a_hint() {
    let link = "https://max.ru/:auth/secret".to_owned();
    let shown: Vec<String> = [
        SessionEvent::Initialised,
        SessionEvent::Code { link, ttl: Duration::from_secs(60), unix_expires_ms: 1 },
        SessionEvent::Approved,
        SessionEvent::PasswordWanted { hint: Some("secret".into()), wrong: false },
        SessionEvent::Identified,
    ]
    .iter()
    .map(|event| format!("{event:?}"))
    .collect();
    assert_eq!(shown, ["Initialised", "Code", "Approved", "PasswordWanted", "Identified"]);
}
