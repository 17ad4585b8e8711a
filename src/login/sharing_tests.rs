//! Logins of several nodes over one store, on a paused clock: owners that stop, die, pause; a store that is away or forgets.

use super::tests::{FLOW, Plan, Scripted, sealed, story};
use super::*;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::signin::{BrowserInfo, Drivers};
use crate::store::{Append, Appended, Claimed, Flaky, NodeName, Reader, Seals, Store, Unavailable, Vault};
use bytes::Bytes;
use std::future::ready;
use tokio::time::{Instant, sleep};

/// What all nodes have in common.
struct Site {
    store: Arc<Flaky>,
    clock: Clock,
}

struct Node {
    registry: Arc<Registry>,
    driver: Arc<Scripted>,
    grants: Grants,
    sharing: Arc<Sharing>,
    tasks: Tasks,
}

impl Site {
    fn new() -> Self {
        let clock = Clock::fixed(1_000_000);
        Self { store: Arc::new(Flaky::new(clock.clone())), clock }
    }

    async fn node(&self, name: &str, plan: Plan, nodes: Nodes) -> Node {
        let (clock, tasks) = (self.clock.clone(), Tasks::new());
        let rng = Rng::seeded(name.bytes().map(u64::from).sum());
        let driver = Arc::new(Scripted { plan, commands: Mutex::default() });
        let seal = || Seals::new(&[1; 32], &rng).unwrap().store;
        let store: Arc<dyn Store> = Arc::<Flaky>::clone(&self.store);
        let grants = || Grants::new(Vault::new(Arc::clone(&store), seal(), clock.clone(), rng.clone()));
        let settings = Settings {
            ttl: Duration::from_secs(600),
            grace: Duration::from_secs(30),
            grace_phone: Duration::from_secs(150),
            max_active: 10,
            max_active_total: 0,
            callback: "https://example.ru/api/auth/max/callback".into(),
            texts: crate::texts::Texts::ours(),
        };
        let node = NodeName::new(name, &rng);
        let asks = || Drivers::only(Arc::<Scripted>::clone(&driver));
        let sharing = Sharing::new(Arc::clone(&store), seal(), node, nodes, asks(), clock.clone());
        let sharing = Arc::new(sharing);
        let surroundings = (clock.clone(), rng.clone(), tasks.clone());
        let shared = Some(Arc::clone(&sharing));
        let registry = Registry::new(settings, asks(), Arc::new(grants()), shared, surroundings);
        let node = Node { registry: Arc::new(registry), driver, grants: grants(), sharing, tasks };
        // Its first beat.
        sleep(Duration::from_millis(10)).await;
        node
    }

    fn reach(&self, within: bool) {
        self.store.reach(within);
    }
}

impl Node {
    async fn start(&self) -> Result<Arc<Login>, NotStarted> {
        let start = self.registry.start(StartParams {
            browser: BrowserInfo::default(),
            purpose: Purpose::Site { return_to: "/after".into() },
            locale: Locale::En,
            flow: Fingerprint::of(FLOW),
            key: None,
            phone: false,
            network: None,
            driver: None,
            address: None,
        });
        start.await
    }

    async fn find(&self, id: LoginId) -> Arc<Login> {
        self.registry.find(id, &Fingerprint::of(FLOW)).await.unwrap().unwrap()
    }

    /// As `kill -9`: nothing is said to anybody.
    async fn die(self) {
        self.tasks.stopped(ready(())).await;
    }

    async fn stop(self) {
        assert!(self.tasks.stopped(sleep(Duration::from_secs(60))).await);
    }

    async fn takes(&self, success: &Login) -> bool {
        let data = success.log.last_of(Kind::Success).unwrap();
        let data: Value = serde_json::from_str(&data.data(Drawing::Svg)).unwrap();
        self.grants.take(data["token"].as_str().unwrap(), &Fingerprint::of(FLOW), None).await.unwrap().is_some()
    }
}

async fn two(site: &Site, plan: Plan) -> (Node, Node) {
    (site.node("a", plan, Nodes::Many).await, site.node("b", plan, Nodes::Many).await)
}

fn codes(login: &Login) -> usize {
    story(login).iter().filter(|event| *event == "qr").count()
}

/// Every offset once, in order.
fn is_gapless(login: &Login) -> bool {
    let events = login.log.read(None).unwrap().events;
    events.iter().map(|event| event.position.offset).eq(1..=events.len() as u32)
}

async fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < within, "{what} took longer than {within:?}");
        sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_a_login_goes_on_with_a_fresh_code() {
    let site = Site::new();
    let before = site.node("a", Plan::WaitForever, Nodes::One).await;
    let login = before.start().await.unwrap();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(story(&login), ["connecting", "code", "qr", "waiting"]);
    let at = login.log.read(None).unwrap().next;
    let id = login.id;
    before.die().await;

    let after = site.node("a", Plan::ApproveAfter(Duration::from_secs(9)), Nodes::One).await;
    assert!(after.registry.find(id, &Fingerprint::of(b"other")).await.unwrap().is_none());
    let login = after.find(id).await;
    let _reader = login.attach(Attach::Resume).unwrap();
    assert!(login.log.read(Some(at)).unwrap().events.is_empty(), "the page goes on where it was");
    sealed(&login).await;
    assert_eq!(story(&login), ["connecting", "code", "qr", "waiting", "qr", "success"], "only a fresh code is new");
    assert!(is_gapless(&login) && after.takes(&login).await);
}

#[tokio::test(start_paused = true)]
async fn a_dead_owner_is_replaced_within_ten_seconds_and_a_living_one_is_not() {
    let site = Site::new();
    let (a, b) = two(&site, Plan::WaitForever).await;
    let id = a.start().await.unwrap().id;
    sleep(Duration::from_secs(1)).await;
    let login = b.find(id).await;
    let _reader = login.attach(Attach::Resume).unwrap();
    assert_eq!(story(&login), ["connecting", "code", "qr", "waiting"]);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(codes(&login), 1, "its owner lives");
    a.die().await;
    let took = until("a takeover", Duration::from_secs(10), || codes(&login) == 2).await;
    assert!(took > Duration::from_secs(2), "not before the claim was over: {took:?}");
    assert!(is_gapless(&login));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_hands_over_within_two_seconds() {
    let site = Site::new();
    let (a, b) = two(&site, Plan::WaitForever).await;
    let id = a.start().await.unwrap().id;
    sleep(Duration::from_secs(1)).await;
    let login = b.find(id).await;
    let _reader = login.attach(Attach::Resume).unwrap();
    let (_, took) = tokio::join!(a.stop(), until("a takeover", Duration::from_secs(2), || codes(&login) == 2));
    assert!(took < Duration::from_secs(2));
    assert_eq!(story(&login), ["connecting", "code", "qr", "waiting", "qr"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_elsewhere_sees_each_event_at_once_and_keeps_the_login_alive() {
    let site = Site::new();
    let approved = Plan::ApproveAfter(Duration::from_secs(200));
    let (a, b) = two(&site, approved).await;
    let here = a.start().await.unwrap();
    let there = b.find(here.id).await;
    let _reader = there.attach(Attach::Resume).unwrap();
    until("the success", Duration::from_secs(201), || here.log.is_sealed()).await;
    let late = until("its copy", Duration::from_secs(1), || there.log.is_sealed()).await;
    assert!(late < Duration::from_millis(100), "{late:?}");
    let texts = |login: &Login| -> Vec<String> {
        login.log.read(None).unwrap().events.iter().map(|event| event.json(Drawing::Svg)).collect()
    };
    assert_eq!(texts(&here), texts(&there));
    assert!(b.takes(&there).await && !a.takes(&here).await, "once, at any node");
    let after = site.node("c", approved, Nodes::Many).await.find(here.id).await;
    assert_eq!(texts(&here), texts(&after), "over, and still to be read");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_nobody_reads_anywhere_ends() {
    let site = Site::new();
    let (a, b) = two(&site, Plan::WaitForever).await;
    let here = a.start().await.unwrap();
    let there = b.find(here.id).await;
    let reader = there.attach(Attach::Resume).unwrap();
    sleep(Duration::from_secs(100)).await;
    assert!(!here.log.is_sealed());
    drop(reader);
    until("its end", Duration::from_secs(90), || here.log.is_sealed()).await;
    assert_eq!(story(&here).last().unwrap(), "visitor-left");
}

#[tokio::test(start_paused = true)]
async fn what_a_visitor_says_at_another_node_reaches_the_owner() {
    let site = Site::new();
    let (a, b) = two(&site, Plan::AskPassword).await;
    let here = a.start().await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let there = b.find(here.id).await;
    let _reader = there.attach(Attach::Resume).unwrap();
    until("the wake", Duration::from_secs(1), || a.driver.commands.lock().unwrap().contains(&"wake")).await;
    assert!(there.wants_password());
    there.password(Secret::new("x".into())).unwrap();
    until("the success", Duration::from_secs(1), || there.log.is_sealed()).await;
    assert_eq!(story(&here).last().unwrap(), "success");

    let here = a.start().await.unwrap();
    let there = b.find(here.id).await;
    there.cancel();
    until("the end", Duration::from_secs(1), || here.log.is_sealed()).await;
    assert_eq!(story(&here).last().unwrap(), "cancelled");
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_paused_is_fenced_and_writes_nothing_more() {
    let site = Site::new();
    let approved = Plan::ApproveAfter(Duration::from_secs(3));
    let a = site.node("a", approved, Nodes::Many).await;
    let login = a.start().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let other = NodeName::parse("b~1").unwrap();
    site.store.beat(other.clone(), Duration::from_secs(60), 1, Bytes::new()).await.unwrap();
    let claimed = site.store.claim(Sharing::log(login.id), Some(other), 1).await.unwrap();
    assert_eq!(claimed, Claimed::Yes { fence: 2 });
    let before = story(&login);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(story(&login), before, "neither a success nor an error");
    assert_eq!(a.registry.active(), 0, "its driver has been stopped");
    let page = site.store.read(Sharing::log(login.id), Some(0), Reader::Nobody).await.unwrap().unwrap();
    assert_eq!(page.newest, 4);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_costs_a_waiting_login_a_fresh_code_and_a_new_one_is_told_to_wait() {
    let site = Site::new();
    let a = site.node("a", Plan::WaitForever, Nodes::Many).await;
    let login = a.start().await.unwrap();
    let _reader = login.attach(Attach::Begin).unwrap();
    sleep(Duration::from_secs(1)).await;
    site.reach(false);
    let began = Instant::now();
    assert!(matches!(a.start().await, Err(NotStarted::Store(Unavailable::OutOfReach(_)))));
    assert!(began.elapsed() < Duration::from_secs(2));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(a.registry.active(), 1, "a short outage costs nothing");
    sleep(Duration::from_secs(3)).await;
    assert_eq!(a.registry.active(), 0, "another might have claimed it by now");
    assert!(!a.registry.store_answers());
    assert!(
        a.registry.find(LoginId::new(&Rng::seeded(9)), &Fingerprint::of(FLOW)).await.is_err(),
        "not \"no such login\""
    );
    sleep(Duration::from_secs(14)).await;
    assert!(login.log.read(None).is_ok() && !login.log.is_sealed());
    site.reach(true);
    until("a fresh code", Duration::from_secs(10), || codes(&login) == 2).await;
    assert_eq!(story(&login), ["connecting", "code", "qr", "waiting", "qr"]);
    assert!(a.registry.store_answers() && a.start().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_cannot_be_kept_costs_a_fresh_code_and_is_no_error() {
    let site = Site::new();
    let a = site.node("a", Plan::ApproveAfter(Duration::from_secs(3)), Nodes::Many).await;
    let login = a.start().await.unwrap();
    let _reader = login.attach(Attach::Begin).unwrap();
    sleep(Duration::from_millis(2900)).await;
    site.reach(false);
    sleep(Duration::from_secs(9)).await;
    site.reach(true);
    sealed(&login).await;
    assert_eq!(story(&login), ["connecting", "code", "qr", "waiting", "qr", "success"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_with_something_to_write_gives_up_as_soon_as_any_other() {
    let site = Site::new();
    let a = site.node("a", Plan::WaitForever, Nodes::Many).await;
    let login = a.start().await.unwrap();
    // Its code has not been written yet.
    site.reach(false);
    let _reader = login.attach(Attach::Begin).unwrap();
    sleep(Duration::from_secs(6)).await;
    assert_eq!(a.registry.active(), 0, "another might have claimed it by now");
    site.reach(true);
    until("a code", Duration::from_secs(10), || codes(&login) == 1).await;
    assert!(is_gapless(&login));
}

#[tokio::test(start_paused = true)]
async fn what_was_said_to_one_driver_is_not_heard_by_the_next() {
    let site = Site::new();
    let a = site.node("a", Plan::WaitForever, Nodes::Many).await;
    let login = a.start().await.unwrap();
    let _reader = login.attach(Attach::Begin).unwrap();
    sleep(Duration::from_secs(1)).await;
    site.reach(false);
    sleep(Duration::from_secs(8)).await;
    assert_eq!(a.registry.active(), 0);
    // As when a driver ends by itself while it is told to stop.
    login.commands.stop();
    site.reach(true);
    until("a fresh code", Duration::from_secs(10), || codes(&login) == 2).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(story(&login), ["connecting", "code", "qr", "waiting", "qr"]);
}

/// A visitor polls, each page at another node: what one has told, the next may not have heard of.
#[tokio::test(start_paused = true)]
async fn a_position_that_is_ahead_of_this_node_is_looked_for_and_not_called_gone() {
    let site = Site::new();
    let approved = Plan::ApproveAfter(Duration::from_secs(5));
    let (a, b) = two(&site, approved).await;
    let here = a.start().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let there = b.find(here.id).await;
    // Nobody has read it there for long, so nothing comes by itself; and hints may be lost.
    b.tasks.stopped(ready(())).await;
    sealed(&here).await;
    sleep(Duration::from_secs(20)).await;
    let there_again = b.find(here.id).await;
    assert!(Arc::ptr_eq(&there, &there_again));
    let at = here.log.read(None).unwrap().next;
    assert!(there.log.read(Some(at)).is_err());
    site.reach(false);
    assert!(b.registry.reach(&there, Some(at)).await.is_err(), "nobody knows");
    site.reach(true);
    b.registry.reach(&there, Some(at)).await.unwrap();
    assert!(there.log.read(Some(at)).unwrap().sealed);
    let beyond = Position { offset: at.offset + 1, ..at };
    b.registry.reach(&there, Some(beyond)).await.unwrap();
    assert!(there.log.read(Some(beyond)).is_err());
}

/// Its visitor polls, each page at another node: when the store is back, they may be anywhere.
#[tokio::test(start_paused = true)]
async fn after_an_outage_a_login_goes_on_where_its_visitor_is() {
    let site = Site::new();
    let (a, b) = two(&site, Plan::WaitForever).await;
    let here = a.start().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let there = b.find(here.id).await;
    let _reader = there.attach(Attach::Resume).unwrap();
    sleep(Duration::from_secs(30)).await;
    site.reach(false);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(a.registry.active(), 0);
    site.reach(true);
    until("a fresh code", Duration::from_secs(12), || codes(&there) == 2).await;
    assert_eq!((a.registry.active(), b.registry.active()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn many_who_come_back_at_once_make_one_owner_and_one_code() {
    let site = Site::new();
    let a = site.node("a", Plan::WaitForever, Nodes::Many).await;
    let login = a.start().await.unwrap();
    let _reader = login.attach(Attach::Begin).unwrap();
    sleep(Duration::from_secs(1)).await;
    site.reach(false);
    sleep(Duration::from_secs(20)).await;
    site.reach(true);
    let at = login.log.read(None).unwrap().next;
    let beyond = Position { offset: at.offset + 1, ..at };
    for _ in 0..10 {
        let asked = (0..12).map(|_| a.registry.reach(&login, Some(beyond)));
        futures_util::future::join_all(asked).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!((codes(&login), a.registry.active()), (2, 1));
    assert!(is_gapless(&login) && a.registry.find(login.id, &Fingerprint::of(FLOW)).await.unwrap().is_some());
    let page = site.store.read(Sharing::log(login.id), Some(0), Reader::Nobody).await.unwrap().unwrap();
    assert_eq!(page.fence, 2);
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_costs_nothing() {
    let site = Site::new();
    let a = site.node("a", Plan::ApproveAfter(Duration::from_secs(4)), Nodes::Many).await;
    let login = a.start().await.unwrap();
    let _reader = login.attach(Attach::Begin).unwrap();
    sleep(Duration::from_secs(2)).await;
    site.reach(false);
    sleep(Duration::from_millis(4000)).await;
    assert!(!login.log.is_sealed(), "a success that is not kept is not told");
    site.reach(true);
    sealed(&login).await;
    assert_eq!(story(&login), ["connecting", "code", "qr", "waiting", "success"]);
    assert!(a.takes(&login).await);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_lost_writes_makes_the_page_begin_anew_within_five_seconds() {
    let site = Site::new();
    let (a, b) = two(&site, Plan::WaitForever).await;
    for back in [None, Some(2)] {
        let here = a.start().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let there = b.find(here.id).await;
        let readers = [here.attach(Attach::Begin).unwrap(), there.attach(Attach::Resume).unwrap()];
        let (log, at) = (Sharing::log(here.id), here.log.read(None).unwrap().next);
        let page = site.store.read(log, None, Reader::Nobody).await.unwrap().unwrap();
        // Gone, or as it was some events ago.
        site.store.take(log).await.unwrap();
        if let Some(count) = back {
            let (owner, records) = (page.owner.clone().unwrap(), page.records[..count].to_vec());
            site.store.begin(log, owner, page.head, records, Duration::from_secs(600)).await.unwrap();
        }
        site.store.started_again();
        for login in [&here, &there] {
            until("being told", Duration::from_secs(5), || login.log.read(Some(at)).is_err()).await;
        }
        assert_eq!(a.registry.active(), 0);
        drop(readers);
    }
}

/// Whoever can write to the store cannot make an event of another place or login this one's.
#[tokio::test(start_paused = true)]
async fn a_record_that_belongs_elsewhere_is_no_event() {
    let site = Site::new();
    let (a, b) = two(&site, Plan::WaitForever).await;
    let here = a.start().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let there = b.find(here.id).await;
    let _reader = there.attach(Attach::Resume).unwrap();
    let (log, at) = (Sharing::log(here.id), there.log.read(None).unwrap().next);
    let page = site.store.read(log, None, Reader::Nobody).await.unwrap().unwrap();
    let strange = Append { fence: 1, after: page.newest, records: vec![page.records[0].clone()], seal: None };
    assert_eq!(site.store.append(log, strange).await.unwrap(), Appended::Stored);
    until("being told", Duration::from_secs(5), || there.log.read(Some(at)).is_err()).await;
}

#[tokio::test(start_paused = true)]
async fn two_nodes_that_want_the_same_login_make_one_owner() {
    let site = Site::new();
    let a = site.node("a", Plan::WaitForever, Nodes::Many).await;
    let id = a.start().await.unwrap().id;
    sleep(Duration::from_secs(1)).await;
    let (b, c) =
        (site.node("b", Plan::WaitForever, Nodes::Many).await, site.node("c", Plan::WaitForever, Nodes::Many).await);
    let (at_b, at_c) = tokio::join!(b.find(id), c.find(id));
    let _readers = [at_b.attach(Attach::Resume).unwrap(), at_c.attach(Attach::Resume).unwrap()];
    a.die().await;
    until("one takeover", Duration::from_secs(10), || codes(&at_b) == 2 && codes(&at_c) == 2).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!((codes(&at_b), codes(&at_c)), (2, 2));
    assert_eq!(b.registry.active() + c.registry.active(), 1);
    assert!(b.sharing.has_claim() && is_gapless(&at_b) && is_gapless(&at_c));
}

#[tokio::test(start_paused = true)]
async fn an_owner_with_nothing_to_write_learns_by_a_look_that_another_has_its_login() {
    let site = Site::new();
    let a = site.node("a", Plan::WaitForever, Nodes::Many).await;
    let login = a.start().await.unwrap();
    let _reader = login.attach(Attach::Begin).unwrap();
    sleep(Duration::from_secs(1)).await;
    let other = NodeName::parse("b~1").unwrap();
    site.store.beat(other.clone(), Duration::from_secs(60), 1, Bytes::new()).await.unwrap();
    site.store.claim(Sharing::log(login.id), Some(other), 1).await.unwrap();
    until("the end of its driver", Duration::from_secs(25), || a.registry.active() == 0).await;
    assert!(login.log.read(None).is_ok() && !login.log.is_sealed(), "its page follows the new owner");
}

#[tokio::test(start_paused = true)]
async fn a_log_with_a_record_that_belongs_elsewhere_is_taken_over_by_nobody() {
    let site = Site::new();
    let (a, b) = two(&site, Plan::WaitForever).await;
    let id = a.start().await.unwrap().id;
    sleep(Duration::from_secs(1)).await;
    a.die().await;
    let log = Sharing::log(id);
    let page = site.store.read(log, None, Reader::Nobody).await.unwrap().unwrap();
    let strange = Append { fence: 1, after: page.newest, records: vec![page.records[0].clone()], seal: None };
    assert_eq!(site.store.append(log, strange).await.unwrap(), Appended::Stored);
    sleep(Duration::from_secs(10)).await;
    let login = b.find(id).await;
    assert!(login.log.is_lost());
    assert_eq!(b.registry.active(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_approved_while_a_node_stops_is_taken_at_another() {
    let site = Site::new();
    let (a, b) = two(&site, Plan::ApproveWhenStopped).await;
    let here = a.start().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    a.stop().await;
    assert_eq!(story(&here).last().unwrap(), "success");
    let there = b.find(here.id).await;
    assert!(there.log.is_sealed() && b.takes(&there).await);
}

#[tokio::test(start_paused = true)]
async fn a_node_is_alive_until_its_last_login_is_ended_and_then_says_that_it_leaves() {
    let site = Site::new();
    let (a, idle) = two(&site, Plan::WaitForever).await;
    let watcher = NodeName::new("watcher", &Rng::seeded(1));
    let others = async || {
        let beat = site.store.beat(watcher.clone(), Duration::from_secs(60), 0, bytes::Bytes::new()).await;
        beat.unwrap().into_iter().filter(|member| member.node != watcher).count()
    };
    a.start().await.unwrap();
    assert_eq!(others().await, 2);
    idle.stop().await;
    assert_eq!(others().await, 1, "with nothing to end it leaves at once");
    a.stop().await;
    assert_eq!(others().await, 0);
}
