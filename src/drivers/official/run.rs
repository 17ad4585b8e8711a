//! One sign-in by an official driver: shows a code, and hears by the store what the phone said to any node.

use super::Official;
use super::health::Part;
use super::question::{Question, Questions, Verdict};
use crate::base::backoff::Backoff;
use crate::base::driver_name::DriverName;
use crate::signin::{Asked, BrowserInfo, Command, CommandSlot, Driver, DriverEvent, EventSink, Failure, Outcome, Run};
use crate::store::Unavailable;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// A code that another process showed is gone on with, if the visitor has so long left for it.
const WORTH_KEEPING: Duration = Duration::from_secs(20);

/// Between two looks where nobody says that there is something new: a wake-up may be lost.
const LOOK: Duration = Duration::from_secs(15);

/// While the store is out of reach.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a visitor who found it down should wait.
const DOWN_PAUSE: Duration = Duration::from_secs(30);

/// Asks in a dialogue with the bot.
pub struct Bot(pub Arc<Official>);

/// Asks on a page inside MAX.
pub struct MiniApp(pub Arc<Official>);

impl Driver for Bot {
    fn name(&self) -> &'static str {
        DriverName::Bot.name()
    }

    fn assurance(&self) -> &'static str {
        "bot. Official: MAX tells the bot who talks to it; no token of anybody's account is held."
    }

    fn is_up(&self) -> bool {
        self.0.health.is_up(Part::Bot)
    }

    fn run<'a>(&'a self, asked: Asked, sink: &'a dyn EventSink, commands: &'a CommandSlot) -> Run<'a> {
        Box::pin(sign_in(&self.0, DriverName::Bot, asked, sink, commands))
    }
}

impl Driver for MiniApp {
    fn name(&self) -> &'static str {
        DriverName::MiniApp.name()
    }

    fn assurance(&self) -> &'static str {
        "mini-app. Official: MAX signs who opened the page inside it; no token of anybody's account is held."
    }

    fn is_up(&self) -> bool {
        self.0.health.is_up(Part::MiniApp)
    }

    fn run<'a>(&'a self, asked: Asked, sink: &'a dyn EventSink, commands: &'a CommandSlot) -> Run<'a> {
        Box::pin(sign_in(&self.0, DriverName::MiniApp, asked, sink, commands))
    }
}

fn failed(failure: Failure, retry_after: Option<Duration>) -> Outcome {
    Outcome::Failed { failure, retry_after, hint: None }
}

async fn sign_in(
    official: &Arc<Official>,
    driver: DriverName,
    asked: Asked,
    sink: &dyn EventSink,
    commands: &CommandSlot,
) -> Outcome {
    let part = if driver == DriverName::Bot { Part::Bot } else { Part::MiniApp };
    if !official.health.is_up(part) {
        return failed(Failure::DriverDown, Some(DOWN_PAUSE));
    }
    sink.emit(DriverEvent::Connected);
    let questions = &official.questions;
    let kept = match patiently(commands, official, || questions.current(asked.login)).await {
        Ok(kept) => kept.filter(|kept| kept.driver == driver),
        Err(outcome) => return outcome,
    };
    let mut goes_on = None;
    if let Some(kept) = kept {
        // An answer may have come while nobody wrote the login.
        match look(official, &kept, sink, commands).await {
            Look::Over(outcome) => return outcome,
            Look::Claimed(_) => goes_on = Some(kept),
            Look::Open if left(questions, &kept) >= WORTH_KEEPING => goes_on = Some(kept),
            Look::Open | Look::Late => {}
        }
        // What was opened meanwhile is told behind the code.
        commands.wake();
    }
    loop {
        let question = match goes_on.take() {
            Some(question) => question,
            None => {
                let browser = named(&asked.browser);
                let picks = driver == DriverName::Bot || official.settings.match_code;
                let fresh = || questions.ask(asked.login, driver, (browser.clone(), asked.address), picks);
                match patiently(commands, official, fresh).await {
                    Ok(question) => question,
                    Err(outcome) => return outcome,
                }
            }
        };
        sink.emit(DriverEvent::Code {
            link: official.link(&question),
            ttl: left(questions, &question),
            expires_unix_ms: question.over_at,
            text_code: (driver == DriverName::Bot).then(|| question.text_code.clone()),
        });
        if let Some(outcome) = wait(official, &question, sink, commands).await {
            return outcome;
        }
    }
}

fn left(questions: &Questions, question: &Question) -> Duration {
    Duration::from_millis(u64::try_from(question.over_at.saturating_sub(questions.unix_ms())).unwrap_or_default())
}

/// Until the code's time is over and nobody has opened it (`None`: another code), or something has come of it.
async fn wait(
    official: &Arc<Official>,
    question: &Question,
    sink: &dyn EventSink,
    commands: &CommandSlot,
) -> Option<Outcome> {
    let mut until = Instant::now() + left(&official.questions, question);
    let mut claimed = false;
    loop {
        let next = until.min(Instant::now() + LOOK);
        let is_woken = tokio::select! {
            command = commands.next() => match command {
                Command::Stop => return Some(Outcome::Stopped),
                Command::Wake => true,
                Command::Password(_) => continue,
            },
            () = sleep_until(next) => false,
        };
        let is_over = !is_woken && Instant::now() >= until;
        match look(official, question, sink, commands).await {
            Look::Over(outcome) => return Some(outcome),
            Look::Late => return Some(failed(Failure::CodeExpired, None)),
            Look::Claimed(left) if !claimed => {
                (claimed, until) = (true, Instant::now() + left);
                if let Some(match_code) = question.match_code() {
                    sink.emit(DriverEvent::Confirm { match_code: match_code.to_owned() });
                }
            }
            Look::Claimed(_) if is_over => until = Instant::now() + LOOK,
            Look::Open if is_over => return None,
            Look::Claimed(_) | Look::Open => {}
        }
    }
}

/// What became of a code.
enum Look {
    Open,
    /// Somebody answers, and has so long for it.
    Claimed(Duration),
    /// Somebody did not answer.
    Late,
    Over(Outcome),
}

async fn look(official: &Arc<Official>, question: &Question, sink: &dyn EventSink, commands: &CommandSlot) -> Look {
    let questions = &official.questions;
    let found = patiently(commands, official, || async {
        let (claim, verdict) = tokio::join!(questions.claim(&question.code), questions.verdict(&question.code));
        Ok((claim?, verdict?))
    });
    let (claim, verdict) = match found.await {
        Ok(found) => found,
        Err(outcome) => return Look::Over(outcome),
    };
    match (verdict, claim) {
        (Some(Verdict::SignedIn(identity)), _) => {
            sink.emit(DriverEvent::Approved);
            Look::Over(Outcome::SignedIn(*identity))
        }
        (Some(Verdict::Declined), _) => Look::Over(failed(Failure::Declined, None)),
        (Some(Verdict::Unsent), _) => Look::Over(failed(Failure::DriverDown, Some(DOWN_PAUSE))),
        (Some(Verdict::Locked { retry_after }), _) => {
            Look::Over(failed(Failure::Locked, Some(Duration::from_millis(retry_after))))
        }
        (None, Some(claim)) if questions.is_late(&claim) => Look::Late,
        (None, Some(claim)) => {
            let until = claim.at.saturating_add(i64::try_from(questions.ttl().as_millis()).unwrap_or(i64::MAX));
            let left = until.saturating_sub(questions.unix_ms()).saturating_add(1);
            Look::Claimed(Duration::from_millis(u64::try_from(left).unwrap_or_default()))
        }
        (None, None) => Look::Open,
    }
}

/// Asks the store again and again: where it stays away, other clocks end the login.
async fn patiently<T, F: Future<Output = Result<T, Unavailable>>>(
    commands: &CommandSlot,
    official: &Official,
    ask: impl Fn() -> F,
) -> Result<T, Outcome> {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        if let Ok(answer) = ask().await {
            return Ok(answer);
        }
        let pause = sleep(backoff.wait(&official.rng));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                command = commands.next() => if matches!(command, Command::Stop) {
                    return Err(Outcome::Stopped);
                },
            }
        }
    }
}

/// A browser, for people.
fn named(browser: &BrowserInfo) -> Option<String> {
    let parts: Vec<&str> =
        [&browser.device_name, &browser.os_version].into_iter().flatten().map(String::as_str).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
