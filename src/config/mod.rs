//! The settings: read once at the start, then handed out in parts. The only module that reads the environment.

mod reader;
#[cfg(test)]
mod tests;
mod value;

use crate::base::origin::Origin;
use ipnet::IpNet;
use reader::{ConfigMerger, Source};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Value;
use url::Url;

pub struct Config {
    pub server: Server,
    pub upstream: Upstream,
    pub login: Login,
    pub session: Session,
    pub store: Store,
    pub log: Log,
}

pub struct Server {
    pub listen: SocketAddr,
    pub ops_listen: SocketAddr,
    /// Scheme, host and port; no path.
    pub public_url: Url,
    /// Else `public_url` is made from `listen`.
    pub public_url_given: bool,
    allowed_origins_given: bool,
    /// Begins with `/`, does not end with one.
    pub base_path: String,
    pub trusted_proxies: Vec<IpNet>,
    pub allowed_origins: Vec<Origin>,
    pub stop_timeout: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    Json,
    Binary,
}

#[derive(Clone, Debug)]
pub struct Endpoint {
    pub url: Url,
    pub dialect: Dialect,
}

pub struct Upstream {
    pub endpoints: Vec<Endpoint>,
    pub app_version: String,
    pub ca_file: Option<PathBuf>,
    pub answer_timeout: Duration,
    pub give_up_after: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordPolicy {
    Refuse,
    Ask,
}

#[derive(Clone)]
pub struct Login {
    pub first_message_timeout: Duration,
    pub poll_interval: Duration,
    pub ttl: Duration,
    pub grace: Duration,
    pub grace_phone: Duration,
    pub max_active: usize,
    pub starts_per_minute: u32,
    pub password: PasswordPolicy,
}

pub struct Session {
    pub ttl: Duration,
    pub phone: bool,
}

pub struct Store {
    pub path: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    Text,
    Json,
}

pub struct Log {
    pub level: tracing::Level,
    pub format: LogFormat,
}

/// What the command line says over file and environment.
#[derive(Default)]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub listen: Option<String>,
}

/// Why there is no configuration: each line says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Invalid(pub Vec<String>);

/// A configuration and the text that shows it.
pub struct Loaded {
    pub config: Config,
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
            Some(path) => Some((path.as_path(), read_file(path)?)),
        };
        Self::from_sources(file.as_ref().map(|(path, text)| (*path, text.as_str())), variables, flags)
    }

    fn from_sources(
        file: Option<(&Path, &str)>,
        variables: impl Iterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Loaded, Invalid> {
        let mut reader = ConfigMerger::with_defaults();
        if let Some((path, text)) = file {
            reader.add_file(&path.display().to_string(), text);
        }
        reader.add_environment(variables);
        reader.add_flag("server.listen", flags.listen.clone(), "--listen");
        let config = build(&mut reader);
        match config {
            Some(config) if !reader.has_errors() => {
                let default_listen = reader.source("server.listen") == Some(&Source::Default);
                Ok(Loaded { config, shown: reader.show(), default_listen })
            }
            _ => Err(Invalid(reader.into_errors())),
        }
    }
}

fn read_file(path: &Path) -> Result<String, Invalid> {
    std::fs::read_to_string(path).map_err(|error| Invalid(vec![format!("{}: cannot be read: {error}", path.display())]))
}

fn build(reader: &mut ConfigMerger) -> Option<Config> {
    // Each section is read even when another failed: all errors are told at once.
    let (server, upstream, login) = (server(reader), upstream(reader), login(reader));
    let session = session(reader);
    let store = store(reader);
    let log = log(reader);
    Some(Config { server: server?, upstream: upstream?, login: login?, session: session?, store: store?, log: log? })
}

fn server(reader: &mut ConfigMerger) -> Option<Server> {
    let listen = reader.read("server.listen", value::socket);
    let ops_listen = reader.read("server.ops_listen", value::socket);
    let public_url = reader.read("server.public_url", |value| value::optional_text(value)?.map(public_url).transpose());
    let base_path = reader.read("server.base_path", base_path);
    let trusted_proxies = reader.read("server.trusted_proxies", |value| value::list(value, value::network));
    let origins =
        reader.read("server.allowed_origins", |value| value::list(value, |value| Origin::parse(&value::text(value)?)));
    let stop_timeout = reader.read("server.stop_timeout", value::positive_duration);
    let (listen, ops_listen, public_url) = (listen?, ops_listen?, public_url?);
    if listen == ops_listen && listen.port() != 0 {
        reader.error("server.ops_listen", "is the public listener's address; the operator's must be another");
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
    let fine = path.len() > 1
        && path.starts_with('/')
        && !path.ends_with('/')
        && !path.contains("//")
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte));
    if fine { Ok(path) } else { Err(format!("{path:?} is not a path such as \"/api/auth/max\"")) }
}

fn upstream(reader: &mut ConfigMerger) -> Option<Upstream> {
    let endpoints = reader.read("upstream.endpoints", |value| {
        let endpoints = value::list(value, endpoint)?;
        if endpoints.is_empty() { Err("needs one endpoint at least".to_owned()) } else { Ok(endpoints) }
    });
    let app_version = reader.read("upstream.app_version", |value| {
        let version = value::text(value)?;
        let fine =
            !version.is_empty() && version.len() <= 32 && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if fine { Ok(version) } else { Err(format!("{version:?} is not a version such as \"26.10.1\"")) }
    });
    let ca_file = reader.read("upstream.ca_file", value::optional_text);
    let answer_timeout = reader.read("upstream.answer_timeout", value::positive_duration);
    let give_up_after = reader.read("upstream.give_up_after", value::positive_duration);
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

fn login(reader: &mut ConfigMerger) -> Option<Login> {
    let first_message_timeout = reader.read("login.first_message_timeout", value::positive_duration);
    let poll_interval = reader.read("login.poll_interval", value::positive_duration);
    let ttl = reader.read("login.ttl", value::positive_duration);
    let grace = reader.read("login.grace", value::positive_duration);
    let grace_phone = reader.read("login.grace_phone", value::positive_duration);
    let max_active = reader.read("login.max_active", value::number);
    let starts_per_minute = reader.read("login.starts_per_minute", value::number);
    let password = reader.read("login.password", |value| {
        value::choice(value, &[("refuse", PasswordPolicy::Refuse), ("ask", PasswordPolicy::Ask)])
    });
    Some(Login {
        first_message_timeout: first_message_timeout?,
        poll_interval: poll_interval?,
        ttl: ttl?,
        grace: grace?,
        grace_phone: grace_phone?,
        max_active: max_active? as usize,
        starts_per_minute: starts_per_minute?,
        password: password?,
    })
}

fn session(reader: &mut ConfigMerger) -> Option<Session> {
    let ttl = reader.read("session.ttl", value::positive_duration);
    let phone = reader.read("session.phone", value::flag);
    Some(Session { ttl: ttl?, phone: phone? })
}

fn store(reader: &mut ConfigMerger) -> Option<Store> {
    let kind = reader.read("store.kind", |value| value::choice(value, &[("memory", ())]));
    let path =
        reader.read("store.path", |value| value::optional_text(value)?.ok_or_else(|| "needs a directory".to_owned()));
    kind?;
    Some(Store { path: path.map(PathBuf::from)? })
}

fn log(reader: &mut ConfigMerger) -> Option<Log> {
    use tracing::Level;
    let level = reader.read("log.level", |value| {
        let words = [
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
            ("trace", Level::TRACE),
        ];
        value::choice(value, &words)
    });
    let format = reader
        .read("log.format", |value| value::choice(value, &[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    Some(Log { level: level?, format: format? })
}
