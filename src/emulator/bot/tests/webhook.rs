//! Webhooks, over real sockets of this machine and on a clock that is so much faster that nothing is waited for.

use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;

/// A subscriber: what came, with the secret of each, and what it answers, one status after the other, then 200.
struct Hook {
    url: String,
    came: watch::Receiver<Vec<(Value, String)>>,
}

struct Receiver {
    answers: Mutex<Vec<u16>>,
    came: watch::Sender<Vec<(Value, String)>>,
}

impl Hook {
    async fn new(emulator: &Arc<Emulator>, answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (tell, came) = watch::channel(Vec::new());
        let answers = Mutex::new(answers.iter().rev().copied().collect());
        let router = Router::new().route("/hook", post(hear)).with_state(Arc::new(Receiver { answers, came: tell }));
        emulator.tasks.spawn("test-hook", async move { axum_serve(listener, router).await });
        Self { url, came }
    }

    /// Once so many have come.
    async fn heard(&mut self, many: usize) -> Vec<(Value, String)> {
        let came = self.came.wait_for(|came| came.len() >= many);
        timeout(Duration::from_secs(20), came).await.unwrap().unwrap().clone()
    }
}

async fn hear(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: String) -> StatusCode {
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    let secret = headers.get("x-max-bot-api-secret").map(|secret| secret.to_str().unwrap().to_owned());
    receiver.came.send_modify(|came| came.push((serde_json::from_str(&body).unwrap(), secret.unwrap_or_default())));
    StatusCode::from_u16(receiver.answers.lock().unwrap().pop().unwrap_or(200)).unwrap()
}

async fn axum_serve(listener: TcpListener, router: Router) {
    use hyper::server::conn::http1;
    use hyper_util::rt::TokioIo;
    use hyper_util::service::TowerToHyperService;
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(router.clone());
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }
}

async fn subscribe(emulator: &Arc<Emulator>, body: Value) {
    assert_eq!(asked(emulator, "POST", "/subscriptions", body).await, json!({ "success": true }));
}

/// The counters, once `done` holds of them.
async fn settled(emulator: &Arc<Emulator>, done: impl Fn(&Value) -> bool) -> Value {
    let settling = async {
        loop {
            let stats = look(emulator, "stats").await;
            if done(&stats["webhook"]) {
                return stats;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), settling).await.expect("the counters settle")
}

#[tokio::test]
async fn each_subscription_gets_a_copy_of_what_it_wants() {
    let emulator = emulator(bot_options(1));
    let (mut all, mut some) = (Hook::new(&emulator, &[]).await, Hook::new(&emulator, &[]).await);
    subscribe(&emulator, json!({ "url": all.url, "secret": "s3cret" })).await;
    subscribe(&emulator, json!({ "url": some.url, "update_types": ["message_created"] })).await;
    act(&emulator, "start/p", "").await;
    act(&emulator, "say", "x").await;
    let heard = all.heard(2).await;
    let kinds: Vec<&str> = heard.iter().map(|(update, _)| update["update_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["bot_started", "message_created"], "in the order of the dialogue");
    assert!(heard.iter().all(|(_, secret)| secret == "s3cret"));
    let heard = some.heard(1).await;
    assert_eq!((heard.len(), &heard[0].0["update_type"], heard[0].1.as_str()), (1, &json!("message_created"), ""));
    let stats = settled(&emulator, |webhook| webhook["delivered"] == 3).await;
    assert_eq!((&stats["webhook"]["tries"], stats["subscriptions"].as_array().unwrap().len()), (&json!(3), 2));
    assert_eq!(stats["subscriptions"][1]["update_types"], json!(["message_created"]));
    let path = format!("/subscriptions?url={}", all.url);
    assert_eq!(asked(&emulator, "DELETE", &path, Value::Null).await, json!({ "success": true }));
    assert_eq!(asked(&emulator, "DELETE", &path, Value::Null).await["success"], false);
}

#[tokio::test]
async fn anything_but_200_is_tried_again_and_a_dialogue_does_not_wait_for_it() {
    let emulator = emulator(bot_options(600));
    let mut hook = Hook::new(&emulator, &[500, 204]).await;
    subscribe(&emulator, json!({ "url": hook.url })).await;
    act(&emulator, "start", "").await;
    act(&emulator, "say", "second").await;
    let heard = hook.heard(4).await;
    let mut kinds: Vec<&str> = heard.iter().map(|(update, _)| update["update_type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["bot_started", "message_created"]);
    kinds.sort_unstable();
    assert_eq!(kinds, ["bot_started", "bot_started", "message_created", "message_created"]);
    let stats = settled(&emulator, |webhook| webhook["delivered"] == 2).await;
    assert_eq!((&stats["webhook"]["failed"], &stats["webhook"]["tries"]), (&json!(2), &json!(4)));
}

#[tokio::test]
async fn a_subscription_that_never_answers_is_removed_after_eight_hours() {
    // Eight hours in less than a second.
    let emulator = emulator(bot_options(40_000));
    let mut hook = Hook::new(&emulator, &[500; 20]).await;
    subscribe(&emulator, json!({ "url": hook.url })).await;
    act(&emulator, "start", "").await;
    let stats = settled(&emulator, |webhook| webhook["removed"] == 1 && webhook["pending"] == 0).await;
    assert_eq!((&stats["webhook"]["lost"], &stats["subscriptions"]), (&json!(1), &json!([])));
    let tries = hook.heard(2).await.len();
    assert!((5..=8).contains(&tries), "{tries}: before the eighth retry");
    act(&emulator, "say", "to a poll").await;
    assert_eq!(updates(&emulator).await.len(), 1);
}

#[tokio::test]
async fn deliveries_fail_and_answers_are_lost_on_command() {
    let emulator = emulator(bot_options(600));
    let mut hook = Hook::new(&emulator, &[]).await;
    subscribe(&emulator, json!({ "url": hook.url })).await;
    script(
        &emulator,
        json!({ "faults": [{ "on": "delivery", "do": "fail" }, { "on": "delivery", "do": "answer-lost" }] }),
    )
    .await;
    act(&emulator, "start", "").await;
    assert_eq!(hook.heard(2).await.len(), 2, "what was answered in vain comes again");
    let stats = settled(&emulator, |webhook| webhook["delivered"] == 1).await;
    let recent = stats["webhook"]["recent"].as_array().unwrap();
    assert_eq!(recent.iter().map(|one| one["status"].as_u64()).collect::<Vec<_>>(), [None, Some(200), Some(200)]);
}

#[tokio::test]
async fn a_subscription_is_refused_in_two_ways() {
    let emulator = emulator(bot_options(1));
    let malformed = json!({ "url": "https://site.example/hook", "secret": "x y z 1" });
    assert_eq!(refused(&emulator, "POST", "/subscriptions", malformed).await, (400, "proto.payload".to_owned()));
    for url in ["http://site.example/hook", "https://site.example:8443/hook"] {
        let told = asked(&emulator, "POST", "/subscriptions", json!({ "url": url })).await;
        assert_eq!((&told["success"], told["code"].is_string()), (&json!(false), true), "{url}");
    }
    assert_eq!(refused(&emulator, "DELETE", "/subscriptions", Value::Null).await.0, 400);
}
