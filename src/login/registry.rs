//! Begins logins, and finds them for the browser that began, wherever that was.

use super::failures::{Failed, Failures};
use super::follow::{self, Follower};
use super::grant::Grants;
use super::journal::Journal;
use super::record::{Head, RemoteCommand};
use super::sharing::{Nodes, STORE_DEADLINE, Sharing};
use super::table::Table;
use super::task::{self, TaskContext};
use super::{Login, Position, Settings, StartParams, event};
use crate::base::clock::Clock;
use crate::base::id::{Fingerprint, LoginId};
use crate::base::limits::SEALED_LIFE;
use crate::base::repeat::OncePerMinuteEach;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::signin::{Awake, Drivers, Waker, Woken};
use crate::store::{NodeName, Unavailable};
use metrics::counter;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long an event may be on its way between nodes, before a position that is not there is called gone.
const LATE: Duration = Duration::from_secs(1);

pub struct Registry {
    table: Arc<Table>,
    context: Arc<TaskContext>,
    follower: Option<Arc<Follower>>,
    rng: Rng,
}

/// Why a login was not begun.
#[derive(Debug)]
pub enum NotStarted {
    /// `login.max_active` are in flight here, or `login.max_active_total` at all nodes.
    Busy,
    Store(Unavailable),
}

impl Registry {
    /// `sharing`: with other processes, and with whoever comes after this one.
    pub fn new(
        settings: Settings,
        drivers: Drivers,
        grants: Arc<Grants>,
        sharing: Option<Arc<Sharing>>,
        surroundings: (Clock, Rng, Tasks),
    ) -> Self {
        let (clock, rng, tasks) = surroundings;
        let table = Arc::new(Table::new(settings.max_active, clock.clone()));
        let (held, refused) = (Arc::clone(&table), OncePerMinuteEach::default());
        let failures = Failures::default();
        let context = TaskContext { table: held, settings, drivers, grants, sharing, clock, tasks, failures, refused };
        let context = Arc::new(context);
        let follower = context.sharing.clone().map(|sharing| Arc::new(Follower::new(Arc::clone(&context), sharing)));
        if let Some(follower) = &follower {
            follow::spawn(follower);
        }
        Self { table, context, follower, rng }
    }

    /// Begins a login; its first event is there at once.
    pub async fn start(&self, mut params: StartParams) -> Result<Arc<Login>, NotStarted> {
        let drivers = &self.context.drivers;
        let named = params.driver.as_deref().and_then(|name| drivers.named(name));
        let driver = Arc::clone(named.unwrap_or_else(|| drivers.pick()));
        params.driver = Some(driver.name().to_owned());
        let place = self.table.admit().map_err(|_| NotStarted::Busy)?;
        let epoch = u32::from_be_bytes(self.rng.bytes());
        let (id, clock) = (LoginId::new(&self.rng), self.context.clock.clone());
        let (browser, began) = (params.browser.clone(), clock.unix_ms());
        let head = self.context.sharing.is_some().then(|| Head::new(epoch, began, &params));
        let login = Arc::new(Login::new(id, (epoch, began), params, driver, &self.context.settings, clock));
        login.own(1);
        let first = login.first_event(&self.context.settings, drivers);
        let journal = match &self.context.sharing {
            Some(sharing) => Journal::shared(sharing, sharing.losses(), 1),
            None => Journal::Local,
        };
        if let Some((sharing, head)) = self.context.sharing.as_ref().zip(head) {
            let begun = self.keep(sharing, &login, &head, &first);
            timeout(STORE_DEADLINE, begun).await.unwrap_or_else(|_| Err(NotStarted::Store(late())))?;
        }
        login.log.append(event::Kind::Status, &first);
        self.table.insert(Arc::clone(&login));
        if let Some(follower) = &self.follower {
            follower.remember(&login);
        }
        counter!("max_auth_logins_started_total").increment(1);
        tracing::debug!(login = login.id.short(), "login begun");
        task::spawn(&self.context, place, Arc::clone(&login), browser, journal);
        Ok(login)
    }

    async fn keep(&self, sharing: &Sharing, login: &Login, head: &Head, first: &Value) -> Result<(), NotStarted> {
        if !sharing.has_claim() {
            return Err(NotStarted::Store(late()));
        }
        if !sharing.reserve(self.context.settings.max_active_total).await.map_err(NotStarted::Store)? {
            return Err(NotStarted::Busy);
        }
        let records = sharing.records(login.id);
        let sealed = records.seal_head(head).zip(records.seal_event(1, event::Kind::Status, first));
        let sealed = sealed.ok_or_else(|| Unavailable::OutOfReach("a login cannot be sealed".to_owned()));
        let (head, first) = sealed.map_err(NotStarted::Store)?;
        let life = self.context.settings.ttl + SEALED_LIFE;
        let begun = sharing.store.begin(Sharing::log(login.id), sharing.node.clone(), head, vec![first], life);
        begun.await.map_err(NotStarted::Store)
    }

    /// One more start from a network of visitors, counted at all nodes; else how long to wait.
    pub async fn admit(&self, network: &[u8], per_minute: u32) -> Result<(), Duration> {
        match &self.context.sharing {
            Some(sharing) => sharing.admit(network, per_minute).await,
            None => Ok(()),
        }
    }

    /// The login, for the browser that began it; for any other it does not exist.
    pub async fn find(&self, id: LoginId, flow: &Fingerprint) -> Result<Option<Arc<Login>>, Unavailable> {
        self.known(id, |login| login.flow.matches(flow)).await
    }

    /// The login, for the page that began it and was told its key.
    pub async fn find_by_key(&self, id: LoginId, key: &[u8]) -> Result<Option<Arc<Login>>, Unavailable> {
        let key = Fingerprint::of(key);
        self.known(id, |login| login.key.is_some_and(|known| known.matches(&key))).await
    }

    async fn known(
        &self,
        id: LoginId,
        is_theirs: impl Fn(&Login) -> bool + Send,
    ) -> Result<Option<Arc<Login>>, Unavailable> {
        if let Some(login) = self.table.get(id) {
            let theirs = Some(login).filter(|login| is_theirs(login));
            return Ok(theirs.inspect(|login| login.is_asked_for()));
        }
        let Some(follower) = &self.follower else { return Ok(None) };
        let adopted = follower.adopt(id, is_theirs);
        timeout(STORE_DEADLINE, adopted).await.unwrap_or_else(|_| Err(late()))
    }

    /// Waits a moment for an event that the visitor has seen at another node, and this one has not heard of yet. A store that
    /// does not answer is an error: nobody knows whether there is such a position.
    pub async fn reach(&self, login: &Arc<Login>, position: Option<Position>) -> Result<(), Unavailable> {
        let Some((follower, position)) = self.follower.as_ref().zip(position) else { return Ok(()) };
        if login.log.position(position.offset) != position {
            return Ok(());
        }
        let began = Instant::now();
        while position.offset > login.log.newest() && !login.log.is_sealed() && !login.log.is_lost() {
            let left = LATE.saturating_sub(began.elapsed());
            let known = timeout(left, follower.newest(login)).await.unwrap_or_else(|_| Err(late()))?;
            if known < position.offset {
                return Ok(());
            }
            // Ours, and on its way back from the store.
            sleep(LATE / 20).await;
        }
        Ok(())
    }

    /// Whether logins may be asked of this driver.
    pub fn has_driver(&self, name: &str) -> bool {
        self.context.drivers.named(name).is_some()
    }

    async fn wake_anywhere(&self, id: LoginId) -> Awake {
        if let Some(login) = self.table.get(id)
            && (login.is_owned() || login.log.is_sealed() || self.context.sharing.is_none())
        {
            login.wake();
            return if login.log.is_sealed() { Awake::Over } else { Awake::Yes };
        }
        let Some(sharing) = &self.context.sharing else { return Awake::Over };
        let Some(sealed) = sharing.records(id).seal_command(&RemoteCommand::Wake) else { return Awake::Unknown };
        match timeout(STORE_DEADLINE, sharing.store.send(Sharing::log(id), sealed)).await {
            Ok(Ok(true)) => Awake::Yes,
            Ok(Ok(false)) => Awake::Over,
            Ok(Err(_)) | Err(_) => Awake::Unknown,
        }
    }

    /// Logins in flight.
    pub fn active(&self) -> usize {
        self.table.active()
    }

    /// The last logins that came to nothing, the newest first.
    pub fn failures(&self) -> Vec<Failed> {
        self.context.failures.last()
    }

    /// The nodes that live, with this one, which is named first; none where there can be no other.
    pub fn nodes(&self) -> Vec<NodeName> {
        let sharing = self.context.sharing.as_ref().filter(|sharing| sharing.nodes == Nodes::Many);
        sharing.map(|sharing| sharing.all_living()).unwrap_or_default()
    }

    /// The store answers: new logins can be taken.
    pub fn store_answers(&self) -> bool {
        self.context.sharing.as_ref().is_none_or(|sharing| sharing.has_claim())
    }

    /// To be called now and then, so that what a storm left is not kept until the next one.
    pub fn tidy(&self) {
        self.table.tidy();
    }

    /// Logins that are known, those that are over included.
    #[cfg(test)]
    pub(super) fn known_here(&self) -> usize {
        self.table.known()
    }
}

impl Waker for Registry {
    fn wake(&self, login: LoginId) -> Woken<'_> {
        Box::pin(self.wake_anywhere(login))
    }
}

fn late() -> Unavailable {
    Unavailable::OutOfReach("it did not answer in time".to_owned())
}
