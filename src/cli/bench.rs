//! `max-auth bench`: how much a waiting and a finished login cost. Opens logins over plain WebSockets against a server
//! on this machine and, given its process id, reads from /proc what they cost it.

use super::{CliError, block_on, say};
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::base::websocket;
use clap::Args;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Notify, Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

/// One login may take so long to show a code or to succeed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A drawn code is about 3 KiB, in bytes.
const LARGEST_EVENT: usize = 64 * 1024;

/// After the last code: allocations settle.
const SETTLE: Duration = Duration::from_secs(3);

/// How long the processor time of waiting logins is watched.
const WATCH: Duration = Duration::from_secs(10);

#[derive(Args)]
pub struct Arguments {
    /// The login endpoint, e.g. http://127.0.0.1:3001/api/auth/max
    url: Url,
    /// How many logins
    #[arg(long, default_value_t = 1000)]
    logins: usize,
    /// How many are begun at once
    #[arg(long, default_value_t = 50)]
    at_once: usize,
    /// The server's process id, to read memory and processor time of
    #[arg(long)]
    pid: Option<u32>,
    /// Wait for every login to succeed (with `emulate --approve-after N`) instead of holding them
    #[arg(long)]
    finish: bool,
    /// The Origin to send; that of the URL unless given
    #[arg(long)]
    origin: Option<String>,
}

pub fn run(arguments: Arguments) -> Result<(), CliError> {
    let loopback = matches!(arguments.url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if arguments.url.scheme() != "http" || !loopback {
        return Err(CliError::No("bench loads servers on this machine only: http://127.0.0.1:PORT/…".to_owned()));
    }
    block_on(bench(arguments))
}

/// What one login reports.
enum Report {
    Code(Duration),
    Done(Duration),
    Failed(String),
}

async fn bench(arguments: Arguments) -> Result<(), CliError> {
    let cost = |what: &str| arguments.pid.map(|pid| Cost::of(pid).ok_or(what.to_owned()));
    let before =
        cost("before").transpose().map_err(|_| CliError::CannotRun("that process cannot be read".to_owned()))?;
    let tasks = Tasks::new();
    let (reports, mut inbox) = mpsc::channel(1024);
    let plan = Arc::new(Plan {
        origin: arguments.origin.clone().unwrap_or_else(|| arguments.url.origin().ascii_serialization()),
        url: arguments.url.clone(),
        rng: Rng::system(),
        finish: arguments.finish,
        at_once: Semaphore::new(arguments.at_once.max(1)),
        reports,
        release: Notify::new(),
    });
    let began = Instant::now();
    for _ in 0..arguments.logins {
        let plan = Arc::clone(&plan);
        tasks.spawn("bench login", async move { plan.login().await });
    }
    let (mut codes, mut done, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    while done.len() + failed.len() < arguments.logins
        && (arguments.finish || codes.len() + failed.len() < arguments.logins)
    {
        match timeout(PATIENCE, inbox.recv()).await {
            Ok(Some(Report::Code(after))) => codes.push(after),
            Ok(Some(Report::Done(after))) => done.push(after),
            Ok(Some(Report::Failed(why))) => failed.push(why),
            Ok(None) | Err(_) => break,
        }
    }
    let wall = began.elapsed();
    say(&format!("logins {}, failed {}, wall {:.1} s", arguments.logins, failed.len(), wall.as_secs_f64()));
    if let Some(why) = failed.first() {
        say(&format!("first failure: {why}"));
    }
    say(&format!("start to first code: {}", spread(&mut codes)));
    if arguments.finish {
        say(&format!("start to success:    {}", spread(&mut done)));
    }
    if let Some(before) = before {
        tell_cost(&arguments, &before).await;
    }
    plan.release.notify_waiters();
    if failed.is_empty() { Ok(()) } else { Err(CliError::No("some logins failed".to_owned())) }
}

async fn tell_cost(arguments: &Arguments, before: &Cost) {
    let Some(pid) = arguments.pid else { return };
    let count = arguments.logins as f64;
    if !arguments.finish {
        sleep(SETTLE).await;
    }
    let Some(after) = Cost::of(pid) else { return };
    say(&format!("memory before {} KiB, after {} KiB", before.resident_kib, after.resident_kib));
    if arguments.finish {
        let each = (after.cpu_ms - before.cpu_ms) / count;
        return say(&format!("processor time per finished login: {each:.3} ms"));
    }
    let each = (after.resident_kib as f64 - before.resident_kib as f64) / count;
    say(&format!("memory per waiting login: {each:.2} KiB"));
    sleep(WATCH).await;
    if let Some(later) = Cost::of(pid) {
        let each = (later.cpu_ms - after.cpu_ms) * 1000.0 / WATCH.as_secs_f64() / count;
        say(&format!("processor time per waiting login: {each:.1} µs a second"));
    }
}

struct Plan {
    url: Url,
    origin: String,
    rng: Rng,
    finish: bool,
    at_once: Semaphore,
    reports: mpsc::Sender<Report>,
    release: Notify,
}

impl Plan {
    async fn login(&self) {
        let released = self.release.notified();
        let outcome = timeout(PATIENCE, self.sign_in()).await;
        let report = match outcome {
            Err(_) => Report::Failed("too slow".to_owned()),
            Ok(Err(why)) => Report::Failed(why),
            Ok(Ok(Signed::In(after))) => Report::Done(after),
            Ok(Ok(Signed::Waiting(socket))) => {
                // Held until the measuring is over.
                released.await;
                drop(socket);
                return;
            }
        };
        let _ = self.reports.send(report).await;
    }

    async fn sign_in(&self) -> Result<Signed, String> {
        let place = self.at_once.acquire().await.map_err(|error| error.to_string())?;
        let began = Instant::now();
        let address = (self.url.host_str().unwrap_or_default(), self.url.port_or_known_default().unwrap_or(80));
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let headers = [("Origin", self.origin.as_str())];
        let handshake = websocket::connect(stream, &self.url, &headers, &self.rng, LARGEST_EVENT).await;
        let mut socket = handshake.map_err(|error| error.to_string())?;
        let hello = r#"{"userAgent":{"deviceName":"Chrome","osVersion":"Linux"}}"#;
        socket.send(Message::text(hello)).await.map_err(|error| error.to_string())?;
        let mut place = Some(place);
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message.map_err(|error| error.to_string())? else { continue };
            let event: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            match event["event"].as_str() {
                Some("qr") => {
                    place = None;
                    let _ = self.reports.send(Report::Code(began.elapsed())).await;
                    if !self.finish {
                        return Ok(Signed::Waiting(Box::new(Mutex::new(socket))));
                    }
                }
                Some("success") => return Ok(Signed::In(began.elapsed())),
                Some("error") => return Err(event["data"]["code"].to_string()),
                _ => {}
            }
        }
        drop(place);
        Err("the stream ended".to_owned())
    }
}

enum Signed {
    In(Duration),
    Waiting(Box<Mutex<tokio_tungstenite::WebSocketStream<TcpStream>>>),
}

fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    format!("{} samples, p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms", times.len(), at(0.5), at(0.95), at(0.99))
}

/// What a process has used so far.
struct Cost {
    resident_kib: u64,
    cpu_ms: f64,
}

impl Cost {
    fn of(pid: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident_kib = resident.trim().trim_end_matches(" kB").parse().ok()?;
        // utime and stime are the 14th and 15th field; the 2nd, in parentheses, may hold spaces.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        let per_second = rustix::param::clock_ticks_per_second();
        Some(Self { resident_kib, cpu_ms: ticks as f64 * 1000.0 / per_second as f64 })
    }
}
