//! What a login needs from whoever asks MAX: a *driver*. The account QR is the first; the official bot will be another.
//!
//! A driver runs inside the login's task, tells its news through an [`Outlet`] and hears the visitor through an
//! [`Inbox`]. Neither is a channel: a channel's first block alone would cost more memory than the login.

use crate::base::secret::Secret;
use crate::max::refusal::Refusal;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// A way to learn from MAX who somebody is.
pub trait Driver: Send + Sync {
    /// Runs one sign-in to its end. The MAX session is ended on every way out, also when the future is dropped.
    fn run<'a>(&'a self, visitor: Visitor, outlet: &'a dyn Outlet, inbox: &'a Inbox) -> Run<'a>;
}

pub type Run<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Where a driver's news goes.
pub trait Outlet: Send + Sync {
    fn tell(&self, news: News);
}

/// What MAX is told about the visitor's browser: the allow-listed fields of `userAgent`, length-checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Visitor {
    pub header_user_agent: Option<String>,
    pub device_name: Option<String>,
    pub os_version: Option<String>,
    pub screen: Option<String>,
    pub timezone: Option<String>,
    pub locale: Option<String>,
    pub is_pwa: bool,
}

pub enum News {
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
    SignedIn(Person),
    /// MAX said no.
    Refused(Refusal),
    /// MAX could not be reached for `upstream.give_up_after`.
    Unreachable,
    /// The inbox said stop.
    Stopped,
}

/// Who signed in.
#[derive(Clone, PartialEq, Debug)]
pub struct Person {
    /// MAX's user id.
    pub id: i64,
    pub name: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// E.164 with `+`.
    pub phone: Option<String>,
    pub photo_url: Option<String>,
}

/// What the visitor, or the server, has to say to a driver.
#[derive(Default)]
pub struct Inbox {
    letters: Mutex<Letters>,
    arrived: Notify,
}

#[derive(Default)]
struct Letters {
    stop: bool,
    password: Option<Secret>,
    wake: bool,
}

pub enum Letter {
    /// The visitor is looking at the page: ask MAX now.
    Wake,
    Password(Secret),
    /// End the sign-in, and the MAX session with it.
    Stop,
}

impl Inbox {
    pub fn wake(&self) {
        self.put(|letters| letters.wake = true);
    }

    pub fn password(&self, password: Secret) {
        self.put(|letters| letters.password = Some(password));
    }

    pub fn stop(&self) {
        self.put(|letters| letters.stop = true);
    }

    fn put(&self, write: impl FnOnce(&mut Letters)) {
        write(&mut self.letters.lock().unwrap_or_else(PoisonError::into_inner));
        self.arrived.notify_one();
    }

    /// The next letter. `Stop` comes first and only once.
    pub async fn next(&self) -> Letter {
        loop {
            if let Some(letter) = self.take() {
                return letter;
            }
            self.arrived.notified().await;
        }
    }

    fn take(&self) -> Option<Letter> {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut letters.stop) {
            return Some(Letter::Stop);
        }
        if let Some(password) = letters.password.take() {
            return Some(Letter::Password(password));
        }
        std::mem::take(&mut letters.wake).then_some(Letter::Wake)
    }
}
