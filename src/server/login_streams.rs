//! The endpoints that begin a login and stream it: over a WebSocket, server-sent events or long polling.

use super::extract::{
    EventsQuery, LoginPath, StrictQuery, accepts_encoding, count_failures, drawing, heartbeat, is_phone, json_body,
    position, prefers_json, seconds, trial_length, wants_stream, wish_of,
};
use super::logins::Logins;
use super::refusals::{method_not_allowed, position_gone, store_unavailable, too_many_readers};
use super::waiting::{MayWait, waiting};
use crate::base::id::{self, Fingerprint};
use crate::base::limits::BROWSER_MESSAGE;
use crate::base::problem::{Problem, ProblemCode};
use crate::base::websocket::{self, Pending, Refused, UpgradeKind};
use crate::login::{Attach, Drawing, Gone, LogReader, Position};
use crate::transport::begin::{FirstMessage, first_message};
use crate::transport::stream_stats::{StreamGuard, StreamSource, StreamTransport};
use crate::transport::{long_poll, sse, trial, ws};
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::header::{HeaderName, LOCATION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Where a page says the key of its login.
const KEY: HeaderName = HeaderName::from_static("x-max-auth-key");

/// How a WebSocket begins.
enum Opening {
    /// Its first message will say.
    FirstMessage(Box<ws::Context>),
    /// The URL said which login, and from where.
    Resume { reader: LogReader, after: Option<Position>, wish: ws::Wish },
}

/// `GET` (or extended `CONNECT`) and `POST` of the base path.
pub async fn base(
    State(logins): State<Arc<Logins>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    let answer = match websocket::upgrade_asked(&request) {
        Some(asked) => logins.open_socket(asked, request, peer),
        None if request.method() == Method::POST => logins.post(request, peer).await,
        None if matches!(*request.method(), Method::GET | Method::HEAD) => Err(logins.stripped.answer(&request)),
        None => Err(method_not_allowed("GET, POST")),
    };
    answer.unwrap_or_else(|problem| problem.into_response())
}

/// `GET /{login}/events`: the stream from a position, over whatever the request asks for.
/// `GET /{login}/events/{anything}` is the same: an address of its own for each poll, for caches that leave the query out
/// of their key.
pub async fn events(
    State(logins): State<Arc<Logins>>,
    LoginPath(id): LoginPath,
    StrictQuery(query): StrictQuery<EventsQuery>,
    request: Request<Body>,
) -> Response {
    logins.events(&id, &query, request).await.unwrap_or_else(|problem| problem.into_response())
}

impl Logins {
    fn open_socket(
        &self,
        asked: UpgradeKind,
        mut request: Request<Body>,
        peer: SocketAddr,
    ) -> Result<Response, Problem> {
        self.origins.check_upgrade(request.headers())?;
        let wish = wish_of(request.uri())?;
        let flow = self.cookies.flow_or_new(request.headers(), &self.rng);
        let source = self.source(&request);
        let (mut response, pending) = handshake(&mut request, asked)?;
        if let Some(cookie) = self.cookies.set_flow(&flow, self.flow_life) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        let context = self.context(request.headers(), peer, flow.fingerprint, wish);
        self.spawn_socket(pending, Opening::FirstMessage(Box::new(context)), source);
        Ok(response)
    }

    fn context(&self, headers: &HeaderMap, peer: SocketAddr, flow: Fingerprint, wish: ws::Wish) -> ws::Context {
        ws::Context {
            policy: Arc::clone(&self.policy),
            registry: Arc::clone(&self.registry),
            tasks: self.tasks.clone(),
            first_message_timeout: self.first_message_timeout,
            who: self.who(headers, peer),
            flow,
            is_phone: is_phone(headers),
            wish,
        }
    }

    /// Serves the socket once it is there. Each step is a box of its own, so that a waiting login keeps room for its
    /// last one only.
    fn spawn_socket(&self, pending: Pending, opening: Opening, source: StreamSource) {
        let (tasks, ends) = (self.tasks.clone(), Arc::clone(&self.ends));
        self.tasks.spawn("websocket", async move {
            let Some(socket) = Box::pin(pending.socket()).await else { return };
            metrics::counter!("max_auth_streams_total", "transport" => "websocket").increment(1);
            let opened = match opening {
                Opening::FirstMessage(context) => Box::pin(ws::begin(socket, *context)).await,
                Opening::Resume { reader, after, wish } => Some(ws::Opened { socket, reader, after, wish }),
            };
            if let Some(opened) = opened {
                // Only now is it a stream, whose end means something.
                let guard = StreamGuard::new(ends, source, StreamTransport::WebSocket);
                Box::pin(ws::serve(ws::open(opened, tasks, guard))).await;
            }
        });
    }

    /// For an event stream, once it is known to be one: an answer that is whole has no end to write down.
    fn guard(&self, source: StreamSource) -> impl FnOnce() -> StreamGuard + use<> {
        let ends = Arc::clone(&self.ends);
        move || StreamGuard::new(ends, source, StreamTransport::Sse)
    }

    async fn post(&self, request: Request<Body>, peer: SocketAddr) -> Result<Response, Problem> {
        self.origins.check_request(request.headers())?;
        let source = self.source(&request);
        let (parts, body) = request.into_parts();
        let text = json_body(&parts.headers, body).await?;
        let request = match first_message(&text) {
            Ok(FirstMessage::Begin(request)) => *request,
            Ok(FirstMessage::Resume { .. }) => {
                return Err(Problem::invalid(
                    "a POST begins a login; to resume one, GET {login}/events?after=POSITION",
                ));
            }
            Err(why) => return Err(Problem::invalid(why.to_string())),
        };
        let flow = self.cookies.flow_or_new(&parts.headers, &self.rng);
        let is_stream = wants_stream(&parts.headers);
        // Told once, with the first page.
        let key = (!is_stream).then(|| id::encode(&self.rng.bytes::<16>()));
        let key_kept = key.as_ref().map(|key| Fingerprint::of(key.as_bytes()));
        let login = self.begin(request, &parts.headers, peer, &flow.fingerprint, key_kept).await?;
        let reader = login.attach(Attach::Begin).map_err(too_many_readers)?;
        let mut response = if is_stream {
            metrics::counter!("max_auth_streams_total", "transport" => "sse").increment(1);
            sse::serve(reader, None, sse::Shape::default(), false, self.tasks.clone(), self.guard(source))
        } else {
            metrics::counter!("max_auth_streams_total", "transport" => "page").increment(1);
            long_poll::serve(&reader, None, Duration::ZERO, Drawing::Svg, key.as_deref(), &self.tasks)
                .await
                .map_err(|Gone| position_gone())?
        };
        let headers = response.headers_mut();
        if let Some(cookie) = self.cookies.set_flow(&flow, self.flow_life) {
            headers.insert(SET_COOKIE, cookie);
        }
        // Where the stream goes on, for clients that read headers.
        if let Ok(location) = HeaderValue::from_str(&format!("{}/{}/events", self.base_path, login.id.text())) {
            headers.insert(LOCATION, location);
        }
        Ok(response)
    }

    async fn events(&self, id: &str, query: &EventsQuery, mut request: Request<Body>) -> Result<Response, Problem> {
        let asked = websocket::upgrade_asked(&request);
        match asked {
            Some(_) => self.origins.check_upgrade(request.headers())?,
            // Browsers send these with a WebSocket only; a stream here would hang behind a buffer until the page gives up.
            None if query.heartbeat.is_some() || request.headers().contains_key(SEC_WEBSOCKET_KEY) => {
                return Err(self.stripped.answer(&request));
            }
            None if request.method() == Method::GET => self.origins.check_request(request.headers())?,
            None => return Err(method_not_allowed("GET")),
        }
        let is_page = asked.is_none() && query.wait.is_some();
        let login = match request.headers().get(KEY).filter(|_| is_page) {
            Some(key) => self.find_by_key(id, key).await?,
            None => self.find(id, request.headers()).await?,
        };
        let after = position(query, request.headers())?;
        let drawing = drawing(query.drawing.as_deref())?;
        self.registry.reach(&login, after).await.map_err(|error| store_unavailable(&error))?;
        login.log.read(after).map_err(|Gone| position_gone())?;
        count_failures(query.failed.as_deref().unwrap_or_default());
        self.hear_of_frozen(login.id, query.failed.as_deref().unwrap_or_default(), &request);
        let on = |flag: &Option<String>| matches!(flag.as_deref(), Some("1" | "true"));
        if let Some(asked) = asked {
            let wish = ws::Wish { heartbeat: heartbeat(query.heartbeat.as_deref())?, drawing };
            let reader = login.attach(Attach::Resume).map_err(too_many_readers)?;
            let source = self.source(&request);
            let (response, pending) = handshake(&mut request, asked)?;
            self.spawn_socket(pending, Opening::Resume { reader, after, wish }, source);
            return Ok(response);
        }
        if query.wait.is_some() || !wants_stream(request.headers()) && prefers_json(request.headers()) {
            let wait = seconds(query.wait.as_deref())?;
            let attach = if on(&query.wake) { Attach::Resume } else { Attach::NextPage };
            let reader = login.attach(attach).map_err(too_many_readers)?;
            metrics::counter!("max_auth_streams_total", "transport" => "page").increment(1);
            let tasks = self.tasks.clone();
            let page = async move {
                let page = long_poll::serve(&reader, after, wait, drawing, None, &tasks).await;
                page.unwrap_or_else(|Gone| position_gone().into_response())
            };
            return Ok(match request.extensions().get::<MayWait>() {
                Some(MayWait) => waiting(page.boxed()),
                None => page.await,
            });
        }
        let shape = sse::Shape { once: on(&query.once), padded: on(&query.padded), drawing };
        let gzip = accepts_encoding(request.headers(), "gzip");
        if let Some(length) = &query.trial {
            return Ok(trial::serve(login.clock(), trial_length(length)?, shape.padded, gzip));
        }
        let reader = login.attach(Attach::Resume).map_err(too_many_readers)?;
        metrics::counter!("max_auth_streams_total", "transport" => "sse").increment(1);
        let guard = self.guard(self.source(&request));
        Ok(sse::serve(reader, after, shape, gzip, self.tasks.clone(), guard))
    }
}

fn handshake(request: &mut Request<Body>, asked: UpgradeKind) -> Result<(Response, Pending), Problem> {
    websocket::accept(request, asked, BROWSER_MESSAGE).map_err(|refused| match refused {
        Refused::Version => {
            Problem::new(ProblemCode::WebsocketVersion, "Only Sec-WebSocket-Version 13 (RFC 6455) is spoken here.")
                .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
        }
        Refused::NoUpgrade => Problem::new(ProblemCode::UpgradeFailed, "This connection cannot be upgraded."),
    })
}
