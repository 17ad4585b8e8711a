//! What a login needs from whoever asks MAX: a *driver*. The account QR is the first; the official bot will be another.
//!
//! A driver runs inside the login's task, emits what happens into an [`EventSink`] and hears the visitor through a
//! [`CommandSlot`].

use super::command::CommandSlot;
use super::failure::Failure;
use super::identity::{BrowserInfo, Identity};
use serde_json::{Map, Value};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A way to learn from MAX who somebody is.
pub trait Driver: Send + Sync {
    /// As in `login.drivers`: `account_qr`.
    fn name(&self) -> &'static str;

    /// For the log of a start: what it is, and what it is trusted with.
    fn assurance(&self) -> &'static str;

    /// Runs one sign-in to its end. The MAX session is ended on every way out, also when the future is dropped; that it is may
    /// be confirmed after the outcome, by a task that a stop of the server waits for.
    fn run<'a>(&'a self, browser: BrowserInfo, sink: &'a dyn EventSink, commands: &'a CommandSlot) -> Run<'a>;

    /// What the same driver at other nodes should know now, at most some hundred bytes of it; null for nothing.
    fn note(&self) -> Value {
        Value::Null
    }

    /// The notes of the other nodes, all of them, every few seconds.
    fn heed(&self, _others: Vec<Value>) {}
}

/// A sign-in on its way.
pub type Run<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Where a driver's events go.
pub trait EventSink: Send + Sync {
    /// Returns at once.
    fn emit(&self, event: DriverEvent);
}

/// What happens while a driver runs.
pub enum DriverEvent {
    /// MAX has answered; the code comes next.
    Connected,
    /// A code to show; a later one replaces it.
    Code { link: String, ttl: Duration, expires_unix_ms: i64 },
    /// The phone approved.
    Approved,
    /// The account has a cloud password and the visitor may give it.
    Password { hint: Option<String>, wrong: bool },
    /// It is known who it is; the MAX session is being ended.
    Finishing,
}

/// How a sign-in ended.
pub enum Outcome {
    SignedIn(Identity),
    Failed {
        failure: Failure,
        /// When trying again makes sense, if not at once.
        retry_after: Option<Duration>,
        /// For the operator's log, where MAX said no.
        hint: Option<OperatorHint>,
    },
    /// The command slot said stop.
    Stopped,
}

/// What the operator can do about a failure.
#[derive(Clone, Debug)]
pub struct OperatorHint {
    /// MAX's own code, or one of ours that begins with `max-auth.`. ASCII, at most 64 bytes.
    pub code: String,
    /// The code, if it is one that we know: few, whatever MAX sends.
    pub known_code: Option<&'static str>,
    /// One line.
    pub advice: &'static str,
}

/// The drivers of this server, the preferred first.
pub struct Drivers {
    preferred: Arc<dyn Driver>,
}

impl Drivers {
    /// With one driver.
    pub fn only(driver: Arc<dyn Driver>) -> Self {
        Self { preferred: driver }
    }

    /// Who asks MAX for the next login.
    pub fn pick(&self) -> &Arc<dyn Driver> {
        &self.preferred
    }

    fn all(&self) -> impl Iterator<Item = &Arc<dyn Driver>> {
        std::iter::once(&self.preferred)
    }

    /// What the drivers here have to tell other nodes: an object with a [`Driver::note`] by the driver's name.
    pub fn notes(&self) -> Map<String, Value> {
        let notes = self.all().map(|driver| (driver.name().to_owned(), driver.note()));
        notes.filter(|(_, note)| !note.is_null()).collect()
    }

    /// What those of other nodes have told.
    pub fn heed(&self, mut others: Vec<Map<String, Value>>) {
        for driver in self.all() {
            driver.heed(others.iter_mut().filter_map(|notes| notes.remove(driver.name())).collect());
        }
    }
}
