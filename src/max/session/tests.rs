//! Transcripts: what MAX says, in JSON, and what must come out.

use serde_json::{Value, json};

use super::*;
use crate::max::frame::Frame;
use crate::max::profile::Profile;
use crate::max::refusal::RefusalKind;
use crate::max::tests::hello;

const UNIX_MS: i64 = 1_787_333_000_000;

pub(super) const SETTINGS: Settings = Settings {
    password: PasswordPolicy::Ask,
    poll_interval: Duration::from_secs(5),
    answer_timeout: Duration::from_secs(10),
    logout_timeout: Duration::from_secs(15),
};

/// One session and a clock that only moves when told.
pub(super) struct Story {
    pub(super) session: ProtocolSession,
    pub(super) mono: Duration,
    /// The last request that came out: what answers refer to.
    pub(super) asked: (u16, Opcode),
    pub(super) events: Vec<SessionEvent>,
    pub(super) end: Option<End>,
}

impl Story {
    pub(super) fn begin(settings: Settings) -> Self {
        Self::of(ProtocolSession::begin(settings, &hello(), now(Duration::ZERO)))
    }

    pub(super) fn of(session: ProtocolSession) -> Self {
        Self { session, mono: Duration::ZERO, asked: (0, Opcode(0)), events: Vec::new(), end: None }
    }

    /// Drains the outputs and gives the frames as `opcode` and payload.
    pub(super) fn sent(&mut self) -> Vec<(u16, Option<Value>)> {
        let mut sent = Vec::new();
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(mut frame) => {
                    if frame.cmd == Cmd::Request && frame.opcode != Opcode::PING {
                        self.asked = (frame.seq, frame.opcode);
                    }
                    sent.push((frame.opcode.0, frame.payload.take()));
                }
                Output::Event(event) => self.events.push(event),
                Output::End(end) => {
                    assert!(self.end.is_none());
                    self.end = Some(end);
                }
            }
        }
        sent
    }

    #[track_caller]
    pub(super) fn expect(&mut self, opcode: u16) -> &mut Self {
        let sent = self.sent();
        assert_eq!(sent.iter().map(|(opcode, _)| *opcode).collect::<Vec<_>>(), [opcode]);
        self
    }

    #[track_caller]
    pub(super) fn quiet(&mut self) -> &mut Self {
        assert_eq!(self.sent(), []);
        self
    }

    pub(super) fn frame(&mut self, frame: Frame) -> &mut Self {
        self.session.on_frame(frame, now(self.mono));
        self
    }

    pub(super) fn answer(&mut self, payload: Value) -> &mut Self {
        let (seq, opcode) = self.asked;
        self.frame(Frame::answer(seq, opcode, Some(payload)))
    }

    pub(super) fn refuse(&mut self, code: &str) -> &mut Self {
        let (seq, opcode) = self.asked;
        self.frame(Frame::error(seq, opcode, json!({ "error": code })))
    }

    pub(super) fn after(&mut self, ms: u64) -> &mut Self {
        self.mono += Duration::from_millis(ms);
        self.session.on_deadline(now(self.mono));
        self
    }

    /// To the code on the screen.
    #[track_caller]
    pub(super) fn with_code() -> Self {
        let mut story = Self::begin(SETTINGS);
        story.expect(6).answer(json!({"lang":true})).expect(288).answer(code(5000, 120_000)).quiet();
        story
    }

    /// To LOGIN_BY_QR in flight.
    #[track_caller]
    pub(super) fn approved() -> Self {
        let mut story = Self::with_code();
        story.after(5000).expect(289).answer(json!({"status":{"loginAvailable":true}})).expect(291);
        story
    }

    #[track_caller]
    pub(super) fn ended(&mut self) -> End {
        self.quiet();
        assert_eq!(self.session.deadline(), None);
        self.end.take().expect("the session has not ended")
    }
}

pub(super) fn now(mono: Duration) -> Now {
    Now { mono, unix_ms: UNIX_MS + i64::try_from(mono.as_millis()).unwrap() }
}

fn code(interval: u64, ttl: u64) -> Value {
    json!({"qrLink":"https://max.ru/:auth/t1","trackId":"t1","pollingInterval":interval,"ttl":ttl,"expiresAt":1})
}

pub(super) fn login() -> Value {
    json!({"tokenAttrs":{"LOGIN":{"token":"An_canary"}},
           "profile":{"contact":{"id":401,"names":[{"name":"Иван","type":"ONEME"}]}}})
}

pub(super) fn is_ivan(profile: &Profile) -> bool {
    profile.id == 401 && profile.name == "Иван"
}

#[test]
fn a_sign_in() {
    let mut story = Story::begin(SETTINGS);
    story.expect(6).answer(json!({})).expect(288).answer(code(3000, 90_000)).quiet();
    let ttl = Duration::from_secs(90);
    assert_eq!(
        story.events,
        [
            SessionEvent::Initialised,
            SessionEvent::Code { link: "https://max.ru/:auth/t1".into(), ttl, unix_expires_ms: UNIX_MS + 90_000 },
        ]
    );
    // MAX's interval, the first question after one of them.
    assert_eq!(story.session.deadline(), Some(Duration::from_secs(3)));
    story.after(2999).quiet();
    assert_eq!(story.after(1).sent(), [(289, Some(json!({"trackId":"t1"})))]);
    story.answer(json!({"status":{"expiresAt":1}})).quiet();
    story.after(3000).expect(289).answer(json!({"status":{"loginAvailable":true}}));
    assert_eq!(story.sent(), [(291, Some(json!({"trackId":"t1"})))]);
    assert!(story.session.login_in_flight());

    assert_eq!(story.answer(login()).sent(), [(20, None)]);
    assert!(!story.session.login_in_flight());
    story.answer(json!({}));
    let End::SignedIn { profile, logout: Logout::Confirmed } = story.ended() else { panic!() };
    assert!(is_ivan(&profile));
    assert_eq!(story.events[2..], [SessionEvent::Approved, SessionEvent::Identified]);
    assert!(story.session.take_token().is_none(), "wiped with the confirmation");
}

#[test]
fn a_password_is_asked_for() {
    let mut story = Story::approved();
    let challenge = json!({"passwordChallenge":{"trackId":"p1","hint":"кот"},"tokenAttrs":{}});
    story.answer(challenge).quiet();
    let wanted = |wrong| SessionEvent::PasswordWanted { hint: Some("кот".into()), wrong };
    assert_eq!(story.events.last(), Some(&wanted(false)));

    story.session.password(Zeroizing::new("nope".into()), now(story.mono)).unwrap();
    assert_eq!(story.sent(), [(115, Some(json!({"trackId":"p1","password":"nope"})))]);
    assert!(story.session.login_in_flight());
    let again = story.session.password(Zeroizing::new("twice".into()), now(story.mono));
    assert_eq!(again, Err(NotAsked));
    story.refuse("password2fa.wrong").quiet();
    assert_eq!(story.events.last(), Some(&wanted(true)));

    story.session.password(Zeroizing::new("correct horse".into()), now(story.mono)).unwrap();
    story.expect(115).answer(login()).expect(20).answer(json!({}));
    assert!(matches!(story.ended(), End::SignedIn { logout: Logout::Confirmed, .. }));
}

#[test]
fn passwords_run_out() {
    let mut story = Story::approved();
    story.answer(json!({"passwordChallenge":{"trackId":"p1"}})).quiet();
    story.session.password(Zeroizing::new("nope".into()), now(story.mono)).unwrap();
    story.expect(115).refuse("password2fa.no.attempts");
    let End::Refused { refusal, logout: Logout::NotNeeded } = story.ended() else { panic!() };
    assert_eq!(refusal.kind, RefusalKind::PasswordExhausted);
}

#[test]
fn a_password_is_refused_where_the_site_does_not_ask() {
    let mut story = Story::begin(Settings { password: PasswordPolicy::Refuse, ..SETTINGS });
    story.expect(6).answer(json!({})).expect(288).answer(code(5000, 120_000)).quiet();
    story.after(5000).expect(289).answer(json!({"status":{"loginAvailable":true}})).expect(291);
    story.answer(json!({"passwordChallenge":{"trackId":"p1"}}));
    let End::Refused { refusal, logout: Logout::NotNeeded } = story.ended() else { panic!() };
    assert_eq!(refusal.kind, RefusalKind::PasswordRequired);
}

#[test]
fn an_expired_code_is_replaced() {
    let mut story = Story::with_code();
    story.after(5000).expect(289).answer(json!({"status":{}})).quiet();
    story.session.phase = Phase::Waiting(Waiting {
        track: "t1".into(),
        interval: Duration::from_secs(60),
        expires: Duration::from_secs(120),
        next_question: Duration::from_secs(125),
        troubles: 0,
    });
    story.session.next_ping = None;
    story.after(115_000).expect(288).answer(code(5000, 500)).quiet();
    assert!(matches!(story.events.last(), Some(SessionEvent::Code { ttl, .. }) if *ttl == Duration::from_millis(500)));
    story.after(500).expect(288);
}

#[test]
fn a_code_that_max_forgot_is_replaced_a_second_later_at_most_thrice() {
    let mut story = Story::begin(SETTINGS);
    story.expect(6).answer(json!({})).expect(288).answer(code(100, 120_000)).quiet();
    story.after(100).expect(289).refuse("track.not.found").quiet();
    story.after(899).quiet().after(1).expect(288).answer(code(100, 120_000)).quiet();
    story.after(100).expect(289).refuse("track.not.found").quiet().after(900).expect(288);
    // One answered question, and the count begins anew.
    story.answer(code(100, 120_000)).after(100).expect(289).answer(json!({"status":{}})).quiet();
    for _ in 0..2 {
        story.after(100).expect(289).refuse("track.not.found").quiet();
        story.after(1000).expect(288).answer(code(100, 120_000)).quiet();
    }
    story.after(100).expect(289).refuse("track.not.found");
    let End::Refused { refusal, logout: Logout::NotNeeded } = story.ended() else { panic!() };
    assert_eq!(refusal.kind, RefusalKind::CodeGone);
}

#[test]
fn a_returning_visitor_is_not_kept_waiting() {
    let mut story = Story::with_code();
    story.after(200);
    story.session.wake(now(story.mono));
    story.expect(289).answer(json!({"status":{}})).quiet();
    story.after(300);
    story.session.wake(now(story.mono));
    story.quiet().after(699).quiet().after(1).expect(289);
}

#[test]
fn trouble_at_max_is_waited_out_for_a_while() {
    let mut story = Story::with_code();
    story.after(5000).expect(289).refuse("service.timeout").quiet();
    story.after(9999).quiet().after(1).expect(289).answer(json!({"status":{}})).quiet();
    for wait in [5000, 10_000, 20_000] {
        story.session.next_ping = None;
        story.after(wait).expect(289).refuse("too.many.requests").quiet();
    }
    story.session.next_ping = None;
    story.after(40_000).expect(289).refuse("too.many.requests");
    let End::Refused { refusal, .. } = story.ended() else { panic!() };
    assert_eq!(refusal.kind, RefusalKind::TooMany);
}

#[test]
fn answers_are_matched_by_seq_cmd_and_opcode() {
    let mut story = Story::with_code();
    story.after(5000).expect(289);
    let (seq, opcode) = story.asked;
    let yes = || Some(json!({"status":{"loginAvailable":true}}));
    story.frame(Frame::request(seq, opcode, yes())).quiet();
    story.frame(Frame::request(seq, Opcode(128), yes())).quiet();
    story.frame(Frame { cmd: Cmd::Event, seq, opcode, payload: yes() }).quiet();
    story.frame(Frame::answer(seq + 1, opcode, yes())).quiet();
    story.frame(Frame::answer(seq, Opcode(290), yes())).quiet();
    story.frame(Frame::answer(seq, opcode, yes())).expect(291);
    // A second answer to the same question.
    story.frame(Frame::answer(seq, opcode, yes())).quiet();
}

#[test]
fn pings_go_both_ways() {
    let mut story = Story::with_code();
    story.frame(Frame::request(7, Opcode::PING, Some(json!({}))));
    let Some(Output::Send(frame)) = story.session.poll_output() else { panic!() };
    assert!(frame == Frame::answer(7, Opcode::PING, None));

    let mut story = Story::approved();
    story.answer(json!({"passwordChallenge":{"trackId":"p1"}})).quiet();
    assert_eq!(story.session.deadline(), Some(Duration::from_secs(30)));
    assert_eq!(story.after(25_000).sent(), [(1, Some(json!({"interactive":true})))]);
    assert_eq!(story.session.deadline(), Some(Duration::from_secs(60)));
}

/// Only a greeting that was not understood speaks of the wrong dialect; what comes later may be anything.
#[test]
fn noise_without_a_head_ends_only_a_greeting() {
    let unreadable = |story: &mut Story| story.session.on_unreadable(None, now(story.mono));
    let mut story = Story::begin(SETTINGS);
    unreadable(story.expect(6));
    assert_eq!(story.ended(), End::Lost { why: Lost::Unreadable { opcode: Opcode::SESSION_INIT } });

    let mut story = Story::begin(SETTINGS);
    story.expect(6).answer(json!({})).expect(288);
    unreadable(&mut story);
    story.quiet().answer(code(5000, 120_000)).quiet();
    unreadable(&mut story);
    story.quiet().after(5000).expect(289);
    assert!(story.end.is_none());
}

#[test]
fn requests_are_counted_in_fifteen_bits() {
    let mut story = Story::begin(SETTINGS);
    let mut next = || story.session.take_seq();
    assert_eq!([next(), next()], [1, 2]);
    story.session.next_seq = SEQ_MASK;
    let mut next = || story.session.take_seq();
    assert_eq!([next(), next(), next()], [0x7fff, 0, 1]);
}

#[test]
fn a_code_that_is_gone_when_it_was_approved_is_replaced() {
    let mut story = Story::approved();
    story.refuse("track.not.found").expect(288).answer(code(5000, 120_000)).quiet();
    story.after(5000).expect(289);
    assert!(!story.session.login_in_flight() && story.end.is_none());
}

#[test]
fn refusals_of_max_end_the_session() {
    let mut story = Story::begin(SETTINGS);
    story.expect(6).answer(json!({})).expect(288).refuse("qr_login.disabled");
    let End::Refused { refusal, .. } = story.ended() else { panic!() };
    assert_eq!((refusal.kind, refusal.retry), (RefusalKind::AppVersionTooOld, false));

    let mut story = Story::begin(SETTINGS);
    story.expect(6).answer(json!({"error":{"code":"client.unsupported-version"}}));
    let End::Refused { refusal, .. } = story.ended() else { panic!() };
    assert_eq!(refusal.code, "client.unsupported-version");
}

#[test]
fn lifetimes_are_kept_within_reason() {
    for (answer, expected) in [
        (json!({"ttl": 1}), 100),
        (json!({"ttl": 86_400_000}), 600_000),
        (json!({}), 120_000),
        (json!({"expiresAt": UNIX_MS + 60_000}), 60_000),
        (json!({"expiresAt": UNIX_MS - 60_000}), 120_000),
        (json!({"expiresAt": UNIX_MS}), 120_000),
        (json!({"expiresAt": UNIX_MS + 1}), 100),
    ] {
        let mut story = Story::begin(SETTINGS);
        let mut code = json!({"qrLink":"https://max.ru/:auth/t1","trackId":"t1"});
        code.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
        story.expect(6).answer(json!({})).expect(288).answer(code).quiet();
        let Some(SessionEvent::Code { ttl, .. }) = story.events.last() else { panic!() };
        assert_eq!(*ttl, Duration::from_millis(expected), "{answer}");
    }
}
