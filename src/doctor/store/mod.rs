//! `max-auth doctor --store`: is what `serve` keeps its records in as it should be? It connects as `serve` does, tries once
//! what that will need, and judges by tables.

mod check;
mod code;
mod context;
mod file_checks;
mod redis_checks;
mod report;
mod server_checks;
mod server_settings;
#[cfg(test)]
mod tests;

pub use code::StoreCode;
pub use report::StoreReport;

use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::tasks;
use crate::config::{Store, StoreKind};
use crate::store::{KeyLook, RedisOptions, Seal, Seals, certificates, key_file, look_at_folder, look_at_redis};
use check::{Check, Level};
use context::Context;
use tokio::sync::oneshot;

/// The heading of docs/storage.md that has a row for each code.
pub const ANCHOR: &str = "what-the-doctor-looks-at";

/// Looks at the store of these settings, for so many logins at once (`login.max_active`); else why it cannot be tested.
pub async fn examine(store: &Store, logins: usize, clock: &Clock, rng: &Rng) -> Result<StoreReport, String> {
    let (checks, what) = match store.kind {
        StoreKind::Memory => (vec![memory()], "in memory".to_owned()),
        StoreKind::File => (file(store, rng).await?, format!("in {}", store.path.display())),
        StoreKind::Redis => redis(store, logins, clock, rng).await?,
    };
    Ok(StoreReport { kind: store.kind, what, checks })
}

fn memory() -> Check {
    Check::new(StoreCode::Forgets, Level::Warning, "store.kind = \"memory\": everything ends with the process")
        .line("store.kind = \"file\"", check::CONFIGURATION)
}

async fn file(store: &Store, rng: &Rng) -> Result<Vec<Check>, String> {
    // Syncs block.
    let (path, (done, looked)) = (store.path.clone(), oneshot::channel());
    let looking = tasks::thread("doctor-store", move || _ = done.send(look_at_folder(&path)));
    looking.map_err(|error| format!("a thread cannot be started: {error}"))?;
    let look = looked.await.map_err(|_| "the look at the folder crashed".to_owned())?;
    let mut checks = file_checks::judge(&look, store.key_file.is_none());
    checks.extend(own_key(store, rng).map(|(_, check)| check));
    Ok(checks)
}

/// `store.key_file`, where one is given: its seal, if it is a key, and what is to be said.
fn own_key(store: &Store, rng: &Rng) -> Option<(Option<Seal>, Check)> {
    let path = store.key_file.as_deref()?;
    match key_file(path) {
        Err(why) => Some((None, file_checks::no_key(&why, path))),
        Ok(key) => {
            let seal = Seals::new(&key, rng).map(|seals| seals.store);
            Some((seal, file_checks::private(&KeyLook::of(path)).at(path.display().to_string())))
        }
    }
}

async fn redis(store: &Store, logins: usize, clock: &Clock, rng: &Rng) -> Result<(Vec<Check>, String), String> {
    let url = store.url.as_ref().ok_or("store.url is needed with store.kind = \"redis\"")?;
    let trusted = store.ca_file.as_deref().map(certificates).transpose()?;
    let options = RedisOptions { prefix: store.prefix.clone(), trusted, ..RedisOptions::default() };
    let key = own_key(store, rng);
    let seal = key.as_ref().and_then(|(seal, _)| seal.as_ref());
    let look =
        look_at_redis(url.expose(), &options, seal, clock, rng).await.map_err(|error| format!("store.url: {error}"))?;
    let context = Context {
        user: look.user.as_deref().unwrap_or("default"),
        logins: logins as u64,
        sentinels: look.sentinels,
        cluster: look.cluster.is_some(),
    };
    let mut checks = redis_checks::judge(&look, &context);
    if let Some((_, check)) = key {
        let fine = check.level == Level::Ok;
        match &look.members {
            Some((_, members)) if fine => {
                let path = store.key_file.as_deref().map(|path| path.display().to_string());
                checks.push(redis_checks::shared_key(members, &path.unwrap_or_default()));
            }
            _ => checks.push(check),
        }
    }
    let hosts: Vec<&str> = look.hosts.iter().map(|host| host.at.as_str()).collect();
    Ok((checks, format!("at {}, keys {}*", hosts.join(", "), store.prefix)))
}

/// `--explain` of a code of the store; `None` where it is none.
pub fn explain(name: &str, lang: crate::proxies::Lang) -> Option<String> {
    let code = StoreCode::ALL.iter().find(|code| code.name() == name)?;
    let (title, why) = (lang.say(code.title()), lang.say(code.why()));
    Some(format!("{name}: {title}\n\n{why}.\n\nmax-auth doctor --store; docs/storage.md#{ANCHOR}"))
}
