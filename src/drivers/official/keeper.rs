//! Looks again and again whether the bot is still ours to ask by: its token, its name, its subscription. Whoever runs a sample
//! with the same token takes the subscription away: MAX's own library does so at its start.

use super::Official;
use super::api::ApiError;
use super::health::State;
use super::update::KINDS;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// The pause after a look that found trouble, if that is shorter.
const SOON: Duration = Duration::from_secs(5);

/// What is wrong, for the operator.
struct Wrong {
    state: State,
    why: String,
}

impl From<ApiError> for Wrong {
    fn from(error: ApiError) -> Self {
        let state = if matches!(error, ApiError::Token(_)) { State::Token } else { State::Trouble };
        Self { state, why: error.to_string() }
    }
}

impl Official {
    /// To be run beside the logins.
    pub fn spawn_keeper(self: &Arc<Self>) {
        let (kept, polled) = (Arc::clone(self), Arc::clone(self));
        let tasks = self.tasks.clone();
        self.tasks.spawn("bot-keeper", async move {
            tokio::select! {
                () = kept.keep() => {}
                () = tasks.stopping() => {}
            }
        });
        if self.settings.has_bot && self.settings.webhook.is_none() {
            tracing::warn!(
                "driver.bot.receive = \"poll\" is for development: MAX allows one asker at a time, and tells it nothing while the \
                 bot has a webhook"
            );
            let tasks = self.tasks.clone();
            self.tasks.spawn("bot-polling", async move {
                tokio::select! {
                    () = polled.poll() => {}
                    () = tasks.stopping() => {}
                }
            });
        }
    }

    async fn keep(&self) {
        let mut subscribed = false;
        loop {
            let (state, why) = match self.look(&mut subscribed).await {
                Ok(()) => (State::Fine, None),
                Err(wrong) => (wrong.state, Some(wrong.why)),
            };
            metrics::gauge!("max_auth_bot_up").set(u8::from(state == State::Fine));
            if self.health.set(state) {
                match &why {
                    Some(why) => tracing::error!(
                        "the bot does not work, and visitors are asked by another of login.drivers, if there is one (max-auth \
                         doctor --upstream looks closer): {why}"
                    ),
                    None => tracing::info!("the bot works again"),
                }
            }
            let every = self.settings.check_every.mul_f64(0.9 + self.rng.unit() / 5.0);
            sleep(if why.is_some() { every.min(SOON) } else { every }).await;
        }
    }

    async fn look(&self, subscribed: &mut bool) -> Result<(), Wrong> {
        let me = match self.api.me().await {
            // One that is lost on the way is not yet trouble.
            Err(ApiError::Trouble(_)) => self.api.me().await?,
            me => me?,
        };
        let name = me.username.unwrap_or_default();
        if !name.is_empty() && !name.eq_ignore_ascii_case(&self.settings.bot) {
            let why = format!(
                "driver.bot.name is {:?}, but the token is that of {name:?}: codes would lead to another bot",
                self.settings.bot
            );
            return Err(Wrong { state: State::Token, why });
        }
        if !self.settings.has_bot {
            return Ok(());
        }
        let known = self.api.subscriptions().await?;
        let Some(webhook) = &self.settings.webhook else {
            return match known.first() {
                None => Ok(()),
                Some(other) => {
                    let why = format!(
                        "driver.bot.receive is \"poll\", but MAX brings updates to {}: polls get nothing",
                        other.url
                    );
                    Err(Wrong { state: State::Trouble, why })
                }
            };
        };
        let is_there = known.iter().any(|known| known.url == *webhook);
        // One of before has the secret of before, which may have been another.
        let is_ours =
            *subscribed || self.questions.is_subscribed(webhook, &self.settings.secret).await.unwrap_or_default();
        if !is_there || !is_ours {
            if *subscribed {
                metrics::counter!("max_auth_bot_subscriptions_lost_total").increment(1);
                tracing::warn!(
                    "somebody took the bot's subscription away (a sample that runs with the same token?); it is made again"
                );
            }
            if is_there {
                // Whether MAX would take another secret for the same address is written nowhere.
                self.api.unsubscribe(webhook).await?;
            }
            self.api.subscribe(webhook, &KINDS, &self.settings.secret).await?;
            // Without this the next start subscribes once more, which does no harm.
            let _ = self.questions.subscribed(webhook, &self.settings.secret).await;
            tracing::debug!(webhook, "MAX brings what people say to the bot");
        }
        let others = known.iter().filter(|known| known.url != *webhook).count();
        if others > 0 && !*subscribed {
            tracing::warn!(others, "the bot has other webhooks, too; max-auth doctor --upstream names them");
        }
        *subscribed = true;
        Ok(())
    }
}
