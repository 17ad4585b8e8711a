//! An update on its way: to each subscription that wants it, or into the list that polls read.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::fault::{Effect, On};
use super::stats::Delivery;
use super::subscriptions::Id;
use super::{Bot, State, events, post, schedule};

/// Updates on their way to subscriptions; past it further ones are lost, and counted.
const PENDING: usize = 10_000;

/// Updates that wait for the next one to go first.
const HELD: usize = 16;

/// A scaled clock leaves a receiver this much at least.
const SHORTEST_ANSWER_TIME: Duration = Duration::from_secs(1);

/// Something happened in a person's dialogue. What the fault script says of updates is done to it here.
pub(super) fn emit(bot: &Arc<Bot>, state: &mut State, person: i64, update: Value) {
    let mut batch = Vec::new();
    match state.faults.take(On::Update) {
        Some(Effect::Drop) => return,
        Some(Effect::Hold(time)) => {
            let later = Arc::clone(bot);
            bot.tasks.spawn("emulator-held-update", async move {
                tokio::select! {
                    () = later.tasks.stopping() => {}
                    () = sleep(time) => hand_over(&later, &mut later.state(), person, update),
                }
            });
            return;
        }
        Some(Effect::Reorder) if state.held.len() < HELD => {
            state.held.push((person, update));
            return;
        }
        Some(Effect::Duplicate) => batch.extend([update.clone(), update]),
        Some(effect) => batch.extend(shaped(bot, state, person, update, &effect)),
        None => batch.push(update),
    }
    for update in batch {
        hand_over(bot, state, person, update);
    }
    for (person, update) in std::mem::take(&mut state.held) {
        hand_over(bot, state, person, update);
    }
}

/// The update as the script wants it, and what goes before it.
fn shaped(bot: &Bot, state: &mut State, person: i64, mut update: Value, effect: &Effect) -> Vec<Value> {
    let now_ms = bot.clock.unix_ms();
    match effect {
        Effect::Unknown => {
            let unknown = state.people.known(person).map(|person| events::unknown(person, now_ms));
            return unknown.into_iter().chain([update]).collect();
        }
        Effect::BotAdded => return vec![events::bot_added(now_ms), update],
        Effect::UnknownFields => {
            update["shard"] = json!({ "zone": "m9", "hops": [1, 2] });
            for user in users(&mut update) {
                user["badge"] = json!(["new", null]);
            }
        }
        Effect::Bare => {
            remove(&mut update, &["user_locale"]);
            for user in users(&mut update) {
                remove(user, &["username", "last_name", "avatar_url", "full_avatar_url", "name"]);
            }
        }
        Effect::NullPayload if update.get("payload").is_none() => update["payload"] = Value::Null,
        Effect::EmptyPayload if update.get("payload").is_none() => update["payload"] = "".into(),
        Effect::NoMessage if update.get("callback").is_some() => update["message"] = Value::Null,
        Effect::UserIdMoved => {
            if update.get("user_id").is_some() {
                remove(&mut update, &["user_id"]);
            } else {
                update["user_id"] = person.into();
            }
        }
        _ => {}
    }
    vec![update]
}

/// The objects `User` of an update.
fn users(update: &mut Value) -> Vec<&mut Value> {
    let is_callback = update.get("callback").is_some();
    let is_message = update.get("message").is_some() && !is_callback;
    let path = match (is_callback, is_message) {
        (true, _) => "/callback/user",
        (_, true) => "/message/sender",
        _ => "/user",
    };
    update.pointer_mut(path).into_iter().collect()
}

fn remove(value: &mut Value, names: &[&str]) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}

/// While there is a subscription, a poll gets nothing.
fn hand_over(bot: &Arc<Bot>, state: &mut State, person: i64, update: Value) {
    state.stats.updates += 1;
    if state.subscriptions.is_empty() {
        state.updates.push(update, bot.time());
        bot.news.send_modify(|count| *count += 1);
        return;
    }
    let kind = update["update_type"].as_str().unwrap_or_default().to_owned();
    let lanes: Vec<_> = state
        .subscriptions
        .wanting(&kind)
        .map(|subscription| (subscription.id, subscription.line_up(person)))
        .collect();
    for (id, (before, done)) in lanes {
        if state.stats.pending >= PENDING {
            state.stats.lost += 1;
            continue;
        }
        state.stats.pending += 1;
        let (sending, update, kind) = (Arc::clone(bot), update.to_string(), kind.clone());
        bot.tasks.spawn("emulator-webhook", async move {
            tokio::select! {
                () = sending.tasks.stopping() => {}
                () = deliver(&sending, id, (kind, update), (before, done)) => {}
            }
            sending.state().stats.pending -= 1;
        });
    }
}

/// Tries until it is answered with 200 or MAX gives it up.
async fn deliver(
    bot: &Bot,
    id: Id,
    (kind, update): (String, String),
    (before, done): (Option<CancellationToken>, CancellationToken),
) {
    if let Some(before) = before {
        before.cancelled().await;
    }
    let mut first = Some(done.drop_guard());
    let mut failures = 0;
    loop {
        let outcome = attempt(bot, id, &kind, &update, failures + 1).await;
        drop(first.take());
        let pause = {
            let (now, mut state) = (bot.time(), bot.state());
            match outcome {
                Outcome::Delivered => {
                    state.subscriptions.succeeded(id);
                    state.stats.delivered += 1;
                    return;
                }
                Outcome::Failed => failures += 1,
                Outcome::Unsubscribed => {
                    state.stats.lost += 1;
                    return;
                }
            }
            state.stats.failed += 1;
            let removal = state.subscriptions.failed(id, now).map(|at| at.saturating_sub(now));
            match (schedule::pause(failures), removal) {
                (Some(pause), Some(removal)) => pause.min(removal),
                _ => {
                    state.stats.lost += 1;
                    return;
                }
            }
        };
        sleep(bot.scaled(pause)).await;
        let (now, mut state) = (bot.time(), bot.state());
        if state.subscriptions.give_up(id, now) {
            state.stats.removed += 1;
        }
    }
}

enum Outcome {
    Delivered,
    Failed,
    Unsubscribed,
}

async fn attempt(bot: &Bot, id: Id, kind: &str, update: &str, attempt: u32) -> Outcome {
    let (url, secret, fault) = {
        let mut state = bot.state();
        let Some(subscription) = state.subscriptions.get(id) else { return Outcome::Unsubscribed };
        let (url, secret) = (subscription.url.clone(), subscription.secret.clone());
        state.stats.deliveries += 1;
        (url, secret, state.faults.take(On::Delivery))
    };
    let outcome = if fault == Some(Effect::Fail) {
        Err("not sent, on command".to_owned())
    } else {
        let time = bot.scaled(schedule::ANSWER_TIME).max(SHORTEST_ANSWER_TIME);
        post::post(&bot.options.trust, &url, secret.as_deref(), update.to_owned(), time).await
    };
    bot.state().stats.delivery(&Delivery { url: url.as_str(), kind, attempt, outcome: &outcome });
    match outcome {
        Ok(200) if fault != Some(Effect::AnswerLost) => Outcome::Delivered,
        _ => Outcome::Failed,
    }
}
