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
use crate::max::session::{End, ProtocolSession};
use crate::signin::{
    BrowserInfo, Command, CommandSlot, Driver, DriverEvent, EventSink, Failure, Identity, Outcome, Run,
};
use crate::upstream::{Dial, Endpoints, Network, Rest, Roots, Spares};
use connector::{Connector, Trouble};
use metrics::counter;
pub use open_logins::OpenLogins;
use runner::SessionRunner;
use serde_json::{Value, json};
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
        "account_qr"
    }

    fn assurance(&self) -> &'static str {
        "account QR. It speaks the unofficial protocol of web.max.ru and holds a full token of each account for about a \
         second; MAX shows the visitor \"new web login\". See README, \"What this is\"."
    }

    fn run<'a>(&'a self, browser: BrowserInfo, sink: &'a dyn EventSink, commands: &'a CommandSlot) -> Run<'a> {
        Box::pin(sign_in(&self.0, browser, sink, commands))
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
async fn sign_in(
    connector: &Arc<Connector>,
    browser: BrowserInfo,
    sink: &dyn EventSink,
    commands: &CommandSlot,
) -> Outcome {
    let hello = Arc::new(connector.hello(browser));
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut out_of_reach_since = connector.clock.monotonic();
    let mut spare = connector.spare();
    loop {
        let is_spare = spare.is_some();
        let connected = match spare.take() {
            Some(spare) => Some(spare),
            None => tokio::select! {
                // Boxed, so that a waiting login does not keep room for a handshake.
                connected = Box::pin(connector.connect(&hello)) => connected,
                () = stopped(commands) => return Outcome::Stopped,
            },
        };
        if let Some((index, socket)) = connected {
            let mut session = ProtocolSession::begin(connector.settings, Hello::clone(&hello), connector.now());
            if is_spare {
                session.hurry_greeting(FIRST_ANSWER, connector.now());
            }
            let dialect = connector.dialect(index);
            let mut runner = SessionRunner::new(Arc::clone(connector), session, socket, Arc::clone(&hello), dialect);
            let watching = FirstCodeSink { sink, connector, first_code: OnceLock::new() };
            let end = runner.run(&watching, Some(commands)).await;
            if is_spare && !runner.is_greeted() && matches!(end, Some(End::Lost { .. })) {
                // It had died while it waited, which says nothing of MAX.
                connector.distrust_spares(out_of_reach_since);
                continue;
            }
            // What is left of it, the answer to LOGOUT above all, is heard by a task of its own.
            drop(runner);
            let code_lived = watching.first_code.get().map(|shown| connector.clock.monotonic().saturating_sub(*shown));
            match end {
                Some(End::SignedIn { profile, .. }) => {
                    connector.endpoints.works(index, connector.clock.monotonic());
                    return Outcome::SignedIn(identity(profile));
                }
                Some(End::Refused { refusal, .. }) => return refusals::outcome(&refusal),
                Some(End::Stopped { .. }) => return Outcome::Stopped,
                Some(End::Lost { why }) => {
                    let host = connector.endpoints.get(index).url.host_str().unwrap_or_default();
                    counter!("max_auth_upstream_lost_total").increment(1);
                    match code_lived {
                        Some(lived) if lived >= CODE_OF_USE => {
                            tracing::info!(
                                endpoint = host,
                                "the connection to MAX was lost ({why}); a fresh code follows"
                            );
                            connector.endpoints.works(index, connector.clock.monotonic());
                            backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
                            out_of_reach_since = connector.clock.monotonic();
                        }
                        Some(_) => {
                            if let Some(times) = connector.told.due((index, Trouble::ShortLivedCode)) {
                                tracing::warn!(
                                    endpoint = host,
                                    times,
                                    "MAX ended the connection right behind its code ({why}); another address is preferred \
                                 for a while"
                                );
                            }
                            connector.endpoints.failed(index, connector.clock.monotonic());
                        }
                        None => {
                            if let Some(times) = connector.told.due((index, Trouble::NoCode)) {
                                tracing::warn!(
                                    endpoint = host,
                                    times,
                                    "MAX ended the connection before it gave a code ({why}): wrong dialect for this \
                                 address, or it is no longer served"
                                );
                            }
                            connector.endpoints.failed(index, connector.clock.monotonic());
                        }
                    }
                }
                None => {}
            }
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
    }
}

/// Remembers when this connection got as far as a code.
struct FirstCodeSink<'a> {
    sink: &'a dyn EventSink,
    connector: &'a Connector,
    first_code: OnceLock<Duration>,
}

impl EventSink for FirstCodeSink<'_> {
    fn emit(&self, event: DriverEvent) {
        if matches!(event, DriverEvent::Code { .. }) {
            self.first_code.get_or_init(|| self.connector.clock.monotonic());
        }
        self.sink.emit(event);
    }
}
