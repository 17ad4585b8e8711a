//! The account QR: MAX's own web sign-in, driven by us. It works for everybody who has MAX and asks nothing of them,
//! but it is an unofficial protocol and gives this process a full token of the account for about a second.

mod connector;
mod open_logins;
mod refusals;
mod runner;
#[cfg(test)]
mod tests;

use crate::base::backoff::Backoff;
use crate::base::clock::Clock;
use crate::base::limits::ENDINGS;
use crate::base::repeat::OncePerMinuteEach;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::config;
use crate::max::message::Hello;
use crate::max::profile::Profile;
use crate::max::session::End;
use crate::signin::{
    Asked, Command, CommandSlot, Driver, DriverEvent, DriverName, EventSink, Failure, Identity, Outcome, Run,
};
use crate::upstream::{Dial, Endpoints, Network, Rest, Roots, Spares};
use connector::{Connector, Trouble};
use metrics::counter;
pub use open_logins::OpenLogins;
use runner::SessionRunner;
use serde_json::{Value, json};
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Between attempts to reach MAX.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a visitor who found MAX out of reach should wait before trying again.
const UNREACHABLE_PAUSE: Duration = Duration::from_secs(30);

/// A connection that is lost sooner after its code came has done nobody any good: it counts as a failure, and the pauses
/// go on growing. A visitor needs about so long to take the phone and scan.
const CODE_OF_USE: Duration = Duration::from_secs(10);

/// How long MAX may take to answer the first word on a connection that was made ahead: if it does not stand any more, the
/// visitor should not wait as long as for a MAX that is slow.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

pub struct AccountQr(Arc<Connector>);

impl AccountQr {
    /// `open_logins` is told of each login that may be open at MAX.
    pub fn new(
        upstream: &config::Upstream,
        login: &config::Login,
        roots: Roots,
        clock: Clock,
        rng: Rng,
        tasks: Tasks,
        open_logins: OpenLogins,
    ) -> Self {
        let network = Arc::new(Network::new(roots, rng.clone()));
        Self::over(network, upstream, login, (clock, rng, tasks), open_logins)
    }

    /// For a server, where one visitor follows another: connections are made ahead.
    pub fn with_spares(mut self) -> Self {
        if let Some(connector) = Arc::get_mut(&mut self.0) {
            connector.spares = Some(Spares::default());
        }
        self
    }

    fn over(
        dial: Arc<dyn Dial>,
        upstream: &config::Upstream,
        login: &config::Login,
        (clock, rng, tasks): (Clock, Rng, Tasks),
        open_logins: OpenLogins,
    ) -> Self {
        Self(Arc::new(Connector {
            endpoints: Endpoints::new(upstream.endpoints.clone()),
            spares: None,
            dial,
            settings: Connector::settings(upstream, login),
            app_version: upstream.app_version.clone(),
            give_up_after: upstream.give_up_after,
            clock,
            rng,
            tasks,
            open_logins,
            endings: Arc::new(Semaphore::new(ENDINGS)),
            told: OncePerMinuteEach::default(),
            unreadable: OncePerMinuteEach::default(),
        }))
    }
}

impl Driver for AccountQr {
    fn name(&self) -> &'static str {
        DriverName::AccountQr.name()
    }

    fn assurance(&self) -> &'static str {
        "account QR. It speaks the unofficial protocol of web.max.ru and holds a full token of each account for about a \
         second; MAX shows the visitor \"new web login\". See README, \"What this is\"."
    }

    fn run<'a>(&'a self, asked: Asked, sink: &'a dyn EventSink, commands: &'a CommandSlot) -> Run<'a> {
        Box::pin(sign_in(&self.0, Arc::new(self.0.hello(asked.browser)), sink, commands))
    }

    /// The addresses of MAX that are broken: the next visitor of another node need not find out again.
    fn note(&self) -> Value {
        let resting = self.0.endpoints.resting(self.0.clock.monotonic());
        if resting.is_empty() { Value::Null } else { json!(resting) }
    }

    fn heed(&self, others: Vec<Value>) {
        let rests = others.into_iter().filter_map(|note| serde_json::from_value::<Vec<Rest>>(note).ok());
        self.0.endpoints.heed(&rests.flatten().collect::<Vec<_>>(), self.0.clock.monotonic());
    }
}

/// Connection after connection until MAX has decided, the commands says stop, or MAX has been out of reach for too long.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice, for the minutes that a login waits")]
fn sign_in<'a>(
    connector: &'a Arc<Connector>,
    hello: Arc<Hello>,
    sink: &'a dyn EventSink,
    commands: &'a CommandSlot,
) -> impl Future<Output = Outcome> + Send + 'a {
    async move {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut out_of_reach_since = connector.clock.monotonic();
        let mut spare = begin_on_spare(connector, &hello);
        loop {
            let is_spare = spare.is_some();
            let begun = match spare.take() {
                Some(begun) => Some(begun),
                None => tokio::select! {
                    // Boxed, so that a waiting login does not keep room for a handshake.
                    begun = Box::pin(begin(connector, &hello)) => begun,
                    () = stopped(commands) => return Outcome::Stopped,
                },
            };
            if let Some(mut runner) = begun {
                let watching = FirstCodeSink { sink, connector, index: runner.index(), first_code: OnceLock::new() };
                let end = runner.run(&watching, Some(commands)).await;
                let spare_taken = is_spare.then_some(out_of_reach_since);
                match judge(connector, end, &runner, spare_taken, watching.first_code.get().copied()) {
                    Next::Over(outcome) => return outcome,
                    Next::AtOnce => continue,
                    Next::Afresh => {
                        backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
                        out_of_reach_since = connector.clock.monotonic();
                    }
                    Next::Again => {}
                }
                // What is left of it, the answer to LOGOUT above all, is heard by a task of its own.
            }
            let now = connector.clock.monotonic();
            let pause = connector.endpoints.brake(now + backoff.wait(&connector.rng), now);
            if now.saturating_sub(out_of_reach_since) + pause >= connector.give_up_after {
                let (failure, retry_after) = (Failure::UpstreamUnreachable, Some(UNREACHABLE_PAUSE));
                return Outcome::Failed { failure, retry_after, hint: None };
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopped(commands) => return Outcome::Stopped,
            }
        }
    }
}

async fn begin(connector: &Arc<Connector>, hello: &Arc<Hello>) -> Option<Box<SessionRunner>> {
    Some(SessionRunner::begin(connector, hello, connector.connect(hello).await?))
}

fn begin_on_spare(connector: &Arc<Connector>, hello: &Arc<Hello>) -> Option<Box<SessionRunner>> {
    let mut runner = SessionRunner::begin(connector, hello, connector.spare()?);
    runner.hurry(FIRST_ANSWER);
    Some(runner)
}

/// What follows the end of a connection.
enum Next {
    Over(Outcome),
    /// Another connection.
    Again,
    /// Another one, and what went wrong before is forgotten.
    Afresh,
    /// Another one, without a pause.
    AtOnce,
}

fn judge(
    connector: &Connector,
    end: Option<Box<End>>,
    runner: &SessionRunner,
    spare_taken: Option<Duration>,
    first_code: Option<Duration>,
) -> Next {
    let (index, now) = (runner.index(), connector.clock.monotonic());
    let why = match end.map(|end| *end) {
        Some(End::SignedIn { profile, .. }) => {
            connector.endpoints.works(index, now);
            return Next::Over(Outcome::SignedIn(identity(profile)));
        }
        Some(End::Refused { refusal, .. }) => return Next::Over(refusals::outcome(&refusal)),
        Some(End::Stopped { .. }) => return Next::Over(Outcome::Stopped),
        Some(End::Lost { why }) => why,
        None => return Next::Again,
    };
    if let Some(taken) = spare_taken.filter(|_| !runner.is_greeted()) {
        // It had died while it waited, which says nothing of MAX.
        connector.distrust_spares(taken);
        return Next::AtOnce;
    }
    let endpoint = connector.endpoints.get(index).url.host_str().unwrap_or_default();
    counter!("max_auth_upstream_lost_total").increment(1);
    match first_code {
        Some(shown) if now.saturating_sub(shown) >= CODE_OF_USE => {
            tracing::info!(endpoint, "the connection to MAX was lost ({why}); a fresh code follows");
            connector.endpoints.works(index, now);
            return Next::Afresh;
        }
        Some(_) => {
            if let Some(times) = connector.told.due((index, Trouble::ShortLivedCode)) {
                tracing::warn!(
                    endpoint,
                    times,
                    "MAX ended the connection right behind its code ({why}); another address is preferred for a while"
                );
            }
        }
        None => {
            if let Some(times) = connector.told.due((index, Trouble::NoCode)) {
                tracing::warn!(
                    endpoint,
                    times,
                    "MAX ended the connection before it gave a code ({why}): wrong dialect for this address, or it is no \
                     longer served"
                );
            }
        }
    }
    connector.endpoints.failed(index, now);
    Next::Again
}

/// Reads the commands while there is no connection: nothing but `Stop` can be acted on.
async fn stopped(commands: &CommandSlot) {
    while !matches!(commands.next().await, Command::Stop) {}
}

fn identity(profile: Profile) -> Identity {
    Identity {
        id: profile.id,
        name: profile.name.clone(),
        first_name: profile.first_name.clone(),
        last_name: profile.last_name.clone(),
        phone: profile.phone.clone(),
        photo_url: profile.photo_url.clone(),
        driver: DriverName::AccountQr,
        apart: None,
    }
}

/// Remembers when this connection got as far as a code.
struct FirstCodeSink<'a> {
    sink: &'a dyn EventSink,
    connector: &'a Connector,
    index: usize,
    first_code: OnceLock<Duration>,
}

impl EventSink for FirstCodeSink<'_> {
    fn emit(&self, event: DriverEvent) {
        if matches!(event, DriverEvent::Code { .. }) {
            self.connector.endpoints.gave_code(self.index);
            self.first_code.get_or_init(|| self.connector.clock.monotonic());
        }
        self.sink.emit(event);
    }
}
