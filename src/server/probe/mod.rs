//! What `max-auth doctor` talks to: the request as it arrived, timed streams, a counter, a socket (`crate::probe` is what
//! the two say to each other). Each answer holds the nonce of its question, so that only this server can have given it. It
//! tells nothing that a visitor could not see, and nothing of a login can be reached through it.

mod echo;
mod places;
mod verify_seen;

use super::answer::json;
use super::caching;
use super::extract::StrictQuery;
use super::origin::AllowedOrigins;
use super::refusals::store_unavailable;
use crate::base::address::{Network, subscriber};
use crate::base::client_address::client_address;
use crate::base::clock::Clock;
use crate::base::limits::{BROWSER_MESSAGE, LONG_POLL_WAIT};
use crate::base::problem::{Problem, ProblemCode};
use crate::base::rate::RateLimiter;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::base::websocket::{self, Pending, UpgradeKind};
use crate::probe::{
    ECHO_PATH, EVENTS, EchoAnswer, GAP, HEARTBEAT_MIN, HOLD_MAX, NONCE_MAX, POLL_PATH, PROBE_TIME, PollAnswer,
    ProbeQuery, ProbeVariant, RequestEcho, SIZE_MAX, SOCKET_PATH, STREAM_PATH, SocketGreeting, StreamEvent,
    VERIFY_PATH, VISITOR_COOKIE, VISITOR_PATH, VerifyAnswer, VisitorAnswer,
};
use crate::transport::long_poll::{ACCEL, NOT_STORED};
use crate::transport::probe_stream::{self, Plan, Shape};
use crate::transport::stream_stats::StreamStats;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Router, body::Body};
use echo::Echoes;
use futures_util::SinkExt as _;
use http::header::{CACHE_CONTROL, COOKIE};
use http::request::Parts;
use http::{HeaderMap, Request};
use ipnet::IpNet;
use places::{Places, busy};
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
pub use verify_seen::{Marked, VerifyProbes};

/// Questions of one address in a minute, all of them at once if need be: a doctor asks some thirty.
const ASKED_PER_MINUTE: u32 = 1200;

pub struct Probes {
    echoes: Echoes,
    verify: Arc<VerifyProbes>,
    clock: Clock,
    rng: Rng,
    tasks: Tasks,
    places: Places,
    asked: RateLimiter,
    count: AtomicU64,
}

impl Probes {
    pub fn new(
        origins: AllowedOrigins,
        trusted_proxies: Vec<IpNet>,
        ends: Arc<StreamStats>,
        verify: Arc<VerifyProbes>,
        clock: Clock,
        rng: Rng,
        tasks: Tasks,
    ) -> Self {
        Self {
            echoes: Echoes { origins, trusted_proxies, ends },
            verify,
            clock,
            rng,
            places: Places::new(tasks.clone()),
            tasks,
            asked: RateLimiter::new(ASKED_PER_MINUTE),
            count: AtomicU64::new(0),
        }
    }

    pub fn router(self, base: &str) -> Router {
        // Streams and pages have an address of their own each as well, for caches that leave the query out of their key.
        let own = |path: &str| format!("{base}{path}/{{own}}");
        Router::new()
            .route(&format!("{base}{ECHO_PATH}"), get(echo).post(echo))
            .route(&format!("{base}{STREAM_PATH}"), get(stream).post(stream))
            .route(&own(STREAM_PATH), get(stream).post(stream))
            .route(&format!("{base}{POLL_PATH}"), get(poll).post(poll))
            .route(&own(POLL_PATH), get(poll).post(poll))
            // One address for all, as `/session` has it: what a cache mixes up there it mixes up here.
            .route(&format!("{base}{VISITOR_PATH}"), get(visitor))
            .route(&format!("{base}{VERIFY_PATH}"), get(verify_seen))
            .route(&format!("{base}{SOCKET_PATH}"), any(socket))
            .with_state(Arc::new(self))
    }
}

/// What every probe is asked with.
struct Question {
    probes: Arc<Probes>,
    query: ProbeQuery,
    nonce: String,
    peer: SocketAddr,
    /// Who asks, as far as limits go.
    network: Network,
}

impl FromRequestParts<Arc<Probes>> for Question {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, probes: &Arc<Probes>) -> Result<Self, Response> {
        let peer = ConnectInfo::<SocketAddr>::from_request_parts(parts, probes).await;
        let ConnectInfo(peer) = peer.map_err(IntoResponse::into_response)?;
        let query = StrictQuery::<ProbeQuery>::from_request_parts(parts, probes).await;
        let StrictQuery(query) = query.map_err(IntoResponse::into_response)?;
        let who = client_address(peer.ip(), &parts.headers, &probes.echoes.trusted_proxies);
        let asked = probes.asked.check(who.ip, 1, probes.clock.monotonic());
        asked.map_err(|_| busy().into_response())?;
        if !query.has_valid_nonce() {
            let why = format!("nonce must be 1 to {NONCE_MAX} letters, digits, - or _");
            return Err(Problem::invalid(why).into_response());
        }
        let nonce = query.nonce.clone();
        Ok(Self { probes: Arc::clone(probes), query, nonce, peer, network: subscriber(who.ip) })
    }
}

async fn echo(Question { probes, nonce, peer, .. }: Question, request: Request<Body>) -> Result<Response, Problem> {
    let echo = probes.echoes.of(&request, peer);
    let answer = EchoAnswer { nonce, unix_ms: probes.clock.unix_ms(), echo };
    let mut response = json(&answer);
    response.headers_mut().insert(CACHE_CONTROL, NOT_STORED);
    Ok(response)
}

async fn stream(Question { probes, query, nonce, network, .. }: Question) -> Result<Response, Problem> {
    let (plan, longest) = match query.hold {
        None => (Plan::Events, PROBE_TIME),
        Some(hold) => {
            let hold = Duration::from_millis(hold);
            if hold > HOLD_MAX {
                return Err(Problem::invalid(format!("hold must be at most {} ms", HOLD_MAX.as_millis())));
            }
            let heartbeat = query.heartbeat.map(|heartbeat| Duration::from_millis(heartbeat).max(HEARTBEAT_MIN));
            (Plan::Hold { hold, heartbeat }, if hold < PROBE_TIME { PROBE_TIME } else { HOLD_MAX })
        }
    };
    let size = query.size.unwrap_or(0);
    if size > SIZE_MAX {
        return Err(Problem::invalid(format!("size must be at most {SIZE_MAX} bytes")));
    }
    let place = probes.places.take(network, longest)?;
    let shape = Shape { variant: query.variant.unwrap_or(ProbeVariant::All), plan, size };
    Ok(probe_stream::serve(shape, nonce, probes.clock.clone(), probes.rng.clone(), place))
}

async fn poll(Question { probes, query, nonce, network, .. }: Question) -> Result<Response, Problem> {
    let _place = probes.places.take(network, PROBE_TIME)?;
    sleep(Duration::from_millis(query.hold.unwrap_or(0)).min(LONG_POLL_WAIT)).await;
    let count = probes.count.fetch_add(1, Ordering::Relaxed);
    let mut response = json(&PollAnswer { nonce, count, unix_ms: probes.clock.unix_ms() });
    if query.variant != Some(ProbeVariant::NoHeaders) {
        // As every page of a login.
        caching::forbid(response.headers_mut());
        response.headers_mut().insert(ACCEL.0, ACCEL.1);
    }
    Ok(response)
}

/// Says back what the visitor's own cookie says, under the headers of an answer about one visitor.
async fn visitor(Question { nonce, .. }: Question, headers: HeaderMap) -> Result<Response, Problem> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let word = pairs.find(|(name, _)| *name == VISITOR_COOKIE).map(|(_, word)| word);
    let visitor = word.map(|word| word.chars().filter(char::is_ascii_alphanumeric).take(NONCE_MAX).collect());
    let mut response = json(&VisitorAnswer { nonce, visitor });
    caching::forbid(response.headers_mut());
    Ok(response)
}

/// How a proxy's question about a request with this nonce arrived.
async fn verify_seen(Question { probes, nonce, .. }: Question) -> Result<Response, Problem> {
    let seen = probes.verify.seen(&nonce).await.map_err(|error| store_unavailable(&error))?;
    let mut response = json(&VerifyAnswer { nonce, seen });
    caching::forbid(response.headers_mut());
    Ok(response)
}

/// A WebSocket that says how its request arrived, then three timed messages; without an upgrade it says so.
async fn socket(
    Question { probes, nonce, peer, network, .. }: Question,
    mut request: Request<Body>,
) -> Result<Response, Problem> {
    let echo = probes.echoes.of(&request, peer);
    let refused = |why: &str, echo: &RequestEcho| {
        Problem::new(ProblemCode::UpgradeRequired, why)
            .with("nonce", nonce.as_str())
            .with("echo", serde_json::to_value(echo).unwrap_or_default())
    };
    let Some(asked) = websocket::upgrade_asked(&request) else {
        return Err(refused("echo says what arrived", &echo));
    };
    let place = probes.places.take(network, PROBE_TIME)?;
    let (response, pending) = match accept(&mut request, asked) {
        Some(accepted) => accepted,
        None => return Err(refused("the connection cannot be upgraded", &echo)),
    };
    let (tasks, clock) = (probes.tasks.clone(), probes.clock.clone());
    tasks.spawn("probe socket", async move {
        let _place = place;
        // Bounded as a whole: a peer may take nothing, or never finish the handshake.
        let _ = timeout(PROBE_TIME, talk(pending, SocketGreeting { nonce, echo }, clock)).await;
    });
    Ok(response)
}

fn accept(request: &mut Request<Body>, asked: UpgradeKind) -> Option<(Response, Pending)> {
    websocket::accept(request, asked, BROWSER_MESSAGE).ok()
}

async fn talk(pending: Pending, greeting: SocketGreeting, clock: Clock) {
    let Some(mut socket) = pending.socket().await else { return };
    if socket.send(message(&greeting)).await.is_err() {
        return;
    }
    for number in 1..=EVENTS {
        if number > 1 {
            sleep(GAP).await;
        }
        let event = StreamEvent {
            nonce: greeting.nonce.clone(),
            number,
            sent_unix_ms: clock.unix_ms(),
            drawing: String::new(),
        };
        if socket.send(message(&event)).await.is_err() {
            return;
        }
    }
    let _ = socket.close(None).await;
}

fn message(value: &impl Serialize) -> Message {
    Message::text(serde_json::to_string(value).unwrap_or_default())
}
