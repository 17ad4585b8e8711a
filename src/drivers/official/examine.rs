//! What there is to say of a bot to its operator: for `max-auth doctor --upstream`.

use super::api::{Api, Carrier};
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::config::{Official, Receive, Server};
use crate::signin::DriverName;
use std::time::Duration;

/// How far MAX's clock and ours may be apart: what opens a mini-app is good for five minutes, and may be half a minute ahead.
const APART: Duration = Duration::from_secs(20);

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct Examined {
    pub what: Subject,
    /// What is fine, or what is wrong.
    pub told: Result<String, String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    Token,
    Clock,
    DeepLink,
    Subscription,
    OtherSubscriptions,
}

impl Subject {
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "bot, token",
            Self::Clock => "bot, clock",
            Self::DeepLink => "bot, deep link",
            Self::Subscription => "bot, subscription",
            Self::OtherSubscriptions => "bot, other subscriptions",
        }
    }
}

/// The token, the clock, the name, the subscription, in this order; what follows from one that is wrong is not asked.
pub async fn examine(
    official: &Official,
    (server, drivers): (&Server, &[DriverName]),
    carrier: Box<dyn Carrier>,
    unix_ms: impl Fn() -> i64,
    rng: Rng,
) -> Vec<Examined> {
    let bot = &official.bot;
    let api = Api::new(carrier, bot.api_url.clone(), Secret::new(bot.token.expose().to_owned()), rng);
    let mut all = Vec::new();
    let mut say = |what, told| all.push(Examined { what, told });
    let me = match api.me().await {
        Ok(me) => me,
        Err(error) => {
            say(Subject::Token, Err(error.to_string()));
            return all;
        }
    };
    let name = me.username.unwrap_or_default();
    say(Subject::Token, Ok(format!("MAX knows it as {name:?}, user {}", me.user_id)));
    if let Some(date) = api.date().await {
        let apart = Duration::from_millis(unix_ms().abs_diff(date)).as_secs();
        say(
            Subject::Clock,
            match apart <= APART.as_secs() {
                true => Ok("that of MAX, within seconds".to_owned()),
                false => Err(format!(
                    "this machine and MAX are {apart} s apart: what opens a mini-app is refused as too old or too new"
                )),
            },
        );
    }
    let by = if drivers.contains(&DriverName::MiniApp) { "startapp" } else { "start" };
    let link = format!("https://max.ru/{}?{by}=…", bot.name);
    say(
        Subject::DeepLink,
        match name.is_empty() || name.eq_ignore_ascii_case(&bot.name) {
            true => Ok(link),
            false => Err(format!("{link} leads to another bot: the token is that of {name:?} (driver.bot.name)")),
        },
    );
    if !drivers.contains(&DriverName::Bot) {
        return all;
    }
    let webhook = (bot.receive == Receive::Webhook).then(|| bot.webhook(server).to_string());
    match (api.subscriptions().await, webhook) {
        (Err(error), _) => say(Subject::Subscription, Err(error.to_string())),
        (Ok(known), None) => say(
            Subject::Subscription,
            match known.first() {
                None => Ok("none, as polling needs it".to_owned()),
                Some(other) => Err(format!(
                    "driver.bot.receive is \"poll\", but MAX brings updates to {}: polls get nothing",
                    other.url
                )),
            },
        ),
        (Ok(known), Some(webhook)) => {
            let others: Vec<&str> =
                known.iter().map(|known| known.url.as_str()).filter(|url| *url != webhook).collect();
            say(
                Subject::Subscription,
                match known.len() > others.len() {
                    true => Ok(format!("MAX brings updates to {webhook}")),
                    false => Err(format!(
                        "MAX does not bring updates to {webhook}: max-auth serve subscribes at its start and looks every \
                     driver.bot.check_every; somebody else with this token takes it away, or MAX did, after eight hours without an answer"
                    )),
                },
            );
            if !others.is_empty() {
                let others = others.join(", ");
                say(Subject::OtherSubscriptions, Err(format!("each update goes there, too: {others}")));
            }
        }
    }
    all
}
