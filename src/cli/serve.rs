//! `max-auth serve`: puts the parts together, runs them, and takes them down in order.

use super::inspector::Doctor;
use super::{CliError, block_on, cannot_run, say, stop_signal};
use crate::app::{self, App, Kept, KeptError, Surroundings};
use crate::base::clock::Clock;
use crate::base::driver_name::DriverName;
use crate::base::limits::{CONNECTIONS_PER_ADDRESS, OPS_CONNECTIONS};
use crate::base::places::Places;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::config::{Config, Dialect, Endpoint, Flags, Loaded, Official, StoreKind};
use crate::drivers::OpenLogins;
use crate::emulator::{self, BotOptions, Emulator, Options, Trust};
use crate::observe::traces::{Batch, Traces};
use crate::observe::{self, Watched};
use crate::outbound;
use crate::server::{self, Bound, Checklist, Descriptors, Extra, Ops};
use crate::signin::Drivers;
use crate::upstream::Roots;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;
use url::Url;

/// How often the pretended MAX wants to be asked; the real one says 5 s.
const DEMO_POLL: Duration = Duration::from_secs(1);

pub fn run(flags: &Flags, demo: bool) -> Result<(), CliError> {
    let Loaded { config, default_listen, .. } = Config::load(flags)?;
    if demo && !config.server.listen.ip().is_loopback() {
        return Err(CliError::No(
            "serve --demo signs in whoever presses the pretended phone, so it listens on loopback only".to_owned(),
        ));
    }
    let watched = Watched { audit: &config.audit, traces: &config.traces, node: &config.server.node };
    let mut watching = observe::log(&config.log, Some(watched)).map_err(|error| cannot_run(&error))?;
    let batches = watching.traces.as_mut().and_then(Traces::batches);
    harden();
    block_on(serve(config, demo, demo && default_listen, batches))
}

/// The MAX token passes through this process: no core dumps, no reading by neighbours. And two sockets per login.
fn harden() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if setrlimit(Resource::Core, none).is_err() || set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() {
        tracing::warn!("core dumps could not be switched off; one could hold a MAX token");
    }
    let files = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum }).is_err() {
        tracing::warn!("the limit of open files could not be raised; each login takes two");
    }
}

/// With few file descriptors there are fewer logins: better "busy" than a server that cannot open what it needs. Returns
/// what there is to tell of it.
fn share_files(config: &mut Config) -> (Descriptors, Option<String>) {
    let limit = getrlimit(Resource::Nofile).current;
    let files = Descriptors::share(limit, config.login.max_active);
    let told = (files.logins < config.login.max_active).then(|| {
        format!(
            "login.max_active is {}, but the limit of open files ({}) is enough for {} logins and {} connections; raise \
             it (ulimit -n, LimitNOFILE=)",
            config.login.max_active,
            limit.unwrap_or_default(),
            files.logins,
            files.connections
        )
    });
    config.login.max_active = files.logins;
    (files, told)
}

/// `any_port`: where the usual ports are taken, others will do.
async fn serve(
    mut config: Config,
    demo: bool,
    any_port: bool,
    batches: Option<mpsc::Receiver<Batch>>,
) -> Result<(), CliError> {
    let (files, few_files) = share_files(&mut config);
    let metrics = observe::Metrics::begin().map_err(|error| cannot_run(&error))?;
    let (clock, rng, tasks) = (Clock::system(), Rng::system(), Tasks::new());

    let public = bind(config.server.listen, "server.listen", any_port).await?;
    let ops = bind(config.server.ops_listen, "server.ops_listen", demo).await?;
    config.server.listens_at(public.address().map_err(|error| cannot_run(&error))?);
    let extra = match demo {
        true => Some(begin_demo(&mut config, &clock, &rng, &tasks).await?),
        false => None,
    };

    let roots = Roots::load(config.upstream.ca_file.as_deref()).map_err(|error| cannot_run(&error))?;
    let bot_roots = match &config.official {
        Some(official) => {
            let host = official.bot.api_url.host_str().unwrap_or_default();
            Roots::of_bot_api(host, official.bot.ca_file.as_deref()).map_err(|error| cannot_run(&error))?
        }
        None => roots.clone(),
    };
    if demo && !config.store.kind_given {
        config.store.kind = StoreKind::Memory;
    }
    let kept = Kept::open(&config.store, &clock, &rng).await.map_err(|error| match error {
        KeptError::Key(_) => CliError::No(error.to_string()),
        KeptError::Folder(_) | KeptError::Redis(_) => cannot_run(&error),
    })?;
    let open_logins = match config.store.kind {
        StoreKind::Memory | StoreKind::Redis => OpenLogins::default(),
        StoreKind::File => open_logins(&config.store.path)?,
    };
    let (held, tasks_of_app) = (open_logins.clone(), tasks.clone());
    let config = Arc::new(config);
    if let Some((batches, endpoint)) = batches.zip(config.traces.endpoint.clone()) {
        let roots = Roots::load(None).map_err(|error| cannot_run(&error))?;
        tasks.spawn("traces", send_traces(batches, endpoint, roots, tasks.clone()));
    }
    let inspector = Arc::new(Doctor { config: Arc::clone(&config), clock: clock.clone(), tasks: tasks.clone() });
    let now = clock.clone();
    let mut warnings = address_warnings(&config);
    warnings.extend(few_files.as_ref().map(|_| "few-descriptors"));
    let warnings = if demo { Vec::new() } else { warnings };
    let surroundings =
        Surroundings { clock, rng, tasks: tasks_of_app, roots, bot_roots, kept, open_logins: held, extra, warnings };
    let App { drivers, registry, ends, keys, status, routes } = app::build(&config, surroundings);
    let max_active = config.login.max_active;
    let checklist = Checklist::new(Arc::clone(&config), Arc::clone(&registry), inspector, now);
    let operator = Ops { metrics, registry, tasks: tasks.clone(), max_active, ends, keys, status, checklist };

    greet(&config, (&public, &ops), demo, &drivers);
    if let Some(few_files) = few_files.filter(|_| !demo) {
        tracing::warn!("{few_files}");
    }
    let trusted = config.server.trusted_proxies.clone();
    let visitors = Arc::new(Places::new(files.connections, CONNECTIONS_PER_ADDRESS, trusted));
    let operators = Arc::new(Places::for_anybody(OPS_CONNECTIONS));
    tasks.spawn("public listener", public.serve(routes, visitors, tasks.clone()));
    tasks.spawn("upkeep", operator.clone().upkeep());
    tasks.spawn("ops listener", ops.serve(operator.router(), operators, tasks.clone()));

    stop_signal().await;
    tracing::info!("stopping: MAX sessions are being ended");
    let deadline = async {
        tokio::select! {
            () = sleep(config.server.stop_timeout) => {}
            // A second signal: now.
            () = stop_signal() => {}
        }
    };
    let clean = tasks.stopped(deadline).await;
    if !clean {
        tracing::warn!("some work had not ended when server.stop_timeout was over, or a second signal came");
    }
    match open_logins.count() {
        0 => {}
        left => tracing::error!(left, "stopped while MAX was opening or ending sessions: {left} {LEFT_OPEN}"),
    }
    match tasks.crashed() {
        0 => Ok(()),
        crashed => Err(CliError::No(format!("{crashed} tasks had crashed; see the log"))),
    }
}

/// Posts spans until the server stops.
async fn send_traces(mut batches: mpsc::Receiver<Batch>, endpoint: Url, roots: Roots, tasks: Tasks) {
    let json = || vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    loop {
        let batch = tokio::select! {
            batch = batches.recv() => batch,
            () = tasks.stopping() => return,
        };
        let Some(batch) = batch else { return };
        let outcome = match String::from_utf8(batch.body.to_vec()) {
            Ok(body) => outbound::post(&endpoint, json(), body, &roots).await.map_err(|error| error.to_string()),
            Err(_) => Err("not JSON".to_owned()),
        };
        batch.done(outcome);
    }
}

/// Listens; with `any_port` on some other port where this one is taken.
async fn bind(address: SocketAddr, key: &'static str, any_port: bool) -> Result<Bound, CliError> {
    match server::bind(address, key).await {
        Err(_) if any_port => server::bind(SocketAddr::new(address.ip(), 0), key).await,
        bound => bound,
    }
    .map_err(|error| cannot_run(&error))
}

/// What nobody can end any more, and who can.
const LEFT_OPEN: &str = "may be left open at MAX; whoever was signing in sees a web session under Settings, Devices there \
                         and can end it";

/// The mark of logins in flight; tells what the process before this one left.
fn open_logins(directory: &Path) -> Result<OpenLogins, CliError> {
    let (open_logins, left) = OpenLogins::open(directory).map_err(|error| {
        CliError::CannotRun(format!("store.path: {}: open-logins cannot be written: {error}", directory.display()))
    })?;
    metrics::gauge!("max_auth_logins_left_open").set(left);
    if left > 0 {
        tracing::error!(left, "the last run was stopped while MAX was opening or ending sessions: {left} {LEFT_OPEN}");
    }
    Ok(open_logins)
}

/// The pretended MAX on a port of its own, its phone and the demo site on the public address.
async fn begin_demo(config: &mut Config, clock: &Clock, rng: &Rng, tasks: &Tasks) -> Result<Extra, CliError> {
    let site = config.server.public_url.as_str().trim_end_matches('/').to_owned();
    let app = Url::parse(&format!("{site}{}/app", config.server.base_path)).ok();
    let bot = BotOptions {
        name: emulator::BOT_NAME.to_owned(),
        token: emulator::BOT_TOKEN.to_owned(),
        mini_app: app,
        clock: NonZeroU32::MIN,
        trust: Trust::load(None).map_err(|error| CliError::CannotRun(error.to_string()))?,
    };
    let options = Options { poll: DEMO_POLL, bot: Some(bot), ..Options::default() };
    let emulator = Emulator::new(options, clock.clone(), rng.clone(), tasks.clone());
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = emulator::listen(anywhere, false).await.map_err(|error| cannot_run(&error))?;
    let address = listener.local_addr().map_err(|error| cannot_run(&error))?;
    let url = format!("ws://{address}/websocket").parse();
    let url = url.map_err(|_| CliError::CannotRun("the emulator has no address".to_owned()))?;
    config.upstream.endpoints = vec![Endpoint { url, dialect: Dialect::Binary }];
    // Who chose otherwise has a reason.
    if config.login.drivers == [DriverName::AccountQr] {
        let parsed = |text: String| Url::parse(&text).map_err(|error| CliError::CannotRun(format!("{text}: {error}")));
        let api = parsed(format!("http://{address}/bot-api"))?;
        let bridge = parsed(format!("{site}/phone/bot/max-web-app.js"))?;
        let official = Official::of_demo(emulator::BOT_NAME, emulator::BOT_TOKEN, api, bridge);
        config.login.drivers = vec![DriverName::AccountQr, DriverName::Bot, DriverName::MiniApp];
        config.official = Some(official);
    }
    let phone = emulator.phone_router();
    tasks.spawn("emulator", async move { emulator.serve(listener).await });
    Ok(Extra(server::demo().merge(phone)))
}

/// Says where it is, and what it is.
fn greet(config: &Config, (public, ops): (&Bound, &Bound), demo: bool, drivers: &Drivers) {
    let address = public.address().map_or_else(|_| config.server.listen.to_string(), |address| address.to_string());
    let site = config.server.public_url.as_str().trim_end_matches('/');
    if demo {
        say(&format!("max-auth demo: open {site}/ in a browser; the page leads to the phone"));
        return;
    }
    tracing::info!(listen = address, public_url = site, base_path = config.server.base_path, "max-auth is ready");
    for driver in drivers.all() {
        tracing::info!(name = driver.name(), "driver: {}", driver.assurance());
    }
    if let Ok(ops) = ops.address() {
        tracing::info!("what is left to do, and whether it works: http://{ops}/checklist");
    }
    for warning in address_warnings(config) {
        match warning {
            NO_PUBLIC_URL => tracing::warn!(
                "server.public_url is not set: only pages opened on this machine, at {site}, can sign in. Set it to the address \
                 that visitors see, e.g. MAX_AUTH_SERVER_PUBLIC_URL=https://example.ru"
            ),
            _ => tracing::warn!("server.public_url is not https: cookies and QR codes can be read on the way"),
        }
    }
}

const NO_PUBLIC_URL: &str = "public-url-not-set";

/// Codes of what is wrong with the address that people see; the status page has words for them.
fn address_warnings(config: &Config) -> Vec<&'static str> {
    let url = &config.server.public_url;
    let local = url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
    let only_here = !config.server.public_url_given;
    let plain = url.scheme() != "https" && !local;
    [(only_here, NO_PUBLIC_URL), (plain, "public-url-not-https")]
        .into_iter()
        .filter(|row| row.0)
        .map(|row| row.1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Heard;
    use crate::signin::{Asked, CommandSlot, Driver, EventSink, Outcome, Run};

    struct Nobody;

    impl Driver for Nobody {
        fn name(&self) -> &'static str {
            "nobody"
        }

        fn assurance(&self) -> &'static str {
            "nothing is sure"
        }

        fn run<'a>(&'a self, _: Asked, _: &'a dyn EventSink, _: &'a CommandSlot) -> Run<'a> {
            Box::pin(std::future::ready(Outcome::Stopped))
        }
    }

    #[test]
    fn what_the_process_before_left_open_is_told_once() {
        let heard = Heard::listen();
        let directory = tempfile::tempdir().unwrap();
        let told = || heard.lines("the last run was stopped while MAX was opening or ending sessions");
        let logins = open_logins(directory.path()).ok().unwrap();
        assert_eq!((logins.count(), told()), (0, 0));
        drop(logins.begin());
        assert_eq!(open_logins(directory.path()).ok().unwrap().count(), 0);
        assert_eq!((told(), heard.lines("left=1")), (1, 1));
        open_logins(directory.path()).ok().unwrap();
        assert_eq!(told(), 1);
        let Err(CliError::CannotRun(why)) = open_logins(Path::new("/nowhere/state")) else { panic!("no error") };
        assert!(why.starts_with("store.path: /nowhere/state: open-logins cannot be written: "), "{why}");
    }

    /// Each configuration, whether its pages work only here, and whether a code could be read on the way.
    #[tokio::test]
    async fn a_start_says_where_it_is_and_what_cannot_work_there() {
        for (file, only_here, readable) in [
            ("", 1, 0),
            ("[server]\nlisten = \"0.0.0.0:3001\"", 1, 0),
            ("[server]\nlisten = \"192.0.2.7:3001\"", 1, 1),
            ("[server]\nlisten = \"0.0.0.0:3001\"\npublic_url = \"https://example.ru\"", 0, 0),
            ("[server]\npublic_url = \"http://example.ru\"", 0, 1),
            ("[server]\npublic_url = \"http://localhost:1\"", 0, 0),
            ("[server]\npublic_url = \"http://[::1]:1\"", 0, 0),
        ] {
            let heard = Heard::listen();
            let config = Config::of(file);
            let bound = bind("127.0.0.1:0".parse().unwrap(), "server.listen", false).await.ok().unwrap();
            let ops = bind("127.0.0.1:0".parse().unwrap(), "server.ops_listen", false).await.ok().unwrap();
            greet(&config, (&bound, &ops), false, &Drivers::only(Arc::new(Nobody)));
            assert_eq!(heard.lines("max-auth is ready"), 1, "{file}");
            assert_eq!(heard.lines("driver: nothing is sure"), 1, "{file}");
            assert_eq!(heard.lines("server.public_url is not set"), only_here, "{file}");
            assert_eq!(heard.lines("server.public_url is not https"), readable, "{file}");
            let checklist = format!("http://{}/checklist", ops.address().unwrap());
            assert_eq!(heard.lines(&checklist), 1, "{file}");
            greet(&config, (&bound, &ops), true, &Drivers::only(Arc::new(Nobody)));
            assert_eq!(heard.lines("max-auth is ready"), 1, "a demo says it to the person");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error_unless_any_will_do() {
        let taken = bind("127.0.0.1:0".parse().unwrap(), "server.listen", false).await.ok().unwrap();
        let address = taken.address().unwrap();
        let Err(CliError::CannotRun(why)) = bind(address, "server.listen", false).await else { panic!("no error") };
        assert!(why.contains("server.listen"), "{why}");
        let other = bind(address, "server.listen", true).await.ok().unwrap().address().unwrap();
        assert!(other.ip() == address.ip() && other.port() != address.port());
    }

    #[tokio::test]
    async fn what_is_kept_is_kept_in_the_folder_unless_something_else_is_said() {
        let heard = Heard::listen();
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::of("");
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        (config.server.listen, config.server.ops_listen) = (anywhere, anywhere);
        config.store.path = folder.path().to_owned();
        let ready = async {
            while heard.lines("max-auth is ready") == 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            ended = serve(config, false, false, None) => panic!("ended: {}", ended.is_ok()),
            () = ready => {}
        }
        let kept = std::fs::read_dir(folder.path()).unwrap().count();
        assert!(kept > 1, "{kept} files");
    }
}
