//! `max-auth emulate`: a stand-in for MAX, for people and for tests.

use super::{CliError, block_on, cannot_run, say, stop_signal};
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::config::{Log, LogFormat};
use crate::emulator::{self, Account, BOT_NAME, BOT_TOKEN, BotOptions, Emulator, Options, Trust};
use crate::observe;
use clap::Args;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::sleep;
use url::Url;

/// How long open connections may take to end at a stop.
const STOP_TIME: Duration = Duration::from_secs(3);

#[derive(Args)]
pub struct Arguments {
    /// Where to listen; loopback only, unless --allow-remote is given too
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8791")]
    listen: SocketAddr,
    /// Approve every code at its Nth status question; 0: only when somebody presses the phone
    #[arg(long, value_name = "N", default_value_t = 0)]
    approve_after: u32,
    /// The interval that clients are told, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 5000)]
    poll_ms: u64,
    /// The lifetime of a code that clients are told, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 120_000)]
    ttl_ms: u64,
    /// Accounts have this cloud password
    #[arg(long, value_name = "PW")]
    password: Option<String>,
    /// Below this version clients get `qr_login.disabled`
    #[arg(long, value_name = "V")]
    min_app_version: Option<String>,
    /// So many people take turns at signing in
    #[arg(long, value_name = "N", default_value_t = NonZeroU32::MIN)]
    people: NonZeroU32,
    /// Ping clients this often
    #[arg(long, value_name = "SECONDS")]
    server_ping: Option<f64>,
    /// Wrap every integer of binary answers in ext type 1
    #[arg(long)]
    wrap_all: bool,
    /// The login token that is handed out, for tests that look for leaks
    #[arg(long, value_name = "TOKEN", hide = true)]
    token: Option<String>,
    /// Play MAX's Bot API at /bot-api, too, and the phones of those who talk to the bot
    #[arg(long)]
    bot: bool,
    /// The bot's name, as in https://max.ru/NAME
    #[arg(long, value_name = "NAME", default_value = BOT_NAME, requires = "bot")]
    bot_name: String,
    /// The bot's token
    #[arg(long, value_name = "TOKEN", default_value = BOT_TOKEN, requires = "bot")]
    bot_token: String,
    /// Webhooks are tried again, and subscriptions removed, N times faster than MAX does
    #[arg(long, value_name = "N", default_value_t = NonZeroU32::MIN, requires = "bot")]
    bot_clock: NonZeroU32,
    /// Certificates of webhooks may also come from these authorities (PEM)
    #[arg(long, value_name = "FILE", requires = "bot")]
    bot_ca: Option<PathBuf>,
    /// Where the bot's mini-app lives
    #[arg(long, value_name = "URL", requires = "bot")]
    mini_app: Option<Url>,
    /// Serve others than this machine: anybody can press the phone
    #[arg(long)]
    allow_remote: bool,
}

pub fn run(arguments: Arguments) -> Result<(), CliError> {
    let log = Log { level: tracing::Level::INFO, format: LogFormat::Text };
    let _last_lines = observe::log(&log, None).map_err(|error| cannot_run(&error))?;
    let server_ping = match arguments.server_ping {
        None => None,
        Some(seconds) => match Duration::try_from_secs_f64(seconds) {
            Ok(every) if every >= Duration::from_millis(10) => Some(every),
            _ => return Err(CliError::No("--server-ping: at least 0.01 seconds".to_owned())),
        },
    };
    let usual = Options::default();
    let account = match arguments.token {
        Some(token) => Account { token, ..usual.account },
        None => usual.account,
    };
    let bot = if arguments.bot {
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if arguments.bot_name.is_empty() || !is_name(&arguments.bot_name) {
            return Err(CliError::No("--bot-name: letters, digits and _ - . only".to_owned()));
        }
        let trust =
            Trust::load(arguments.bot_ca.as_deref()).map_err(|error| CliError::No(format!("--bot-ca: {error}")))?;
        Some(BotOptions {
            name: arguments.bot_name,
            token: arguments.bot_token,
            mini_app: arguments.mini_app,
            clock: arguments.bot_clock,
            trust,
        })
    } else {
        None
    };
    let options = Options {
        approve_after: arguments.approve_after,
        poll: Duration::from_millis(arguments.poll_ms),
        ttl: Duration::from_millis(arguments.ttl_ms),
        password: arguments.password,
        min_app_version: arguments.min_app_version,
        server_ping,
        wrap_all_ints: arguments.wrap_all,
        account,
        people: arguments.people,
        bot,
    };
    block_on(emulate(options, arguments.listen, arguments.allow_remote))
}

async fn emulate(options: Options, listen: SocketAddr, allow_remote: bool) -> Result<(), CliError> {
    let tasks = Tasks::new();
    let has_bot = options.bot.is_some();
    let emulator = Emulator::new(options, Clock::system(), Rng::system(), tasks.clone());
    let listener = emulator::listen(listen, allow_remote).await.map_err(|error| cannot_run(&error))?;
    let address = listener.local_addr().map_err(|error| cannot_run(&error))?;
    say(&format!("a stand-in for MAX: ws://{address}/websocket (the phone is at http://{address}/phone)"));
    if has_bot {
        say(&format!(
            "its Bot API: http://{address}/bot-api (the token is {BOT_TOKEN} unless --bot-token says otherwise)"
        ));
    }
    tasks.spawn("emulator", async move { emulator.serve(listener).await });
    stop_signal().await;
    tasks.stopped(sleep(STOP_TIME)).await;
    Ok(())
}
