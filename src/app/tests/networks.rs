//! What is learned of the network of a visitor, and of nobody in particular.

use super::{Site, VISITOR, ask};
use serde_json::json;

const BASE: &str = "/api/auth/max";
const BEGIN: &str = "Origin: https://example.ru\nContent-Type: application/json";
const BODY: &str = r#"{"userAgent":{}}"#;

async fn learned(site: &Site) -> serde_json::Value {
    ask(&site.ops, "GET /networks").await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_and_frozen_lines_are_counted_by_the_network_of_the_peer() {
    let site = Site::new(None, |_| {}).await;
    let nothing = learned(&site).await;
    assert_eq!((&nothing["seen"], &nothing["networks"]), (&json!(0), &json!([])));
    // Nobody is believed who says to be a proxy.
    let begun = site.ask(&format!("POST {BASE}\n{BEGIN}\nX-Forwarded-For: 198.51.100.7\n\n{BODY}")).await;
    let (login, cookie) = (begun.json()["login"].as_str().unwrap().to_owned(), begun.cookie());
    let events = format!("GET {BASE}/{login}/events?wait=0&failed=");
    let reported = async |failed: &str, cookie: &str| {
        let asked = format!("{events}{failed}\nAccept: application/json\nCookie: {cookie}");
        site.ask(&asked).await.status.as_u16()
    };
    assert_eq!(reported("ws.hang", &cookie).await, 200);
    assert_eq!(reported("ws.frozen", "maxauth-flow=another").await, 404, "a stranger is not heard");
    let day = async || learned(&site).await["networks"][0]["day"].clone();
    assert_eq!((day().await["logins"].clone(), day().await["frozen"].clone()), (json!(1), json!(0)));
    assert_eq!((reported("ws.frozen", &cookie).await, reported("page.frozen", &cookie).await), (200, 200));
    let seen = learned(&site).await;
    assert_eq!((&seen["seen"], &seen["networks"][0]["network"]), (&json!(1), &json!("203.0.0.0/16")));
    assert!(VISITOR.starts_with("203.0.") && seen["networks"][0]["inside"] == json!(false));
    assert_eq!((day().await["logins"].clone(), day().await["frozen"].clone()), (json!(1), json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_streams_of_phones_say_nothing_of_their_network() {
    let site = Site::new(None, |_| {}).await;
    let counts = async || {
        let day = learned(&site).await["networks"][0]["day"].clone();
        (day["logins"].as_u64(), day["streams"].as_u64())
    };
    let stream = async |agent: &str| {
        let asked = format!("POST {BASE}\n{BEGIN}\nAccept: text/event-stream\nUser-Agent: {agent}\n\n{BODY}");
        assert!(site.ask(&asked).await.body.contains("event: status"), "{agent}");
    };
    stream("Mozilla/5.0 (Linux; Android 14) Chrome/120.0 Mobile Safari/537.36").await;
    assert_eq!(counts().await, (Some(1), Some(0)));
    stream("Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0 Safari/537.36").await;
    assert_eq!(counts().await, (Some(2), Some(1)));
}
