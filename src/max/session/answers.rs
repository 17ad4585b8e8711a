//! What each answer of MAX leads to, up to the login. One function per state, each gives the next state.

use std::time::Duration;

use super::logout::Outcome;
use super::{
    End, Logout, Lost, Now, PING_INTERVAL, PasswordPolicy, Phase, ProtocolSession, Purpose, SessionEvent, Waiting,
};
use crate::max::frame::{Cmd, Frame, Head};
use crate::max::message::{self, Challenge, Code, LoginAnswer};
use crate::max::opcode::Opcode;
use crate::max::refusal::{Refusal, RefusalKind};

/// How often MAX may ask to be asked. It says 5 s; tests say milliseconds, and a question waits for its answer. The upper end
/// keeps a slip of MAX from silencing a login.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// How long a code may live. MAX says two minutes; tests say less.
const SHORTEST_TTL: Duration = Duration::from_millis(100);
const LONGEST_TTL: Duration = Duration::from_secs(600);
/// For an answer without a lifetime: what MAX usually says.
const USUAL_TTL: Duration = Duration::from_secs(120);

/// The least time between two codes when MAX says that the first is gone.
const CODE_SPACING: Duration = Duration::from_secs(1);

/// So many codes in a row that are gone before MAX said once that it waits for their approval: it does not mean it.
const MAX_CODES_GONE: u32 = 3;

/// So many status questions in a row may meet trouble on MAX's side; each doubles the wait for the next.
const MAX_TROUBLES: u32 = 3;

/// So many wrong passwords end a login, should MAX not say so itself (it does after about five).
const MAX_WRONG_PASSWORDS: u32 = 10;

impl ProtocolSession {
    pub(super) fn answered(&mut self, frame: &mut Frame, now: Now) {
        let head = frame.head();
        if !self.pending.as_ref().is_some_and(|pending| pending.is_answered_by(head)) {
            return self.answered_late(frame);
        }
        self.pending = None;
        let refusal = Refusal::from_payload(frame.payload.as_ref(), frame.cmd == Cmd::Error);
        self.phase = match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Greeting(purpose) => self.greeted(purpose, refusal, now),
            Phase::GettingCode => self.code_came(frame, refusal, now),
            Phase::Waiting(waiting) => self.status_came(waiting, frame, refusal, now),
            Phase::LoggingIn { track } => self.login_came(track, frame, refusal, now),
            Phase::CheckingPassword(challenge) => self.password_checked(challenge, frame, refusal, now),
            Phase::LoggingOut(logging_out) => self.logout_came(*logging_out, refusal.as_ref(), now),
            // In these nothing is in flight.
            other @ (Phase::CodeDue(_) | Phase::PasswordWanted(_) | Phase::Ended) => other,
        };
    }

    /// The answer to what we asked, with a payload that cannot be read. Where the payload says nothing that is needed, that
    /// it came is enough.
    pub(super) fn unreadable_answer(&mut self, head: Head, now: Now) {
        self.pending = None;
        let refusal = (head.cmd == Cmd::Error).then(Refusal::unreadable_answer);
        self.phase = match (std::mem::replace(&mut self.phase, Phase::Ended), refusal) {
            (Phase::Greeting(purpose), refusal) => self.greeted(purpose, refusal, now),
            (Phase::LoggingOut(logging_out), refusal) => self.logout_came(*logging_out, refusal.as_ref(), now),
            // MAX may have let us in. It takes requests in order, so a LOGOUT ends that without a token.
            (Phase::LoggingIn { .. } | Phase::CheckingPassword(_), None) => {
                let outcome = self.unreadable_login();
                self.log_out(outcome, now)
            }
            // MAX said no, in words that cannot be read.
            (Phase::LoggingIn { .. } | Phase::CheckingPassword(_), Some(refusal)) => {
                self.login_in_flight = false;
                match self.stopping {
                    true => self.finish(End::Stopped { logout: Logout::NotNeeded }),
                    false => self.refused(refusal, head.opcode),
                }
            }
            (other, _) => {
                self.phase = other;
                return self.lose(Lost::Unreadable { opcode: head.opcode });
            }
        };
    }

    /// What there is to report when it cannot be known whether MAX let us in.
    pub(super) fn unreadable_login(&self) -> Outcome {
        if self.stopping { Outcome::Stopped } else { Outcome::Refused(Refusal::unreadable_answer()) }
    }

    /// The answer to a login that was given up on: its token is what `take_token` is for.
    fn answered_late(&mut self, frame: &mut Frame) {
        let awaited = self.late_login.as_ref().is_some_and(|late| late.is_answered_by(frame.head()));
        if !awaited || !matches!(self.phase, Phase::LoggingOut(_)) {
            return;
        }
        self.late_login = None;
        self.login_in_flight = false;
        if let LoginAnswer::Open { token, .. } = message::login_answer(frame.payload.as_mut(), "") {
            self.token = token;
        }
    }

    /// INIT is to be answered within `time`: on a connection that has been silent for a while, nobody knows whether it stands.
    pub fn hurry_greeting(&mut self, time: Duration, now: Now) {
        if let (Phase::Greeting(_), Some(pending)) = (&self.phase, &mut self.pending) {
            pending.until = pending.until.min(now.mono + time);
        }
    }

    /// MAX has answered INIT.
    pub fn is_greeted(&self) -> bool {
        self.next_ping.is_some()
    }

    fn greeted(&mut self, purpose: Purpose, refusal: Option<Refusal>, now: Now) -> Phase {
        match (purpose, refusal) {
            (Purpose::EndLogin, None) => self.log_in_to_log_out(now),
            (Purpose::EndLogin, Some(_)) => self.conclude(Outcome::Stopped, Logout::Failed),
            (Purpose::SignIn, None) => {
                self.next_ping = Some(now.mono + PING_INTERVAL);
                self.emit(SessionEvent::Initialised);
                self.get_code(now)
            }
            (Purpose::SignIn, Some(refusal)) => self.refused(refusal, Opcode::SESSION_INIT),
        }
    }

    pub(super) fn get_code(&mut self, now: Now) -> Phase {
        self.last_code = Some(now.mono);
        self.ask(Opcode::GET_QR, None, now.mono + self.settings.answer_timeout);
        Phase::GettingCode
    }

    fn code_came(&mut self, frame: &Frame, refusal: Option<Refusal>, now: Now) -> Phase {
        let code = refusal.map_or_else(|| message::code(frame.payload.as_ref()), Err);
        match code {
            Ok(code) => self.show(code, now),
            Err(refusal) => self.refused(refusal, Opcode::GET_QR),
        }
    }

    fn show(&mut self, code: Code, now: Now) -> Phase {
        let ttl = time_to_live(&code, now);
        let interval = code.interval.unwrap_or(self.settings.poll_interval).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        self.emit(SessionEvent::Code { link: code.link, ttl, unix_expires_ms: now.unix_ms.saturating_add(ttl_ms) });
        Phase::Waiting(Waiting {
            track: code.track,
            interval,
            expires: now.mono + ttl,
            next_question: now.mono + interval,
            troubles: 0,
        })
    }

    fn status_came(&mut self, mut waiting: Waiting, frame: &Frame, refusal: Option<Refusal>, now: Now) -> Phase {
        let asked = self.last_question.unwrap_or(now.mono);
        match refusal {
            None => {
                waiting.troubles = 0;
                if !message::login_available(frame.payload.as_ref()) {
                    self.codes_gone = 0;
                    waiting.next_question = asked + waiting.interval;
                    return Phase::Waiting(waiting);
                }
                self.emit(SessionEvent::Approved);
                self.ask_login(Opcode::LOGIN_BY_QR, message::about_track(&waiting.track), now);
                Phase::LoggingIn { track: waiting.track }
            }
            Some(refusal) if refusal.kind == RefusalKind::CodeGone => self.code_gone(refusal, now),
            Some(Refusal { kind: RefusalKind::TooMany | RefusalKind::MaxTrouble, .. })
                if waiting.troubles < MAX_TROUBLES =>
            {
                waiting.troubles += 1;
                waiting.next_question = now.mono + waiting.interval * (1 << waiting.troubles);
                Phase::Waiting(waiting)
            }
            Some(refusal) => self.refused(refusal, Opcode::GET_QR_STATUS),
        }
    }

    /// A fresh code on the same connection, unless that has been going on for too long.
    fn code_gone(&mut self, refusal: Refusal, now: Now) -> Phase {
        self.codes_gone += 1;
        if self.codes_gone >= MAX_CODES_GONE {
            return self.finish(End::Refused { refusal, logout: Logout::NotNeeded });
        }
        let at = self.last_code.map_or(now.mono, |last| now.mono.max(last + CODE_SPACING));
        Phase::CodeDue(at)
    }

    fn login_came(&mut self, track: String, frame: &mut Frame, refusal: Option<Refusal>, now: Now) -> Phase {
        self.login_in_flight = false;
        match refusal {
            None => self.login_answered(&track, frame, false, now),
            Some(_) if self.stopping => self.finish(End::Stopped { logout: Logout::NotNeeded }),
            Some(refusal) if refusal.kind == RefusalKind::CodeGone => self.code_gone(refusal, now),
            Some(refusal) => self.refused(refusal, Opcode::LOGIN_BY_QR),
        }
    }

    fn password_checked(
        &mut self,
        challenge: Challenge,
        frame: &mut Frame,
        refusal: Option<Refusal>,
        now: Now,
    ) -> Phase {
        self.login_in_flight = false;
        match refusal {
            None => self.login_answered(&challenge.track, frame, true, now),
            Some(_) if self.stopping => self.finish(End::Stopped { logout: Logout::NotNeeded }),
            Some(refusal) if refusal.kind == RefusalKind::PasswordWrong => self.want_password(challenge, true),
            Some(refusal) => self.refused(refusal, Opcode::AUTH_LOGIN_CHECK_PASSWORD),
        }
    }

    fn login_answered(&mut self, track: &str, frame: &mut Frame, after_password: bool, now: Now) -> Phase {
        match message::login_answer(frame.payload.as_mut(), track) {
            LoginAnswer::Password(_) if self.stopping => self.finish(End::Stopped { logout: Logout::NotNeeded }),
            LoginAnswer::Password(challenge) => match self.settings.password {
                PasswordPolicy::Ask => self.want_password(challenge, after_password),
                PasswordPolicy::Refuse => {
                    let refusal = Refusal::password_required();
                    self.finish(End::Refused { refusal, logout: Logout::NotNeeded })
                }
            },
            LoginAnswer::Open { token, profile } => {
                self.token = token;
                let outcome = match profile {
                    _ if self.stopping => Outcome::Stopped,
                    Some(profile) => {
                        self.emit(SessionEvent::Identified);
                        Outcome::SignedIn(profile)
                    }
                    None => Outcome::Refused(Refusal::unreadable_answer()),
                };
                self.log_out(outcome, now)
            }
        }
    }

    fn want_password(&mut self, challenge: Challenge, wrong: bool) -> Phase {
        self.wrong_passwords += u32::from(wrong);
        if self.wrong_passwords >= MAX_WRONG_PASSWORDS {
            let refusal = Refusal::password_exhausted();
            return self.finish(End::Refused { refusal, logout: Logout::NotNeeded });
        }
        self.emit(SessionEvent::PasswordWanted { hint: challenge.hint.clone(), wrong });
        Phase::PasswordWanted(challenge)
    }

    /// No login is open here. Wrong order is a matter of this connection; everything else is MAX's decision.
    fn refused(&mut self, refusal: Refusal, opcode: Opcode) -> Phase {
        if refusal.kind == RefusalKind::WrongOrder {
            return self.finish(End::Lost { why: Lost::WrongOrder { opcode, code: refusal.code } });
        }
        self.finish(End::Refused { refusal, logout: Logout::NotNeeded })
    }
}

/// MAX's lifetime on our clock; its own clock is asked only where it names no lifetime, and not believed where that
/// would mean "already over".
fn time_to_live(code: &Code, now: Now) -> Duration {
    let by_clock = code.expires_at_unix_ms.and_then(|at| u64::try_from(at.saturating_sub(now.unix_ms)).ok());
    let ttl = code.ttl.or(by_clock.filter(|&ms| ms > 0).map(Duration::from_millis)).unwrap_or(USUAL_TTL);
    ttl.clamp(SHORTEST_TTL, LONGEST_TTL)
}
