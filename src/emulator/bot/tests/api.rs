//! What a bot asks, and how it is refused.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tokio::time::{Instant, advance};

use super::*;

#[tokio::test(start_paused = true)]
async fn only_a_bot_with_its_token_is_answered() {
    let emulator = emulator(bot_options(1));
    let told = request(&emulator, Request::get("/bot-api/me").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (told.status.as_u16(), told.json()),
        (401, json!({ "code": "verify.token", "message": "No access token" }))
    );
    let me = asked(&emulator, "GET", "/me?access_token=rubbish", Value::Null).await;
    assert_eq!(
        (me["user_id"].as_i64(), me["username"].as_str(), me["is_bot"].as_bool()),
        (Some(7), Some(NAME), Some(true))
    );
    assert_eq!(refused(&emulator, "GET", "/chats", Value::Null).await, (404, "not.found".to_owned()));
    assert_eq!(refused(&emulator, "POST", "/me", Value::Null).await, (405, "method.not.allowed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_bot_changes_what_it_says_of_itself() {
    let emulator = emulator(bot_options(1));
    let commands = json!({ "commands": [{ "name": "start", "description": "begin" }] });
    assert_eq!(asked(&emulator, "PATCH", "/me/commands", commands).await["commands"][0]["name"], "start");
    let changed =
        asked(&emulator, "PATCH", "/me", json!({ "description": "new", "user_id": 8, "commands": null })).await;
    assert_eq!((&changed["description"], &changed["user_id"]), (&json!("new"), &json!(7)));
    assert_eq!(changed["commands"][0]["name"], "start", "null changes nothing");
    let many: Vec<Value> = (0..33).map(|number| json!({ "name": format!("c{number}") })).collect();
    for bad in [json!({ "commands": many }), json!({ "commands": [{}] }), json!({ "commands": 1 }), json!([])] {
        assert_eq!(refused(&emulator, "PATCH", "/me", bad).await.0, 400);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_sent_changed_read_and_deleted() {
    let emulator = emulator(bot_options(1));
    act(&emulator, "start", "").await;
    let body = json!({ "text": "Войти?", "attachments": keyboard("yes") });
    let sent = asked(&emulator, "POST", &format!("/messages?user_id={ID}"), body).await["message"].clone();
    assert_eq!(sent["recipient"], json!({ "chat_id": CHAT, "chat_type": "dialog", "user_id": ID }));
    assert_eq!((sent["sender"]["user_id"].as_i64(), sent["timestamp"].as_i64()), (Some(7), Some(NOW)));
    assert!(sent["body"]["seq"].as_i64().unwrap() > 1 << 53, "MAX's are beyond what JavaScript counts exactly");
    let mid = sent["body"]["mid"].as_str().unwrap();
    assert_eq!(asked(&emulator, "GET", &format!("/messages/{mid}"), Value::Null).await, sent);
    let changed = asked(&emulator, "PUT", &format!("/messages?message_id={mid}"), json!({ "text": "Готово" })).await;
    assert_eq!(changed, json!({ "success": true }));
    let shown = look(&emulator, "dialog").await["messages"][0].clone();
    assert_eq!((&shown["text"], &shown["buttons"][0][0]["payload"]), (&json!("Готово"), &json!("yes")), "null keeps");
    advance(Duration::from_secs(1)).await;
    asked(&emulator, "PUT", &format!("/messages?message_id={mid}"), json!({ "attachments": [] })).await;
    assert_eq!(look(&emulator, "dialog").await["messages"][0]["buttons"], json!([]), "an empty list takes away");
    act(&emulator, "say", "hello").await;
    let list = asked(&emulator, "GET", &format!("/messages?chat_id={CHAT}"), Value::Null).await;
    let theirs = &list["messages"][0];
    assert_eq!((&theirs["sender"]["user_id"], &theirs["body"]["text"]), (&json!(ID), &json!("hello")), "newest first");
    let their_mid = theirs["body"]["mid"].as_str().unwrap();
    let denied = refused(&emulator, "DELETE", &format!("/messages?message_id={their_mid}"), Value::Null).await;
    assert_eq!(denied, (403, "access.denied".to_owned()));
    asked(&emulator, "DELETE", &format!("/messages?message_id={mid}"), Value::Null).await;
    let both = format!("/messages?message_ids={mid},{their_mid}");
    assert_eq!(asked(&emulator, "GET", &both, Value::Null).await["messages"].as_array().unwrap().len(), 1);
    for path in ["/messages/mid.nothing", "/messages?chat_id=1", "/chats/1"] {
        assert_eq!(refused(&emulator, "GET", path, Value::Null).await.0, 404, "{path}");
    }
    assert_eq!(asked(&emulator, "GET", &format!("/chats/{CHAT}"), Value::Null).await["type"], "dialog");
    let typing = json!({ "action": "typing_on" });
    assert_eq!(asked(&emulator, "POST", &format!("/chats/{CHAT}/actions"), typing).await["success"], true);
}

#[tokio::test(start_paused = true)]
async fn who_did_not_start_it_or_stopped_it_cannot_be_written_to() {
    let emulator = emulator(bot_options(1));
    let (path, body) = (format!("/messages?user_id={ID}"), json!({ "text": "x" }));
    assert_eq!(refused(&emulator, "POST", &path, body.clone()).await, (404, "dialog.not.found".to_owned()));
    act(&emulator, "person", r#"{"mayBeWrittenFirst":true}"#).await;
    assert_eq!(ask(&emulator, "POST", &path, body.clone()).await.status, 200, "no source says, so it can be switched");
    act(&emulator, "start", "").await;
    act(&emulator, "stop", "").await;
    let told = ask(&emulator, "POST", &path, body.clone()).await;
    let denied = json!({ "code": "chat.denied", "message": "error.dialog.suspended" });
    assert_eq!((told.status.as_u16(), told.json()), (403, denied));
    for (path, code) in [("/messages?chat_id=5", 404), ("/messages", 400), ("/messages?user_id=x", 400)] {
        assert_eq!(refused(&emulator, "POST", path, body.clone()).await.0, code, "{path}");
    }
    assert_eq!(refused(&emulator, "POST", &path, json!({ "text": "" })).await, (400, "proto.payload".to_owned()));
    assert_eq!(refused(&emulator, "POST", &path, json!({ "text": "x".repeat(4001) })).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_asks_too_often_is_told_so() {
    let emulator = emulator(bot_options(1));
    act(&emulator, "start", "").await;
    act(&emulator, "start?person=9", "").await;
    let (mine, yours) = (format!("/messages?user_id={ID}"), "/messages?user_id=9");
    let body = json!({ "text": "x" });
    let send = async |path: &str| ask(&emulator, "POST", path, body.clone()).await;
    assert_eq!((send(&mine).await.status, send(&mine).await.status), (StatusCode::OK, StatusCode::OK));
    let third = send(&mine).await;
    assert_eq!((third.status.as_u16(), third.json()["code"].as_str()), (429, Some("too.many.requests")));
    assert!(!third.headers.contains_key("retry-after"), "MAX was not seen to say when");
    assert_eq!(send(yours).await.status, 200, "another chat");
    advance(Duration::from_secs(1)).await;
    assert_eq!(send(&mine).await.status, 200);
    for _ in 0..29 {
        assert_eq!(ask(&emulator, "GET", "/me", Value::Null).await.status, 200);
    }
    assert_eq!(ask(&emulator, "GET", "/me", Value::Null).await.status, 429, "30 a second in all");
    script(&emulator, json!({ "limits": false })).await;
    assert_eq!(ask(&emulator, "GET", "/me", Value::Null).await.status, 200);
    let stats = look(&emulator, "stats").await;
    assert_eq!((&stats["refused"]["429"], &stats["requests"]["send"]), (&json!(2), &json!(5)));
}

#[tokio::test(start_paused = true)]
async fn answers_go_wrong_on_command() {
    let emulator = emulator(bot_options(1));
    act(&emulator, "start", "").await;
    script(
        &emulator,
        json!({ "faults": [
            { "on": "me", "do": "empty" },
            { "on": "me", "do": "html" },
            { "on": "me", "do": "refuse", "status": 429, "retryAfter": 7 },
            { "on": "me", "do": "refuse" },
            { "on": "me", "do": "delay", "ms": 5000 },
            { "on": "me", "do": "slow-body", "ms": 4000 },
            { "on": "send", "do": "unsuccessful", "code": "chat.denied", "message": "no" },
            { "on": "send", "do": "cut" },
        ] }),
    )
    .await;
    let me = async || ask(&emulator, "GET", "/me", Value::Null).await;
    assert_eq!(me().await.json(), json!({}));
    let page = me().await;
    assert_eq!((page.status.as_u16(), &page.headers["content-type"]), (502, &"text/html".parse().unwrap()));
    assert!(page.text.contains("<h1>502 Bad Gateway</h1>"));
    let later = me().await;
    assert_eq!((later.status.as_u16(), &later.headers["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!((me().await.status.as_u16(), look(&emulator, "stats").await["faults"].as_i64()), (503, Some(4)));
    let begun = Instant::now();
    assert_eq!(me().await.status, 200);
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(me().await.json()["user_id"], 7);
    assert!(begun.elapsed() >= Duration::from_secs(8), "{:?}", begun.elapsed());
    let path = format!("/messages?user_id={ID}");
    let no = ask(&emulator, "POST", &path, json!({ "text": "lost" })).await;
    let said = json!({ "success": false, "code": "chat.denied", "message": "no" });
    assert_eq!((no.status.as_u16(), no.json()), (200, said));
    let cut = ask(&emulator, "POST", &path, json!({ "text": "arrived" })).await;
    assert_eq!(cut.text, "", "the body does not come to its end");
    let dialog = look(&emulator, "dialog").await;
    let texts: Vec<&str> = dialog["messages"].as_array().unwrap().iter().filter_map(|m| m["text"].as_str()).collect();
    assert_eq!(texts, ["arrived"], "what is cut had its effect, what is refused had none");
}
