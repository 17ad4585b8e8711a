//! A stand-in for MAX's Bot API, with the phones of the people who talk to the bot.
//!
//! It answers as MAX was seen to answer, or as its pages say; where sources differ the comment says so, and a switch of the
//! fault script or of a person makes it the other way.

mod answer;
mod api;
mod delivery;
mod events;
mod fault;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod init_data;
mod link;
mod message;
mod outgoing;
mod person;
mod phone;
mod post;
mod rates;
mod schedule;
mod signatures;
mod stats;
mod subscriptions;
mod updates;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

use self::fault::Faults;
use self::person::People;
use self::rates::Rates;
use self::stats::Stats;
use self::subscriptions::Subscriptions;
use self::updates::Updates;
use super::account::Account;
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;

pub use self::post::Trust;

/// The bot's token, unless another is given.
pub const TOKEN: &str = "emulator-bot-token";

/// The bot's name, as in its links, unless another is given.
pub const NAME: &str = "emulator_bot";

/// The bot's own id.
const USER_ID: i64 = 7;

/// Presses that can still be answered.
const CALLBACKS: usize = 10_000;

/// How the bot's side of the emulated MAX behaves.
pub struct BotOptions {
    /// As in `https://max.ru/NAME`.
    pub name: String,
    pub token: String,
    /// Where the bot's mini-app lives.
    pub mini_app: Option<Url>,
    /// Retries and removals of webhooks happen so many times faster.
    pub clock: NonZeroU32,
    /// Whose certificates a webhook may have.
    pub trust: Trust,
}

struct Bot {
    options: BotOptions,
    clock: Clock,
    rng: Rng,
    tasks: Tasks,
    /// Counts updates that polls can fetch.
    news: watch::Sender<u64>,
    state: Mutex<State>,
}

struct State {
    /// What `/me` says and `PATCH /me` changes.
    profile: Value,
    people: People,
    updates: Updates,
    subscriptions: Subscriptions,
    /// Presses by their id: whose, and on which message.
    callbacks: BTreeMap<String, (i64, String)>,
    callback_order: VecDeque<String>,
    faults: Faults,
    /// Updates that go after the next one.
    held: Vec<(i64, Value)>,
    rates: Rates,
    stats: Stats,
    /// The last link that was scanned, for the page that opens it.
    scanned: Option<String>,
}

impl Bot {
    fn new(options: BotOptions, account: &Account, (clock, rng, tasks): (Clock, Rng, Tasks)) -> Arc<Self> {
        let profile = json!({
            "user_id": USER_ID,
            "first_name": "Вход",
            "username": options.name,
            "is_bot": true,
            "last_activity_time": clock.unix_ms(),
            "name": "Вход",
            "description": "Эмулятор, не MAX",
            "commands": [],
        });
        let names = (account.first_name.clone(), account.last_name.clone());
        let state = State {
            profile,
            people: People::new(account.id, account.phone, names, account.photo_url.clone()),
            updates: Updates::default(),
            subscriptions: Subscriptions::default(),
            callbacks: BTreeMap::new(),
            callback_order: VecDeque::new(),
            faults: Faults::default(),
            held: Vec::new(),
            rates: Rates::default(),
            stats: Stats::default(),
            scanned: None,
        };
        let (news, _) = watch::channel(0);
        Arc::new(Self { options, clock, rng, tasks, news, state: Mutex::new(state) })
    }

    /// Never held across an await.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// On the scaled clock.
    fn time(&self) -> Duration {
        self.clock.monotonic().saturating_mul(self.options.clock.get())
    }

    /// How long a time of MAX takes here.
    fn scaled(&self, time: Duration) -> Duration {
        time / self.options.clock.get()
    }
}

impl State {
    fn remember_callback(&mut self, callback_id: String, person: i64, mid: String) {
        if self.callback_order.len() >= CALLBACKS
            && let Some(oldest) = self.callback_order.pop_front()
        {
            self.callbacks.remove(&oldest);
        }
        self.callback_order.push_back(callback_id.clone());
        self.callbacks.insert(callback_id, (person, mid));
    }

    /// The bot as the sender of a message.
    fn bot(&self) -> Value {
        let mut bot = self.profile.clone();
        if let Some(fields) = bot.as_object_mut() {
            fields.retain(|name, _| !matches!(name.as_str(), "commands" | "description"));
        }
        bot
    }
}

/// The id of a message.
fn new_mid(rng: &Rng) -> String {
    format!("mid.{}", rng.uuid().replace('-', ""))
}

/// What the emulator serves of it.
#[derive(Clone)]
pub(super) struct Served(Arc<Bot>);

impl Served {
    pub(super) fn new(options: BotOptions, account: &Account, time_and_chance: (Clock, Rng, Tasks)) -> Self {
        Self(Bot::new(options, account, time_and_chance))
    }

    /// `/bot-api`.
    pub(super) fn api(&self) -> Router {
        api::router(Arc::clone(&self.0))
    }

    /// `/phone/bot`.
    pub(super) fn phone(&self) -> Router {
        phone::router(Arc::clone(&self.0))
    }

    pub(super) fn name(&self) -> &str {
        &self.0.options.name
    }

    pub(super) fn mini_app(&self) -> Option<&Url> {
        self.0.options.mini_app.as_ref()
    }
}
