//! Records in Redis (6.2 or newer) or Valkey, for many nodes. One key for each record, one script for each verb that is more
//! than one command. What a user of its own needs, as an ACL:
//!
//! `resetkeys ~max-auth:* resetchannels &max-auth:* -@all +hello +auth +ping +select +role +get +set +getdel +del +hset +hget
//! +hmget +hgetall +hdel +hstrlen +pexpire +pexpireat +pttl +time +eval +evalsha +publish +subscribe`
//!
//! and in a cluster `+cluster|slots +cluster|shards +readonly +asking`.

mod connector;
mod key_text;
mod link;
pub mod look;
mod reply;
mod scripts;
mod settings;
mod subscription;
#[cfg(test)]
pub mod tests;

pub use settings::Options as RedisOptions;

use super::hints::Hints;
use super::key::{Key, NodeName, Space};
use super::rules::fits;
use super::{
    Admission, Answer, Append, Appended, COMMANDS, Claimed, LogPage, Member, NODES, RECORD_BYTES, RECORDS, Reader,
    Store, Unavailable, When,
};
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use bytes::Bytes;
use connector::Connector;
use link::Link;
use scripts::{Argument, Call, Script};
use settings::Address;
use std::sync::Arc;
use std::time::Duration;
use subscription::Subscription;
use tokio::sync::watch;

/// Longest life of a record: Redis refuses what overflows.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Why Redis cannot be used; never with the password.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    #[error(transparent)]
    Address(#[from] settings::AddressError),
    #[error("Redis refuses us: {0}; give user and password in its address, as in redis://USER:PASSWORD@HOST:PORT")]
    Refused(String),
}

pub struct RedisStore {
    link: Arc<Link>,
    connector: Arc<Connector>,
    options: RedisOptions,
    tasks: Tasks,
    rng: Rng,
}

impl RedisStore {
    /// `address`: see [`Address::parse`]. A Redis that is away may come later. `tasks` are the store's own: they end when
    /// the store and its hints are dropped, which is after those who use it.
    pub async fn connect(address: &str, options: RedisOptions, tasks: Tasks, rng: Rng) -> Result<Self, RedisError> {
        let connector = Arc::new(Connector::new(Address::parse(address)?, &options)?);
        let link = Link::open(Arc::clone(&connector), options.deadline, &tasks, rng.clone()).await;
        let link = Arc::new(link.map_err(|error| RedisError::Refused(error.to_string()))?);
        Ok(Self { link, connector, options, tasks, rng })
    }

    fn key(&self, key: &Key) -> String {
        format!("{}{}", self.options.prefix, key_text::of(key))
    }

    async fn call(
        &self,
        script: &'static Script,
        key: &Key,
        arguments: Vec<Argument>,
    ) -> Result<redis::Value, Unavailable> {
        self.link.call(&Call { script, key: self.key(key), arguments }).await
    }

    fn prefix(&self) -> Argument {
        self.options.prefix.clone().into()
    }

    fn command(&self, name: &str, key: &Key) -> redis::Cmd {
        let mut command = redis::cmd(name);
        command.arg(self.key(key));
        command
    }
}

/// Milliseconds; Redis knows no life of nothing.
fn millis(life: Duration) -> u64 {
    (life.min(LONGEST).as_millis() as u64).max(1)
}

fn text(value: impl ToString) -> Argument {
    value.to_string().into()
}

impl Store for RedisStore {
    fn put(&self, key: Key, value: Bytes, ttl: Duration, when: When) -> Answer<'_, bool> {
        Box::pin(async move {
            fits(&value)?;
            let mut set = self.command("SET", &key);
            set.arg(&value[..]).arg("PX").arg(millis(ttl));
            if when == When::Absent {
                set.arg("NX");
            }
            reply::set(&self.link.ask(&set).await?)
        })
    }

    fn get(&self, key: Key) -> Answer<'_, Option<Bytes>> {
        Box::pin(async move { reply::value(self.link.ask(&self.command("GET", &key)).await?) })
    }

    fn take(&self, key: Key) -> Answer<'_, Option<Bytes>> {
        Box::pin(async move { reply::value(self.link.ask(&self.command("GETDEL", &key)).await?) })
    }

    fn admit(&self, key: Key, interval: Duration, burst: u32) -> Answer<'_, Admission> {
        let all = interval.saturating_mul(burst);
        let arguments = vec![text(millis(interval)), text(millis(all))];
        Box::pin(async move {
            let wait = reply::number(&self.call(&scripts::ADMIT, &key, arguments).await?)?;
            Ok(match u64::try_from(wait) {
                Ok(wait) if wait > 0 => Admission::Wait(Duration::from_millis(wait)),
                _ => Admission::Admitted,
            })
        })
    }

    fn begin(&self, log: Key, node: NodeName, head: Bytes, records: Vec<Bytes>, ttl: Duration) -> Answer<'_, ()> {
        Box::pin(async move {
            fits(&head)?;
            records.iter().try_for_each(fits)?;
            let mut arguments = vec![self.prefix(), text(node.text()), text(millis(ttl)), head];
            arguments.extend(records);
            self.call(&scripts::BEGIN, &log, arguments).await.map(drop)
        })
    }

    fn append(&self, log: Key, append: Append) -> Answer<'_, Appended> {
        Box::pin(async move {
            append.records.iter().try_for_each(fits)?;
            let life = append.seal.map_or_else(Bytes::new, |life| text(millis(life)));
            let (fence, after) = (text(append.fence), text(append.after));
            let mut arguments = vec![self.prefix(), fence, after, life, text(RECORDS), text(RECORD_BYTES)];
            arguments.extend(append.records);
            reply::appended(self.call(&scripts::APPEND, &log, arguments).await?)
        })
    }

    fn read(&self, log: Key, after: Option<u32>, reader: Reader) -> Answer<'_, Option<LogPage>> {
        let from = after.map_or(0, |after| after.saturating_add(1));
        let (kind, who, life) = match reader {
            Reader::Nobody => ("", Bytes::new(), Bytes::new()),
            Reader::Node(node, life) => ("node", text(node.text()), text(millis(life))),
            Reader::Owner { fence } => ("owner", text(fence), Bytes::new()),
        };
        let arguments = vec![self.prefix(), text(from), kind.into(), who, life, text(NODES)];
        Box::pin(async move { reply::page(self.call(&scripts::READ, &log, arguments).await?) })
    }

    fn claim(&self, log: Key, node: Option<NodeName>, seen: u64) -> Answer<'_, Claimed> {
        let node = node.map_or_else(Bytes::new, |node| text(node.text()));
        let arguments = vec![self.prefix(), node, text(seen)];
        Box::pin(async move { reply::claimed(&self.call(&scripts::CLAIM, &log, arguments).await?) })
    }

    fn send(&self, log: Key, command: Bytes) -> Answer<'_, bool> {
        Box::pin(async move {
            fits(&command)?;
            let arguments = vec![self.prefix(), command, text(COMMANDS)];
            reply::yes(&self.call(&scripts::SEND, &log, arguments).await?)
        })
    }

    fn beat(&self, node: NodeName, ttl: Duration, active: u32, note: Bytes) -> Answer<'_, Vec<Member>> {
        Box::pin(async move {
            fits(&note)?;
            let life = if ttl.is_zero() { 0 } else { millis(ttl) };
            let arguments = vec![text(node.text()), text(life), text(active), note, text(NODES)];
            let beat = Call { script: &scripts::BEAT, key: self.key(&Key::only(Space::Nodes)), arguments };
            let members = reply::members(self.link.call_at_once(&beat).await?)?;
            members.ok_or_else(|| Unavailable::Full(format!("{NODES} nodes are alive already")))
        })
    }

    fn reserve(&self, node: NodeName, total: u32) -> Answer<'_, bool> {
        let arguments = vec![text(node.text()), text(total)];
        Box::pin(async move { reply::yes(&self.call(&scripts::RESERVE, &Key::only(Space::Nodes), arguments).await?) })
    }

    fn hints(&self, node: &NodeName) -> Hints {
        let (sender, hints) = Hints::channel();
        let subscription = Subscription {
            connector: Arc::clone(&self.connector),
            link: Arc::clone(&self.link),
            channel: key_text::channel(&self.options.prefix, node),
            hints: sender,
            probe: self.options.probe,
            patience: self.options.patience,
            rng: self.rng.clone(),
        };
        self.tasks.spawn("store-hints", subscription.run());
        hints
    }

    fn found_again(&self) -> watch::Receiver<u64> {
        self.link.found_again()
    }
}
