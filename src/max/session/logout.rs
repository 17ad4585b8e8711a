//! Ending the MAX login, which is what every path after the token leads to.
//!
//! LOGOUT on the connection that logged in. Whether MAX takes it without a LOGIN first is not known; where it refuses,
//! a minimal LOGIN makes the connection "online", its answer (the visitor's chats) is dropped unread, and LOGOUT is
//! asked for once more. Never anything else: the request that closes sessions closes the *other* ones.

use std::time::Duration;

use super::{End, Logout, Lost, Now, Phase, ProtocolSession};
use crate::max::message;
use crate::max::opcode::Opcode;
use crate::max::profile::Profile;
use crate::max::refusal::{Refusal, RefusalKind};

pub(super) struct LoggingOut {
    /// What there is to report when this is over.
    pub(super) outcome: Outcome,
    step: Step,
    until: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    First,
    Login,
    Second,
}

/// How the session would end if no login had to be ended.
pub(super) enum Outcome {
    SignedIn(Profile),
    Refused(Refusal),
    Stopped,
    Lost(Lost),
}

impl ProtocolSession {
    pub(super) fn log_out(&mut self, outcome: Outcome, now: Now) -> Phase {
        let until = now.mono + self.settings.logout_timeout;
        self.step_out(LoggingOut { outcome, step: Step::First, until })
    }

    /// The same on a connection that has not logged in: begins with the LOGIN.
    pub(super) fn log_in_to_log_out(&mut self, now: Now) -> Phase {
        let until = now.mono + self.settings.logout_timeout;
        self.step_out(LoggingOut { outcome: Outcome::Stopped, step: Step::Login, until })
    }

    fn step_out(&mut self, logging_out: LoggingOut) -> Phase {
        match (logging_out.step, &self.token) {
            (Step::First | Step::Second, _) => self.ask(Opcode::LOGOUT, None, logging_out.until),
            (Step::Login, Some(token)) => {
                let payload = message::minimal_login(token);
                self.ask(Opcode::LOGIN, Some(payload), logging_out.until);
            }
            // Nothing to log in with; somebody else may be ending it.
            (Step::Login, None) => return self.conclude(logging_out.outcome, Logout::Failed),
        }
        Phase::LoggingOut(Box::new(logging_out))
    }

    /// Who it is, once LOGOUT is among the outputs: nobody needs to wait for its answer. The session goes on to its end, which
    /// says what became of the login and no longer whose it was.
    pub fn take_identified(&mut self) -> Option<End> {
        let Phase::LoggingOut(logging_out) = &mut self.phase else { return None };
        match std::mem::replace(&mut logging_out.outcome, Outcome::Stopped) {
            Outcome::SignedIn(profile) => Some(End::SignedIn { profile, logout: Logout::Underway }),
            other => {
                logging_out.outcome = other;
                None
            }
        }
    }

    /// The same where no answer can be heard: LOGOUT goes out and is not confirmed. A token in hand remains for a new
    /// connection to make sure.
    pub(super) fn log_out_blindly(&mut self, logging_out: LoggingOut, now: Now) -> Phase {
        if logging_out.step == Step::Login {
            self.ask(Opcode::LOGOUT, None, now.mono);
        }
        self.conclude(logging_out.outcome, Logout::Failed)
    }

    pub(super) fn logout_came(&mut self, logging_out: LoggingOut, refusal: Option<&Refusal>, _now: Now) -> Phase {
        let LoggingOut { outcome, step, until } = logging_out;
        // "No such token" is what we want to hear.
        let token_gone = refusal.is_some_and(|refusal| refusal.kind == RefusalKind::TokenGone);
        match (step, refusal) {
            _ if token_gone => self.conclude(outcome, Logout::Confirmed),
            (Step::First | Step::Second, None) => self.conclude(outcome, Logout::Confirmed),
            (Step::First, Some(_)) => self.step_out(LoggingOut { outcome, step: Step::Login, until }),
            (Step::Login, None) => self.step_out(LoggingOut { outcome, step: Step::Second, until }),
            (Step::Login | Step::Second, Some(_)) => self.conclude(outcome, Logout::Failed),
        }
    }

    pub(super) fn conclude(&mut self, outcome: Outcome, logout: Logout) -> Phase {
        if logout == Logout::Confirmed {
            // Wiped here and now, not when the session is dropped.
            self.token = None;
            self.login_in_flight = false;
        }
        self.finish(match outcome {
            Outcome::SignedIn(profile) => End::SignedIn { profile, logout },
            Outcome::Refused(refusal) => End::Refused { refusal, logout },
            Outcome::Stopped => End::Stopped { logout },
            Outcome::Lost(why) => End::Lost { why },
        })
    }
}
