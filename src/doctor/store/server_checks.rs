//! One server of a Redis: what was seen of it, judged.

use super::check::{CONFIGURATION, CONSOLE, Check, Level, size, times};
use super::code::StoreCode;
use crate::store::{Denied, ServerLook};
use std::collections::BTreeMap;

/// What the judgement needs beside what was seen.
pub struct Context<'a> {
    pub user: &'a str,
    /// `login.max_active`.
    pub logins: u64,
    pub sentinels: bool,
    pub cluster: bool,
}

/// Bytes of a login in flight, measured (docs/storage.md, "Costs").
pub const LOGIN: u64 = 2816;

/// Milliseconds of a write. A sign-in has nine commands one after the other: at 20 ms each a person begins to wait; a quarter of
/// the deadline (1 s) leaves room for a pause of the machine, and half of it for nothing.
const SLOW: f64 = 20.0;
const SLOW_AT_TIMES: f64 = 250.0;
const TOO_SLOW: f64 = 250.0;
const DEADLINE: f64 = 1000.0;

/// Milliseconds between two clocks. A grant lives for 60 s by the clock of the node that issued it: half of that is too much.
const CLOCK_WARNS: i64 = 2_000;
const CLOCK_FAILS: i64 = 30_000;

/// Seconds since a replica last said what it has, and bytes that it has not: it speaks every second.
const LAG: i64 = 3;
const BEHIND: i64 = 1024 * 1024;

/// Seconds of silence: a node speaks every 2 s.
const IDLE: i64 = 10;

/// The oldest that has every command.
const OLDEST: (u32, u32) = (6, 2);

type Words = BTreeMap<String, String>;

fn number(words: Option<&Words>, name: &str) -> Option<i64> {
    words?.get(name)?.trim().parse().ok()
}

pub fn judge(look: &ServerLook, context: &Context<'_>) -> Vec<Check> {
    let (info, config) = (look.info.as_ref().ok(), look.config.as_ref().ok());
    let mut checks = vec![version(look, info)];
    if let Some(kind) = kind(look, context) {
        // It was asked for what it is not: the rest says nothing.
        checks.push(kind);
        return checks.into_iter().map(|check| check.at(&look.at)).collect();
    }
    checks.push(role(look, info));
    checks.push(rights(look, context));
    checks.extend(scripts(look));
    checks.extend(write(look));
    checks.push(latency(look));
    checks.extend(hints(look));
    checks.push(clock(look));
    checks.push(eviction(info, config));
    checks.push(memory(look, info, context));
    checks.push(persistence(look, info, config));
    checks.push(replicas(look, info, config, context));
    checks.push(idle(config));
    checks.push(connections(info));
    checks.extend(not_looked(look, context));
    checks.into_iter().map(|check| check.at(&look.at)).collect()
}

fn version(look: &ServerLook, info: Option<&Words>) -> Check {
    let of = |name: &str| info.and_then(|info| info.get(name)).cloned();
    let said = look.hello.get("server").cloned().unwrap_or_else(|| "redis".to_owned());
    let (product, version) = match (of("valkey_version"), of("dragonfly_version")) {
        (Some(version), _) => ("Valkey".to_owned(), version),
        (_, Some(version)) => ("Dragonfly".to_owned(), version),
        _ if said == "redis" => ("Redis".to_owned(), look.hello.get("version").cloned().unwrap_or_default()),
        _ => (said, look.hello.get("version").cloned().unwrap_or_default()),
    };
    let measured = format!("{product} {version}");
    let check = |level| Check::new(StoreCode::Version, level, measured.clone());
    if product != "Redis" {
        let tested = product.eq_ignore_ascii_case("valkey");
        return check(if tested { Level::Ok } else { Level::Unknown });
    }
    let mut parts = version.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < OLDEST => old(&measured),
        (Some(Ok(_)), Some(Ok(_))) => check(Level::Ok),
        _ => check(Level::Unknown),
    }
}

pub fn old(measured: &str) -> Check {
    Check::new(StoreCode::Version, Level::Stop, measured)
        .advice("update to Redis 6.2 or newer, or to Valkey", "обновите до Redis 6.2 или новее, либо до Valkey")
}

/// A sentinel, or a server of a cluster, behind an address that says nothing of it.
fn kind(look: &ServerLook, context: &Context<'_>) -> Option<Check> {
    let wrong = |measured: &str, line: String| {
        Some(Check::new(StoreCode::Kind, Level::Stop, measured).line(line, CONFIGURATION))
    };
    match look.hello.get("mode").map(String::as_str) {
        Some("sentinel") => wrong(
            "this is a sentinel, which keeps no records",
            format!("store.url = \"redis+sentinel://USER:PASSWORD@{}/MASTER\"", look.at),
        ),
        Some("cluster") if !context.cluster => wrong(
            "this server is one of a cluster",
            format!("store.url = \"redis+cluster://USER:PASSWORD@{}\"", look.at),
        ),
        _ => None,
    }
}

fn role(look: &ServerLook, info: Option<&Words>) -> Check {
    let role = look.hello.get("role").map_or("", String::as_str);
    if role != "replica" && role != "slave" {
        return Check::new(StoreCode::Role, Level::Ok, if role.is_empty() { "not said" } else { role });
    }
    let of = |name: &str| info.and_then(|info| info.get(name));
    let master = match (of("master_host"), of("master_port")) {
        (Some(host), Some(port)) => Some(format!("{host}:{port}")),
        _ => None,
    };
    let measured = match &master {
        Some(master) => format!("a replica of {master}, which takes no writes (READONLY)"),
        None => "a replica, which takes no writes (READONLY)".to_owned(),
    };
    Check::new(StoreCode::Role, Level::Stop, measured)
        .line(
            format!("store.url = \"redis://USER:PASSWORD@{}\"", master.as_deref().unwrap_or("MASTER:6379")),
            CONFIGURATION,
        )
        .advice(
            "where sentinels choose the master, give them instead: redis+sentinel://HOST:PORT,HOST:PORT/MASTER",
            "если главный сервер выбирают sentinel, укажите их: redis+sentinel://HOST:PORT,HOST:PORT/MASTER",
        )
}

fn rights(look: &ServerLook, context: &Context<'_>) -> Check {
    let user = context.user;
    if look.missing.is_empty() {
        return Check::new(StoreCode::Rights, Level::Ok, format!("{user} may use every command that is needed"));
    }
    let rules: Vec<&str> = look.missing.iter().map(|right| right.rule.as_str()).collect();
    let said = &look.missing[0].said;
    let measured = format!("{user} has not got {}: {said}", rules.join(" "));
    let check = Check::new(StoreCode::Rights, Level::Stop, measured);
    if look.missing.iter().all(|right| right.unknown) {
        return check.advice(
            "the server does not know these commands, or its provider has taken them away: another one is needed",
            "сервер не знает этих команд, или провайдер их отключил: нужен другой",
        );
    }
    check.line(format!("ACL SETUSER {user} {}", rules.join(" ")), CONSOLE).advice(
        "then ACL SAVE where there is an aclfile, else the same rules in redis.conf: user NAME …",
        "затем ACL SAVE, если есть aclfile, иначе те же правила в redis.conf: user NAME …",
    )
}

fn scripts(look: &ServerLook) -> Option<Check> {
    if !look.missing.is_empty() || look.write_failed.is_some() {
        return None;
    }
    Some(match &look.scripts {
        None => Check::new(StoreCode::Scripts, Level::Ok, "all eight run"),
        Some((name, said)) => Check::new(StoreCode::Scripts, Level::Stop, format!("{name}: {said}")).advice(
            "a server that runs Lua scripts is needed (EVAL); some proxies and services switch them off",
            "нужен сервер, который выполняет скрипты Lua (EVAL); некоторые прокси и сервисы их отключают",
        ),
    })
}

/// A write that was refused, for a reason that no other check has.
fn write(look: &ServerLook) -> Option<Check> {
    let said = look.write_failed.as_deref()?;
    let known = ["READONLY", "OOM", "MISCONF", "NOREPLICAS", "NOPERM", "MOVED", "no answer"];
    let told = known.iter().any(|word| said.contains(word));
    (!told).then(|| Check::new(StoreCode::Writes, Level::Stop, said))
}

/// Whether the write was refused for this reason.
fn refused(look: &ServerLook, word: &str) -> bool {
    look.write_failed.as_deref().is_some_and(|said| said.contains(word))
}

fn latency(look: &ServerLook) -> Check {
    let slow = |level, measured: String| {
        Check::new(StoreCode::Latency, level, measured).advice(
            "put Redis near max-auth (one data centre, no proxy between); see SLOWLOG GET, LATENCY DOCTOR and, with \
             appendfsync always, the disk",
            "поставьте Redis рядом с max-auth (один дата-центр, без прокси между ними); посмотрите SLOWLOG GET, LATENCY \
             DOCTOR и, при appendfsync always, диск",
        )
    };
    if refused(look, "no answer") {
        return slow(Level::Stop, format!("a write was not answered within 3 s, after {} others", look.writes.len()));
    }
    let Some((middle, most, longest)) = times(&look.writes) else {
        return Check::new(StoreCode::Latency, Level::Unknown, "no write was taken");
    };
    let count = look.writes.len();
    let measured = format!("p50 {middle:.1} ms, p99 {most:.1} ms, longest {longest:.1} ms of {count} writes");
    match () {
        () if longest >= DEADLINE => slow(Level::Fault, measured),
        () if middle >= TOO_SLOW => slow(Level::Fault, measured),
        () if middle >= SLOW || longest >= SLOW_AT_TIMES => slow(Level::Warning, measured),
        () => Check::new(StoreCode::Latency, Level::Ok, measured),
    }
}

fn hints(look: &ServerLook) -> Option<Check> {
    let said = match &look.heard {
        Ok(after) => {
            let after = after.as_secs_f64() * 1000.0;
            return Some(Check::new(StoreCode::Hints, Level::Ok, format!("a message came back after {after:.1} ms")));
        }
        // Said among the rights.
        Err(said) if said.contains("NOPERM") => return None,
        Err(said) => said,
    };
    Some(Check::new(StoreCode::Hints, Level::Fault, format!("a message did not come back: {said}")).advice(
        "is there a proxy in between that carries no pub/sub? Give max-auth the Redis itself",
        "между ними прокси, который не передаёт pub/sub? Дайте max-auth сам Redis",
    ))
}

/// Of two clocks.
pub fn apart(skew: i64, exact: i64) -> Level {
    match skew.abs().saturating_sub(exact) {
        apart if apart > CLOCK_FAILS => Level::Fault,
        apart if apart > CLOCK_WARNS => Level::Warning,
        _ => Level::Ok,
    }
}

pub fn set_clock(check: Check) -> Check {
    check.line("timedatectl set-ntp true", "the machine whose clock is wrong")
}

fn clock(look: &ServerLook) -> Check {
    let Some((skew, exact)) = look.skew else {
        return Check::new(StoreCode::Clock, Level::Unknown, "the server did not say its time");
    };
    let seconds = skew as f64 / 1000.0;
    let level = apart(skew, exact);
    let measured = format!("Redis' clock less this machine's: {seconds:+.3} s (to {exact} ms)");
    let check = Check::new(StoreCode::Clock, level, measured);
    if level == Level::Ok { check } else { set_clock(check) }
}

fn eviction(info: Option<&Words>, config: Option<&Words>) -> Check {
    let policy = config
        .and_then(|config| config.get("maxmemory-policy"))
        .or_else(|| info.and_then(|info| info.get("maxmemory_policy")));
    match policy.map(String::as_str) {
        None => Check::new(StoreCode::Eviction, Level::Unknown, "maxmemory-policy could not be looked at"),
        Some("noeviction") => Check::new(StoreCode::Eviction, Level::Ok, "maxmemory-policy noeviction"),
        Some(other) => {
            let limit = number(info, "maxmemory").or_else(|| number(config, "maxmemory"));
            let when = if limit == Some(0) { "; as yet there is no limit (maxmemory 0)" } else { "" };
            Check::new(StoreCode::Eviction, Level::Fault, format!("maxmemory-policy is {other}{when}"))
                .setting("maxmemory-policy", "noeviction")
        }
    }
}

fn memory(look: &ServerLook, info: Option<&Words>, context: &Context<'_>) -> Check {
    let of = |name| number(info, name).and_then(|number| u64::try_from(number).ok());
    let (used, limit) = (of("used_memory"), of("maxmemory"));
    // Twice what the node's own logins may need: there are other records, and other nodes.
    let enough = used.unwrap_or(0) + context.logins * LOGIN * 2;
    let more = |check: Check| check.setting("maxmemory", &format!("{}mb", enough.div_ceil(1024 * 1024)));
    if refused(look, "OOM") {
        return more(Check::new(StoreCode::Memory, Level::Stop, "a write was refused: memory is used up (OOM)"));
    }
    let (Some(used), Some(limit)) = (used, limit) else {
        return Check::new(StoreCode::Memory, Level::Unknown, "maxmemory could not be looked at");
    };
    if limit == 0 {
        let machine =
            of("total_system_memory").map_or(String::new(), |all| format!(", of {} of the machine", size(all)));
        let measured = format!("{} used{machine}; no limit (maxmemory 0)", size(used));
        return Check::new(StoreCode::Memory, Level::Ok, measured);
    }
    let room = limit.saturating_sub(used) / LOGIN;
    let measured = format!("{} of {} used: room for about {room} logins", size(used), size(limit));
    match room {
        room if room < 100 => more(Check::new(StoreCode::Memory, Level::Fault, measured)),
        room if room < context.logins => more(Check::new(
            StoreCode::Memory,
            Level::Warning,
            format!("{measured}, and login.max_active is {}", context.logins),
        )),
        _ => Check::new(StoreCode::Memory, Level::Ok, measured),
    }
}

fn persistence(look: &ServerLook, info: Option<&Words>, config: Option<&Words>) -> Check {
    let check = |level, measured: &str| Check::new(StoreCode::Persistence, level, measured);
    let failed = |name: &str| info.and_then(|info| info.get(name)).is_some_and(|status| status == "err");
    let disk = |check: Check| {
        check.advice(
            "look at Redis' log, its disk and the rights of its folder (CONFIG GET dir)",
            "посмотрите журнал Redis, его диск и права на его каталог (CONFIG GET dir)",
        )
    };
    if refused(look, "MISCONF") {
        return disk(check(Level::Stop, "writes are refused because Redis cannot save (MISCONF)"));
    }
    let set = |name: &str| config.and_then(|config| config.get(name)).map(String::as_str);
    let log = set("appendonly").map(|value| value == "yes").or_else(|| number(info, "aof_enabled").map(|on| on == 1));
    let on = |check: Check| check.setting("appendonly", "yes").setting("appendfsync", "everysec");
    match (log, set("appendfsync"), set("save")) {
        (None, ..) => check(Level::Unknown, "could not be looked at"),
        (Some(true), ..) if failed("aof_last_write_status") => {
            disk(check(Level::Fault, "appendonly yes, and its last write failed (aof_last_write_status err)"))
        }
        (Some(true), Some("no"), _) => {
            let measured = "appendonly yes, appendfsync no: a crash of the machine costs up to half a minute";
            check(Level::Warning, measured).setting("appendfsync", "everysec")
        }
        (Some(true), fsync, _) => {
            let fsync = fsync.map_or(String::new(), |fsync| format!(", appendfsync {fsync}"));
            check(Level::Ok, &format!("appendonly yes{fsync}"))
        }
        (Some(false), _, None) => {
            on(check(Level::Warning, "appendonly no; whether snapshots are made could not be looked at"))
        }
        (Some(false), _, Some("")) => {
            on(check(Level::Fault, "neither appendonly nor save: a restart of Redis forgets everything"))
        }
        (Some(false), _, Some(_)) if failed("rdb_last_bgsave_status") => {
            disk(check(Level::Fault, "the last snapshot failed (rdb_last_bgsave_status err)"))
        }
        (Some(false), _, Some(save)) => {
            let measured = format!("snapshots only (save {save}): a restart costs what came after the last one");
            on(check(Level::Warning, &measured))
        }
    }
}

fn replicas(look: &ServerLook, info: Option<&Words>, config: Option<&Words>, context: &Context<'_>) -> Check {
    let check = |level, measured: String| Check::new(StoreCode::Replicas, level, measured);
    let asked = number(config, "min-replicas-to-write").unwrap_or(0);
    if refused(look, "NOREPLICAS") {
        return check(Level::Stop, format!("writes are refused: fewer than {asked} replicas keep up (NOREPLICAS)"))
            .advice("bring the replicas back", "верните реплики")
            .setting("min-replicas-to-write", "0");
    }
    let Some(info) = info else { return check(Level::Unknown, "could not be looked at".to_owned()) };
    let newest = number(Some(info), "master_repl_offset").unwrap_or(0);
    let mut told = Vec::new();
    let mut late = false;
    // `slave0:ip=…,port=…,state=online,offset=…,lag=0`
    let rows = info.iter().filter(|(name, _)| {
        name.strip_prefix("slave")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    });
    for (_, row) in rows {
        let parts: Words = row
            .split(',')
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let of = |name: &str| parts.get(name).cloned().unwrap_or_default();
        let (lag, offset) = (number(Some(&parts), "lag").unwrap_or(0), number(Some(&parts), "offset").unwrap_or(0));
        let behind = newest.saturating_sub(offset).max(0);
        late |= of("state") != "online" || lag > LAG || behind > BEHIND;
        told.push(format!("{}:{} {}, {lag} s and {behind} bytes behind", of("ip"), of("port"), of("state")));
    }
    match (told.is_empty(), late) {
        (true, _) if context.sentinels || context.cluster => {
            check(Level::Warning, "none: when this server is gone, nobody takes over".to_owned())
                .line("replicaof HOST PORT", "redis.conf of another server")
        }
        (true, _) => check(Level::Ok, "none".to_owned()),
        (false, true) => check(Level::Warning, told.join("; ")).advice(
            "look at the replica's log and at the network between; a replica that syncs again and again wants a larger \
             client-output-buffer-limit and repl-backlog-size",
            "посмотрите журнал реплики и сеть между ними; если синхронизация повторяется, увеличьте \
             client-output-buffer-limit и repl-backlog-size",
        ),
        (false, false) => {
            let least = format!("; min-replicas-to-write {asked}");
            check(Level::Ok, format!("{}{least}", told.join("; ")))
        }
    }
}

fn idle(config: Option<&Words>) -> Check {
    let (Some(idle), Some(alive)) = (number(config, "timeout"), number(config, "tcp-keepalive")) else {
        return Check::new(StoreCode::Idle, Level::Unknown, "timeout could not be looked at");
    };
    let measured = format!("timeout {idle}, tcp-keepalive {alive}");
    let check = |level| Check::new(StoreCode::Idle, level, measured.clone());
    match (idle, alive) {
        (1..IDLE, _) => check(Level::Warning).setting("timeout", "0"),
        (_, 0) => check(Level::Warning).setting("tcp-keepalive", "300"),
        _ => check(Level::Ok),
    }
}

fn connections(info: Option<&Words>) -> Check {
    let (Some(open), Some(most)) = (number(info, "connected_clients"), number(info, "maxclients")) else {
        return Check::new(StoreCode::Connections, Level::Unknown, "could not be looked at");
    };
    let measured = format!("{open} of {most} (maxclients)");
    match open.saturating_mul(10) >= most.saturating_mul(9) {
        true => {
            Check::new(StoreCode::Connections, Level::Warning, measured).setting("maxclients", &(most * 2).to_string())
        }
        false => Check::new(StoreCode::Connections, Level::Ok, measured),
    }
}

fn not_looked(look: &ServerLook, context: &Context<'_>) -> Option<Check> {
    let (mut rules, mut said) = (Vec::new(), Vec::new());
    let mut add = |rule, command: &str, denied: &Denied| {
        rules.push(rule);
        said.push(format!("{command}: {}", denied.0));
    };
    if let Err(denied) = &look.info {
        add("+info", "INFO", denied);
    }
    if let Err(denied) = &look.config {
        add("+config|get", "CONFIG GET", denied);
    }
    let check = Check::new(StoreCode::NotLooked, Level::Unknown, said.join("; "));
    match rules.is_empty() {
        true => None,
        // A service that has taken the command away cannot give it.
        false if !said.iter().any(|said| said.contains("NOPERM")) => {
            Some(check.advice("look at the service's own settings", "посмотрите настройки самого сервиса"))
        }
        false => Some(check.line(format!("ACL SETUSER {} {}", context.user, rules.join(" ")), CONSOLE)),
    }
}
