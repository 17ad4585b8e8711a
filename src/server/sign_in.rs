//! From a grant to a session: `/callback`, `/session`, `/logout`.

use super::answer::json;
use super::cookie::Cookies;
use super::extract::{StrictQuery, browser_of, json_body, prefers_html};
use super::origin::AllowedOrigins;
use super::pages::{self, Notice, Page, see_other};
use super::refusals::store_unavailable;
use crate::base::audit::AUDIT;
use crate::base::problem::{Problem, ProblemCode};
use crate::base::repeat::OncePerMinute;
use crate::config::{AllowList, Groups, Person};
use crate::login::{Grant, Grants, Purpose};
use crate::oidc::{Provider, person};
use crate::session::{BrowserSession, SessionId, Sessions, SignedIn};
use crate::signin::Identity;
use crate::store::Unavailable;
use crate::texts::Texts;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::sync::Arc;

/// What the session endpoints need, and nothing else.
pub struct SignIn {
    pub grants: Arc<Grants>,
    pub sessions: Arc<Sessions>,
    /// `session.allow`, and the groups it speaks of.
    pub allow: AllowList,
    pub groups: Groups,
    /// Signs for backends.
    pub provider: Arc<Provider>,
    /// Where OpenID Connect lives.
    pub oauth2: String,
    pub cookies: Cookies,
    pub origins: AllowedOrigins,
    pub base_path: String,
    pub logout_failed: OncePerMinute,
    /// The site as visitors know it: the host of its address.
    pub site: String,
    pub texts: Arc<Texts>,
}

#[derive(Deserialize)]
pub struct CallbackQuery {
    token: Option<String>,
}

/// Takes the grant in the browser that began, and sends it back signed in.
pub async fn callback(
    State(sign_in): State<Arc<SignIn>>,
    StrictQuery(query): StrictQuery<CallbackQuery>,
    headers: HeaderMap,
) -> Response {
    let grant = match &query.token {
        Some(token) => sign_in.take(token, None, &headers).await,
        None => Ok(None),
    };
    let grant = match grant {
        Ok(Some(grant)) => grant,
        Ok(None) => return sign_in.grant_refused(&headers),
        Err(error) => return store_unavailable(&error).into_response(),
    };
    let location = match &grant.purpose {
        Purpose::Site { .. } if !sign_in.permits(&grant.identity) => return sign_in.not_allowed(&headers),
        Purpose::Site { return_to } => HeaderValue::from_str(return_to),
        Purpose::Authorize { request } => HeaderValue::from_str(&sign_in.continuation(request)),
    };
    let Ok(location) = location else { return not_sealed() };
    let Some((_, cookie)) = sign_in.begin(grant, &headers).await else { return not_sealed() };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(SET_COOKIE, cookie);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// For a button that knows this base path and not where OpenID Connect lives.
pub async fn authorize(State(sign_in): State<Arc<SignIn>>, uri: Uri) -> Response {
    see_other(&format!("{}/authorize?{}", sign_in.oauth2, uri.query().unwrap_or_default()))
}

/// The same without leaving the page: `{"token":T}` becomes a session, and the answer says whose.
pub async fn redeem(State(sign_in): State<Arc<SignIn>>, request: Request) -> Response {
    sign_in.redeem(request).await.unwrap_or_else(|problem| problem.into_response())
}

#[derive(Deserialize)]
pub struct SessionQuery {
    token: Option<String>,
}

/// Who is signed in; with `token=1` as a signed token, for a backend that need not ask again.
pub async fn session(
    State(sign_in): State<Arc<SignIn>>,
    StrictQuery(query): StrictQuery<SessionQuery>,
    headers: HeaderMap,
) -> Response {
    match sign_in.session(&headers).await {
        Some(signed_in) if !sign_in.is_allowed(&signed_in) => not_allowed(),
        Some(signed_in) if query.token.as_deref() == Some("1") => match sign_in.provider.site_token(&signed_in).await {
            Ok((token, expires)) => json(&serde_json::json!({ "token": token, "expiresAt": expires })),
            Err(error) => store_unavailable(&error).into_response(),
        },
        Some(signed_in) => json(&signed_in.session),
        None => not_signed_in(),
    }
}

/// Ends the session.
pub async fn logout(State(sign_in): State<Arc<SignIn>>, headers: HeaderMap) -> Response {
    if let Err(problem) = sign_in.origins.check_request(&headers) {
        return problem.into_response();
    }
    leave(&sign_in, &headers, sign_in.end(&headers).await.map(drop))
}

/// Ends every session of this person, wherever it was begun.
pub async fn logout_everywhere(State(sign_in): State<Arc<SignIn>>, headers: HeaderMap) -> Response {
    if let Err(problem) = sign_in.origins.check_request(&headers) {
        return problem.into_response();
    }
    leave(&sign_in, &headers, sign_in.end_all(&headers).await)
}

/// The answer to a sign-out.
fn leave(sign_in: &SignIn, headers: &HeaderMap, ended: Result<(), Unavailable>) -> Response {
    if let Err(error) = ended {
        if let Some(times) = sign_in.logout_failed.due() {
            tracing::error!(times, "a session could not be ended: {error}");
        }
        return Problem::new(ProblemCode::LogoutFailed, "The session could not be ended. Please try again.")
            .into_response();
    }
    let mut response = if prefers_html(headers) {
        // A form without JavaScript: back to the page that says who is signed in.
        see_other(&format!("{}/account", sign_in.base_path))
    } else {
        StatusCode::NO_CONTENT.into_response()
    };
    if let Some(cookie) = sign_in.cookies.clear_session() {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

impl SignIn {
    pub fn page(&self, headers: &HeaderMap) -> Page<'_> {
        Page::new(&self.base_path, &self.site, &self.texts, pages::language(headers))
    }

    pub async fn session(&self, headers: &HeaderMap) -> Option<SignedIn> {
        self.sessions.read(self.cookies.session(headers)?).await
    }

    pub fn is_allowed(&self, signed_in: &SignedIn) -> bool {
        self.allow.permits(&person(signed_in), &self.groups)
    }

    fn permits(&self, identity: &Identity) -> bool {
        let id = identity.id.to_string();
        let may = self.allow.permits(&Person { id: &id, phone: identity.phone.as_deref() }, &self.groups);
        if !may {
            tracing::info!(target: AUDIT, event = "person.refused", person = id);
        }
        may
    }

    /// Where the app's request goes on.
    fn continuation(&self, request: &str) -> String {
        format!("{}/continue?request={}", self.oauth2, utf8_percent_encode(request, &RESERVED))
    }

    /// Ends the session of a browser; the one that was.
    pub async fn end(&self, headers: &HeaderMap) -> Result<Option<SignedIn>, Unavailable> {
        let Some(cookie) = self.cookies.session(headers) else { return Ok(None) };
        let ended = self.sessions.read(cookie).await;
        self.sessions.end(cookie).await?;
        if let Some(ended) = &ended {
            tell_ended(&ended.session.sub, &ended.id);
            self.provider.ended(&ended.session.sub, std::slice::from_ref(&ended.id)).await;
        }
        Ok(ended)
    }

    async fn end_all(&self, headers: &HeaderMap) -> Result<(), Unavailable> {
        let Some(signed_in) = self.session(headers).await else { return Ok(()) };
        let ended = self.sessions.end_all(&signed_in).await?;
        ended.iter().for_each(|session| tell_ended(&signed_in.session.sub, session));
        self.provider.ended(&signed_in.session.sub, &ended).await;
        Ok(())
    }

    /// The grant, once, in the browser that began.
    async fn take(
        &self,
        token: &str,
        attempt: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Option<Grant>, Unavailable> {
        let grant = match self.cookies.flow(headers) {
            Some(flow) => self.grants.take(token, &flow.fingerprint, attempt).await?,
            None => None,
        };
        if grant.is_none() {
            metrics::counter!("max_auth_grants_refused_total").increment(1);
        }
        Ok(grant)
    }

    /// A session and its cookie.
    async fn begin(&self, grant: Grant, headers: &HeaderMap) -> Option<(BrowserSession, HeaderValue)> {
        let (session, sealed) = self.sessions.begin(grant.identity)?;
        let browser = browser_of(headers);
        self.sessions.begun(&sealed, &browser).await;
        if tracing::enabled!(target: AUDIT, tracing::Level::INFO)
            && let Some(begun) = self.sessions.read(&sealed).await
        {
            let (person, session) = (begun.session.sub.as_str(), begun.id.text());
            tracing::info!(target: AUDIT, event = "session.begun", person, session, agent = browser);
        }
        Some((session, self.cookies.set_session(&sealed, self.sessions.ttl())?))
    }

    async fn redeem(&self, request: Request) -> Result<Response, Problem> {
        #[derive(Deserialize)]
        struct Redeem {
            token: String,
            attempt: Option<String>,
        }
        self.origins.check_request(request.headers())?;
        let (parts, body) = request.into_parts();
        let text = json_body(&parts.headers, body).await?;
        let Redeem { token, attempt } =
            serde_json::from_slice(&text).map_err(|_| Problem::invalid("the body must be {\"token\":\"…\"}"))?;
        let grant =
            self.take(&token, attempt.as_deref(), &parts.headers).await.map_err(|error| store_unavailable(&error))?;
        let grant = grant.ok_or_else(grant_invalid)?;
        if matches!(grant.purpose, Purpose::Site { .. }) && !self.permits(&grant.identity) {
            return Ok(not_allowed());
        }
        let Some((session, cookie)) = self.begin(grant, &parts.headers).await else { return Ok(not_sealed()) };
        let mut response = json(&session);
        response.headers_mut().insert(SET_COOKIE, cookie);
        Ok(response)
    }

    /// A person who signed in with the wrong account, or was never meant to.
    pub fn not_allowed(&self, headers: &HeaderMap) -> Response {
        tracing::info!("a person who is not in session.allow was turned away");
        if !prefers_html(headers) {
            return not_allowed();
        }
        let other = format!("{}/login", self.base_path);
        let denied =
            pages::Denied { page: self.page(headers), app: &self.site, other: &other, action: "", request: None };
        pages::answer(StatusCode::FORBIDDEN, &denied)
    }

    /// A person sees this when the minute is over or the link was opened elsewhere.
    fn grant_refused(&self, headers: &HeaderMap) -> Response {
        if !prefers_html(headers) {
            return grant_invalid().into_response();
        }
        let page = self.page(headers);
        let words = page.words;
        let notice = Notice {
            page,
            title: &words.shared.error_title,
            message: &words.pages.grant_refused,
            names_site: false,
            failed: false,
            again: Some((&page.login(), &words.shared.retry)),
        };
        pages::answer(StatusCode::BAD_REQUEST, &notice)
    }
}

fn tell_ended(person: &str, session: &SessionId) {
    tracing::info!(target: AUDIT, event = "session.ended", person, session = session.text());
}

fn grant_invalid() -> Problem {
    Problem::new(
        ProblemCode::GrantInvalid,
        "The token is used, older than a minute, or belongs to another browser. Begin again.",
    )
}

fn not_sealed() -> Response {
    tracing::error!("a session could not be sealed");
    Problem::new(ProblemCode::Internal, "Please try again.").into_response()
}

pub fn not_allowed() -> Response {
    Problem::new(ProblemCode::NotAllowed, "This account is not in session.allow.").into_response()
}

pub fn not_signed_in() -> Response {
    Problem::new(ProblemCode::NotSignedIn, "Begin at /login.").into_response()
}

/// Header values are ASCII: everything outside the unreserved characters of RFC 3986 as `%XX` of its UTF-8 bytes.
pub const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
