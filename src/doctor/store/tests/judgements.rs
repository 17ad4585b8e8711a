//! What was seen, and what is said of it.

use super::*;
use crate::doctor::store::redis_checks::{self, shared_key};
use crate::doctor::store::server_checks;
use crate::store::{ClusterLook, Denied, Failure, MemberLook, NodeNote, Noted, RedisLook, Right, ServerLook, Trouble};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) fn context() -> Context<'static> {
    Context { user: "max", logins: 20_000, sentinels: false, cluster: false }
}

pub(super) fn words(text: &str) -> BTreeMap<String, String> {
    let words = text.split(' ').filter_map(|word| word.split_once('='));
    words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// As it should be.
pub(super) fn healthy() -> ServerLook {
    ServerLook {
        at: "r:6379".to_owned(),
        opened_in: Duration::from_millis(1),
        hello: words("server=redis version=7.0.15 mode=standalone role=master"),
        info: Ok(words(
            "used_memory=1000000 maxmemory=536870912 total_system_memory=8000000000 maxmemory_policy=noeviction \
             aof_enabled=1 aof_last_write_status=ok rdb_last_bgsave_status=ok connected_clients=5 maxclients=10000 \
             master_repl_offset=5000000",
        )),
        config: Ok(words(
            "maxmemory=536870912 maxmemory-policy=noeviction appendonly=yes appendfsync=everysec save= \
             min-replicas-to-write=0 timeout=0 tcp-keepalive=300",
        )),
        missing: Vec::new(),
        scripts: None,
        write_failed: None,
        writes: vec![Duration::from_micros(300); 50],
        heard: Ok(Duration::from_millis(1)),
        skew: Some((3, 1)),
    }
}

pub(super) fn set(look: &mut ServerLook, name: &str, value: &str) {
    let (info, config) = (look.info.as_mut().unwrap(), look.config.as_mut().unwrap());
    for words in [info, config] {
        if words.contains_key(name) || name.starts_with("slave") {
            words.insert(name.to_owned(), value.to_owned());
        }
    }
}

#[test]
fn a_healthy_server_has_nothing_against_it() {
    let checks = server_checks::judge(&healthy(), &context());
    assert!(checks.iter().all(|check| check.level == Level::Ok), "{checks:?}");
    assert!(checks.len() >= 13, "{}", checks.len());
}

#[test]
fn a_setting_that_costs_something_is_named_with_its_line() {
    use Level::{Fault, Warning};
    for (name, value, code, level, line) in [
        ("maxmemory-policy", "allkeys-lru", "store-eviction", Fault, "CONFIG SET maxmemory-policy noeviction"),
        ("maxmemory-policy", "volatile-ttl", "store-eviction", Fault, "maxmemory-policy noeviction"),
        ("maxmemory", "1100000", "store-memory", Fault, "maxmemory 109mb"),
        ("maxmemory", "20000000", "store-memory", Warning, "CONFIG SET maxmemory 109mb"),
        ("appendfsync", "no", "store-persistence", Warning, "appendfsync everysec"),
        ("timeout", "5", "store-idle", Warning, "timeout 0"),
        ("tcp-keepalive", "0", "store-idle", Warning, "tcp-keepalive 300"),
        ("maxclients", "5", "store-connections", Warning, "maxclients 10"),
    ] {
        let mut look = healthy();
        set(&mut look, name, value);
        let checks = server_checks::judge(&look, &context());
        assert_eq!(told(&checks), [(code, level)], "{name} {value}");
        let check = checks.iter().find(|check| check.level == level).unwrap();
        assert!(lines(check).contains(&line), "{:?}", check.fixes);
        assert_eq!(check.at, "r:6379");
    }
    // Enough for everybody, and a quiet that is longer than any node's.
    for (name, value) in [("maxmemory", "0"), ("timeout", "300"), ("maxmemory", "60000000")] {
        let mut look = healthy();
        set(&mut look, name, value);
        assert_eq!(told(&server_checks::judge(&look, &context())), [], "{name} {value}");
    }
}

#[test]
fn what_a_restart_costs_follows_from_two_settings() {
    use Level::{Fault, Ok as Fine, Stop, Warning};
    for (settings, refused, level) in [
        ("appendonly=yes appendfsync=everysec save=", None, Fine),
        ("appendonly=yes appendfsync=always save=", None, Fine),
        ("appendonly=no appendfsync=everysec save=3600+1", None, Warning),
        ("appendonly=no appendfsync=everysec save=", None, Fault),
        (
            "appendonly=no appendfsync=everysec save=3600+1",
            Some("MISCONF Redis is configured to save RDB snapshots"),
            Stop,
        ),
    ] {
        let mut look = healthy();
        for (name, value) in words(settings) {
            set(&mut look, &name, &value);
        }
        look.write_failed = refused.map(str::to_owned);
        let checks = server_checks::judge(&look, &context());
        let check = checks.iter().find(|check| check.code == StoreCode::Persistence).unwrap();
        assert_eq!(check.level, level, "{settings}: {check:?}");
    }
    // Only INFO: of snapshots nothing is known.
    let mut look = healthy();
    set(&mut look, "aof_enabled", "0");
    look.config = Err(Denied("NOPERM".to_owned()));
    let checks = server_checks::judge(&look, &context());
    let check = checks.iter().find(|check| check.code == StoreCode::Persistence).unwrap();
    assert_eq!(check.level, Level::Warning, "{check:?}");
    let eviction = checks.iter().find(|check| check.code == StoreCode::Eviction).unwrap();
    assert_eq!(eviction.level, Level::Ok, "INFO has the policy, too");
}

#[test]
fn what_may_not_be_looked_at_is_no_fault() {
    let mut look = healthy();
    look.info = Err(Denied("NOPERM User max has no permissions to run the 'info' command".to_owned()));
    look.config = Err(Denied("NOPERM User max has no permissions to run the 'config|get' command".to_owned()));
    let checks = server_checks::judge(&look, &context());
    assert_eq!(told(&checks), []);
    let check = checks.iter().find(|check| check.code == StoreCode::NotLooked).unwrap();
    assert_eq!((check.level, lines(check)), (Level::Unknown, vec!["ACL SETUSER max +info +config|get"]));
    // A service that took it away.
    look.info = healthy().info;
    look.config = Err(Denied("ERR unknown command 'CONFIG'".to_owned()));
    let checks = server_checks::judge(&look, &context());
    let check = checks.iter().find(|check| check.code == StoreCode::NotLooked).unwrap();
    assert!(lines(check).is_empty() && check.is_told(), "{check:?}");
}

#[test]
fn versions_and_roles() {
    for (hello, code) in [
        ("server=redis version=6.0.20 mode=standalone role=master", Some("store-version")),
        ("server=redis version=5.0.14 mode=standalone role=master", Some("store-version")),
        ("server=redis version=6.2.0 mode=standalone role=master", None),
        ("server=redis version=8.2.1 mode=standalone role=master", None),
        ("server=valkey version=8.1.8 mode=standalone role=master", None),
        ("server=redis version=unstable mode=standalone role=master", None),
        ("server=redis version=7.0.15 mode=standalone role=replica", Some("store-role")),
        ("server=redis version=7.0.15 mode=sentinel role=sentinel", Some("store-kind")),
        ("server=redis version=7.0.15 mode=cluster role=master", Some("store-kind")),
    ] {
        let look = ServerLook { hello: words(hello), ..healthy() };
        let found = told(&server_checks::judge(&look, &context()));
        let expected: Vec<_> = code.into_iter().map(|code| (code, Level::Stop)).collect();
        assert_eq!(found, expected, "{hello}");
    }
    let look = ServerLook { hello: words("server=redis version=7.0.15 mode=cluster role=master"), ..healthy() };
    let cluster = Context { cluster: true, ..context() };
    assert_eq!(told(&server_checks::judge(&look, &cluster)), [("store-replicas", Level::Warning)]);
    let mut look = ServerLook { hello: words("server=redis version=7.0.15 role=slave"), ..healthy() };
    look.info.as_mut().unwrap().extend(words("master_host=10.0.0.1 master_port=6379"));
    let checks = server_checks::judge(&look, &context());
    let check = checks.iter().find(|check| check.code == StoreCode::Role).unwrap();
    assert_eq!(lines(check), ["store.url = \"redis://USER:PASSWORD@10.0.0.1:6379\""]);
}

#[test]
fn bounds_of_time_are_where_they_are_said_to_be() {
    use Level::{Fault, Ok as Fine, Warning};
    let writes = |usual: u64, longest: u64| {
        let mut writes = vec![Duration::from_millis(usual); 49];
        writes.push(Duration::from_millis(longest));
        ServerLook { writes, ..healthy() }
    };
    for (look, level) in [
        (writes(1, 1), Fine),
        (writes(19, 249), Fine),
        (writes(21, 21), Warning),
        (writes(1, 251), Warning),
        (writes(251, 251), Fault),
        (writes(1, 1001), Fault),
    ] {
        let checks = server_checks::judge(&look, &context());
        let check = checks.iter().find(|check| check.code == StoreCode::Latency).unwrap();
        assert_eq!(check.level, level, "{check:?}");
    }
    for (skew, level) in [(2_000, Fine), (-2_100, Warning), (30_500, Fault), (-86_400_000, Fault)] {
        let look = ServerLook { skew: Some((skew, 50)), ..healthy() };
        let checks = server_checks::judge(&look, &context());
        let check = checks.iter().find(|check| check.code == StoreCode::Clock).unwrap();
        assert_eq!(check.level, level, "{check:?}");
    }
    let look = ServerLook { write_failed: Some("no answer within 3s".to_owned()), ..healthy() };
    assert_eq!(told(&server_checks::judge(&look, &context())), [("store-latency", Level::Stop)]);
    let hanging = ServerLook { writes: Vec::new(), ..look };
    assert_eq!(server_checks::judge(&hanging, &context()).len(), 1, "nothing is said of what was not seen");
}

#[test]
fn a_replica_that_lags_is_a_warning() {
    for (row, late) in [
        ("ip=10.0.0.2,port=6379,state=online,offset=4999000,lag=1", false),
        ("ip=10.0.0.2,port=6379,state=online,offset=4999000,lag=4", true),
        ("ip=10.0.0.2,port=6379,state=online,offset=1000000,lag=0", true),
        ("ip=10.0.0.2,port=6379,state=wait_bgsave,offset=0,lag=0", true),
    ] {
        let mut look = healthy();
        set(&mut look, "slave0", row);
        let found = told(&server_checks::judge(&look, &context()));
        assert_eq!(found, if late { vec![("store-replicas", Level::Warning)] } else { vec![] }, "{row}");
    }
    let look = ServerLook { write_failed: Some("NOREPLICAS Not enough good replicas".to_owned()), ..healthy() };
    assert_eq!(told(&server_checks::judge(&look, &context())), [("store-replicas", Level::Stop)]);
}

#[test]
fn what_is_refused_is_said_once() {
    for (said, code) in [
        ("OOM command not allowed when used memory > 'maxmemory'.", "store-memory"),
        ("CLUSTERDOWN Hash slot not served", "store-writes"),
        ("LOADING Redis is loading the dataset in memory", "store-writes"),
    ] {
        let look = ServerLook { write_failed: Some(said.to_owned()), ..healthy() };
        assert_eq!(told(&server_checks::judge(&look, &context())), [(code, Level::Stop)], "{said}");
    }
    let right = |rule: &str, unknown| Right { rule: rule.to_owned(), said: "NOPERM …".to_owned(), unknown };
    let look = ServerLook {
        missing: vec![right("+hget", false), right("&max-auth:*", false)],
        heard: Err("NOPERM No permissions to access a channel".to_owned()),
        ..healthy()
    };
    let checks = server_checks::judge(&look, &context());
    assert_eq!(told(&checks), [("store-rights", Level::Stop)]);
    let check = checks.iter().find(|check| check.code == StoreCode::Rights).unwrap();
    assert_eq!(lines(check), ["ACL SETUSER max +hget &max-auth:*"]);
    let look = ServerLook { heard: Err("nothing came within 2s".to_owned()), ..healthy() };
    assert_eq!(told(&server_checks::judge(&look, &context())), [("store-hints", Level::Fault)]);
}

#[test]
fn each_way_to_fail_has_its_code() {
    for (trouble, code) in [
        (Trouble::Name, "store-address"),
        (Trouble::Refused, "store-address"),
        (Trouble::Silence, "store-address"),
        (Trouble::Tls, "store-tls"),
        (Trouble::Language, "store-greeting"),
        (Trouble::Mute, "store-greeting"),
        (Trouble::Protected, "store-greeting"),
        (Trouble::Loading, "store-greeting"),
        (Trouble::WrongPassword, "store-password"),
        (Trouble::NoPassword, "store-password"),
        (Trouble::Right, "store-password"),
        (Trouble::Crowded, "store-connections"),
        (Trouble::Old, "store-version"),
        (Trouble::NoMaster, "store-kind"),
        (Trouble::Kind, "store-kind"),
        (Trouble::Other, "store-address"),
    ] {
        let failure = Failure { at: "r:6379".to_owned(), trouble, said: "said".to_owned() };
        let look = RedisLook {
            hosts: Vec::new(),
            servers: vec![Err(failure)],
            cluster: None,
            sentinels: false,
            members: None,
            user: None,
            tls: false,
        };
        let checks = redis_checks::judge(&look, &context());
        assert_eq!(told(&checks), [(code, Level::Stop)], "{trouble:?}");
        assert!(trouble == Trouble::Other || !checks[0].fixes.is_empty(), "{trouble:?} says what to do");
    }
}

#[test]
fn a_cluster_with_holes_or_without_replicas_is_told() {
    let look = |uncovered| RedisLook {
        hosts: Vec::new(),
        servers: vec![Ok(healthy())],
        cluster: Some(ClusterLook { uncovered, alone: vec!["r:6379".to_owned()], failed: None }),
        sentinels: false,
        members: None,
        user: None,
        tls: false,
    };
    let alone = ("store-replicas", Level::Warning);
    for (uncovered, level) in [(0, None), (100, Some(Level::Fault)), (16384, Some(Level::Stop))] {
        let expected: Vec<_> = level.map(|level| ("store-cluster", level)).into_iter().collect();
        assert_eq!(told(&redis_checks::judge(&look(uncovered), &context())), expected, "{uncovered}");
        let mut blind = look(uncovered);
        blind.servers[0].as_mut().unwrap().info = Err(Denied("NOPERM".to_owned()));
        let expected: Vec<_> = expected.into_iter().chain([alone]).collect();
        assert_eq!(told(&redis_checks::judge(&blind, &context())), expected, "{uncovered}");
    }
}

#[test]
fn nodes_with_another_key_or_clock_are_named() {
    let member = |node: &str, note| MemberLook { node: node.to_owned(), until: 1_006_000, active: 3, note: Some(note) };
    let said = |unix_ms| Noted::Said(NodeNote { unix_ms, life: Duration::from_secs(6), ..NodeNote::default() });
    let members = [member("a~1", said(1_000_000)), member("b~1", Noted::OtherKey), member("c~1", Noted::Nothing)];
    let check = shared_key(&members, "/k");
    assert!(
        check.level == Level::Fault && check.measured.contains("b~1") && !check.measured.contains("a~1"),
        "{check:?}"
    );
    assert_eq!(shared_key(&members[..1], "/k").level, Level::Ok);
    assert!(shared_key(&members[2..], "/k").measured.contains("no other node"));
    let look = |members| RedisLook {
        hosts: Vec::new(),
        servers: vec![Ok(healthy())],
        cluster: None,
        sentinels: false,
        members: Some((1_000_500, members)),
        user: None,
        tls: false,
    };
    let slow = vec![member("a~1", said(1_000_000)), member("late~1", said(1_000_000 - 60_000))];
    let checks = redis_checks::judge(&look(slow), &context());
    assert_eq!(told(&checks), [("store-nodes", Level::Fault)]);
    let nodes = checks.iter().find(|check| check.code == StoreCode::Nodes).unwrap();
    assert!(nodes.measured.contains("late~1 (3 logins, its clock is -60.0 s off)"), "{}", nodes.measured);
    let fine = vec![member("a~1", said(1_000_000 - 900)), member("old~1", Noted::Nothing)];
    assert_eq!(told(&redis_checks::judge(&look(fine), &context())), []);
}
