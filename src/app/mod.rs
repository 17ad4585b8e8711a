//! The composition root: what a server is made of, out of its configuration. Each part is made here once and handed to
//! whoever needs it; `serve` and the tests build the same.

mod delivery;
mod documents;
mod kept;
#[cfg(test)]
mod tests;

use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::config::{AllowList, Config, Proximity};
use crate::drivers::{AccountQr, Bot, MiniApp, Official, OpenLogins, OverHttp};
use crate::login::{Grants, Registry, Settings, Sharing};
use crate::oidc::{Documents, Keys, Provider};
use crate::server::{self, Extra, NodeStatus, OfficialPages, Parts, StatusSettings, StreamStats};
use crate::session::{Phone, Sessions};
use crate::signin::{Driver, DriverName, Drivers};
use crate::store::{NodeName, Vault};
use crate::upstream::Roots;
use axum::Router;
use delivery::Delivery;
use documents::Asker;
pub use kept::{Kept, KeptError};
use std::sync::Arc;

/// Time, chance, and what was opened before the parts can be made.
pub struct Surroundings {
    pub clock: Clock,
    pub rng: Rng,
    pub tasks: Tasks,
    pub roots: Roots,
    /// For the Bot API of `driver.bot.api_url`.
    pub bot_roots: Roots,
    pub kept: Kept,
    pub open_logins: OpenLogins,
    /// Served beside our own addresses: the demo.
    pub extra: Option<Extra>,
    /// Codes of what the start had to say, for the status page.
    pub warnings: Vec<&'static str>,
}

impl Surroundings {
    /// For tests: nothing on disk, and every server has the same key.
    #[cfg(test)]
    #[expect(clippy::unwrap_used, reason = "only tests")]
    pub fn in_memory(tasks: &Tasks) -> Self {
        let (clock, rng) = (Clock::system(), Rng::system());
        let kept = Kept::in_memory(&clock, &Rng::seeded(1)).unwrap();
        let (roots, open_logins) = (Roots::load(None).unwrap(), OpenLogins::default());
        let (tasks, bot_roots, warnings) = (tasks.clone(), roots.clone(), Vec::new());
        Self { clock, rng, tasks, roots, bot_roots, kept, open_logins, extra: None, warnings }
    }
}

/// A server that is put together and does not listen yet.
pub struct App {
    pub drivers: Drivers,
    pub registry: Arc<Registry>,
    pub ends: Arc<StreamStats>,
    pub keys: Arc<Keys>,
    pub status: Arc<NodeStatus>,
    /// Of the public listener.
    pub routes: Router,
}

/// `config.server` says where it listens by now.
pub fn build(config: &Config, surroundings: Surroundings) -> App {
    let Surroundings { clock, rng, tasks, roots, bot_roots, kept, open_logins, extra, warnings } = surroundings;
    let delivery = Arc::new(Delivery::new(roots.clone(), tasks.clone()));
    let documents = config
        .oidc
        .documents
        .clone()
        .map(|settings| Documents { fetch: Arc::new(Asker::new(roots.clone(), settings.networks.clone())), settings });
    let Kept { store, seals, nodes } = kept;
    let texts = Arc::clone(&config.texts);
    let (ttl, phone) = (config.session.ttl, phone(config));
    let sessions = Sessions::new(seals.session, Arc::clone(&store), clock.clone(), rng.clone(), ttl, phone);
    sessions.spawn_write_again(&tasks);
    let site = config.server.public_url.as_str().trim_end_matches('/');
    let issuer = config.oidc.issuer.clone().unwrap_or_else(|| site.to_owned());
    let vault = Vault::new(Arc::clone(&store), seals.store.clone(), clock.clone(), rng.clone());
    let official = config.official.as_ref().map(|official| {
        let carrier = Box::new(OverHttp(bot_roots));
        let wants_phone = self::phone(config) != Phone::Dropped;
        let known = (&config.server, config.login.drivers.as_slice());
        let surroundings = (rng.clone(), tasks.clone());
        Official::new(official, known, wants_phone, carrier, vault.clone(), Arc::clone(&texts), surroundings)
    });
    let account_qr = || {
        let (clock, rng, tasks) = (clock.clone(), rng.clone(), tasks.clone());
        let account_qr =
            AccountQr::new(&config.upstream, &config.login, roots.clone(), clock, rng, tasks, open_logins.clone());
        Arc::new(account_qr.with_spares())
    };
    let drivers = drivers(config, official.as_ref(), account_qr);
    let grants = Arc::new(Grants::new(vault.clone()));
    let sessions = Arc::new(sessions.with_people(vault.clone()));
    let provider = Provider::new(
        &config.oidc,
        (issuer, site.to_owned()),
        config.groups.clone(),
        Arc::clone(&sessions),
        vault.clone(),
        delivery,
    );
    let provider =
        Arc::new(provider.with_documents(documents).with_told(config.session.backchannel_logout_uri.clone()));
    provider.keys.spawn_watch(&tasks, provider.has_clients());
    let sharing = nodes.map(|nodes| {
        let node = NodeName::new(&config.server.node, &rng);
        let (ours, clock) = (drivers.clone(), clock.clone());
        Arc::new(Sharing::new(Arc::clone(&store), seals.store.clone(), node, nodes, ours, clock))
    });
    let settings = Settings {
        ttl: config.login.ttl,
        grace: config.login.grace,
        grace_phone: config.login.grace_phone,
        max_active: config.login.max_active,
        max_active_total: config.login.max_active_total,
        callback: format!("{site}{}/callback", config.server.base_path),
        texts: Arc::clone(&texts),
    };
    let registry = Arc::new(Registry::new(
        settings,
        drivers.clone(),
        Arc::clone(&grants),
        sharing,
        (clock.clone(), rng.clone(), tasks.clone()),
    ));
    if let Some(official) = &official {
        official.wakes(&registry);
        official.spawn_keeper();
    }
    let ends = Arc::<StreamStats>::default();
    let keys = Arc::clone(&provider.keys);
    let status = NodeStatus::new(
        (Arc::clone(&registry), Arc::clone(&ends), vault.clone()),
        (clock.clone(), tasks.clone()),
        StatusSettings {
            node: config.server.node.clone(),
            max_active: config.login.max_active,
            app_version: config.upstream.app_version.clone(),
            store_kind: config.store.kind.name(),
            warnings,
        },
    );
    let status = Arc::new(status);
    let parts = Parts {
        registry: Arc::clone(&registry),
        grants,
        sessions,
        provider,
        vault,
        session_allow: config.session.allow.clone(),
        groups: config.groups.clone(),
        tasks,
        clock,
        rng,
        texts,
        ends: Arc::clone(&ends),
        status: Arc::clone(&status),
        official: official.zip(config.official.as_ref()).map(|(official, settings)| OfficialPages {
            official,
            bridge: settings.mini_app.bridge_url.clone(),
            keeps_addresses: settings.mini_app.proximity != Proximity::Off,
        }),
        extra,
    };
    let routes = server::router(&config.server, &config.login, parts);
    App { drivers, registry, ends, keys, status, routes }
}

/// In the order of `login.drivers`, which is never empty.
fn drivers(config: &Config, official: Option<&Arc<Official>>, account_qr: impl Fn() -> Arc<AccountQr>) -> Drivers {
    let made = config.login.drivers.iter().filter_map(|name| -> Option<Arc<dyn Driver>> {
        Some(match name {
            DriverName::AccountQr => account_qr(),
            DriverName::Bot => Arc::new(Bot(Arc::clone(official?))),
            DriverName::MiniApp => Arc::new(MiniApp(Arc::clone(official?))),
        })
    });
    let mut made: Vec<Arc<dyn Driver>> = made.collect();
    match made.is_empty() {
        true => Drivers::only(account_qr()),
        false => {
            let first = made.remove(0);
            Drivers::new(first, made)
        }
    }
}

/// Only whoever needs a phone number makes us keep it.
fn phone(config: &Config) -> Phone {
    let documents = config.oidc.documents.iter().map(|documents| &documents.allow);
    let lists = config.oidc.clients.iter().map(|client| &client.allow).chain([&config.session.allow]).chain(documents);
    let needed = config.groups.name_phones()
        || lists.into_iter().any(AllowList::names_phones)
        || config.oidc.clients.iter().any(|client| client.scopes.contains("phone"));
    match (config.session.phone, needed) {
        (true, _) => Phone::Said,
        (false, true) => Phone::Kept,
        (false, false) => Phone::Dropped,
    }
}
