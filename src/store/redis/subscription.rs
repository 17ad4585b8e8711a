//! Hints from other nodes, through pub/sub: one channel for each node. Whether the subscription lives is seen only by a
//! message of one's own that comes back: a socket stays open over a dead way, and at a master that is none any more.

use super::connector::{Connector, OPENING};
use super::key_text;
use super::link::{FIRST_PAUSE, LONGEST_PAUSE, Link};
use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::store::Key;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisResult, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

/// Pushes that wait to be read.
const PUSHES: usize = 4096;

/// Begins a message to oneself; no key does.
const OWN: u8 = b'?';

pub struct Subscription {
    pub connector: Arc<Connector>,
    pub link: Arc<Link>,
    pub channel: String,
    pub hints: mpsc::Sender<Key>,
    pub probe: Duration,
    pub patience: Duration,
    pub rng: Rng,
}

impl Subscription {
    /// Ends when nobody listens.
    pub async fn run(self) {
        let hints = self.hints.clone();
        tokio::select! {
            () = hints.closed() => {}
            () = self.stay() => {}
        }
    }

    async fn stay(&self) {
        let (mut backoff, mut again) = (Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), false);
        loop {
            let since = Instant::now();
            let (ear, pushes) = mpsc::channel(PUSHES);
            if let Ok(Ok(connection)) = timeout(OPENING, self.subscribe(ear)).await {
                if std::mem::replace(&mut again, true) {
                    self.link.hints_found_again();
                }
                self.listen(pushes).await;
                drop(connection);
            }
            if since.elapsed() > LONGEST_PAUSE {
                backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
            }
            sleep(backoff.wait(&self.rng)).await;
        }
    }

    async fn subscribe(&self, ear: mpsc::Sender<PushInfo>) -> RedisResult<MultiplexedConnection> {
        // Full: a hint less, or a probe less, which is seen.
        let ear = move |push| _ = ear.try_send(push);
        let mut connection = self.connector.open(ear).await?;
        connection.subscribe(&self.channel).await?;
        Ok(connection)
    }

    /// Until the connection is gone or its silence is found out.
    async fn listen(&self, mut pushes: mpsc::Receiver<PushInfo>) {
        let (came_back, own) = watch::channel(0);
        let heard = async {
            while let Some(push) = pushes.recv().await {
                match push.kind {
                    PushKind::Disconnection => return,
                    PushKind::Message => self.hear(&push.data, &came_back),
                    _ => {}
                }
            }
        };
        tokio::select! {
            () = heard => {}
            () = self.probe(own) => {}
        }
    }

    /// A channel and what was said on it.
    fn hear(&self, message: &[Value], came_back: &watch::Sender<u64>) {
        let Some(Value::BulkString(said)) = message.get(1) else { return };
        if let Some(number) = said.strip_prefix(&[OWN]) {
            let number = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
            number.map(|number| came_back.send_replace(number));
        } else if let Some(key) = key_text::parse(said) {
            // Full: a hint less.
            let _ = self.hints.try_send(key);
        }
    }

    /// Over the connection of commands, which knows the master: an error there says nothing about this one.
    async fn probe(&self, mut own: watch::Receiver<u64>) {
        for number in 1.. {
            sleep(self.probe).await;
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(&self.channel).arg(format!("{}{number}", char::from(OWN)));
            let sent = self.link.ask(&publish).await.is_ok();
            if sent && timeout(self.patience, own.wait_for(|last| *last >= number)).await.is_err() {
                tracing::warn!("hints of other nodes do not come any more; subscribing again");
                return;
            }
        }
    }
}
