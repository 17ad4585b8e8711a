//! `max-auth doctor`. Exit codes: 0 the best transport works, 1 delivered but by a fallback or with faults, 2 not
//! delivered, 3 could not test.

use super::{complain, networks, say, stop_signal, waiting};
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::config::{self, Config, Flags};
use crate::doctor::{self, DeliveryMode, ForwardAuthReport, NetworksReport, Options, Saved, Step, StoreReport, Trust};
use crate::proxies::Lang;
use clap::Args;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, interval, sleep_until};
use url::Url;

/// Could not test.
pub const CANNOT_TEST: u8 = 3;

#[derive(Args)]
pub struct Arguments {
    /// The site or its login endpoint, e.g. https://example.ru or https://example.ru/api/auth/max
    #[arg(value_name = "URL", value_parser = address, required_unless_present_any = ["upstream", "store", "explain", "forward_auth", "networks"])]
    url: Option<Url>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// An inner address of the same line, such as http://127.0.0.1:8080; repeat it, from the outside inwards
    #[arg(long = "hop", value_name = "URL", value_parser = inner_address)]
    hops: Vec<Url>,
    /// What `nginx -T` printed: findings then name file and line; repeat it, one for each machine
    #[arg(long, value_name = "FILE")]
    nginx: Vec<PathBuf>,
    /// Wait 70 s for connections that are cut when nothing flows
    #[arg(long)]
    slow: bool,
    /// Ask MAX itself, too, as the configured endpoints say: is it in reach, does it give a code?
    #[arg(long)]
    upstream: bool,
    /// Look at the store of the configuration, too: in reach, in time, safe, and which line mends it
    #[arg(long)]
    store: bool,
    /// A protected page, e.g. https://example.ru/report: is it for who is signed in only, does the sign-in lead back to it?
    #[arg(long, value_name = "URL", value_parser = address)]
    forward_auth: Option<Url>,
    /// Ask the running server, too: do sign-ins fail for the visitors of some networks only?
    #[arg(long)]
    networks: bool,
    /// Where --networks asks, e.g. http://127.0.0.1:3002; without it server.ops_listen of the configuration
    #[arg(long, value_name = "URL", value_parser = inner_address, requires = "networks", conflicts_with = "config")]
    ops: Option<Url>,
    /// The configuration file, for --upstream, --store and --networks
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A private authority's certificates (PEM), beside Mozilla's and the system's (or SSL_CERT_FILE's); repeatable
    #[arg(long = "ca-file", value_name = "FILE")]
    ca_files: Vec<PathBuf>,
    /// Accept any certificate, and look at what lies behind it
    #[arg(long, conflicts_with = "ca_files")]
    insecure: bool,
    /// What a finding is about, from docs/troubleshooting.md: `--explain buffered`
    #[arg(long, value_name = "CODE", exclusive = true)]
    explain: Option<String>,
    /// Keep this report for a later --against
    #[arg(long, value_name = "FILE", requires = "url")]
    save: Option<PathBuf>,
    /// What changed since that report was saved?
    #[arg(long, value_name = "FILE", requires = "url")]
    against: Option<PathBuf>,
    /// Ask every 10 s, a line for each transport, until Ctrl-C
    #[arg(long, requires = "url", conflicts_with_all = ["json", "slow", "upstream", "store", "forward_auth", "networks", "save", "against"])]
    watch: bool,
    /// The report's language; without it that of LANG
    #[arg(long, value_enum)]
    lang: Option<Spoken>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Spoken {
    Ru,
    En,
}

/// As locales are looked up: the first that is set counts.
fn lang(asked: Option<Spoken>) -> Lang {
    match asked {
        Some(Spoken::Ru) => Lang::Ru,
        Some(Spoken::En) => Lang::En,
        None => {
            let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(config::environment);
            Lang::of_locale(&locale.unwrap_or_default())
        }
    }
}

/// People type `example.ru`.
fn address(text: &str) -> Result<Url, String> {
    let text = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&text).map_err(|error| format!("{error}; an address is such as https://example.ru"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("{other}: an address begins with http:// or https://")),
    }
}

/// An inner address seldom speaks TLS: `127.0.0.1:8080`.
fn inner_address(text: &str) -> Result<Url, String> {
    address(&if text.contains("://") { text.to_owned() } else { format!("http://{text}") })
}

pub fn run(arguments: Arguments) -> ExitCode {
    outcome(arguments).unwrap_or_else(|why| {
        complain(&why);
        ExitCode::from(CANNOT_TEST)
    })
}

fn outcome(arguments: Arguments) -> Result<ExitCode, String> {
    let lang = lang(arguments.lang);
    if let Some(code) = &arguments.explain {
        say(&doctor::explain(code, lang)?);
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.config.is_some() && !arguments.upstream && !arguments.store && !arguments.networks {
        return Err("--config is for --upstream, --store and --networks; a site is asked without".to_owned());
    }
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let against = match (&arguments.against, &arguments.url) {
        (Some(path), Some(url)) => {
            let named = |why: String| format!("{} {why}", path.display());
            let saved = Saved::read(&read(path)?).map_err(named)?;
            saved.is_about(&doctor::asked(url).map_err(|error| error.to_string())?).map_err(named)?;
            Some(saved)
        }
        _ => None,
    };
    let nginx = arguments.nginx.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let flags = Flags { config: arguments.config, listen: None };
    let load = || {
        let loaded = Config::load(&flags);
        loaded.map(|loaded| loaded.config).map_err(|error| error.to_string())
    };
    let kept = arguments.store.then(load).transpose()?;
    let upstream = arguments.upstream.then(load).transpose()?.map(Arc::new);
    let system = config::environment("SSL_CERT_FILE").map(PathBuf::from);
    let trust = match arguments.insecure {
        true => Trust::Anybody,
        false => Trust::load(&arguments.ca_files, system.as_deref())?,
    };
    let colours = std::io::stdout().is_terminal() && config::environment("NO_COLOR").is_none();
    let slow = arguments.slow;
    let mut options = Options { url: arguments.url, hops: arguments.hops, nginx, slow, trust, upstream, steps: None };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the runtime cannot start: {error}"))?;
    let code = runtime.block_on(async {
        if arguments.watch {
            return Ok(watch(&options, lang, colours).await);
        }
        let unit = lang.say(doctor::SECONDS);
        // By itself: what is asked of it is timed.
        let store = match &kept {
            Some(config) => {
                let logins = config.login.max_active;
                let (clock, rng) = (Clock::system(), Rng::system());
                let asked = doctor::examine_store(&config.store, logins, &clock, &rng);
                Some(waiting::shown("--store", unit, asked).await?)
            }
            None => None,
        };
        let code = store.as_ref().map_or(0, StoreReport::exit_code);
        if let Some(store) = &store
            && !arguments.json
        {
            say(&store.text(colours, lang));
        }
        let page = match &arguments.forward_auth {
            Some(url) => {
                let asked = doctor::examine_forward_auth(url, &options.trust, Clock::system(), Tasks::new());
                let asked = waiting::shown(&format!("--forward-auth {url}"), unit, asked).await;
                Some(asked.map_err(|error| error.to_string())?)
            }
            None => None,
        };
        let code = code.max(page.as_ref().map_or(0, ForwardAuthReport::exit_code));
        if let Some(page) = page.as_ref().filter(|_| !arguments.json) {
            if store.is_some() {
                say("");
            }
            say(&page.text(colours, lang));
        }
        let networks = match arguments.networks {
            true => Some(networks::ask(arguments.ops.as_ref(), &flags).await?),
            false => None,
        };
        let code = code.max(networks.as_ref().map_or(0, NetworksReport::exit_code));
        if let Some(networks) = networks.as_ref().filter(|_| !arguments.json) {
            if store.is_some() || page.is_some() {
                say("");
            }
            say(&networks.text(colours, lang));
        }
        let with_parts = |report: serde_json::Value| {
            let report = store.iter().fold(report, doctor::with_store);
            let report = page.iter().fold(report, doctor::with_forward_auth);
            networks.iter().fold(report, doctor::with_networks)
        };
        let parts = store.is_some() || page.is_some() || networks.is_some();
        if parts && options.url.is_none() && options.upstream.is_none() {
            if arguments.json {
                say(&with_parts(doctor::nothing_asked().json()).to_string());
            }
            return Ok(ExitCode::from(code));
        }
        if parts && !arguments.json {
            say("");
        }
        let (steps, told) = unbounded_channel();
        // Where a person watches, whatever the report goes to.
        let watched = std::io::stderr().is_terminal();
        options.steps = watched.then_some(steps);
        let report = async {
            let report = doctor::examine(&options, Clock::system(), Tasks::new()).await;
            report.map_err(|error| error.to_string())
        };
        let mut report = match watched {
            true => progress(report, told, slow, lang).await?,
            false => report.await?,
        };
        // Without what it was compared with: it is to be compared itself.
        let kept = report.json();
        report.changes = against.map(|saved| saved.changes(&kept));
        match arguments.json {
            true => say(&with_parts(report.json()).to_string()),
            false => say(&report.text(colours, lang)),
        }
        if let Some(path) = &arguments.save {
            std::fs::write(path, format!("{kept:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(ExitCode::from(code.max(report.exit_code())))
    });
    // Connections may still hang; nobody waits for them.
    runtime.shutdown_background();
    code
}

/// A line a part, as it answers; meanwhile for how long it has gone on, or for how long still, where that is long.
async fn progress<T>(report: impl Future<Output = T>, mut told: UnboundedReceiver<Step>, slow: bool, lang: Lang) -> T {
    let began = Instant::now();
    let mut second = interval(Duration::from_secs(1));
    tokio::pin!(report);
    loop {
        tokio::select! {
            report = &mut report => {
                waiting::clear();
                return report;
            }
            Some(step) = told.recv() => {
                let (answered, unit) = (lang.say(doctor::ANSWERED), lang.say(doctor::SECONDS));
                let name = step.name(lang);
                show(&format!("\r  ... {name:<26} {answered} {:.1} {unit}{:20}\n", began.elapsed().as_secs_f64(), ""));
            }
            _ = second.tick() => {
                let unit = lang.say(doctor::SECONDS);
                let gone = began.elapsed();
                let left = doctor::SLOW_HOLD.saturating_sub(gone).as_secs();
                match slow {
                    true => show(&format!("\r  ... {} {left} {unit}  ", lang.say(doctor::STILL))),
                    false if gone.as_secs() == 0 => {}
                    false => show(&format!("\r  ... {} {unit}", gone.as_secs())),
                }
            }
        }
    }
}

fn show(text: &str) {
    use std::io::Write as _;
    let mut terminal = std::io::stderr();
    let _ = terminal.write_all(text.as_bytes());
    let _ = terminal.flush();
}

/// Between two looks of --watch: a look takes up to five seconds and asks some forty questions of 1200 a minute.
const AGAIN: Duration = Duration::from_secs(10);

/// One line a transport, asked again and again; on a terminal in place, elsewhere only when something changed.
async fn watch(options: &Options, lang: Lang, colours: bool) -> ExitCode {
    let (terminal, began) = (std::io::stdout().is_terminal(), Instant::now());
    say(lang.say(doctor::WATCHING));
    let mut log = WatchLog::default();
    let mut code = CANNOT_TEST;
    let stop = stop_signal();
    tokio::pin!(stop);
    loop {
        let next = Instant::now() + AGAIN;
        let report = tokio::select! {
            report = doctor::examine(options, Clock::system(), Tasks::new()) => report,
            () = &mut stop => return ExitCode::from(code),
        };
        match report {
            Err(error) => {
                code = CANNOT_TEST;
                complain(&error.to_string());
                log.drawn = false;
            }
            Ok(report) => {
                code = report.exit_code();
                let changed = log.add(began.elapsed().as_secs(), &report.times);
                if terminal && log.drawn {
                    show_out(&format!("\u{1b}[{}A", report.times.len()));
                }
                if terminal || changed {
                    for line in log.lines(lang, colours) {
                        say(&if terminal { format!("\r\u{1b}[K{line}") } else { line });
                    }
                    log.drawn = true;
                }
            }
        }
        tokio::select! {
            () = sleep_until(next) => {}
            () = &mut stop => return ExitCode::from(code),
        }
    }
}

fn show_out(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// What was seen of each transport, and the first that changed.
#[derive(Default)]
struct WatchLog {
    first: Vec<(DeliveryMode, Option<i64>)>,
    last: Vec<(DeliveryMode, Option<i64>)>,
    /// Which line changed first, after how many seconds, and what it was.
    change: Option<(usize, u64, Option<i64>)>,
    drawn: bool,
}

impl WatchLog {
    /// Whether there is something to tell.
    fn add(&mut self, at: u64, ways: &[(DeliveryMode, Option<i64>)]) -> bool {
        let other = |was: Option<i64>, is: Option<i64>| match (was, is) {
            (Some(was), Some(is)) => doctor::is_slower(was, is),
            (was, is) => was.is_some() != is.is_some(),
        };
        let differs = |before: &[(DeliveryMode, Option<i64>)]| {
            before.iter().zip(ways).position(|((_, was), (_, is))| other(*was, *is))
        };
        let told = self.last.is_empty() || differs(&self.last).is_some();
        if self.first.is_empty() {
            self.first = ways.to_vec();
        }
        if self.change.is_none() {
            self.change = differs(&self.first).map(|index| (index, at, self.first[index].1));
        }
        self.last = ways.to_vec();
        told
    }

    fn lines(&self, lang: Lang, colours: bool) -> Vec<String> {
        let when = |ms: Option<i64>| match ms {
            Some(ms) => format!("{ms} {}", lang.say(doctor::MS)),
            None => lang.say(doctor::NOT_THROUGH).to_owned(),
        };
        let line = |(index, (way, ms)): (usize, &(DeliveryMode, Option<i64>))| {
            let line = format!("{:<10} {:<22}", way.name(), when(*ms));
            match self.change {
                Some((changed, at, was)) if changed == index => {
                    let (first, said) = (lang.say(doctor::FIRST_CHANGE), lang.say(doctor::WAS));
                    let line = format!("{line} <- {first} +{}:{:02}, {said} {}", at / 60, at % 60, when(was));
                    if colours { format!("\u{1b}[1;31m{line}\u{1b}[0m") } else { line }
                }
                _ => line.trim_end().to_owned(),
            }
        };
        self.last.iter().enumerate().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_address_without_a_scheme_speaks_no_tls() {
        assert_eq!(inner_address("127.0.0.1:8080").unwrap().as_str(), "http://127.0.0.1:8080/");
        assert_eq!(inner_address("https://10.0.0.2").unwrap().as_str(), "https://10.0.0.2/");
        assert_eq!(address("example.ru").unwrap().as_str(), "https://example.ru/");
    }

    #[test]
    fn the_first_change_is_marked_and_stays() {
        let ways = |socket, stream| [(DeliveryMode::WebSocket, socket), (DeliveryMode::Sse, stream)];
        let mut log = WatchLog::default();
        assert!(log.add(0, &ways(Some(10), Some(20))));
        assert!(!log.add(10, &ways(Some(14), Some(19))), "nothing to tell");
        assert!(log.add(20, &ways(Some(14), None)));
        assert!(log.add(70, &ways(None, None)));
        let lines = log.lines(Lang::En, false);
        assert!(!lines[0].contains("first change"), "{lines:?}");
        assert!(lines[1].ends_with("<- first change +0:20, was 20 ms"), "{lines:?}");
        assert!(log.lines(Lang::En, true)[1].starts_with('\u{1b}'));
    }
}
