//! The provider's addresses: `/oauth2/…` and what leads there. What is decided is in `oidc`; here it becomes redirects, pages and
//! JSON.

use super::answer::json;
use super::caching::says_itself;
use super::extract::body_up_to;
use super::logins::Logins;
use super::pages::{self, Ask, Denied, FormPost, Leave, Notice, Page, WebMessage, in_popup, see_other};
use super::refusals::store_unavailable;
use super::sign_in::SignIn;
use super::{oauth2_clients, oauth2_device, oauth2_email};
use crate::base::limits::OAUTH_FORM;
use crate::base::problem::{Problem, ProblemCode};
use crate::base::repeat::OncePerMinute;
use crate::oidc::{JWKS_AGE, LogoutStep, Params, Provider, Question, Reply, ResponseMode, Step};
use crate::session::SignedIn;
use crate::store::Unavailable;
use crate::texts::{Locale, Words};
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, SET_COOKIE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::net::SocketAddr;
use std::sync::Arc;
use url::Url;

/// What the provider's endpoints need, and nothing else.
pub struct OAuth2 {
    pub provider: Arc<Provider>,
    pub sign_in: Arc<SignIn>,
    pub logins: Arc<Logins>,
    /// One line a minute: whoever likes can ask wrongly.
    pub wrong: OncePerMinute,
}

/// The path of an issuer, without a slash at its end: below it everything is found.
pub fn path_of(issuer: &str) -> String {
    Url::parse(issuer).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default()
}

/// What people open.
pub fn for_people(oauth2: &Arc<OAuth2>) -> Router {
    let path = path_of(&oauth2.provider.issuer);
    let at = |end: &str| format!("{path}/oauth2/{end}");
    Router::new()
        .route(&at("authorize"), get(authorize).post(authorize_post))
        .route(&at("continue"), get(resume))
        .route(&at("answer"), post(answer))
        .route(&at("email"), post(oauth2_email::given))
        .route(&at("logout"), get(end_session).post(end_session_post))
        .route(&at("leave"), post(leave))
        .route(&at("device"), get(oauth2_device::device))
        .route(&at("device/answer"), post(oauth2_device::device_answer))
        .with_state(Arc::clone(oauth2))
}

/// What clients ask.
pub fn for_programs(oauth2: Arc<OAuth2>) -> Router {
    let path = path_of(&oauth2.provider.issuer);
    let at = |end: &str| format!("{path}/oauth2/{end}");
    let for_clients = oauth2_clients::router(&oauth2, at).layer(from_fn(any_origin));
    let same_for_everybody = Router::new()
        .route(&at("jwks"), get(jwks).options(preflight))
        .route(&format!("{path}/.well-known/openid-configuration"), get(discovery).options(preflight))
        // RFC 8414 §3.1: before the issuer's path.
        .route(&format!("/.well-known/oauth-authorization-server{path}"), get(discovery).options(preflight))
        .with_state(oauth2)
        .layer(map_response(says_itself))
        .layer(from_fn(any_origin));
    for_clients.merge(same_for_everybody)
}

/// Pages of apps call these themselves; no cookie counts there.
pub async fn any_origin(request: Request, next: Next) -> Response {
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type, dpop"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    response
}

/// So that the method is one of the address's: [`any_origin`] says what a page may ask.
pub async fn preflight() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn discovery(State(oauth2): State<Arc<OAuth2>>) -> Response {
    let provider = &oauth2.provider;
    kept(json(&provider.discovery(&provider.issuer)))
}

async fn jwks(State(oauth2): State<Arc<OAuth2>>) -> Response {
    match oauth2.provider.keys.published().await {
        Ok(keys) => kept(json(&keys.jwks())),
        Err(error) => store_unavailable(&error).into_response(),
    }
}

fn kept(mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={}", JWKS_AGE.as_secs())) {
        response.headers_mut().insert(CACHE_CONTROL, value);
    }
    response
}

async fn authorize(
    State(oauth2): State<Arc<OAuth2>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    if let Err(wait) = oauth2.logins.policy.admit_request(oauth2.logins.who(request.headers(), peer)) {
        metrics::counter!("max_auth_rate_limited_total").increment(1);
        let detail = "Too many sign-ins of apps were begun from this address (login.starts_per_minute).";
        return Problem::later(ProblemCode::RateLimited, detail, wait).into_response();
    }
    let query = request.uri().query().unwrap_or_default();
    oauth2.authorize(&Params::parse(query.as_bytes()), request.headers()).await
}

/// A form on another site comes without our cookie, which is `SameSite=Lax`: it comes back by a redirect, and with it.
async fn authorize_post(State(oauth2): State<Arc<OAuth2>>, request: Request) -> Response {
    let (path, request) = (request.uri().path().to_owned(), request.into_body());
    match body_up_to(request, OAUTH_FORM).await {
        Ok(form) => oauth2.again(&path, &Params::parse(&form)),
        Err(problem) => problem.into_response(),
    }
}

/// After a sign-in.
async fn resume(State(oauth2): State<Arc<OAuth2>>, request: Request) -> Response {
    let headers = request.headers();
    let query = Params::parse(request.uri().query().unwrap_or_default().as_bytes());
    let Some((id, flow)) = query.get("request").zip(oauth2.sign_in.cookies.flow(headers)) else {
        return oauth2.show(Step::Gone, headers);
    };
    let signed_in = oauth2.sign_in.session(headers).await;
    let step = oauth2.provider.resume(id, signed_in.as_ref(), &flow.fingerprint).await;
    oauth2.shown(step, headers)
}

/// What somebody answered to a question of ours.
async fn answer(State(oauth2): State<Arc<OAuth2>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let form = match oauth2.own_form(headers, body).await {
        Ok(form) => form,
        Err(problem) => return problem.into_response(),
    };
    let Some((id, flow)) = form.get("request").zip(oauth2.sign_in.cookies.flow(headers)) else {
        return oauth2.show(Step::Gone, headers);
    };
    let signed_in = oauth2.sign_in.session(headers).await;
    let agreed = form.get("answer") == Some("yes");
    let step = oauth2.provider.answered(id, agreed, signed_in.as_ref(), &flow.fingerprint).await;
    oauth2.shown(step, headers)
}

async fn end_session(State(oauth2): State<Arc<OAuth2>>, request: Request) -> Response {
    let query = Params::parse(request.uri().query().unwrap_or_default().as_bytes());
    oauth2.end_session(&query, request.headers()).await
}

async fn end_session_post(State(oauth2): State<Arc<OAuth2>>, request: Request) -> Response {
    let (path, request) = (request.uri().path().to_owned(), request.into_body());
    match body_up_to(request, OAUTH_FORM).await {
        Ok(form) => oauth2.again(&path, &Params::parse(&form)),
        Err(problem) => problem.into_response(),
    }
}

/// What somebody answered to whether they mean to sign out.
async fn leave(State(oauth2): State<Arc<OAuth2>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = match oauth2.own_form(&parts.headers, body).await {
        Ok(form) => form,
        Err(problem) => return problem.into_response(),
    };
    if form.get("answer") != Some("yes") {
        return see_other(&format!("{}/account", oauth2.sign_in.base_path));
    }
    let location = form.get("ticket").and_then(|ticket| oauth2.provider.location(ticket));
    oauth2.leave(location, &parts.headers).await
}

impl OAuth2 {
    async fn authorize(&self, params: &Params, headers: &HeaderMap) -> Response {
        let flow = self.sign_in.cookies.flow_or_new(headers, &self.logins.rng);
        let signed_in = self.sign_in.session(headers).await;
        let step = self.provider.authorize(params, signed_in.as_ref(), &flow.fingerprint).await;
        if let Ok(Step::Page(error)) = &step
            && let Some(times) = self.wrong.due()
        {
            let said = |name: &str| params.get(name).unwrap_or_default().escape_debug().take(200).collect::<String>();
            let (client_id, redirect_uri) = (said("client_id"), said("redirect_uri"));
            tracing::warn!(client_id, redirect_uri, times, "an app began a sign-in wrongly: {}", error.description);
        }
        let mut response = self.shown(step, headers);
        let life = self.logins.flow_life.max(crate::oidc::REQUEST_LIFE);
        if let Some(cookie) = self.sign_in.cookies.set_flow(&flow, life) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }

    /// The same by GET.
    fn again(&self, path: &str, params: &Params) -> Response {
        see_other(&format!("{path}?{}", params.encoded()))
    }

    /// A form that only our own pages may send.
    pub async fn own_form(&self, headers: &HeaderMap, body: axum::body::Body) -> Result<Params, Problem> {
        self.sign_in.origins.check_request(headers)?;
        Ok(Params::parse(&body_up_to(body, OAUTH_FORM).await?))
    }

    pub fn shown(&self, step: Result<Step, Unavailable>, headers: &HeaderMap) -> Response {
        match step {
            Ok(step) => self.show(step, headers),
            Err(error) => store_unavailable(&error).into_response(),
        }
    }

    pub fn page(&self, headers: &HeaderMap, locale: Option<&str>) -> Page<'_> {
        let locale = locale.map_or_else(|| pages::language(headers), Locale::parse);
        Page::new(&self.sign_in.base_path, &self.sign_in.site, &self.sign_in.texts, locale)
    }

    pub fn show(&self, step: Step, headers: &HeaderMap) -> Response {
        match step {
            Step::Page(error) => {
                let page = self.page(headers, None);
                let message = format!("{} {}", page.words.pages.app_failed_text, error.description);
                self.notice(page, StatusCode::BAD_REQUEST, &page.words.pages.app_failed_title, &message)
            }
            Step::Gone => {
                let page = self.page(headers, None);
                let words = &page.words.pages;
                self.notice(page, StatusCode::BAD_REQUEST, &words.gone, &words.request_gone)
            }
            Step::Reply(reply) => self.reply(&reply, headers),
            Step::SignIn(request) => see_other(&format!("{}/login?request={request}", self.sign_in.base_path)),
            Step::Ask(question) => self.ask(&question, headers),
            Step::Email { question, typed, wrong } => {
                self.ask_for_email(&question, typed.as_deref().unwrap_or_default(), wrong, headers)
            }
            Step::Denied(question) => self.denied(&question, headers),
        }
    }

    fn notice(&self, page: Page<'_>, status: StatusCode, title: &str, message: &str) -> Response {
        pages::answer(status, &Notice { page, title, message, names_site: false, failed: true, again: None })
    }

    fn reply(&self, reply: &Reply, headers: &HeaderMap) -> Response {
        match reply.mode {
            ResponseMode::Query => see_other(&reply.location()),
            ResponseMode::FormPost => {
                let page = self.page(headers, None);
                let form = FormPost { page, action: &reply.redirect_uri, fields: &reply.params };
                leads_to(pages::answer(StatusCode::OK, &form), Some(&reply.redirect_uri))
            }
            ResponseMode::WebMessage => {
                let (page, fields) = (self.page(headers, None), reply.params.as_slice());
                let message = WebMessage { page, origin: &reply.origin(), fields, back: &reply.redirect_uri };
                in_popup(pages::answer(StatusCode::OK, &message), true)
            }
        }
    }

    fn ask(&self, question: &Question, headers: &HeaderMap) -> Response {
        let page = self.page(headers, question.locale.as_deref());
        let scopes: Vec<&str> = question.scope.iter().filter_map(|scope| in_words(scope, page.words)).collect();
        let ask = Ask {
            page,
            title: &page.words.pages.ask_title,
            app: &question.client_name,
            host: &question.client_host,
            code: None,
            scopes: &scopes,
            action: &self.at("answer"),
            request: &question.request,
        };
        let answer = leads_to(pages::answer(StatusCode::OK, &ask), Some(&question.redirect_uri));
        in_popup(answer, question.is_popup)
    }

    fn denied(&self, question: &Question, headers: &HeaderMap) -> Response {
        let page = self.page(headers, question.locale.as_deref());
        let other = format!("{}/login?request={}", self.sign_in.base_path, question.request);
        let (app, request) = (question.client_name.as_str(), Some(question.request.as_str()));
        let denied = Denied { page, app, other: &other, action: &self.at("answer"), request };
        let answer = leads_to(pages::answer(StatusCode::FORBIDDEN, &denied), Some(&question.redirect_uri));
        in_popup(answer, question.is_popup)
    }

    pub fn at(&self, end: &str) -> String {
        format!("{}/{end}", self.sign_in.oauth2)
    }

    async fn end_session(&self, params: &Params, headers: &HeaderMap) -> Response {
        let signed_in = self.sign_in.session(headers).await;
        match self.provider.end_session(params, signed_in.as_ref()).await {
            Ok(LogoutStep::End { location }) => self.leave(location, headers).await,
            Ok(LogoutStep::Ask { .. }) if signed_in.is_none() => self.left(headers),
            Ok(LogoutStep::Ask { location }) => {
                self.ask_to_leave(location.as_deref(), headers, params.get("ui_locales"))
            }
            Ok(LogoutStep::Refused(why)) => {
                let page = self.page(headers, None);
                let message = format!("{} {why}", page.words.pages.app_failed_text);
                self.notice(page, StatusCode::BAD_REQUEST, &page.words.pages.app_failed_title, &message)
            }
            Err(error) => store_unavailable(&error).into_response(),
        }
    }

    fn ask_to_leave(&self, location: Option<&str>, headers: &HeaderMap, locale: Option<&str>) -> Response {
        let page = self.page(headers, locale);
        let ticket = match location.map(|location| self.provider.ticket(location)).transpose() {
            Ok(ticket) => ticket,
            Err(error) => return store_unavailable(&error).into_response(),
        };
        let leave = Leave { page, action: &self.at("leave"), ticket: ticket.as_deref() };
        leads_to(pages::answer(StatusCode::OK, &leave), location)
    }

    async fn leave(&self, location: Option<String>, headers: &HeaderMap) -> Response {
        let ended: Result<Option<SignedIn>, Unavailable> = self.sign_in.end(headers).await;
        if let Err(error) = ended {
            return store_unavailable(&error).into_response();
        }
        let mut response = location.map_or_else(|| self.left(headers), |location| see_other(&location));
        if let Some(cookie) = self.sign_in.cookies.clear_session() {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }

    fn left(&self, headers: &HeaderMap) -> Response {
        let page = self.page(headers, None);
        let words = &page.words.pages;
        let (title, message, login) = (&words.left_title, &words.signed_out_text, page.login());
        let again = Some((login.as_str(), page.words.shared.button.as_str()));
        let notice = Notice { page, title, message, names_site: true, failed: false, again };
        pages::answer(StatusCode::OK, &notice)
    }
}

/// What a scope tells an app.
pub fn in_words<'a>(scope: &str, words: &'a Words) -> Option<&'a str> {
    let words = &words.pages;
    Some(match scope {
        "openid" => &words.scope_id,
        "profile" => &words.scope_profile,
        "phone" => &words.scope_phone,
        "groups" => &words.scope_groups,
        "max:id" => &words.scope_max_id,
        "offline_access" => &words.scope_offline,
        _ => return None,
    })
}

/// Browsers let a form lead only where the page's policy says, redirects included.
pub fn leads_to(mut response: Response, uri: Option<&str>) -> Response {
    let origin = uri.and_then(|uri| {
        let url = Url::parse(uri).ok()?;
        let origin = url.origin();
        Some(if origin.is_tuple() { origin.ascii_serialization() } else { format!("{}:", url.scheme()) })
    });
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; form-action 'self' {}; \
         base-uri 'none'; frame-ancestors 'none'",
        origin.unwrap_or_default()
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SCOPES;
    use crate::texts::Texts;

    #[test]
    fn every_scope_but_the_address_that_is_made_up_is_said_in_words_of_its_own() {
        let texts = Texts::with(&[]).unwrap();
        for locale in [Locale::Ru, Locale::En] {
            let said: Vec<&str> = SCOPES.iter().filter_map(|scope| in_words(scope, texts.of(locale))).collect();
            let different: std::collections::BTreeSet<&str> = said.iter().copied().collect();
            assert_eq!((said.len(), different.len()), (SCOPES.len() - 1, SCOPES.len() - 1));
            assert!(in_words("email", texts.of(locale)).is_none() && in_words("", texts.of(locale)).is_none());
        }
    }

    #[test]
    fn a_form_may_lead_to_the_origin_of_the_app_and_nowhere_else() {
        let policy = |uri: Option<&str>| {
            let response = leads_to(StatusCode::OK.into_response(), uri);
            let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
            policy.split("form-action ").nth(1).unwrap().split(';').next().unwrap().trim().to_owned()
        };
        assert_eq!(policy(None), "'self'");
        assert_eq!(policy(Some("https://app.example.ru:8443/cb?x=1")), "'self' https://app.example.ru:8443");
        assert_eq!(policy(Some("ru.example.app:/cb")), "'self' ru.example.app:");
        assert_eq!(policy(Some("no address")), "'self'");
    }
}
