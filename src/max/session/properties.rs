//! Any order of frames, commands and time, and what must hold after each of them.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::{SETTINGS, now};
use super::*;
use crate::max::tests::hello;

/// What can happen to a session.
#[derive(Clone, Debug)]
enum Happening {
    /// An answer to the last request.
    Answer(Value),
    Refusal(&'static str),
    /// A frame that has nothing to do with what was asked.
    Stray {
        cmd: u8,
        seq: u16,
        opcode: u16,
        payload: Value,
    },
    /// A message that cannot be decoded: the answer to the last request, or something else, or not even that is known.
    Unreadable {
        cmd: u8,
        answers: Option<bool>,
    },
    /// The WebSocket library gave up reading.
    Deaf,
    Deadline,
    Wait(u64),
    Wake,
    Password,
    Stop,
    Closed,
    TakeToken,
    /// Whoever waits is told before LOGOUT is answered.
    TakeIdentified,
}

fn payloads() -> impl Strategy<Value = Value> {
    let code = |ttl: u64| json!({"qrLink":"https://max.ru/:auth/t","trackId":"t","pollingInterval":50,"ttl":ttl});
    prop_oneof![
        Just(json!({})),
        Just(json!([])),
        Just(json!({"error":"internal"})),
        Just(code(120_000)),
        Just(code(0)),
        Just(json!({"qrLink":"https://evil.example/","trackId":"t"})),
        Just(json!({"status":{}})),
        Just(json!({"status":{"loginAvailable":true}})),
        Just(json!({"passwordChallenge":{"trackId":"p"}})),
        Just(json!({"tokenAttrs":{"LOGIN":{"token":"An_canary"}},"profile":{"contact":{"id":1}}})),
        Just(json!({"tokenAttrs":{"LOGIN":{"token":"An_canary"}}})),
    ]
}

fn codes() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("track.not.found"),
        Just("proto.state"),
        Just("too.many.requests"),
        Just("login.token"),
        Just("password2fa.wrong"),
        Just("qr_login.disabled"),
        Just("what.is.this"),
    ]
}

fn happenings() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => payloads().prop_map(Happening::Answer),
        2 => codes().prop_map(Happening::Refusal),
        1 => (0..4_u8, 0..6_u16, prop_oneof![Just(1_u16), Just(3), Just(20), Just(128), Just(289), Just(291)], payloads())
            .prop_map(|(cmd, seq, opcode, payload)| Happening::Stray { cmd, seq, opcode, payload }),
        2 => (0..5_u8, any::<Option<bool>>()).prop_map(|(cmd, answers)| Happening::Unreadable { cmd, answers }),
        1 => Just(Happening::Deaf),
        3 => Just(Happening::Deadline),
        1 => (0..200_000_u64).prop_map(Happening::Wait),
        1 => Just(Happening::Wake),
        1 => Just(Happening::Password),
        1 => Just(Happening::Stop),
        1 => Just(Happening::Closed),
        1 => Just(Happening::TakeToken),
        2 => Just(Happening::TakeIdentified),
    ]
}

/// What a friendly MAX would answer, so that random stories get far.
fn friendly(opcode: Opcode) -> Value {
    match opcode {
        Opcode::GET_QR => {
            json!({"qrLink":"https://max.ru/:auth/t","trackId":"t","pollingInterval":5000,"ttl":120_000})
        }
        Opcode::GET_QR_STATUS => json!({"status":{"loginAvailable":true}}),
        Opcode::LOGIN_BY_QR | Opcode::AUTH_LOGIN_CHECK_PASSWORD => {
            json!({"tokenAttrs":{"LOGIN":{"token":"An_canary"}},"profile":{"contact":{"id":1}}})
        }
        _ => json!({}),
    }
}

/// Drives a session and checks after every input.
struct Watch {
    session: ProtocolSession,
    mono: Duration,
    asked: (u16, Opcode),
    end: Option<End>,
    /// A token was in an answer that the session was waiting for.
    token_received: bool,
    token_taken: bool,
    /// MAX may have let us in, and the connection still took what we wrote: a LOGOUT must follow.
    logout_owed: bool,
    /// Somebody was told who it is.
    told: bool,
}

impl Watch {
    fn settle(&mut self) {
        while let Some(output) = self.session.poll_output() {
            assert!(self.end.is_none(), "an output after the end");
            match output {
                Output::Send(frame) => {
                    assert_ne!(frame.opcode.0, 97, "this would close the visitor's other sessions");
                    if frame.cmd == Cmd::Request && frame.opcode != Opcode::PING {
                        self.asked = (frame.seq, frame.opcode);
                    }
                    self.logout_owed &= frame.opcode != Opcode::LOGOUT;
                }
                Output::Event(_) => {}
                Output::End(end) => self.end = Some(end),
            }
        }
        assert_eq!(self.session.deadline().is_none(), self.end.is_some(), "a deadline until the end, and none after");
        assert!(!self.logout_owed, "a login that may be open was left to itself");
        self.token_received |= self.session.token.is_some();
    }

    fn answer(&mut self, payload: Value) {
        let (seq, opcode) = self.asked;
        self.session.on_frame(Frame::answer(seq, opcode, Some(payload)), now(self.mono));
    }

    fn happen(&mut self, happening: Happening) {
        let at = now(self.mono);
        let login_asked = self.end.is_none() && self.session.login_in_flight() && matches!(self.asked.1.0, 291 | 115);
        match happening {
            Happening::Unreadable { cmd, answers } => {
                let (seq, opcode) = self.asked;
                let seq = if answers == Some(true) { seq } else { seq.wrapping_add(1) };
                let head = Cmd::from_wire(cmd).ok().map(|cmd| Head { cmd, seq, opcode }).filter(|_| answers.is_some());
                self.logout_owed |= login_asked && cmd == 1 && answers == Some(true);
                self.session.on_unreadable(head, at);
            }
            Happening::Deaf => {
                self.logout_owed |= login_asked;
                self.session.on_deaf(at);
            }
            Happening::Answer(payload) => self.answer(payload),
            Happening::Refusal(code) => {
                let (seq, opcode) = self.asked;
                self.session.on_frame(Frame::error(seq, opcode, json!({ "error": code })), at);
            }
            Happening::Stray { cmd, seq, opcode, payload } => {
                let cmd = Cmd::from_wire(cmd).unwrap();
                let frame = Frame { cmd, seq, opcode: Opcode(opcode), payload: Some(payload) };
                self.session.on_frame(frame, at);
            }
            Happening::Deadline => {
                if let Some(deadline) = self.session.deadline() {
                    self.mono = self.mono.max(deadline);
                    self.session.on_deadline(now(self.mono));
                    self.settle();
                    assert!(
                        self.session.deadline().is_none_or(|next| next > self.mono),
                        "a deadline that never passes"
                    );
                }
            }
            Happening::Wait(ms) => {
                self.mono += Duration::from_millis(ms);
                self.session.on_deadline(now(self.mono));
            }
            Happening::Wake => self.session.wake(at),
            Happening::Password => drop(self.session.password(Zeroizing::new("pw".into()), at)),
            Happening::Stop => self.session.stop(at),
            Happening::Closed => self.session.on_closed(at),
            Happening::TakeToken => self.token_taken |= self.session.take_token().is_some(),
            Happening::TakeIdentified => {
                let taken = self.session.take_identified();
                assert!(taken.is_none() || (self.asked.1 != Opcode::LOGIN_BY_QR && self.end.is_none()));
                self.told |= taken.is_some();
            }
        }
        self.settle();
    }

    fn check_the_end(mut self) {
        // Silence from here on: it must end by itself, unless a password is waited for.
        for _ in 0..200 {
            self.happen(Happening::Deadline);
        }
        if self.end.is_none() {
            assert!(matches!(self.session.phase, Phase::PasswordWanted(_)), "this session would never end");
            self.happen(Happening::Stop);
        }
        let left = self.session.take_token().is_some();
        assert!(!self.told || !matches!(self.end, Some(End::SignedIn { .. })), "told twice");
        let logout = match self.end.as_ref().expect("stopped") {
            End::SignedIn { logout, .. } | End::Refused { logout, .. } | End::Stopped { logout } => *logout,
            // An end that does not say: the last request does.
            End::Lost { .. } if self.asked.1 == Opcode::LOGOUT && !left => Logout::Confirmed,
            End::Lost { .. } => Logout::Failed,
        };
        match logout {
            _ if !self.token_received => assert!(!left),
            Logout::NotNeeded | Logout::Underway => panic!("a login was forgotten"),
            Logout::Confirmed => assert!(!left, "a token outlived its login"),
            Logout::Failed => assert!(left || self.token_taken, "a token was lost with its login open"),
        }
    }
}

fn watch(first_answers: usize, story: Vec<Happening>, policy: PasswordPolicy) {
    let settings = Settings { password: policy, ..SETTINGS };
    let mut watch = Watch {
        session: ProtocolSession::begin(settings, &hello(), now(Duration::ZERO)),
        mono: Duration::ZERO,
        asked: (0, Opcode(0)),
        end: None,
        token_received: false,
        token_taken: false,
        logout_owed: false,
        told: false,
    };
    watch.settle();
    for _ in 0..first_answers {
        if watch.session.pending.is_none() {
            watch.happen(Happening::Deadline);
        }
        watch.happen(Happening::Answer(friendly(watch.asked.1)));
    }
    for happening in story {
        watch.happen(happening);
    }
    watch.check_the_end();
}

proptest! {
    #[test]
    fn whatever_happens(
        first_answers in 0..6_usize,
        story in vec(happenings(), 0..30),
        ask in any::<bool>(),
    ) {
        watch(first_answers, story, if ask { PasswordPolicy::Ask } else { PasswordPolicy::Refuse });
    }

    /// The rescue of a token ends within its timeout, whatever MAX says.
    #[test]
    fn whatever_happens_to_a_rescue(story in vec(happenings(), 0..12)) {
        let token = MaxToken::take(&mut json!("An_canary")).unwrap();
        let mut watch = Watch {
            session: ProtocolSession::end_login(SETTINGS, &hello(), token, now(Duration::ZERO)),
            mono: Duration::ZERO,
            asked: (0, Opcode(0)),
            end: None,
            token_received: true,
            token_taken: false,
            logout_owed: false,
            told: false,
        };
        watch.settle();
        for happening in story {
            watch.happen(happening);
        }
        watch.happen(Happening::Wait(30_000));
        watch.happen(Happening::Wait(30_000));
        assert!(matches!(watch.end, Some(End::Stopped { .. })));
        watch.check_the_end();
    }
}
