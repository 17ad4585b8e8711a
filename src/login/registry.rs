//! The logins of this node: begins them up to a capacity, finds them for the browser that began.

use super::grant::Grants;
use super::{Locale, Login, task};
use crate::base::clock::Clock;
use crate::base::id::{Fingerprint, LoginId};
use crate::base::limits::SEALED_LIFE;
use crate::base::repeat::OncePerMinuteEach;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::max::refusal::RefusalKind;
use crate::upstream::driver::{Driver, Visitor};
use metrics::{counter, gauge};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What begins a login, checked.
pub struct Start {
    pub visitor: Visitor,
    /// Where to go afterwards: a path of this site or an address on a listed origin.
    pub return_to: String,
    pub locale: Locale,
    /// Of the flow cookie of the browser that begins.
    pub flow: Fingerprint,
    /// A phone leaves the page to approve, so it is waited for longer.
    pub phone: bool,
}

pub struct Settings {
    pub ttl: Duration,
    pub grace: Duration,
    pub grace_phone: Duration,
    pub max_active: usize,
    /// Where `success` sends the browser; the token is added behind `?token=`.
    pub callback: String,
}

/// `login.max_active` logins are in flight.
#[derive(Debug)]
pub struct Busy;

/// Whether a login that is over ended with a success.
pub(super) struct SignedIn(pub bool);

pub struct Registry {
    logins: Mutex<Table>,
    active: AtomicUsize,
    pub(super) settings: Settings,
    pub(super) driver: Arc<dyn Driver>,
    pub(super) grants: Arc<Grants>,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    /// One line a minute for each reason: when MAX changes its mind, it refuses everybody.
    pub(super) refused: OncePerMinuteEach<(RefusalKind, Option<&'static str>)>,
    rng: Rng,
}

/// The logins in flight and those that are over.
#[derive(Default)]
struct Table {
    logins: HashMap<LoginId, Arc<Login>>,
    /// Over, and when they are forgotten; the oldest first. Apart, so that no number of logins that were given up
    /// displaces one whose visitor has yet to fetch the success.
    signed_in: VecDeque<(Duration, LoginId)>,
    others: VecDeque<(Duration, LoginId)>,
}

impl Table {
    /// Forgets what has been over for long enough.
    fn sweep(&mut self, now: Duration) {
        for over in [&mut self.signed_in, &mut self.others] {
            while let Some((_, id)) = over.front().copied().filter(|(until, _)| *until <= now) {
                over.pop_front();
                self.logins.remove(&id);
            }
        }
    }

    /// Keeps a login that is over readable for a while, at most `max` of a kind.
    fn retire(&mut self, id: LoginId, signed_in: bool, until: Duration, max: usize) {
        let over = if signed_in { &mut self.signed_in } else { &mut self.others };
        over.push_back((until, id));
        if over.len() > max
            && let Some((_, oldest)) = over.pop_front()
        {
            self.logins.remove(&oldest);
        }
    }

    /// Gives back the room that a storm took.
    fn shrink(&mut self) {
        self.logins.shrink_to(2 * self.logins.len());
        for over in [&mut self.signed_in, &mut self.others] {
            over.shrink_to(2 * over.len());
        }
    }
}

impl Registry {
    pub fn new(
        settings: Settings,
        driver: Arc<dyn Driver>,
        grants: Arc<Grants>,
        clock: Clock,
        rng: Rng,
        tasks: Tasks,
    ) -> Self {
        let (logins, active) = (Mutex::default(), AtomicUsize::new(0));
        Self { logins, active, settings, driver, grants, clock, tasks, refused: OncePerMinuteEach::default(), rng }
    }

    /// Begins a login; its first event is there at once.
    pub fn start(self: &Arc<Self>, start: Start) -> Result<Arc<Login>, Busy> {
        if self.active.fetch_add(1, Ordering::SeqCst) >= self.settings.max_active {
            self.active.fetch_sub(1, Ordering::SeqCst);
            counter!("max_auth_logins_busy_total").increment(1);
            return Err(Busy);
        }
        gauge!("max_auth_logins_active").increment(1);
        counter!("max_auth_logins_started_total").increment(1);
        let epoch = u32::from_be_bytes(self.rng.bytes());
        let login = Arc::new(Login::new(LoginId::new(&self.rng), epoch, &start, &self.settings, self.clock.clone()));
        self.lock().logins.insert(login.id, Arc::clone(&login));
        tracing::debug!(login = login.id.short(), "login begun");
        self.tasks.spawn("login", task::run(Arc::clone(self), Arc::clone(&login), start.visitor));
        Ok(login)
    }

    /// The login, for the browser that began it; for any other it does not exist.
    pub fn find(&self, id: LoginId, flow: &Fingerprint) -> Option<Arc<Login>> {
        self.get(id).filter(|login| login.flow.matches(flow))
    }

    /// The login, for the page that began it and was told its key.
    pub fn find_by_key(&self, id: LoginId, key: &[u8]) -> Option<Arc<Login>> {
        let key = Fingerprint::of(key);
        self.get(id).filter(|login| login.key.get().is_some_and(|known| known.matches(&key)))
    }

    fn get(&self, id: LoginId) -> Option<Arc<Login>> {
        let mut table = self.lock();
        table.sweep(self.clock.monotonic());
        table.logins.get(&id).cloned()
    }

    pub fn active(&self) -> usize {
        self.active.load(Ordering::SeqCst)
    }

    /// A login's task is through with it. Its log stays readable for a while if it was sealed: the visitor may be away
    /// when it ends.
    pub(super) fn ended(&self, login: &Login, sealed: Option<SignedIn>) {
        self.active.fetch_sub(1, Ordering::SeqCst);
        gauge!("max_auth_logins_active").decrement(1);
        let now = self.clock.monotonic();
        let mut table = self.lock();
        table.sweep(now);
        match sealed {
            Some(SignedIn(signed_in)) => {
                table.retire(login.id, signed_in, now + SEALED_LIFE, self.settings.max_active.max(1));
            }
            None => _ = table.logins.remove(&login.id),
        }
    }

    /// To be called now and then, so that what a storm left is not kept until the next one.
    pub fn tidy(&self) {
        let mut table = self.lock();
        table.sweep(self.clock.monotonic());
        table.shrink();
        drop(table);
        self.grants.tidy();
    }

    /// Logins that are known, those that are over included.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.lock().logins.len()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
