//! Updates by polling, and what becomes of an update on its way.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_poll_waits_for_an_update_or_for_its_time() {
    let emulator = emulator(bot_options(1));
    let begun = Instant::now();
    let empty = asked(&emulator, "GET", "/updates?timeout=90&marker=1", Value::Null).await;
    assert_eq!(
        (empty, begun.elapsed()),
        (json!({ "updates": [], "marker": 1 }), Duration::from_secs(30)),
        "30 at most"
    );
    let poll = asked(&emulator, "GET", "/updates?types=bot_started&marker=1", Value::Null);
    let person = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        act(&emulator, "start/p", "").await;
    };
    let (found, ()) = tokio::join!(poll, person);
    assert_eq!((&found["updates"][0]["payload"], &found["marker"]), (&json!("p"), &json!(2)));
    assert_eq!(begun.elapsed(), Duration::from_secs(33));
    for bad in ["limit=0", "limit=1001", "timeout=91", "marker=x"] {
        assert_eq!(refused(&emulator, "GET", &format!("/updates?{bad}"), Value::Null).await.0, 400, "{bad}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    asked(&emulator, "GET", "/updates?timeout=0", Value::Null).await;
    asked(&emulator, "GET", "/updates?timeout=0", Value::Null).await;
    assert_eq!(refused(&emulator, "GET", "/updates", Value::Null).await.0, 429, "two a second");
}

#[tokio::test(start_paused = true)]
async fn a_marker_is_lost_or_stuck_on_command() {
    let emulator = emulator(bot_options(1));
    script(
        &emulator,
        json!({ "faults": [{ "on": "updates", "do": "marker-stuck" }, { "on": "updates", "do": "marker-lost" }] }),
    )
    .await;
    act(&emulator, "start", "").await;
    let poll = async || asked(&emulator, "GET", "/updates?marker=1&timeout=0", Value::Null).await;
    assert_eq!(poll().await["marker"], 1);
    assert_eq!(poll().await["marker"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn while_there_is_a_subscription_a_poll_gets_nothing() {
    let emulator = emulator(bot_options(1));
    act(&emulator, "start/before", "").await;
    asked(&emulator, "POST", "/subscriptions", json!({ "url": "https://site.invalid/hook" })).await;
    assert!(updates(&emulator).await.is_empty());
    script(&emulator, json!({ "forget": true })).await;
    assert_eq!(updates(&emulator).await[0]["payload"], "before");
    assert_eq!(asked(&emulator, "GET", "/subscriptions", Value::Null).await, json!({ "subscriptions": [] }));
}

#[tokio::test(start_paused = true)]
async fn an_update_is_lost_doubled_held_or_overtaken_on_command() {
    let emulator = emulator(bot_options(1));
    act(&emulator, "start", "").await;
    let texts = async || {
        let all = updates(&emulator).await;
        all.iter()
            .filter_map(|update| update["message"]["body"]["text"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    for fault in [
        json!({ "on": "update", "do": "drop" }),
        json!({ "on": "update", "do": "duplicate" }),
        json!({ "on": "update", "do": "reorder" }),
    ] {
        script(&emulator, json!({ "faults": [fault] })).await;
        act(&emulator, "say", &format!("first {}", fault["do"].as_str().unwrap())).await;
        act(&emulator, "say", "next").await;
    }
    script(&emulator, json!({ "faults": [{ "on": "update", "do": "hold", "ms": 1900 }] })).await;
    act(&emulator, "say", "late").await;
    act(&emulator, "say", "in time").await;
    let expected = ["next", "first duplicate", "first duplicate", "next", "next", "first reorder", "in time"];
    assert_eq!(texts().await, expected);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(texts().await.last().unwrap(), "late");
}

#[tokio::test(start_paused = true)]
async fn an_update_has_another_shape_on_command() {
    let emulator = emulator(bot_options(1));
    let shaped = async |fault: &str, act_: &str| {
        script(&emulator, json!({ "faults": [{ "on": "update", "do": fault }] })).await;
        act(&emulator, act_, "x").await;
        let all = asked(&emulator, "GET", "/updates?timeout=0", Value::Null).await;
        asked(&emulator, "GET", &format!("/updates?timeout=0&marker={}", all["marker"]), Value::Null).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        all["updates"].as_array().unwrap().clone()
    };
    assert_eq!(shaped("null-payload", "start").await[0].get("payload"), Some(&Value::Null));
    assert_eq!(shaped("user-id-moved", "stop").await[0]["user_id"], ID);
    assert!(shaped("user-id-moved", "start").await[0].get("user_id").is_none());
    shaped("drop", "stop").await;
    assert_eq!(shaped("empty-payload", "start").await[0]["payload"], "");
    let body = json!({ "text": "?", "attachments": keyboard("yes") });
    asked(&emulator, "POST", &format!("/messages?user_id={ID}"), body).await;
    let pressed = &shaped("no-message", "press/yes").await[0];
    assert_eq!((&pressed["callback"]["payload"], pressed.get("message")), (&json!("yes"), Some(&Value::Null)));
    let bare = &shaped("bare", "say").await[0];
    assert!(bare.get("user_locale").is_none() && bare["message"]["sender"].get("last_name").is_none(), "{bare}");
    let more = &shaped("unknown-fields", "say").await[0];
    assert!(more["shard"].is_object() && more["message"]["sender"]["badge"].is_array(), "{more}");
    let two = shaped("unknown", "say").await;
    assert_eq!((&two[0]["update_type"], &two[1]["update_type"]), (&json!("dialog_painted"), &json!("message_created")));
    let two = shaped("bot-added", "say").await;
    assert!(two[0]["update_type"] == "bot_added" && two[0].get("user").is_none(), "{two:?}");
}
