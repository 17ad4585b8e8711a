//! What a driver emits, as events of its login; and how long each step took.

use super::Login;
use super::event::Kind;
use super::journal::Journal;
use super::text::Stage;
use crate::signin::{DriverEvent, EventSink, Outcome};
use crate::texts::Words;
use metrics::{counter, histogram};
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

fn seconds(millis: u32) -> f64 {
    f64::from(millis) / 1000.0
}

/// Turns what a driver emits into events.
pub struct LoginSink<'a> {
    login: &'a Login,
    journal: &'a Journal,
    words: &'a Words,
    stage: Mutex<Stage>,
    began: Duration,
    times: Mutex<Times>,
}

/// Since the driver began, in milliseconds; 0: not yet.
#[derive(Clone, Copy, Default)]
struct Times {
    code: u32,
    approved: u32,
}

impl<'a> LoginSink<'a> {
    pub fn new(login: &'a Login, journal: &'a Journal, words: &'a Words) -> Self {
        let (stage, began) = (Mutex::new(login.stage()), login.clock.monotonic());
        Self { login, journal, words, stage, began, times: Mutex::default() }
    }
}

impl LoginSink<'_> {
    fn since_began(&self) -> u32 {
        let since = self.login.clock.monotonic().saturating_sub(self.began);
        u32::try_from(since.as_millis()).unwrap_or(u32::MAX).max(1)
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first of a login, however often MAX is lost.
    fn time_approval(&self) {
        let (mut times, now) = (self.times(), self.since_began());
        if times.approved == 0 {
            times.approved = now;
            histogram!("max_auth_approval_seconds").record(seconds(now - times.code));
        }
    }

    pub fn time_finish(&self, outcome: &Outcome) {
        let approved = self.times().approved;
        if matches!(outcome, Outcome::SignedIn(_)) && approved > 0 {
            histogram!("max_auth_finish_seconds").record(seconds(self.since_began() - approved));
        }
    }

    /// Tells a stage, unless it is the one the visitor sees already.
    fn stage(&self, stage: Stage) {
        let mut seen = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen != stage {
            *seen = stage;
            self.journal.append(self.login, [self.status(stage)]);
        }
    }

    fn status(&self, stage: Stage) -> (Kind, Value) {
        (Kind::Status, json!({"stage": stage.name(), "message": stage.message(self.words)}))
    }

    fn is_at(&self, stage: Stage) -> bool {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) == stage
    }

    fn code(&self, link: &str, ttl: Duration, expires_unix_ms: i64, text_code: Option<&str>) {
        // What another process began goes on, and the visitor has it before them.
        if self.is_at(Stage::Waiting) && self.has_code(link) {
            return;
        }
        if self.is_at(Stage::Code) {
            let waited = self.login.clock.monotonic() - self.began;
            histogram!("max_auth_first_code_seconds").record(waited.as_secs_f64());
        }
        let mut times = self.times();
        if times.code == 0 {
            times.code = self.since_began();
        }
        drop(times);
        let mut data = json!({"qrLink": link, "expiresAt": expires_unix_ms, "ttl": super::millis(ttl)});
        if let Some(text_code) = text_code {
            data["textCode"] = text_code.into();
        }
        let qr = (Kind::Qr, data);
        let mut seen = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == Stage::Waiting {
            self.journal.append(self.login, [qr]);
        } else {
            // At once, so that nobody reads the one without the other.
            *seen = Stage::Waiting;
            self.journal.append(self.login, [qr, self.status(Stage::Waiting)]);
        }
        counter!("max_auth_codes_total").increment(1);
    }
}

impl LoginSink<'_> {
    fn has_code(&self, link: &str) -> bool {
        let last = self.login.log.last_of(Kind::Qr);
        let told: Option<Value> = last.and_then(|event| serde_json::from_str(event.undrawn()).ok());
        told.is_some_and(|told| told["qrLink"] == link)
    }

    fn confirm(&self, match_code: &str) {
        let (qr, confirm) = (self.login.log.last_of(Kind::Qr), self.login.log.last_of(Kind::Confirm));
        let is_told = confirm.zip(qr).is_some_and(|(confirm, qr)| confirm.position.offset > qr.position.offset);
        if !is_told {
            self.journal.append(self.login, [(Kind::Confirm, json!({"matchCode": match_code}))]);
        }
    }
}

impl EventSink for LoginSink<'_> {
    fn emit(&self, event: DriverEvent) {
        match event {
            // A lost upstream is ours to heal: the visitor sees only the new code.
            DriverEvent::Connected => {
                if self.is_at(Stage::Connecting) {
                    self.stage(Stage::Code);
                }
            }
            DriverEvent::Code { link, ttl, expires_unix_ms, text_code } => {
                self.code(&link, ttl, expires_unix_ms, text_code.as_deref());
            }
            DriverEvent::Confirm { match_code } => self.confirm(&match_code),
            DriverEvent::Approved => {
                self.time_approval();
                self.stage(Stage::Approved);
            }
            DriverEvent::Finishing => self.stage(Stage::Finishing),
            DriverEvent::Password { hint, wrong } => {
                self.journal.append(self.login, [(Kind::Password, json!({"hint": hint, "wrong": wrong}))]);
            }
        }
    }
}
