//! The life of a login on a paused clock, with a driver that does what the test says.

use super::event::Kind;
use super::*;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::observe::Counted;
use crate::signin::{
    Asked, BrowserInfo, Command, Driver, DriverEvent, DriverName, Drivers, EventSink, Identity, Outcome, Run,
};
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use tokio::time::sleep;

/// Shows a code, then does `plan` until it is told to stop.
pub(super) struct Scripted {
    pub(super) plan: Plan,
    pub(super) commands: Mutex<Vec<&'static str>>,
}

#[derive(Clone, Copy)]
pub(super) enum Plan {
    ApproveAfter(Duration),
    WaitForever,
    AskPassword,
    /// Somebody approved while it was told to stop.
    ApproveWhenStopped,
    Panic,
}

/// As MAX: no code twice.
pub(super) fn fresh_link() -> String {
    static CODES: AtomicU32 = AtomicU32::new(0);
    format!("https://max.ru/:auth/{:032x}", CODES.fetch_add(1, Ordering::Relaxed))
}

impl Driver for Scripted {
    fn name(&self) -> &'static str {
        "test"
    }

    fn assurance(&self) -> &'static str {
        "a test"
    }

    fn run<'a>(&'a self, _: Asked, sink: &'a dyn EventSink, commands: &'a CommandSlot) -> Run<'a> {
        Box::pin(async move {
            sink.emit(DriverEvent::Connected);
            let link = fresh_link();
            sink.emit(DriverEvent::Code {
                link,
                ttl: Duration::from_secs(120),
                expires_unix_ms: 120_000,
                text_code: None,
            });
            match self.plan {
                Plan::Panic => panic!("a defect"),
                Plan::AskPassword => sink.emit(DriverEvent::Password { hint: Some("кот".into()), wrong: false }),
                _ => {}
            }
            let approve = match self.plan {
                Plan::ApproveAfter(after) => after,
                _ => Duration::from_secs(1_000_000),
            };
            let approve = sleep(approve);
            tokio::pin!(approve);
            loop {
                tokio::select! {
                    () = &mut approve => break,
                    command = commands.next() => {
                        let name = match command {
                            Command::Stop if matches!(self.plan, Plan::ApproveWhenStopped) => break,
                            Command::Stop => return Outcome::Stopped,
                            Command::Wake => "wake",
                            Command::Password(_) => { sink.emit(DriverEvent::Finishing); break }
                        };
                        self.commands.lock().unwrap().push(name);
                    }
                }
            }
            let name = "Иван".to_owned();
            Outcome::SignedIn(Identity {
                id: 7,
                first_name: Some(name.clone()),
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

struct World {
    registry: Arc<Registry>,
    driver: Arc<Scripted>,
    grants: Arc<Grants>,
    tasks: Tasks,
}

pub(super) const FLOW: &[u8] = b"flow";

fn world(plan: Plan, max_active: usize) -> World {
    let (clock, rng, tasks) = (Clock::fixed(0), Rng::seeded(5), Tasks::new());
    let driver = Arc::new(Scripted { plan, commands: Mutex::default() });
    let grants = Arc::new(Grants::in_memory(&clock, &rng));
    let settings = Settings {
        ttl: Duration::from_secs(600),
        grace: Duration::from_secs(30),
        grace_phone: Duration::from_secs(150),
        max_active,
        max_active_total: 0,
        callback: "https://example.ru/api/auth/max/callback".into(),
        texts: crate::texts::Texts::ours(),
    };
    let asks: Arc<dyn Driver> = Arc::<Scripted>::clone(&driver);
    let surroundings = (clock, rng, tasks.clone());
    let registry = Arc::new(Registry::new(settings, Drivers::only(asks), Arc::clone(&grants), None, surroundings));
    World { registry, driver, grants, tasks }
}

impl World {
    async fn start(&self) -> Arc<Login> {
        self.try_start(false).await.unwrap()
    }

    async fn try_start(&self, phone: bool) -> Result<Arc<Login>, NotStarted> {
        let start = self.registry.start(StartParams {
            browser: BrowserInfo::default(),
            purpose: Purpose::Site { return_to: "/after".into() },
            locale: Locale::En,
            flow: Fingerprint::of(FLOW),
            key: None,
            phone,
            network: None,
            driver: None,
            address: None,
        });
        start.await
    }
}

pub(super) fn story(login: &Login) -> Vec<String> {
    let page = login.log.read(None).unwrap();
    let name = |event: &Event| {
        let data: serde_json::Value = serde_json::from_str(&event.data(Drawing::Svg)).unwrap();
        match event.kind {
            Kind::Status => data["stage"].as_str().unwrap().to_owned(),
            Kind::Error => data["code"].as_str().unwrap().to_owned(),
            kind => kind.name().to_owned(),
        }
    };
    page.events.iter().map(name).collect()
}

pub(super) async fn sealed(login: &Login) {
    while !login.log.is_sealed() {
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_tells_every_stage_and_ends_with_a_grant() {
    let world = world(Plan::ApproveAfter(Duration::from_secs(9)), 10);
    let login = world.start().await;
    assert_eq!(story(&login), ["connecting"], "there before anything else happens");
    let _reader = login.attach(Attach::Begin).unwrap();
    sealed(&login).await;
    assert_eq!(story(&login), ["connecting", "code", "qr", "waiting", "success"]);
    let last = login.log.read(None).unwrap().events.pop().unwrap();
    let data: serde_json::Value = serde_json::from_str(&last.data(Drawing::Svg)).unwrap();
    let taken = world.grants.take(data["token"].as_str().unwrap(), &Fingerprint::of(FLOW), None).await;
    let grant = taken.unwrap().unwrap();
    assert_eq!((grant.identity.id, grant.purpose.clone()), (7, Purpose::Site { return_to: "/after".into() }));
}

#[tokio::test(start_paused = true)]
async fn another_browser_does_not_find_it() {
    let world = world(Plan::WaitForever, 10);
    let login = world.start().await;
    assert!(world.registry.find(login.id, &Fingerprint::of(FLOW)).await.unwrap().is_some());
    assert!(world.registry.find(login.id, &Fingerprint::of(b"other")).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_its_time_is_over_and_is_forgotten_a_minute_later() {
    let world = world(Plan::WaitForever, 10);
    let login = world.start().await;
    let _reader = login.attach(Attach::Begin).unwrap();
    sleep(Duration::from_secs(601)).await;
    assert_eq!(story(&login).last().unwrap(), "login-expired");
    assert_eq!(world.registry.active(), 0);
    assert!(world.registry.find(login.id, &Fingerprint::of(FLOW)).await.unwrap().is_some(), "still readable");
    sleep(Duration::from_secs(61)).await;
    assert!(world.registry.find(login.id, &Fingerprint::of(FLOW)).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_visitor_who_comes_back_in_time_loses_nothing_and_one_who_stays_away_ends_it() {
    let world = world(Plan::WaitForever, 10);
    let login = world.start().await;
    let reader = login.attach(Attach::Begin).unwrap();
    sleep(Duration::from_secs(100)).await;
    drop(reader);
    sleep(Duration::from_secs(29)).await;
    let reader = login.attach(Attach::Resume).unwrap();
    sleep(Duration::from_secs(100)).await;
    assert!(!login.log.is_sealed());
    assert_eq!(*world.driver.commands.lock().unwrap(), ["wake"], "a resume asks MAX at once");
    drop(reader);
    sleep(Duration::from_secs(31)).await;
    assert_eq!(story(&login).last().unwrap(), "visitor-left");
}

#[tokio::test(start_paused = true)]
async fn a_phone_is_waited_for_longer() {
    let world = world(Plan::WaitForever, 10);
    let login = world.try_start(true).await.unwrap();
    drop(login.attach(Attach::Begin).unwrap());
    sleep(Duration::from_secs(149)).await;
    assert!(!login.log.is_sealed());
    sleep(Duration::from_secs(2)).await;
    assert!(login.log.is_sealed());
}

/// How long a login that nobody reads any more is still looked after here.
#[tokio::test(start_paused = true)]
async fn a_visitor_is_expected_back_for_a_while_and_longer_from_another_page_or_with_a_form() {
    let world = world(Plan::WaitForever, 10);
    type Leave = fn(&Login);
    let gone: [(&str, Leave, u64); 3] = [
        ("left", |_| {}, 10_000),
        ("may come back", Login::may_come_back, 150_000),
        ("has a form", |login| login.hold(Duration::from_secs(40)), 40_000),
    ];
    for (how, leave, ms) in gone {
        let login = world.start().await;
        let reader = login.attach(Attach::Begin).unwrap();
        sleep(Duration::from_secs(200)).await;
        assert!(login.is_read_here(), "{how}: there");
        leave(&login);
        drop(reader);
        sleep(Duration::from_millis(ms - 1)).await;
        assert!(login.is_read_here(), "{how}: not yet");
        sleep(Duration::from_millis(1)).await;
        assert!(!login.is_read_here(), "{how}: over");
        login.is_asked_for();
        let again = if how == "may come back" { 150_000 } else { 10_000 };
        sleep(Duration::from_millis(again - 1)).await;
        assert!(login.is_read_here(), "{how}: was asked for");
        sleep(Duration::from_millis(1)).await;
        assert!(!login.is_read_here(), "{how}: and is over");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_wake_max_only_after_an_absence() {
    let world = world(Plan::WaitForever, 10);
    let login = world.start().await;
    drop(login.attach(Attach::Begin).unwrap());
    for pause in [100, 1000, 3000] {
        sleep(Duration::from_millis(pause)).await;
        drop(login.attach(Attach::NextPage).unwrap());
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(*world.driver.commands.lock().unwrap(), ["wake"], "only the pause of 3 s was an absence");
}

#[tokio::test(start_paused = true)]
async fn giving_up_ends_it_at_once() {
    let world = world(Plan::WaitForever, 10);
    let login = world.start().await;
    login.cancel();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(story(&login).last().unwrap(), "cancelled");
}

#[tokio::test(start_paused = true)]
async fn past_the_capacity_it_is_busy_and_a_finished_login_gives_its_place_back() {
    let world = world(Plan::WaitForever, 2);
    let (first, _second) = (world.start().await, world.start().await);
    assert!(world.try_start(false).await.is_err());
    first.cancel();
    sleep(Duration::from_millis(1)).await;
    assert!(world.try_start(false).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_password_is_taken_once_and_only_when_asked_for() {
    let waiting = world(Plan::WaitForever, 2).start().await;
    assert!(waiting.password(Secret::new("x".into())).is_err());

    let world = world(Plan::AskPassword, 2);
    let login = world.start().await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(story(&login).last().unwrap(), "password");
    login.password(Secret::new("x".into())).unwrap();
    assert!(login.password(Secret::new("x".into())).is_err());
    sealed(&login).await;
    assert_eq!(story(&login)[4..], ["password", "finishing", "success"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_seals_the_log_and_gives_the_place_back() {
    let world = world(Plan::Panic, 1);
    let login = world.start().await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(story(&login).last().unwrap(), "internal");
    assert_eq!(world.tasks.crashed(), 1);
    assert!(world.try_start(false).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_leaves_the_log_open_so_that_the_page_goes_on_elsewhere() {
    let world = world(Plan::WaitForever, 1);
    let login = world.start().await;
    sleep(Duration::from_millis(1)).await;
    assert!(world.tasks.stopped(sleep(Duration::from_secs(10))).await, "ended by itself");
    assert!(!login.log.is_sealed());
    assert_eq!(world.registry.active(), 0);
}

#[tokio::test(start_paused = true)]
async fn readers_are_bounded() {
    let world = world(Plan::WaitForever, 1);
    let login = world.start().await;
    let readers: Vec<_> = (0..READERS).map(|_| login.attach(Attach::Begin).unwrap()).collect();
    assert!(login.attach(Attach::Begin).is_err());
    drop(readers);
    assert!(login.attach(Attach::Begin).is_ok());
}

/// Begins logins and gives each up, one after the other.
async fn storm(world: &World, count: usize) {
    for _ in 0..count {
        world.start().await.cancel();
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn logins_that_are_over_are_bounded_and_do_not_displace_a_success() {
    let world = world(Plan::ApproveAfter(Duration::from_secs(5)), 10);
    let login = world.start().await;
    let _reader = login.attach(Attach::Begin).unwrap();
    sealed(&login).await;
    assert_eq!(story(&login).last().unwrap(), "success");
    storm(&world, 500).await;
    assert_eq!(world.registry.known_here(), 10 + 1);
    assert!(world.registry.find(login.id, &Fingerprint::of(FLOW)).await.unwrap().is_some(), "its visitor may be away");
    sleep(Duration::from_secs(61)).await;
    world.registry.tidy();
    assert_eq!(world.registry.known_here(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_login_is_forgotten_like_any_other() {
    let world = world(Plan::Panic, 1);
    world.start().await;
    sleep(Duration::from_secs(61)).await;
    world.registry.tidy();
    assert_eq!(world.registry.known_here(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_absence_is_longer_than_a_page_takes_to_ask_again() {
    for (pause, wakes) in [(PRESENCE_GAP, 0), (PRESENCE_GAP + Duration::from_millis(1), 1)] {
        let world = world(Plan::WaitForever, 10);
        let login = world.start().await;
        drop(login.attach(Attach::Begin).unwrap());
        sleep(pause).await;
        let reader = login.attach(Attach::NextPage).unwrap();
        // A second page beside the first is none who comes back.
        sleep(PRESENCE_GAP * 2).await;
        drop(login.attach(Attach::NextPage).unwrap());
        sleep(Duration::from_millis(1)).await;
        assert_eq!(world.driver.commands.lock().unwrap().len(), wakes, "after {pause:?}");
        drop(reader);
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_will_hear_of_is_not_told_when_the_server_stops() {
    let world = world(Plan::ApproveWhenStopped, 1);
    let login = world.start().await;
    sleep(Duration::from_millis(1)).await;
    assert!(world.tasks.stopped(sleep(Duration::from_secs(10))).await);
    assert_eq!(story(&login), ["connecting", "code", "qr", "waiting"], "its grant ends with this process");
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_comes_with_the_end_of_a_login_counts() {
    let world = world(Plan::ApproveWhenStopped, 1);
    let login = world.start().await;
    drop(login.attach(Attach::Begin).unwrap());
    sealed(&login).await;
    assert_eq!(story(&login).last().unwrap(), "success", "left, and approved in that moment");
    let login = world.start().await;
    login.cancel();
    sealed(&login).await;
    assert_eq!(story(&login).last().unwrap(), "cancelled", "who gave up wants no session");
}

#[tokio::test(start_paused = true)]
async fn each_end_is_counted_by_its_outcome() {
    let counted = Counted::listen();
    let ended = |outcome: &str| counted.of(&format!("max_auth_logins_ended_total{{outcome=\"{outcome}\"}}"));
    for (plan, outcome) in
        [(Plan::ApproveAfter(Duration::from_secs(1)), "success"), (Plan::WaitForever, "login-expired")]
    {
        let login = world(plan, 10).start().await;
        let _reader = login.attach(Attach::Resume).unwrap();
        assert_eq!(ended(outcome), 0);
        sealed(&login).await;
        assert_eq!((ended(outcome), story(&login).last().unwrap().as_str()), (1, outcome));
    }
}
