//! The official drivers: a bot that asks in a dialogue, and a mini-app that asks on a page inside MAX. Both hold the token of
//! the site's bot and none of anybody's account. What a phone is asked and what it answered is in the store ([`question`]), so that
//! an update may arrive at any node, and a login whose node died goes on with its code.

mod api;
mod dialogue;
mod examine;
mod health;
mod hmac;
mod init_data;
mod keeper;
mod locks;
mod mini_app;
mod over_http;
mod phrases;
mod polling;
mod proximity;
mod question;
mod receive;
mod run;
#[cfg(test)]
mod tests;
mod update;

use crate::base::id::LoginId;
use crate::base::repeat::OncePerMinute;
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::base::tasks::Tasks;
use crate::config::{self, Merge, Proximity, Receive};
use crate::signin::{Awake, DriverName, Identity, Waker};
use crate::store::Vault;
use crate::texts::Texts;
use api::{Api, Carrier};
pub use examine::{Examined, Subject, examine};
use health::Health;
use ipnet::IpNet;
pub use mini_app::{AppError, OwnContact};
pub use over_http::OverHttp;
use question::{Question, Questions};
pub use receive::Refused;
pub use run::{Bot, MiniApp};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Updates that are worked on at once; past it MAX is asked to bring them again.
const UPDATES: usize = 256;

/// What the drivers are told of the site.
pub struct Settings {
    /// As in `https://max.ru/NAME`.
    bot: String,
    token: Secret,
    /// The site as visitors know it: the host of its address.
    site: String,
    /// Where MAX brings updates; `None`: they are asked for.
    webhook: Option<String>,
    /// What MAX says with each.
    secret: String,
    check_every: Duration,
    match_code: bool,
    proximity: Proximity,
    countries: Vec<(IpNet, String)>,
    merge: Merge,
    /// The site wants phone numbers.
    wants_phone: bool,
    /// The bot is asked by visitors, not only the mini-app.
    has_bot: bool,
}

/// What both drivers share.
pub struct Official {
    settings: Settings,
    questions: Questions,
    vault: Vault,
    api: Api,
    health: Health,
    texts: Arc<Texts>,
    rng: Rng,
    tasks: Tasks,
    /// Logins, once there are some: they are made after the drivers, and hold them.
    waker: OnceLock<Weak<dyn Waker>>,
    updates: Arc<Semaphore>,
    strangers: OncePerMinute,
}

impl Official {
    pub fn new(
        official: &config::Official,
        (server, drivers): (&config::Server, &[DriverName]),
        wants_phone: bool,
        carrier: Box<dyn Carrier>,
        vault: Vault,
        texts: Arc<Texts>,
        (rng, tasks): (Rng, Tasks),
    ) -> Arc<Self> {
        let config::Official { bot, mini_app, merge } = official;
        let token = || Secret::new(bot.token.expose().to_owned());
        let webhook = (bot.receive == Receive::Webhook).then(|| bot.webhook(server).to_string());
        let secret = match &bot.secret {
            Some(secret) => secret.expose().to_owned(),
            None => vault.pseudonym(b"secret of the bot's webhook"),
        };
        let settings = Settings {
            bot: bot.name.clone(),
            token: token(),
            site: server.public_url.host_str().unwrap_or_default().to_owned(),
            webhook,
            secret,
            check_every: bot.check_every,
            match_code: mini_app.match_code,
            proximity: mini_app.proximity,
            countries: mini_app.countries.clone(),
            merge: *merge,
            wants_phone,
            has_bot: drivers.contains(&DriverName::Bot),
        };
        Arc::new(Self {
            settings,
            questions: Questions::new(vault.clone(), bot.code_ttl),
            vault,
            api: Api::new(carrier, bot.api_url.clone(), token(), rng.clone()),
            health: Health::default(),
            texts,
            rng,
            tasks,
            waker: OnceLock::new(),
            updates: Arc::new(Semaphore::new(UPDATES)),
            strangers: OncePerMinute::default(),
        })
    }

    /// Who is told that a phone said something.
    pub fn wakes(&self, logins: &Arc<impl Waker>) {
        let logins: Weak<dyn Waker> = Arc::<_>::downgrade(logins) as Weak<dyn Waker>;
        // Set once, by whoever puts the parts together.
        let _ = self.waker.set(logins);
    }

    async fn wake(&self, question: &Question) -> Awake {
        let waker = self.waker.get().and_then(Weak::upgrade);
        let login: Option<LoginId> = question.login();
        match waker.zip(login) {
            Some((waker, login)) => waker.wake(login).await,
            None => Awake::Over,
        }
    }

    /// What a code says: `?startapp=` opens the mini-app each time, `?start=` the dialogue, and says so only the first time.
    fn link(&self, question: &Question) -> String {
        let by = if question.driver == DriverName::MiniApp { "startapp" } else { "start" };
        format!("https://max.ru/{}?{by}={}", self.settings.bot, question.code)
    }

    /// Whether the numbers of this driver are kept apart from those of others.
    fn identity(&self, driver: DriverName, person: Person, phone: Option<String>) -> Identity {
        let apart = match self.settings.merge {
            Merge::All => None,
            Merge::Official => Some(DriverName::Bot),
            Merge::Off => Some(driver),
        };
        let text = |text: Option<String>| {
            let plain: String = text?.chars().filter(|letter| !letter.is_control()).take(NAME).collect();
            let plain = plain.trim().to_owned();
            (!plain.is_empty()).then_some(plain)
        };
        let (first_name, last_name) = (text(person.first_name), text(person.last_name));
        let full: Vec<&str> = [&first_name, &last_name].into_iter().flatten().map(String::as_str).collect();
        let full = full.join(" ");
        let name = text(Some(full)).or_else(|| text(person.name)).unwrap_or_else(|| format!("MAX {}", person.id));
        let photo_url = person.photo_url.filter(|url| url.starts_with("https://") && url.len() <= PHOTO_URL);
        Identity { id: person.id, name, first_name, last_name, phone, photo_url, driver, apart }
    }
}

/// Longest name, in characters, and longest address of a picture, in bytes.
const NAME: usize = 128;
const PHOTO_URL: usize = 2048;

/// Whom MAX names, as far as it does.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Person {
    id: i64,
    first_name: Option<String>,
    last_name: Option<String>,
    name: Option<String>,
    photo_url: Option<String>,
}

impl From<update::User> for Person {
    fn from(user: update::User) -> Self {
        let update::User { user_id, first_name, last_name, name, full_avatar_url, avatar_url, .. } = user;
        Self { id: user_id, first_name, last_name, name, photo_url: full_avatar_url.or(avatar_url) }
    }
}

impl From<init_data::InitUser> for Person {
    fn from(user: init_data::InitUser) -> Self {
        let init_data::InitUser { id, first_name, last_name, photo_url, .. } = user;
        Self { id, first_name, last_name, name: None, photo_url }
    }
}
