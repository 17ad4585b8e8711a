//! What `max-auth doctor` talks to: the request as it arrived, timed streams, a counter, a socket. Each answer holds
//! the nonce of its question, so that only this server can have given it. It tells nothing that a visitor could not
//! see, and nothing of a login can be reached through it.

use super::asked::Asked as AskedQuery;
use super::caching;
use super::hop::{hop, marks};
use super::origin::AllowedOrigins;
use crate::base::address::{Network, subscriber};
use crate::base::client_address::{ClientAddress, client_address};
use crate::base::clock::Clock;
use crate::base::limits::{BROWSER_MESSAGE, PAGE_WAIT};
use crate::base::problem::Problem;
use crate::base::rate::RateLimiter;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::base::websocket::{self, Asked, Pending};
use crate::transport::ends::Ends;
use crate::transport::page::{ACCEL, NOT_STORED};
use crate::transport::probe_stream::{self, Dress, EVENTS, GAP, Plan, Shape};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use futures_util::SinkExt as _;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, COOKIE, FORWARDED, HOST, HeaderName, ORIGIN, RETRY_AFTER,
    SEC_WEBSOCKET_KEY, UPGRADE, VIA,
};
use http::{HeaderValue, Request, StatusCode};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

/// Probes at once: a doctor has eight, and a handful of doctors is a crowd.
const AT_ONCE: usize = 64;

/// Of these, what one address may hold: two doctors behind one address, and not the places of everybody.
const AT_ONCE_EACH: usize = 24;

/// Questions of one address in a minute, all of them at once if need be: a doctor asks some thirty.
const ASKED_PER_MINUTE: u32 = 1200;

/// Longest probe; a reader that takes nothing loses its place then.
const LONGEST: Duration = Duration::from_secs(10);

/// `--slow` waits for idle cuts, the commonest of which comes after 60 s; so few of those at once.
const SLOW_AT_ONCE: usize = 16;
const SLOW_LONGEST: Duration = Duration::from_secs(80);

/// Shortest time between two comments of a held stream: a probe is not a flood.
const SHORTEST_BEAT: Duration = Duration::from_millis(250);

/// Bytes of an event: more than any proxy's buffers hold that passes on what does not fit.
const LARGEST: usize = 128 * 1024;

/// A nonce, in bytes; the doctor's has 22.
const NONCE: usize = 64;

/// A header is echoed up to here, in characters.
const ECHOED: usize = 300;

/// The doctor's cookie at `/probe/visitor`.
const VISITOR: &str = "max-auth-probe=";

/// Where the doctor says which address its connection has on its own side: if the same one arrives, nothing is between.
const FROM: HeaderName = HeaderName::from_static("x-max-auth-probe-from");

pub struct Probes {
    origins: AllowedOrigins,
    trusted_proxies: Vec<IpNet>,
    ends: Arc<Ends>,
    clock: Clock,
    rng: Rng,
    tasks: Tasks,
    places: Arc<Semaphore>,
    slow_places: Arc<Semaphore>,
    /// Places in use by each address; an address that has none is not in it, so the places bound it.
    held: Arc<Mutex<HashMap<Network, usize>>>,
    asked: RateLimiter,
    count: AtomicU64,
}

impl Probes {
    pub fn new(
        origins: AllowedOrigins,
        trusted_proxies: Vec<IpNet>,
        ends: Arc<Ends>,
        clock: Clock,
        rng: Rng,
        tasks: Tasks,
    ) -> Self {
        Self {
            origins,
            trusted_proxies,
            ends,
            clock,
            rng,
            tasks,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            slow_places: Arc::new(Semaphore::new(SLOW_AT_ONCE)),
            held: Arc::default(),
            asked: RateLimiter::new(ASKED_PER_MINUTE),
            count: AtomicU64::new(0),
        }
    }

    pub fn router(self, base: &str) -> Router {
        Router::new()
            .route(&format!("{base}/probe"), get(echo).post(echo))
            .route(&format!("{base}/probe/stream"), get(stream).post(stream))
            // An address of its own for each, for caches that leave the query out of their key.
            .route(&format!("{base}/probe/stream/{{own}}"), get(stream).post(stream))
            .route(&format!("{base}/probe/poll/{{own}}"), get(poll).post(poll))
            .route(&format!("{base}/probe/poll"), get(poll).post(poll))
            // One address for all, as `/session` has it: what a cache mixes up there it mixes up here.
            .route(&format!("{base}/probe/visitor"), get(visitor))
            .route(&format!("{base}/probe/socket"), any(socket))
            .with_state(Arc::new(self))
    }

    /// Who asks, as far as limits go; an error once it asked too often.
    fn asking<B>(&self, request: &Request<B>, peer: SocketAddr) -> Result<Network, Problem> {
        let who = client_address(peer.ip(), request.headers(), &self.trusted_proxies);
        let checked = self.asked.check(who.ip, 1, self.clock.monotonic());
        checked.map(|()| subscriber(who.ip)).map_err(|_| busy())
    }

    /// A place among the probes, given back after `longest` at the latest.
    fn place(&self, key: Network, longest: Duration) -> Result<Place, Problem> {
        let places = if longest > LONGEST { &self.slow_places } else { &self.places };
        let permit = Arc::clone(places).try_acquire_owned().map_err(|_| busy())?;
        let held = Held::take(&self.held, key).ok_or_else(busy)?;
        let over = Arc::new(Notify::new());
        let place = Place(Arc::clone(&over));
        // On a timer of its own: a body that nobody reads is not polled and could not end itself.
        self.tasks.spawn("probe place", async move {
            let _permit: OwnedSemaphorePermit = permit;
            let _held = held;
            let _ = timeout(longest, over.notified()).await;
        });
        Ok(place)
    }

    fn echo<B>(&self, request: &Request<B>, peer: SocketAddr, nonce: &str) -> Value {
        let headers = request.headers();
        let text = |name: &HeaderName| {
            let values: Vec<String> = headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).chars().take(ECHOED).collect())
                .collect();
            (!values.is_empty()).then(|| values.join(", "))
        };
        let origin = text(&ORIGIN);
        let who = client_address(peer.ip(), headers, &self.trusted_proxies);
        let from = text(&FROM).and_then(|from| from.parse::<SocketAddr>().ok());
        let direct =
            from.is_some_and(|from| from.port() == peer.port() && from.ip().to_canonical() == peer.ip().to_canonical());
        // What a visitor who stays long enough sees: the timer that ends streams of this way.
        let timers: Vec<Value> = match self.ends.summary(Some(&*hop(request))) {
            Value::Array(rows) => rows.into_iter().filter(|row| !row["timer"].is_null()).collect(),
            _ => Vec::new(),
        };
        json!({
            "nonce": nonce,
            "timers": timers.iter().map(|row| json!({
                "transport": row["transport"], "cut": row["cut"], "timer": row["timer"],
            })).collect::<Vec<_>>(),
            "unixMs": self.clock.unix_ms(),
            "method": request.method().as_str(),
            "httpVersion": format!("{:?}", request.version()),
            // HTTP/2 names the host in its own place.
            "host": text(&HOST).or_else(|| request.uri().authority().map(ToString::to_string)),
            "connection": text(&CONNECTION),
            "upgrade": text(&UPGRADE),
            "secWebSocketKey": headers.contains_key(SEC_WEBSOCKET_KEY),
            "acceptEncoding": text(&ACCEPT_ENCODING),
            "via": text(&VIA),
            "marks": marks(headers).collect::<Vec<_>>(),
            "forwarded": text(&FORWARDED).map(|chain| hops_of(&chain)),
            // The addresses of inner proxies are nobody's business outside; that there is a chain is.
            "xForwardedFor": text(&HeaderName::from_static("x-forwarded-for")).map(|chain| hops_of(&chain)),
            "xForwardedProto": text(&HeaderName::from_static("x-forwarded-proto")),
            "xForwardedHost": text(&HeaderName::from_static("x-forwarded-host")),
            "originAllowed": origin.as_deref().map(|origin| self.origins.contains(origin)),
            "origin": origin,
            "clientAddress": told(who, direct),
            "clientIsAsker": from.map(|from| from.ip().to_canonical() == who.ip),
            "clientIsInner": is_inner(who.ip),
            "proxyUnlisted": who.unlisted_proxy,
            "direct": from.map(|_| direct),
        })
    }
}

/// How many hops a forwarding header lists: `2 hops`.
fn hops_of(chain: &str) -> String {
    format!("{} hops", chain.split(',').count())
}

/// The visitor's address as it was understood, unless that is one of the inside, which is nobody's business outside.
fn told(who: ClientAddress, direct: bool) -> Option<String> {
    (direct || (!who.unlisted_proxy && !is_inner(who.ip))).then(|| who.ip.to_string())
}

/// Not an address that a visitor out there has.
fn is_inner(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

fn busy() -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "probes-busy", "Too many probes", "Try again in ten seconds.")
        .header(RETRY_AFTER, HeaderValue::from_static("10"))
}

/// One more place in use by an address, until it is dropped.
struct Held {
    table: Arc<Mutex<HashMap<Network, usize>>>,
    key: Network,
}

impl Held {
    fn take(table: &Arc<Mutex<HashMap<Network, usize>>>, key: Network) -> Option<Self> {
        let mut held = table.lock().unwrap_or_else(PoisonError::into_inner);
        let number = held.entry(key).or_insert(0);
        if *number >= AT_ONCE_EACH {
            return None;
        }
        *number += 1;
        Some(Self { table: Arc::clone(table), key })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = held.get_mut(&self.key) {
            *number -= 1;
            if *number == 0 {
                held.remove(&self.key);
            }
        }
    }
}

/// A place that is in use; dropping it gives it back.
struct Place(Arc<Notify>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[derive(Deserialize)]
struct Asking {
    nonce: String,
    /// The stream's dress; of a page only whether it has headers at all.
    #[serde(rename = "as")]
    dress: Option<String>,
    /// Milliseconds: how long the stream or the page is held.
    hold: Option<u64>,
    /// Milliseconds between the comments of a held stream.
    beat: Option<u64>,
    /// Bytes of each event beyond its own: a code and its drawing have 3 KiB, and some proxies begin to compress at 512.
    size: Option<usize>,
}

impl Asking {
    fn nonce(&self) -> Result<&str, Problem> {
        let fine = (1..=NONCE).contains(&self.nonce.len())
            && self.nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if fine { Ok(&self.nonce) } else { Err(invalid("nonce must be 1 to 64 letters, digits, - or _")) }
    }

    fn dress(&self) -> Result<Dress, Problem> {
        let dress = self.dress.as_deref().unwrap_or("all");
        Dress::parse(dress).ok_or_else(|| invalid("as must be one of naive, accel, no-transform, all, gzip, best"))
    }
}

fn invalid(why: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid-request", "The request cannot be read", why)
}

async fn echo(
    State(probes): State<Arc<Probes>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    AskedQuery(asking): AskedQuery<Asking>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let nonce = asking.nonce()?;
    probes.asking(&request, peer)?;
    let body = probes.echo(&request, peer, nonce);
    let mut response = json_answer(&body);
    response.headers_mut().insert(CACHE_CONTROL, NOT_STORED);
    Ok(response)
}

fn json_answer(body: &Value) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.to_string()).into_response()
}

async fn stream(
    State(probes): State<Arc<Probes>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    AskedQuery(asking): AskedQuery<Asking>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let key = probes.asking(&request, peer)?;
    let (nonce, dress) = (asking.nonce()?.to_owned(), asking.dress()?);
    let (plan, longest) = match asking.hold {
        None => (Plan::Events, LONGEST),
        Some(hold) => {
            let hold = Duration::from_millis(hold);
            if hold > SLOW_LONGEST {
                return Err(invalid("hold must be at most 80000 ms"));
            }
            let beat = asking.beat.map(|beat| Duration::from_millis(beat).max(SHORTEST_BEAT));
            (Plan::Hold { hold, beat }, if hold < LONGEST { LONGEST } else { SLOW_LONGEST })
        }
    };
    let size = asking.size.unwrap_or(0);
    if size > LARGEST {
        return Err(invalid("size must be at most 131072 bytes"));
    }
    let place = probes.place(key, longest)?;
    let shape = Shape { dress, plan, size };
    Ok(probe_stream::serve(shape, nonce, probes.clock.clone(), probes.rng.clone(), place))
}

/// A number that is another one each time, so that an answer out of a cache shows.
async fn poll(
    State(probes): State<Arc<Probes>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    AskedQuery(asking): AskedQuery<Asking>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let key = probes.asking(&request, peer)?;
    let (nonce, dress) = (asking.nonce()?.to_owned(), asking.dress()?);
    let _place = probes.place(key, LONGEST)?;
    sleep(Duration::from_millis(asking.hold.unwrap_or(0)).min(PAGE_WAIT)).await;
    let count = probes.count.fetch_add(1, Ordering::Relaxed);
    let mut response = json_answer(&json!({ "nonce": nonce, "count": count, "unixMs": probes.clock.unix_ms() }));
    if dress != Dress::Naive {
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, NOT_STORED);
        headers.insert(ACCEL.0, ACCEL.1);
    }
    Ok(response)
}

/// Says back what the visitor's own cookie says, under the headers of an answer about one visitor. Whoever reads
/// somebody else's word here would also be taken for somebody else.
async fn visitor(
    State(probes): State<Arc<Probes>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    AskedQuery(asking): AskedQuery<Asking>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    probes.asking(&request, peer)?;
    let nonce = asking.nonce()?;
    let cookies = request.headers().get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let own = cookies.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix(VISITOR));
    let own = own.map(|word| word.chars().filter(char::is_ascii_alphanumeric).take(NONCE).collect::<String>());
    let mut response = json_answer(&json!({ "nonce": nonce, "visitor": own }));
    caching::forbid(response.headers_mut());
    Ok(response)
}

/// A WebSocket that says how its request arrived, then three timed messages; without an upgrade it says so.
async fn socket(
    State(probes): State<Arc<Probes>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    AskedQuery(asking): AskedQuery<Asking>,
    mut request: Request<Body>,
) -> Result<Response, Problem> {
    let nonce = asking.nonce()?.to_owned();
    let key = probes.asking(&request, peer)?;
    let echo = probes.echo(&request, peer, &nonce);
    let refused = |why: &str, echo: Value| {
        Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade-required", "The Upgrade header did not arrive", why)
            .with("nonce", nonce.as_str())
            .with("echo", echo)
    };
    let Some(asked) = websocket::asked(&request) else {
        return Err(refused("echo says what arrived", echo));
    };
    let place = probes.place(key, LONGEST)?;
    let (response, pending) = match accept(&mut request, asked) {
        Some(accepted) => accepted,
        None => return Err(refused("the connection cannot be upgraded", echo)),
    };
    let (tasks, clock) = (probes.tasks.clone(), probes.clock.clone());
    tasks.spawn("probe socket", async move {
        let _place = place;
        // Bounded as a whole: a peer may take nothing, or never finish the handshake.
        let _ = timeout(LONGEST, talk(pending, echo, nonce, clock)).await;
    });
    Ok(response)
}

fn accept(request: &mut Request<Body>, asked: Asked) -> Option<(Response, Pending)> {
    websocket::accept(request, asked, BROWSER_MESSAGE).ok()
}

async fn talk(pending: Pending, echo: Value, nonce: String, clock: Clock) {
    let Some(mut socket) = pending.socket().await else { return };
    let mut message = json!({ "nonce": nonce, "echo": echo }).to_string();
    for number in 1..=EVENTS {
        if socket.send(Message::text(std::mem::take(&mut message))).await.is_err() {
            return;
        }
        if number > 1 {
            sleep(GAP).await;
        }
        message = json!({ "nonce": nonce, "number": number, "sentUnixMs": clock.unix_ms() }).to_string();
    }
    if socket.send(Message::text(message)).await.is_ok() {
        let _ = socket.close(None).await;
    }
}
