//! The driver against the emulator, over pipes that are as long as the way to MAX and on a paused clock.

mod endings;
mod memory;
mod pipe;
mod spares;

use super::AccountQr;
use crate::base::clock::Clock;
use crate::base::limits::UPSTREAM_MESSAGE;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::base::websocket;
use crate::config::{Config, Dialect, Endpoint, Flags};
use crate::drivers::OpenLogins;
use crate::emulator::{Emulator, Options};
use crate::signin::{Asked, CommandSlot, Driver as _, DriverEvent, EventSink, Outcome};
use crate::upstream::{ConnectError, Dial, Dialling};
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use pipe::pipe;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// There and back.
const ROUND_TRIP: Duration = Duration::from_millis(40);

/// MAX, and the way to it: TCP and TLS take a round trip each, the rest goes over a pipe.
struct Max {
    emulator: Arc<Emulator>,
    tasks: Tasks,
    rng: Rng,
    dialled: AtomicUsize,
    refuses: AtomicBool,
    lines: Mutex<Vec<CancellationToken>>,
}

impl Dial for Max {
    fn dial<'a>(&'a self, endpoint: &'a Endpoint, user_agent: &'a str) -> Dialling<'a> {
        Box::pin(async move {
            self.dialled.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(ROUND_TRIP).await;
            if self.refuses.load(Ordering::SeqCst) {
                return Err(ConnectError::Tcp("refused".to_owned()));
            }
            tokio::time::sleep(ROUND_TRIP).await;
            let line = CancellationToken::new();
            let (ours, theirs) = pipe(&self.tasks, ROUND_TRIP / 2, line.clone());
            self.lines.lock().unwrap().push(line);
            let (emulator, router) = (Arc::clone(&self.emulator), self.emulator.router());
            self.tasks.spawn("max", async move { emulator.serve_connection(router, theirs).await });
            let headers = [("Origin", "https://web.max.ru"), ("User-Agent", user_agent)];
            let ours: Box<dyn crate::upstream::ByteStream> = Box::new(ours);
            let connected = websocket::connect(ours, &endpoint.url, &headers, &self.rng, UPSTREAM_MESSAGE).await;
            connected.map(|connected| connected.socket).map_err(|error| ConnectError::Upgrade(error.to_string()))
        })
    }
}

impl Max {
    /// All connections break.
    fn cut(&self) {
        self.lines.lock().unwrap().drain(..).for_each(|line| line.cancel());
    }

    async fn phone(&self, request: Request<Body>) -> Value {
        let answer = self.emulator.phone_router().oneshot(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap_or_default()
    }

    async fn fault(&self, fault: Value) {
        let script = json!({ "faults": [fault] }).to_string();
        assert_eq!(self.phone(Request::post("/phone/fault").body(Body::from(script)).unwrap()).await, Value::Null);
    }

    async fn stat(&self, name: &str) -> u64 {
        self.phone(Request::get("/phone/stats").body(Body::empty()).unwrap()).await[name].as_u64().unwrap()
    }

    async fn logins_and_logouts(&self) -> (u64, u64) {
        (self.stat("logins").await, self.stat("logouts").await)
    }
}

struct Site {
    max: Arc<Max>,
    driver: AccountQr,
    tasks: Tasks,
    open: OpenLogins,
}

impl Site {
    /// MAX approves each code at its nth question (0: never), and is asked every 100 ms.
    fn new(approve_after: u32) -> Self {
        let (clock, rng) = (Clock::fixed(1_787_333_000_000), Rng::seeded(3));
        let (tasks, open) = (Tasks::new(), OpenLogins::default());
        let options = Options { approve_after, poll: Duration::from_millis(100), ..Options::default() };
        let beyond = Tasks::new();
        let max = Arc::new(Max {
            emulator: Emulator::new(options, clock.clone(), rng.clone(), beyond.clone()),
            tasks: beyond,
            rng: rng.clone(),
            dialled: AtomicUsize::default(),
            refuses: AtomicBool::default(),
            lines: Mutex::default(),
        });
        let mut config = Config::load(&Flags::default()).unwrap().config;
        let endpoint = |url: &str| Endpoint { url: url.parse().unwrap(), dialect: Dialect::Binary };
        config.upstream.endpoints = vec![endpoint("ws://max.test/websocket")];
        let dial = Arc::clone(&max) as Arc<dyn Dial>;
        let driver = AccountQr::over(dial, &config.upstream, &config.login, (clock, rng, tasks.clone()), open.clone());
        Self { max, driver, tasks, open }
    }

    async fn sign_in(&self) -> Outcome {
        self.driver.run(Asked::by_nobody(&Rng::seeded(1)), &Nobody, &CommandSlot::default()).await
    }

    /// Within a minute, which costs nothing here.
    async fn eventually(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..6000 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not in a minute: {what}");
    }
}

struct Nobody;

impl EventSink for Nobody {
    fn emit(&self, _: DriverEvent) {}
}
