//! What MAX brings: it is told at once that it arrived, and worked on after.

use super::{Official, update};
use serde_json::Value;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// Why an update is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Whoever brought it does not know the secret.
    Secret,
    /// Not JSON.
    Shape,
    /// Too many are being worked on: MAX brings it again.
    Busy,
}

impl Official {
    /// Where MAX brings updates, if it does.
    pub fn webhook(&self) -> Option<&str> {
        self.settings.webhook.as_deref()
    }

    /// One update, with what came in `X-Max-Bot-Api-Secret`.
    pub fn receive(self: &Arc<Self>, secret: Option<&[u8]>, body: &[u8]) -> Result<(), Refused> {
        let known: bool = secret.is_some_and(|secret| secret.ct_eq(self.settings.secret.as_bytes()).into());
        if !known {
            metrics::counter!("max_auth_bot_updates_refused_total").increment(1);
            if let Some(times) = self.strangers.due() {
                tracing::warn!(
                    times,
                    "somebody brought an update without the secret of our subscription: a stranger, or MAX by a subscription that \
                     another program made"
                );
            }
            return Err(Refused::Secret);
        }
        let update: Value = serde_json::from_slice(body).map_err(|_| Refused::Shape)?;
        self.take(&update).then_some(()).ok_or(Refused::Busy)
    }

    /// False where there is no room.
    pub(super) fn take(self: &Arc<Self>, update: &Value) -> bool {
        metrics::counter!("max_auth_bot_updates_total", "kind" => update::kind(update)).increment(1);
        let Some(update) = update::read(update) else { return true };
        let Ok(place) = Arc::clone(&self.updates).try_acquire_owned() else { return false };
        let official = Arc::clone(self);
        self.tasks.spawn("bot-update", async move {
            // A store that cannot be asked does not silence the bot: each step is decided once by itself.
            if official.questions.is_first("update", &update.name).await.unwrap_or(true) {
                official.hear(update).await;
            } else {
                metrics::counter!("max_auth_bot_updates_repeated_total").increment(1);
            }
            drop(place);
        });
        true
    }
}
