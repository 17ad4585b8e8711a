//! What every engine must do, each test with a store of its own: the same promises over memory, a file and Redis.

use super::*;
use crate::base::rng::Rng;
use futures_util::future::join_all;
use std::sync::Arc;

/// A store under test, and its time.
pub struct Setup {
    pub store: Arc<dyn Store>,
    /// Real where the store keeps time by itself; else tokio's, which a test moves.
    pub real: bool,
    /// Short enough to wait for, long enough to work in.
    pub unit: Duration,
}

impl Setup {
    async fn pass(&self, time: Duration) {
        if self.real {
            tokio::time::sleep(time).await;
        } else {
            tokio::time::advance(time).await;
        }
    }
}

fn key(space: Space) -> Key {
    Key::of(space, &[&Rng::system().bytes::<16>()])
}

fn node(name: &str) -> NodeName {
    NodeName::new(name, &Rng::system())
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

const LONG: Duration = Duration::from_secs(600);

fn records(texts: &[&str]) -> Vec<Bytes> {
    texts.iter().map(|text| bytes(text)).collect()
}

fn append(fence: u64, after: u32, texts: &[&str]) -> Append {
    Append { fence, after, records: records(texts), seal: None }
}

async fn begun(store: &dyn Store, owner: &NodeName) -> Key {
    let log = key(Space::Login);
    store.begin(log, owner.clone(), bytes("head"), records(&["one"]), LONG).await.unwrap();
    log
}

async fn whole(store: &dyn Store, log: Key) -> LogPage {
    store.read(log, None, Reader::Nobody).await.unwrap().unwrap()
}

pub async fn a_value_is_there_until_its_time(setup: Setup) {
    let (store, unit) = (&*setup.store, setup.unit);
    let (short, long) = (key(Space::Grant), key(Space::Grant));
    assert_eq!(store.get(short).await.unwrap(), None);
    assert!(store.put(short, bytes("a"), unit * 2, When::Always).await.unwrap());
    assert!(store.put(long, bytes("b"), LONG, When::Absent).await.unwrap());
    assert!(!store.put(short, bytes("c"), LONG, When::Absent).await.unwrap(), "something is there");
    assert_eq!(store.get(short).await.unwrap(), Some(bytes("a")));
    setup.pass(unit * 3).await;
    assert_eq!(store.get(short).await.unwrap(), None);
    assert_eq!(store.take(short).await.unwrap(), None);
    assert!(store.put(short, bytes("c"), LONG, When::Absent).await.unwrap(), "over is absent");
    assert_eq!(store.get(long).await.unwrap(), Some(bytes("b")));
    assert!(store.put(long, bytes("d"), LONG, When::Always).await.unwrap());
    assert_eq!(store.get(long).await.unwrap(), Some(bytes("d")));
}

pub async fn of_twelve_takers_one_wins(setup: Setup) {
    for _ in 0..8 {
        let grant = key(Space::Grant);
        setup.store.put(grant, bytes("grant"), LONG, When::Always).await.unwrap();
        let takers = (0..12).map(|_| setup.store.take(grant));
        let won = join_all(takers).await.into_iter().filter(|taken| taken.as_ref().unwrap().is_some()).count();
        assert_eq!(won, 1);
        assert_eq!(setup.store.get(grant).await.unwrap(), None);
    }
}

pub async fn one_of_twelve_puts_what_is_absent(setup: Setup) {
    let mark = key(Space::Ended);
    let writers = (0..12).map(|_| setup.store.put(mark, bytes("x"), LONG, When::Absent));
    assert_eq!(join_all(writers).await.into_iter().filter(|put| *put.as_ref().unwrap()).count(), 1);
}

pub async fn what_is_too_large_is_refused(setup: Setup) {
    let large = Bytes::from(vec![7; VALUE_BYTES + 1]);
    let fits = Bytes::from(vec![7; VALUE_BYTES]);
    let (store, owner) = (&*setup.store, node("a"));
    let mark = key(Space::Grant);
    assert!(store.put(mark, fits.clone(), LONG, When::Always).await.unwrap());
    assert_eq!(store.get(mark).await.unwrap(), Some(fits));
    assert!(matches!(store.put(mark, large.clone(), LONG, When::Always).await, Err(Unavailable::Full(_))));
    let log = begun(store, &owner).await;
    let much = Append { fence: 1, after: 1, records: vec![large.clone()], seal: None };
    assert!(store.append(log, much).await.is_err());
    assert!(store.begin(key(Space::Login), owner, large, Vec::new(), LONG).await.is_err());
    assert_eq!(whole(store, log).await.newest, 1);
}

pub async fn an_allowance_comes_back_with_time(setup: Setup) {
    let (rate, interval) = (key(Space::Rate), setup.unit * 2);
    for _ in 0..3 {
        assert_eq!(setup.store.admit(rate, interval, 3).await.unwrap(), Admission::Admitted);
    }
    let Admission::Wait(wait) = setup.store.admit(rate, interval, 3).await.unwrap() else { panic!("a fourth") };
    assert!(wait <= interval && !wait.is_zero(), "{wait:?}");
    setup.pass(interval + setup.unit / 2).await;
    assert_eq!(setup.store.admit(rate, interval, 3).await.unwrap(), Admission::Admitted);
    assert!(matches!(setup.store.admit(rate, interval, 3).await.unwrap(), Admission::Wait(_)), "one, and not all");
    assert_eq!(setup.store.admit(key(Space::Rate), interval, 3).await.unwrap(), Admission::Admitted, "each its own");
}

pub async fn a_log_is_read_from_any_position(setup: Setup) {
    let (store, owner) = (&*setup.store, node("a"));
    assert_eq!(store.read(key(Space::Login), None, Reader::Nobody).await.unwrap(), None);
    let log = begun(store, &owner).await;
    assert_eq!(store.append(log, append(1, 1, &["two", "three"])).await.unwrap(), Appended::Stored);
    let page = whole(store, log).await;
    assert_eq!((page.owner, page.fence, page.head, page.newest), (Some(owner), 1, bytes("head"), 3));
    assert_eq!((page.first, page.records, page.sealed), (1, records(&["one", "two", "three"]), false));
    assert!(page.left <= LONG && page.left > LONG / 2, "{:?}", page.left);
    let page = store.read(log, Some(2), Reader::Nobody).await.unwrap().unwrap();
    assert_eq!((page.first, page.records, page.newest), (3, records(&["three"]), 3));
    assert!(page.head.is_empty());
    let page = store.read(log, Some(3), Reader::Nobody).await.unwrap().unwrap();
    assert_eq!((page.records, page.newest), (Vec::new(), 3));
    let page = store.read(log, Some(9), Reader::Nobody).await.unwrap().unwrap();
    assert_eq!((page.records, page.newest), (Vec::new(), 3), "beyond the end: whoever asked sees where that is");
}

pub async fn offsets_have_no_gaps_and_a_retry_is_one_record(setup: Setup) {
    let store = &*setup.store;
    let log = begun(store, &node("a")).await;
    let second = append(1, 1, &["two"]);
    assert_eq!(store.append(log, second.clone()).await.unwrap(), Appended::Stored);
    assert_eq!(store.append(log, second).await.unwrap(), Appended::Stored, "the answer was lost");
    assert_eq!(whole(store, log).await.newest, 2);
    assert_eq!(store.append(log, append(1, 1, &["two", "three"])).await.unwrap(), Appended::Stored, "and more came");
    assert_eq!(whole(store, log).await.records, records(&["one", "two", "three"]));
    assert_eq!(store.append(log, append(1, 1, &["two", "other"])).await.unwrap(), Appended::Gone);
    assert_eq!(store.append(log, append(1, 5, &["six"])).await.unwrap(), Appended::Gone, "a gap");
    assert_eq!(store.append(log, append(1, 1, &["other"])).await.unwrap(), Appended::Gone, "another second");
    assert_eq!(store.append(key(Space::Login), append(1, 0, &["one"])).await.unwrap(), Appended::Gone);
    let many = join_all((0..12).map(|number| {
        let text = format!("{number}");
        store.append(log, append(1, 3, &[&text]))
    }));
    let stored = many.await.into_iter().filter(|each| *each.as_ref().unwrap() == Appended::Stored).count();
    assert_eq!((stored, whole(store, log).await.newest), (1, 4), "one writer of each offset");
}

pub async fn a_log_keeps_its_newest_records(setup: Setup) {
    let store = &*setup.store;
    let log = begun(store, &node("a")).await;
    let mut after = 1;
    while after < RECORDS as u32 + 10 {
        let texts: Vec<String> = (1..=5).map(|number| (after + number).to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(store.append(log, append(1, after, &texts)).await.unwrap(), Appended::Stored);
        after += 5;
    }
    let page = whole(store, log).await;
    assert_eq!((page.records.len(), page.newest, page.first), (RECORDS, after, after - RECORDS as u32 + 1));
    assert_eq!(page.records[0], bytes(&page.first.to_string()));
    let large = Append { fence: 1, after, records: vec![Bytes::from(vec![b'x'; VALUE_BYTES]); 7], seal: None };
    assert_eq!(store.append(log, large).await.unwrap(), Appended::Stored);
    let page = whole(store, log).await;
    let kept: usize = page.records.iter().map(Bytes::len).sum();
    assert!(kept <= RECORD_BYTES && kept > RECORD_BYTES - VALUE_BYTES - 1, "{kept} bytes");
    assert_eq!((page.newest, page.first), (after + 7, after + 8 - page.records.len() as u32));
}

pub async fn a_sealed_log_lives_a_little_and_grows_no_more(setup: Setup) {
    let store = &*setup.store;
    let log = begun(store, &node("a")).await;
    let last = Append { seal: Some(setup.unit * 4), ..append(1, 1, &["success"]) };
    assert_eq!(store.append(log, last.clone()).await.unwrap(), Appended::Stored);
    assert_eq!(store.append(log, last).await.unwrap(), Appended::Stored, "a retry");
    assert_eq!(store.append(log, append(1, 2, &["more"])).await.unwrap(), Appended::Gone);
    assert_eq!(store.claim(log, Some(node("b")), 1).await.unwrap(), Claimed::Gone, "over is over");
    assert!(!store.send(log, bytes("wake")).await.unwrap());
    let page = whole(store, log).await;
    assert_eq!((page.sealed, page.newest), (true, 2));
    setup.pass(setup.unit * 5).await;
    assert_eq!(store.read(log, None, Reader::Nobody).await.unwrap(), None);
}

pub async fn of_twelve_claimants_one_wins_and_the_old_owner_is_fenced(setup: Setup) {
    let store = &*setup.store;
    let log = begun(store, &node("old")).await;
    let nodes: Vec<NodeName> = (0..12).map(|number| node(&format!("n{number}"))).collect();
    let claims = join_all(nodes.iter().map(|node| store.claim(log, Some(node.clone()), 1))).await;
    let won: Vec<usize> = (0..12).filter(|at| claims[*at] == Ok(Claimed::Yes { fence: 2 })).collect();
    assert_eq!(won.len(), 1, "{claims:?}");
    assert_eq!(claims.iter().filter(|claim| **claim == Ok(Claimed::No)).count(), 11);
    assert_eq!(whole(store, log).await.owner.as_ref(), Some(&nodes[won[0]]));
    assert_eq!(store.append(log, append(1, 1, &["stale"])).await.unwrap(), Appended::Fenced);
    assert_eq!(store.append(log, append(3, 1, &["early"])).await.unwrap(), Appended::Fenced);
    assert_eq!(store.append(log, append(2, 1, &["two"])).await.unwrap(), Appended::Stored);
    assert_eq!(whole(store, log).await.records, records(&["one", "two"]), "the log goes on");
}

pub async fn a_log_that_was_let_go_is_claimed_at_once(setup: Setup) {
    let store = &*setup.store;
    let log = begun(store, &node("a")).await;
    assert_eq!(store.claim(log, None, 1).await.unwrap(), Claimed::Yes { fence: 1 });
    assert_eq!(whole(store, log).await.owner, None);
    let next = node("b");
    assert_eq!(store.claim(log, Some(next.clone()), 1).await.unwrap(), Claimed::Yes { fence: 2 });
    assert_eq!(whole(store, log).await.owner, Some(next));
    assert_eq!(store.claim(log, None, 1).await.unwrap(), Claimed::No, "only by its owner");
    assert_eq!(store.claim(key(Space::Login), Some(node("c")), 1).await.unwrap(), Claimed::Gone);
}

pub async fn commands_reach_the_owner_once(setup: Setup) {
    let store = &*setup.store;
    let log = begun(store, &node("a")).await;
    assert!(store.send(log, bytes("wake")).await.unwrap());
    assert!(store.send(log, bytes("cancel")).await.unwrap());
    assert_eq!(whole(store, log).await.commands, records(&["wake", "cancel"]), "looking takes nothing");
    let owner = |fence| store.read(log, Some(1), Reader::Owner { fence });
    assert!(owner(2).await.unwrap().unwrap().commands.is_empty(), "not the owner");
    assert_eq!(owner(1).await.unwrap().unwrap().commands, records(&["wake", "cancel"]));
    assert!(owner(1).await.unwrap().unwrap().commands.is_empty());
    for _ in 0..COMMANDS {
        assert!(store.send(log, bytes("wake")).await.unwrap());
    }
    assert!(!store.send(log, bytes("wake")).await.unwrap(), "too many");
    assert!(!store.send(key(Space::Login), bytes("wake")).await.unwrap());
}

pub async fn a_reader_elsewhere_is_known_and_told(setup: Setup) {
    let store = &*setup.store;
    let (owner, other) = (node("a"), node("b"));
    let (mut to_owner, mut to_other) = (store.hints(&owner), store.hints(&other));
    // Listening begins a moment later.
    setup.pass(setup.unit * 3).await;
    let log = begun(store, &owner).await;
    let life = setup.unit * 6;
    let seen = |page: Option<LogPage>| page.unwrap().read_elsewhere;
    let by_owner = || store.read(log, Some(1), Reader::Owner { fence: 1 });
    assert!(!seen(by_owner().await.unwrap()));
    store.read(log, None, Reader::Node(owner.clone(), life)).await.unwrap();
    assert!(!seen(by_owner().await.unwrap()), "its own visitors are no others");
    store.read(log, None, Reader::Node(other.clone(), life)).await.unwrap();
    assert!(seen(by_owner().await.unwrap()));
    store.append(log, append(1, 1, &["two"])).await.unwrap();
    assert_eq!(hint(&mut to_other).await, Some(log));
    store.send(log, bytes("wake")).await.unwrap();
    assert_eq!(hint(&mut to_owner).await, Some(log));
    store.claim(log, None, 1).await.unwrap();
    assert_eq!(hint(&mut to_other).await, Some(log), "it may be had");
    store.claim(log, Some(owner), 1).await.unwrap();
    setup.pass(life + setup.unit).await;
    assert!(!seen(store.read(log, Some(1), Reader::Nobody).await.unwrap()), "it has not looked for long");
}

async fn hint(hints: &mut Hints) -> Option<Key> {
    tokio::time::timeout(Duration::from_secs(5), hints.next()).await.ok().flatten()
}

pub async fn the_living_are_those_who_beat(setup: Setup) {
    let (store, unit) = (&*setup.store, setup.unit);
    let (a, b) = (node("a"), node("b"));
    let names = |members: Vec<Member>| -> Vec<NodeName> {
        let mut names: Vec<NodeName> = members.into_iter().map(|member| member.node).collect();
        names.sort();
        names
    };
    assert_eq!(names(store.beat(a.clone(), unit * 4, 3, bytes("note")).await.unwrap()), vec![a.clone()]);
    let members = store.beat(b.clone(), unit * 40, 1, Bytes::new()).await.unwrap();
    let of_a = members.iter().find(|member| member.node == a).unwrap();
    assert_eq!((of_a.active, &of_a.note), (3, &bytes("note")));
    assert_eq!(names(members), [a.clone(), b.clone()]);
    setup.pass(unit * 5).await;
    assert_eq!(names(store.beat(b.clone(), unit * 40, 1, Bytes::new()).await.unwrap()), vec![b.clone()], "a is late");
    store.beat(a.clone(), unit * 40, 0, Bytes::new()).await.unwrap();
    assert_eq!(names(store.beat(b.clone(), Duration::ZERO, 0, Bytes::new()).await.unwrap()), [a], "b left");
}

pub async fn the_places_of_all_nodes_are_counted_together(setup: Setup) {
    let store = &*setup.store;
    let (a, b) = (node("a"), node("b"));
    for node in [&a, &b] {
        store.beat(node.clone(), LONG, 0, Bytes::new()).await.unwrap();
    }
    let takers = (0..12).map(|number| store.reserve(if number % 2 == 0 { a.clone() } else { b.clone() }, 5));
    assert_eq!(join_all(takers).await.into_iter().filter(|place| *place.as_ref().unwrap()).count(), 5);
    store.beat(a.clone(), LONG, 0, Bytes::new()).await.unwrap();
    store.beat(b.clone(), LONG, 4, Bytes::new()).await.unwrap();
    assert!(store.reserve(a.clone(), 5).await.unwrap());
    assert!(!store.reserve(b, 5).await.unwrap());
}

/// The whole suite for one engine: `$setup` is an asynchronous function that makes a store of its own each time.
#[macro_export]
macro_rules! store_suite {
    ($attribute:meta, $setup:expr) => {
        $crate::store_suite!(@ $attribute, $setup,
            a_value_is_there_until_its_time,
            of_twelve_takers_one_wins,
            one_of_twelve_puts_what_is_absent,
            what_is_too_large_is_refused,
            an_allowance_comes_back_with_time,
            a_log_is_read_from_any_position,
            offsets_have_no_gaps_and_a_retry_is_one_record,
            a_log_keeps_its_newest_records,
            a_sealed_log_lives_a_little_and_grows_no_more,
            of_twelve_claimants_one_wins_and_the_old_owner_is_fenced,
            a_log_that_was_let_go_is_claimed_at_once,
            commands_reach_the_owner_once,
            a_reader_elsewhere_is_known_and_told,
            the_living_are_those_who_beat,
            the_places_of_all_nodes_are_counted_together,
        );
    };
    (@ $attribute:meta, $setup:expr, $($name:ident,)*) => {
        $(
            #[$attribute]
            async fn $name() {
                $crate::store::suite::$name($setup().await).await;
            }
        )*
    };
}
