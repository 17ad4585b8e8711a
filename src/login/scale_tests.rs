//! What many people at once need of nodes and of the store: the real registries, logs, journals and followers on a virtual
//! clock, over a store that takes as long as Redis was measured to. docs/scale.md has the figures.

use super::tests::FLOW;
use super::*;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::signin::{
    Asked, BrowserInfo, Command, Driver, DriverEvent, DriverName, Drivers, EventSink, Identity, Outcome, Run,
};
use crate::store::{Costly, Load, NodeName, Seals, Store, Vault};
use std::fmt::Write as _;
use std::future::ready;
use tokio::time::{Instant, sleep, sleep_until};

/// A site, and what happens to it.
#[derive(Clone, Copy)]
struct Plan {
    /// One simulated visitor stands for so many.
    scale: f64,
    nodes: usize,
    servers: usize,
    /// Simulated sign-ins a second, and how long a visitor takes: their product is who waits.
    per_second: f64,
    stays: Duration,
    /// Of a hundred visitors, those who come back to another node on their way.
    wander: f64,
    /// Kill a node once the site is full.
    kill: bool,
}

/// What was seen.
#[derive(Default)]
struct Seen {
    begun: usize,
    refused: usize,
    finished: usize,
    ended: usize,
    /// The node died, and its visitor had a fresh code so long after.
    replaced: Vec<Duration>,
}

/// MAX, and a phone that scans in its own time.
struct Phone {
    rng: Rng,
    stays: Duration,
}

impl Driver for Phone {
    fn name(&self) -> &'static str {
        "phone"
    }

    fn assurance(&self) -> &'static str {
        "a simulation"
    }

    fn run<'a>(&'a self, _: Asked, sink: &'a dyn EventSink, commands: &'a CommandSlot) -> Run<'a> {
        Box::pin(async move {
            sink.emit(DriverEvent::Connected);
            let link = super::tests::fresh_link();
            sink.emit(DriverEvent::Code { link, ttl: Duration::from_secs(120), expires_unix_ms: 0, text_code: None });
            let scanned = sleep(self.stays.mul_f64(0.5 + self.rng.unit()));
            tokio::pin!(scanned);
            loop {
                tokio::select! {
                    () = &mut scanned => break,
                    command = commands.next() => if matches!(command, Command::Stop) { return Outcome::Stopped },
                }
            }
            sink.emit(DriverEvent::Approved);
            sink.emit(DriverEvent::Finishing);
            let name = "Иван Петров".to_owned();
            let identity = Identity {
                id: 7,
                name,
                first_name: None,
                last_name: None,
                phone: None,
                photo_url: None,
                driver: DriverName::AccountQr,
                apart: None,
            };
            Outcome::SignedIn(identity)
        })
    }
}

struct Node {
    registry: Arc<Registry>,
    grants: Arc<Grants>,
    tasks: Tasks,
    gone: AtomicBool,
}

struct Simulated {
    plan: Plan,
    store: Arc<Costly>,
    nodes: Vec<Node>,
    rng: Rng,
    seen: Mutex<Seen>,
    killed: Mutex<Option<(usize, Instant)>>,
}

impl Simulated {
    fn new(plan: Plan) -> Arc<Self> {
        let (clock, rng) = (Clock::fixed(1_000_000), Rng::seeded(1));
        let store = Arc::new(Costly::new(clock.clone(), plan.nodes, plan.servers, plan.scale));
        let node = |number: usize| {
            let (rng, tasks) = (Rng::seeded(number as u64), Tasks::new());
            let drivers = || Drivers::only(Arc::new(Phone { rng: rng.clone(), stays: plan.stays }));
            let seal = || Seals::new(&[1; 32], &rng).unwrap().store;
            let shared = || Arc::<Costly>::clone(&store) as Arc<dyn Store>;
            let name = NodeName::new(&format!("node-{number}"), &rng);
            let mut sharing = Sharing::new(shared(), seal(), name, Nodes::Many, drivers(), clock.clone());
            // Of a node a tenth of the size.
            sharing.looks_at_once = (sharing.looks_at_once as f64 / plan.scale).ceil() as usize;
            let grants = Arc::new(Grants::new(Vault::new(shared(), seal(), clock.clone(), rng.clone())));
            let settings = Settings {
                ttl: Duration::from_secs(1800),
                grace: Duration::from_secs(30),
                grace_phone: Duration::from_secs(150),
                max_active: 20_000,
                max_active_total: 10_000_000,
                callback: "https://example.ru/api/auth/max/callback".into(),
                texts: crate::texts::Texts::ours(),
            };
            let surroundings = (clock.clone(), rng.clone(), tasks.clone());
            let (held, shared) = (Arc::clone(&grants), Some(Arc::new(sharing)));
            let registry = Arc::new(Registry::new(settings, drivers(), held, shared, surroundings));
            Node { registry, grants, tasks, gone: AtomicBool::new(false) }
        };
        let nodes = (0..plan.nodes).map(node).collect();
        Arc::new(Self { plan, store, nodes, rng, seen: Mutex::default(), killed: Mutex::default() })
    }

    /// One that lives, as a balancer would choose.
    fn any(&self) -> &Node {
        loop {
            let node = &self.nodes[(self.rng.unit() * self.nodes.len() as f64) as usize];
            if !node.gone.load(Ordering::SeqCst) {
                return node;
            }
        }
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen.lock().unwrap());
    }

    async fn visit(self: Arc<Self>) {
        let flow = Fingerprint::of(FLOW);
        let (mut node, login) = loop {
            let node = self.any();
            let admitted = node.registry.admit(&self.rng.bytes::<4>(), 10).await.is_ok();
            let start = StartParams {
                browser: BrowserInfo::default(),
                purpose: Purpose::Site { return_to: "/".into() },
                locale: Locale::Ru,
                flow,
                key: None,
                phone: false,
                network: None,
                driver: None,
                address: None,
            };
            if let (true, Ok(login)) = (admitted, node.registry.start(start).await) {
                break (node, login);
            }
            self.note(|seen| seen.refused += 1);
            sleep(Duration::from_secs(2)).await;
        };
        self.note(|seen| seen.begun += 1);
        let (id, mut position) = (login.id, login.log.start());
        let mut reader = Some(login.attach(Attach::Begin).unwrap());
        drop(login);
        let wanders = self.rng.unit() < self.plan.wander;
        let mut leaves = wanders.then(|| Instant::now() + self.plan.stays.mul_f64(self.rng.unit() / 2.0));
        let mut lost_at = None;
        loop {
            let Some(reading) = &reader else {
                // Away, or cut: back at another node in a while.
                sleep(Duration::from_secs_f64(0.5 + 2.5 * self.rng.unit())).await;
                node = self.any();
                let found = node.registry.find(id, &flow).await.ok().flatten();
                reader = found.and_then(|login| login.attach(Attach::Resume).ok());
                continue;
            };
            let dies = async {
                while !node.gone.load(Ordering::SeqCst) {
                    node.tasks.stopping().await;
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let page = tokio::select! {
                page = reading.login().log.follow(position) => page,
                () = sleep_until(leaves.unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400))) => {
                    (reader, leaves) = (None, None);
                    continue;
                }
                () = dies => {
                    reader = None;
                    let killed = *self.killed.lock().unwrap();
                    lost_at = killed.map(|(_, at)| at);
                    continue;
                }
            };
            let Ok(page) = page else { return self.note(|seen| seen.ended += 1) };
            position = page.next;
            for event in page.events {
                match event.kind {
                    Kind::Qr => {
                        if let Some(at) = lost_at.take() {
                            self.note(|seen| seen.replaced.push(at.elapsed()));
                        }
                    }
                    Kind::Success => {
                        let data: Value = serde_json::from_str(&event.data(Drawing::Svg)).unwrap();
                        let grant = self.any().grants.take(data["token"].as_str().unwrap(), &flow, None).await;
                        let taken = grant.is_ok_and(|grant| grant.is_some());
                        return self.note(|seen| if taken { seen.finished += 1 } else { seen.ended += 1 });
                    }
                    Kind::Error => return self.note(|seen| seen.ended += 1),
                    _ => {}
                }
            }
        }
    }

    async fn arrivals(self: &Arc<Self>, time: Duration) {
        let (visitors, ends) = (Tasks::new(), Instant::now() + time);
        while Instant::now() < ends {
            // Exponential gaps.
            let gap = -(1.0 - self.rng.unit()).ln() / self.plan.per_second;
            sleep(Duration::from_secs_f64(gap)).await;
            visitors.spawn("visitor", Arc::clone(self).visit());
        }
    }

    fn active(&self) -> usize {
        let living = self.nodes.iter().filter(|node| !node.gone.load(Ordering::SeqCst));
        living.map(|node| node.registry.active()).sum()
    }
}

/// What happened in so long a time, for so many real ones as one simulated visitor stands for.
fn told(what: &str, simulated: &Simulated, loads: &[Load], time: Duration) -> String {
    let (mut text, scale, seconds) = (String::new(), simulated.plan.scale, time.as_secs_f64());
    let waiting = simulated.active() as f64 * scale;
    let per_second = |count: u64| count as f64 * scale / seconds;
    let calls = |verb: &str| loads.iter().filter_map(|load| load.calls.get(verb)).sum::<u64>();
    let all: u64 = loads.iter().flat_map(|load| load.calls.values()).sum();
    let bytes: u64 = loads.iter().map(|load| load.bytes).sum();
    let busiest = loads.iter().map(|load| load.busy.as_secs_f64() / seconds).fold(0.0, f64::max);
    let longest = loads.iter().map(|load| load.longest_wait).max().unwrap_or_default();
    let late: u64 = loads.iter().map(|load| load.too_late).sum();
    let refused: u64 = loads.iter().map(|load| load.refused).sum();
    let _ = writeln!(
        text,
        "{what}: {waiting:.0} wait; {:.0} calls a second, {:.1} MB of values a second",
        per_second(all),
        per_second(bytes) / 1e6
    );
    let verbs =
        ["begin", "append", "read by the owner", "read elsewhere", "claim", "put", "take", "admit", "beat", "reserve"];
    let each: Vec<String> = verbs.iter().map(|verb| format!("{verb} {:.0}", per_second(calls(verb)))).collect();
    let _ = writeln!(text, "  a second: {}", each.join(", "));
    let _ = writeln!(
        text,
        "  {} servers, the busiest {:.0} % busy; longest wait {longest:.1?}, {late} too late, {refused} refused",
        loads.len(),
        busiest * 100.0
    );
    text
}

/// Fills the site, watches it for a while, and lets a node die.
async fn run(plan: Plan) -> (Arc<Simulated>, String) {
    let simulated = Simulated::new(plan);
    let fill = plan.stays.mul_f64(1.5);
    let mut text = String::new();
    let watched = Duration::from_secs(30);
    let arrivals = Arc::clone(&simulated);
    let whole = fill + watched * 3;
    let story = async {
        sleep(fill).await;
        simulated.store.loads();
        sleep(watched).await;
        text += &told("full", &simulated, &simulated.store.loads(), watched);
        if plan.kill {
            *simulated.killed.lock().unwrap() = Some((0, Instant::now()));
            simulated.nodes[0].gone.store(true, Ordering::SeqCst);
            simulated.nodes[0].tasks.stopped(ready(())).await;
            sleep(watched).await;
            text += &told("a node has died", &simulated, &simulated.store.loads(), watched);
        }
    };
    tokio::join!(arrivals.arrivals(whole), story);
    let mut seen = simulated.seen.lock().unwrap();
    seen.replaced.sort_unstable();
    let at = |share: f64| seen.replaced.get((seen.replaced.len() as f64 * share) as usize).copied().unwrap_or_default();
    let _ = writeln!(
        text,
        "visitors: {} begun, {} refused, {} finished, {} ended otherwise; a fresh code for {} after p50 {:.1?}, p99 {:.1?}, longest {:.1?}",
        seen.begun,
        seen.refused,
        seen.finished,
        seen.ended,
        seen.replaced.len(),
        at(0.5),
        at(0.99),
        seen.replaced.last().copied().unwrap_or_default(),
    );
    drop(seen);
    (simulated, text)
}

#[tokio::test(start_paused = true)]
async fn a_small_site_loses_nobody_when_a_node_dies() {
    let plan = Plan {
        scale: 1.0,
        nodes: 3,
        servers: 1,
        per_second: 1.0,
        stays: Duration::from_secs(60),
        wander: 0.2,
        kill: true,
    };
    let (simulated, text) = run(plan).await;
    let seen = simulated.seen.lock().unwrap();
    assert!(seen.begun > 100 && seen.finished > 75, "{text}");
    assert_eq!((seen.refused, seen.ended), (0, 0), "{text}");
    assert!(seen.replaced.len() > 10, "{text}");
    assert!(seen.replaced.iter().all(|after| *after < Duration::from_secs(10)), "{text}");
}

/// `make scale`: a country's peak, 1 000 sign-ins a second and 300 000 people who wait, a tenth of it.
#[tokio::test(start_paused = true)]
#[ignore = "takes minutes"]
#[expect(clippy::print_stdout, reason = "that is what it is for")]
async fn a_country() {
    for servers in [1, 2, 3] {
        // A tenth of the visitors on servers of a tenth of the speed; a thirtieth of them at the node that dies.
        let plan = Plan {
            scale: 10.0,
            nodes: 30,
            servers,
            per_second: 100.0,
            stays: Duration::from_secs(300),
            wander: 0.1,
            kill: true,
        };
        println!("{}", run(plan).await.1);
    }
}
