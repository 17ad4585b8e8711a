//! This process among others, and after a restart: its name, its claim, who else lives. Only where the store outlives it.

use super::record::Records;
use crate::base::clock::Clock;
use crate::base::id::LoginId;
use crate::base::repeat::OncePerMinute;
use crate::signin::Drivers;
use crate::store::{Admission, Key, Member, NodeName, NodeNote, Noted, Seal, Space, Store, Unavailable};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

/// Between two beats of a node.
const BEAT: Duration = Duration::from_secs(2);

/// How long a node is believed to live after a beat.
const CLAIM: Duration = Duration::from_secs(6);

/// From the last beat that arrived until a node gives up what it claimed: before another may claim it.
const CLAIM_LOST: Duration = Duration::from_secs(5);

/// Before a beat, or a write, is tried again.
pub const RETRY: Duration = Duration::from_millis(250);

/// How long a start may wait for the store: "busy" within two seconds.
pub const STORE_DEADLINE: Duration = Duration::from_millis(1500);

/// Looks of a node at logins, at once.
const LOOKS_AT_ONCE: usize = 64;

const MINUTE: Duration = Duration::from_secs(60);

/// How a store is shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nodes {
    /// One process has it to itself; who owned a login before does not live any more.
    One,
    Many,
}

pub struct Sharing {
    pub store: Arc<dyn Store>,
    pub seal: Seal,
    pub node: NodeName,
    pub nodes: Nodes,
    pub looks_at_once: usize,
    /// Whether others believe that this node lives.
    claim: watch::Sender<Claim>,
    living: Mutex<Living>,
    /// One such question at a time: where a node has died, thousands of logins ask it at once.
    asking: tokio::sync::Mutex<()>,
    died: Notify,
    drivers: Drivers,
    clock: Clock,
    other_key: OncePerMinute,
}

/// Whether this node is heard of, and how often it was not: a node that was frozen finds both out in one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Claim {
    held: bool,
    losses: u64,
}

/// The nodes that live, and when that was asked.
struct Living {
    asked: Option<Instant>,
    nodes: BTreeSet<NodeName>,
}

impl Sharing {
    /// `drivers`: they tell each other what they find.
    pub fn new(
        store: Arc<dyn Store>,
        seal: Seal,
        node: NodeName,
        nodes: Nodes,
        drivers: Drivers,
        clock: Clock,
    ) -> Self {
        let living = Mutex::new(Living { asked: None, nodes: BTreeSet::from([node.clone()]) });
        let (claim, asking) = (watch::Sender::new(Claim { held: true, losses: 0 }), tokio::sync::Mutex::new(()));
        let (died, other_key) = (Notify::new(), OncePerMinute::default());
        let looks_at_once = LOOKS_AT_ONCE;
        Self { store, seal, node, nodes, looks_at_once, claim, living, asking, died, drivers, clock, other_key }
    }

    pub fn records(&self, login: LoginId) -> Records<'_> {
        Records::new(&self.seal, login)
    }

    pub fn log(login: LoginId) -> Key {
        Records::log(login)
    }

    /// One more from a network of visitors, at most so many a minute at all nodes; else how long to wait. Without the store
    /// each node counts for itself.
    pub async fn admit(&self, network: &[u8], per_minute: u32) -> Result<(), Duration> {
        if self.nodes == Nodes::One || per_minute == 0 || !self.has_claim() {
            return Ok(());
        }
        let key = Key::of(Space::Rate, &[self.seal.name(network).bytes()]);
        match timeout(RETRY * 2, self.store.admit(key, MINUTE / per_minute, per_minute)).await {
            Ok(Ok(Admission::Wait(wait))) => Err(wait),
            Ok(Ok(Admission::Admitted) | Err(_)) | Err(_) => Ok(()),
        }
    }

    /// A place among `login.max_active_total`; 0 is no limit.
    pub async fn reserve(&self, total: u32) -> Result<bool, Unavailable> {
        if total == 0 || self.nodes == Nodes::One {
            return Ok(true);
        }
        self.store.reserve(self.node.clone(), total).await
    }

    /// Completes when this node must write no more: since [`Self::losses`] it was not heard of for too long, if only for a
    /// moment that is over.
    pub async fn claim_lost(&self, losses: u64) {
        // The sender lives as long as we do.
        let _ = self.claim.subscribe().wait_for(|claim| !claim.held || claim.losses != losses).await;
    }

    /// How often the claim was lost: to be asked before something is claimed.
    pub fn losses(&self) -> u64 {
        self.claim.borrow().losses
    }

    pub fn has_claim(&self) -> bool {
        self.claim.borrow().held
    }

    fn hold_claim(&self) {
        if !self.claim.send_if_modified(|claim| !std::mem::replace(&mut claim.held, true)) {
            return;
        }
        metrics::gauge!("max_auth_store_up").set(1);
        tracing::info!("the store is within reach again");
    }

    fn lose_claim(&self) {
        let lose = |claim: &mut Claim| {
            claim.losses += u64::from(claim.held);
            std::mem::replace(&mut claim.held, false)
        };
        if self.claim.send_if_modified(lose) {
            metrics::gauge!("max_auth_store_up").set(0);
            tracing::error!("the store is out of reach; sign-ins wait for it, new ones are refused");
        }
    }

    /// Completes when a node that lived does not any more.
    pub async fn somebody_died(&self) {
        self.died.notified().await;
    }

    /// Whether that node, which owned a log when it was read, writes it. Before it says no it asks anew: the node may be younger
    /// than the last answer.
    pub async fn lives(&self, node: &NodeName, active: u32) -> Result<bool, Unavailable> {
        if self.living().nodes.contains(node) {
            return Ok(true);
        }
        if self.nodes == Nodes::Many {
            let since = Instant::now();
            let _one = self.asking.lock().await;
            let asked = self.living().asked;
            if asked.is_none_or(|asked| asked < since) {
                self.beat_once(active).await?;
            }
        }
        Ok(self.living().nodes.contains(node))
    }

    /// This node, and the others that lived when that was last asked.
    pub fn all_living(&self) -> Vec<NodeName> {
        let others = self.living().nodes.clone().into_iter().filter(|node| *node != self.node);
        std::iter::once(self.node.clone()).chain(others).collect()
    }

    fn living(&self) -> MutexGuard<'_, Living> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn beat_once(&self, active: u32) -> Result<(), Unavailable> {
        let began = Instant::now();
        let note = NodeNote { unix_ms: self.clock.unix_ms(), life: CLAIM, drivers: self.drivers.notes() };
        let members = self.store.beat(self.node.clone(), CLAIM, active, note.sealed(&self.seal, &self.node)).await?;
        self.read_notes(members.iter().filter(|member| member.node != self.node));
        let nodes: BTreeSet<NodeName> = members.into_iter().map(|member| member.node).collect();
        let mut living = self.living();
        if !living.nodes.is_subset(&nodes) {
            self.died.notify_one();
        }
        *living = Living { asked: Some(began), nodes };
        drop(living);
        Ok(())
    }

    /// Logins that go from one node to the other fail where these have different keys.
    fn read_notes<'a>(&self, others: impl Iterator<Item = &'a Member>) {
        let mut told = Vec::new();
        for member in others {
            match NodeNote::open(&self.seal, &member.node, &member.note) {
                Noted::Said(note) => told.push(note.drivers),
                Noted::Nothing => {}
                Noted::OtherKey => {
                    if let Some(times) = self.other_key.due() {
                        let node = member.node.text();
                        tracing::error!(
                            node,
                            times,
                            "another node seals with another key: store.key_file must be the same on all nodes"
                        );
                    }
                }
            }
        }
        self.drivers.heed(told);
    }

    /// Says that this node lives, until `leaving` completes; then that it is gone.
    pub async fn beat(&self, active: impl Fn() -> u32, leaving: impl Future<Output = ()>) {
        tokio::pin!(leaving);
        let mut heard = Instant::now();
        loop {
            let began = Instant::now();
            if heard.elapsed() >= CLAIM_LOST {
                // Also a process that was frozen, before it is heard of again: others own its logins.
                self.lose_claim();
            }
            let beat = timeout(CLAIM_LOST / 4, self.beat_once(active())).await;
            let pause = match beat {
                Ok(Ok(())) => {
                    // From when it was sent: it may have been long on its way.
                    heard = began;
                    self.hold_claim();
                    BEAT
                }
                Ok(Err(_)) | Err(_) => RETRY,
            };
            if heard.elapsed() >= CLAIM_LOST {
                self.lose_claim();
            }
            let lost_at = if self.has_claim() { heard + CLAIM_LOST } else { began + BEAT };
            let pause = pause.min(lost_at.saturating_duration_since(Instant::now()).max(Duration::from_millis(10)));
            tokio::select! {
                () = sleep(pause) => {}
                () = &mut leaving => break,
            }
        }
        let _ = timeout(RETRY, self.store.beat(self.node.clone(), Duration::ZERO, 0, Bytes::new())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::base::rng::Rng;
    use crate::base::tasks::Tasks;
    use crate::signin::{Asked, CommandSlot, Driver, EventSink, Outcome, Run};
    use crate::store::{Costly, MemoryStore, Seals};
    use futures_util::future::join_all;
    use serde_json::{Value, json};

    #[derive(Default)]
    struct Talker {
        says: Value,
        heard: Mutex<Vec<Value>>,
    }

    impl Driver for Talker {
        fn name(&self) -> &'static str {
            "talker"
        }

        fn assurance(&self) -> &'static str {
            "none"
        }

        fn run<'a>(&'a self, _: Asked, _: &'a dyn EventSink, _: &'a CommandSlot) -> Run<'a> {
            Box::pin(std::future::ready(Outcome::Stopped))
        }

        fn note(&self) -> Value {
            self.says.clone()
        }

        fn heed(&self, others: Vec<Value>) {
            *self.heard.lock().unwrap() = others;
        }
    }

    fn node(store: &Arc<MemoryStore>, name: &str, key: u8, says: Value) -> (Sharing, Arc<Talker>) {
        let rng = Rng::seeded(u64::from(key));
        let talker = Arc::new(Talker { says, heard: Mutex::default() });
        let drivers = Drivers::only(Arc::<Talker>::clone(&talker));
        let seal = Seals::new(&[key; 32], &rng).unwrap().store;
        let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
        (Sharing::new(store, seal, NodeName::new(name, &rng), Nodes::Many, drivers, Clock::fixed(0)), talker)
    }

    #[tokio::test(start_paused = true)]
    async fn drivers_tell_each_other_with_each_beat_and_nobody_else_can_read_it() {
        let store = Arc::new(MemoryStore::new(Clock::fixed(0), 10));
        let (one, _) = node(&store, "one", 1, json!("broken"));
        let (silent, _) = node(&store, "silent", 1, Value::Null);
        let (other, talker) = node(&store, "other", 1, json!("mine"));
        let (long, _) = node(&store, "long", 1, json!("x".repeat(2048)));
        let (stranger, strange) = node(&store, "stranger", 2, json!("forged"));
        for node in [&one, &silent, &long, &stranger, &other] {
            node.beat_once(0).await.unwrap();
        }
        assert_eq!(*talker.heard.lock().unwrap(), [json!("broken")], "no own note, no empty, long or forged one");
        assert_eq!(*strange.heard.lock().unwrap(), [] as [Value; 0], "sealed with another key");
        assert!(other.lives(&one.node, 0).await.unwrap());
        one.store.beat(one.node.clone(), Duration::ZERO, 0, Bytes::new()).await.unwrap();
        other.beat_once(0).await.unwrap();
        assert_eq!(*talker.heard.lock().unwrap(), [] as [Value; 0], "it has left");
        let notes = store.beat(silent.node.clone(), CLAIM, 0, Bytes::new()).await.unwrap();
        assert!(notes.iter().all(|member| !member.note.windows(4).any(|part| part == b"mine")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_was_frozen_has_lost_what_it_wrote_though_it_is_heard_of_again() {
        let store = Arc::new(MemoryStore::new(Clock::fixed(0), 10));
        let one = Arc::new(node(&store, "one", 1, Value::Null).0);
        let beating = Arc::clone(&one);
        let tasks = Tasks::new();
        tasks.spawn("beat", async move { beating.beat(|| 0, std::future::pending()).await });
        sleep(BEAT * 3).await;
        let losses = one.losses();
        assert!(timeout(BEAT * 2, one.claim_lost(losses)).await.is_err(), "it is heard of");
        // Nothing of it runs meanwhile.
        tokio::time::advance(CLAIM_LOST + BEAT).await;
        sleep(RETRY).await;
        assert!(one.has_claim(), "at once again");
        assert!(timeout(RETRY, one.claim_lost(losses)).await.is_ok(), "whoever wrote before it must stop");
        assert!(timeout(BEAT, one.claim_lost(one.losses())).await.is_err(), "what it claims now is its own");
    }

    /// Each says how often one network of visitors got in of three times.
    #[tokio::test(start_paused = true)]
    async fn visitors_are_counted_at_all_nodes_together_unless_there_is_no_limit_or_no_claim() {
        for (nodes, per_minute, claim, admitted) in [
            (Nodes::Many, 1, true, 1),
            (Nodes::Many, 2, true, 2),
            (Nodes::Many, 0, true, 3),
            (Nodes::Many, 1, false, 3),
            (Nodes::One, 1, true, 3),
            (Nodes::One, 0, false, 3),
        ] {
            let store = Arc::new(MemoryStore::new(Clock::fixed(0), 10));
            let two = ["one", "two"].map(|name| Sharing { nodes, ..node(&store, name, 1, Value::Null).0 });
            let mut fine = 0;
            for sharing in two.iter().cycle().take(3) {
                sharing.claim.send_modify(|kept| kept.held = claim);
                match sharing.admit(b"network", per_minute).await {
                    Ok(()) => fine += 1,
                    Err(wait) => assert!(wait > Duration::ZERO && wait <= MINUTE, "{wait:?}"),
                }
            }
            assert_eq!(fine, admitted, "{nodes:?}, {per_minute} a minute, claim: {claim}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_counted_at_all_nodes_together_unless_there_is_no_limit() {
        for (nodes, total, reserved) in
            [(Nodes::Many, 1, [true, false]), (Nodes::Many, 0, [true, true]), (Nodes::One, 1, [true, true])]
        {
            let store = Arc::new(MemoryStore::new(Clock::fixed(0), 10));
            let mut got = Vec::new();
            for name in ["one", "two"] {
                let sharing = Sharing { nodes, ..node(&store, name, 1, Value::Null).0 };
                sharing.beat_once(0).await.unwrap();
                got.push(sharing.reserve(total).await.unwrap());
            }
            assert_eq!(got, reserved, "{nodes:?}, {total} in all");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_logins_that_ask_for_their_owner_make_few_questions() {
        let clock = Clock::fixed(0);
        let store = Arc::new(Costly::new(clock.clone(), 2, 1, 1.0));
        let (rng, drivers) = (Rng::seeded(1), || Drivers::only(Arc::new(Talker::default())));
        let seal = Seals::new(&[1; 32], &rng).unwrap().store;
        let [here, dead, young] = ["here", "dead", "young"].map(|name| NodeName::new(name, &rng));
        let sharing = Sharing::new(Arc::<Costly>::clone(&store), seal, here, Nodes::Many, drivers(), clock);
        let lives = |node: &NodeName| {
            let (node, sharing) = (node.clone(), &sharing);
            async move { sharing.lives(&node, 0).await.unwrap() }
        };
        let answers = join_all((0..1000).map(|_| lives(&dead))).await;
        assert!(answers.iter().all(|lives| !lives));
        assert_eq!(store.loads()[0].calls["beat"], 1);
        // It began after the last answer.
        store.beat(young.clone(), CLAIM, 0, Bytes::new()).await.unwrap();
        assert!(lives(&young).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_is_lost_and_found_and_each_is_said_once() {
        let heard = crate::observe::Heard::listen();
        let clock = Clock::fixed(0);
        let flaky = Arc::new(crate::store::Flaky::new(clock.clone()));
        let rng = Rng::seeded(1);
        let seal = Seals::new(&[1; 32], &rng).unwrap().store;
        let drivers = Drivers::only(Arc::new(Talker::default()));
        let (store, node): (Arc<dyn Store>, _) = (Arc::<crate::store::Flaky>::clone(&flaky), NodeName::new("a", &rng));
        let sharing = Sharing::new(store, seal, node.clone(), Nodes::Many, drivers, clock);
        let said = || (heard.lines("the store is out of reach"), heard.lines("the store is within reach again"));
        let outage = async {
            sleep(BEAT + Duration::from_millis(10)).await;
            assert_eq!((sharing.has_claim(), said()), (true, (0, 0)));
            flaky.reach(false);
            sleep(CLAIM_LOST - Duration::from_millis(20)).await;
            assert!(sharing.has_claim(), "its last beat is not so long ago");
            sleep(Duration::from_millis(30)).await;
            assert_eq!((sharing.has_claim(), said()), (false, (1, 0)));
            sleep(CLAIM_LOST * 2).await;
            flaky.reach(true);
            sleep(BEAT).await;
            assert_eq!((sharing.has_claim(), said()), (true, (1, 1)));
        };
        sharing.beat(|| 0, outage).await;
        let others = flaky.beat(NodeName::new("b", &rng), CLAIM, 0, Bytes::new()).await.unwrap();
        assert!(others.iter().all(|member| member.node != node), "it has said that it is gone");
    }
}
