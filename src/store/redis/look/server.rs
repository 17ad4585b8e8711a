//! One server: what it says of itself, and each thing that `serve` will ask of it.

use super::super::RedisOptions;
use super::super::connector::Connector;
use super::super::link::said;
use super::super::scripts::{self, Argument, Call, Script};
use super::super::settings::{Address, Way};
use super::Heard;
use crate::base::clock::Clock;
use crate::base::id;
use crate::base::rng::Rng;
use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, PushKind, Value};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// For one command; `serve` gives up after one second, and the doctor wants to know by how much.
const DEADLINE: Duration = Duration::from_secs(3);

/// Writes whose time is taken, and how long they may take together.
const WRITES: usize = 50;
const WRITES_TIME: Duration = Duration::from_secs(6);

/// Until a message of one's own must have come back.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// Times the clock is asked: the quickest answer is the most exact.
const CLOCK_LOOKS: usize = 5;

/// The life of what the doctor writes.
const SCRATCH_LIFE: &str = "20000";

pub(super) struct Open {
    pub at: String,
    pub client: Client,
    pub connection: MultiplexedConnection,
    pub opened_in: Duration,
    /// A key of the doctor's own, where one could be found.
    pub scratch: Option<String>,
}

/// Why something could not be looked at, in the server's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denied(pub String);

/// Something that `serve` needs and the user may not, or the server cannot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Right {
    /// As an ACL has it.
    pub rule: String,
    pub said: String,
    /// The server has no such command at all.
    pub unknown: bool,
}

/// What was seen of a server.
#[derive(Clone, Debug)]
pub struct ServerLook {
    pub at: String,
    /// Connection, greeting and password together.
    pub opened_in: Duration,
    /// What `HELLO` answers: server, version, mode, role.
    pub hello: BTreeMap<String, String>,
    pub info: Result<BTreeMap<String, String>, Denied>,
    pub config: Result<BTreeMap<String, String>, Denied>,
    pub missing: Vec<Right>,
    /// A script that does not run, and what was said.
    pub scripts: Option<(&'static str, String)>,
    /// What the first write that failed was told.
    pub write_failed: Option<String>,
    /// Of writes, one after the other.
    pub writes: Vec<Duration>,
    /// Until a message came back that was published here.
    pub heard: Result<Duration, String>,
    /// The server's clock less ours, and how exact that is, in milliseconds.
    pub skew: Option<(i64, i64)>,
}

impl Open {
    pub async fn ask(&mut self, words: &[&str]) -> Result<Value, String> {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        run(self.connection.clone(), &command).await
    }
}

/// Begins what is said of a command that was not answered.
const NO_ANSWER: &str = "no answer";

fn hanging(open: &Open, said: &str) -> ServerLook {
    let denied = || Denied(said.to_owned());
    ServerLook {
        at: open.at.clone(),
        opened_in: open.opened_in,
        hello: BTreeMap::new(),
        info: Err(denied()),
        config: Err(denied()),
        missing: Vec::new(),
        scripts: None,
        write_failed: Some(said.to_owned()),
        writes: Vec::new(),
        heard: Err(said.to_owned()),
        skew: None,
    }
}

async fn run(mut connection: MultiplexedConnection, command: &Cmd) -> Result<Value, String> {
    match timeout(DEADLINE, command.query_async::<Value>(&mut connection)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(said(&error)),
        Err(_) => Err(format!("{NO_ANSWER} within {DEADLINE:?}")),
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Okay => Some("OK".to_owned()),
        _ => None,
    }
}

fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        other => text(&other).unwrap_or_default().into_bytes(),
    }
}

/// Of a map, or of a list that alternates.
pub(super) fn pairs(value: Value) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    match value {
        Value::Map(pairs) => Some(pairs.into_iter().map(|(name, value)| (bytes(name), bytes(value))).collect()),
        Value::Array(list) => {
            let mut list = list.into_iter().map(bytes);
            Some(std::iter::from_fn(|| Some((list.next()?, list.next()?))).collect())
        }
        _ => None,
    }
}

fn words(value: Value) -> BTreeMap<String, String> {
    let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    pairs(value).unwrap_or_default().into_iter().map(|(name, value)| (lossy(name), lossy(value))).collect()
}

/// Unix milliseconds.
pub(super) fn time(value: &Value) -> Option<i64> {
    let Value::Array(parts) = value else { return None };
    let part = |at: usize| text(parts.get(at)?)?.parse::<i64>().ok();
    Some(part(0)?.saturating_mul(1000).saturating_add(part(1)? / 1000))
}

/// `name:value`, a line each.
pub(super) fn info(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.trim_end().split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What of its settings concerns us.
const SETTINGS: &[&str] = &[
    "maxmemory",
    "maxmemory-policy",
    "appendonly",
    "appendfsync",
    "save",
    "min-replicas-to-write",
    "min-replicas-max-lag",
    "timeout",
    "tcp-keepalive",
];

/// A key and a channel of the doctor's own stand in these.
const KEY: &str = "KEY";
const CHANNEL: &str = "CHANNEL";

/// What `serve` asks for, by itself and in scripts: its ACL rule, and a harmless use. docs/storage.md has the same list.
pub(super) const COMMANDS: &[(&str, &[&str])] = &[
    ("+ping", &["PING"]),
    ("+set", &["SET", KEY, "", "PX", SCRATCH_LIFE]),
    ("+get", &["GET", KEY]),
    ("+getdel", &["GETDEL", KEY]),
    ("+hset", &["HSET", KEY, "f", "1"]),
    ("+pexpire", &["PEXPIRE", KEY, SCRATCH_LIFE]),
    ("+hget", &["HGET", KEY, "f"]),
    ("+hmget", &["HMGET", KEY, "f"]),
    ("+hgetall", &["HGETALL", KEY]),
    ("+hstrlen", &["HSTRLEN", KEY, "f"]),
    ("+hdel", &["HDEL", KEY, "f"]),
    ("+pttl", &["PTTL", KEY]),
    ("+pexpireat", &["PEXPIREAT", KEY, "1"]),
    ("+del", &["DEL", KEY]),
    ("+time", &["TIME"]),
    ("+eval", &["EVAL", "return 1", "1", KEY]),
    ("+evalsha", &["EVALSHA", "0000000000000000000000000000000000000000", "1", KEY]),
    ("+publish", &["PUBLISH", CHANNEL, "?"]),
];
pub(super) const OF_SENTINELS: &[(&str, &[&str])] = &[("+role", &["ROLE"])];
pub(super) const OF_CLUSTERS: &[(&str, &[&str])] =
    &[("+cluster|slots", &["CLUSTER", "SLOTS"]), ("+readonly", &["READONLY"]), ("+asking", &["ASKING"])];

pub(super) async fn look(
    open: &mut Open,
    listener: &Client,
    address: &Address,
    options: &RedisOptions,
    clock: &Clock,
    rng: &Rng,
) -> ServerLook {
    let hello = match open.ask(&["HELLO"]).await {
        // It hangs since it was greeted: every further question would be waited for in vain.
        Err(said) if said.contains(NO_ANSWER) => return hanging(open, &said),
        hello => hello.map(words).unwrap_or_default(),
    };
    let info = match open.ask(&["INFO"]).await {
        Ok(reply) => Ok(info(&text(&reply).unwrap_or_default())),
        Err(said) => Err(Denied(said)),
    };
    let config = config(open).await;
    let skew = skew(open, clock).await;
    let key = open.scratch.clone().unwrap_or_else(|| format!("{}d:", options.prefix));
    let channel = format!("{}n:doctor~{}", options.prefix, id::encode(&rng.bytes::<6>()));
    let mut missing = missing(open, address, options, &key, &channel).await;
    let scripts = match missing.is_empty() {
        true => scripts(open, &options.prefix, &key).await,
        false => None,
    };
    let (writes, write_failed) = writes(open, &key).await;
    let heard = heard(open, listener, &channel).await;
    if let Err(said) = &heard
        && let Some(right) = right("+subscribe", said, &options.prefix)
        && !missing.contains(&right)
    {
        missing.push(right);
    }
    let _ = open.ask(&["DEL", &key]).await;
    ServerLook {
        at: open.at.clone(),
        opened_in: open.opened_in,
        hello,
        info,
        config,
        missing,
        scripts,
        write_failed,
        writes,
        heard,
        skew,
    }
}

/// One after the other: Redis 6.2 is asked for one setting at a time.
async fn config(open: &mut Open) -> Result<BTreeMap<String, String>, Denied> {
    let mut settings = BTreeMap::new();
    for name in SETTINGS {
        match open.ask(&["CONFIG", "GET", name]).await {
            Ok(reply) => settings.extend(words(reply)),
            Err(said) => return Err(Denied(said)),
        }
    }
    Ok(settings)
}

async fn skew(open: &mut Open, clock: &Clock) -> Option<(i64, i64)> {
    let mut best: Option<(i64, i64)> = None;
    for _ in 0..CLOCK_LOOKS {
        let (before, began) = (clock.unix_ms(), Instant::now());
        let theirs = time(&open.ask(&["TIME"]).await.ok()?)?;
        let way = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        best = Some(closer(best, before, theirs, way));
    }
    best
}

/// The more exact of what is known and one more look: begun at `before` by our clock, answered with `theirs`, and `way` long.
fn closer(known: Option<(i64, i64)>, before: i64, theirs: i64, way: i64) -> (i64, i64) {
    let look = (theirs.saturating_sub(before.saturating_add(way / 2)), way / 2 + 1);
    known.filter(|(_, exact)| *exact <= look.1).unwrap_or(look)
}

/// What the user may not; side by side, so that a long way is gone once.
async fn missing(open: &Open, address: &Address, options: &RedisOptions, key: &str, channel: &str) -> Vec<Right> {
    let more = match address.way {
        Way::Direct => &[],
        Way::Sentinel { .. } => OF_SENTINELS,
        Way::Cluster => OF_CLUSTERS,
    };
    let asked = COMMANDS.iter().chain(more).map(async |(rule, words)| {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(match *word {
                KEY => key,
                CHANNEL => channel,
                other => other,
            });
        }
        let said = run(open.connection.clone(), &command).await.err()?;
        right(rule, &said, &options.prefix)
    });
    let mut missing: Vec<Right> = Vec::new();
    for right in join_all(asked).await.into_iter().flatten() {
        if !missing.iter().any(|known| known.rule == right.rule) {
            missing.push(right);
        }
    }
    missing
}

/// The right that is missing, if that is what was said.
pub(super) fn right(rule: &str, said: &str, prefix: &str) -> Option<Right> {
    let unknown = said.contains("unknown command") || said.contains("unknown subcommand");
    if !unknown && !said.contains("NOPERM") {
        return None;
    }
    let of_key = ["access a key", "of the keys"].iter().any(|words| said.contains(words));
    let of_channel = ["access a channel", "of the channels"].iter().any(|words| said.contains(words));
    let rule = match (of_key, of_channel) {
        (true, _) => format!("~{prefix}*"),
        (_, true) => format!("&{prefix}*"),
        _ => rule.to_owned(),
    };
    Some(Right { rule, said: said.to_owned(), unknown })
}

/// Every script, over the doctor's own key.
async fn scripts(open: &mut Open, prefix: &str, key: &str) -> Option<(&'static str, String)> {
    let word = |text: &str| Argument::from(text.to_owned().into_bytes());
    let list = |words: &[&str]| words.iter().copied().map(word).collect::<Vec<_>>();
    let node = "doctor~doctor";
    let with_prefix = |words: &[&str]| [vec![word(prefix)], list(words)].concat();
    let all: [(&str, &'static Script, Vec<Argument>); 8] = [
        ("begin", &scripts::BEGIN, with_prefix(&[node, SCRATCH_LIFE, "head", "record"])),
        ("append", &scripts::APPEND, with_prefix(&["1", "1", "", "256", "98304", "record"])),
        ("send", &scripts::SEND, with_prefix(&["command", "8"])),
        ("read", &scripts::READ, with_prefix(&["0", "owner", "1", "", "256"])),
        ("claim", &scripts::CLAIM, with_prefix(&[node, "1"])),
        ("admit", &scripts::ADMIT, list(&["1", "20000"])),
        ("beat", &scripts::BEAT, list(&[node, SCRATCH_LIFE, "0", "", "256"])),
        ("reserve", &scripts::RESERVE, list(&[node, "1"])),
    ];
    let mut failed = None;
    for (name, script, arguments) in all {
        if matches!(name, "begin" | "admit" | "beat") {
            let _ = open.ask(&["DEL", key]).await;
        }
        let call = Call { script, key: key.to_owned(), arguments };
        if let Err(said) = run(open.connection.clone(), &call.full()).await {
            failed = Some((name, said));
            break;
        }
    }
    let _ = open.ask(&["DEL", key]).await;
    failed
}

async fn writes(open: &mut Open, key: &str) -> (Vec<Duration>, Option<String>) {
    let (mut times, began) = (Vec::with_capacity(WRITES), Instant::now());
    while times.len() < WRITES && began.elapsed() < WRITES_TIME {
        let sent = Instant::now();
        if let Err(said) = open.ask(&["SET", key, "", "PX", SCRATCH_LIFE]).await {
            return (times, Some(said));
        }
        times.push(sent.elapsed());
    }
    (times, None)
}

/// A message of one's own, by the way that hints go.
async fn heard(open: &mut Open, listener: &Client, channel: &str) -> Result<Duration, String> {
    let (ear, mut pushes): (_, Heard) = mpsc::channel(16);
    let opening = Connector::connect(listener, move |push| _ = ear.try_send(push));
    let late = || format!("no subscription within {DEADLINE:?}");
    let mut listening = timeout(DEADLINE, opening).await.map_err(|_| late())?.map_err(|error| said(&error))?;
    let subscribing = timeout(DEADLINE, listening.subscribe(channel)).await;
    subscribing.map_err(|_| late())?.map_err(|error| said(&error))?;
    let sent = Instant::now();
    open.ask(&["PUBLISH", channel, "?"]).await?;
    let hear = async {
        while let Some(push) = pushes.recv().await {
            if push.kind == PushKind::Message {
                return Ok(sent.elapsed());
            }
        }
        Err("the subscription was closed".to_owned())
    };
    timeout(HEARD_WITHIN, hear).await.unwrap_or_else(|_| Err(format!("nothing came within {HEARD_WITHIN:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_named_as_an_acl_has_it() {
        let of = |said: &str| right("+hget", said, "max-auth:").map(|right| right.rule);
        for (said, rule) in [
            ("NOPERM User max has no permissions to run the 'hget' command", Some("+hget")),
            ("NOPERM this user has no permissions to run the 'hget' command or its subcommand", Some("+hget")),
            ("NOPERM No permissions to access a key", Some("~max-auth:*")),
            ("NOPERM this user has no permissions to access one of the keys used as arguments", Some("~max-auth:*")),
            ("NOPERM No permissions to access a channel", Some("&max-auth:*")),
            ("ERR unknown command 'HGET'", Some("+hget")),
            ("WRONGTYPE Operation against a key", None),
            ("OOM command not allowed", None),
        ] {
            assert_eq!(of(said).as_deref(), rule, "{said}");
        }
    }

    #[test]
    fn the_commands_tried_are_those_of_the_documented_user() {
        let page = include_str!("../../../../docs/storage.md");
        let line = page.split("ACL SETUSER max-auth on").nth(1).unwrap().split("\n\n").next().unwrap();
        let more = page.split("In a cluster also `").nth(1).unwrap().split('`').next().unwrap();
        let documented: Vec<&str> = [line, more].iter().flat_map(|text| text.split_whitespace()).collect();
        let all = [COMMANDS, OF_SENTINELS, OF_CLUSTERS].concat();
        for (rule, _) in &all {
            assert!(documented.contains(rule), "docs/storage.md does not give {rule}");
        }
        // Given with the first connection, or seen by it.
        let seen = ["+hello", "+auth", "+select", "+subscribe", "+cluster|shards"];
        for rule in documented.iter().filter(|rule| rule.starts_with('+')) {
            assert!(seen.contains(rule) || all.iter().any(|(tried, _)| tried == rule), "{rule} is not tried");
        }
    }

    #[test]
    fn replies_are_read_whatever_their_shape() {
        let word = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let map = Value::Map(vec![(word("role"), word("master"))]);
        let list = Value::Array(vec![word("role"), word("master")]);
        assert_eq!(words(map), words(list));
        assert_eq!(words(Value::Nil).len(), 0);
        let time = super::time(&Value::Array(vec![word("1700000000"), word("123456")]));
        assert_eq!(time, Some(1_700_000_000_123));
        let info = info("# Server\r\nredis_version:7.0.15\r\nslave0:ip=1,port=2\r\n");
        assert_eq!((info["redis_version"].as_str(), info["slave0"].as_str()), ("7.0.15", "ip=1,port=2"));
    }

    #[test]
    fn the_quickest_answer_says_what_a_clock_is_off_by() {
        let first = closer(None, 10_000, 10_500, 100);
        assert_eq!(first, (450, 51), "answered in the middle of the way, or 51 ms from there");
        assert_eq!(closer(Some(first), 20_000, 20_450, 20), (440, 11), "a shorter way");
        assert_eq!(closer(Some(first), 20_000, 30_000, 300), first, "a longer one");
        assert_eq!(closer(Some(first), 20_000, 30_000, 101), first, "one that says no more");
        assert_eq!(closer(None, 10_000, 9_000, 0), (-1_000, 1));
    }
}
