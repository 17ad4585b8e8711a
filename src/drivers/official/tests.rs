//! Sign-ins by the official drivers, on a paused clock: what people say to the bot, at any node, and what the visitor's page
//! hears. MAX's answers are a table; over HTTP and with a double by other hands they are tests/e2e/bot-other-double.test.mjs.

use super::api::{Call, Said, Saying};
use super::question::Answer;
use super::*;
use crate::base::clock::Clock;
use crate::signin::{Asked, BrowserInfo, CommandSlot, Driver as _, DriverEvent, EventSink, Failure, Outcome, Woken};
use crate::store::{MemoryStore, Seals, Store};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;
use tokio::time::{advance, sleep, timeout};

const TOKEN: &str = "a-token-of-a-bot";
const PERSON: i64 = 400;

/// What the bot asked of MAX; answers with what is set, by path.
#[derive(Default)]
struct Platform {
    asked: Mutex<Vec<(String, Value)>>,
    answers: Mutex<HashMap<&'static str, (u16, Value)>>,
}

impl Platform {
    fn says(&self, path: &'static str, status: u16, body: Value) {
        self.answers.lock().unwrap().insert(path, (status, body));
    }

    /// Messages of the bot, the last one at the end.
    fn messages(&self) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        let spoken = asked.iter().filter(|(path, _)| path == "POST /messages" || path == "POST /answers");
        spoken.map(|(_, body)| body.get("message").unwrap_or(body).clone()).collect()
    }

    fn last(&self) -> String {
        self.messages().last().and_then(|message| message["text"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The payload of a button of the last message, by its text.
    fn button(&self, text: &str) -> Option<String> {
        self.buttons().into_iter().find(|(shown, _)| shown == text).map(|(_, payload)| payload)
    }

    fn buttons(&self) -> Vec<(String, String)> {
        let message = self.messages().pop().unwrap_or_default();
        let rows = message["attachments"][0]["payload"]["buttons"].as_array().cloned().unwrap_or_default();
        let buttons = rows.iter().filter_map(Value::as_array).flatten();
        let callbacks = buttons.filter(|button| button["type"] == "callback");
        let text = |button: &Value, key: &str| button[key].as_str().unwrap().to_owned();
        callbacks.map(|button| (text(button, "text"), text(button, "payload"))).collect()
    }
}

struct Line(Arc<Platform>);

impl Carrier for Line {
    fn carry(&self, call: Call) -> Saying<'_> {
        Box::pin(async move {
            assert_eq!(call.token.expose(), TOKEN);
            assert!(!call.url.as_str().contains(TOKEN) && !call.body.as_deref().unwrap_or_default().contains(TOKEN));
            let path = call.url.path().trim_start_matches("/api").to_owned();
            let name = format!("{} {path}", call.method);
            let body = call.body.as_deref().map(|body| serde_json::from_str(body).unwrap()).unwrap_or_default();
            self.0.asked.lock().unwrap().push((name.clone(), body));
            let answers = self.0.answers.lock().unwrap();
            let (status, body) = answers.get(name.as_str()).cloned().unwrap_or((200, json!({"success": true})));
            Ok(Said { status, retry_after: None, date: None, body: body.to_string().into_bytes() })
        })
    }
}

/// The login that is woken, at whichever node.
struct Logins {
    commands: CommandSlot,
    over: std::sync::atomic::AtomicBool,
}

impl Waker for Logins {
    fn wake(&self, _: LoginId) -> Woken<'_> {
        self.commands.wake();
        let over = self.over.load(std::sync::atomic::Ordering::SeqCst);
        Box::pin(std::future::ready(if over { Awake::Over } else { Awake::Yes }))
    }
}

#[derive(Default)]
struct Page(Mutex<Vec<String>>);

impl EventSink for Page {
    fn emit(&self, event: DriverEvent) {
        let told = match event {
            DriverEvent::Connected => "connected".to_owned(),
            DriverEvent::Code { link, text_code, .. } => {
                format!("code {link} {}", text_code.as_deref().unwrap_or("-"))
            }
            DriverEvent::Confirm { match_code } => format!("confirm {match_code}"),
            DriverEvent::Approved => "approved".to_owned(),
            DriverEvent::Finishing | DriverEvent::Password { .. } => "?".to_owned(),
        };
        self.0.lock().unwrap().push(told);
    }
}

/// Some nodes over one store, and the page of one visitor.
struct World {
    platform: Arc<Platform>,
    store: Arc<dyn Store>,
    clock: Clock,
    logins: Arc<Logins>,
    page: Arc<Page>,
    login: LoginId,
    wants_phone: bool,
    toml: &'static str,
}

impl World {
    fn new() -> Self {
        Self::with("", false)
    }

    fn with(toml: &'static str, wants_phone: bool) -> Self {
        let clock = Clock::fixed(1_790_000_000_000);
        let over = std::sync::atomic::AtomicBool::new(false);
        Self {
            platform: Arc::default(),
            store: Arc::new(MemoryStore::new(clock.clone(), 1000)),
            clock,
            logins: Arc::new(Logins { commands: CommandSlot::default(), over }),
            page: Arc::default(),
            login: LoginId::new(&Rng::seeded(7)),
            wants_phone,
            toml,
        }
    }

    fn node(&self, seed: u64) -> Arc<Official> {
        let config = crate::config::Config::of(&format!(
            "[login]\ndrivers = [\"bot\", \"mini_app\"]\n[server]\npublic_url = \"https://example.ru\"\n\
             [driver.bot]\nname = \"a_bot\"\ntoken = \"{TOKEN}\"\napi_url = \"http://127.0.0.1:1/api/\"\n{}",
            self.toml
        ));
        let rng = Rng::seeded(seed);
        let seal = Seals::new(&[1; 32], &rng).unwrap().store;
        let vault = Vault::new(Arc::clone(&self.store), seal, self.clock.clone(), rng.clone());
        let known = (&config.server, config.login.drivers.as_slice());
        let official = Official::new(
            config.official.as_ref().unwrap(),
            known,
            self.wants_phone,
            Box::new(Line(Arc::clone(&self.platform))),
            vault,
            Texts::ours(),
            (rng, Tasks::new()),
        );
        official.wakes(&self.logins);
        official
    }

    /// The visitor's login at one node, by one driver.
    async fn begin(&self, official: &Arc<Official>, driver: DriverName) -> Running {
        let (official, logins, page, login) =
            (Arc::clone(official), Arc::clone(&self.logins), Arc::clone(&self.page), self.login);
        let (tell, outcome) = tokio::sync::oneshot::channel();
        Tasks::new().spawn("login", async move {
            let browser = BrowserInfo {
                device_name: Some("Firefox".into()),
                os_version: Some("Linux".into()),
                ..BrowserInfo::default()
            };
            let asked = Asked { login, browser, address: Some([192, 0, 2, 9].into()) };
            let outcome = match driver {
                DriverName::MiniApp => MiniApp(official).run(asked, &*page, &logins.commands).await,
                _ => Bot(official).run(asked, &*page, &logins.commands).await,
            };
            let _ = tell.send(outcome);
        });
        settle().await;
        Running(outcome)
    }

    fn told(&self) -> Vec<String> {
        self.page.0.lock().unwrap().clone()
    }

    /// What the page shows last of a kind.
    fn shown(&self, kind: &str) -> Option<String> {
        let told = self.told();
        told.iter().rev().find_map(|line| line.strip_prefix(kind).map(|rest| rest.trim().to_owned()))
    }

    fn code(&self) -> String {
        self.shown("code").unwrap().split([' ', '=']).nth(1).unwrap().to_owned()
    }

    fn text_code(&self) -> String {
        self.shown("code").unwrap().split(' ').nth(1).unwrap().to_owned()
    }
}

struct Running(tokio::sync::oneshot::Receiver<Outcome>);

impl Running {
    async fn ends(self) -> String {
        match timeout(Duration::from_secs(1000), self.0).await.expect("an end").unwrap() {
            Outcome::SignedIn(identity) => {
                format!("{} {} {}", identity.subject(), identity.name, identity.phone.unwrap_or_default())
            }
            Outcome::Failed { failure, .. } => failure.code().to_owned(),
            Outcome::Stopped => "stopped".to_owned(),
        }
    }
}

/// Everything that needs no time happens.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_millis(1)).await;
}

fn user(id: i64) -> Value {
    json!({"user_id": id, "first_name": "Вася", "last_name": "П.", "is_bot": false})
}

/// An update, brought to a node as MAX brings it.
async fn bring(official: &Arc<Official>, update: &Value) {
    assert!(official.take(update));
    settle().await;
}

async fn start(official: &Arc<Official>, code: &str, id: i64) {
    bring(
        official,
        &json!({"update_type": "bot_started", "timestamp": id, "user": user(id), "payload": code, "user_locale": "en"}),
    )
    .await;
}

async fn say(official: &Arc<Official>, text: &str, id: i64) {
    let message =
        json!({"recipient": {"chat_type": "dialog"}, "sender": user(id), "body": {"mid": text, "text": text}});
    bring(
        official,
        &json!({"update_type": "message_created", "timestamp": 1, "message": message, "user_locale": "en"}),
    )
    .await;
}

async fn press(official: &Arc<Official>, payload: &str, id: i64) {
    let callback = json!({"callback_id": format!("{payload}{id}"), "payload": payload, "user": user(id)});
    bring(
        official,
        &json!({"update_type": "message_callback", "timestamp": 1, "callback": callback, "user_locale": "en"}),
    )
    .await;
}

async fn send_card(official: &Arc<Official>, card: Value, id: i64) {
    let body = json!({"mid": card.to_string(), "text": null, "attachments": [{"type": "contact", "payload": card}]});
    let message = json!({"recipient": {"chat_type": "dialog"}, "sender": user(id), "body": body});
    bring(
        official,
        &json!({"update_type": "message_created", "timestamp": 1, "message": message, "user_locale": "en"}),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_step_may_be_at_another_node_and_is_worked_on_once() {
    let world = World::new();
    let (a, b, c) = (world.node(1), world.node(2), world.node(3));
    let running = world.begin(&b, DriverName::Bot).await;
    let started = json!({"update_type": "bot_started", "timestamp": 5, "user": user(PERSON), "payload": world.code(),
                         "user_locale": "ru"});
    bring(&a, &started).await;
    bring(&c, &started).await;
    assert_eq!(world.platform.messages().len(), 1, "brought twice, asked once");
    let text = world.platform.last();
    assert!(text.starts_with("Вход на example.ru\nБраузер: Firefox, Linux\n"), "{text}");
    let (right, buttons) = (world.shown("confirm").unwrap(), world.platform.buttons());
    assert_eq!(buttons.len(), 5);
    assert_eq!(buttons.iter().filter(|(text, _)| *text == right).count(), 1);
    let payloads: std::collections::BTreeSet<&String> = buttons.iter().map(|(_, payload)| payload).collect();
    assert!(
        payloads.len() == 5 && payloads.iter().all(|payload| payload.len() <= 256 && !payload.contains(&world.code()))
    );
    let right = world.platform.button(&right).unwrap();
    press(&c, &right, PERSON).await;
    press(&a, &right, PERSON).await;
    assert_eq!(running.ends().await, "bot:400 Вася П. ");
    assert_eq!(world.told().last().map(String::as_str), Some("approved"));
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_node_dies_goes_on_with_its_code_and_with_what_was_answered() {
    let world = World::new();
    let (a, b) = (world.node(1), world.node(2));
    let first = world.begin(&a, DriverName::Bot).await;
    start(&b, &world.code(), PERSON).await;
    let right = world.platform.button(&world.shown("confirm").unwrap()).unwrap();
    world.logins.commands.stop();
    assert_eq!(first.ends().await, "stopped", "as good as dead");
    let second = world.begin(&b, DriverName::Bot).await;
    let codes: Vec<String> = world.told().into_iter().filter(|line| line.starts_with("code")).collect();
    assert_eq!(codes[0], codes[1], "the same code goes on");
    assert_eq!(world.told().last(), Some(&format!("confirm {}", world.shown("confirm").unwrap())));
    world.logins.commands.stop();
    assert_eq!(second.ends().await, "stopped");
    // The answer comes while nobody writes the login.
    press(&a, &right, PERSON).await;
    let third = world.begin(&b, DriverName::Bot).await;
    assert_eq!(third.ends().await, "bot:400 Вася П. ");
}

#[tokio::test(start_paused = true)]
async fn a_code_belongs_to_whoever_opens_it_first_and_only_they_can_answer() {
    let world = World::new();
    let official = world.node(1);
    let running = world.begin(&official, DriverName::Bot).await;
    start(&official, &world.code(), PERSON).await;
    let right = world.platform.button(&world.shown("confirm").unwrap()).unwrap();
    start(&official, &world.code(), 500).await;
    assert!(world.platform.last().starts_with("Somebody else has opened this code."), "{}", world.platform.last());
    let said = world.platform.messages().len();
    press(&official, &right, 500).await;
    assert_eq!(
        world.platform.messages().pop().unwrap(),
        json!({"notification": Texts::ours().of(crate::texts::Locale::En).bot.used})
    );
    assert_eq!(world.platform.messages().len(), said + 1, "nothing in place of the question");
    press(&official, &right, PERSON).await;
    assert_eq!(running.ends().await, "bot:400 Вася П. ");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_pick_and_not_me_end_it_and_three_wrong_picks_lock_the_person() {
    let mut world = World::new();
    let official = world.node(1);
    for seed in 0..3 {
        world.login = LoginId::new(&Rng::seeded(seed));
        let running = world.begin(&official, DriverName::Bot).await;
        start(&official, &world.code(), PERSON).await;
        let right = world.shown("confirm").unwrap();
        let wrong = world.platform.buttons().into_iter().find(|(text, _)| *text != right && text.len() == 2).unwrap();
        press(&official, &wrong.1, PERSON).await;
        assert!(world.platform.last().starts_with("That is not the number"), "{}", world.platform.last());
        assert_eq!(running.ends().await, "declined");
        advance(Duration::from_secs(15 * 60)).await;
    }
    world.login = LoginId::new(&Rng::seeded(8));
    let running = world.begin(&official, DriverName::Bot).await;
    start(&official, &world.code(), PERSON).await;
    assert_eq!(world.platform.last(), "Too many wrong answers. Try again in 15 min.");
    assert_eq!(running.ends().await, "locked");
    advance(Duration::from_secs(20 * 60)).await;
    world.login = LoginId::new(&Rng::seeded(9));
    let running = world.begin(&official, DriverName::Bot).await;
    start(&official, &world.code(), PERSON).await;
    press(&official, &world.platform.button("Not me").unwrap(), PERSON).await;
    assert!(world.platform.last().contains("Nobody was signed in"), "{}", world.platform.last());
    assert_eq!(running.ends().await, "declined");
}

#[tokio::test(start_paused = true)]
async fn a_code_has_its_time_and_so_has_an_answer() {
    let world = World::new();
    let official = world.node(1);
    let running = world.begin(&official, DriverName::Bot).await;
    let first = world.code();
    sleep(Duration::from_secs(121)).await;
    settle().await;
    assert_ne!(world.code(), first, "nobody opened it: a fresh one");
    start(&official, &first, PERSON).await;
    assert!(world.platform.last().starts_with("This code is over."), "{}", world.platform.last());
    assert_eq!(world.shown("confirm"), None);
    start(&official, &world.code(), PERSON + 1).await;
    let right = world.platform.button(&world.shown("confirm").unwrap()).unwrap();
    sleep(Duration::from_secs(121)).await;
    press(&official, &right, PERSON + 1).await;
    assert!(world.platform.last().starts_with("This code is over."), "{}", world.platform.last());
    assert_eq!(running.ends().await, "expired");
}

#[tokio::test(start_paused = true)]
async fn a_person_who_returns_types_the_code_and_one_who_types_anything_is_told_where_to_go() {
    let world = World::new();
    let official = world.node(1);
    let running = world.begin(&official, DriverName::Bot).await;
    say(&official, "hello", PERSON).await;
    assert!(world.platform.last().starts_with("This is where you sign in to example.ru."), "{}", world.platform.last());
    for guess in 0..30 {
        say(&official, &format!("BCDFGH{:02}", guess + 22), 999).await;
    }
    assert_eq!(world.platform.messages().len(), 11, "who guesses is not answered for ever");
    let typed = world.text_code().to_lowercase();
    say(&official, &format!("{} - {}", &typed[..4], &typed[4..]), PERSON).await;
    let right = world.platform.button(&world.shown("confirm").unwrap()).unwrap();
    press(&official, &right, PERSON).await;
    assert_eq!(running.ends().await, "bot:400 Вася П. ");
}

#[tokio::test(start_paused = true)]
async fn a_number_is_asked_for_where_the_site_wants_it_and_only_their_own_will_do() {
    let card = |of: i64, hash: &str, vcf: &str| json!({"vcf_info": vcf, "hash": hash, "max_info": {"user_id": of}});
    let vcf = "BEGIN:VCARD\r\nVERSION:3.0\r\nTEL;TYPE=cell:79990000000\r\nEND:VCARD\r\n";
    let signed: String =
        hmac::hmac(TOKEN.as_bytes(), vcf.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let world = World::with("", true);
    let official = world.node(1);
    let running = world.begin(&official, DriverName::Bot).await;
    start(&official, &world.code(), PERSON).await;
    press(&official, &world.platform.button(&world.shown("confirm").unwrap()).unwrap(), PERSON).await;
    assert!(world.platform.last().contains("asks for your phone number"), "{}", world.platform.last());
    for (of, hash) in [(500, signed.as_str()), (PERSON, "00"), (PERSON, "")] {
        send_card(&official, card(of, hash, vcf), PERSON).await;
        assert!(world.platform.last().starts_with("That is not your own number."), "{}", world.platform.last());
    }
    send_card(&official, card(500, &signed, vcf), 500).await;
    assert!(world.platform.last().starts_with("This is where you sign in"), "nobody asked them");
    send_card(&official, card(PERSON, &signed, vcf), PERSON).await;
    assert_eq!(running.ends().await, "bot:400 Вася П. +79990000000");

    let world = World::with("[identity]\nmerge = true", true);
    let official = world.node(1);
    let running = world.begin(&official, DriverName::Bot).await;
    start(&official, &world.code(), PERSON).await;
    press(&official, &world.platform.button(&world.shown("confirm").unwrap()).unwrap(), PERSON).await;
    press(&official, &world.platform.button("Without a number").unwrap(), PERSON).await;
    assert_eq!(running.ends().await, "400 Вася П. ");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_said_to_the_person_is_told_to_the_page_and_a_bot_that_is_down_begins_nothing() {
    let world = World::new();
    let official = world.node(1);
    let running = world.begin(&official, DriverName::Bot).await;
    world.platform.says("POST /messages", 400, json!({"code": "proto.payload", "message": "no"}));
    start(&official, &world.code(), PERSON).await;
    assert_eq!(running.ends().await, "driver-down");
    official.health.set(health::State::Trouble);
    assert!(!Bot(Arc::clone(&official)).is_up() && MiniApp(Arc::clone(&official)).is_up());
    assert_eq!(world.begin(&official, DriverName::Bot).await.ends().await, Failure::DriverDown.code());
    official.health.set(health::State::Token);
    assert!(!MiniApp(Arc::clone(&official)).is_up());
}

/// As MAX signs what it says to a mini-app.
fn init_data(fields: &[(&str, &str)], token: &str) -> String {
    let mut sorted: Vec<(&str, &str)> = fields.to_vec();
    sorted.sort_unstable();
    let lines: Vec<String> = sorted.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let secret = hmac::hmac(b"WebAppData", token.as_bytes());
    let hash: String =
        hmac::hmac(secret.as_ref(), lines.join("\n").as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let pairs = fields.iter().copied().chain([("hash", hash.as_str())]);
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn opened_by(code: &str, user: &str, ip: &str) -> String {
    let fields = [("auth_date", "1790000000"), ("query_id", user), ("start_param", code), ("user", user), ("ip", ip)];
    init_data(&fields, TOKEN)
}

const VASYA: &str = r#"{"id":400,"first_name":"Вася","last_name":"","language_code":"en"}"#;

#[tokio::test(start_paused = true)]
async fn a_mini_app_signs_in_by_the_number_on_the_page_and_each_opening_once() {
    let world = World::new();
    let (a, b) = (world.node(1), world.node(2));
    let running = world.begin(&a, DriverName::MiniApp).await;
    assert!(world.told()[1].starts_with("code https://max.ru/a_bot?startapp="), "{:?}", world.told());
    let data = opened_by(&world.code(), VASYA, "192.0.2.200");
    let opened = b.app_open(&data).await.unwrap();
    assert_eq!((opened.site.as_str(), opened.choices.len(), opened.warning), ("example.ru", 4, None));
    assert_eq!(b.app_open(&data).await.unwrap_err(), AppError::Used);
    let other = opened_by(&world.code(), &VASYA.replace("400", "500"), "");
    assert_eq!(a.app_open(&other).await.unwrap_err(), AppError::CodeUsed);
    settle().await;
    let right = world.shown("confirm").unwrap();
    assert!(opened.choices.contains(&right));
    assert_eq!(a.app_confirm(&opened.ticket, Some(&right)).await.unwrap(), mini_app::AppOutcome::Approved);
    assert_eq!(a.app_confirm(&opened.ticket, Some(&right)).await.unwrap_err(), AppError::CodeExpired, "once");
    assert_eq!(running.ends().await, "mini_app:400 Вася ");
}

#[tokio::test(start_paused = true)]
async fn a_mini_app_that_is_far_away_is_told_or_refused() {
    for (toml, ip, expected) in [
        ("[driver.mini_app]\nproximity = \"warn\"", "192.0.2.1", Ok(None)),
        ("[driver.mini_app]\nproximity = \"warn\"", "198.51.100.1", Ok(Some("elsewhere"))),
        ("[driver.mini_app]\nproximity = \"warn\"", "", Ok(None)),
        ("[driver.mini_app]\nproximity = \"require\"", "192.0.2.1", Ok(None)),
        ("[driver.mini_app]\nproximity = \"require\"", "198.51.100.1", Err(AppError::OtherNetwork)),
        ("[driver.mini_app]\nproximity = \"require\"", "", Err(AppError::OtherNetwork)),
    ] {
        let world = World::with(toml, false);
        let official = world.node(1);
        let running = world.begin(&official, DriverName::MiniApp).await;
        let opened = official.app_open(&opened_by(&world.code(), VASYA, ip)).await;
        let refused = opened.is_err();
        assert_eq!(opened.map(|opened| opened.warning), expected, "{toml} {ip}");
        if refused {
            assert_eq!(running.ends().await, "declined");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_opens_a_mini_app_is_believed_only_as_max_signs_it() {
    use init_data::{Distrust, InitData};
    let read = |text: &str| InitData::read(text, TOKEN, 1_790_000_000_000).map(|data| (data.user.id, data.start_param));
    let base = [("auth_date", "1790000000"), ("query_id", "q"), ("user", VASYA)];
    let with = |more: &[(&'static str, &'static str)]| -> Vec<(&'static str, &'static str)> {
        base.iter().filter(|(key, _)| more.iter().all(|(other, _)| key != other)).chain(more).copied().collect()
    };
    let signed = |more: &[(&'static str, &'static str)]| init_data(&with(more), TOKEN);
    let fine = signed(&[("start_param", "abc"), ("chat_instance", "1"), ("chat_type", "dialog")]);
    assert_eq!(read(&fine), Ok((400, Some("abc".to_owned()))));
    let fragment: String = url::form_urlencoded::byte_serialize(fine.as_bytes()).collect();
    assert_eq!(
        read(&format!("#WebAppData={fragment}&WebAppPlatform=ios&WebAppVersion=26.8")),
        Ok((400, Some("abc".into())))
    );
    for name in
        [r#"{"id":400,"first_name":"A+B & C%25 100%","last_name":null}"#, r#"{"id":400,"first_name":"Вася Пупкин"}"#]
    {
        assert_eq!(read(&init_data(&[base[0], ("user", name)], TOKEN)), Ok((400, None)), "{name}");
    }
    for (text, why) in [
        (init_data(&base, "another"), Distrust::Signature),
        (fine.replace("abc", "abd"), Distrust::Signature),
        (fine.replace("query_id=q&", ""), Distrust::Signature),
        (format!("{fine}&query_id=q"), Distrust::Repeated),
        (format!("{fine}&hash=00"), Distrust::Repeated),
        (signed(&[("auth_date", "1789999000")]), Distrust::Old),
        (signed(&[("auth_date", "1790000040")]), Distrust::Future),
        (signed(&[("auth_date", "1790000040000")]), Distrust::Future),
        (signed(&[("auth_date", "yesterday")]), Distrust::Shape),
        (init_data(&base[1..], TOKEN), Distrust::Shape),
        (init_data(&base[..2], TOKEN), Distrust::Shape),
        (signed(&[("user", "[]")]), Distrust::Shape),
        (signed(&[("user", r#"{"id":0}"#)]), Distrust::Shape),
        (String::new(), Distrust::Shape),
        ("a".to_owned(), Distrust::Shape),
        ("x".repeat(9000), Distrust::Shape),
    ] {
        assert_eq!(read(&text).unwrap_err(), why, "{text}");
    }
    assert_eq!(read(&signed(&[("auth_date", "1790000000000")])), Ok((400, None)), "milliseconds");
    assert_eq!(read(&signed(&[("auth_date", "1790000025")])), Ok((400, None)), "a clock that is ahead a little");
}

/// Made with another program (two HMACs in Python).
#[test]
fn signatures_are_those_that_others_make() {
    let user = r#"{"id":400,"first_name":"Вася","last_name":"","username":null,"language_code":"ru","photo_url":null}"#;
    let mut fields = vec![
        ("auth_date", "1790000000"),
        ("query_id", "158b120b-7aa3-4a0f-a198-52ace06d0658"),
        ("start_param", "abc_123-XYZ"),
        ("user", user),
    ];
    fields.push(("hash", "8439261e0227c84faa3846328ad808a2738da89016bded016e60933ae8e455fc"));
    let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let read = init_data::InitData::read(&text, "test-bot-token", 1_790_000_000_000).unwrap();
    assert_eq!((read.user.id, read.start_param.as_deref()), (400, Some("abc_123-XYZ")));
    let hash = "4c01f5a13c1b29f454eb9afe0e7a55fbb4ac8aa433555932c308ec08fc16785b";
    let is_theirs =
        |user, phone: &str| init_data::is_their_phone("test-bot-token", user, phone, &json!(1_790_000_000), hash);
    assert!(is_theirs(400, "79990000000") && !is_theirs(401, "79990000000") && !is_theirs(400, "79990000001"));
}

#[tokio::test(start_paused = true)]
async fn the_keeper_subscribes_again_and_says_what_is_wrong() {
    let world = World::new();
    let official = world.node(1);
    let here = "https://example.ru/api/auth/max/bot/webhook";
    let asked = |path: &str| world.platform.asked.lock().unwrap().iter().filter(|(asked, _)| asked == path).count();
    world.platform.says("GET /me", 200, json!({"user_id": 7, "username": "A_bot"}));
    world.platform.says("GET /subscriptions", 200, json!({"subscriptions": []}));
    official.spawn_keeper();
    settle().await;
    assert_eq!((asked("POST /subscriptions"), official.health.is_up(health::Part::Bot)), (1, true));
    world.platform.says(
        "GET /subscriptions",
        200,
        json!({"subscriptions": [{"url": here, "time": 1}, {"url": "https://x.ru/"}]}),
    );
    sleep(Duration::from_secs(40)).await;
    assert_eq!(asked("POST /subscriptions"), 1);
    // Started again it trusts its own; one whose secret nobody knows is made again.
    world.node(2).spawn_keeper();
    settle().await;
    assert_eq!(asked("POST /subscriptions"), 1);
    World { platform: Arc::clone(&world.platform), ..World::new() }.node(3).spawn_keeper();
    settle().await;
    assert_eq!(asked("POST /subscriptions"), 2);
    world.platform.says("GET /subscriptions", 200, json!({"subscriptions": [{"url": "https://x.ru/"}]}));
    sleep(Duration::from_secs(40)).await;
    assert!(asked("POST /subscriptions") >= 3, "somebody took it away");
    for (status, body) in [
        (200, json!({})),
        (401, json!({"code": "verify.token"})),
        (503, json!(null)),
        (200, json!({"user_id": 8, "username": "another_bot"})),
    ] {
        world.platform.says("GET /me", status, body.clone());
        sleep(Duration::from_secs(60)).await;
        assert!(!official.health.is_up(health::Part::Bot), "{status} {body}");
        world.platform.says("GET /me", 200, json!({"user_id": 7, "username": "a_bot"}));
        sleep(Duration::from_secs(60)).await;
        assert!(official.health.is_up(health::Part::Bot), "well again after {status} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_what_nobody_asked_decides_nothing() {
    let world = World::new();
    let official = world.node(1);
    let running = world.begin(&official, DriverName::Bot).await;
    let question = official.questions.current(world.login).await.unwrap().unwrap();
    let right = question.match_code().unwrap().to_owned();
    let judged = official.questions.judge(&question.code, PERSON, Answer::Picked(&right)).await.unwrap();
    assert_eq!(judged.0, question::Judged::Stale, "nobody has opened it");
    assert!(official.questions.awaited(PERSON).await.unwrap().is_none());
    world.logins.over.store(true, std::sync::atomic::Ordering::SeqCst);
    start(&official, &world.code(), PERSON).await;
    assert!(world.platform.last().starts_with("This code is over."), "the page is gone: {}", world.platform.last());
    world.logins.commands.stop();
    assert_eq!(running.ends().await, "stopped");
}
