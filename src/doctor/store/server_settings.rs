//! How one server is set up: what it throws away, what it keeps, who else has it.

use super::check::{CONSOLE, Check, Level, size};
use super::code::StoreCode;
use super::context::{Context, Words, refused};
use crate::store::{Denied, ServerLook};

/// Bytes of a login in flight, measured (docs/storage.md, "Costs").
const LOGIN: u64 = 2816;

/// Seconds since a replica last said what it has, and bytes that it has not: it speaks every second.
const LAG: i64 = 3;
const BEHIND: i64 = 1024 * 1024;

/// Seconds of silence: a node speaks every 2 s.
const IDLE: i64 = 10;

fn number(words: Option<&Words>, name: &str) -> Option<i64> {
    words?.get(name)?.trim().parse().ok()
}

pub fn eviction(info: Option<&Words>, config: Option<&Words>) -> Check {
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

pub fn memory(look: &ServerLook, info: Option<&Words>, context: &Context<'_>) -> Check {
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

pub fn persistence(look: &ServerLook, info: Option<&Words>, config: Option<&Words>) -> Check {
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

pub fn replicas(look: &ServerLook, info: Option<&Words>, config: Option<&Words>, context: &Context<'_>) -> Check {
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

pub fn idle(config: Option<&Words>) -> Check {
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

pub fn connections(info: Option<&Words>) -> Check {
    let (Some(open), Some(most)) = (number(info, "connected_clients"), number(info, "maxclients")) else {
        return Check::new(StoreCode::Connections, Level::Unknown, "could not be looked at");
    };
    let measured = format!("{open} of {most} (maxclients)");
    match open.saturating_mul(10) >= most.saturating_mul(9) {
        true => Check::new(StoreCode::Connections, Level::Warning, measured)
            .setting("maxclients", &most.saturating_mul(2).to_string()),
        false => Check::new(StoreCode::Connections, Level::Ok, measured),
    }
}

pub fn not_looked(look: &ServerLook, context: &Context<'_>) -> Option<Check> {
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
