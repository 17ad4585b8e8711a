//! From a grant to a session: `/callback`, `/session`, `/verify`, `/logout`.

use super::asked::Asked;
use super::cookie::Cookies;
use super::origin::AllowedOrigins;
use crate::base::problem::Problem;
use crate::base::repeat::OncePerMinute;
use crate::login::Grants;
use crate::session::{Session, Sessions};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use std::fmt::Write as _;
use std::sync::Arc;

/// What the session endpoints need, and nothing else.
pub struct SignIn {
    pub grants: Arc<Grants>,
    pub sessions: Sessions,
    pub cookies: Cookies,
    pub origins: AllowedOrigins,
    pub base_path: String,
    pub logout_failed: OncePerMinute,
}

#[derive(Deserialize)]
pub struct CallbackQuery {
    token: Option<String>,
}

/// Takes the grant in the browser that began, and sends it back signed in.
pub async fn callback(
    State(sign_in): State<Arc<SignIn>>,
    Asked(query): Asked<CallbackQuery>,
    headers: HeaderMap,
) -> Response {
    let flow = sign_in.cookies.flow(&headers);
    let grant = query.token.zip(flow).and_then(|(token, flow)| sign_in.grants.take(&token, &flow.fingerprint));
    let Some(grant) = grant else {
        metrics::counter!("max_auth_grants_refused_total").increment(1);
        return sign_in.grant_refused(&headers);
    };
    let cookie = sign_in
        .sessions
        .begin(grant.person)
        .and_then(|sealed| sign_in.cookies.set_session(&sealed, sign_in.sessions.ttl()));
    let (Some(cookie), Ok(location)) = (cookie, HeaderValue::from_str(&grant.return_to)) else {
        tracing::error!("a session could not be sealed");
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Not signed in", "Please try again.")
            .into_response();
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(SET_COOKIE, cookie);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Who is signed in.
pub async fn session(State(sign_in): State<Arc<SignIn>>, headers: HeaderMap) -> Response {
    match sign_in.session(&headers) {
        Some(session) => json(&session),
        None => not_signed_in(),
    }
}

/// For `auth_request` and `forward_auth`.
pub async fn verify(State(sign_in): State<Arc<SignIn>>, headers: HeaderMap) -> Response {
    let Some(session) = sign_in.session(&headers) else { return not_signed_in() };
    let mut response = Response::new(Body::empty());
    let answer = response.headers_mut();
    answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, text) in [("x-auth-user", &session.sub), ("x-auth-name", &session.name)] {
        if let Ok(value) = HeaderValue::from_str(&percent_encoded(text)) {
            answer.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// Ends the session.
pub async fn logout(State(sign_in): State<Arc<SignIn>>, headers: HeaderMap) -> Response {
    if let Err(problem) = sign_in.origins.check_request(&headers) {
        return problem.into_response();
    }
    if let Some(cookie) = sign_in.cookies.session(&headers)
        && let Err(error) = sign_in.sessions.end(cookie).await
    {
        if let Some(times) = sign_in.logout_failed.due() {
            tracing::error!(times, "a session could not be ended: {error}");
        }
        return Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "logout-failed",
            "Still signed in",
            "The session could not be ended. Please try again.",
        )
        .into_response();
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = sign_in.cookies.clear_session() {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

impl SignIn {
    fn session(&self, headers: &HeaderMap) -> Option<Session> {
        self.sessions.read(self.cookies.session(headers)?)
    }

    /// A person sees this when the minute is over or the link was opened elsewhere.
    fn grant_refused(&self, headers: &HeaderMap) -> Response {
        let html = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|a| a.contains("text/html"));
        if !html {
            return Problem::new(
                StatusCode::BAD_REQUEST,
                "grant-invalid",
                "This sign-in cannot be finished",
                "The token is used, older than a minute, or belongs to another browser. Begin again.",
            )
            .into_response();
        }
        let page = format!(
            "<!doctype html><html lang=\"ru\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>MAX</title>\
             <link rel=\"stylesheet\" href=\"{base}/page.css\"><body class=\"login\"><main><div class=\"sheet\">\
             <h1>Вход не завершён</h1><p>Ссылка уже использована, устарела или открыта в другом браузере.</p>\
             <p lang=\"en\">This link was used, is too old, or belongs to another browser.</p>\
             <p><a href=\"{base}/login\">Войти ещё раз · Sign in again</a></p></div></main></body></html>",
            base = self.base_path
        );
        let mut response = Response::new(Body::from(page));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn not_signed_in() -> Response {
    Problem::new(StatusCode::UNAUTHORIZED, "not-signed-in", "Nobody is signed in", "Begin at /login.").into_response()
}

fn json(session: &Session) -> Response {
    let mut response = Response::new(Body::from(serde_json::to_vec(session).unwrap_or_default()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Header values are ASCII: everything outside the unreserved characters of RFC 3986 as `%XX` of its UTF-8 bytes.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
