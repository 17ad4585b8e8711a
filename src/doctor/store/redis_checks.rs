//! A Redis as a whole: its address, its servers together, the nodes that live in it.

use super::check::{CONFIGURATION, CONSOLE, Check, Level, SHELL};
use super::code::StoreCode;
use super::context::Context;
use super::server_checks::{self, apart, old, set_clock};
use crate::store::{ClusterLook, Failure, MemberLook, Noted, RedisLook, Trouble};

pub fn judge(look: &RedisLook, context: &Context<'_>) -> Vec<Check> {
    let mut checks = address(look);
    let mut opened = 0;
    for server in &look.servers {
        match server {
            Ok(server) => {
                opened += 1;
                checks.extend(server_checks::judge(server, context));
            }
            Err(failure) => checks.push(failed(failure, look, context.user)),
        }
    }
    if opened > 0 {
        checks.push(password(look, context));
    }
    checks.extend(look.cluster.as_ref().into_iter().flat_map(|cluster| slots(cluster, look, context.user)));
    if let Some((_, members)) = &look.members {
        checks.push(nodes(members));
    }
    checks
}

fn address(look: &RedisLook) -> Vec<Check> {
    let works = look.servers.iter().any(Result::is_ok);
    let mut checks = Vec::new();
    for host in &look.hosts {
        match &host.outcome {
            Ok((place, after)) => {
                let after = after.as_secs_f64() * 1000.0;
                let leads = if host.at == place.to_string() { String::new() } else { format!("{place}, ") };
                let measured = format!("{}: {leads}connected after {after:.1} ms", host.at);
                checks.push(Check::new(StoreCode::Address, Level::Ok, measured).at(&host.at));
            }
            // Said below, as the reason why nothing else is known.
            Err(failure) if look.servers.iter().any(|server| server.as_ref().err() == Some(failure)) => {}
            Err(failure) => {
                let check = failed(failure, look, "USER");
                checks.push(Check { level: if works { Level::Warning } else { check.level }, ..check });
            }
        }
    }
    if works && look.tls {
        checks.push(Check::new(StoreCode::Tls, Level::Ok, "TLS, and the certificate is trusted"));
    }
    checks
}

fn password(look: &RedisLook, context: &Context<'_>) -> Check {
    let slowest = look.servers.iter().flatten().map(|server| server.opened_in).max().unwrap_or_default();
    let after = slowest.as_secs_f64() * 1000.0;
    Check::new(StoreCode::Password, Level::Ok, format!("{} is let in; greeted after {after:.1} ms", context.user))
}

/// Why nothing is known of a server.
fn failed(failure: &Failure, look: &RedisLook, user: &str) -> Check {
    let code = match failure.trouble {
        Trouble::Name | Trouble::Refused | Trouble::Silence | Trouble::Other => StoreCode::Address,
        Trouble::Tls => StoreCode::Tls,
        Trouble::Language | Trouble::Mute | Trouble::Protected | Trouble::Loading => StoreCode::Greeting,
        Trouble::WrongPassword | Trouble::NoPassword | Trouble::Right => StoreCode::Password,
        Trouble::Crowded => StoreCode::Connections,
        Trouble::Old => return old(&failure.said).at(&failure.at),
        Trouble::NoMaster | Trouble::Kind => StoreCode::Kind,
    };
    let check = Check::new(code, Level::Stop, &failure.said).at(&failure.at);
    let host = failure.at.rsplit_once(':').map_or(failure.at.as_str(), |(host, _)| host);
    match failure.trouble {
        Trouble::Name => check.line(format!("getent hosts {host}"), SHELL).advice(
            "the name leads nowhere from this machine: correct the host in store.url, or the zone",
            "имя отсюда никуда не ведёт: исправьте хост в store.url или зону DNS",
        ),
        Trouble::Refused => check.line("bind 127.0.0.1 ADDRESS", "redis.conf of that machine").advice(
            "nobody listens there: is Redis running, on this port, on an address that this machine reaches?",
            "там никто не слушает: запущен ли Redis, на этом ли порту и адресе, доступном отсюда?",
        ),
        Trouble::Silence => check.advice(
            "nothing came back: a firewall, another network, or a Redis that hangs; a server of a cluster must announce an \
             address that this machine reaches (cluster-announce-ip)",
            "ответа нет: межсетевой экран, другая сеть или зависший Redis; сервер кластера должен объявлять адрес, \
             доступный отсюда (cluster-announce-ip)",
        ),
        Trouble::Tls => check.line("ca_file = \"/etc/max-auth/redis-ca.pem\"", "[store] in max-auth.toml").advice(
            "give the authority's certificate, for this very host name; where Redis speaks no TLS, begin the address with \
             redis://",
            "укажите сертификат центра, выданный именно на это имя; если Redis без TLS, начните адрес с redis://",
        ),
        Trouble::Mute if look.tls => check.advice(
            "it takes connections and answers no TLS: begin the address with redis://, or give its TLS port",
            "соединение принимают, но TLS не отвечает: начните адрес с redis:// или укажите порт TLS",
        ),
        Trouble::Mute => check.advice(
            "it takes connections and says nothing: a Redis that hangs or swaps, a proxy without one behind it, or one that \
             wants TLS (rediss://)",
            "соединение принимают и молчат: Redis завис или в свопе, за прокси его нет, или ему нужен TLS (rediss://)",
        ),
        Trouble::Language if !look.tls => check.advice(
            "what answers is no Redis, or one that wants TLS: then the address begins with rediss://",
            "отвечает не Redis, или ему нужен TLS: тогда адрес начинается с rediss://",
        ),
        Trouble::Language => check.advice(
            "what answers is no Redis, or one without TLS: then the address begins with redis://",
            "отвечает не Redis, или он без TLS: тогда адрес начинается с redis://",
        ),
        Trouble::Protected => check
            .line(format!("ACL SETUSER {user} on >PASSWORD …"), "redis-cli on the machine of Redis (docs/storage.md has the line)")
            .advice(
                "protected mode lets only its own machine in while there is no password: make a user, then bind the address",
                "пока нет пароля, защищённый режим пускает только свою машину: заведите пользователя, затем bind",
            ),
        Trouble::Loading => check.advice(
            "Redis reads its data after a start; ask again in a moment",
            "Redis после запуска читает данные; спросите ещё раз чуть позже",
        ),
        Trouble::WrongPassword | Trouble::NoPassword => {
            check.line("store.url = \"redis://USER:PASSWORD@HOST:PORT\"", CONFIGURATION).advice(
                "percent-encode special characters of the password (@ is %40); a password without a user is \
                 redis://:PASSWORD@HOST:PORT",
                "спецсимволы пароля кодируйте процентами (@ — это %40); пароль без пользователя: \
                 redis://:PASSWORD@HOST:PORT",
            )
        }
        Trouble::Right => check.line(format!("ACL SETUSER {user} +hello +auth +ping"), CONSOLE),
        Trouble::Crowded => check.setting("maxclients", "10000"),
        Trouble::NoMaster => check.line("store.url = \"redis+sentinel://USER:PASSWORD@HOST:PORT/MASTER\"", CONFIGURATION).advice(
            "the sentinels know no master of this name: SENTINEL MASTERS tells which they know",
            "sentinel не знают такого имени: какие знают, покажет SENTINEL MASTERS",
        ),
        Trouble::Kind => check.line("store.url = \"redis://USER:PASSWORD@HOST:PORT\"", CONFIGURATION),
        Trouble::Old | Trouble::Other => check,
    }
}

fn slots(cluster: &ClusterLook, look: &RedisLook, user: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    let servers = look.servers.len();
    let held = format!("{} of 16384 slots held, by {servers} servers", 16384 - cluster.uncovered);
    checks.push(match cluster.uncovered {
        0 => Check::new(StoreCode::Cluster, Level::Ok, held),
        all => Check::new(StoreCode::Cluster, if all < 16384 { Level::Fault } else { Level::Stop }, held)
            .line("redis-cli --cluster fix HOST:PORT", "a shell, once the missing servers are back"),
    });
    if let Some(failure) = &cluster.failed
        && look.servers.iter().all(Result::is_ok)
        && cluster.uncovered == 0
    {
        checks.push(failed(failure, look, user));
    }
    // Else the server said so itself.
    let told = |at: &&String| look.servers.iter().flatten().any(|server| server.at == **at && server.info.is_ok());
    checks.extend(cluster.alone.iter().filter(|at| !told(at)).map(|at| {
        let measured = format!("{at} has no replica: when it is gone, so are its slots");
        Check::new(StoreCode::Replicas, Level::Warning, measured)
            .at(at)
            .line(format!("redis-cli --cluster add-node HOST:PORT {at} --cluster-slave"), SHELL)
    }));
    checks
}

/// What those say who live.
fn nodes(members: &[MemberLook]) -> Check {
    if members.is_empty() {
        return Check::new(StoreCode::Nodes, Level::Ok, "none lives at present");
    }
    let mut level = Level::Ok;
    let said = members.iter().map(|member| {
        let skew = match &member.note {
            Some(Noted::Said(note)) => {
                let beaten = member.until.saturating_sub(note.life.as_millis() as i64);
                Some(note.unix_ms.saturating_sub(beaten))
            }
            _ => None,
        };
        // What a beat may take on its way.
        let here = skew.map_or(Level::Ok, |skew| apart(skew, 0));
        level = level.max(here);
        let clock = match skew {
            Some(skew) if here > Level::Ok => format!(", its clock is {:+.1} s off", skew as f64 / 1000.0),
            _ => String::new(),
        };
        let logins = if member.active == 1 { "login" } else { "logins" };
        format!("{} ({} {logins}{clock})", member.node, member.active)
    });
    let said = said.collect::<Vec<_>>().join(", ");
    let check = Check::new(StoreCode::Nodes, level, said);
    if level > Level::Ok { set_clock(check) } else { check }
}

/// The key against those of the nodes that live.
pub fn shared_key(members: &[MemberLook], path: &str) -> Check {
    let of = |wanted: fn(&Noted) -> bool| -> Vec<&str> {
        let found = members.iter().filter(|member| member.note.as_ref().is_some_and(wanted));
        found.map(|member| member.node.as_str()).collect()
    };
    let (same, other) = (of(|note| matches!(note, Noted::Said(_))), of(|note| *note == Noted::OtherKey));
    if !other.is_empty() {
        let measured = format!("{path} is another key than that of {}", other.join(", "));
        return Check::new(StoreCode::Key, Level::Fault, measured)
            .line(format!("sha256sum {path}"), "a shell on each node: all must say the same")
            .advice(
                "copy the file of one node to all others, with mode 0600, and restart them",
                "скопируйте файл одного узла на остальные, с правами 0600, и перезапустите их",
            );
    }
    match same.len() {
        0 => Check::new(StoreCode::Key, Level::Ok, format!("{path}; no other node lives to compare it with")),
        count => {
            let nodes = if count == 1 { "1 node that lives".to_owned() } else { format!("{count} nodes that live") };
            Check::new(StoreCode::Key, Level::Ok, format!("{path}, the same as at {nodes}"))
        }
    }
}
