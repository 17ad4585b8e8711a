//! All that is told of a store, kept as text: each case changes one thing, at each bound and beside it.

use super::*;
use crate::doctor::store::redis_checks::{self, shared_key};
use crate::doctor::store::{file_checks, server_checks};
use crate::snapshot::assert_snapshot;
use crate::store::{
    ClusterLook, Denied, Failure, Filesystem, FolderLook, HostLook, Lock, MemberLook, NodeNote, Noted, RedisLook,
    Right, Rows, ServerLook, Trouble,
};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Each check with what to do; `whole`: also those that are fine.
fn kept(text: &mut String, name: &str, checks: &[Check], whole: bool) {
    let _ = writeln!(text, "=== {name}");
    for check in checks.iter().filter(|check| whole || check.level != Level::Ok) {
        let _ = writeln!(text, "{:?} {} at {}: {}", check.level, check.code.name(), check.at, check.measured);
        for fix in &check.fixes {
            let _ = match fix {
                Fix::Line { text: line, place } => writeln!(text, "    {line}   ({place})"),
                Fix::Advice(english, russian) => writeln!(text, "    {english}\n    {russian}"),
            };
        }
        if !check.fixes.is_empty() {
            let _ = writeln!(text, "    in: {}", check.place());
        }
    }
}

#[test]
fn folders() {
    let healthy = files::healthy;
    let key = |file| KeyLook { path: PathBuf::from("/k"), file };
    let writes =
        |ms: u64| FolderLook { writes: Ok((1..=200).map(|_| Duration::from_millis(ms)).collect()), ..healthy() };
    let free = |free: u64| FolderLook { free: Some(free), ..healthy() };
    let elsewhere = PathBuf::from("/var/lib");
    let cases = [
        ("as it should be", healthy()),
        ("not there yet", FolderLook { looked_at: elsewhere.clone(), bytes: None, rows: Rows::NotLooked, ..healthy() }),
        ("no folder", FolderLook { is_folder: false, writes: Err("it is not a folder".to_owned()), ..healthy() }),
        ("takes no file", FolderLook { writes: Err("Permission denied".to_owned()), ..healthy() }),
        ("others may write", FolderLook { mode: 0o702, ..healthy() }),
        ("the group may write", FolderLook { mode: 0o720, ..healthy() }),
        ("others may read", FolderLook { mode: 0o755, ..healthy() }),
        ("of somebody else", FolderLook { owner: 7, ..healthy() }),
        ("of somebody else, asked as root", FolderLook { us: 0, ..healthy() }),
        ("in memory", FolderLook { filesystem: Filesystem::Memory, ..healthy() }),
        ("in a container", FolderLook { filesystem: Filesystem::Overlay, ..healthy() }),
        ("on a network", FolderLook { filesystem: Filesystem::Network("NFS"), ..healthy() }),
        ("held", FolderLook { lock: Lock::Held, rows: Rows::NotLooked, ..healthy() }),
        ("a lock that does not say", FolderLook { lock: Lock::Unknown("EIO".to_owned()), ..healthy() }),
        ("a volume that does not say", FolderLook { free: None, ..healthy() }),
        ("full", free((4 << 20) - 1)),
        ("not full", free(4 << 20)),
        ("nearly room enough", free((256 << 20) - 1)),
        ("room enough", free(256 << 20)),
        ("fast enough", writes(49)),
        ("slow", writes(50)),
        ("not too slow", writes(499)),
        ("too slow", writes(500)),
        ("no write was timed", FolderLook { writes: Ok(Vec::new()), ..healthy() }),
        ("unclean", FolderLook { rows: Rows::Unclean, ..healthy() }),
        ("broken", FolderLook { rows: Rows::Broken("corrupted".to_owned()), ..healthy() }),
        ("no key, and records", FolderLook { key: key(None), ..healthy() }),
        ("no key yet", FolderLook { key: key(None), bytes: None, ..healthy() }),
        ("a key that others read", FolderLook { key: key(Some((0o604, 32))), ..healthy() }),
        ("a key that its group reads", FolderLook { key: key(Some((0o640, 32))), ..healthy() }),
        ("a short key", FolderLook { key: key(Some((0o600, 31))), ..healthy() }),
    ];
    let mut text = String::new();
    for (number, (name, look)) in (0..).zip(cases) {
        let whole = number < 2 || matches!(look.rows, Rows::NotLooked | Rows::Unclean) || look.key.file.is_none();
        kept(&mut text, name, &file_checks::judge(&look, true), whole);
    }
    kept(&mut text, "a key of one's own", &file_checks::judge(&healthy(), false), true);
    for (name, file) in [("shared key", Some((0o600, 32))), ("no shared key", None), ("an open one", Some((0o644, 32)))]
    {
        kept(&mut text, name, &[file_checks::private(&key(file))], true);
    }
    assert_snapshot("doctor/store/snapshots/folders.txt", &text);
}

fn changed(change: impl FnOnce(&mut ServerLook)) -> ServerLook {
    let mut look = judgements::healthy();
    change(&mut look);
    look
}

fn with(settings: &'static str) -> ServerLook {
    changed(|look| {
        for (name, value) in judgements::words(settings) {
            judgements::set(look, &name, &value);
        }
    })
}

fn hello(text: &str) -> ServerLook {
    changed(|look| look.hello = judgements::words(text))
}

#[test]
fn servers() {
    let refused = |said: &str| changed(|look| look.write_failed = Some(said.to_owned()));
    let writes = |usual: u64, longest: u64| {
        let mut times = vec![Duration::from_millis(usual); 99];
        times.push(Duration::from_millis(longest));
        changed(|look| look.writes = times)
    };
    let heard = |said: &str| changed(|look| look.heard = Err(said.to_owned()));
    let skew = |skew: i64| changed(|look| look.skew = Some((skew, 50)));
    let denied = |said: &str| Err(Denied(said.to_owned()));
    let replica = |row: &str| changed(|look| judgements::set(look, "slave0", row));
    let missing = |rules: &[(&str, bool)]| {
        let right = |(rule, unknown): &(&str, bool)| Right {
            rule: (*rule).to_owned(),
            said: "NOPERM …".to_owned(),
            unknown: *unknown,
        };
        changed(|look| look.missing = rules.iter().map(right).collect())
    };
    let without = |name: &str| {
        changed(|look| {
            look.info.as_mut().unwrap().remove(name);
            look.config.as_mut().unwrap().remove(name);
        })
    };
    let cases: Vec<(&str, ServerLook)> = vec![
        ("as it should be", judgements::healthy()),
        ("Valkey", changed(|look| look.info.as_mut().unwrap().extend(judgements::words("valkey_version=8.1.8")))),
        ("Dragonfly", changed(|look| look.info.as_mut().unwrap().extend(judgements::words("dragonfly_version=1.2")))),
        ("a stranger", hello("server=garnet version=1.0 role=master")),
        ("no word of itself", hello("x=y")),
        ("too old", hello("server=redis version=6.1.9 role=master")),
        ("old enough", hello("server=redis version=6.2.0 role=master")),
        ("far newer", hello("server=redis version=10.0 role=master")),
        ("no version", hello("server=redis version=x.1 role=master")),
        ("a sentinel", hello("server=redis version=7.0.15 mode=sentinel role=sentinel")),
        ("one of a cluster", hello("server=redis version=7.0.15 mode=cluster role=master")),
        ("a replica", hello("server=redis version=7.0.15 role=replica")),
        ("rights", missing(&[("+hget", false), ("~a*", false)])),
        ("commands that it does not know", missing(&[("+hget", true), ("+hset", true)])),
        ("some of each", missing(&[("+hget", true), ("+hset", false)])),
        ("no script runs", changed(|look| look.scripts = Some(("begin", "ERR unknown command 'EVAL'".to_owned())))),
        ("no script, and no write", {
            changed(|look| {
                (look.scripts, look.write_failed) = (Some(("begin", "x".to_owned())), Some("OOM".to_owned()))
            })
        }),
        ("OOM", refused("OOM command not allowed")),
        ("MISCONF", refused("MISCONF Redis is configured to save RDB snapshots")),
        ("NOREPLICAS", refused("NOREPLICAS Not enough good replicas to write.")),
        ("READONLY", refused("READONLY You can't write against a read only replica.")),
        ("NOPERM", refused("NOPERM no permissions")),
        ("another refusal", refused("CLUSTERDOWN Hash slot not served")),
        ("no answer", refused("no answer within 3s")),
        (
            "no answer to anything",
            changed(|look| {
                (look.write_failed, look.writes) = (Some("no answer within 3s".to_owned()), Vec::new());
            }),
        ),
        ("no write", changed(|look| look.writes = Vec::new())),
        ("just fast enough", writes(19, 249)),
        ("slow", writes(20, 20)),
        ("slow at times", writes(1, 250)),
        ("not too slow", writes(249, 249)),
        ("too slow", writes(250, 250)),
        ("never too slow for a deadline", writes(1, 999)),
        ("too slow for a deadline", writes(1, 1000)),
        ("no message", heard("nothing came within 2s")),
        ("no message, and no right", heard("NOPERM No permissions to access a channel")),
        ("no time", changed(|look| look.skew = None)),
        ("a clock nearly right", skew(2_050)),
        ("a clock ahead", skew(2_051)),
        ("a clock behind", skew(-2_051)),
        ("a clock nearly far off", skew(30_050)),
        ("a clock far off", skew(-30_051)),
        (
            "no policy",
            changed(|look| {
                look.info.as_mut().unwrap().remove("maxmemory_policy");
                look.config.as_mut().unwrap().remove("maxmemory-policy");
            }),
        ),
        ("evicts", with("maxmemory-policy=allkeys-lru")),
        ("evicts at no limit", with("maxmemory-policy=allkeys-lru maxmemory=0")),
        ("no limit", with("maxmemory=0")),
        ("no word of memory", without("used_memory")),
        ("room for 99", with("used_memory=1000000 maxmemory=1281599")),
        ("room for 100", with("used_memory=1000000 maxmemory=1281600")),
        ("room for all but one", with("used_memory=1000000 maxmemory=57319999")),
        ("room for all", with("used_memory=1000000 maxmemory=57320000")),
        ("a log on disk, always", with("appendfsync=always")),
        ("a log on disk, sometimes", with("appendfsync=no")),
        ("a log on disk that failed", with("aof_last_write_status=err")),
        ("snapshots", with("appendonly=no save=3600+1")),
        ("snapshots that failed", with("appendonly=no save=3600+1 rdb_last_bgsave_status=err")),
        ("nothing on disk", with("appendonly=no")),
        (
            "snapshots, perhaps",
            changed(|look| {
                judgements::set(look, "appendonly", "no");
                look.config.as_mut().unwrap().remove("save");
            }),
        ),
        (
            "no word of a log",
            changed(|look| {
                look.info.as_mut().unwrap().remove("aof_enabled");
                look.config.as_mut().unwrap().remove("appendonly");
            }),
        ),
        ("a replica that keeps up", replica("ip=10.0.0.2,port=6380,state=online,offset=4999000,lag=3")),
        ("one that says nothing for long", replica("ip=10.0.0.2,port=6380,state=online,offset=4999000,lag=4")),
        ("one just not far behind", replica("ip=10.0.0.2,port=6380,state=online,offset=3951424,lag=0")),
        ("one far behind", replica("ip=10.0.0.2,port=6380,state=online,offset=3951423,lag=0")),
        ("one that has not begun", replica("ip=10.0.0.2,port=6380,state=wait_bgsave,offset=5000000,lag=0")),
        ("what only begins like one", changed(|look| judgements::set(look, "slave_priority", "x"))),
        ("silence is cut", with("timeout=9")),
        ("silence is cut late", with("timeout=10")),
        ("no questions in silence", with("tcp-keepalive=0")),
        ("no word of silence", without("timeout")),
        ("nine of ten connections", with("connected_clients=9000 maxclients=10000")),
        ("less than nine of ten", with("connected_clients=8999 maxclients=10000")),
        ("no word of connections", without("maxclients")),
        ("no INFO", changed(|look| look.info = denied("NOPERM 'info'"))),
        ("no CONFIG", changed(|look| look.config = denied("NOPERM 'config|get'"))),
        (
            "neither",
            changed(|look| (look.info, look.config) = (denied("NOPERM 'info'"), denied("NOPERM 'config|get'"))),
        ),
        ("a service without CONFIG", changed(|look| look.config = denied("ERR unknown command 'CONFIG'"))),
    ];
    let mut text = String::new();
    let whole = ["as it should be", "Valkey", "a log on disk, always", "a replica that keeps up", "no limit"];
    for (name, look) in cases {
        kept(&mut text, name, &server_checks::judge(&look, &judgements::context()), whole.contains(&name));
    }
    let sentinels = Context { sentinels: true, ..judgements::context() };
    kept(&mut text, "no replica, and sentinels", &server_checks::judge(&judgements::healthy(), &sentinels), false);
    let replica = hello("server=redis version=7.0.15 role=slave");
    let told = changed(|look| {
        look.hello = replica.hello;
        look.info.as_mut().unwrap().extend(judgements::words("master_host=10.0.0.1 master_port=6380"));
    });
    kept(&mut text, "a replica that names its master", &server_checks::judge(&told, &judgements::context()), false);
    assert_snapshot("doctor/store/snapshots/servers.txt", &text);
}

fn redis(servers: Vec<Result<ServerLook, Failure>>) -> RedisLook {
    RedisLook { hosts: Vec::new(), servers, cluster: None, sentinels: false, members: None, user: None, tls: false }
}

fn failure(at: &str, trouble: Trouble) -> Failure {
    Failure { at: at.to_owned(), trouble, said: "said".to_owned() }
}

#[test]
fn a_redis_as_a_whole() {
    let mut text = String::new();
    let mut keep = |name: &str, look: &RedisLook| {
        let checks = redis_checks::judge(look, &judgements::context());
        let of_servers = server_checks::judge(&judgements::healthy(), &judgements::context());
        let own: Vec<Check> = checks
            .into_iter()
            .filter(|check| {
                !of_servers.iter().any(|other| (other.code, &other.measured) == (check.code, &check.measured))
            })
            .collect();
        kept(&mut text, name, &own, true);
    };
    let all = [
        Trouble::Name,
        Trouble::Refused,
        Trouble::Silence,
        Trouble::Tls,
        Trouble::Language,
        Trouble::Mute,
        Trouble::Protected,
        Trouble::Loading,
        Trouble::WrongPassword,
        Trouble::NoPassword,
        Trouble::Right,
        Trouble::Crowded,
        Trouble::Old,
        Trouble::NoMaster,
        Trouble::Kind,
        Trouble::Other,
    ];
    for trouble in all {
        for tls in [false, true] {
            let look = RedisLook { tls, ..redis(vec![Err(failure("r.example:6379", trouble))]) };
            if !tls || matches!(trouble, Trouble::Language | Trouble::Mute) {
                keep(&format!("{trouble:?}, TLS: {tls}"), &look);
            }
        }
    }
    let host = |at: &str, outcome| HostLook { at: at.to_owned(), outcome };
    let place = |text: &str| Ok((text.parse().unwrap(), Duration::from_micros(1_500)));
    let broken = failure("b:6379", Trouble::Refused);
    let hosts = || vec![host("127.0.0.1:6379", place("127.0.0.1:6379")), host("a:6379", place("10.0.0.1:6379"))];
    let lost = || host("b:6379", Err(failure("b:6379", Trouble::Refused)));
    let fine = || Ok(judgements::healthy());
    keep("two hosts, TLS", &RedisLook { hosts: hosts(), tls: true, ..redis(vec![fine()]) });
    keep(
        "one of three away",
        &RedisLook { hosts: hosts().into_iter().chain([lost()]).collect(), ..redis(vec![fine()]) },
    );
    keep("all away, said once", &RedisLook { hosts: vec![lost()], tls: true, ..redis(vec![Err(broken)]) });
    let slower = changed(|look| look.opened_in = Duration::from_millis(12));
    keep("greeted late by one", &redis(vec![fine(), Ok(slower)]));
    let cluster = |uncovered, failed: Option<Failure>, servers| RedisLook {
        cluster: Some(ClusterLook { uncovered, alone: vec!["r:6379".to_owned(), "s:6379".to_owned()], failed }),
        ..redis(servers)
    };
    let down = || failure("c:6379", Trouble::Silence);
    keep("a cluster", &cluster(0, None, vec![fine(), fine()]));
    keep("a cluster with a hole", &cluster(1, Some(down()), vec![fine()]));
    keep("a cluster without a slot", &cluster(16384, None, vec![fine()]));
    keep("a cluster that failed", &cluster(0, Some(down()), vec![fine()]));
    keep("a cluster that failed, and a server", &cluster(0, Some(down()), vec![fine(), Err(down())]));
    let blind = changed(|look| look.info = Err(Denied("NOPERM".to_owned())));
    keep("a cluster that says nothing of its replicas", &cluster(0, None, vec![Ok(blind)]));
    let said =
        |ms: i64| Some(Noted::Said(NodeNote { unix_ms: ms, life: Duration::from_secs(6), ..NodeNote::default() }));
    let member = |active, note| MemberLook { node: "a~1".to_owned(), until: 1_006_000, active, note };
    let members = |members| RedisLook { members: Some((1_000_500, members)), ..redis(vec![fine()]) };
    keep("nobody lives", &members(vec![]));
    keep("some live", &members(vec![member(0, None), member(1, Some(Noted::Nothing)), member(2, said(1_002_000))]));
    keep("a clock ahead", &members(vec![member(1, said(1_002_001)), member(2, said(1_000_000))]));
    keep("a clock far behind", &members(vec![member(1, said(1_002_001)), member(2, said(969_999))]));
    for (name, notes) in [
        ("nobody to compare with", vec![None, Some(Noted::Nothing)]),
        ("one to compare with", vec![said(1)]),
        ("two to compare with", vec![said(1), said(2), Some(Noted::Nothing)]),
        ("another key", vec![said(1), Some(Noted::OtherKey), Some(Noted::OtherKey)]),
    ] {
        let members: Vec<MemberLook> = notes.into_iter().map(|note| member(1, note)).collect();
        kept(&mut text, name, &[shared_key(&members, "/k")], true);
    }
    assert_snapshot("doctor/store/snapshots/redis.txt", &text);
}

#[test]
fn a_report_in_two_languages() {
    let checks = || {
        vec![
            Check::new(StoreCode::Memory, Level::Ok, "room").at("a:1"),
            Check::new(StoreCode::Volume, Level::Unknown, "the volume does not say").at("/v"),
            Check::new(StoreCode::NotLooked, Level::Unknown, "INFO")
                .line("ACL SETUSER max +info", "redis-cli")
                .at("a:1"),
            Check::new(StoreCode::Idle, Level::Warning, "timeout 5").setting("timeout", "0").at("a:1"),
            Check::new(StoreCode::Eviction, Level::Fault, "allkeys-lru").setting("maxmemory-policy", "noeviction"),
            Check::new(StoreCode::Persistence, Level::Fault, "none").setting("save", "").advice("look", "смотрите"),
        ]
    };
    let mut text = String::new();
    let mut keep = |report: &StoreReport| {
        for lang in [Lang::En, Lang::Ru] {
            for colours in [false, true] {
                let _ = writeln!(text, "{}\n---", report.text(colours, lang).replace('\u{1b}', "<ESC>"));
            }
        }
        let _ = writeln!(text, "{:#}\n---", report.json());
    };
    keep(&report(checks()));
    keep(&report(checks().into_iter().take(2).collect()));
    keep(&report(checks().into_iter().take(4).collect()));
    keep(&report(vec![Check::new(StoreCode::Role, Level::Stop, "a replica").at("a:1")]));
    keep(&StoreReport { kind: StoreKind::File, what: "in /v".to_owned(), checks: checks() });
    keep(&StoreReport { kind: StoreKind::Memory, what: "in memory".to_owned(), checks: vec![memory()] });
    assert_snapshot("doctor/store/snapshots/report.txt", &text);
}
