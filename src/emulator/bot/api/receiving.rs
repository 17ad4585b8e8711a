//! How a bot gets updates: subscriptions, and polls.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{Answer, Asked};
use crate::emulator::bot::Bot;
use crate::emulator::bot::fault::Effect;
use crate::emulator::bot::subscriptions::{Refused, Wanted};
use crate::emulator::bot::updates;

/// What the API takes, and what the server makes of it at most.
const LIMITS: std::ops::RangeInclusive<i64> = 1..=1000;
const MOST_UPDATES: i64 = 100;
const TIMEOUTS: std::ops::RangeInclusive<i64> = 0..=90;
const LONGEST_POLL: i64 = 30;

pub(super) fn subscriptions(bot: &Bot) -> Answer {
    Answer::fine(json!({ "subscriptions": bot.state().subscriptions.told() }))
}

pub(super) fn subscribe(bot: &Bot, asked: &Asked) -> Result<Answer, Answer> {
    let body = Value::Object(asked.object()?);
    let wanted = match Wanted::read(&body) {
        Ok(wanted) => wanted,
        Err(Refused::Malformed(why)) => return Err(Answer::malformed(&why)),
        Err(Refused::Address(why)) => return Err(Answer::unsuccessful("subscription.url.invalid", &why)),
    };
    if bot.state().subscriptions.add(wanted, bot.clock.unix_ms()) {
        Ok(Answer::success())
    } else {
        Err(Answer::unsuccessful("subscription.limit", "Too many subscriptions"))
    }
}

pub(super) fn unsubscribe(bot: &Bot, asked: &Asked) -> Result<Answer, Answer> {
    let Some(url) = asked.parameter("url") else { return Err(Answer::malformed("url: is required")) };
    if bot.state().subscriptions.remove(url) {
        Ok(Answer::success())
    } else {
        Err(Answer::unsuccessful("subscription.not.found", "No subscription has this url"))
    }
}

/// Waits until there is something, or until the time is over. While there is a subscription nothing comes.
pub(super) async fn updates(bot: &Bot, asked: &Asked, effect: Option<&Effect>) -> Result<Answer, Answer> {
    if !bot.state().rates.poll(bot.clock.monotonic()) {
        return Err(Answer::too_many());
    }
    let limit = asked.number("limit")?.unwrap_or(MOST_UPDATES);
    let seconds = asked.number("timeout")?.unwrap_or(LONGEST_POLL);
    if !LIMITS.contains(&limit) || !TIMEOUTS.contains(&seconds) {
        return Err(Answer::malformed("limit: 1 to 1000, timeout: 0 to 90"));
    }
    let types = asked.parameter("types").unwrap_or_default();
    let wanted = updates::Asked {
        marker: asked.number("marker")?,
        limit: usize::try_from(limit.min(MOST_UPDATES)).unwrap_or(1),
        types: types.split(',').filter(|kind| !kind.is_empty()).map(str::to_owned).collect(),
    };
    let until = Instant::now() + Duration::from_secs(seconds.min(LONGEST_POLL).unsigned_abs());
    let mut news = bot.news.subscribe();
    loop {
        news.mark_unchanged();
        let (found, marker) = {
            let mut state = bot.state();
            let (found, marker) = state.updates.read(&wanted, bot.time());
            if state.subscriptions.is_empty() { (found, marker) } else { (Vec::new(), wanted.marker.unwrap_or(marker)) }
        };
        let is_over = found.is_empty() && timeout_at(until, news.changed()).await.is_err();
        if is_over || !found.is_empty() {
            let mut body = json!({ "updates": found, "marker": marker });
            match effect {
                Some(Effect::MarkerStuck) => body["marker"] = wanted.marker.into(),
                Some(Effect::MarkerLost) => body["marker"] = Value::Null,
                _ => {}
            }
            return Ok(Answer::fine(body));
        }
    }
}
