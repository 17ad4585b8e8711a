//! What the doctor sees of a Redis: connections as `serve` opens them, and everything that it will need, tried once on a key
//! of its own that lives for seconds. Only what was seen; what it means is the doctor's.

mod failure;
mod server;

pub use failure::{Failure, Trouble};
#[cfg(test)]
pub use server::Right;
pub use server::{Denied, ServerLook};

use super::connector::{Connector, OPENING};
use super::key_text;
use super::settings::{Address, Way};
use super::{RedisError, RedisOptions};
use crate::base::clock::Clock;
use crate::base::id;
use crate::base::rng::Rng;
use crate::store::{Key, NodeName, NodeNote, Noted, Seal, Space};
use futures_util::future::join_all;
use redis::{Client, ConnectionAddr, Value};
use server::Open;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Servers of a cluster that are looked at: the largest that people run for logins has ten.
const SERVERS: usize = 64;

/// Tries to hit a key that a server of a cluster holds: one in 64 of them misses every try with a chance of one in a million.
const TRIES: usize = 1000;

/// Everything that one look saw.
pub struct RedisLook {
    /// Each host of the address.
    pub hosts: Vec<HostLook>,
    /// Every server that is written to; none where it cannot be reached.
    pub servers: Vec<Result<ServerLook, Failure>>,
    pub cluster: Option<ClusterLook>,
    pub sentinels: bool,
    /// Nodes that live, and the store's time when they were asked for.
    pub members: Option<(i64, Vec<MemberLook>)>,
    pub user: Option<String>,
    /// As commands say it: what `CLUSTER SLOTS` and the like are asked of.
    pub tls: bool,
}

/// A host of the address.
pub struct HostLook {
    pub at: String,
    /// Where the name leads, and how long the connection took.
    pub outcome: Result<(SocketAddr, Duration), Failure>,
}

pub struct ClusterLook {
    /// Slots that nobody holds.
    pub uncovered: u32,
    /// Servers that hold slots and have no replica.
    pub alone: Vec<String>,
    /// What `serve`'s own cluster connection said, if it failed.
    pub failed: Option<Failure>,
}

/// A node that says it lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberLook {
    pub node: String,
    /// By the store's time.
    pub until: i64,
    pub active: u64,
    /// `None` where we have no key to open it with.
    pub note: Option<Noted>,
}

/// Looks at the Redis of `address` as `serve` would use it.
pub async fn look_at_redis(
    address: &str,
    options: &RedisOptions,
    seal: Option<&Seal>,
    clock: &Clock,
    rng: &Rng,
) -> Result<RedisLook, RedisError> {
    let connector = Connector::new(Address::parse(address)?, options)?;
    let hosts = join_all(connector.address().hosts.iter().map(|(host, port)| knock(host, *port))).await;
    let mut look = RedisLook {
        sentinels: matches!(connector.address().way, Way::Sentinel { .. }),
        user: connector.address().user.clone(),
        tls: connector.address().tls,
        hosts,
        servers: Vec::new(),
        cluster: None,
        members: None,
    };
    // Nothing behind a door that nobody opens.
    if look.hosts.iter().all(|host| host.outcome.is_err()) {
        look.servers = look.hosts.iter().filter_map(|host| host.outcome.clone().err()).take(1).map(Err).collect();
        return Ok(look);
    }
    let mut opened = match connector.address().way {
        Way::Cluster => {
            let (servers, cluster) = cluster(&connector).await;
            look.cluster = cluster;
            servers
        }
        _ => vec![alone(&connector).await],
    };
    for open in opened.iter_mut().flatten() {
        let key = scratch(open, &options.prefix, rng).await;
        open.scratch = key;
    }
    let listeners: Vec<Client> = opened.iter().flatten().map(|open| open.client.clone()).collect();
    let mut turn = 0;
    for open in opened {
        look.servers.push(match open {
            Err(failure) => Err(failure),
            Ok(mut open) => {
                // What is said at one server is heard at the next.
                turn += 1;
                let listener = &listeners[turn % listeners.len()];
                let seen = server::look(&mut open, listener, connector.address(), options, clock, rng).await;
                if look.members.is_none() {
                    look.members = members(&mut open, &options.prefix, seal).await;
                }
                Ok(seen)
            }
        });
    }
    Ok(look)
}

fn named(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Name and connection, without a word.
async fn knock(host: &str, port: u16) -> HostLook {
    let at = named(host, port);
    let failed = |trouble, said: String| Err(Failure { at: at.clone(), trouble, said });
    let connecting = async {
        let found = match lookup_host((host, port)).await {
            Ok(found) => found.collect::<Vec<_>>(),
            Err(error) => return failed(Trouble::Name, error.to_string()),
        };
        let began = Instant::now();
        let mut last = failed(Trouble::Name, "the name has no address".to_owned());
        for place in found.into_iter().take(8) {
            match TcpStream::connect(place).await {
                Ok(_) => return Ok((place, began.elapsed())),
                Err(error) => {
                    let named = if place.to_string() == at { String::new() } else { format!("{place}: ") };
                    let said = format!("{named}{error}");
                    last = failed(failure::trouble(&said, false), said);
                }
            }
        }
        last
    };
    let outcome = timeout(OPENING, connecting).await;
    HostLook { outcome: outcome.unwrap_or_else(|_| Err(Failure::silence(at.clone(), OPENING))), at }
}

async fn open(client: Client, at: String) -> Result<Open, Failure> {
    let began = Instant::now();
    // One that sentinels or a cluster name may be out of reach from here.
    if let ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } =
        client.get_connection_info().addr()
    {
        knock(host, *port).await.outcome?;
    }
    match timeout(OPENING, Connector::connect(&client, |_| {})).await {
        Err(_) => Err(Failure { trouble: Trouble::Mute, ..Failure::silence(at, OPENING) }),
        Ok(Err(error)) => Err(Failure::of(at, &error)),
        Ok(Ok(connection)) => Ok(Open { at, client, connection, opened_in: began.elapsed(), scratch: None }),
    }
}

/// The one server that is written to.
async fn alone(connector: &Connector) -> Result<Open, Failure> {
    let hosts = &connector.address().hosts;
    let asked = hosts.iter().map(|(host, port)| named(host, *port)).collect::<Vec<_>>().join(", ");
    let client = match timeout(OPENING, connector.server()).await {
        Err(_) => return Err(Failure::silence(asked, OPENING)),
        Ok(Err(error)) => return Err(Failure::of(asked, &error)),
        Ok(Ok(client)) => client,
    };
    let at = client.get_connection_info().addr().to_string();
    open(client, at).await
}

/// Every server that holds slots.
async fn cluster(connector: &Connector) -> (Vec<Result<Open, Failure>>, Option<ClusterLook>) {
    let failed = match timeout(OPENING, connector.commands(|_| {})).await {
        Err(_) => Some(Failure::silence("cluster".to_owned(), OPENING)),
        Ok(Err(error)) => Some(Failure::of("cluster".to_owned(), &error)),
        Ok(Ok(_)) => None,
    };
    let mut last = None;
    for (host, port) in &connector.address().hosts {
        let at = named(host, *port);
        let opened = match connector.client_at(host, *port) {
            Ok(client) => open(client, at.clone()).await,
            Err(error) => Err(Failure::of(at.clone(), &error)),
        };
        let mut seed = match opened {
            Ok(seed) => seed,
            Err(failure) => {
                last = Some(failure);
                continue;
            }
        };
        match seed.ask(&["CLUSTER", "SLOTS"]).await {
            Ok(reply) => {
                let slots = slots(&reply, host);
                let mut servers = Vec::new();
                for (host, port) in slots.servers.iter().take(SERVERS) {
                    let at = named(host, *port);
                    servers.push(match connector.client_at(host, *port) {
                        Ok(client) => open(client, at).await,
                        Err(error) => Err(Failure::of(at, &error)),
                    });
                }
                if servers.is_empty() {
                    // A cluster that nobody has made yet.
                    servers.push(Ok(seed));
                }
                let look = ClusterLook { uncovered: slots.uncovered, alone: slots.alone, failed };
                return (servers, Some(look));
            }
            Err(said) => last = Some(Failure { at, trouble: failure::trouble(&said, false), said }),
        }
    }
    (last.into_iter().map(Err).collect(), None)
}

/// What `CLUSTER SLOTS` says.
struct Slots {
    servers: Vec<(String, u16)>,
    alone: Vec<String>,
    uncovered: u32,
}

const SLOTS: i64 = 16384;

fn slots(reply: &Value, seed: &str) -> Slots {
    let (mut servers, mut alone, mut covered) = (Vec::new(), Vec::new(), 0);
    let Value::Array(ranges) = reply else { return Slots { servers, alone, uncovered: SLOTS as u32 } };
    for range in ranges {
        let Value::Array(range) = range else { continue };
        let [Value::Int(first), Value::Int(last), Value::Array(master), replicas @ ..] = &range[..] else { continue };
        covered += last.saturating_sub(*first).clamp(0, SLOTS) + 1;
        let (Some(host), Some(Value::Int(port))) = (master.first(), master.get(1)) else { continue };
        let Ok(port) = u16::try_from(*port) else { continue };
        // Whoever does not know its own name says nothing: it is the one that was asked.
        let host = server::text(host).filter(|host| !host.is_empty() && host != "?").unwrap_or_else(|| seed.to_owned());
        let place = (host, port);
        if !servers.contains(&place) {
            if replicas.is_empty() {
                alone.push(named(&place.0, port));
            }
            servers.push(place);
        }
    }
    Slots { servers, alone, uncovered: SLOTS.saturating_sub(covered).clamp(0, SLOTS) as u32 }
}

/// A key of the doctor's own that this server holds.
async fn scratch(open: &mut Open, prefix: &str, rng: &Rng) -> Option<String> {
    for _ in 0..TRIES {
        let key = format!("{prefix}d:{}", id::encode(&rng.bytes::<12>()));
        match open.ask(&["GET", &key]).await {
            Err(said) if said.contains("MOVED") || said.contains("ASK ") => {}
            // What else is wrong is seen later.
            _ => return Some(key),
        }
    }
    None
}

/// Who says that it lives; `None` where another server of the cluster knows.
async fn members(open: &mut Open, prefix: &str, seal: Option<&Seal>) -> Option<(i64, Vec<MemberLook>)> {
    let key = format!("{prefix}{}", key_text::of(&Key::only(Space::Nodes)));
    let rows = server::pairs(open.ask(&["HGETALL", &key]).await.ok()?)?;
    let now = server::time(&open.ask(&["TIME"]).await.ok()?)?;
    let members = rows.into_iter().filter_map(|(node, row)| member(node, &row, seal));
    Some((now, members.filter(|member| member.until > now).collect()))
}

/// A line "until active note".
fn member(node: Vec<u8>, row: &[u8], seal: Option<&Seal>) -> Option<MemberLook> {
    let mut parts = row.splitn(3, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<i64>().ok();
    let (until, active) = (number()?, number()?);
    let note = parts.next().unwrap_or_default();
    let node = NodeName::parse(std::str::from_utf8(&node).ok()?)?;
    Some(MemberLook {
        note: seal.map(|seal| NodeNote::open(seal, &node, note)),
        node: node.text().to_owned(),
        until,
        active: active.max(0).unsigned_abs(),
    })
}

/// What a subscription hears.
type Heard = mpsc::Receiver<redis::PushInfo>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_and_servers_named_once() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let server = |host: Value, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let range = |first, last, servers: Vec<Value>| {
            Value::Array([vec![Value::Int(first), Value::Int(last)], servers].concat())
        };
        let reply = Value::Array(vec![
            range(0, 99, vec![server(text("10.0.0.1"), 7000), server(text("10.0.0.9"), 7000)]),
            range(200, 8191, vec![server(text("10.0.0.1"), 7000), server(text("10.0.0.9"), 7000)]),
            range(8192, 16381, vec![server(Value::Nil, 7001)]),
            range(16382, 16382, vec![server(text("?"), 7002)]),
            range(16383, 16383, vec![server(text(""), 7003), server(text("10.0.0.9"), 7000)]),
        ]);
        let slots = slots(&reply, "seed");
        let named = slots.servers.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>();
        assert_eq!(named, ["10.0.0.1:7000", "seed:7001", "seed:7002", "seed:7003"]);
        assert_eq!((slots.uncovered, slots.alone), (100, vec!["seed:7001".to_owned(), "seed:7002".to_owned()]));
        assert_eq!(super::slots(&Value::Nil, "").uncovered, 16384);
        for (first, last, uncovered) in [(0, 16383, 0), (0, 0, 16383), (16383, 16383, 16383), (0, 8191, 8192)] {
            let reply = Value::Array(vec![range(first, last, vec![server(text("10.0.0.1"), 7000)])]);
            assert_eq!(super::slots(&reply, "").uncovered, uncovered, "{first} to {last}");
        }
    }

    #[test]
    fn a_member_is_read_as_the_scripts_write_it() {
        let known = member(b"a~1".to_vec(), b"1700000006000 12 \x00note with spaces", None).unwrap();
        assert_eq!((known.node.as_str(), known.until, known.active, known.note), ("a~1", 1_700_000_006_000, 12, None));
        for bad in [&b""[..], b"x 1 ", b"1"] {
            assert_eq!(member(b"a~1".to_vec(), bad, None), None);
        }
        assert_eq!(member(b"a b".to_vec(), b"1 1 ", None), None);
    }
}
