//! The logins of this node by their id, up to a capacity: those in flight, and those that are over and may still be read.

use super::Login;
use crate::base::clock::Clock;
use crate::base::id::LoginId;
use crate::base::limits::SEALED_LIFE;
use metrics::{counter, gauge};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// `login.max_active` logins are in flight.
#[derive(Debug)]
pub struct Busy;

/// Whether a login that is over ended with a success.
pub struct SignedIn(pub bool);

/// One of the places for logins in flight; given back when it is dropped.
pub struct Place(Arc<Table>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
        gauge!("max_auth_logins_active").decrement(1);
    }
}

pub struct Table {
    rows: Mutex<Rows>,
    active: AtomicUsize,
    max_active: usize,
    clock: Clock,
}

/// The logins in flight and those that are over.
#[derive(Default)]
struct Rows {
    logins: HashMap<LoginId, Arc<Login>>,
    /// Over, and when they are forgotten; the oldest first. Apart, so that no number of logins that were given up
    /// displaces one whose visitor has yet to fetch the success.
    signed_in: VecDeque<(Duration, LoginId)>,
    others: VecDeque<(Duration, LoginId)>,
}

impl Rows {
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

impl Table {
    pub fn new(max_active: usize, clock: Clock) -> Self {
        Self { rows: Mutex::default(), active: AtomicUsize::new(0), max_active, clock }
    }

    /// A place for one more login.
    pub fn admit(self: &Arc<Self>) -> Result<Place, Busy> {
        if self.active.fetch_add(1, Ordering::SeqCst) >= self.max_active {
            self.active.fetch_sub(1, Ordering::SeqCst);
            counter!("max_auth_logins_busy_total").increment(1);
            return Err(Busy);
        }
        gauge!("max_auth_logins_active").increment(1);
        Ok(Place(Arc::clone(self)))
    }

    pub fn insert(&self, login: Arc<Login>) {
        self.lock().logins.insert(login.id, login);
    }

    pub fn get(&self, id: LoginId) -> Option<Arc<Login>> {
        let mut rows = self.lock();
        rows.sweep(self.clock.monotonic());
        rows.logins.get(&id).cloned()
    }

    /// The login that is known under this id; `login` itself where none is. Others' logins are as many as our own at most.
    pub fn follow(&self, login: Arc<Login>) -> Result<Arc<Login>, Busy> {
        let mut rows = self.lock();
        rows.sweep(self.clock.monotonic());
        if let Some(known) = rows.logins.get(&login.id) {
            return Ok(Arc::clone(known));
        }
        if rows.logins.len() >= 4 * self.max_active.max(1) {
            return Err(Busy);
        }
        rows.logins.insert(login.id, Arc::clone(&login));
        Ok(login)
    }

    /// The logins that are known, those that are over included.
    pub fn all(&self) -> Vec<Arc<Login>> {
        self.lock().logins.values().cloned().collect()
    }

    /// Nobody reads it here any more, or it is lost.
    pub fn forget(&self, id: LoginId) {
        self.lock().logins.remove(&id);
    }

    /// Logins in flight.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::SeqCst)
    }

    /// Nobody writes it any more. Its log stays readable for a while if it was sealed: the visitor may be away when it ends.
    pub fn ended(&self, login: &Login, sealed: Option<SignedIn>) {
        let now = self.clock.monotonic();
        let mut rows = self.lock();
        rows.sweep(now);
        match sealed {
            Some(SignedIn(signed_in)) => {
                rows.retire(login.id, signed_in, now + SEALED_LIFE, self.max_active.max(1));
            }
            None => _ = rows.logins.remove(&login.id),
        }
    }

    /// To be called now and then, so that what a storm left is not kept until the next one.
    pub fn tidy(&self) {
        let mut rows = self.lock();
        rows.sweep(self.clock.monotonic());
        rows.shrink();
    }

    /// Logins that are known, those that are over included.
    #[cfg(test)]
    pub fn known(&self) -> usize {
        self.lock().logins.len()
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
