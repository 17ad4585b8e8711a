//! What a login needs from whoever asks MAX: a *driver*: the account QR, the official bot, the mini-app.
//!
//! A driver runs inside the login's task, emits what happens into an [`EventSink`] and hears the visitor through a
//! [`CommandSlot`].

use super::command::CommandSlot;
use super::failure::Failure;
use super::identity::{BrowserInfo, Identity};
use crate::base::id::LoginId;
use crate::base::rng::Rng;
use serde_json::{Map, Value};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A way to learn from MAX who somebody is.
pub trait Driver: Send + Sync {
    /// As in `login.drivers`: `account_qr`.
    fn name(&self) -> &'static str;

    /// For the log of a start: what it is, and what it is trusted with.
    fn assurance(&self) -> &'static str;

    /// Whether it would serve a visitor who came now; where it would not, another one is asked.
    fn is_up(&self) -> bool {
        true
    }

    /// Runs one sign-in to its end. The MAX session is ended on every way out, also when the future is dropped; that it is may
    /// be confirmed after the outcome, by a task that a stop of the server waits for.
    fn run<'a>(&'a self, asked: Asked, sink: &'a dyn EventSink, commands: &'a CommandSlot) -> Run<'a>;

    /// What the same driver at other nodes should know now, at most some hundred bytes of it; null for nothing.
    fn note(&self) -> Value {
        Value::Null
    }

    /// The notes of the other nodes, all of them, every few seconds.
    fn heed(&self, _others: Vec<Value>) {}
}

/// For whom a driver asks.
pub struct Asked {
    /// Whose answer it will be.
    pub login: LoginId,
    /// Of the visitor.
    pub browser: BrowserInfo,
    /// Of the browser, where a driver compares it with the phone's.
    pub address: Option<IpAddr>,
}

impl Asked {
    /// For whoever only looks whether a driver works.
    pub fn by_nobody(rng: &Rng) -> Self {
        Self { login: LoginId::new(rng), browser: BrowserInfo::default(), address: None }
    }
}

/// Tells a login that there is something new for its driver, at whichever node that runs.
pub trait Waker: Send + Sync + 'static {
    /// Returns once it is known whether that login will hear.
    fn wake(&self, login: LoginId) -> Woken<'_>;
}

/// An answer of [`Waker`] on its way.
pub type Woken<'a> = Pin<Box<dyn Future<Output = Awake> + Send + 'a>>;

/// Whether a login heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Awake {
    /// It will.
    Yes,
    /// It is over, or was never there.
    Over,
    /// Nobody knows: the store is out of reach.
    Unknown,
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
    Code {
        link: String,
        ttl: Duration,
        expires_unix_ms: i64,
        /// The same for who types it.
        text_code: Option<String>,
    },
    /// Somebody has opened the code and must pick this on the phone.
    Confirm { match_code: String },
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

/// The drivers of this server, the preferred first; one at least.
#[derive(Clone)]
pub struct Drivers(Arc<[Arc<dyn Driver>]>);

impl Drivers {
    /// `first` is the preferred one.
    pub fn new(first: Arc<dyn Driver>, others: impl IntoIterator<Item = Arc<dyn Driver>>) -> Self {
        Self(std::iter::once(first).chain(others).collect())
    }

    /// With one driver.
    pub fn only(driver: Arc<dyn Driver>) -> Self {
        Self::new(driver, [])
    }

    /// Who asks MAX for the next login: the first that would serve it.
    pub fn pick(&self) -> &Arc<dyn Driver> {
        self.0.iter().find(|driver| driver.is_up()).unwrap_or(&self.0[0])
    }

    /// As in `login.drivers`; `None` for what is not among them.
    pub fn named(&self, name: &str) -> Option<&Arc<dyn Driver>> {
        self.0.iter().find(|driver| driver.name() == name)
    }

    /// The preferred first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Driver>> {
        self.0.iter()
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
