//! `POST /redeem`: the code of a sign-in on another site becomes who signed in, in one request and without a library.

use super::answer::json;
use super::extract::body_up_to;
use super::oauth2::{any_origin, preflight};
use super::oauth2_clients::authorization;
use crate::base::limits::OAUTH_FORM;
use crate::base::problem::{Problem, ProblemCode};
use crate::oidc::{ErrorCode, OAuthError, Params, Provider};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use std::sync::Arc;

/// Pages of apps without a secret call it themselves; no cookie counts there.
pub fn router(base: &str, provider: &Arc<Provider>) -> Router {
    Router::new()
        .route(&format!("{base}/redeem"), post(redeem).options(preflight))
        .with_state(Arc::clone(provider))
        .layer(from_fn(any_origin))
}

async fn redeem(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form = content_type.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
    let text = match body_up_to(body, OAUTH_FORM).await {
        Ok(text) => text,
        Err(problem) => return problem.into_response(),
    };
    let params = if is_form { Some(Params::parse(&text)) } else { Params::of_json(&text) };
    let Some(params) = params else {
        let shape = "The body must be {\"client_id\":…,\"client_secret\":…,\"code\":…,\"code_verifier\":…}, or the same as a form.";
        return Problem::invalid(shape).into_response();
    };
    match provider.identity(&params, authorization(&parts.headers).as_deref()).await {
        Ok(identity) => json(&identity),
        Err(error) => refused(&error).into_response(),
    }
}

fn refused(error: &OAuthError) -> Problem {
    metrics::counter!("max_auth_oidc_errors_total", "error" => error.code.text()).increment(1);
    let code = match error.code {
        ErrorCode::InvalidClient => ProblemCode::ClientRefused,
        ErrorCode::InvalidGrant => ProblemCode::GrantInvalid,
        ErrorCode::TemporarilyUnavailable => ProblemCode::Busy,
        ErrorCode::ServerError => ProblemCode::Internal,
        _ => ProblemCode::InvalidRequest,
    };
    let problem = Problem::new(code, error.description);
    match error.code {
        ErrorCode::InvalidClient => {
            problem.header(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"max-auth\""))
        }
        _ => problem,
    }
}
