//! Asking for updates, for development: MAX keeps them for a day, and brings them once to whoever asks.

use super::Official;
use super::api::ApiError;
use super::update::KINDS;
use crate::base::backoff::Backoff;
use crate::base::repeat::OncePerMinute;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// MAX takes two questions a second; on a bad line some come closer together than they were sent.
const BETWEEN: Duration = Duration::from_millis(750);

/// After trouble.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Official {
    pub(super) async fn poll(self: &Arc<Self>) {
        let (mut marker, kinds, told) = (None, KINDS.join(","), OncePerMinute::default());
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let next = Instant::now() + BETWEEN;
            let (answer, retry_after) = self.api.updates(marker, &kinds).await;
            match answer {
                Ok(answer) => {
                    backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
                    for update in answer["updates"].as_array().into_iter().flatten() {
                        self.take_once_there_is_room(update).await;
                    }
                    // A marker that is not understood would bring everything again: the one before goes on.
                    marker = answer["marker"].as_i64().or(marker);
                }
                Err(error) => {
                    if let Some(times) = told.due() {
                        tracing::warn!(times, "MAX does not tell what people say to the bot: {error}");
                    }
                    let pause =
                        if matches!(error, ApiError::Token(_)) { LONGEST_PAUSE } else { backoff.wait(&self.rng) };
                    sleep(retry_after.map_or(pause, |after| after.clamp(pause, LONGEST_PAUSE))).await;
                }
            }
            sleep_until(next).await;
        }
    }

    async fn take_once_there_is_room(self: &Arc<Self>, update: &Value) {
        while !self.take(update) {
            sleep(BETWEEN).await;
        }
    }
}
