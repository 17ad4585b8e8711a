//! For proxies that ask before each request: nginx `auth_request`, Caddy `forward_auth`, Traefik `forwardAuth`, Envoy
//! `ext_authz`. `/verify` is what they ask; `/enter` is where a browser is sent that nobody knows yet. A host of its own
//! cannot have the cookie of the site: `/enter` leads there, and back with a one-time token.

use super::extract::{StrictQuery, navigates};
use super::logins::Logins;
use super::pages::{self, Notice, see_other};
use super::probe::{Marked, VerifyProbes};
use super::refusals::store_unavailable;
use super::sign_in::{RESERVED, SignIn, not_allowed, not_signed_in};
use crate::base::client_address::client_address;
use crate::base::id;
use crate::base::limits::GRANT_LIFE;
use crate::base::problem::{Problem, ProblemCode};
use crate::base::repeat::OncePerMinute;
use crate::oidc::{REQUEST_LIFE, person};
use crate::probe::VerifySeen;
use crate::session::SignedIn;
use crate::store::{Key, Space, Unavailable, Vault};
use axum::body::Body;
use axum::extract::{ConnectInfo, RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, HOST, HeaderName, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::{percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use url::{Position, Url};

const ORIGINAL_URL: &str = "x-original-url";
const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_METHOD: &str = "x-forwarded-method";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
const FORWARDED_URI: &str = "x-forwarded-uri";

/// What the endpoints of proxies need, and nothing else.
pub struct ForwardAuth {
    pub sign_in: Arc<SignIn>,
    pub logins: Arc<Logins>,
    pub vault: Vault,
    /// The origin of `server.public_url`, where people sign in.
    pub main: Url,
    /// A host that is not listed, once a minute.
    pub unlisted: OncePerMinute,
    /// What `max-auth doctor --forward-auth` asks.
    pub probes: Arc<VerifyProbes>,
}

/// The address that a visitor asked the proxy for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    origin: String,
    /// With its query.
    path: String,
}

/// A browser on a host of its own that waits for the site to say who it is.
#[derive(Serialize, Deserialize)]
struct Waiting {
    origin: String,
    path: String,
    /// Of the flow cookie on that host.
    flow: String,
}

/// What the site says: the session, which is the same on every host.
#[derive(Serialize, Deserialize)]
struct Handed {
    cookie: String,
    path: String,
}

#[derive(Deserialize)]
pub struct VerifyQuery {
    redirect: Option<String>,
    token: Option<String>,
}

/// What nginx, Caddy and Traefik ask.
pub async fn verify(
    State(forward): State<Arc<ForwardAuth>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    StrictQuery(query): StrictQuery<VerifyQuery>,
    headers: HeaderMap,
) -> Response {
    let wanted = forward.wanted(&headers, peer, None);
    forward.keep_for_probe(&headers, peer, None, &wanted).await;
    let redirects = query.redirect.as_deref() == Some("1");
    forward.verify(&headers, &wanted, redirects, query.token.as_deref() == Some("1")).await
}

/// What Envoy asks: it puts `path_prefix` before the path that was wanted, and sends a redirect on as it is.
pub async fn verify_path(
    State(forward): State<Arc<ForwardAuth>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let prefix = format!("{}/verify", forward.sign_in.base_path);
    let whole = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let path = whole.strip_prefix(&prefix).unwrap_or("/");
    let wanted = forward.wanted(request.headers(), peer, Some(path));
    forward.keep_for_probe(request.headers(), peer, Some(path), &wanted).await;
    // It asks by the method that was used.
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    forward.verify(request.headers(), &wanted, reads, false).await
}

/// `to=PATH`, which may be as it was asked for and is the last: nginx cannot encode it. `request=`, `token=`: the way over
/// the site and back.
pub async fn enter(
    State(forward): State<Arc<ForwardAuth>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let entered = match query.split_once('=') {
        Some(("request", id)) => forward.recognise(id, &headers).await,
        Some(("token", token)) => forward.arrive(token, &headers).await,
        Some(("to", path)) => forward.enter(path, &headers, peer).await,
        _ => forward.enter("/", &headers, peer).await,
    };
    entered.unwrap_or_else(|error| store_unavailable(&error).into_response())
}

impl ForwardAuth {
    async fn verify(&self, headers: &HeaderMap, wanted: &Wanted, redirects: bool, token: bool) -> Response {
        let redirects = redirects && shows_pages(headers);
        let Some(signed_in) = self.sign_in.session(headers).await else {
            return if redirects { self.send_to_enter(wanted) } else { not_signed_in() };
        };
        if !self.sign_in.is_allowed(&signed_in) {
            return if redirects { self.sign_in.not_allowed(headers) } else { not_allowed() };
        }
        let mut response = Response::new(Body::empty());
        self.say(&signed_in, response.headers_mut());
        if token {
            match self.sign_in.provider.site_token(&signed_in).await {
                Ok((token, _)) => {
                    if let Ok(mut value) = HeaderValue::from_str(&token) {
                        value.set_sensitive(true);
                        response.headers_mut().insert(HeaderName::from_static("x-auth-token"), value);
                    }
                }
                Err(error) => return store_unavailable(&error).into_response(),
            }
        }
        response
    }

    /// Who it is, for the app behind the proxy.
    fn say(&self, signed_in: &SignedIn, answer: &mut HeaderMap) {
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let session = &signed_in.session;
        let groups = self.sign_in.groups.of(&person(signed_in)).join(",");
        let encoded = |text: &str| utf8_percent_encode(text, &RESERVED).to_string();
        let said = [
            // Digits, perhaps with a driver before them.
            ("x-auth-user", Some(session.sub.clone())),
            ("x-auth-name", Some(encoded(&session.name))),
            // Names of groups are made of letters, digits, - _ and . only.
            ("x-auth-groups", Some(groups)),
            ("x-auth-phone", session.phone.clone()),
        ];
        for (name, text) in said {
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
                answer.insert(HeaderName::from_static(name), value);
            }
        }
    }

    /// An absolute address: Traefik reads a relative one as one of ours.
    fn send_to_enter(&self, wanted: &Wanted) -> Response {
        if !self.is_listed(&wanted.origin) {
            if let Some(times) = self.unlisted.due() {
                let origin = wanted.origin.escape_debug().take(200).collect::<String>();
                tracing::warn!(times, origin, "a proxy asks for a host that is not in server.allowed_origins");
            }
            return not_signed_in();
        }
        let to = utf8_percent_encode(&wanted.path, &RESERVED);
        see_other(&format!("{}{}/enter?to={to}", wanted.origin, self.sign_in.base_path))
    }

    /// A browser that wants a page: who signed in goes there, anybody else signs in first.
    async fn enter(&self, path: &str, headers: &HeaderMap, peer: SocketAddr) -> Result<Response, Unavailable> {
        let path =
            if path.starts_with('/') { path.to_owned() } else { percent_decode_str(path).decode_utf8_lossy().into() };
        let path = self.path(&path);
        if let Some(signed_in) = self.sign_in.session(headers).await {
            let allowed = self.sign_in.is_allowed(&signed_in);
            return Ok(if allowed { see_other(&path) } else { self.sign_in.not_allowed(headers) });
        }
        let origin = self.here(headers, peer);
        if origin == self.site() || !self.is_listed(&origin) {
            return Ok(self.sign_in_for(&path));
        }
        if let Err(wait) = self.logins.policy.admit_request(self.logins.who(headers, peer)) {
            metrics::counter!("max_auth_rate_limited_total").increment(1);
            let detail = "Too many visitors of this address wait for a sign-in (login.starts_per_minute).";
            return Ok(Problem::later(ProblemCode::RateLimited, detail, wait).into_response());
        }
        let flow = self.sign_in.cookies.flow_or_new(headers, &self.logins.rng);
        let id = self.vault.name();
        let waiting = Waiting { origin, path, flow: id::encode(flow.fingerprint.bytes()) };
        self.vault.put(request_key(&id), &waiting, REQUEST_LIFE).await?;
        let mut response = see_other(&format!("{}{}/enter?request={id}", self.site(), self.sign_in.base_path));
        let life = self.logins.flow_life.max(REQUEST_LIFE);
        if let Some(cookie) = self.sign_in.cookies.set_flow(&flow, life) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// On the site: the session is handed to the browser that waits on the other host, which alone can use it.
    async fn recognise(&self, id: &str, headers: &HeaderMap) -> Result<Response, Unavailable> {
        let Some(waiting) = self.vault.get::<Waiting>(request_key(id)).await? else { return Ok(self.gone(headers)) };
        let (Some(signed_in), Some(cookie)) =
            (self.sign_in.session(headers).await, self.sign_in.cookies.session(headers))
        else {
            return Ok(self.sign_in_for(&format!("{}/enter?request={id}", self.sign_in.base_path)));
        };
        if !self.sign_in.is_allowed(&signed_in) {
            return Ok(self.sign_in.not_allowed(headers));
        }
        let token = self.vault.secret();
        let handed = Handed { cookie: cookie.to_owned(), path: waiting.path };
        self.vault.put(token_key(&token, &waiting.flow), &handed, GRANT_LIFE).await?;
        Ok(see_other(&format!("{}{}/enter?token={token}", waiting.origin, self.sign_in.base_path)))
    }

    /// Back on the host: the browser that left is known from now on.
    async fn arrive(&self, token: &str, headers: &HeaderMap) -> Result<Response, Unavailable> {
        let Some(flow) = self.sign_in.cookies.flow(headers) else { return Ok(self.gone(headers)) };
        let key = token_key(token, &id::encode(flow.fingerprint.bytes()));
        let Some(handed) = self.vault.take::<Handed>(key).await? else { return Ok(self.gone(headers)) };
        let Some(signed_in) = self.sign_in.sessions.read(&handed.cookie).await else { return Ok(self.gone(headers)) };
        let left = signed_in.session.expires_at.saturating_sub(self.vault.unix_ms());
        let left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
        let mut response = see_other(&handed.path);
        if let Some(cookie) = self.sign_in.cookies.set_session(&handed.cookie, left) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    fn sign_in_for(&self, path: &str) -> Response {
        let to = utf8_percent_encode(path, &RESERVED);
        see_other(&format!("{}/login?return_to={to}", self.sign_in.base_path))
    }

    fn gone(&self, headers: &HeaderMap) -> Response {
        let page = self.sign_in.page(headers);
        let words = page.words;
        let notice = Notice {
            page,
            title: &words.pages.gone,
            message: &words.pages.grant_refused,
            names_site: false,
            failed: true,
            again: Some((&page.login(), &words.shared.retry)),
        };
        pages::answer(StatusCode::BAD_REQUEST, &notice)
    }

    /// What the proxy says that its visitor wanted. Only a listed proxy is believed.
    fn wanted(&self, headers: &HeaderMap, peer: SocketAddr, path: Option<&str>) -> Wanted {
        let named = |name| self.told(headers, peer, name);
        if let Some(url) = named(ORIGINAL_URL).and_then(|url| Url::parse(url).ok()) {
            let origin = url.origin().ascii_serialization();
            return Wanted { origin, path: self.path(&url[Position::BeforePath..Position::AfterQuery]) };
        }
        let path = path.or_else(|| named(FORWARDED_URI)).unwrap_or("/");
        Wanted { origin: self.here(headers, peer), path: self.path(path) }
    }

    /// The origin that the browser sees.
    fn here(&self, headers: &HeaderMap, peer: SocketAddr) -> String {
        let named = |name| self.told(headers, peer, name).and_then(|list| list.split(',').next()).map(str::trim);
        // Traefik says `wss` of a WebSocket.
        let scheme = match named(FORWARDED_PROTO) {
            Some("https" | "wss") => "https",
            Some("http" | "ws") => "http",
            _ => self.main.scheme(),
        };
        let host = named(FORWARDED_HOST).or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok()));
        let url = host.and_then(|host| Url::parse(&format!("{scheme}://{host}")).ok());
        url.map_or_else(|| self.site(), |url| url.origin().ascii_serialization())
    }

    /// For whoever put a nonce into their request; the answer is the same with and without.
    async fn keep_for_probe(&self, headers: &HeaderMap, peer: SocketAddr, path: Option<&str>, wanted: &Wanted) {
        let as_sent = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let addresses = [path, as_sent(FORWARDED_URI), as_sent(ORIGINAL_URL)];
        let Some(marked) = Marked::of(headers, addresses.into_iter().flatten()) else { return };
        let who = client_address(peer.ip(), headers, &self.logins.trusted_proxies);
        let seen = VerifySeen {
            origin: wanted.origin.clone(),
            path: wanted.path.clone(),
            listed: self.is_listed(&wanted.origin),
            proxy_unlisted: who.unlisted_proxy,
            ..VerifySeen::default()
        };
        self.probes.keep(&marked, headers, who.ip, seen).await;
    }

    fn told<'a>(&self, headers: &'a HeaderMap, peer: SocketAddr, name: &str) -> Option<&'a str> {
        let peer = peer.ip().to_canonical();
        let trusted = self.logins.trusted_proxies.iter().any(|net| net.contains(&peer));
        headers.get(name).filter(|_| trusted)?.to_str().ok().filter(|text| !text.is_empty())
    }

    fn site(&self) -> String {
        self.main.origin().ascii_serialization()
    }

    fn is_listed(&self, origin: &str) -> bool {
        origin == self.site() || self.sign_in.origins.contains(origin)
    }

    /// A path that leads nowhere else.
    fn path(&self, path: &str) -> String {
        let path = path.split('#').next().unwrap_or_default();
        let fine = self.logins.policy.return_to(path).filter(|path| path.starts_with('/'));
        fine.unwrap_or_else(|| "/".to_owned())
    }
}

/// Whether a person would see the answer: a script that is sent elsewhere gets a page it cannot read.
fn shows_pages(headers: &HeaderMap) -> bool {
    headers.get(FORWARDED_METHOD).is_none_or(|method| method == "GET" || method == "HEAD") && navigates(headers)
}

fn request_key(id: &str) -> Key {
    Vault::key(Space::Request, &["enter", id])
}

fn token_key(token: &str, flow: &str) -> Key {
    Vault::key(Space::Grant, &["enter", token, flow])
}
