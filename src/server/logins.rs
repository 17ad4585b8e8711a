//! The endpoints of a login: begin, stream, password, give up.

use super::asked::{
    Asked as AskedQuery, EventsQuery, LoginPath, asks_for_marks, count_failures, holds, is_phone, json_body, position,
    prefers_json, seconds, trial_length, wants_stream,
};
use super::cookie::Cookies;
use super::hop::hop;
use super::origin::AllowedOrigins;
use super::upgrade::StrippedUpgrades;
use crate::base::client_address::{ClientAddress, client_address};
use crate::base::id::{Fingerprint, LoginId};
use crate::base::limits::{BROWSER_MESSAGE, GRANT_LIFE, PASSWORD};
use crate::base::problem::{Problem, ProblemCode};
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::base::tasks::Tasks;
use crate::base::websocket::{self, Asked, Pending, Refused};
use crate::login::{Attach, Gone, LogReader, Login, Position, Registry, TooManyReaders};
use crate::texts::Texts;
use crate::transport::begin::{FirstMessage, StartError, StartPolicy, StartRequest, first_message};
use crate::transport::ends::{Ends, Recorder, Transport};
use crate::transport::{page, sse, trial, ws};
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{
    ACCEPT_ENCODING, ALLOW, HeaderName, LOCATION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SET_COOKIE,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use ipnet::IpNet;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Where a page says the key of its login.
const KEY: HeaderName = HeaderName::from_static("x-max-auth-key");

/// What the login endpoints need, and nothing else.
pub struct Logins {
    pub registry: Arc<Registry>,
    pub policy: Arc<StartPolicy>,
    pub origins: AllowedOrigins,
    pub cookies: Cookies,
    pub trusted_proxies: Vec<IpNet>,
    pub base_path: String,
    /// The site as visitors know it: the host of its address.
    pub site: String,
    pub texts: Arc<Texts>,
    pub first_message_timeout: Duration,
    /// `login.ttl` and the grant's life: how long a flow cookie is of use.
    pub flow_life: Duration,
    pub stripped: StrippedUpgrades,
    pub ends: Arc<Ends>,
    pub unlisted_proxy_told: AtomicBool,
    pub tasks: Tasks,
    pub rng: Rng,
}

/// How a WebSocket begins.
enum Opening {
    /// Its first message will say.
    FirstMessage(Box<ws::Context>),
    /// The URL said which login, and from where.
    Resume { reader: LogReader, after: Option<Position>, beat: bool },
}

/// `GET` (or extended `CONNECT`) and `POST` of the base path.
pub async fn base(
    State(logins): State<Arc<Logins>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    let answer = match websocket::asked(&request) {
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
    AskedQuery(query): AskedQuery<EventsQuery>,
    request: Request<Body>,
) -> Response {
    logins.events(&id, &query, request).await.unwrap_or_else(|problem| problem.into_response())
}

/// `POST /{login}/password`
pub async fn password(State(logins): State<Arc<Logins>>, LoginPath(id): LoginPath, request: Request<Body>) -> Response {
    logins.password(&id, request).await.unwrap_or_else(|problem| problem.into_response())
}

/// `DELETE /{login}`: the visitor gave up.
pub async fn delete(State(logins): State<Arc<Logins>>, LoginPath(id): LoginPath, headers: HeaderMap) -> Response {
    let cancelled = logins.origins.check_request(&headers).and_then(|()| logins.find(&id, &headers));
    match cancelled {
        Ok(login) => {
            login.cancel();
            StatusCode::NO_CONTENT.into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

impl Logins {
    fn open_socket(&self, asked: Asked, mut request: Request<Body>, peer: SocketAddr) -> Result<Response, Problem> {
        self.origins.check_upgrade(request.headers())?;
        let flow = self.cookies.flow_or_new(request.headers(), &self.rng);
        let hop = hop(&request);
        let (mut response, pending) = handshake(&mut request, asked)?;
        if let Some(cookie) = self.cookies.set_flow(&flow, self.flow_life) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        let context = self.context(request.headers(), peer, flow.fingerprint, asks_for_marks(request.uri()));
        self.spawn_socket(pending, Opening::FirstMessage(Box::new(context)), hop);
        Ok(response)
    }

    fn context(&self, headers: &HeaderMap, peer: SocketAddr, flow: Fingerprint, beat: bool) -> ws::Context {
        ws::Context {
            policy: Arc::clone(&self.policy),
            registry: Arc::clone(&self.registry),
            tasks: self.tasks.clone(),
            first_message_timeout: self.first_message_timeout,
            who: self.who(headers, peer),
            flow,
            is_phone: is_phone(headers),
            beat,
        }
    }

    /// Serves the socket once it is there. Each step is a box of its own, so that a waiting login keeps room for its
    /// last one only.
    fn spawn_socket(&self, pending: Pending, opening: Opening, hop: Arc<str>) {
        let (tasks, ends) = (self.tasks.clone(), Arc::clone(&self.ends));
        self.tasks.spawn("websocket", async move {
            let Some(socket) = Box::pin(pending.socket()).await else { return };
            metrics::counter!("max_auth_streams_total", "transport" => "websocket").increment(1);
            let opened = match opening {
                Opening::FirstMessage(context) => Box::pin(ws::begin(socket, *context)).await,
                Opening::Resume { reader, after, beat } => Some(ws::Opened { socket, reader, after, beat }),
            };
            if let Some(opened) = opened {
                // Only now is it a stream, whose end means something.
                let recorder = Recorder::new(ends, hop, Transport::WebSocket);
                Box::pin(ws::serve(Box::new(opened), tasks, recorder)).await;
            }
        });
    }

    /// For an event stream, once it is known to be one: an answer that is whole has no end to write down.
    fn recorder(&self, hop: Arc<str>) -> impl FnOnce() -> Recorder + use<> {
        let ends = Arc::clone(&self.ends);
        move || Recorder::new(ends, hop, Transport::Sse)
    }

    async fn post(&self, request: Request<Body>, peer: SocketAddr) -> Result<Response, Problem> {
        self.origins.check_request(request.headers())?;
        let hop = hop(&request);
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
        let login = self.begin(request, &parts.headers, peer, &flow.fingerprint)?;
        let reader = login.attach(Attach::Begin).map_err(too_many_readers)?;
        let mut response = if wants_stream(&parts.headers) {
            metrics::counter!("max_auth_streams_total", "transport" => "sse").increment(1);
            sse::serve(reader, None, sse::Shape::default(), false, self.tasks.clone(), self.recorder(hop))
        } else {
            metrics::counter!("max_auth_streams_total", "transport" => "page").increment(1);
            page::serve(&reader, None, Duration::ZERO, login.issue_key(&self.rng).as_deref(), &self.tasks)
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

    fn begin(
        &self,
        request: StartRequest,
        headers: &HeaderMap,
        peer: SocketAddr,
        flow: &Fingerprint,
    ) -> Result<Arc<Login>, Problem> {
        self.begin_plain(request, headers, peer, flow).map_err(|why| match why {
            StartError::ReturnTo => Problem::new(
                ProblemCode::ReturnToRefused,
                "returnTo must be a path of this site that begins with one slash, or an address on a listed origin.",
            ),
            StartError::RateLimited { retry_after } => Problem::later(
                ProblemCode::RateLimited,
                "Too many sign-ins were begun from this address (login.starts_per_minute).",
                retry_after,
            ),
            StartError::Busy { retry_after } => Problem::later(
                ProblemCode::Busy,
                "As many sign-ins as this server takes are in flight (login.max_active).",
                retry_after,
            ),
        })
    }

    pub fn begin_plain(
        &self,
        request: StartRequest,
        headers: &HeaderMap,
        peer: SocketAddr,
        flow: &Fingerprint,
    ) -> Result<Arc<Login>, StartError> {
        self.policy.begin(request, self.who(headers, peer), *flow, is_phone(headers))
    }

    async fn events(&self, id: &str, query: &EventsQuery, mut request: Request<Body>) -> Result<Response, Problem> {
        let asked = websocket::asked(&request);
        match asked {
            Some(_) => self.origins.check_upgrade(request.headers())?,
            // Browsers send these with a WebSocket only; a stream here would hang behind a buffer until the page gives up.
            None if query.beat.is_some() || request.headers().contains_key(SEC_WEBSOCKET_KEY) => {
                return Err(self.stripped.answer(&request));
            }
            None if request.method() == Method::GET => self.origins.check_request(request.headers())?,
            None => return Err(method_not_allowed("GET")),
        }
        let is_page = asked.is_none() && query.wait.is_some();
        let login = match request.headers().get(KEY).filter(|_| is_page) {
            Some(key) => self.find_by_key(id, key)?,
            None => self.find(id, request.headers())?,
        };
        let after = position(query, request.headers())?;
        login.log.read(after).map_err(|Gone| position_gone())?;
        count_failures(query.failed.as_deref().unwrap_or_default());
        let on = |flag: &Option<String>| matches!(flag.as_deref(), Some("1" | "true"));
        if let Some(asked) = asked {
            let reader = login.attach(Attach::Resume).map_err(too_many_readers)?;
            let hop = hop(&request);
            let (response, pending) = handshake(&mut request, asked)?;
            self.spawn_socket(pending, Opening::Resume { reader, after, beat: on(&query.beat) }, hop);
            return Ok(response);
        }
        if query.wait.is_some() || !wants_stream(request.headers()) && prefers_json(request.headers()) {
            let wait = seconds(query.wait.as_deref())?;
            let attach = if on(&query.wake) { Attach::Resume } else { Attach::NextPage };
            let reader = login.attach(attach).map_err(too_many_readers)?;
            metrics::counter!("max_auth_streams_total", "transport" => "page").increment(1);
            return page::serve(&reader, after, wait, None, &self.tasks).await.map_err(|Gone| position_gone());
        }
        let shape = sse::Shape { once: on(&query.once), insist: on(&query.insist) };
        let gzip = holds(request.headers(), ACCEPT_ENCODING, "gzip");
        if let Some(length) = &query.trial {
            return Ok(trial::serve(login.clock(), trial_length(length)?, shape.insist, gzip));
        }
        let reader = login.attach(Attach::Resume).map_err(too_many_readers)?;
        metrics::counter!("max_auth_streams_total", "transport" => "sse").increment(1);
        let recorder = self.recorder(hop(&request));
        Ok(sse::serve(reader, after, shape, gzip, self.tasks.clone(), recorder))
    }

    async fn password(&self, id: &str, request: Request<Body>) -> Result<Response, Problem> {
        self.origins.check_request(request.headers())?;
        let login = self.find(id, request.headers())?;
        let (parts, body) = request.into_parts();
        let text = json_body(&parts.headers, body).await?;
        #[derive(Deserialize)]
        struct Body {
            password: String,
        }
        let body: Body =
            serde_json::from_slice(&text).map_err(|_| Problem::invalid("the body must be {\"password\":\"…\"}"))?;
        let password = Secret::new(body.password);
        if password.expose().is_empty() || password.expose().len() > PASSWORD {
            return Err(Problem::invalid("the password must have 1 to 256 bytes"));
        }
        login.password(password).map_err(|_| {
            Problem::new(
                ProblemCode::PasswordNotAsked,
                "MAX has not asked this login for a password, or one is being checked.",
            )
        })?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    /// The login, for the browser that began it. For any other it does not exist.
    pub fn find(&self, id: &str, headers: &HeaderMap) -> Result<Arc<Login>, Problem> {
        let found = LoginId::parse(id).and_then(|id| self.registry.find(id, &self.cookies.flow(headers)?.fingerprint));
        found.ok_or_else(login_not_found)
    }

    /// The login, for the page that began it, asking without its cookie.
    fn find_by_key(&self, id: &str, key: &HeaderValue) -> Result<Arc<Login>, Problem> {
        let found = LoginId::parse(id).and_then(|id| self.registry.find_by_key(id, key.as_bytes()));
        found.ok_or_else(login_not_found)
    }

    fn who(&self, headers: &HeaderMap, peer: SocketAddr) -> ClientAddress {
        let who = client_address(peer.ip(), headers, &self.trusted_proxies);
        if who.unlisted_proxy && !self.unlisted_proxy_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                proxy = %who.ip,
                "a proxy that is not in server.trusted_proxies forwards visitors; until it is listed they share its \
                 address, and the limit per address counts them together"
            );
        }
        who
    }
}

fn handshake(request: &mut Request<Body>, asked: Asked) -> Result<(Response, Pending), Problem> {
    websocket::accept(request, asked, BROWSER_MESSAGE).map_err(|refused| match refused {
        Refused::Version => {
            Problem::new(ProblemCode::WebsocketVersion, "Only Sec-WebSocket-Version 13 (RFC 6455) is spoken here.")
                .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
        }
        Refused::NoUpgrade => Problem::new(ProblemCode::UpgradeFailed, "This connection cannot be upgraded."),
    })
}

pub fn login_not_found() -> Problem {
    Problem::new(
        ProblemCode::LoginNotFound,
        "There is no such login, it is long over, or another browser began it (the flow cookie is missing).",
    )
}

fn position_gone() -> Problem {
    Problem::new(
        ProblemCode::PositionGone,
        "The position belongs to another life of this login, or its events have been dropped. Begin a new login.",
    )
}

fn too_many_readers(_: TooManyReaders) -> Problem {
    Problem::later(
        ProblemCode::TooManyReaders,
        "More connections read this login than a browser has.",
        Duration::from_secs(1),
    )
}

pub fn method_not_allowed(allowed: &'static str) -> Problem {
    Problem::new(ProblemCode::MethodNotAllowed, format!("This address takes {allowed}."))
        .header(ALLOW, HeaderValue::from_static(allowed))
}

/// How long the flow cookie is of use.
pub fn flow_life(ttl: Duration) -> Duration {
    ttl + GRANT_LIFE + Duration::from_secs(60)
}
