//! A stand-in for MAX, with state: codes, accounts, logins that live past their connections, and a phone to press.
//!
//! For people (`max-auth emulate`, the demo) and for tests, which are its hardest users: faults come on command, and the
//! counters say whether every login that was handed out was also ended. It answers as MAX was seen to answer; where
//! nobody knows what MAX does, the comment says so. It imports nothing of ours but `max` and `base`.

mod account;
mod answers;
mod bot;
mod connection;
mod fault;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod odd;
mod phone;
mod serve;
mod world;

#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;

pub use self::account::Account;
pub use self::bot::{BotOptions, NAME as BOT_NAME, TOKEN as BOT_TOKEN, Trust};
pub use self::serve::listen;
use self::world::World;
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;

/// What MAX says: 5 s between questions, about two minutes for a code.
const USUAL_POLL: Duration = Duration::from_secs(5);
const USUAL_TTL: Duration = Duration::from_secs(120);

/// A ping without a pause would leave no time for anything else.
const SHORTEST_PING: Duration = Duration::from_millis(1);

/// How the emulated MAX behaves.
pub struct Options {
    /// Every code is approved at its nth status question; 0: only when somebody approves.
    pub approve_after: u32,
    /// The interval and the lifetime that clients are told.
    pub poll: Duration,
    pub ttl: Duration,
    /// The account has this cloud password.
    pub password: Option<String>,
    /// Clients below it get `qr_login.disabled`.
    pub min_app_version: Option<String>,
    /// How often the server pings, if at all; at least 1 ms.
    pub server_ping: Option<Duration>,
    /// Wrap every integer of binary answers in ext type 1, not only the long ones.
    pub wrap_all_ints: bool,
    /// Who approves.
    pub account: Account,
    /// So many take turns at the phone: their ids and numbers follow that of the account.
    pub people: NonZeroU32,
    /// The Bot API and the phones of those who talk to the bot.
    pub bot: Option<BotOptions>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            approve_after: 0,
            poll: USUAL_POLL,
            ttl: USUAL_TTL,
            password: None,
            min_app_version: None,
            server_ping: None,
            wrap_all_ints: false,
            account: Account::default(),
            people: NonZeroU32::MIN,
            bot: None,
        }
    }
}

pub struct Emulator {
    options: Options,
    clock: Clock,
    rng: Rng,
    tasks: Tasks,
    world: Mutex<World>,
    bot: Option<bot::Served>,
}

impl Emulator {
    pub fn new(mut options: Options, clock: Clock, rng: Rng, tasks: Tasks) -> Arc<Self> {
        options.server_ping = options.server_ping.map(|every| every.max(SHORTEST_PING));
        let bot = options.bot.take();
        let bot = bot.map(|bot| bot::Served::new(bot, &options.account, (clock.clone(), rng.clone(), tasks.clone())));
        Arc::new(Self { options, clock, rng, tasks, world: Mutex::new(World::default()), bot })
    }

    /// MAX and the phone: what `max-auth emulate` serves.
    pub fn router(self: &Arc<Self>) -> Router {
        self.phone_router().merge(self.bot_router()).merge(connection::router(Arc::clone(self)))
    }

    /// The Bot API, if there is a bot.
    pub fn bot_router(&self) -> Router {
        self.bot.as_ref().map(bot::Served::api).unwrap_or_default()
    }

    /// The phone alone, for a demo that shows it on the address of the site.
    pub fn phone_router(self: &Arc<Self>) -> Router {
        let phone = phone::router(Arc::clone(self), self.bot.as_ref());
        self.bot.iter().fold(phone, |phone, bot| phone.merge(bot.phone()))
    }

    /// Never held across an await. A panic of somebody else who held it leaves a world that is still consistent enough
    /// for a stand-in.
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
