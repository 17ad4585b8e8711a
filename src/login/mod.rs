//! A login is an append-only log of events with one writer, the task that talks to MAX, and any number of readers,
//! the browser's connections. Knows neither HTTP nor transports.

mod drawing;
mod event;
mod failures;
mod follow;
mod grant;
mod journal;
mod log;
mod position;
mod record;
mod registry;
#[cfg(test)]
mod scale_tests;
mod sharing;
#[cfg(test)]
mod sharing_tests;
mod sink;
mod start;
mod table;
mod task;
#[cfg(test)]
mod tests;
mod text;

use crate::base::clock::Clock;
use crate::base::id::{Fingerprint, LoginId};
use crate::base::limits::READERS;
use crate::base::secret::Secret;
use crate::signin::{Asked, BrowserInfo, CommandSlot, Driver, DriverName, Drivers};
use crate::texts::Locale;
pub use drawing::Drawing;
pub use event::{Event, Kind};
pub use failures::Failed;
pub use grant::{Grant, Grants};
use ipnet::IpNet;
use journal::Lost;
pub use log::{Gone, Log, Page};
pub use position::Position;
use record::RemoteCommand;
pub use registry::{NotStarted, Registry};
use serde_json::{Value, json};
pub use sharing::{Nodes, Sharing};
pub use start::{Admitted, Continuations, Purpose, Settings, StartParams};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use text::Stage;
use tokio::sync::Notify;

/// A page request that comes later than this after the last reader left is a visitor coming back, not the next poll.
const PRESENCE_GAP: Duration = Duration::from_secs(2);

/// Commands for an owner elsewhere that wait to be sent: one of each kind, and an impatient visitor's.
const OUTGOING: usize = 8;

/// How long after its last reader left a login of another node is still followed: until the next page of a poll.
const RETURNS: Duration = Duration::from_secs(10);

/// One attempt to sign in.
pub struct Login {
    pub id: LoginId,
    pub log: Log,
    flow: Fingerprint,
    /// Of what lets the same page read without its cookie.
    key: Option<Fingerprint>,
    locale: Locale,
    purpose: Purpose,
    network: Option<IpNet>,
    /// Who asks MAX.
    driver: Arc<dyn Driver>,
    /// Of the visitor, where a driver compares it.
    address: Option<IpAddr>,
    grace: Duration,
    /// The same for a visitor who left but may come back by the browser's Back button.
    grace_away: Duration,
    away: AtomicBool,
    /// Nobody is missed before this, in milliseconds of the monotonic clock.
    held_until: AtomicU64,
    clock: Clock,
    /// Unix milliseconds.
    began: i64,
    /// This process writes it; else another does, and what the visitor says is passed on.
    owned: AtomicBool,
    /// Of our claim, where the log is shared.
    fence: AtomicU64,
    /// One look at the store at a time: two that both found nobody would both take it over.
    looking: tokio::sync::Mutex<()>,
    /// The store still calls us its owner, and nobody here writes it.
    claim_left: AtomicBool,
    /// Why we must not write it any more.
    displaced: Mutex<Option<Lost>>,
    outgoing: Mutex<Vec<RemoteCommand>>,
    /// There is something to pass on.
    to_pass_on: Notify,
    commands: CommandSlot,
    readers: AtomicUsize,
    /// When the last reader left, in milliseconds of the monotonic clock.
    left_at: AtomicU64,
    /// When somebody last asked for it, in milliseconds of the monotonic clock.
    asked_at: AtomicU64,
    cancelled: AtomicBool,
    /// Something that may end it has changed: who reads, whether it was cancelled or displaced. Its task alone listens.
    changed: Notify,
    password_asked: AtomicBool,
}

/// How a reader attaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attach {
    /// It begins the login.
    Begin,
    /// The visitor is back: MAX is asked at once.
    Resume,
    /// The next of many pages: MAX is asked at once only if nobody was there for a while.
    NextPage,
}

/// More connections read this login than a browser has.
#[derive(Debug)]
pub struct TooManyReaders;

/// MAX has not asked for a password.
#[derive(Debug)]
pub struct PasswordNotAsked;

impl Login {
    /// As it stands before its first event.
    fn new(
        id: LoginId,
        (epoch, began): (u32, i64),
        params: StartParams,
        driver: Arc<dyn Driver>,
        settings: &Settings,
        clock: Clock,
    ) -> Self {
        let grace = if params.phone { settings.grace_phone } else { settings.grace };
        Self {
            id,
            log: Log::new(epoch),
            flow: params.flow,
            key: params.key,
            locale: params.locale,
            purpose: params.purpose,
            network: params.network,
            driver,
            address: params.address,
            grace,
            grace_away: grace.max(settings.grace_phone),
            away: AtomicBool::new(false),
            held_until: AtomicU64::new(0),
            began,
            owned: AtomicBool::new(false),
            fence: AtomicU64::new(0),
            looking: tokio::sync::Mutex::default(),
            claim_left: AtomicBool::new(false),
            displaced: Mutex::default(),
            outgoing: Mutex::default(),
            to_pass_on: Notify::new(),
            commands: CommandSlot::default(),
            readers: AtomicUsize::new(0),
            left_at: AtomicU64::new(millis(clock.monotonic())),
            clock,
            asked_at: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            changed: Notify::new(),
            password_asked: AtomicBool::new(false),
        }
    }

    /// Written before anybody can read, so that the first event takes one round trip. It alone says the login's id, and how
    /// long the login lives.
    fn first_event(&self, settings: &Settings, drivers: &Drivers) -> Value {
        let stage = Stage::Connecting;
        let message = stage.message(settings.texts.of(self.locale));
        let mut event =
            json!({"stage": stage.name(), "message": message, "login": self.id.text(), "ttl": millis(settings.ttl)});
        // A page knows the account QR by itself.
        let names: Vec<&str> = drivers.all().map(|driver| driver.name()).collect();
        if names != [DriverName::AccountQr.name()] {
            event["driver"] = self.driver.name().into();
        }
        if names.len() > 1 {
            event["drivers"] = names.into();
        }
        event
    }

    /// For the driver.
    fn asked(&self, browser: BrowserInfo) -> Asked {
        Asked { login: self.id, browser, address: self.address }
    }

    /// The last one that a visitor was told.
    fn stage(&self) -> Stage {
        let told = self.log.last_of(Kind::Status).and_then(|event| {
            let data: Value = serde_json::from_str(&event.data(Drawing::Svg)).ok()?;
            Stage::parse(data["stage"].as_str()?)
        });
        told.unwrap_or(Stage::Connecting)
    }

    fn is_owned(&self) -> bool {
        self.owned.load(Ordering::SeqCst)
    }

    /// This process writes it from now on.
    fn own(&self, fence: u64) {
        self.fence.store(fence, Ordering::SeqCst);
        self.claim_left.store(false, Ordering::SeqCst);
        *self.displaced.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.commands.clear();
        self.owned.store(true, Ordering::SeqCst);
    }

    fn displace(&self, lost: Lost) {
        *self.displaced.lock().unwrap_or_else(PoisonError::into_inner) = Some(lost);
        self.changed.notify_one();
    }

    fn displaced_by(&self) -> Option<Lost> {
        *self.displaced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn cancelled_here(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// For the owner, wherever that is.
    fn pass_on(&self, command: RemoteCommand) {
        let mut outgoing = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        if outgoing.len() < OUTGOING {
            outgoing.push(command);
        }
        drop(outgoing);
        self.to_pass_on.notify_one();
    }

    /// What the visitor said at another node.
    fn obey(&self, command: RemoteCommand) {
        match command {
            RemoteCommand::Wake => self.commands.wake(),
            RemoteCommand::Cancel => self.cancelled_here(),
            RemoteCommand::Password(password) => _ = self.password(password),
        }
    }

    /// An event that another process wrote.
    fn mirror(&self, event: Event) {
        let kind = event.kind;
        self.log.mirror(event);
        self.has_read(kind);
    }

    /// Events of ours, for whoever reads; together in one page.
    fn tell<'a>(&self, events: impl IntoIterator<Item = (Kind, &'a Value)>) {
        self.log.append_all(events.into_iter().inspect(|(kind, _)| self.has_read(*kind)));
    }

    /// Only what can be read counts as asked: a page shows the question with what was wrong before.
    fn has_read(&self, kind: Kind) {
        match kind {
            Kind::Password => self.password_asked.store(true, Ordering::SeqCst),
            Kind::Qr => self.password_asked.store(false, Ordering::SeqCst),
            _ => {}
        }
    }

    /// Its visitor is here, and about to read.
    fn is_asked_for(&self) {
        self.asked_at.store(millis(self.clock.monotonic()), Ordering::SeqCst);
    }

    /// Somebody reads it here, or is expected back.
    fn is_read_here(&self) -> bool {
        let now = millis(self.clock.monotonic());
        let left = self.left_at.load(Ordering::Relaxed).max(self.asked_at.load(Ordering::SeqCst));
        let grace = if self.away.load(Ordering::SeqCst) { self.grace_away } else { RETURNS };
        self.readers.load(Ordering::SeqCst) > 0
            || now < left.saturating_add(millis(grace))
            || now < self.held_until.load(Ordering::SeqCst)
    }

    /// Counts a connection as reading; the login waits for a while when the last one is gone.
    pub fn attach(self: &Arc<Self>, attach: Attach) -> Result<LogReader, TooManyReaders> {
        let before = self.readers.fetch_add(1, Ordering::SeqCst);
        let reader = LogReader(Arc::clone(self));
        if before >= READERS {
            return Err(TooManyReaders);
        }
        let away =
            before == 0 && millis(self.clock.monotonic()) > self.left_at.load(Ordering::Relaxed) + millis(PRESENCE_GAP);
        if attach == Attach::Resume || (attach == Attach::NextPage && away) {
            self.wake();
        }
        self.away.store(false, Ordering::SeqCst);
        self.changed.notify_one();
        Ok(reader)
    }

    /// The visitor left the page, which the browser may bring back as it is.
    pub fn may_come_back(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    /// The visitor has a form before them, from a page that does not refresh itself: nobody is missed for so long.
    pub fn hold(&self, time: Duration) {
        self.held_until.store(millis(self.clock.monotonic() + time), Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// The visitor is looking: the next question to MAX comes at once (at most one a second).
    pub fn wake(&self) {
        if self.is_owned() {
            self.commands.wake();
        } else {
            self.pass_on(RemoteCommand::Wake);
        }
    }

    pub fn locale(&self) -> Locale {
        self.locale
    }

    pub fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_ms(&self) -> i64 {
        self.clock.unix_ms()
    }

    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Passes the MAX cloud password on, once.
    pub fn password(&self, password: Secret) -> Result<(), PasswordNotAsked> {
        if !self.password_asked.swap(false, Ordering::SeqCst) {
            return Err(PasswordNotAsked);
        }
        if self.is_owned() {
            self.commands.password(password);
        } else {
            self.pass_on(RemoteCommand::Password(password));
        }
        Ok(())
    }

    /// MAX has asked for a password, and none has been given since.
    pub fn wants_password(&self) -> bool {
        self.password_asked.load(Ordering::SeqCst)
    }

    /// The visitor gave up.
    pub fn cancel(&self) {
        if self.is_owned() {
            self.cancelled_here();
        } else {
            self.pass_on(RemoteCommand::Cancel);
        }
    }

    /// How long nobody is missed who does not read; `None` while somebody reads.
    fn patience(&self) -> Option<Duration> {
        if self.readers.load(Ordering::SeqCst) > 0 {
            return None;
        }
        let grace = if self.away.load(Ordering::SeqCst) { self.grace_away } else { self.grace };
        let held = self.held_until.load(Ordering::SeqCst).saturating_sub(millis(self.clock.monotonic()));
        Some(grace.max(Duration::from_millis(held)))
    }
}

/// A connection that reads a login, counted until it is dropped.
pub struct LogReader(Arc<Login>);

impl LogReader {
    pub fn login(&self) -> &Arc<Login> {
        &self.0
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        self.0.left_at.store(millis(self.0.clock.monotonic()), Ordering::Relaxed);
        self.0.readers.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_one();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
