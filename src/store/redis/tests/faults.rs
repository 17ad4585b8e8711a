//! Outages, lost writes, dead ways.

use super::server::{Relay, Server};
use super::*;
use crate::store::redis::link::AT_ONCE;
use tokio::time::{Instant, sleep, timeout};

const LONG: Duration = Duration::from_secs(600);

fn named(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

fn key(space: Space) -> Key {
    Key::of(space, &[&Rng::system().bytes::<16>()])
}

fn append(after: u32, text: &str) -> Append {
    Append { fence: 1, after, records: vec![text.to_owned().into()], seal: None }
}

async fn begun(store: &RedisStore) -> Key {
    let log = key(Space::Login);
    store.begin(log, named("a~1"), "head".into(), vec!["one".into()], LONG).await.unwrap();
    log
}

/// Until it answers again by itself.
async fn answers(store: &RedisStore) {
    let asked = async {
        while store.put(key(Space::Ended), "x".into(), LONG, When::Always).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(5), asked).await.expect("it answers again within 5 s");
}

async fn out_of_reach(store: &RedisStore) {
    let since = Instant::now();
    let answer = store.get(key(Space::Grant)).await;
    assert!(matches!(answer, Err(Unavailable::OutOfReach(_))), "{answer:?}");
    assert!(since.elapsed() < Duration::from_millis(1200), "{:?}", since.elapsed());
}

#[tokio::test]
async fn after_an_outage_everything_goes_on_by_itself() {
    let mut server = Server::start("--appendonly yes --appendfsync always").await;
    let store = connected(&server.address()).await;
    let log = begun(&store).await;
    let mut hints = store.hints(&named("b~1"));
    let mut found = store.found_again();
    assert!(!found.has_changed().unwrap());
    server.kill();
    for _ in 0..3 {
        out_of_reach(&store).await;
    }
    server.again().await;
    answers(&store).await;
    timeout(Duration::from_secs(5), found.changed()).await.unwrap().unwrap();
    assert_eq!(store.append(log, append(1, "two")).await.unwrap(), Appended::Stored);
    let page = store.read(log, None, Reader::Node(named("b~1"), LONG)).await.unwrap().unwrap();
    assert_eq!((page.newest, page.records.len()), (2, 2));
    // The subscription takes a little longer to be back.
    let mut after = 2;
    while timeout(Duration::from_millis(300), hints.next()).await.is_err() {
        assert_eq!(store.append(log, append(after, "more")).await.unwrap(), Appended::Stored);
        after += 1;
        assert!(after < 30, "hints come again");
    }
}

#[tokio::test]
async fn a_redis_that_comes_later_is_used_then() {
    let mut server = Server::start("").await;
    server.kill();
    let store = connected(&server.address()).await;
    out_of_reach(&store).await;
    server.again().await;
    answers(&store).await;
}

#[tokio::test]
async fn a_redis_that_forgot_everything_says_so() {
    let mut server = Server::start("").await;
    let store = connected(&server.address()).await;
    let log = begun(&store).await;
    server.kill();
    server.again().await;
    answers(&store).await;
    assert_eq!(store.read(log, Some(1), Reader::Nobody).await.unwrap(), None);
    assert_eq!(store.append(log, append(1, "two")).await.unwrap(), Appended::Gone);
    assert_eq!(store.claim(log, Some(named("b~1")), 1).await.unwrap(), Claimed::Gone);
    assert!(!store.send(log, "wake".into()).await.unwrap());
}

#[tokio::test]
async fn a_redis_that_stepped_back_to_a_snapshot_is_seen() {
    let mut server = Server::start("").await;
    let store = connected(&server.address()).await;
    let log = begun(&store).await;
    assert!(server.ask("SAVE").contains("OK"));
    assert_eq!(store.append(log, append(1, "two")).await.unwrap(), Appended::Stored);
    server.kill();
    server.again().await;
    answers(&store).await;
    assert_eq!(store.append(log, append(2, "three")).await.unwrap(), Appended::Gone, "the second is lost");
    assert_eq!(store.read(log, Some(2), Reader::Nobody).await.unwrap().unwrap().newest, 1);
}

#[tokio::test]
async fn a_replica_that_lagged_and_was_promoted_is_seen() {
    let master = Server::start("").await;
    let replication = Relay::start(master.port).await;
    let replica = Server::start(&format!("--replicaof 127.0.0.1 {}", replication.port)).await;
    let way = Relay::start(master.port).await;
    let store = connected(&way.address()).await;
    let log = begun(&store).await;
    let caught_up = async {
        while !replica.ask("DBSIZE").contains(":1") {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), caught_up).await.expect("the replica catches up");
    for number in 0..replication.opened() {
        replication.freeze(number);
    }
    assert_eq!(store.append(log, append(1, "two")).await.unwrap(), Appended::Stored);
    way.turn(replica.port);
    let refused = async {
        loop {
            match store.put(key(Space::Ended), "x".into(), LONG, When::Always).await {
                Err(Unavailable::OutOfReach(why)) if why.contains("READONLY") => break,
                other => assert!(other.is_err(), "a replica takes nothing: {other:?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(5), refused).await.expect("it says READONLY");
    assert!(replica.ask("REPLICAOF NO ONE").contains("OK"));
    answers(&store).await;
    assert_eq!(store.append(log, append(2, "three")).await.unwrap(), Appended::Gone, "the second is lost");
}

#[tokio::test]
async fn a_server_that_only_reads_is_left_for_the_next() {
    let master = Server::start("").await;
    let replica = Server::start(&format!("--replicaof 127.0.0.1 {}", master.port)).await;
    let way = Relay::start(replica.port).await;
    let store = connected(&way.address()).await;
    let put = store.put(key(Space::Ended), "x".into(), LONG, When::Always).await;
    assert!(matches!(put, Err(Unavailable::OutOfReach(_))), "{put:?}");
    way.point(master.port);
    answers(&store).await;
}

#[tokio::test]
async fn a_subscription_over_a_dead_way_is_made_anew() {
    let server = Server::start("").await;
    let way = Relay::start(server.port).await;
    let short = Duration::from_millis(300);
    let options = RedisOptions { probe: short, patience: short, ..RedisOptions::default() };
    let (near, far) = (opened(&server.address(), options.clone()).await, opened(&way.address(), options).await);
    let node = named("b~1");
    let mut hints = far.hints(&node);
    while !server.ask("PUBSUB CHANNELS").contains("n:b~1") {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(way.opened(), 2, "commands, and hints");
    let log = begun(&near).await;
    near.read(log, None, Reader::Node(node.clone(), LONG)).await.unwrap();
    near.append(log, append(1, "two")).await.unwrap();
    assert_eq!(timeout(short * 10, hints.next()).await.unwrap(), Some(log));
    way.freeze(1);
    near.append(log, append(2, "three")).await.unwrap();
    assert!(timeout(short / 3, hints.next()).await.is_err(), "the way is dead");
    let since = Instant::now();
    let mut after = 3;
    while timeout(short / 3, hints.next()).await.is_err() {
        near.append(log, append(after, "more")).await.unwrap();
        after += 1;
        assert!(since.elapsed() < short * 10, "hints come again");
    }
    assert_eq!(way.opened(), 3);
    assert_eq!(*far.found_again().borrow(), 1, "what was not heard may have been said");
    // A living one is left alone.
    sleep(short * 4).await;
    assert_eq!((way.opened(), *near.found_again().borrow()), (3, 0));
}

#[tokio::test]
async fn a_connection_over_a_dead_way_is_made_anew() {
    let server = Server::start("").await;
    let way = Relay::start(server.port).await;
    let options = RedisOptions { deadline: Duration::from_millis(300), ..RedisOptions::default() };
    let store = opened(&way.address(), options).await;
    way.freeze(0);
    let since = Instant::now();
    out_of_reach(&store).await;
    answers(&store).await;
    assert!(since.elapsed() < Duration::from_secs(2) && way.opened() == 2, "{:?}", since.elapsed());
}

#[tokio::test]
async fn no_more_commands_wait_than_there_is_room_for() {
    let server = Server::start("").await;
    let way = Relay::start(server.port).await;
    let store = connected(&way.address()).await;
    way.freeze(0);
    let since = Instant::now();
    let (grant, many) = (key(Space::Grant), 1000);
    let answers = futures_util::future::join_all((0..many).map(|_| store.get(grant))).await;
    let refused = |answer: &Result<_, Unavailable>| match answer {
        Err(Unavailable::OutOfReach(why)) => why.contains("wait already"),
        other => panic!("{other:?}"),
    };
    assert_eq!(answers.iter().filter(|answer| refused(answer)).count(), many - AT_ONCE);
    // Not one after the other.
    assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
}

#[tokio::test]
async fn scripts_are_loaded_again() {
    let server = Server::start("").await;
    let store = connected(&server.address()).await;
    let log = begun(&store).await;
    for after in 1..4 {
        assert!(server.ask("SCRIPT FLUSH").contains("OK"));
        assert_eq!(store.append(log, append(after, "more")).await.unwrap(), Appended::Stored);
    }
    assert_eq!(store.read(log, None, Reader::Nobody).await.unwrap().unwrap().newest, 4);
}

#[tokio::test]
async fn without_memory_nothing_new_is_taken_and_reading_goes_on() {
    let server = Server::start("").await;
    let store = connected(&server.address()).await;
    let log = begun(&store).await;
    store.send(log, "wake".into()).await.unwrap();
    assert!(server.ask("CONFIG SET maxmemory 1").contains("OK"));
    let another = store.begin(key(Space::Login), named("a~1"), "head".into(), Vec::new(), LONG).await;
    assert!(matches!(another, Err(Unavailable::Full(_))), "{another:?}");
    assert!(matches!(store.append(log, append(1, "two")).await, Err(Unavailable::Full(_))));
    let put = store.put(key(Space::Grant), "x".into(), LONG, When::Always).await;
    assert!(matches!(put, Err(Unavailable::Full(_))), "{put:?}");
    let page = store.read(log, None, Reader::Node(named("b~1"), LONG)).await.unwrap().unwrap();
    assert_eq!((page.newest, page.commands.len()), (1, 1), "nothing was done by half");
    let page = store.read(log, None, Reader::Owner { fence: 1 }).await.unwrap().unwrap();
    assert_eq!(page.commands.len(), 1);
    assert!(server.ask("CONFIG SET maxmemory 0").contains("OK"));
    assert_eq!(store.append(log, append(1, "two")).await.unwrap(), Appended::Stored);
}

#[tokio::test]
async fn over_tls_only_who_is_trusted_is_asked() {
    let (server, certificate) = Server::encrypted().await;
    let address = format!("rediss://127.0.0.1:{}", server.port);
    let trusted = Some(std::fs::read(certificate).unwrap());
    let store = opened(&address, RedisOptions { trusted, ..RedisOptions::default() }).await;
    answers(&store).await;
    let log = begun(&store).await;
    assert_eq!(store.append(log, append(1, "two")).await.unwrap(), Appended::Stored);
    // The system's certificates do not know it.
    out_of_reach(&opened(&address, RedisOptions::default()).await).await;
    let nonsense =
        RedisOptions { trusted: Some(b"-----BEGIN CERTIFICATE-----\nx".to_vec()), ..RedisOptions::default() };
    let error = RedisStore::connect(&address, nonsense, Tasks::new(), Rng::system()).await.err();
    assert!(matches!(error, Some(RedisError::Address(_))), "{error:?}");
}

#[tokio::test]
async fn sentinels_name_the_next_master() {
    let mut master = Server::start("").await;
    let replica = Server::start(&format!("--replicaof 127.0.0.1 {}", master.port)).await;
    let sentinel = Server::sentinel(master.port).await;
    let ready = async {
        while !sentinel.ask("SENTINEL REPLICAS main").contains(&replica.port.to_string())
            || !replica.ask("INFO replication").contains("master_link_status:up")
        {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(20), ready).await.expect("the sentinel knows the replica");
    let store = connected(&format!("redis+sentinel://127.0.0.1:1,127.0.0.1:{}/main", sentinel.port)).await;
    answers(&store).await;
    let mut hints = store.hints(&named("b~1"));
    master.kill();
    out_of_reach(&store).await;
    let until = Instant::now() + Duration::from_secs(30);
    while store.put(key(Space::Ended), "x".into(), LONG, When::Always).await.is_err() {
        assert!(Instant::now() < until, "the next master is found");
        sleep(Duration::from_millis(100)).await;
    }
    let log = begun(&store).await;
    store.read(log, None, Reader::Node(named("b~1"), LONG)).await.unwrap();
    let mut after = 1;
    while timeout(Duration::from_millis(300), hints.next()).await.is_err() {
        store.append(log, append(after, "more")).await.unwrap();
        after += 1;
        assert!(after < 30, "hints come again");
    }
}
