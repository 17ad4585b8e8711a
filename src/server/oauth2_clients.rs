//! What clients of OpenID Connect ask us themselves, without a browser: `/oauth2/token`, `/par`, `/userinfo`, `/revoke`, `/introspect`.

use super::answer::json;
use super::extract::body_up_to;
use super::oauth2::{OAuth2, preflight};
use crate::base::limits::OAUTH_FORM;
use crate::base::problem::{Problem, ProblemCode};
use crate::oidc::{DpopHeader, ErrorCode, OAuthError, Params, Provider};
use axum::Router;
use axum::extract::{ConnectInfo, FromRequest, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;

pub fn router(oauth2: &Arc<OAuth2>, at: impl Fn(&str) -> String) -> Router {
    let device = Router::new()
        .route(&at("device_authorization"), post(begin_device).options(preflight))
        .with_state(Arc::clone(oauth2));
    Router::new()
        .route(&at("token"), post(token).options(preflight))
        .route(&at("par"), post(push).options(preflight))
        .route(&at("userinfo"), get(userinfo).post(userinfo).options(preflight))
        .route(&at("revoke"), post(revoke).options(preflight))
        .route(&at("introspect"), post(introspect).options(preflight))
        .with_state(Arc::clone(&oauth2.provider))
        .merge(device)
}

/// RFC 8628 §3.1
async fn begin_device(
    State(oauth2): State<Arc<OAuth2>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    asked: ClientForm,
) -> Response {
    let who = oauth2.logins.who(&headers, peer);
    if let Err(wait) = oauth2.logins.policy.admit_request(who) {
        metrics::counter!("max_auth_rate_limited_total").increment(1);
        let detail = "Too many sign-ins of devices were begun from this address (login.starts_per_minute).";
        return Problem::later(ProblemCode::RateLimited, detail, wait).into_response();
    }
    let place = who.ip.to_string();
    answered(oauth2.provider.begin_device(&asked.form, asked.authorization.as_deref(), place).await)
}

async fn token(State(provider): State<Arc<Provider>>, asked: ClientForm) -> Response {
    let dpop = asked.dpop.as_deref().map(|proof| DpopHeader { proof, method: "POST" });
    answered(provider.token(&asked.form, asked.authorization.as_deref(), dpop).await)
}

/// RFC 9126 §2.2: `201`.
async fn push(State(provider): State<Arc<Provider>>, asked: ClientForm) -> Response {
    let pushed = provider.push(&asked.form, asked.authorization.as_deref()).await;
    let mut response = answered(pushed);
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::CREATED;
    }
    response
}

async fn revoke(State(provider): State<Arc<Provider>>, asked: ClientForm) -> Response {
    let revoked = provider.revoke(&asked.form, asked.authorization.as_deref()).await;
    revoked.map_or_else(|error| refused(&error), |()| StatusCode::OK.into_response())
}

async fn introspect(State(provider): State<Arc<Provider>>, asked: ClientForm) -> Response {
    answered(provider.introspect(&asked.form, asked.authorization.as_deref()).await)
}

fn answered(answer: Result<impl Serialize, OAuthError>) -> Response {
    answer.map_or_else(|error| refused(&error), |answer| json(&answer))
}

/// RFC 6750: in the header, or in the form of a POST; never in the address.
async fn userinfo(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    let header = authorization(request.headers());
    let method = request.method().as_str().to_owned();
    let proof = dpop(request.headers());
    let scheme = if proof.is_some() { "dpop" } else { "bearer" };
    let sent = header.as_deref().and_then(|header| {
        let (said, token) = header.split_once(' ')?;
        said.eq_ignore_ascii_case(scheme).then(|| token.trim().to_owned())
    });
    let token = match sent {
        Some(token) => Some(token),
        None if request.method() == Method::POST && header.is_none() => {
            match body_up_to(request.into_body(), OAUTH_FORM).await {
                Ok(form) => Params::parse(&form).get("access_token").map(str::to_owned),
                Err(problem) => return problem.into_response(),
            }
        }
        None => None,
    };
    let Some(token) = token else {
        // Nothing was tried, so nothing is wrong (RFC 6750 §3.1).
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response();
    };
    let dpop = proof.as_deref().map(|proof| DpopHeader { proof, method: &method });
    match provider.userinfo(&token, dpop).await {
        Ok(Some(claims)) => json(&claims),
        Err(error) if error.code == ErrorCode::InvalidDpopProof => {
            let challenge = format!("DPoP error=\"invalid_dpop_proof\", error_description=\"{}\"", error.description);
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response()
        }
        Ok(None) => {
            let challenge =
                "Bearer error=\"invalid_token\", error_description=\"It is over, was withdrawn, or is none.\"";
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response()
        }
        Err(error) => refused(&error),
    }
}

fn dpop(headers: &HeaderMap) -> Option<String> {
    headers.get("dpop").and_then(|value| value.to_str().ok()).map(str::to_owned)
}

pub fn authorization(headers: &HeaderMap) -> Option<String> {
    headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// What a client sends us itself, and the header in which it may say who it is.
struct ClientForm {
    form: Params,
    authorization: Option<String>,
    dpop: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for ClientForm {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let description = "Send a form: Content-Type application/x-www-form-urlencoded.";
            return Err(refused(&OAuthError { code: ErrorCode::InvalidRequest, description }));
        }
        let form = body_up_to(body, OAUTH_FORM).await.map_err(Problem::into_response)?;
        Ok(Self {
            form: Params::parse(&form),
            authorization: authorization(&parts.headers),
            dpop: dpop(&parts.headers),
        })
    }
}

/// RFC 6749 §5.2.
fn refused(error: &OAuthError) -> Response {
    metrics::counter!("max_auth_oidc_errors_total", "error" => error.code.text()).increment(1);
    let mut response = json(&serde_json::json!({ "error": error.code.text(), "error_description": error.description }));
    *response.status_mut() = match error.code {
        ErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
        ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    if error.code == ErrorCode::InvalidClient {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"max-auth\""));
    }
    response
}
