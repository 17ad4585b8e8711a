//! What every request passes, in one place and one order.

use super::caching;
use super::origin::AllowedOrigins;
use super::waiting::{come, once_there, waiting};
use crate::base::problem::{Problem, ProblemCode};
use crate::base::traces::TRACES;
use crate::observe::traces;
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_SECURITY_POLICY,
    HeaderName, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Method, StatusCode};
use std::panic::AssertUnwindSafe;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

/// Nothing from elsewhere, nothing inline, no framing.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// The same for a page with one script and one style sheet of its own, each known by its hash.
pub fn policy(script: &str, style: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src 'self' {script}; style-src {style}; connect-src 'self'; img-src data:; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(POLICY)
}

/// An answer that says itself who may show it in a frame.
#[derive(Clone, Copy)]
pub struct Framed;

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

pub fn wrap(routes: Router, origins: AllowedOrigins) -> Router {
    routes
        // Innermost: a panic in a handler becomes an answer, which gets the headers of every other.
        .layer(from_fn(no_panic))
        // Answers preflights before a route could refuse the method.
        .layer(from_fn_with_state(origins, cross_origin))
        // On every answer: errors, preflights and crashes included.
        .layer(from_fn(security_headers))
        // Outermost: sees the final status and the whole time.
        .layer(from_fn(observe))
}

/// Listed origins get CORS with credentials; the others get nothing.
async fn cross_origin(State(origins): State<AllowedOrigins>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let listed = origin.filter(|origin| origin.to_str().is_ok_and(|origin| origins.contains(origin)));
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let response = match (&listed, preflight) {
        (Some(_), true) => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    // A value of a request keeps the whole buffer that its head was read into.
    let listed = listed.and_then(|origin| HeaderValue::from_bytes(origin.as_bytes()).ok());
    once_there(response, move |response| shared(response, listed, preflight))
}

/// `listed`: the origin that asked, if it is a listed one.
fn shared(mut response: Response, listed: Option<HeaderValue>, preflight: bool) -> Response {
    let headers = response.headers_mut();
    if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        // For everybody, whoever asks.
        return response;
    }
    caching::vary(headers, "origin");
    if let Some(origin) = listed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if preflight {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static("authorization, content-type, dpop, last-event-id, x-max-auth-key"),
            );
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
    }
    response
}

async fn security_headers(request: Request, next: Next) -> Response {
    once_there(next.run(request).await, secured)
}

fn secured(mut response: Response) -> Response {
    let says_itself = response.extensions().get::<caching::SaysItself>().is_some();
    let redirects = response.status().is_redirection();
    let framed = response.extensions().get::<Framed>().is_some();
    let headers = response.headers_mut();
    if !says_itself {
        caching::forbid(headers);
    }
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !framed {
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    // A redirect has no page to keep apart, and may be a step of a sign-in in a window that must keep its opener.
    if !redirects {
        headers.entry(OPENER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    }
    headers.entry(RESOURCE_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    response
}

async fn no_panic(request: Request, next: Next) -> Response {
    match come(caught(next.run(request)).await) {
        Ok(response) => response,
        Err(later) => waiting(caught(later).boxed()),
    }
}

async fn caught(answer: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a request handler crashed; this is a defect of max-auth");
        Problem::new(ProblemCode::Internal, "Please try again.").into_response()
    })
}

/// Counts and, at debug level, logs: the route's pattern, never the path or the query, which can hold ids and tokens.
async fn observe(request: Request<Body>, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let span = traced(&request, matched.as_ref());
    let response = match span.is_disabled() {
        true => next.run(request).await,
        false => next.run(request).instrument(span.clone()).await,
    };
    once_there(response, move |response| {
        observed(&method, matched.as_ref(), began, response.status());
        span.record("http.response.status_code", response.status().as_u16());
        response
    })
}

/// By the names of OpenTelemetry's conventions for HTTP servers.
fn traced(request: &Request<Body>, matched: Option<&MatchedPath>) -> Span {
    if !traces::are_on() {
        return Span::none();
    }
    let (method, route) = (request.method().as_str(), matched.map_or("(none)", MatchedPath::as_str));
    let span = tracing::info_span!(
        target: TRACES,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
    );
    traces::continues(&span, request.headers());
    span
}

fn observed(method: &Method, matched: Option<&MatchedPath>, began: Instant, status: StatusCode) {
    let route = matched.map_or("(none)", MatchedPath::as_str).to_owned();
    let status = status.as_u16();
    let method = if matches!(method.as_str(), "GET" | "POST" | "DELETE" | "HEAD" | "OPTIONS" | "CONNECT") {
        method.to_string()
    } else {
        "other".to_owned()
    };
    metrics::histogram!("max_auth_request_seconds", "route" => route.clone()).record(began.elapsed().as_secs_f64());
    tracing::debug!(%method, route, status, ms = began.elapsed().as_millis() as u64, "request");
    metrics::counter!("max_auth_requests_total", "method" => method, "route" => route, "status" => status.to_string())
        .increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::origin::Origin;
    use axum::routing::get;
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn a_crash_is_answered_with_the_headers_of_every_answer() {
        async fn crash() -> StatusCode {
            panic!("a defect")
        }
        let origins = AllowedOrigins::new(vec![Origin::parse("https://example.ru").unwrap()]);
        let routes = wrap(Router::new().route("/", get(crash)), origins);
        let request = http::Request::builder().header(ORIGIN, "https://example.ru").body(Body::empty()).unwrap();
        let response = routes.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        for name in [CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, ACCESS_CONTROL_ALLOW_ORIGIN] {
            assert!(response.headers().contains_key(&name), "{name}");
        }
    }

    #[tokio::test]
    async fn only_a_preflight_of_a_listed_origin_is_answered_for_the_route() {
        let origins = AllowedOrigins::new(vec![Origin::parse("https://example.ru").unwrap()]);
        let routes = wrap(Router::new().route("/", get(|| async { StatusCode::ACCEPTED })), origins);
        for (method, origin, asks, status, listed) in [
            ("OPTIONS", "https://example.ru", true, StatusCode::NO_CONTENT, true),
            ("OPTIONS", "https://example.ru", false, StatusCode::METHOD_NOT_ALLOWED, true),
            ("OPTIONS", "https://evil.example", true, StatusCode::METHOD_NOT_ALLOWED, false),
            ("GET", "https://example.ru", true, StatusCode::ACCEPTED, true),
            ("GET", "https://evil.example", false, StatusCode::ACCEPTED, false),
        ] {
            let mut request = http::Request::builder().method(method).header(ORIGIN, origin);
            if asks {
                request = request.header(ACCESS_CONTROL_REQUEST_METHOD, "POST");
            }
            let answer = routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let allowed = answer.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|allowed| allowed == origin);
            let told = (answer.status(), allowed, answer.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS));
            assert_eq!(told, (status, listed, status == StatusCode::NO_CONTENT), "{method} {origin} {asks}");
        }
    }
}
