//! The settings: read once at the start, then handed out in parts. The only module that reads the environment.

mod audit;
mod client_auth;
mod documents;
mod driver;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod login;
mod oidc;
mod people;
mod reader;
mod session;
mod store;
#[cfg(test)]
mod tests;
mod traces;
mod value;
mod weakness;

use crate::base::origin::Origin;
use crate::texts::{Locale, Texts};
pub use audit::{Audit, AuditPeople, AuditTo};
pub use client_auth::{ClientAuth, secret_hash};
pub use documents::ClientDocuments;
pub use driver::{Merge, Official, Proximity, Receive};
use ipnet::IpNet;
pub use login::{Login, PasswordPolicy};
#[cfg(test)]
pub use oidc::preset_names;
pub use oidc::{Client, Consent, Email, GrantType, Oidc, SCOPES, SigningAlgorithm, Subject};
pub use people::{AllowList, Groups, Person};
pub use reader::DEFAULTS;
use reader::{ConfigMerger, Source};
pub use session::Session;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
pub use store::{Store, StoreKind};
use toml::Value;
pub use traces::Traces;
use url::Url;

/// Every setting, checked. Keys, defaults and meanings: `max-auth.toml`.
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[upstream]`
    pub upstream: Upstream,
    /// `[login]`
    pub login: Login,
    /// `[driver.bot]`, `[driver.mini_app]`, `[identity]`; only where a driver needs them.
    pub official: Option<Official>,
    /// `[session]`
    pub session: Session,
    /// `[store]`
    pub store: Store,
    /// `[oidc]`
    pub oidc: Oidc,
    /// `[groups]`
    pub groups: Groups,
    /// `[audit]`
    pub audit: Audit,
    /// `[traces]`
    pub traces: Traces,
    /// `[log]`
    pub log: Log,
    /// What visitors read.
    pub texts: Arc<Texts>,
}

/// `[server]`: where it listens, and what the world calls it.
pub struct Server {
    /// For visitors; as bound once [`Self::listens_at`] was called.
    pub listen: SocketAddr,
    /// For the operator: health, metrics. Never the same address as `listen`.
    pub ops_listen: SocketAddr,
    /// Scheme, host and port; no path.
    pub public_url: Url,
    /// Else `public_url` is made from `listen`.
    pub public_url_given: bool,
    allowed_origins_given: bool,
    /// Begins with `/`, does not end with one.
    pub base_path: String,
    /// Whose `Forwarded` and `X-Forwarded-For` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whose pages may begin logins; never empty.
    pub allowed_origins: Vec<Origin>,
    /// What this node is called in logs and by other nodes.
    pub node: String,
    /// Anybody may ask whether sign-ins work.
    pub public_health: bool,
    /// From the signal to the end, at most.
    pub stop_timeout: Duration,
}

/// How an address of MAX wants to be spoken to: JSON in text frames (version 11), or MessagePack in binary ones (10).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    Json,
    Binary,
}

/// One address of MAX.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `ws` or `wss`, with a host.
    pub url: Url,
    /// What it speaks.
    pub dialect: Dialect,
}

/// `[upstream]`: MAX.
pub struct Upstream {
    /// The preferred first; never empty.
    pub endpoints: Vec<Endpoint>,
    /// What MAX is told; it refuses old ones. Digits and dots.
    pub app_version: String,
    /// Certificates in PEM form that are trusted besides Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// One answer of MAX.
    pub answer_timeout: Duration,
    /// Out of reach for so long, a login fails.
    pub give_up_after: Duration,
}

/// `log.format`: lines for people, or JSON lines for programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    Text,
    Json,
}

/// `[log]`: standard error.
pub struct Log {
    /// The least important line that is shown.
    pub level: tracing::Level,
    /// How a line looks.
    pub format: LogFormat,
}

/// What the command line says over file and environment.
#[derive(Default)]
pub struct Flags {
    /// `--config`: a TOML file.
    pub config: Option<PathBuf>,
    /// `--listen`: wins over everything.
    pub listen: Option<String>,
}

/// Why there is no configuration: each line says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Invalid(pub Vec<String>);

/// A configuration and the text that shows it.
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// As TOML, with where each value came from.
    pub shown: String,
    /// Nobody said where to listen.
    pub default_listen: bool,
}

/// A variable of the environment that belongs to no setting, such as `LANG`; an empty one is none.
#[expect(clippy::disallowed_methods, reason = "config is the module that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Config {
    /// Reads defaults, file, environment and flags; says everything that is wrong at once.
    pub fn load(flags: &Flags) -> Result<Loaded, Invalid> {
        #[expect(clippy::disallowed_methods, reason = "config is the module that reads the environment")]
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let file = match &flags.config {
            None => None,
            Some(path) => Some((path.as_path(), reader::read_file(path).map_err(|why| Invalid(vec![why]))?)),
        };
        Self::from_sources(file.as_ref().map(|(path, text)| (*path, text.as_str())), variables, flags)
    }

    fn from_sources(
        file: Option<(&Path, &str)>,
        variables: impl Iterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Loaded, Invalid> {
        let mut settings = ConfigMerger::with_defaults();
        if let Some((path, text)) = file {
            settings.add_file(&path.display().to_string(), text);
        }
        settings.add_environment(variables);
        settings.add_flag("server.listen", flags.listen.clone(), "--listen");
        let config = build(&mut settings);
        match config {
            Some(config) if !settings.has_errors() => {
                let default_listen = settings.source("server.listen") == Some(&Source::Default);
                Ok(Loaded { config, shown: settings.show(), default_listen })
            }
            _ => Err(Invalid(settings.into_errors())),
        }
    }
}

fn build(settings: &mut ConfigMerger) -> Option<Config> {
    // Each section is read even when another failed: all errors are told at once.
    let (server, upstream, login) = (server(settings), upstream(settings), login::read(settings));
    let official = driver::read(settings, server.as_ref(), login.as_ref());
    let groups = Groups::read(settings);
    let known = groups.clone().unwrap_or_default();
    let (session, oidc) = (session::read(settings, &known), oidc::read(settings, &known));
    let store = store::read(settings);
    let (audit, traces, log) = (audit::read(settings), traces::read(settings), log(settings));
    let texts = texts(settings);
    Some(Config {
        server: server?,
        upstream: upstream?,
        login: login?,
        official: official?,
        session: session?,
        store: store?,
        oidc: oidc?,
        groups: groups?,
        audit: audit?,
        traces: traces?,
        log: log?,
        texts: texts?,
    })
}

fn server(settings: &mut ConfigMerger) -> Option<Server> {
    let listen = settings.read("server.listen", value::socket);
    let ops_listen = settings.read("server.ops_listen", value::socket);
    let public_url =
        settings.read("server.public_url", |value| value::optional_text(value)?.map(public_url).transpose());
    let base_path = settings.read("server.base_path", base_path);
    let trusted_proxies = settings.read("server.trusted_proxies", |value| value::list(value, value::network));
    let origins = settings
        .read("server.allowed_origins", |value| value::list(value, |value| Origin::parse(&value::text(value)?)));
    let node = settings.read("server.node", |value| {
        let name = value::optional_text(value)?.unwrap_or_else(|| "node".to_owned());
        let fine = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if fine { Ok(name) } else { Err(format!("{name:?} is not a name such as \"sign-in-1\"")) }
    });
    let public_health = settings.read("server.public_health", value::flag);
    let stop_timeout = settings.read("server.stop_timeout", value::positive_duration);
    let (listen, ops_listen, public_url) = (listen?, ops_listen?, public_url?);
    if listen == ops_listen && listen.port() != 0 {
        settings.error("server.ops_listen", "is the public listener's address; the operator's must be another");
        return None;
    }
    let mut server = Server {
        listen,
        ops_listen,
        public_url: public_url.clone().or_else(|| Url::parse("http://localhost/").ok())?,
        public_url_given: public_url.is_some(),
        allowed_origins_given: false,
        base_path: base_path?,
        trusted_proxies: trusted_proxies?,
        allowed_origins: origins?,
        node: node?,
        public_health: public_health?,
        stop_timeout: stop_timeout?,
    };
    server.allowed_origins_given = !server.allowed_origins.is_empty();
    if server.public_url_given && !server.allowed_origins_given {
        server.allowed_origins.push(Origin::of(&server.public_url));
    }
    server.listens_at(listen);
    Some(server)
}

impl Server {
    /// Where it really listens, which is where it is reached as long as `public_url` says nothing else.
    ///
    /// On all interfaces that is this machine: which of its names visitors would use is not known, and a name that is
    /// merely believed could be an attacker's who points it here.
    pub fn listens_at(&mut self, address: SocketAddr) {
        self.listen = address;
        if self.public_url_given {
            return;
        }
        let here = match address.ip() {
            ip if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
            _ => address,
        };
        let Ok(url) = Url::parse(&format!("http://{here}/")) else { return };
        self.public_url = url;
        if !self.allowed_origins_given {
            self.allowed_origins = vec![Origin::of(&self.public_url)];
            if here.ip().is_loopback() {
                // What people type for the address above.
                self.allowed_origins.extend(Origin::parse(&format!("http://localhost:{}", here.port())));
            }
        }
    }
}

fn public_url(text: String) -> Result<Url, String> {
    let wrong = |why: &str| format!("{text:?} {why}; expected something like \"https://example.ru\"");
    let url = Url::parse(&text).map_err(|_| wrong("is not an address"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("is not a web address"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(wrong("has something behind the host (the path belongs in server.base_path)"));
    }
    Ok(url)
}

fn base_path(value: &Value) -> Result<String, String> {
    let path = value::text(value)?;
    let fine = path.starts_with('/')
        && !path.ends_with('/')
        && !path.contains("//")
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte));
    if fine { Ok(path) } else { Err(format!("{path:?} is not a path such as \"/api/auth/max\"")) }
}

fn upstream(settings: &mut ConfigMerger) -> Option<Upstream> {
    let endpoints = settings.read("upstream.endpoints", |value| {
        let endpoints = value::list(value, endpoint)?;
        if endpoints.is_empty() { Err("needs one endpoint at least".to_owned()) } else { Ok(endpoints) }
    });
    let app_version = settings.read("upstream.app_version", |value| {
        let version = value::text(value)?;
        let fine =
            !version.is_empty() && version.len() <= 32 && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if fine { Ok(version) } else { Err(format!("{version:?} is not a version such as \"26.10.1\"")) }
    });
    let ca_file = settings.read("upstream.ca_file", value::optional_text);
    let answer_timeout = settings.read("upstream.answer_timeout", value::positive_duration);
    let give_up_after = settings.read("upstream.give_up_after", value::positive_duration);
    Some(Upstream {
        endpoints: endpoints?,
        app_version: app_version?,
        ca_file: ca_file?.map(PathBuf::from),
        answer_timeout: answer_timeout?,
        give_up_after: give_up_after?,
    })
}

fn endpoint(value: &Value) -> Result<Endpoint, String> {
    let shape = "expected { url = \"wss://…\", dialect = \"binary\" or \"json\" }";
    let table = value.as_table().ok_or_else(|| format!("{value}: {shape}"))?;
    if let Some(key) = table.keys().find(|key| !matches!(key.as_str(), "url" | "dialect")) {
        return Err(format!("unknown key {key:?}; {shape}"));
    }
    let url = table.get("url").ok_or_else(|| format!("url is missing; {shape}")).and_then(value::text)?;
    let url = Url::parse(&url).map_err(|error| format!("{url:?}: {error}; {shape}"))?;
    if !matches!(url.scheme(), "ws" | "wss") || !url.has_host() {
        return Err(format!("\"{url}\" must begin with wss:// (or ws:// for a local double)"));
    }
    let dialect = table.get("dialect").ok_or_else(|| format!("dialect is missing; {shape}"))?;
    let dialect = value::choice(dialect, &[("binary", Dialect::Binary), ("json", Dialect::Json)])?;
    Ok(Endpoint { url, dialect })
}

fn log(settings: &mut ConfigMerger) -> Option<Log> {
    let level = settings.read("log.level", |value| {
        let words = ["error", "warn", "info", "debug", "trace"].map(|word| (word, word));
        let word = value::choice(value, &words)?;
        word.parse::<tracing::Level>().map_err(|error| error.to_string())
    });
    let format = settings
        .read("log.format", |value| value::choice(value, &[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    Some(Log { level: level?, format: format? })
}

/// Each language is checked by itself, so that an error names its line.
fn texts(settings: &mut ConfigMerger) -> Option<Arc<Texts>> {
    let instead = Locale::ALL.map(|locale| {
        settings.read(&format!("texts.{}", locale.tag()), |value| {
            let instead = serde_json::to_value(value).map_err(|error| error.to_string())?;
            Texts::with(&[(locale, instead.clone())]).map(|_| (locale, instead))
        })
    });
    let [ru, en] = instead;
    Texts::with(&[ru?, en?]).ok().map(Arc::new)
}
