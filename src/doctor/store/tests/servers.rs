//! Real servers, each with what is wrong with it.

use super::*;
use crate::base::secret::Secret;
use crate::store::redis_tests::{acl, server::Relay, server::Server};
use crate::store::{NodeName, NodeNote, RedisStore, Store as _};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

/// With everything as it should be, unless what follows says otherwise.
const SAFE: &str = "--appendonly yes --maxmemory 512mb";

/// A configuration with a key of its own.
struct Place {
    folder: TempDir,
    settings: Store,
}

fn place(url: &str) -> Place {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, [7; 32]).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let settings = Store {
        kind: StoreKind::Redis,
        kind_given: true,
        path: PathBuf::from("/nowhere"),
        url: Some(Secret::new(url.to_owned())),
        prefix: "max-auth:".to_owned(),
        ca_file: None,
        key_file: Some(key),
    };
    Place { folder, settings }
}

async fn look(settings: &Store) -> StoreReport {
    examine(settings, 20_000, &Clock::system(), &Rng::system()).await.unwrap()
}

/// What is wrong with the store at this address; a busy machine's times are not.
async fn found(url: &str) -> Vec<(&'static str, Level)> {
    let place = place(url);
    let mut told = told(&look(&place.settings).await.checks);
    told.retain(|(code, level)| *code != "store-latency" || *level == Level::Stop);
    told
}

#[tokio::test]
async fn a_server_as_it_should_be_has_nothing_against_it_and_nothing_of_ours_left() {
    let server = Server::start(&format!("{SAFE} --user max on >hush {}", acl())).await;
    assert_eq!(found(&server.address()).await, []);
    let place = place(&server.address().replace("://", "://max:hush@"));
    let report = look(&place.settings).await;
    assert_eq!(report.exit_code(), 0, "{}", report.text(false, Lang::En));
    let not_looked = report.checks.iter().find(|check| check.code == StoreCode::NotLooked).unwrap();
    assert_eq!(lines(not_looked), ["ACL SETUSER max +info +config|get"], "the documented user, and what it sees less");
    let clock = report.checks.iter().find(|check| check.code == StoreCode::Clock).unwrap();
    assert!(clock.level == Level::Ok && !clock.measured.contains("(to -"), "{clock:?}");
    let rights = report.checks.iter().find(|check| check.code == StoreCode::Rights).unwrap();
    assert_eq!(rights.level, Level::Ok, "{rights:?}");
    assert!(server.ask("DBSIZE").contains(":0"), "{}", server.ask("KEYS *"));
    let text = format!("{}{}", report.text(false, Lang::En), report.json());
    assert!(!text.contains("hush"), "{text}");
}

#[tokio::test]
async fn a_setting_that_throws_logins_away_is_a_fault() {
    let server = Server::start("--maxmemory 512mb --maxmemory-policy allkeys-lru").await;
    let found = found(&server.address()).await;
    assert_eq!(found, [("store-eviction", Level::Fault), ("store-persistence", Level::Fault)]);
}

#[tokio::test]
async fn a_server_without_memory_is_told() {
    let server = Server::start("--appendonly yes").await;
    assert!(server.ask("CONFIG SET maxmemory 1").contains("OK"));
    assert_eq!(found(&server.address()).await, [("store-memory", Level::Stop)]);
}

#[tokio::test]
async fn a_replica_and_one_that_lags_are_told() {
    let master = Server::start(SAFE).await;
    let replication = Relay::start(master.port).await;
    let replica = Server::start(&format!("{SAFE} --replicaof 127.0.0.1 {}", replication.port)).await;
    let caught_up = async {
        while !master.ask("INFO replication").contains("state=online") {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), caught_up).await.expect("the replica catches up");
    assert_eq!(found(&replica.address()).await, [("store-role", Level::Stop)]);
    assert_eq!(found(&master.address()).await, [], "a replica that keeps up");
    for number in 0..replication.opened() {
        replication.freeze(number);
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(found(&master.address()).await, [("store-replicas", Level::Warning)]);
}

#[tokio::test]
async fn whoever_is_refused_learns_why() {
    let server = Server::start(SAFE).await;
    assert!(server.ask("CONFIG SET requirepass hush").contains("OK"));
    assert_eq!(found(&server.address()).await, [("store-password", Level::Stop)]);
    let wrong = server.address().replace("://", "://:other@");
    assert_eq!(found(&wrong).await, [("store-password", Level::Stop)]);
    let report = look(&place(&wrong).settings).await;
    assert_eq!(report.exit_code(), 2);
    assert!(report.text(false, Lang::En).contains("WRONGPASS"), "{}", report.text(false, Lang::En));
    assert_eq!(found(&server.address().replace("://", "://:hush@")).await, []);
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    for (without, rule) in [
        (" +hmget", "+hmget"),
        (" +getdel", "+getdel"),
        (" +subscribe", "+subscribe"),
        ("~max-auth:*", "~max-auth:*"),
        ("&max-auth:*", "&max-auth:*"),
    ] {
        let server = Server::start(&format!("{SAFE} --user max on >hush {}", acl().replace(without, ""))).await;
        let place = place(&server.address().replace("://", "://max:hush@"));
        let report = look(&place.settings).await;
        let rights = report.checks.iter().find(|check| check.code == StoreCode::Rights).unwrap();
        assert_eq!(rights.level, Level::Stop, "{without}");
        assert_eq!(lines(rights), [format!("ACL SETUSER max {rule}")], "{without}");
    }
}

#[tokio::test]
async fn where_nothing_answers_the_reason_is_told() {
    let mut server = Server::start("").await;
    let way = Relay::start(server.port).await;
    // Two connections without a word come before.
    way.freeze(2);
    assert_eq!(found(&way.address()).await, [("store-greeting", Level::Stop)], "it takes connections, and is silent");
    server.kill();
    assert_eq!(found(&server.address()).await, [("store-address", Level::Stop)]);
    assert_eq!(found("redis://no-such-host.invalid").await, [("store-address", Level::Stop)]);
}

/// Says one thing to whoever connects.
async fn saying(text: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    crate::base::tasks::Tasks::new().spawn("saying", async move {
        // What hangs keeps its connections.
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 1024];
            if stream.read(&mut asked).await.is_ok_and(|count| count > 0) {
                let _ = stream.write_all(text.as_bytes()).await;
            }
            open.push(stream);
        }
    });
    port
}

#[tokio::test]
async fn what_is_no_redis_that_can_be_used_is_told() {
    for (said, code) in [
        ("-ERR unknown command 'HELLO'\r\n", "store-version"),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "store-greeting"),
        ("-DENIED Redis is running in protected mode because protected mode is enabled\r\n", "store-greeting"),
        ("-ERR max number of clients reached\r\n", "store-connections"),
        ("-LOADING Redis is loading the dataset in memory\r\n", "store-greeting"),
        // Greets, and hangs then.
        ("%1\r\n+server\r\n+redis\r\n", "store-latency"),
    ] {
        let port = saying(said).await;
        assert_eq!(found(&format!("redis://127.0.0.1:{port}")).await, [(code, Level::Stop)], "{said}");
    }
}

#[tokio::test]
async fn a_slow_way_is_told() {
    let server = Server::start(SAFE).await;
    let way = Relay::slow(server.port, Duration::from_millis(60)).await;
    let report = look(&place(&way.address()).settings).await;
    assert_eq!(told(&report.checks), [("store-latency", Level::Warning)], "{}", report.text(false, Lang::En));
}

#[tokio::test]
async fn over_tls_each_way_to_be_wrong_is_told() {
    let (server, certificate) = Server::encrypted().await;
    let encrypted = format!("rediss://127.0.0.1:{}", server.port);
    assert_eq!(found(&encrypted).await, [("store-tls", Level::Stop)], "nobody knows its authority");
    assert_eq!(found(&server.address()).await, [("store-greeting", Level::Stop)], "plain words to TLS");
    let plain = Server::start(SAFE).await;
    let wrong = format!("rediss://127.0.0.1:{}", plain.port);
    assert_eq!(found(&wrong).await, [("store-greeting", Level::Stop)], "TLS to plain words");
    let mut place = place(&encrypted);
    place.settings.ca_file = Some(certificate);
    let checks = look(&place.settings).await.checks;
    assert!(checks.iter().any(|check| check.code == StoreCode::Tls && check.level == Level::Ok), "{checks:?}");
    assert_eq!(told(&checks), [("store-persistence", Level::Fault)]);
}

#[tokio::test]
async fn a_cluster_is_looked_at_server_by_server() {
    let servers = Server::cluster(&format!("{SAFE} --user max on >hush {} +cluster|slots", acl())).await;
    let host = format!("127.0.0.1:{}", servers[1].port);
    let alone = ("store-replicas", Level::Warning);
    assert_eq!(found(&format!("redis+cluster://{host}")).await, [alone; 3]);
    assert_eq!(found(&format!("redis://{host}")).await, [("store-kind", Level::Stop)]);
    let report = look(&place(&format!("redis+cluster://max:hush@{host}")).settings).await;
    let of = |code| report.checks.iter().filter(move |check| check.code == code);
    assert_eq!(of(StoreCode::Hints).filter(|check| check.level == Level::Ok).count(), 3);
    let rights: Vec<_> = of(StoreCode::Rights).flat_map(lines).collect();
    assert_eq!(rights, ["ACL SETUSER max +readonly +asking"; 3], "each server has its own users");
    let replicas = of(StoreCode::Replicas).filter(|check| check.level == Level::Warning);
    assert_eq!(replicas.count(), 3, "without INFO the slots tell");
    for server in &servers {
        assert!(server.ask("DBSIZE").contains(":0"), "{}", server.ask("KEYS *"));
    }
}

#[tokio::test]
async fn sentinels_lead_to_the_master() {
    let master = Server::start(SAFE).await;
    let sentinel = Server::sentinel(master.port).await;
    let known = async {
        while !sentinel.ask("SENTINEL GET-MASTER-ADDR-BY-NAME main").contains(&master.port.to_string()) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(10), known).await.expect("the sentinel knows its master");
    let host = format!("127.0.0.1:{}", sentinel.port);
    assert_eq!(found(&format!("redis+sentinel://{host}/main")).await, [("store-replicas", Level::Warning)]);
    let two = found(&format!("redis+sentinel://127.0.0.1:1,{host}/main")).await;
    assert_eq!(two, [("store-address", Level::Warning), ("store-replicas", Level::Warning)], "one is away");
    assert_eq!(found(&format!("redis+sentinel://{host}/other")).await, [("store-kind", Level::Stop)]);
    assert_eq!(found(&format!("redis://{host}")).await, [("store-kind", Level::Stop)]);
}

#[tokio::test]
async fn a_node_with_another_key_is_found_while_it_lives() {
    let server = Server::start(SAFE).await;
    let (tasks, options) = (crate::base::tasks::Tasks::new(), RedisOptions::default());
    let store = RedisStore::connect(&server.address(), options, tasks, Rng::system()).await.unwrap();
    let (life, clock) = (Duration::from_secs(60), Clock::system());
    let beat = async |name: &str, key: u8, unix_ms: i64| {
        let (node, seal) = (NodeName::parse(name).unwrap(), Seals::new(&[key; 32], &Rng::system()).unwrap().store);
        let note = NodeNote { unix_ms, life, ..NodeNote::default() }.sealed(&seal, &node);
        store.beat(node, life, 0, note).await.unwrap();
    };
    beat("a~1", 7, clock.unix_ms()).await;
    assert_eq!(found(&server.address()).await, []);
    beat("b~1", 8, clock.unix_ms()).await;
    let report = look(&place(&server.address()).settings).await;
    let key = report.checks.iter().find(|check| check.code == StoreCode::Key).unwrap();
    assert!(key.level == Level::Fault && key.measured.contains("b~1"), "{key:?}");
    beat("c~1", 7, clock.unix_ms() - 20_000).await;
    let found = found(&server.address()).await;
    assert_eq!(found, [("store-nodes", Level::Warning), ("store-key", Level::Fault)]);
}

#[tokio::test]
async fn a_key_file_that_is_missing_stops_the_server_and_is_told() {
    let server = Server::start(SAFE).await;
    let place = place(&server.address());
    std::fs::remove_file(place.folder.path().join("key")).unwrap();
    let checks = look(&place.settings).await.checks;
    assert_eq!(told(&checks), [("store-key", Level::Stop)]);
}
