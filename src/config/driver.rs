//! `[driver.bot]`, `[driver.mini_app]` and `[identity]`: the official drivers, which ask by the token of a bot.

use super::reader::ConfigMerger;
use super::{Login, Server, value};
use crate::base::driver_name::DriverName;
use crate::base::secret::Secret;
use ipnet::IpNet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Value;
use url::Url;

/// MAX's longest secret of a webhook, in bytes, and its shortest.
const WEBHOOK_SECRET: (usize, usize) = (5, 256);

/// Networks in a table of countries: those of all countries are some 300 000.
const NETWORKS: usize = 1_000_000;

/// Of a demo: the emulator answers on this machine, and a code is as long-lived as MAX's own.
const DEMO_CHECK: Duration = Duration::from_secs(10);
const DEMO_CODE: Duration = Duration::from_secs(120);

/// `driver.bot.receive`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receive {
    /// MAX brings updates.
    Webhook,
    /// We ask for them.
    Poll,
}

/// `driver.mini_app.proximity`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proximity {
    /// Not compared.
    Off,
    /// The person is told.
    Warn,
    /// The person is refused.
    Require,
}

/// `identity.merge`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merge {
    /// Each driver's people are apart.
    Off,
    /// Those of bot and mini-app are the same.
    Official,
    /// Those of all drivers are.
    All,
}

/// What the official drivers need.
pub struct Official {
    /// `[driver.bot]`
    pub bot: Bot,
    /// `[driver.mini_app]`
    pub mini_app: MiniApp,
    /// `identity.merge`
    pub merge: Merge,
}

/// `[driver.bot]`
pub struct Bot {
    /// As in `https://max.ru/NAME`.
    pub name: String,
    /// Of the bot: whoever has it is the bot.
    pub token: Secret,
    /// Others on this machine can read its file.
    pub token_is_open: bool,
    /// Without a slash at its end.
    pub api_url: Url,
    /// Certificates (PEM) that are trusted there instead of the usual ones.
    pub ca_file: Option<PathBuf>,
    /// How updates come.
    pub receive: Receive,
    /// Where MAX brings them, if somebody said.
    pub webhook_url: Option<Url>,
    /// What MAX must say with them; else it is made of the store's key.
    pub secret: Option<Secret>,
    /// Between two looks at the subscription.
    pub check_every: Duration,
    /// Of a code, and of a question.
    pub code_ttl: Duration,
}

impl Official {
    /// A pretended bot, for a demo: both drivers, as their defaults are.
    pub fn of_demo(name: &str, token: &str, api_url: Url, bridge_url: Url) -> Self {
        let bot = Bot {
            name: name.to_owned(),
            token: Secret::new(token.to_owned()),
            token_is_open: false,
            api_url,
            ca_file: None,
            receive: Receive::Webhook,
            webhook_url: None,
            secret: None,
            check_every: DEMO_CHECK,
            code_ttl: DEMO_CODE,
        };
        let mini_app = MiniApp { proximity: Proximity::Off, countries: Vec::new(), match_code: true, bridge_url };
        Self { bot, mini_app, merge: Merge::Off }
    }
}

impl Bot {
    /// Where MAX brings updates, by the server's own address where nobody said.
    pub fn webhook(&self, server: &Server) -> Url {
        let mut usual = server.public_url.clone();
        usual.set_path(&format!("{}/bot/webhook", server.base_path));
        self.webhook_url.clone().unwrap_or(usual)
    }
}

/// `[driver.mini_app]`
pub struct MiniApp {
    /// Whether the phone must be where the browser is.
    pub proximity: Proximity,
    /// Which country a network is of.
    pub countries: Vec<(IpNet, String)>,
    /// Whether the person picks the number that the browser shows.
    pub match_code: bool,
    /// MAX's script.
    pub bridge_url: Url,
}

/// `None` inside where no driver needs them: what is written there is checked all the same, as far as it is written.
pub(super) fn read(
    settings: &mut ConfigMerger,
    server: Option<&Server>,
    login: Option<&Login>,
) -> Option<Option<Official>> {
    let is_needed = login.is_some_and(|login| login.drivers.iter().any(|driver| driver.is_official()));
    let webhook_url = settings.read("driver.bot.webhook_url", |value| match value::optional_text(value)? {
        None => Ok(None),
        Some(text) => web_address(&text).map(Some),
    });
    let mini_app = mini_app(settings);
    let merge = settings.read("identity.merge", |value| match value {
        Value::Boolean(true) => Ok(Merge::All),
        Value::Boolean(false) => Ok(Merge::Off),
        value if value.as_str() == Some("official") => Ok(Merge::Official),
        value => Err(format!("{value} is none of false, true and \"official\"")),
    });
    let name = settings.read("driver.bot.name", |value| {
        let name = value::text(value)?.trim_start_matches('@').to_owned();
        let fine = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        match fine {
            true if name.is_empty() && is_needed => {
                Err("is needed: the bot's name as in https://max.ru/NAME".to_owned())
            }
            true => Ok(name),
            false => Err(format!("{name:?} is not a name such as \"id7700000000_bot\"")),
        }
    });
    let token = token(settings, is_needed);
    let token_is_open = settings.read("driver.bot.token_file", |value| {
        let path = value::optional_text(value)?.filter(|_| is_needed);
        let mode = path.and_then(|path| std::fs::metadata(path).ok()).map(|file| file.permissions().mode());
        Ok(mode.is_some_and(|mode| mode & 0o077 != 0))
    });
    let api_url = settings.read("driver.bot.api_url", |value| {
        let text = value::text(value)?;
        let url = web_address(text.trim_end_matches('/'))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("\"{url}\" has something behind its path"));
        }
        Ok(url)
    });
    let ca_file = settings.read("driver.bot.ca_file", value::optional_text);
    let receive = settings.read("driver.bot.receive", |value| {
        value::choice(value, &[("webhook", Receive::Webhook), ("poll", Receive::Poll)])
    });
    let secret = settings.read("driver.bot.secret_file", |value| {
        value::optional_text(value)?.map(|path| webhook_secret(Path::new(&path))).transpose()
    });
    let check_every = settings.read("driver.bot.check_every", value::positive_duration);
    let code_ttl = settings.read("driver.bot.code_ttl", value::positive_duration);
    let (webhook_url, mini_app, merge) = (webhook_url?, mini_app?, merge?);
    let (name, token, api_url, ca_file, receive) = (name?, token?, api_url?, ca_file?, receive?);
    let (secret, check_every, code_ttl, token_is_open) = (secret?, check_every?, code_ttl?, token_is_open?);
    let Some(token) = token.filter(|_| is_needed) else { return Some(None) };
    let server = server?;
    let ca_file = ca_file.map(PathBuf::from);
    let bot = Bot { name, token, token_is_open, api_url, ca_file, receive, webhook_url, secret, check_every, code_ttl };
    let used = bot.webhook(server);
    let by_webhook = receive == Receive::Webhook && login?.drivers.contains(&DriverName::Bot);
    if by_webhook && !is_here(&used) && (used.scheme() != "https" || used.port().is_some()) {
        let why =
            "must be https without a port: MAX brings updates to port 443 only (receive = \"poll\" needs no address)";
        settings.error("driver.bot.webhook_url", &format!("\"{used}\" {why}"));
        return None;
    }
    Some(Some(Official { bot, mini_app, merge }))
}

fn mini_app(settings: &mut ConfigMerger) -> Option<MiniApp> {
    let policies = [("off", Proximity::Off), ("warn", Proximity::Warn), ("require", Proximity::Require)];
    let proximity = settings.read("driver.mini_app.proximity", |value| value::choice(value, &policies));
    let countries = settings.read("driver.mini_app.countries", |value| {
        value::optional_text(value)?.map_or_else(|| Ok(Vec::new()), |path| countries(Path::new(&path)))
    });
    let match_code = settings.read("driver.mini_app.match_code", value::flag);
    let bridge_url = settings.read("driver.mini_app.bridge_url", |value| web_address(&value::text(value)?));
    let (proximity, countries, match_code) = (proximity?, countries?, match_code?);
    Some(MiniApp { proximity, countries, match_code, bridge_url: bridge_url? })
}

/// From the file, or as it stands; `None` where nobody needs it.
fn token(settings: &mut ConfigMerger, is_needed: bool) -> Option<Option<Secret>> {
    let file = settings.read("driver.bot.token_file", |value| match value::optional_text(value)? {
        Some(path) if is_needed => super::reader::read_file(Path::new(&path)).map(Some),
        _ => Ok(None),
    });
    let token = settings.read("driver.bot.token", value::optional_text);
    let (file, token) = (file?.map(Secret::new), token?.map(Secret::new));
    let both = file.is_some() && token.is_some();
    let token = file.or(token).map(|token| Secret::new(token.expose().trim().to_owned()));
    let fine = |token: &Secret| {
        let text = token.expose();
        !text.is_empty() && text.len() <= 1024 && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    // Never the text itself.
    let wrong = match &token {
        _ if both => Some("is given, and driver.bot.token, too: one of them"),
        None if is_needed => Some("is needed: a file with the bot's token (or MAX_AUTH_DRIVER_BOT_TOKEN)"),
        Some(token) if !fine(token) => Some("does not hold a token: one line of printable characters"),
        _ => None,
    };
    if let Some(why) = wrong {
        settings.error("driver.bot.token_file", why);
        return None;
    }
    Some(token)
}

/// http only on this machine.
fn web_address(text: &str) -> Result<Url, String> {
    let wrong = |why: &str| format!("{text:?} {why}");
    let url = Url::parse(text).map_err(|_| wrong("is not an address"))?;
    let plain = url.username().is_empty() && url.password().is_none() && url.has_host();
    match url.scheme() {
        "https" if plain => Ok(url),
        "http" if plain && is_here(&url) => Ok(url),
        "http" if plain => Err(wrong("must be https; http is for doubles on this machine")),
        _ => Err(wrong("is not a web address")),
    }
}

fn is_here(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn webhook_secret(path: &Path) -> Result<Secret, String> {
    let text = Secret::new(super::reader::read_file(path)?);
    let secret = text.expose().trim();
    let (least, most) = WEBHOOK_SECRET;
    let fine = (least..=most).contains(&secret.len())
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    match fine {
        true => Ok(Secret::new(secret.to_owned())),
        false => Err(format!("{} must hold {least} to {most} of A-Z a-z 0-9 _ -", path.display())),
    }
}

/// Lines of a network and its country.
fn countries(path: &Path) -> Result<Vec<(IpNet, String)>, String> {
    let text = super::reader::read_file(path)?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    let read = |(line, number): (&str, usize)| {
        let mut words = line.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty());
        let (network, country) = (words.next(), words.next());
        let network = network.and_then(|network| network.parse().ok());
        network.zip(country.map(str::to_owned)).ok_or_else(|| {
            format!(
                "{}, line {number}: {line:?} is not a network and a country, such as \"203.0.113.0/24 RU\"",
                path.display()
            )
        })
    };
    let table = lines.take(NETWORKS).map(read).collect::<Result<Vec<_>, _>>()?;
    if table.is_empty() { Err(format!("{} names no network", path.display())) } else { Ok(table) }
}
