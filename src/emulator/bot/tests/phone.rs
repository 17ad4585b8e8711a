//! What people do, and what a bot hears of it.

use serde_json::{Value, json};

use super::*;

fn kinds(updates: &[Value]) -> Vec<&str> {
    updates.iter().filter_map(|update| update["update_type"].as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_link_is_an_event_only_for_who_has_not_started() {
    let emulator = emulator(bot_options(1));
    assert_eq!(act(&emulator, "start/one", "").await["event"], "bot_started");
    assert_eq!(act(&emulator, "start/two", "").await["event"], Value::Null);
    assert_eq!(act(&emulator, "stop", "").await["event"], "bot_stopped");
    assert_eq!(act(&emulator, "stop", "").await["event"], Value::Null);
    assert_eq!(act(&emulator, "start/three", "").await["event"], "bot_started");
    let heard = updates(&emulator).await;
    assert_eq!(kinds(&heard), ["bot_started", "bot_stopped", "bot_started"]);
    let [one, stopped, three] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((&one["payload"], &three["payload"]), (&json!("one"), &json!("three")));
    assert_eq!((&one["chat_id"], &one["user"]["user_id"], &one["user_id"]), (&json!(CHAT), &json!(ID), &json!(ID)));
    assert_eq!((one["timestamp"].as_i64(), one["user_locale"].as_str()), (Some(NOW), Some("ru")));
    assert!(one["user"].get("username").is_none() && one["user"]["avatar_url"].is_string());
    assert!(stopped.get("user_id").is_none() && stopped.get("payload").is_none());
}

#[tokio::test(start_paused = true)]
async fn without_a_link_or_with_too_long_a_payload_the_key_is_missing() {
    let emulator = emulator(bot_options(1));
    act(&emulator, "start?person=1", "").await;
    act(&emulator, &format!("start/{}?person=2", "x".repeat(129)), "").await;
    act(&emulator, &format!("start/{}?person=3", "x".repeat(128)), "").await;
    let heard = updates(&emulator).await;
    assert_eq!(heard.iter().map(|update| update.get("payload").is_some()).collect::<Vec<_>>(), [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_press_carries_the_whole_message_and_its_answer_changes_it() {
    let emulator = emulator(bot_options(1));
    act(&emulator, "start", "").await;
    let body = json!({ "text": "?", "attachments": keyboard("да/1") });
    let sent = asked(&emulator, "POST", &format!("/messages?chat_id={CHAT}"), body).await["message"].clone();
    let pressed = act(&emulator, "press/%D0%B4%D0%B0%2F1", "").await;
    let heard = updates(&emulator).await;
    let update = heard.last().unwrap();
    assert_eq!((&update["update_type"], &update["message"]), (&json!("message_callback"), &sent));
    let callback = &update["callback"];
    assert_eq!((&callback["payload"], &callback["user"]["user_id"]), (&json!("да/1"), &json!(ID)));
    let id = callback["callback_id"].as_str().unwrap();
    assert_eq!((id.len(), pressed["callbackId"].as_str()), (120, Some(id)));
    let path = format!("/answers?callback_id={id}");
    let answer = json!({ "notification": "ok", "message": { "text": "done", "attachments": [] } });
    assert_eq!(asked(&emulator, "POST", &path, answer).await, json!({ "success": true }));
    let dialog = look(&emulator, "dialog").await;
    assert_eq!((&dialog["notice"], &dialog["messages"][0]["text"]), (&json!("ok"), &json!("done")));
    assert_eq!(dialog["messages"][0]["buttons"], json!([]));
    let gone = act(&emulator, "press/%D0%B4%D0%B0%2F1", "").await;
    assert_eq!(gone["code"], "phone-cannot");
    assert_eq!(refused(&emulator, "POST", "/answers?callback_id=x", json!({})).await.0, 404);
    assert_eq!(refused(&emulator, "POST", &path, json!({ "message": 1 })).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_contact_has_no_text_and_a_hash_that_tells_a_forged_one() {
    let emulator = emulator(bot_options(1));
    assert_eq!(act(&emulator, "say", "early").await["code"], "phone-cannot", "there is no field to write in yet");
    act(&emulator, "start", "").await;
    act(&emulator, "say", "привет").await;
    for kind in ["own", "forwarded", "forged", "plain"] {
        act(&emulator, &format!("contact?kind={kind}"), "").await;
    }
    let heard = updates(&emulator).await;
    let text = &heard[1]["message"];
    assert_eq!((&text["body"]["text"], &text["recipient"]["chat_type"]), (&json!("привет"), &json!("dialog")));
    assert_eq!((&text["sender"]["user_id"], &text["recipient"]["user_id"]), (&json!(ID), &json!(7)));
    let mut found = Vec::new();
    for update in &heard[2..] {
        let body = &update["message"]["body"];
        assert_eq!((body["text"].is_null(), body.get("text").is_some()), (true, true), "null, and there");
        let payload = &body["attachments"][0]["payload"];
        let card = payload["vcf_info"].as_str().unwrap();
        assert!(card.ends_with("\r\nEND:VCARD\r\n"));
        let right = payload["hash"] == crate::emulator::bot::signatures::card(TOKEN, card).as_str();
        found.push((right, payload["max_info"]["user_id"] == ID, payload.get("hash").is_some()));
    }
    assert_eq!(found, [(true, true, true), (true, false, true), (false, true, true), (false, true, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_launch_is_signed_whatever_the_state_and_changes_nothing() {
    let emulator = emulator(bot_options(1));
    let launched = act(&emulator, "launch/aB3_-x", "").await;
    let (data, url) = (launched["initData"].as_str().unwrap(), launched["url"].as_str().unwrap());
    assert!(data.contains("&start_param=aB3_-x&") && data.contains("&ip=127.0.0.1&"), "{data}");
    assert!(
        url.starts_with("https://site.example/app#WebAppData=auth_date%3D") && url.contains("&WebAppVersion="),
        "{url}"
    );
    let longest = act(&emulator, &format!("launch/{}", "x".repeat(513)), "").await;
    assert!(!longest["initData"].as_str().unwrap().contains("start_param"));
    assert_eq!(look(&emulator, "dialog").await["standing"], "new");
    assert!(updates(&emulator).await.is_empty());
    let made = act(&emulator, "init-data?person=8", r#"{"kind":"no-chat","startParam":"s","ip":"198.51.100.7"}"#).await;
    let made = made["initData"].as_str().unwrap();
    assert!(made.contains("&ip=198.51.100.7&start_param=s&") && !made.contains("&chat="), "{made}");
    assert_eq!(act(&emulator, "init-data", r#"{"kind":"other"}"#).await["code"], "invalid-request");
    let contact = act(&emulator, "request-contact", "").await;
    let hash = crate::emulator::bot::signatures::phone(TOKEN, NOW / 1000, 79_991_234_567, ID);
    assert_eq!(contact, json!({ "phone": "79991234567", "authDate": NOW / 1000, "hash": hash }));
    assert_eq!(act(&emulator, "request-contact?kind=declined", "").await["code"], "phone-cannot");
}

#[tokio::test(start_paused = true)]
async fn a_person_is_somebody_else_on_command() {
    let emulator = emulator(bot_options(1));
    let changes = json!({
        "firstName": "Ян", "lastName": null, "username": "yan", "locale": null, "chatId": -5, "seq": 3, "phone": 79_000_000_001_i64,
    });
    assert_eq!(act(&emulator, "person", &changes.to_string()).await["name"], "Ян");
    act(&emulator, "start", "").await;
    act(&emulator, "say", "x").await;
    let heard = updates(&emulator).await;
    let (started, said) = (&heard[0], &heard[1]["message"]);
    assert_eq!((&started["chat_id"], &said["recipient"]["chat_id"]), (&json!(-5), &json!(-5)));
    assert_eq!((&started["user"]["username"], &started["user"]["last_name"]), (&json!("yan"), &json!("")));
    assert!(started.get("user_locale").is_none());
    assert_eq!(said["body"]["seq"], 3);
    assert_eq!(act(&emulator, "person?person=9", r#"{"chatId":-5}"#).await["code"], "invalid-request");
    assert_eq!(act(&emulator, "person", r#"{"name":"x"}"#).await["code"], "invalid-request");
}

#[tokio::test(start_paused = true)]
async fn a_scanned_link_is_kept_for_the_page() {
    let emulator = emulator(bot_options(1));
    assert_eq!(look(&emulator, "scan").await, json!({ "link": null, "kind": null, "payload": null }));
    let link = "https://max.ru/emulator_bot?startapp=abc";
    act(&emulator, "scan", &json!({ "link": link }).to_string()).await;
    assert_eq!(look(&emulator, "scan").await, json!({ "link": link, "kind": "startapp", "payload": "abc" }));
    let foreign = act(&emulator, "scan", r#"{"link":"https://max.ru/other_bot?start=a"}"#).await;
    assert_eq!(foreign["kind"], Value::Null);
    assert_eq!(act(&emulator, "scan", "link").await["code"], "invalid-request");
}
