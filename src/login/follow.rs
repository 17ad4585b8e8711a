//! Logins that other processes write, for visitors who read them here; and those that nobody writes any more, which are
//! taken over: the same login, the same log, a fresh code.

use super::journal::{Journal, Lost};
use super::record::{Head, RemoteCommand};
use super::sharing::{Nodes, RETRY, Sharing};
use super::table::SignedIn;
use super::task::{self, TaskContext};
use super::{Kind, Login};
use crate::base::id::LoginId;
use crate::signin::BrowserInfo;
use crate::store::{Claimed, Key, LogPage, Reader, Unavailable};
use futures_util::StreamExt as _;
use futures_util::stream;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// Between two rounds of looks. Each takes the logins whose moment has come, so that the store is asked evenly.
const ROUND: Duration = Duration::from_secs(1);

/// Between two looks at a login that others may have written, where no hint came.
const LOOK: Duration = Duration::from_secs(4);

/// The same for a node with very many logins: more often would cost the store more than it is worth.
const LOOK_LONGEST: Duration = Duration::from_secs(12);

/// Between two looks of a node at a login that it writes itself. Hints bring the commands that wait there, and a
/// store that may have lost something says that it was found again; both may fail only where a cluster's servers lose each
/// other without losing us.
const LOOK_AT_OWN: Duration = Duration::from_secs(20);

/// Logins of others that are looked at in a second, before the looks get rarer.
const LOOKS_PER_SECOND: u32 = 2_000;

/// How long the owner counts on a reader elsewhere that says nothing more: some looks.
const READER_LIFE: Duration = Duration::from_secs(40);

/// How long a command tries to reach the owner.
const COMMAND_LIFE: Duration = Duration::from_secs(10);

pub struct Follower {
    context: Arc<TaskContext>,
    sharing: Arc<Sharing>,
    /// By what hints call them.
    by_log: Mutex<HashMap<Key, Weak<Login>>>,
}

/// Runs what a node does beside its logins.
pub fn spawn(follower: &Arc<Follower>) {
    let tasks = &follower.context.tasks;
    let looks = Arc::clone(follower);
    tasks.spawn("looks", async move { looks.look_around().await });
    if follower.sharing.nodes == Nodes::Many {
        let (beats, hints) = (Arc::clone(follower), Arc::clone(follower));
        tasks.spawn("beat", async move { beats.beat().await });
        tasks.spawn("hints", async move { hints.hear().await });
    }
}

impl Follower {
    pub fn new(context: Arc<TaskContext>, sharing: Arc<Sharing>) -> Self {
        Self { context, sharing, by_log: Mutex::default() }
    }

    /// A login that is not known here, for whoever `is_theirs` says it belongs to.
    pub async fn adopt(
        self: &Arc<Self>,
        id: LoginId,
        is_theirs: impl Fn(&Login) -> bool + Send,
    ) -> Result<Option<Arc<Login>>, Unavailable> {
        let log = Sharing::log(id);
        let Some(page) = self.sharing.store.read(log, None, self.reader()).await? else { return Ok(None) };
        let records = self.sharing.records(id);
        let Some(head) = records.open_head(&page.head) else { return Ok(None) };
        let (epoch, began) = (head.epoch, head.began);
        let Some(params) = head.params() else { return Ok(None) };
        let drivers = &self.context.drivers;
        let named = params.driver.as_deref().and_then(|name| drivers.named(name));
        let driver = Arc::clone(named.unwrap_or_else(|| drivers.pick()));
        let (settings, clock) = (&self.context.settings, self.context.clock.clone());
        let login = Login::new(id, (epoch, began), params, driver, settings, clock);
        if !is_theirs(&login) {
            return Ok(None);
        }
        login.log.begin_at(page.first);
        self.catch_up(&login, &page, login.log.newest());
        let known = self.context.table.follow(Arc::new(login));
        let login = known.map_err(|_| Unavailable::OutOfReach("too many logins of other nodes".to_owned()))?;
        self.by_log.lock().unwrap_or_else(PoisonError::into_inner).insert(log, Arc::downgrade(&login));
        self.spawn_messenger(&login);
        if login.log.is_sealed() {
            self.retire(&login);
        } else {
            let _one = login.looking.lock().await;
            // Another request may have been here first.
            if !login.is_owned() {
                self.take_over_if_free(&login, &page).await?;
            }
        }
        Ok(Some(login))
    }

    fn reader(&self) -> Reader {
        match self.sharing.nodes {
            Nodes::One => Reader::Nobody,
            Nodes::Many => Reader::Node(self.sharing.node.clone(), READER_LIFE),
        }
    }

    /// Takes what is new in the store; false where the two logs do not fit together: writes were lost. `had`: the newest event
    /// here when the page was asked for; others may have brought more since.
    fn catch_up(&self, login: &Login, page: &LogPage, had: u32) -> bool {
        if page.newest < had || page.first > had + 1 {
            return false;
        }
        let records = self.sharing.records(login.id);
        for (offset, record) in (page.first..).zip(&page.records) {
            if offset <= login.log.newest() {
                continue;
            }
            let Some(event) = records.open_event(login.log.position(offset), record) else { return false };
            login.mirror(event);
        }
        true
    }

    /// Writes the login from now on, if nobody alive does.
    async fn take_over_if_free(self: &Arc<Self>, login: &Arc<Login>, page: &LogPage) -> Result<(), Unavailable> {
        let active = || u32::try_from(self.context.table.active()).unwrap_or(u32::MAX);
        if let Some(owner) = &page.owner
            // Ours without a task: the claim was lost for a while.
            && *owner != self.sharing.node
            && self.sharing.lives(owner, active()).await?
        {
            return Ok(());
        }
        if !self.sharing.has_claim() || self.context.tasks.is_stopping() {
            return Ok(());
        }
        // Full: another node has room, or there will be some.
        let Ok(place) = self.context.table.admit() else { return Ok(()) };
        let (store, log, losses) = (&self.sharing.store, Sharing::log(login.id), self.sharing.losses());
        let fence = match store.claim(log, Some(self.sharing.node.clone()), page.fence).await? {
            Claimed::Yes { fence } => fence,
            Claimed::No => return Ok(()),
            Claimed::Gone => {
                self.lose(login);
                return Ok(());
            }
        };
        // Only now nobody else can write: what came last is read.
        let had = login.log.newest();
        let Some(page) = store.read(log, None, Reader::Owner { fence }).await? else {
            self.lose(login);
            return Ok(());
        };
        let browser = self.sharing.records(login.id).open_head(&page.head).and_then(Head::params);
        if page.fence != fence || !self.catch_up(login, &page, had) {
            self.lose(login);
            return Ok(());
        }
        metrics::counter!("max_auth_logins_taken_over_total").increment(1);
        tracing::info!(login = login.id.short(), "login taken over; it gets a fresh code");
        login.own(fence);
        self.obey(login, &page);
        let browser = browser.map_or_else(BrowserInfo::default, |params| params.browser);
        let journal = Journal::shared(&self.sharing, losses, fence);
        task::spawn(&self.context, place, Arc::clone(login), browser, journal);
        Ok(())
    }

    fn retire(&self, login: &Login) {
        let signed_in = login.log.last_of(Kind::Success).is_some();
        self.context.table.ended(login, Some(SignedIn(signed_in)));
    }

    /// Its visitors begin anew.
    fn lose(&self, login: &Login) {
        metrics::counter!("max_auth_logins_lost_total").increment(1);
        tracing::info!(login = login.id.short(), newest = login.log.newest(), "the store has lost a login, or its end");
        login.log.lose();
        self.context.table.forget(login.id);
    }

    fn obey(&self, login: &Login, page: &LogPage) {
        let records = self.sharing.records(login.id);
        for command in page.commands.iter().filter_map(|sealed| records.open_command(sealed)) {
            login.obey(command);
        }
    }

    /// Offset of the newest event that the store has; a login of another process has it afterwards.
    pub async fn newest(self: &Arc<Self>, login: &Arc<Login>) -> Result<u32, Unavailable> {
        if !login.is_owned() {
            self.look(login).await?;
            return Ok(login.log.newest());
        }
        let page = self.sharing.store.read(Sharing::log(login.id), Some(u32::MAX - 1), Reader::Nobody).await?;
        Ok(page.map_or(0, |page| page.newest))
    }

    /// Looks whether there is anything new, and whether somebody still writes it.
    async fn look(self: &Arc<Self>, login: &Arc<Login>) -> Result<(), Unavailable> {
        let _one = login.looking.lock().await;
        if login.log.is_sealed() || login.log.is_lost() {
            return Ok(());
        }
        let log = Sharing::log(login.id);
        let newest = login.log.newest();
        if login.is_owned() {
            let fence = login.fence.load(Ordering::SeqCst);
            let page = self.sharing.store.read(log, Some(newest), Reader::Owner { fence }).await?;
            match page {
                Some(page) if page.fence != fence => login.displace(Lost::Fenced),
                Some(page) if page.newest >= newest => self.obey(login, &page),
                // The next write would find it, too; a visitor who waits hears it now.
                _ => login.displace(Lost::Gone),
            }
            return Ok(());
        }
        if !login.is_read_here() {
            if login.claim_left.load(Ordering::SeqCst) {
                // Whoever reads it elsewhere would wait for us for ever.
                self.sharing.store.claim(log, None, login.fence.load(Ordering::SeqCst)).await?;
            }
            self.context.table.forget(login.id);
            if login.is_read_here() {
                // Its visitor came in that very moment.
                let _ = self.context.table.follow(Arc::clone(login));
            }
            return Ok(());
        }
        let Some(page) = self.sharing.store.read(log, Some(newest), self.reader()).await? else {
            self.lose(login);
            return Ok(());
        };
        if login.is_owned() {
            return Ok(());
        }
        if !self.catch_up(login, &page, newest) {
            self.lose(login);
            return Ok(());
        }
        if login.log.is_sealed() {
            self.retire(login);
            return Ok(());
        }
        self.take_over_if_free(login, &page).await
    }

    /// Everything that somebody reads here, again and again: hints may be lost, owners die, stores forget.
    async fn look_around(self: Arc<Self>) {
        let mut found_again = self.sharing.store.found_again();
        let start = Instant::now();
        let (mut looked, mut next) = (start, start + ROUND);
        loop {
            let (theirs, ours) = tokio::select! {
                () = tokio::time::sleep_until(next) => (false, false),
                // Its logins are wanted.
                () = self.sharing.somebody_died() => (true, false),
                () = changed(&mut found_again) => (true, true),
                () = self.context.tasks.stopping() => return,
            };
            let began = Instant::now();
            let round = (looked - start, began - start);
            let mut logins = self.context.table.all();
            let count = u32::try_from(logins.iter().filter(|login| !login.is_owned()).count()).unwrap_or(u32::MAX);
            let look = (Duration::from_secs(1) * (count / LOOKS_PER_SECOND)).clamp(LOOK, LOOK_LONGEST);
            let one = self.sharing.nodes == Nodes::One;
            logins.retain(|login| match login.is_owned() {
                false => theirs || is_due(login.id.phase(), look, round),
                true => ours || (!one && is_due(login.id.phase(), LOOK_AT_OWN, round)),
            });
            stream::iter(logins)
                .for_each_concurrent(self.sharing.looks_at_once, |login| {
                    let follower = &self;
                    // Out of reach: the next round asks again.
                    async move { _ = timeout(LOOK, follower.look(&login)).await }
                })
                .await;
            self.by_log.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, login| login.strong_count() > 0);
            (looked, next) = (began, began + ROUND);
        }
    }

    /// Hints save waiting for the next round.
    async fn hear(self: Arc<Self>) {
        let mut hints = self.sharing.store.hints(&self.sharing.node);
        loop {
            let log = tokio::select! {
                log = hints.next() => log,
                () = self.context.tasks.stopping() => return,
            };
            let Some(log) = log else { return };
            let login = self.by_log.lock().unwrap_or_else(PoisonError::into_inner).get(&log).and_then(Weak::upgrade);
            if let Some(login) = login {
                let _ = timeout(LOOK, self.look(&login)).await;
            }
        }
    }

    async fn beat(self: Arc<Self>) {
        let table = Arc::clone(&self.context.table);
        let active = || u32::try_from(table.active()).unwrap_or(u32::MAX);
        let tasks = self.context.tasks.clone();
        let leaving = async {
            tasks.stopping().await;
            // Logins that are being ended are still ours.
            while table.active() > 0 {
                sleep(RETRY / 5).await;
            }
        };
        self.sharing.beat(active, leaving).await;
    }

    /// Carries what the visitor says to whoever writes the login.
    fn spawn_messenger(self: &Arc<Self>, login: &Arc<Login>) {
        let (follower, watched) = (Arc::clone(self), Arc::downgrade(login));
        self.context.tasks.spawn("messenger", async move {
            while let Some(login) = watched.upgrade() {
                let over = login.log.is_sealed() || login.log.is_lost();
                if over || follower.context.tasks.is_stopping() {
                    return;
                }
                let _ = timeout(LOOK, login.to_pass_on.notified()).await;
                let said = std::mem::take(&mut *login.outgoing.lock().unwrap_or_else(PoisonError::into_inner));
                for command in said {
                    follower.carry(&login, command).await;
                }
            }
        });
    }

    async fn carry(&self, login: &Login, command: RemoteCommand) {
        let Some(sealed) = self.sharing.records(login.id).seal_command(&command) else { return };
        let log = Sharing::log(login.id);
        let send = async {
            // Taken over meanwhile: it is for us.
            while !login.is_owned() {
                match self.sharing.store.send(log, sealed.clone()).await {
                    Ok(_) => return,
                    Err(_) => sleep(RETRY).await,
                }
            }
            login.obey(command);
        };
        let _ = timeout(COMMAND_LIFE, send).await;
    }

    /// For the task: a login of ours by what hints call it.
    pub fn remember(&self, login: &Arc<Login>) {
        let log = Sharing::log(login.id);
        self.by_log.lock().unwrap_or_else(PoisonError::into_inner).insert(log, Arc::downgrade(login));
    }
}

/// Whether a moment that comes once in `each`, at its `phase` (of one), lies in the time after `from` until `to`.
fn is_due(phase: f64, each: Duration, (from, to): (Duration, Duration)) -> bool {
    let times = |at: Duration| (at.as_secs_f64() / each.as_secs_f64() - phase).floor();
    times(to) > times(from)
}

/// Never where nothing changes any more.
async fn changed(times: &mut watch::Receiver<u64>) {
    if times.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_due_once_in_each_stretch_at_its_phase() {
        for (phase, each, from, to, due) in [
            (0.25, 4, 0, 999, false),
            (0.25, 4, 0, 1_000, true),
            (0.25, 4, 1_000, 4_999, false),
            (0.25, 4, 1_000, 5_000, true),
            (0.25, 4, 5_000, 8_000, false),
            (0.25, 4, 5_000, 60_000, true),
            (0.0, 4, 0, 3_999, false),
            (0.0, 4, 3_999, 4_000, true),
            (0.75, 12, 8_999, 9_000, true),
            (0.75, 12, 9_000, 20_999, false),
        ] {
            let at = Duration::from_millis;
            let (from, to) = (at(from), at(to));
            let told = is_due(phase, Duration::from_secs(each), (from, to));
            assert_eq!(told, due, "{phase} of {each} s, from {from:?} to {to:?}");
        }
        // Looks of a second each, one after the other, for half a minute: as many as there are stretches.
        for phase in [0.0, 0.1, 0.5, 0.99] {
            let rounds = (0..40).map(|second| (Duration::from_secs(second), Duration::from_secs(second + 1)));
            let count = rounds.filter(|round| is_due(phase, Duration::from_secs(4), *round)).count();
            assert_eq!(count, 10, "{phase}");
        }
    }
}
