//! What there is to say of a bot to its operator: for `max-auth doctor --upstream`.

use super::Official;

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct Examined {
    pub what: &'static str,
    /// What is fine, or what is wrong.
    pub told: Result<String, String>,
}

impl Official {
    /// The token, the name, the subscription, in this order; what follows from one that is wrong is not asked.
    pub async fn examine(&self) -> Vec<Examined> {
        let mut all = Vec::new();
        let mut say = |what, told| all.push(Examined { what, told });
        let me = match self.api.me().await {
            Ok(me) => me,
            Err(error) => {
                say("token", Err(error.to_string()));
                return all;
            }
        };
        let name = me.username.unwrap_or_default();
        say("token", Ok(format!("MAX knows the bot as {name:?}, user {}", me.user_id)));
        let link = format!("https://max.ru/{}?start=…", self.settings.bot);
        say(
            "deep link",
            match name.is_empty() || name.eq_ignore_ascii_case(&self.settings.bot) {
                true => Ok(link),
                false => Err(format!("{link} leads to another bot: the token is that of {name:?} (driver.bot.name)")),
            },
        );
        let Some(webhook) = self.settings.webhook.as_ref().filter(|_| self.settings.has_bot) else { return all };
        match self.api.subscriptions().await {
            Err(error) => say("subscription", Err(error.to_string())),
            Ok(known) => {
                let others: Vec<&str> =
                    known.iter().map(|known| known.url.as_str()).filter(|url| url != webhook).collect();
                say(
                    "subscription",
                    match known.len() > others.len() {
                        true => Ok(format!("MAX brings updates to {webhook}")),
                        false => Err(format!(
                            "MAX does not bring updates to {webhook}: max-auth serve makes the subscription at its start and every \
                         driver.bot.check_every; somebody else with this token takes it away"
                        )),
                    },
                );
                if !others.is_empty() {
                    let others = others.join(", ");
                    say("other subscriptions", Err(format!("each update goes there, too: {others}")));
                }
            }
        }
        all
    }
}
