//! The one writer of a login's log: runs the driver, turns what it emits into events, ends it when its time has come.

use super::event::Kind;
use super::failures::Failures;
use super::grant::Grants;
use super::journal::{Journal, Lost};
use super::sharing::{RETRY, Sharing};
use super::sink::LoginSink;
use super::table::{Place, SignedIn, Table};
use super::text::error_data;
use super::{Login, Settings};
use crate::base::audit::AUDIT;
use crate::base::clock::Clock;
use crate::base::id::{self, Fingerprint};
use crate::base::repeat::OncePerMinuteEach;
use crate::base::tasks::Tasks;
use crate::base::traces::TRACES;
use crate::signin::{BrowserInfo, Drivers, Failure, Identity, Outcome};
use metrics::counter;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

/// What every login's task works with.
pub struct TaskContext {
    pub table: Arc<Table>,
    pub settings: Settings,
    pub drivers: Drivers,
    pub grants: Arc<Grants>,
    /// Where the store outlives this process.
    pub sharing: Option<Arc<Sharing>>,
    pub clock: Clock,
    pub tasks: Tasks,
    pub failures: Failures,
    /// One line a minute for each reason: when MAX changes its mind, it refuses everybody.
    pub refused: OncePerMinuteEach<(&'static str, Option<&'static str>)>,
}

/// Tries to keep a grant before a sign-in is called failed, [`RETRY`] apart: five seconds.
const GRANT_TRIES: u32 = 20;

/// Between two questions whether visitors of another node still read a login.
const ELSEWHERE: Duration = Duration::from_secs(5);

/// Why a login is ended from our side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reason {
    Expired,
    VisitorLeft,
    Cancelled,
    ServerStops,
    /// It goes on elsewhere, or nowhere.
    Lost(Lost),
}

/// How a login's log was left.
enum Left {
    Sealed(SignedIn),
    /// For whoever goes on with it.
    Open,
    Lost(Lost),
}

/// Writes a login that is this process's own, to its end.
pub fn spawn(context: &Arc<TaskContext>, place: Place, login: Arc<Login>, browser: BrowserInfo, journal: Journal) {
    let span = tracing::info_span!(target: TRACES, "login", login = %login.id.short(), outcome = Empty);
    let run = run(Arc::clone(context), place, login, browser, Arc::new(journal));
    match span.is_disabled() {
        true => context.tasks.spawn("login", run),
        false => context.tasks.spawn("login", run.instrument(span)),
    }
}

async fn run(context: Arc<TaskContext>, place: Place, login: Arc<Login>, browser: BrowserInfo, journal: Arc<Journal>) {
    let mut open = Open { context: &context, login: &login, journal: &journal, concluded: false };
    let (outcome, reason) = sign_in(&context, &login, browser, &journal).await;
    // Boxed, so that a waiting login does not keep room for its end.
    let left = Box::pin(conclude(&context, &login, &journal, outcome, reason)).await;
    open.concluded = true;
    login.owned.store(false, Ordering::SeqCst);
    match left {
        Left::Sealed(signed_in) => context.table.ended(&login, Some(signed_in)),
        // Whoever reads it here hears of its next owner.
        Left::Lost(Lost::Fenced) => {}
        Left::Lost(Lost::Claim) => login.claim_left.store(true, Ordering::SeqCst),
        Left::Open if journal.is_shared() => {}
        Left::Lost(Lost::Gone) => {
            counter!("max_auth_logins_lost_total").increment(1);
            login.log.lose();
            context.table.forget(login.id);
        }
        Left::Open => context.table.ended(&login, None),
    }
    drop(place);
}

/// Runs the driver to its end, telling it to stop when there is a reason.
async fn sign_in(
    context: &TaskContext,
    login: &Login,
    browser: BrowserInfo,
    journal: &Journal,
) -> (Outcome, Option<Reason>) {
    let words = context.settings.texts.of(login.locale);
    let sink = LoginSink::new(login, journal, words);
    let mut driver = login.driver.run(login.asked(browser), &sink, &login.commands);
    let ended = end_reason(context, login, journal);
    tokio::pin!(ended);
    let mut reason = None;
    loop {
        tokio::select! {
            outcome = &mut driver => {
                sink.time_finish(&outcome);
                return (outcome, reason);
            }
            why = &mut ended, if reason.is_none() => {
                reason = Some(why);
                login.commands.stop();
            }
        }
    }
}

/// Why the login ends from our side. What only a shared log needs is a box of its own: a waiting login keeps room for what it
/// waits for, and no more.
async fn end_reason(context: &TaskContext, login: &Login, journal: &Journal) -> Reason {
    let ttl = i64::try_from(context.settings.ttl.as_millis()).unwrap_or(i64::MAX);
    // Of the whole login, whoever wrote it before.
    let left = login.began.saturating_add(ttl).saturating_sub(context.clock.unix_ms());
    let expires = Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or_default());
    tokio::select! {
        () = context.tasks.stopping() => Reason::ServerStops,
        lost = journal.lost(login) => Reason::Lost(lost),
        reason = over(login, journal, expires) => reason,
    }
}

/// One timer for all that ends a login with time: its age, and that nobody reads it, here or elsewhere.
async fn over(login: &Login, journal: &Journal, expires: Instant) -> Reason {
    let mut elsewhere = Duration::ZERO;
    loop {
        let changed = login.changed.notified();
        if let Some(lost) = login.displaced_by() {
            return Reason::Lost(lost);
        }
        if login.is_cancelled() {
            return Reason::Cancelled;
        }
        let abandoned = login.patience().map(|patience| Instant::now() + patience + elsewhere);
        elsewhere = Duration::ZERO;
        tokio::select! {
            () = sleep_until(abandoned.map_or(expires, |at| at.min(expires))) => {}
            () = changed => continue,
        }
        if expires <= Instant::now() {
            return Reason::Expired;
        }
        if login.patience().is_none() {
            continue;
        }
        let read_elsewhere = tokio::select! {
            read = journal.read_elsewhere(login) => read,
            () = login.changed.notified() => continue,
        };
        if !read_elsewhere {
            return Reason::VisitorLeft;
        }
        elsewhere = ELSEWHERE;
    }
}

/// Writes the last event, unless the log stays open for another process.
async fn conclude(
    context: &TaskContext,
    login: &Login,
    journal: &Journal,
    outcome: Outcome,
    reason: Option<Reason>,
) -> Left {
    let mut max_code = None;
    let result = match (outcome, reason) {
        (_, Some(Reason::Lost(lost))) => return Left::Lost(lost),
        // What a visitor has approved is kept where it outlives us.
        (Outcome::SignedIn(identity), Some(Reason::ServerStops)) if journal.is_shared() => Ok(identity),
        (_, Some(Reason::ServerStops)) => {
            count("server-stopped");
            tracing::info!(target: AUDIT, event = "login.ended", login = login.id.short(), outcome = "server-stopped");
            journal.release(login).await;
            return Left::Open;
        }
        (_, Some(Reason::Cancelled)) => Err((Failure::Cancelled, None)),
        (Outcome::SignedIn(identity), _) => Ok(identity),
        (Outcome::Failed { failure, retry_after, hint }, _) => {
            max_code = hint.as_ref().map(|hint| hint.code.clone());
            if let Some(hint) = &hint {
                let code = hint.known_code.unwrap_or("other");
                counter!("max_auth_upstream_refusals_total", "code" => code).increment(1);
            }
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
    let (signed_in, written) = match result {
        Ok(identity) => succeed(context, login, journal, identity).await,
        Err((failure, retry_after)) => {
            let written = fail(context, login, journal, failure, (retry_after, max_code.as_deref())).await;
            (false, written)
        }
    };
    match written {
        Ok(()) => Left::Sealed(SignedIn(signed_in)),
        Err(lost) => Left::Lost(lost),
    }
}

/// True with what became of the last event, if that was a success.
async fn succeed(
    context: &TaskContext,
    login: &Login,
    journal: &Journal,
    identity: Identity,
) -> (bool, Result<(), Lost>) {
    let (mut tries, person) = (0, identity.id);
    let token = loop {
        match context.grants.issue(identity.clone(), login.purpose.clone(), &login.flow).await {
            Ok(token) => break token,
            Err(error) if tries == GRANT_TRIES => {
                tracing::error!(login = login.id.short(), "a sign-in could not be kept: {error}");
                return (false, fail(context, login, journal, Failure::Internal, (None, None)).await);
            }
            Err(_) => tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                // Whoever goes on with it, perhaps we, asks for a fresh code; that is less than to begin anew.
                () = journal.claim_lost() => return (false, Err(Lost::Claim)),
            },
        }
        tries += 1;
    };
    // A path of its own, for caches that leave the query out of their key: nobody is served the answer to another one's.
    let unique = id::encode(&Fingerprint::of(token.as_bytes()).bytes()[..9]);
    let redirect = format!("{}/{unique}?token={token}", context.settings.callback);
    let written = journal.finish(login, Kind::Success, json!({"token": token, "redirect": redirect})).await;
    if written.is_err() {
        // Another process goes on with a fresh code: nobody is told of this grant.
        let _ = context.grants.take_back(&token, &login.flow).await;
        return (false, written);
    }
    count("success");
    tracing::info!(login = login.id.short(), "signed in");
    tracing::info!(target: AUDIT, event = "login.ended", login = login.id.short(), outcome = "success", %person);
    (true, written)
}

async fn fail(
    context: &TaskContext,
    login: &Login,
    journal: &Journal,
    failure: Failure,
    (retry_after, max_code): (Option<Duration>, Option<&str>),
) -> Result<(), Lost> {
    let words = context.settings.texts.of(login.locale);
    journal.finish(login, Kind::Error, error_data(failure, words, retry_after.map(super::millis))).await?;
    count(failure.code());
    context.failures.note(context.clock.unix_ms(), login.id, failure, max_code, login.network);
    tracing::info!(login = login.id.short(), outcome = failure.code(), "login ended");
    tracing::info!(target: AUDIT, event = "login.ended", login = login.id.short(), outcome = failure.code());
    Ok(())
}

fn count(outcome: &'static str) {
    counter!("max_auth_logins_ended_total", "outcome" => outcome).increment(1);
    Span::current().record("outcome", outcome);
}

/// Leaves no log open when the task crashes.
struct Open<'a> {
    context: &'a Arc<TaskContext>,
    login: &'a Arc<Login>,
    journal: &'a Arc<Journal>,
    concluded: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.concluded {
            return;
        }
        let (context, login, journal) = (Arc::clone(self.context), Arc::clone(self.login), Arc::clone(self.journal));
        self.context.tasks.spawn("login", async move {
            let sealed = fail(&context, &login, &journal, Failure::Internal, (None, None)).await.is_ok();
            login.owned.store(false, Ordering::SeqCst);
            context.table.ended(&login, sealed.then_some(SignedIn(false)));
        });
    }
}
