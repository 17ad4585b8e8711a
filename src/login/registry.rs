//! Begins logins, and finds them for the browser that began.

use super::grant::Grants;
use super::table::{Busy, Table};
use super::task::{self, TaskContext};
use super::{Login, Settings, StartParams};
use crate::base::clock::Clock;
use crate::base::id::{Fingerprint, LoginId};
use crate::base::repeat::OncePerMinuteEach;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::signin::Drivers;
use std::sync::Arc;

pub struct Registry {
    table: Arc<Table>,
    context: Arc<TaskContext>,
    rng: Rng,
}

impl Registry {
    pub fn new(
        settings: Settings,
        drivers: Drivers,
        grants: Arc<Grants>,
        clock: Clock,
        rng: Rng,
        tasks: Tasks,
    ) -> Self {
        let table = Arc::new(Table::new(settings.max_active, clock.clone()));
        let (held, refused) = (Arc::clone(&table), OncePerMinuteEach::default());
        let context = Arc::new(TaskContext { table: held, settings, drivers, grants, clock, tasks, refused });
        Self { table, context, rng }
    }

    /// Begins a login; its first event is there at once.
    pub fn start(&self, params: StartParams) -> Result<Arc<Login>, Busy> {
        self.table.admit()?;
        let epoch = u32::from_be_bytes(self.rng.bytes());
        let (id, clock) = (LoginId::new(&self.rng), self.context.clock.clone());
        let browser = params.browser.clone();
        let login = Arc::new(Login::new(id, epoch, params, &self.context.settings, clock));
        self.table.insert(Arc::clone(&login));
        tracing::debug!(login = login.id.short(), "login begun");
        self.context.tasks.spawn("login", task::run(Arc::clone(&self.context), Arc::clone(&login), browser));
        Ok(login)
    }

    /// The login, for the browser that began it; for any other it does not exist.
    pub fn find(&self, id: LoginId, flow: &Fingerprint) -> Option<Arc<Login>> {
        self.table.get(id).filter(|login| login.flow.matches(flow))
    }

    /// The login, for the page that began it and was told its key.
    pub fn find_by_key(&self, id: LoginId, key: &[u8]) -> Option<Arc<Login>> {
        let key = Fingerprint::of(key);
        self.table.get(id).filter(|login| login.key.get().is_some_and(|known| known.matches(&key)))
    }

    /// Logins in flight.
    pub fn active(&self) -> usize {
        self.table.active()
    }

    /// To be called now and then, so that what a storm left is not kept until the next one.
    pub fn tidy(&self) {
        self.table.tidy();
    }

    /// Logins that are known, those that are over included.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.table.known()
    }
}
