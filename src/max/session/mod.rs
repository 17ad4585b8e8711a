//! The order of things: INIT, a code, status questions, the login, perhaps a password, LOGOUT.
//!
//! A machine without I/O. The contract for driving it: after every input drain [`ProtocolSession::poll_output`] until it gives
//! `None`, then wait for a frame, a command, or [`ProtocolSession::deadline`], and call the input that fits. After
//! `Output::End` nothing comes out any more and the connection is to be closed.
//!
//! Three promises, each held by a property test: it never panics whatever comes in which order; every MAX login that
//! was opened is logged out, reported as `Logout::Failed`, or left in [`ProtocolSession::take_token`]; until the end there is
//! always a deadline.

mod answers;
mod end;
mod logout;

#[cfg(test)]
mod endings;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use zeroize::Zeroizing;

pub use self::end::{End, Logout, Lost, Output, SessionEvent};
use self::logout::{LoggingOut, Outcome};
use super::frame::{Cmd, Frame, Head};
use super::message::{self, Challenge, Hello};
use super::opcode::Opcode;
use super::token::MaxToken;

/// How often we show MAX that we are there, as the web client does. MAX drops silent connections after 30 to 60 s.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// The least time between status questions that visitors can cause by coming back to the page.
const WAKE_SPACING: Duration = Duration::from_secs(1);

/// The web client counts requests in an int16 and so may MAX.
const SEQ_MASK: u16 = 0x7FFF;

/// A moment, on both clocks. Deadlines live on the monotonic one.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub mono: Duration,
    pub unix_ms: i64,
}

/// What to do when the account has a cloud password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordPolicy {
    Refuse,
    Ask,
}

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub password: PasswordPolicy,
    /// Between status questions, where MAX names no interval.
    pub poll_interval: Duration,
    /// For each answer.
    pub answer_timeout: Duration,
    /// For the whole of LOGOUT, its fallback included.
    pub logout_timeout: Duration,
}

/// A password came when none was wanted; it has been wiped.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no password is wanted now")]
pub struct NotAsked;

pub struct ProtocolSession {
    settings: Settings,
    phase: Phase,
    /// The one request in flight. Pings are not counted: nothing waits for their answers.
    pending: Option<Pending>,
    next_seq: u16,
    next_ping: Option<Duration>,
    last_code: Option<Duration>,
    last_question: Option<Duration>,
    /// Codes in a row that were gone before MAX said once that it waits for their approval.
    codes_gone: u32,
    wrong_passwords: u32,
    /// The visitor is gone, but a login is in flight and must be ended first.
    stopping: bool,
    /// 291 or 115 was sent and not answered.
    login_in_flight: bool,
    /// A login request given up on, whose answer may still come.
    late_login: Option<Pending>,
    /// MAX asked to connect elsewhere, which waits until no login is open on this connection.
    reconnect: bool,
    token: Option<MaxToken>,
    outputs: VecDeque<Output>,
}

/// Where the session is. Every state holds what only it needs.
enum Phase {
    Greeting(Purpose),
    GettingCode,
    /// The last code was gone at once; the next one may be asked for at this time.
    CodeDue(Duration),
    Waiting(Waiting),
    LoggingIn {
        track: String,
    },
    PasswordWanted(Challenge),
    CheckingPassword(Challenge),
    /// Boxed: it holds a profile, for which those that wait would keep room.
    LoggingOut(Box<LoggingOut>),
    Ended,
}

#[derive(Clone, Copy)]
enum Purpose {
    SignIn,
    /// A token is in hand from a connection that is lost.
    EndLogin,
}

/// A code is shown.
struct Waiting {
    track: String,
    interval: Duration,
    expires: Duration,
    next_question: Duration,
    /// Questions in a row that MAX was in too much trouble to answer.
    troubles: u32,
}

struct Pending {
    seq: u16,
    opcode: Opcode,
    until: Duration,
}

impl Pending {
    /// By seq, cmd and opcode: MAX numbers its own pushes from 0 too, so seq alone would mix them up.
    fn is_answered_by(&self, head: Head) -> bool {
        matches!(head.cmd, Cmd::Answer | Cmd::Error) && head.seq == self.seq && head.opcode == self.opcode
    }
}

impl ProtocolSession {
    /// A sign-in.
    pub fn begin(settings: Settings, hello: &Hello, now: Now) -> Self {
        Self::greet(settings, hello, Purpose::SignIn, None, now)
    }

    /// Ends a MAX login whose own connection is lost: INIT, a minimal LOGIN (its answer dropped unread), LOGOUT. All of
    /// it within the logout timeout.
    pub fn end_login(settings: Settings, hello: &Hello, token: MaxToken, now: Now) -> Self {
        Self::greet(settings, hello, Purpose::EndLogin, Some(token), now)
    }

    fn greet(settings: Settings, hello: &Hello, purpose: Purpose, token: Option<MaxToken>, now: Now) -> Self {
        let mut session = Self {
            settings,
            phase: Phase::Greeting(purpose),
            pending: None,
            next_seq: 0,
            next_ping: None,
            last_code: None,
            last_question: None,
            codes_gone: 0,
            wrong_passwords: 0,
            stopping: false,
            login_in_flight: false,
            late_login: None,
            reconnect: false,
            token,
            outputs: VecDeque::new(),
        };
        let timeout = match purpose {
            Purpose::SignIn => settings.answer_timeout,
            Purpose::EndLogin => settings.logout_timeout,
        };
        session.ask(Opcode::SESSION_INIT, Some(message::init(hello)), now.mono + timeout);
        session
    }

    /// Input: MAX sent a frame.
    pub fn on_frame(&mut self, mut frame: Frame, now: Now) {
        match frame.cmd {
            Cmd::Request => self.pushed(&frame),
            Cmd::Answer | Cmd::Error => self.answered(&mut frame, now),
            Cmd::Event => {}
        }
        self.advance(now);
    }

    /// Input: MAX sent what cannot be decoded; `head` is what could be read of it. Only the answer to our own question
    /// matters: everything else is passed over, as pushes are.
    pub fn on_unreadable(&mut self, head: Option<Head>, now: Now) {
        match head {
            Some(head) if self.pending.as_ref().is_some_and(|pending| pending.is_answered_by(head)) => {
                self.unreadable_answer(head, now);
            }
            // MAX has not understood us, or we not MAX, before anything began: the wrong dialect for this address.
            None if matches!(self.phase, Phase::Greeting(Purpose::SignIn)) => {
                self.lose(Lost::Unreadable { opcode: Opcode::SESSION_INIT });
            }
            _ => {}
        }
        self.advance(now);
    }

    /// Input: nothing more can be read from the connection, but it can still be written to. What may be open at MAX is
    /// closed blindly: MAX takes requests in order.
    pub fn on_deaf(&mut self, now: Now) {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::LoggingIn { .. } | Phase::CheckingPassword(_) => {
                let outcome = self.unreadable_login();
                self.ask(Opcode::LOGOUT, None, now.mono);
                self.phase = self.conclude(outcome, Logout::Failed);
            }
            Phase::LoggingOut(logging_out) => self.phase = self.log_out_blindly(*logging_out, now),
            other => {
                self.phase = other;
                self.lose(Lost::Unreadable {
                    opcode: self.pending.as_ref().map_or(Opcode::PING, |asked| asked.opcode),
                });
            }
        }
    }

    /// Input: the deadline has come. Earlier calls do no harm.
    pub fn on_deadline(&mut self, now: Now) {
        self.advance(now);
    }

    /// Input: the connection is gone. The session ends here.
    pub fn on_closed(&mut self, _now: Now) {
        self.lose(Lost::Closed);
    }

    /// Input: the visitor came back to the page, perhaps right after approving. Asks at once, at most once a second.
    pub fn wake(&mut self, now: Now) {
        if let Phase::Waiting(waiting) = &mut self.phase {
            let soonest = self.last_question.map_or(now.mono, |last| now.mono.max(last + WAKE_SPACING));
            waiting.next_question = waiting.next_question.min(soonest);
        }
        self.advance(now);
    }

    /// Input: the visitor's cloud password.
    pub fn password(&mut self, password: Zeroizing<String>, now: Now) -> Result<(), NotAsked> {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::PasswordWanted(challenge) => {
                let payload = message::check_password(&challenge.track, password);
                self.ask_login(Opcode::AUTH_LOGIN_CHECK_PASSWORD, payload, now);
                self.phase = Phase::CheckingPassword(challenge);
                Ok(())
            }
            other => {
                self.phase = other;
                Err(NotAsked)
            }
        }
    }

    /// Input: the visitor left, the login's time is over, or the server stops. Ends at once where nothing is open at
    /// MAX; else the login is ended first. A profile that is already known is still reported.
    pub fn stop(&mut self, _now: Now) {
        match &self.phase {
            Phase::Ended | Phase::LoggingOut(_) | Phase::Greeting(Purpose::EndLogin) => {}
            Phase::LoggingIn { .. } | Phase::CheckingPassword(_) => self.stopping = true,
            Phase::Greeting(Purpose::SignIn)
            | Phase::GettingCode
            | Phase::CodeDue(_)
            | Phase::Waiting(_)
            | Phase::PasswordWanted(_) => {
                self.phase = self.finish(End::Stopped { logout: Logout::NotNeeded });
            }
        }
    }

    /// What to do now; ask until `None` after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            // A session waits for minutes; room for four frames is not kept that long.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// When [`Self::on_deadline`] wants to be called, on the monotonic clock; `None` only after the end.
    pub fn deadline(&self) -> Option<Duration> {
        let next_step = match (&self.phase, &self.pending) {
            (Phase::Ended, _) => return None,
            (_, Some(pending)) => Some(pending.until),
            (Phase::Waiting(waiting), None) => Some(waiting.expires.min(waiting.next_question)),
            (Phase::CodeDue(at), None) => Some(*at),
            (_, None) => None,
        };
        next_step.into_iter().chain(self.ping_due()).min()
    }

    /// The token, while a MAX login is open and its LOGOUT not confirmed: for [`Self::end_login`] on a new connection.
    pub fn take_token(&mut self) -> Option<MaxToken> {
        self.token.take()
    }

    /// A login is open and its token is here.
    pub fn holds_token(&self) -> bool {
        self.token.is_some()
    }

    /// Was MAX asked to log us in, and has it not answered? True after an end, this is a login that nobody could end.
    pub fn login_in_flight(&self) -> bool {
        self.login_in_flight
    }

    fn ping_due(&self) -> Option<Duration> {
        // LOGOUT is bounded and short, and the last thing said.
        self.next_ping.filter(|_| !matches!(self.phase, Phase::LoggingOut(_) | Phase::Ended))
    }

    /// Does everything whose time has come.
    fn advance(&mut self, now: Now) {
        if self.reconnect && !self.login_may_be_open() {
            return self.lose(Lost::Reconnect);
        }
        if self.pending.as_ref().is_some_and(|pending| pending.until <= now.mono) {
            self.timed_out(now);
        }
        if self.ping_due().is_some_and(|due| due <= now.mono) {
            let seq = self.take_seq();
            self.send(Frame::request(seq, Opcode::PING, Some(message::ping())));
            self.next_ping = Some(now.mono + PING_INTERVAL);
        }
        if self.pending.is_some() {
            return;
        }
        match &self.phase {
            Phase::CodeDue(at) if *at <= now.mono => self.phase = self.get_code(now),
            Phase::Waiting(waiting) if waiting.expires <= now.mono => self.phase = self.get_code(now),
            Phase::Waiting(waiting) if waiting.next_question <= now.mono => {
                let about = message::about_track(&waiting.track);
                self.last_question = Some(now.mono);
                self.ask(Opcode::GET_QR_STATUS, Some(about), now.mono + self.settings.answer_timeout);
            }
            _ => {}
        }
    }

    fn timed_out(&mut self, now: Now) {
        let Some(pending) = self.pending.take() else { return };
        let why = Lost::AnswerTimeout { opcode: pending.opcode };
        if !matches!(self.phase, Phase::LoggingIn { .. } | Phase::CheckingPassword(_)) {
            return self.lose(why);
        }
        // MAX may have logged us in, or do so any moment. It takes requests in order, so a LOGOUT behind the login
        // that it is late with still ends it, even though we have no token.
        self.late_login = Some(pending);
        let outcome = if self.stopping { Outcome::Stopped } else { Outcome::Lost(why) };
        self.phase = self.log_out(outcome, now);
    }

    /// A push. Nearly all of them are none of our business.
    fn pushed(&mut self, frame: &Frame) {
        match frame.opcode {
            _ if matches!(self.phase, Phase::Ended) => {}
            Opcode::PING => self.send(Frame::answer(frame.seq, Opcode::PING, None)),
            Opcode::RECONNECT => self.reconnect = true,
            _ => {}
        }
    }

    /// Leaving now would leave a login behind that only this connection can end.
    fn login_may_be_open(&self) -> bool {
        matches!(
            self.phase,
            Phase::LoggingIn { .. }
                | Phase::CheckingPassword(_)
                | Phase::LoggingOut(_)
                | Phase::Greeting(Purpose::EndLogin)
        )
    }

    /// The connection is of no more use.
    fn lose(&mut self, why: Lost) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Ended => Phase::Ended,
            Phase::LoggingOut(logging_out) => self.conclude(logging_out.outcome, Logout::Failed),
            Phase::Greeting(Purpose::EndLogin) => self.conclude(Outcome::Stopped, Logout::Failed),
            _ if self.stopping => self.conclude(Outcome::Stopped, Logout::Failed),
            _ => self.finish(End::Lost { why }),
        };
    }

    fn ask_login(&mut self, opcode: Opcode, payload: serde_json::Value, now: Now) {
        self.login_in_flight = true;
        self.ask(opcode, Some(payload), now.mono + self.settings.answer_timeout);
    }

    fn ask(&mut self, opcode: Opcode, payload: Option<serde_json::Value>, until: Duration) {
        let seq = self.take_seq();
        self.pending = Some(Pending { seq, opcode, until });
        self.send(Frame::request(seq, opcode, payload));
    }

    fn take_seq(&mut self) -> u16 {
        let seq = self.next_seq;
        self.next_seq = seq.wrapping_add(1) & SEQ_MASK;
        seq
    }

    fn send(&mut self, frame: Frame) {
        self.outputs.push_back(Output::Send(frame));
    }

    fn emit(&mut self, event: SessionEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    fn finish(&mut self, end: End) -> Phase {
        self.pending = None;
        self.outputs.push_back(Output::End(end));
        Phase::Ended
    }
}
