//! A browser and a server over an in-memory pipe, on a paused clock.

use super::*;
use crate::base::clock::Clock;
use crate::base::limits::BROWSER_MESSAGE;
use crate::base::origin::Origin;
use crate::base::rng::Rng;
use crate::base::websocket::server_socket;
use crate::login::{Admitted, Continuations, Grants, Purpose, Settings, StartParams};
use crate::probe::NetworkSeen;
use crate::signin::{
    Asked, BrowserInfo, Command, CommandSlot, Driver, DriverEvent, DriverName, Drivers, EventSink, Identity, Outcome,
    Run,
};
use crate::texts::{Locale, Texts};
use crate::transport::stream_stats::{StreamSource, StreamStats, StreamTransport};
use crate::transport::visitor_networks::network_of;
use tokio::io::DuplexStream;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::Role;
use url::Url;

/// Shows a code and is approved after a while.
struct Phone(Duration);

impl Driver for Phone {
    fn name(&self) -> &'static str {
        "test"
    }

    fn assurance(&self) -> &'static str {
        "a test"
    }

    fn run<'a>(&'a self, _: Asked, sink: &'a dyn EventSink, commands: &'a CommandSlot) -> Run<'a> {
        Box::pin(async move {
            sink.emit(DriverEvent::Connected);
            let link = "https://max.ru/:auth/x".to_owned();
            sink.emit(DriverEvent::Code { link, ttl: Duration::from_secs(120), expires_unix_ms: 0, text_code: None });
            let approved = sleep(self.0);
            tokio::pin!(approved);
            loop {
                tokio::select! {
                    () = &mut approved => break,
                    command = commands.next() => if let Command::Stop = command { return Outcome::Stopped },
                }
            }
            let name = "Иван".to_owned();
            Outcome::SignedIn(Identity {
                id: 7,
                first_name: None,
                name,
                last_name: None,
                phone: None,
                photo_url: None,
                driver: DriverName::AccountQr,
                apart: None,
            })
        })
    }
}

pub(in crate::transport) struct World {
    registry: Arc<Registry>,
    policy: Arc<StartPolicy>,
    pub tasks: Tasks,
}

const FLOW: &[u8] = b"flow";

struct NoApps;

impl Continuations for NoApps {
    fn admit<'a>(&'a self, _: &'a str, _: &'a crate::base::id::Fingerprint) -> Admitted<'a> {
        Box::pin(std::future::ready(Ok(false)))
    }
}

pub(in crate::transport) fn world(approved_after: u64) -> World {
    let (clock, rng, tasks) = (Clock::fixed(0), Rng::seeded(9), Tasks::new());
    let settings = Settings {
        ttl: Duration::from_secs(600),
        grace: Duration::from_secs(30),
        grace_phone: Duration::from_secs(30),
        max_active: 3,
        max_active_total: 0,
        callback: "https://example.ru/callback".into(),
        texts: Texts::ours(),
    };
    let grants = Arc::new(Grants::in_memory(&clock, &rng));
    let driver = Arc::new(Phone(Duration::from_secs(approved_after)));
    let surroundings = (clock.clone(), rng, tasks.clone());
    let registry = Arc::new(Registry::new(settings, Drivers::only(driver), grants, None, surroundings));
    let origins = vec![Origin::parse("https://example.ru").unwrap()];
    let policy = StartPolicy::new(
        (Arc::clone(&registry), Arc::new(NoApps)),
        0,
        Url::parse("https://example.ru").unwrap(),
        origins,
        "/".into(),
        Texts::ours(),
        clock,
    );
    World { registry, policy: Arc::new(policy), tasks }
}

pub(in crate::transport) type Browser = WebSocketStream<DuplexStream>;

impl World {
    fn context(&self, flow: &[u8]) -> Context {
        Context {
            policy: Arc::clone(&self.policy),
            registry: Arc::clone(&self.registry),
            tasks: self.tasks.clone(),
            first_message_timeout: Duration::from_secs(10),
            who: ClientAddress { ip: [192, 0, 2, 1].into(), unlisted_proxy: false },
            flow: Fingerprint::of(flow),
            is_phone: false,
            wish: Wish::default(),
        }
    }

    async fn browser(&self, flow: &[u8]) -> Browser {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let context = self.context(flow);
        self.tasks.spawn("server", async move {
            let tasks = context.tasks.clone();
            if let Some(opened) = begin(server_socket(ours, BROWSER_MESSAGE, None).await, context).await {
                serve(open(opened, tasks, guard())).await;
            }
        });
        WebSocketStream::from_raw_socket(theirs, Role::Client, None).await
    }

    /// A login and a socket that resumed it by URL.
    pub async fn resumed(&self, after: Option<Position>, heartbeat: Heartbeat) -> (Arc<Login>, Browser) {
        self.resumed_from(guard(), after, heartbeat).await
    }

    async fn resumed_from(
        &self,
        guard: StreamGuard,
        after: Option<Position>,
        heartbeat: Heartbeat,
    ) -> (Arc<Login>, Browser) {
        let start = StartParams {
            browser: BrowserInfo::default(),
            purpose: Purpose::Site { return_to: "/".into() },
            locale: Locale::En,
            flow: Fingerprint::of(FLOW),
            key: None,
            phone: false,
            network: None,
            driver: None,
            address: None,
        };
        let login = self.registry.start(start).await.unwrap();
        let reader = login.attach(Attach::Resume).unwrap();
        sleep(Duration::from_millis(1)).await;
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let tasks = self.tasks.clone();
        let wish = Wish { heartbeat, ..Wish::default() };
        self.tasks.spawn("server", async move {
            let socket = server_socket(ours, BROWSER_MESSAGE, None).await;
            serve(open(Opened { socket, reader, after, wish }, tasks, guard)).await;
        });
        (login, WebSocketStream::from_raw_socket(theirs, Role::Client, None).await)
    }
}

fn guard() -> StreamGuard {
    StreamGuard::new(Arc::default(), "test".into(), StreamTransport::WebSocket)
}

async fn say(browser: &mut Browser, text: &str) {
    browser.send(Message::text(text)).await.unwrap();
}

/// The story up to the close: event names, then code and reason.
async fn story(browser: &mut Browser) -> Vec<String> {
    let mut story = Vec::new();
    while let Some(message) = browser.next().await {
        match message {
            Ok(Message::Text(text)) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                story.push(event["event"].as_str().unwrap().to_owned());
            }
            Ok(Message::Ping(_)) => story.push("ping".to_owned()),
            Ok(Message::Close(Some(close))) => story.push(format!("{} {}", u16::from(close.code), close.reason)),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    story
}

const BEGIN: &str = r#"{"userAgent":{"deviceName":"Chrome"}}"#;

#[tokio::test(start_paused = true)]
async fn silence_is_closed_with_1002_and_not_before_its_time() {
    let world = world(1000);
    let began = Instant::now();
    let mut browser = world.browser(FLOW).await;
    assert_eq!(story(&mut browser).await, ["1002 No initial message received"]);
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_timer_ends_with_the_first_message() {
    let world = world(95);
    let mut browser = world.browser(FLOW).await;
    sleep(Duration::from_secs(9)).await;
    say(&mut browser, BEGIN).await;
    let story = story(&mut browser).await;
    let pings = story.iter().filter(|event| *event == "ping").count();
    assert_eq!(pings, 9, "one every 10 s: {story:?}");
    let events: Vec<_> = story.iter().filter(|event| *event != "ping").collect();
    assert_eq!(events, ["status", "status", "qr", "status", "success", "1000 "]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_first_message_is_closed_with_1003() {
    let world = world(1000);
    for message in [
        Message::text("garbage"),
        Message::text("[]"),
        Message::text(r#"{"userAgent":"x"}"#),
        Message::text(r#"{"wake":true}"#),
        Message::text(r#"{"userAgent":{},"returnTo":"//evil.example"}"#),
        Message::binary(BEGIN.as_bytes().to_vec()),
    ] {
        let mut browser = world.browser(FLOW).await;
        browser.send(message).await.unwrap();
        assert_eq!(story(&mut browser).await, ["1003 Invalid initial message"]);
    }
    let mut browser = world.browser(FLOW).await;
    say(&mut browser, &"x".repeat(BROWSER_MESSAGE + 1)).await;
    assert_eq!(story(&mut browser).await, ["1009 Message too big"]);
    assert_eq!(world.registry.active(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_first_message_resumes_only_in_the_browser_that_began() {
    let world = world(20);
    let (login, _other) = world.resumed(None, Heartbeat::Hidden).await;
    let hello = |after: &str| format!(r#"{{"login":"{}","after":"{after}"}}"#, login.id.text());
    let position = Position { offset: 2, ..login.log.start() };

    let mut stranger = world.browser(b"another").await;
    say(&mut stranger, &hello(&position.to_string())).await;
    assert_eq!(story(&mut stranger).await, ["4404 login-not-found"]);

    let mut browser = world.browser(FLOW).await;
    say(&mut browser, &hello("ffffffff-1")).await;
    assert_eq!(story(&mut browser).await, ["4410 position-gone"]);

    let mut browser = world.browser(FLOW).await;
    say(&mut browser, &hello(&position.to_string())).await;
    let seen: Vec<_> = story(&mut browser).await.into_iter().filter(|event| event != "ping").collect();
    assert_eq!(seen, ["qr", "status", "success", "1000 "]);
}

#[tokio::test(start_paused = true)]
async fn beats_are_seen_only_by_those_who_asked_and_prove_delivery_at_once() {
    let world = world(15);
    let (login, mut browser) = world.resumed(None, Heartbeat::Judged).await;
    let all = login.log.read(None).unwrap().next;
    assert_eq!(story(&mut browser).await[..6], ["beat", "status", "status", "qr", "status", "beat"]);
    let (_, mut quiet) = world.resumed(None, Heartbeat::Hidden).await;
    assert!(!story(&mut quiet).await.contains(&"beat".to_owned()));
    assert_eq!(all.offset, 4);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_given_up_and_the_login_waits_for_it() {
    let world = world(1000);
    let (login, browser) = world.resumed(None, Heartbeat::Hidden).await;
    // Held, never read: what a frozen page looks like.
    sleep(Duration::from_secs(45)).await;
    assert!(!login.log.is_sealed(), "the grace has only begun");
    sleep(Duration::from_secs(30)).await;
    assert!(login.log.is_sealed(), "the peer was noticed to be gone");
    drop(browser);
}

/// What is learned of the visitor's network when a browser did `what` until the end of its stream, and how much it was sent.
async fn learned<T>(approved_after: u64, what: impl AsyncFnOnce(Browser) -> T) -> (NetworkSeen, T) {
    let (world, ends) = (world(approved_after), Arc::<StreamStats>::default());
    let network = Some(network_of([192, 0, 2, 1].into()));
    let source = StreamSource { hop: "test".into(), network };
    let guard = StreamGuard::new(Arc::clone(&ends), source, StreamTransport::WebSocket);
    let (_login, browser) = world.resumed_from(guard, None, Heartbeat::Judged).await;
    let done = what(browser).await;
    sleep(Duration::from_secs(1)).await;
    (ends.networks.answer().networks.remove(0), done)
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_peer_is_frozen_is_told_from_one_that_ends() {
    let silent = |seen: &NetworkSeen| (seen.day.streams, seen.day.silent.all());
    let (seen, _browser) = learned(1000, async |browser| (sleep(Duration::from_secs(45)).await, browser)).await;
    assert_eq!(silent(&seen), (1, 1), "no ping was answered");
    // The login goes on over another line and is over before that shows.
    let (seen, _browser) = learned(15, async |browser| (sleep(Duration::from_secs(18)).await, browser)).await;
    assert_eq!(silent(&seen), (1, 1), "nor was the goodbye");
    let (seen, _) = learned(15, async |mut browser: Browser| story(&mut browser).await).await;
    assert_eq!(silent(&seen), (1, 0), "who hears the end of the login");
    let (seen, ()) = learned(1000, async |browser| drop(browser)).await;
    assert_eq!(silent(&seen), (1, 0), "who left");
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_a_stream_are_counted_as_they_are_sent() {
    let ends = Arc::<StreamStats>::default();
    let world = world(1000);
    let guard = StreamGuard::new(Arc::clone(&ends), "test".into(), StreamTransport::WebSocket);
    let (_login, browser) = world.resumed_from(guard, None, Heartbeat::Judged).await;
    sleep(Duration::from_secs(45)).await;
    let mut pipe = browser.into_inner();
    let mut came = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut pipe, &mut came).await.unwrap();
    let row = &ends.summary(None)[0];
    assert_eq!((row.frozen, row.frozen_bytes), (1, Some(came.len() as u64)));
}

#[tokio::test(start_paused = true)]
async fn past_the_capacity_the_browser_is_told_when_to_come_back() {
    let world = world(1000);
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut browser = world.browser(FLOW).await;
        say(&mut browser, BEGIN).await;
        sleep(Duration::from_millis(1)).await;
        held.push(browser);
    }
    let mut browser = world.browser(FLOW).await;
    say(&mut browser, BEGIN).await;
    assert_eq!(story(&mut browser).await, ["error", "1013 Try again later"]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_messages_is_closed_and_a_stop_says_restart() {
    let world = world(1000);
    let (_, mut browser) = world.resumed(None, Heartbeat::Hidden).await;
    for _ in 0..=BROWSER_MESSAGES_PER_MINUTE {
        say(&mut browser, r#"{"wake":true}"#).await;
    }
    assert_eq!(story(&mut browser).await.last().unwrap(), "1008 Too many messages");

    let (_, mut browser) = world.resumed(None, Heartbeat::Hidden).await;
    let stop = world.tasks.stopped(sleep(Duration::from_secs(60)));
    let (clean, story) = tokio::join!(stop, story(&mut browser));
    assert_eq!(story.last().unwrap(), "1012 Server restarts");
    assert!(clean);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_what_is_no_text_is_closed_too() {
    let world = world(1000);
    let flood = [Message::Ping(Bytes::new()), Message::Pong(Bytes::new()), Message::Binary(Bytes::from_static(b"x"))];
    for message in flood {
        let (_, mut browser) = world.resumed(None, Heartbeat::Hidden).await;
        for _ in 0..=BROWSER_MESSAGES_PER_MINUTE {
            browser.send(message.clone()).await.unwrap();
        }
        assert_eq!(story(&mut browser).await.last().unwrap(), "1008 Too many messages", "{message:?}");
        if !message.is_binary() {
            let mut browser = world.browser(FLOW).await;
            for _ in 0..=BROWSER_MESSAGES_PER_MINUTE {
                browser.send(message.clone()).await.unwrap();
            }
            assert_eq!(story(&mut browser).await.last().unwrap(), "1008 Too many messages", "first: {message:?}");
        }
    }
}

#[test]
fn a_frame_has_the_three_lengths_of_rfc_6455() {
    let head = |length: usize| {
        let mut frames = vec![];
        text_frame(&"x".repeat(length), &mut frames);
        assert!(frames.ends_with(&vec![b'x'; length]));
        frames.truncate(frames.len() - length);
        frames
    };
    assert_eq!(head(125), [0x81, 125]);
    assert_eq!(head(126), [0x81, 126, 0, 126]);
    assert_eq!(head(65_535), [0x81, 126, 0xff, 0xff]);
    assert_eq!(head(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_page_chooses_how_often_it_hears_that_the_line_lives() {
    let world = world(1000);
    let (_login, mut browser) = world.resumed(None, Heartbeat::Every(Duration::from_secs(20))).await;
    let began = Instant::now();
    let mut beats = vec![];
    let mut pings = vec![];
    while began.elapsed() < Duration::from_secs(70) {
        let Ok(Some(Ok(message))) = timeout(Duration::from_secs(30), browser.next()).await else { break };
        let at = began.elapsed().as_secs();
        match message {
            Message::Text(text) if text.contains("\"beat\"") => {
                let next = serde_json::from_str::<Value>(&text).unwrap()["next"].as_u64().unwrap();
                assert!((20_000..20_050).contains(&next), "together with other timers: {text}");
                beats.push(at);
            }
            Message::Ping(_) => pings.push(at),
            _ => {}
        }
    }
    assert_eq!((beats, pings), (vec![0, 20, 40, 60, 80], vec![20, 40, 60]), "and none in between");
}

/// Each text message with the time since the start, in milliseconds.
async fn timed(browser: &mut Browser, for_ms: u64) -> Vec<(u64, Value)> {
    let (began, mut seen) = (Instant::now(), Vec::new());
    let until = began + Duration::from_millis(for_ms);
    while let Ok(Some(Ok(message))) = tokio::time::timeout_at(until, browser.next()).await {
        if let Message::Text(text) = message {
            seen.push((began.elapsed().as_millis() as u64, serde_json::from_str(&text).unwrap()));
        }
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn marks_say_when_they_were_sent_and_when_the_next_one_comes() {
    let world = world(30);
    let (_login, mut browser) = world.resumed(None, Heartbeat::Judged).await;
    let all = timed(&mut browser, 29_000).await;
    let marks: Vec<_> = all.iter().filter(|(_, message)| message["event"] == "beat").collect();
    assert_eq!(all[0].1["event"], "beat", "before the events, so that a browser knows how late they are");
    for pair in marks.windows(2) {
        let ((at, mark), (next_at, next)) = (&pair[0], &pair[1]);
        let said = mark["next"].as_u64().unwrap();
        assert!(next_at - at <= said + 2, "the next one came after {} ms, said {said}", next_at - at);
        assert!(next["sent"].as_i64().unwrap() - mark["sent"].as_i64().unwrap() <= said as i64 + 2);
    }
    let opening = marks.iter().filter(|(at, _)| *at <= 350).count();
    assert!(opening >= 4, "enough to judge by: {marks:?}");
    assert!(marks.len() <= 8, "and then a heartbeat: {marks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_mark_follows_each_event_where_something_may_hold_the_last_bytes() {
    let world = world(5);
    let (_login, mut browser) = world.resumed(None, Heartbeat::Judged).await;
    let all = timed(&mut browser, 4_000).await;
    let qr = all.iter().position(|(_, message)| message["event"] == "qr").unwrap();
    let (at, _) = all[qr];
    assert!(all[qr..].iter().any(|(later, message)| message["event"] == "beat" && (1..=160).contains(&(later - at))));
}

#[tokio::test(start_paused = true)]
async fn who_may_come_back_is_waited_for_longer_than_who_has_left() {
    for (code, held) in [(1001, true), (4001, true), (1000, false)] {
        let mut world = world(1000);
        world.registry = with_grace(&world, 30, 150);
        let (login, mut browser) = world.resumed(None, Heartbeat::Hidden).await;
        let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame { code: code.into(), reason: "".into() };
        browser.close(Some(frame)).await.unwrap();
        sleep(Duration::from_secs(100)).await;
        assert_eq!(login.log.is_sealed(), !held, "{code}");
        sleep(Duration::from_secs(100)).await;
        assert!(login.log.is_sealed(), "{code}");
    }
}

/// The same with other graces.
fn with_grace(world: &World, grace: u64, grace_phone: u64) -> Arc<Registry> {
    let (clock, rng) = (Clock::fixed(0), Rng::seeded(9));
    let settings = Settings {
        ttl: Duration::from_secs(600),
        grace: Duration::from_secs(grace),
        grace_phone: Duration::from_secs(grace_phone),
        max_active: 3,
        max_active_total: 0,
        callback: "https://example.ru/callback".into(),
        texts: Texts::ours(),
    };
    let grants = Arc::new(Grants::in_memory(&clock, &rng));
    let driver = Arc::new(Phone(Duration::from_secs(1000)));
    Arc::new(Registry::new(settings, Drivers::only(driver), grants, None, (clock, rng, world.tasks.clone())))
}

/// The minute is over when a minute has passed, and not with its last moment. Answers to pings count.
#[tokio::test(start_paused = true)]
async fn a_minute_of_messages_ends_after_it() {
    for (end, closed) in [(60_000, true), (60_001, false)] {
        let world = world(1000);
        let (_, mut browser) = world.resumed(None, Heartbeat::Hidden).await;
        let began = tokio::time::Instant::now();
        let (nearly, after) = (began + Duration::from_millis(59_990), began + Duration::from_millis(end));
        let mut answered = 0;
        while let Ok(Some(Ok(message))) = tokio::time::timeout_at(nearly, browser.next()).await {
            answered += u32::from(message.is_ping());
        }
        for _ in answered..BROWSER_MESSAGES_PER_MINUTE {
            say(&mut browser, "{}").await;
        }
        tokio::time::sleep_until(after).await;
        say(&mut browser, "{}").await;
        let soon = tokio::time::timeout(Duration::from_secs(1), story(&mut browser)).await;
        assert_eq!(soon.is_ok_and(|story| story.contains(&"1008 Too many messages".to_owned())), closed, "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_goes_out_with_each_slow_beat_whether_marks_are_asked_for_or_not() {
    for (heartbeat, opening) in [(Heartbeat::Hidden, 0), (Heartbeat::Judged, 1)] {
        let world = world(1000);
        let (_login, mut browser) = world.resumed(None, heartbeat).await;
        let (began, mut pings) = (Instant::now(), Vec::new());
        let until = began + Duration::from_secs(50);
        while let Ok(Some(Ok(message))) = tokio::time::timeout_at(until, browser.next()).await {
            if let Message::Ping(_) = message {
                pings.push(began.elapsed());
            }
        }
        let early = pings.iter().filter(|at| **at < Duration::from_millis(500)).count();
        assert_eq!(early, opening, "{heartbeat:?}: with the last of the marks that try a stream out: {pings:?}");
        assert!((2..=10).contains(&pings.len()), "{heartbeat:?}: {pings:?}");
    }
}
