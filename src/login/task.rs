//! The one writer of a login's log: runs the driver, turns what it emits into events, ends it when its time has come.

use super::event::Kind;
use super::grant::Grants;
use super::table::{SignedIn, Table};
use super::text::{Stage, error_data};
use super::{Login, Settings, drawing};
use crate::base::clock::Clock;
use crate::base::id::{self, Fingerprint};
use crate::base::repeat::OncePerMinuteEach;
use crate::base::tasks::Tasks;
use crate::signin::{BrowserInfo, DriverEvent, Drivers, EventSink, Failure, Identity, Outcome};
use crate::texts::Words;
use metrics::{counter, histogram};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What every login's task works with.
pub struct TaskContext {
    pub table: Arc<Table>,
    pub settings: Settings,
    pub drivers: Drivers,
    pub grants: Arc<Grants>,
    pub clock: Clock,
    pub tasks: Tasks,
    /// One line a minute for each reason: when MAX changes its mind, it refuses everybody.
    pub refused: OncePerMinuteEach<(&'static str, Option<&'static str>)>,
}

/// Why a login is ended from our side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reason {
    Expired,
    VisitorLeft,
    Cancelled,
    ServerStops,
}

pub async fn run(context: Arc<TaskContext>, login: Arc<Login>, browser: BrowserInfo) {
    let mut open = Open { context: &context, login: &login, leave_unsealed: false, signed_in: false };
    let (outcome, reason) = sign_in(&context, &login, browser).await;
    open.signed_in = matches!(outcome, Outcome::SignedIn(_)) && reason != Some(Reason::Cancelled);
    open.leave_unsealed = !conclude(&context, &login, outcome, reason).await;
}

/// Runs the driver to its end, telling it to stop when there is a reason.
async fn sign_in(context: &TaskContext, login: &Login, browser: BrowserInfo) -> (Outcome, Option<Reason>) {
    let words = context.settings.texts.of(login.locale);
    let sink = LoginSink { login, words, stage: Mutex::new(Stage::Connecting), began: context.clock.monotonic() };
    let mut driver = context.drivers.pick().run(browser, &sink, &login.commands);
    let ended = end_reason(login, context.settings.ttl, &context.tasks);
    tokio::pin!(ended);
    let mut reason = None;
    loop {
        tokio::select! {
            outcome = &mut driver => return (outcome, reason),
            why = &mut ended, if reason.is_none() => {
                reason = Some(why);
                login.commands.stop();
            }
        }
    }
}

async fn end_reason(login: &Login, ttl: Duration, tasks: &Tasks) -> Reason {
    tokio::select! {
        () = tokio::time::sleep(ttl) => Reason::Expired,
        () = login.abandoned() => Reason::VisitorLeft,
        () = login.cancelled.notified() => Reason::Cancelled,
        () = tasks.stopping() => Reason::ServerStops,
    }
}

/// Writes the last event. False when the log stays open because the server stops: the visitor's page begins a new
/// login at the next server by itself.
async fn conclude(context: &TaskContext, login: &Login, outcome: Outcome, reason: Option<Reason>) -> bool {
    let result = match (outcome, reason) {
        (_, Some(Reason::ServerStops)) => {
            count("server-stopped");
            return false;
        }
        (_, Some(Reason::Cancelled)) => Err((Failure::Cancelled, None)),
        (Outcome::SignedIn(identity), _) => Ok(identity),
        (Outcome::Failed { failure, retry_after, hint }, _) => {
            if let Some(hint) = hint
                && let Some(times) = context.refused.due((hint.advice, hint.known_code))
            {
                tracing::warn!(
                    login = login.id.short(),
                    max_code = hint.code,
                    times,
                    "MAX refused a sign-in: {}",
                    hint.advice
                );
            }
            Err((failure, retry_after))
        }
        (Outcome::Stopped, Some(Reason::Expired)) => Err((Failure::Expired, None)),
        (Outcome::Stopped, Some(Reason::VisitorLeft)) => Err((Failure::VisitorLeft, None)),
        (Outcome::Stopped, None) => Err((Failure::Internal, None)),
    };
    match result {
        Ok(identity) => succeed(context, login, identity).await,
        Err((failure, retry_after)) => fail(context, login, failure, retry_after),
    }
    true
}

async fn succeed(context: &TaskContext, login: &Login, identity: Identity) {
    let token = match context.grants.issue(identity, login.purpose.clone(), &login.flow).await {
        Ok(token) => token,
        Err(error) => {
            tracing::error!(login = login.id.short(), "a sign-in could not be kept: {error}");
            return fail(context, login, Failure::Internal, None);
        }
    };
    // A path of its own, for caches that leave the query out of their key: nobody is served the answer to another one's.
    let unique = id::encode(&Fingerprint::of(token.as_bytes()).bytes()[..9]);
    let redirect = format!("{}/{unique}?token={token}", context.settings.callback);
    login.log.append(Kind::Success, &json!({"token": token, "redirect": redirect}));
    count("success");
    tracing::info!(login = login.id.short(), "signed in");
}

fn fail(context: &TaskContext, login: &Login, failure: Failure, retry_after: Option<Duration>) {
    let words = context.settings.texts.of(login.locale);
    login.log.append(Kind::Error, &error_data(failure, words, retry_after.map(super::millis)));
    count(failure.code());
    tracing::info!(login = login.id.short(), outcome = failure.code(), "login ended");
}

fn count(outcome: &'static str) {
    counter!("max_auth_logins_ended_total", "outcome" => outcome).increment(1);
}

/// Gives the place back and leaves no log open, whatever happens in the task, a panic included.
struct Open<'a> {
    context: &'a TaskContext,
    login: &'a Login,
    leave_unsealed: bool,
    signed_in: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.leave_unsealed && !self.login.log.is_sealed() {
            fail(self.context, self.login, Failure::Internal, None);
        }
        self.context.table.ended(self.login, self.login.log.is_sealed().then_some(SignedIn(self.signed_in)));
    }
}

/// Turns what a driver emits into events.
struct LoginSink<'a> {
    login: &'a Login,
    words: &'a Words,
    stage: Mutex<Stage>,
    began: Duration,
}

impl LoginSink<'_> {
    /// Tells a stage, unless it is the one the visitor sees already.
    fn stage(&self, stage: Stage) {
        let mut seen = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen != stage {
            *seen = stage;
            let data = json!({"stage": stage.name(), "message": stage.message(self.words)});
            self.login.log.append(Kind::Status, &data);
        }
    }

    fn is_at(&self, stage: Stage) -> bool {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) == stage
    }

    fn code(&self, link: &str, ttl: Duration, expires_unix_ms: i64) {
        if self.is_at(Stage::Code) {
            let waited = self.login.clock.monotonic() - self.began;
            histogram!("max_auth_first_code_seconds").record(waited.as_secs_f64());
        }
        let svg = drawing::svg(link).unwrap_or_default();
        let data = json!({"qrLink": link, "svg": svg, "expiresAt": expires_unix_ms, "ttl": super::millis(ttl)});
        self.login.log.append(Kind::Qr, &data);
        counter!("max_auth_codes_total").increment(1);
        self.stage(Stage::Waiting);
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
            DriverEvent::Code { link, ttl, expires_unix_ms } => self.code(&link, ttl, expires_unix_ms),
            DriverEvent::Approved => self.stage(Stage::Approved),
            DriverEvent::Finishing => self.stage(Stage::Finishing),
            DriverEvent::Password { hint, wrong } => {
                self.login.password_asked.store(true, Ordering::SeqCst);
                self.login.log.append(Kind::Password, &json!({"hint": hint, "wrong": wrong}));
            }
        }
    }
}
