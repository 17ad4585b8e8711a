//! One server of a Redis: what it is, what it lets us do, and how fast.

use super::check::{CONFIGURATION, CONSOLE, Check, Level, times};
use super::code::StoreCode;
use super::context::{Context, Words, refused};
use super::server_settings;
use crate::store::ServerLook;

/// Milliseconds of a write. A sign-in has nine commands one after the other: at 20 ms each a person begins to wait; a quarter of
/// the deadline (1 s) leaves room for a pause of the machine, and half of it for nothing.
const SLOW: f64 = 20.0;
const SLOW_AT_TIMES: f64 = 250.0;
const TOO_SLOW: f64 = 250.0;
const DEADLINE: f64 = 1000.0;

/// Milliseconds between two clocks. A grant lives for 60 s by the clock of the node that issued it: half of that is too much.
const CLOCK_WARNS: i64 = 2_000;
const CLOCK_FAILS: i64 = 30_000;

/// The oldest that has every command.
const OLDEST: (u32, u32) = (6, 2);

pub fn judge(look: &ServerLook, context: &Context<'_>) -> Vec<Check> {
    let (info, config) = (look.info.as_ref().ok(), look.config.as_ref().ok());
    if look.writes.is_empty() && refused(look, "no answer") {
        // It hangs: nothing else was learnt.
        return vec![latency(look).at(&look.at)];
    }
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
    checks.push(server_settings::eviction(info, config));
    checks.push(server_settings::memory(look, info, context));
    checks.push(server_settings::persistence(look, info, config));
    checks.push(server_settings::replicas(look, info, config, context));
    checks.push(server_settings::idle(config));
    checks.push(server_settings::connections(info));
    checks.extend(server_settings::not_looked(look, context));
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
        // Said among the rights, or of the writes.
        Err(said) if said.contains("NOPERM") || refused(look, "no answer") => return None,
        Err(said) => said,
    };
    Some(Check::new(StoreCode::Hints, Level::Fault, format!("a message did not come back: {said}")).advice(
        "is there a proxy in between that carries no pub/sub? Give max-auth the Redis itself",
        "между ними прокси, который не передаёт pub/sub? Дайте max-auth сам Redis",
    ))
}

/// Of two clocks.
pub fn apart(skew: i64, exact: i64) -> Level {
    match skew.saturating_abs().saturating_sub(exact) {
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
