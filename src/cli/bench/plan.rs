//! What a run will do: its arguments, checked, and the moments at which logins begin.

use clap::{Args, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use url::{Position, Url};

/// Logins of one run: the times of each are kept, 4 bytes three times.
pub const MOST_LOGINS: u64 = 1_000_000;

/// Addresses of servers, of emulators, and processes that are watched.
const MOST_ADDRESSES: usize = 64;

/// Longest of any span that is asked for: an hour.
const LONGEST: f64 = 3600.0;

/// Open files that are not a login's: the runtime, approvals, standard streams, /proc.
const OTHER_FILES: u64 = 160;

/// Addresses of loopback to connect from: each has 28 000 ports.
const MOST_SOURCES: u8 = 250;

#[derive(Args)]
pub struct Arguments {
    /// Login endpoints, e.g. http://127.0.0.1:3001/api/auth/max; each login goes to the next one. This machine's only
    #[arg(required = true, value_name = "URL")]
    urls: Vec<Url>,

    /// Waiting logins: begin so many, and hold them [default: 1000]
    #[arg(long, value_name = "N", help_heading = "Waiting logins (unless another load is asked for)")]
    #[arg(conflicts_with_all = ["visitors", "rate"])]
    logins: Option<u64>,
    /// Begin so many a second
    #[arg(long, value_name = "N", help_heading = "Waiting logins (unless another load is asked for)")]
    #[arg(conflicts_with_all = ["visitors", "rate", "at_once"])]
    ramp: Option<f64>,
    /// Begin the next one when one of so many has its code [default: 50]
    #[arg(long, value_name = "N", help_heading = "Waiting logins (unless another load is asked for)")]
    #[arg(conflicts_with_all = ["visitors", "rate"])]
    at_once: Option<usize>,
    /// Hold them for so long once all wait [default: 10]
    #[arg(long, value_name = "SECONDS", help_heading = "Waiting logins (unless another load is asked for)")]
    #[arg(conflicts_with_all = ["visitors", "rate"])]
    hold: Option<f64>,
    /// Then every one must succeed: approved through --emulator, or by `emulate --approve-after N`
    #[arg(long, help_heading = "Waiting logins (unless another load is asked for)")]
    #[arg(conflicts_with_all = ["visitors", "rate"])]
    finish: bool,

    /// Closed loop: so many visitors, each signs in again as soon as it is done
    #[arg(long, value_name = "N", help_heading = "Closed and open loop")]
    #[arg(conflicts_with = "rate", requires = "seconds")]
    visitors: Option<usize>,
    /// Open loop: logins begin at this rate a second, whatever the server does; times count from the intended start
    #[arg(long, value_name = "R", help_heading = "Closed and open loop", requires = "seconds")]
    rate: Option<f64>,
    /// For so long
    #[arg(long = "for", id = "seconds", value_name = "SECONDS", help_heading = "Closed and open loop")]
    seconds: Option<f64>,
    /// Open loop: not more than so many at once; those over it are counted as not started
    #[arg(long, value_name = "N", help_heading = "Closed and open loop", requires = "rate", default_value_t = 5000)]
    open_at_most: usize,
    /// Open loop: the gaps between starts follow from this number
    #[arg(long, value_name = "N", help_heading = "Closed and open loop", requires = "rate", default_value_t = 1)]
    seed: u64,

    /// They sign in to an app: from /authorize to its tokens and /userinfo, as this client without a secret
    #[arg(
        long,
        value_name = "ID",
        help_heading = "Closed and open loop",
        requires = "seconds",
        requires = "redirect_uri"
    )]
    client: Option<String>,
    /// The redirect URI of that client; nobody goes there
    #[arg(long, value_name = "URI", help_heading = "Closed and open loop", requires = "client")]
    redirect_uri: Option<Url>,

    /// How events travel: a WebSocket, server-sent events, page after page
    #[arg(long, value_enum, default_value_t = Transport::Websocket)]
    transport: Transport,
    /// An emulator whose phone approves the codes, e.g. http://127.0.0.1:8791; may be repeated
    #[arg(long, value_name = "URL")]
    emulator: Vec<Url>,
    /// A server's process, to read memory and processor time of; may be repeated
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// A login that comes back does so at the next address: for servers that share a store
    #[arg(long)]
    any_address: bool,
    /// How long one login may take to show its code, to come back, and to succeed once approved
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0)]
    timeout: f64,
    /// Connect from so many addresses of loopback in turn: 127.0.0.1, 127.0.0.2, …
    #[arg(long, value_name = "N", default_value_t = 8)]
    sources: u8,
    /// The Origin to send; that of the URL unless given
    #[arg(long)]
    origin: Option<String>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// How events travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Transport {
    #[value(alias = "ws")]
    Websocket,
    Sse,
    Poll,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Self::Websocket => "websocket",
            Self::Sse => "sse",
            Self::Poll => "poll",
        }
    }
}

/// An app that is registered at the servers, without a secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    pub id: String,
    pub redirect_uri: Url,
}

/// How logins come.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Load {
    Waiting { logins: u64, begin: Begin, hold: Duration, finish: bool },
    Closed { visitors: usize, length: Duration },
    Open { rate: f64, length: Duration, at_most: usize, seed: u64 },
}

/// How waiting logins begin.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Begin {
    /// So many a second.
    Ramp(f64),
    /// So many without a code at any time.
    AtOnce(usize),
}

/// One of the servers.
#[derive(Clone, Debug)]
pub struct Target {
    pub url: Url,
    pub address: SocketAddr,
    pub origin: String,
}

/// A run whose arguments make sense.
pub struct Plan {
    pub load: Load,
    pub targets: Vec<Target>,
    pub emulators: Vec<SocketAddr>,
    pub transport: Transport,
    pub client: Option<Client>,
    pub pids: Vec<u32>,
    pub any_address: bool,
    pub timeout: Duration,
    pub sources: u8,
    pub json: bool,
}

impl Plan {
    /// Checks the arguments, and says what is wrong with them.
    pub fn of(arguments: &Arguments) -> Result<Self, String> {
        let many = arguments.urls.len().max(arguments.emulator.len()).max(arguments.pid.len());
        if many > MOST_ADDRESSES {
            return Err(format!("{many} addresses or processes; {MOST_ADDRESSES} of each at most"));
        }
        if arguments.sources == 0 || arguments.sources > MOST_SOURCES {
            return Err(format!("--sources: 1 to {MOST_SOURCES}"));
        }
        let target = |url: &Url| {
            let origin = arguments.origin.clone().unwrap_or_else(|| url.origin().ascii_serialization());
            Ok::<_, String>(Target { url: url.clone(), address: loopback(url)?, origin })
        };
        Ok(Self {
            load: load(arguments)?,
            targets: arguments.urls.iter().map(target).collect::<Result<_, _>>()?,
            emulators: arguments.emulator.iter().map(loopback).collect::<Result<_, _>>()?,
            transport: arguments.transport,
            client: arguments
                .client
                .clone()
                .zip(arguments.redirect_uri.clone())
                .map(|(id, redirect_uri)| Client { id, redirect_uri }),
            pids: arguments.pid.clone(),
            any_address: arguments.any_address,
            timeout: span("--timeout", arguments.timeout)?,
            sources: arguments.sources,
            json: arguments.json,
        })
    }

    /// Raises the limit of open files, and says when it is too low for what is planned.
    pub fn raise_files(&self) -> Result<(), String> {
        let limit = getrlimit(Resource::Nofile);
        // Where it cannot be raised, the check below says what that means.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        let open = match self.load {
            Load::Waiting { logins, .. } => logins,
            Load::Closed { visitors, .. } => visitors as u64,
            Load::Open { at_most, .. } => at_most as u64,
        };
        fits(open, getrlimit(Resource::Nofile).current)
    }
}

fn fits(open: u64, limit: Option<u64>) -> Result<(), String> {
    match limit {
        Some(limit) if open + OTHER_FILES > limit => Err(format!(
            "{open} logins at once need {} open files, and the limit is {limit}: raise it (ulimit -n), or run several \
             of these side by side",
            open + OTHER_FILES
        )),
        _ => Ok(()),
    }
}

fn load(arguments: &Arguments) -> Result<Load, String> {
    if let Some(visitors) = arguments.visitors {
        let length = span("--for", arguments.seconds.unwrap_or_default())?;
        return Ok(Load::Closed { visitors: count("--visitors", visitors)?, length });
    }
    if let Some(rate) = arguments.rate {
        let (rate, length) = (per_second("--rate", rate)?, span("--for", arguments.seconds.unwrap_or_default())?);
        if rate * length.as_secs_f64() > MOST_LOGINS as f64 {
            return Err(format!("--rate and --for make more than {MOST_LOGINS} logins, the most of one run"));
        }
        let at_most = count("--open-at-most", arguments.open_at_most)?;
        return Ok(Load::Open { rate, length, at_most, seed: arguments.seed });
    }
    if arguments.seconds.is_some() {
        return Err("--for goes with --visitors or --rate; waiting logins have --hold".to_owned());
    }
    let logins = arguments.logins.unwrap_or(1000);
    if logins == 0 || logins > MOST_LOGINS {
        return Err(format!("--logins: 1 to {MOST_LOGINS}"));
    }
    let begin = match arguments.ramp {
        Some(rate) => Begin::Ramp(per_second("--ramp", rate)?),
        None => Begin::AtOnce(count("--at-once", arguments.at_once.unwrap_or(50))?),
    };
    let hold = match arguments.hold.unwrap_or(10.0) {
        0.0 => Duration::ZERO,
        seconds => span("--hold", seconds)?,
    };
    Ok(Load::Waiting { logins, begin, hold, finish: arguments.finish })
}

fn count(name: &str, count: usize) -> Result<usize, String> {
    match count as u64 {
        1..=MOST_LOGINS => Ok(count),
        _ => Err(format!("{name}: 1 to {MOST_LOGINS}")),
    }
}

fn per_second(name: &str, rate: f64) -> Result<f64, String> {
    // NaN is in no range.
    let fine = (0.01..=100_000.0).contains(&rate);
    if fine { Ok(rate) } else { Err(format!("{name}: 0.01 to 100000 a second")) }
}

fn span(name: &str, seconds: f64) -> Result<Duration, String> {
    let fine = (0.1..=LONGEST).contains(&seconds);
    if fine { Ok(Duration::from_secs_f64(seconds)) } else { Err(format!("{name}: 0.1 to {LONGEST} seconds")) }
}

/// The address of a server on this machine.
fn loopback(url: &Url) -> Result<SocketAddr, String> {
    let ip = match url.host_str() {
        Some("localhost") => Some(Ipv4Addr::LOCALHOST.into()),
        host => host.and_then(|host| host.trim_matches(['[', ']']).parse().ok()),
    };
    match (url.scheme(), ip) {
        ("http", Some(ip)) if std::net::IpAddr::is_loopback(&ip) => {
            Ok(SocketAddr::new(ip, url.port_or_known_default().unwrap_or(80)))
        }
        _ => Err(format!(
            "{} is not on this machine; bench loads and presses only http://127.0.0.1:PORT/…",
            &url[..Position::AfterPort]
        )),
    }
}

/// When logins begin, from the start of the run.
pub enum Arrivals {
    Even {
        gap: Duration,
        next: u64,
        count: u64,
    },
    /// As strangers come: each gap is independent of the others, so they also come in bunches.
    Exponential {
        mean: f64,
        at: f64,
        end: f64,
        state: u64,
    },
}

impl Arrivals {
    pub fn even(per_second: f64, count: u64) -> Self {
        Self::Even { gap: Duration::from_secs_f64(1.0 / per_second), next: 0, count }
    }

    pub fn exponential(per_second: f64, length: Duration, seed: u64) -> Self {
        Self::Exponential { mean: 1.0 / per_second, at: 0.0, end: length.as_secs_f64(), state: seed }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        match self {
            Self::Even { gap, next, count } => {
                let at = gap.mul_f64(*next as f64);
                *next += 1;
                (*next <= *count).then_some(at)
            }
            Self::Exponential { mean, at, end, state } => {
                *at -= (1.0 - unit(state)).ln() * *mean;
                (*at < *end).then(|| Duration::from_secs_f64(*at))
            }
        }
    }
}

/// The next of a sequence of numbers in `0.0..1.0` that a seed gives again (SplitMix64).
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// The plan of a command line, or what is said about it.
    fn plan(line: &str) -> Result<Plan, String> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        let parsed = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        Plan::of(&parsed.arguments)
    }

    const URL: &str = "http://127.0.0.1:1/api";

    #[test]
    fn each_way_of_load_has_its_flags() {
        let load = |line: &str| plan(&format!("{URL} {line}")).map(|plan| plan.load);
        let transport = |name: &str| plan(&format!("{URL} --transport {name}")).unwrap().transport;
        assert_eq!(["ws", "sse", "poll"].map(transport), [Transport::Websocket, Transport::Sse, Transport::Poll]);
        let seconds = Duration::from_secs;
        let waiting = |logins, begin, hold, finish| Ok(Load::Waiting { logins, begin, hold, finish });
        assert_eq!(load(""), waiting(1000, Begin::AtOnce(50), seconds(10), false));
        assert_eq!(load("--logins 5 --ramp 2 --hold 0 --finish"), waiting(5, Begin::Ramp(2.0), seconds(0), true));
        assert_eq!(load("--visitors 3 --for 5"), Ok(Load::Closed { visitors: 3, length: seconds(5) }));
        let open = Load::Open { rate: 20.5, length: seconds(2), at_most: 9, seed: 4 };
        assert_eq!(load("--rate 20.5 --for 2 --open-at-most 9 --seed 4"), Ok(open));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (line, why) in [
            ("--logins 5 --visitors 3 --for 5", "cannot be used with"),
            ("--rate 5 --visitors 3 --for 5", "cannot be used with"),
            ("--ramp 5 --at-once 3", "cannot be used with"),
            ("--finish --rate 5 --for 5", "cannot be used with"),
            ("--hold 5 --visitors 5 --for 5", "cannot be used with"),
            ("--visitors 3", "--for"),
            ("--rate 3", "--for"),
            ("--seed 3", "--rate"),
            ("--for 3", "--hold"),
            ("--logins 0", "--logins: 1 to"),
            ("--logins 1000001", "--logins: 1 to"),
            ("--at-once 0", "--at-once: 1 to"),
            ("--ramp 0", "--ramp: 0.01"),
            ("--ramp NaN", "--ramp: 0.01"),
            ("--rate inf --for 1", "--rate: 0.01"),
            ("--rate 1000 --for 3600", "more than 1000000"),
            ("--visitors 1 --for 3601", "--for: 0.1"),
            ("--hold=-1", "--hold: 0.1"),
            ("--hold 0.01", "--hold: 0.1"),
            ("--timeout 0", "--timeout: 0.1"),
            ("--client app --visitors 3 --for 1", "--redirect-uri"),
            ("--redirect-uri https://app.example.ru/cb --visitors 3 --for 1", "--client"),
            ("--client app --redirect-uri https://app.example.ru/cb", "--for"),
            ("--sources 0", "--sources: 1 to"),
            ("--transport pigeon", "possible values"),
            ("http://192.0.2.1/api", "http://192.0.2.1 is not on this machine"),
            ("http://localhost.example/api", "is not on this machine"),
            ("https://127.0.0.1/api", "is not on this machine"),
            ("--emulator http://192.0.2.1:8791", "http://192.0.2.1:8791 is not on this machine"),
        ] {
            let said = plan(&format!("{URL} {line}")).err().unwrap_or_default();
            assert!(said.contains(why), "{line}: {said:?}");
        }
    }

    #[test]
    fn every_address_of_this_machine_is_one() {
        let plan = plan("http://localhost:5/a http://127.0.0.9/b http://[::1]:7/c").ok();
        let addresses: Vec<String> =
            plan.into_iter().flat_map(|plan| plan.targets).map(|target| target.address.to_string()).collect();
        assert_eq!(addresses, ["127.0.0.1:5", "127.0.0.9:80", "[::1]:7"]);
    }

    #[test]
    fn a_ramp_is_even() {
        let all: Vec<Duration> = Arrivals::even(4.0, 5).collect();
        assert_eq!(all, [0, 250, 500, 750, 1000].map(Duration::from_millis));
    }

    #[test]
    fn strangers_come_at_the_rate_in_bunches_and_the_same_for_the_same_seed() {
        let length = Duration::from_secs(100);
        let all: Vec<Duration> = Arrivals::exponential(50.0, length, 7).collect();
        // 5 000 expected; the standard deviation is 71.
        assert!((4700..5300).contains(&all.len()), "{}", all.len());
        assert!(all.is_sorted() && all.iter().all(|&at| at < length));
        let gaps: Vec<f64> = all.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let longer = gaps.iter().filter(|&&gap| gap > 1.0 / 50.0).count() as f64 / gaps.len() as f64;
        assert!((longer - (-1.0_f64).exp()).abs() < 0.03, "a share of 1/e is longer than the mean: {longer}");
        assert_eq!(all, Arrivals::exponential(50.0, length, 7).collect::<Vec<_>>());
        assert_ne!(all, Arrivals::exponential(50.0, length, 8).collect::<Vec<_>>());
    }

    #[test]
    fn more_logins_than_files_are_refused_with_both_numbers() {
        assert_eq!((fits(1000, Some(1000 + OTHER_FILES)), fits(1000, None)), (Ok(()), Ok(())));
        let why = fits(1001, Some(1000 + OTHER_FILES)).unwrap_err();
        let needed = format!(
            "1001 logins at once need {} open files, and the limit is {}:",
            1001 + OTHER_FILES,
            1000 + OTHER_FILES
        );
        assert!(why.starts_with(&needed), "{why}");
    }
}
