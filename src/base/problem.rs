//! Errors as RFC 9457 problem bodies, each with a code out of one list.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::{Map, Value};
use std::time::Duration;

/// What went wrong, for programs: every code that a problem body can have. docs/http.md lists them; they are added and
/// never renamed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProblemCode {
    BadScript,
    BodyTimeout,
    BodyTooLarge,
    Busy,
    ClientRefused,
    CodeExpired,
    CodeMissing,
    CodeUsed,
    ContactInvalid,
    ContentType,
    GrantInvalid,
    InitDataInvalid,
    InitDataUsed,
    Internal,
    InvalidRequest,
    LoginNotFound,
    LogoutFailed,
    MethodNotAllowed,
    NoSuchCode,
    NotFound,
    NotSignedIn,
    OriginRefused,
    OtherNetwork,
    PasswordNotAsked,
    PersonLocked,
    PhoneCannot,
    PositionGone,
    PositionInvalid,
    ProbesBusy,
    NotAllowed,
    RateLimited,
    RequestGone,
    ReturnToRefused,
    SecretRefused,
    StoreFull,
    TooManyReaders,
    UpgradeFailed,
    UpgradeRequired,
    WebsocketVersion,
}

impl ProblemCode {
    /// As the body says it, the status of the answer, and a title for people.
    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        const LATER: &str = "Try again later";
        match self {
            Self::BadScript => ("bad-script", StatusCode::BAD_REQUEST, "Not a fault script"),
            Self::BodyTimeout => ("body-timeout", StatusCode::REQUEST_TIMEOUT, "The body did not arrive"),
            Self::BodyTooLarge => ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE, LATER),
            Self::ClientRefused => ("client-refused", StatusCode::UNAUTHORIZED, "This client is not known"),
            Self::CodeExpired => ("code-expired", StatusCode::GONE, "The code is over"),
            Self::CodeMissing => ("code-missing", StatusCode::BAD_REQUEST, "There is no code"),
            Self::CodeUsed => ("code-used", StatusCode::CONFLICT, "Somebody else has the code"),
            Self::ContactInvalid => ("contact-invalid", StatusCode::UNAUTHORIZED, "Not this person's number"),
            Self::InitDataInvalid => ("init-data-invalid", StatusCode::UNAUTHORIZED, "Not signed by MAX"),
            Self::InitDataUsed => ("init-data-used", StatusCode::CONFLICT, "Used before"),
            Self::OtherNetwork => ("other-network", StatusCode::FORBIDDEN, "The phone is elsewhere"),
            Self::PersonLocked => ("person-locked", StatusCode::FORBIDDEN, "Too many wrong answers"),
            Self::SecretRefused => ("secret-refused", StatusCode::UNAUTHORIZED, "Not from MAX"),
            Self::ContentType => ("content-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "JSON is expected"),
            Self::GrantInvalid => ("grant-invalid", StatusCode::BAD_REQUEST, "This sign-in cannot be finished"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
            Self::InvalidRequest => ("invalid-request", StatusCode::BAD_REQUEST, "The request cannot be read"),
            Self::LoginNotFound => ("login-not-found", StatusCode::NOT_FOUND, "No such login"),
            Self::LogoutFailed => ("logout-failed", StatusCode::INTERNAL_SERVER_ERROR, "Still signed in"),
            Self::MethodNotAllowed => ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::NoSuchCode => ("no-such-code", StatusCode::NOT_FOUND, "No such code"),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "Nothing here"),
            Self::NotSignedIn => ("not-signed-in", StatusCode::UNAUTHORIZED, "Nobody is signed in"),
            Self::OriginRefused => ("origin-refused", StatusCode::FORBIDDEN, "This page may not sign in here"),
            Self::PasswordNotAsked => ("password-not-asked", StatusCode::CONFLICT, "No password is asked for"),
            Self::PhoneCannot => ("phone-cannot", StatusCode::CONFLICT, "A phone cannot do that now"),
            Self::PositionGone => ("position-gone", StatusCode::GONE, "That position is gone"),
            Self::PositionInvalid => ("position-invalid", StatusCode::BAD_REQUEST, "Not a position"),
            Self::ProbesBusy => ("probes-busy", StatusCode::TOO_MANY_REQUESTS, "Too many probes"),
            Self::RateLimited => ("rate-limited", StatusCode::TOO_MANY_REQUESTS, LATER),
            Self::NotAllowed => ("not-allowed", StatusCode::FORBIDDEN, "This account may not"),
            Self::RequestGone => ("request-gone", StatusCode::GONE, "The app's request is gone"),
            Self::ReturnToRefused => ("return-to-refused", StatusCode::BAD_REQUEST, "returnTo leads off the site"),
            Self::StoreFull => ("store-full", StatusCode::SERVICE_UNAVAILABLE, LATER),
            Self::TooManyReaders => ("too-many-readers", StatusCode::TOO_MANY_REQUESTS, LATER),
            Self::UpgradeFailed => ("upgrade-failed", StatusCode::BAD_REQUEST, "No upgrade"),
            Self::UpgradeRequired => {
                ("upgrade-required", StatusCode::UPGRADE_REQUIRED, "The Upgrade header did not arrive")
            }
            Self::WebsocketVersion => ("websocket-version", StatusCode::UPGRADE_REQUIRED, "Unknown WebSocket version"),
        }
    }

    /// As the body says it.
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    pub const fn status(self) -> StatusCode {
        self.row().1
    }
}

/// What a client is told when a request cannot be served. The cause that only the operator may see goes to the log.
#[derive(Debug)]
pub struct Problem {
    code: ProblemCode,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), more: Map::new(), headers: Vec::new() }
    }

    /// A request that cannot be read, and why.
    pub fn invalid(why: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidRequest, why)
    }

    /// A request that may be made again after a while: `Retry-After` in seconds, `retryAfter` in milliseconds.
    pub fn later(code: ProblemCode, detail: impl Into<String>, after: Duration) -> Self {
        Self::new(code, detail)
            .with("retryAfter", after.as_millis() as u64)
            .header(RETRY_AFTER, HeaderValue::from(whole_seconds(after)))
    }

    pub fn code(&self) -> ProblemCode {
        self.code
    }

    /// A member of the body beside the standard ones.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// As `Retry-After` has it: never too early.
pub fn whole_seconds(after: Duration) -> u64 {
    after.as_secs_f64().ceil().max(1.0) as u64
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (code, status, title) = self.code.row();
        let mut body = Map::new();
        body.insert("type".into(), "about:blank".into());
        body.insert("title".into(), title.into());
        body.insert("status".into(), status.as_u16().into());
        body.insert("detail".into(), self.detail.into());
        body.insert("code".into(), code.into());
        body.extend(self.more);
        let mut response = Response::new(Body::from(Value::Object(body).to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        // For whoever says it otherwise to people.
        response.extensions_mut().insert(self.code);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn a_problem_is_a_body_of_rfc_9457() {
        let problem = Problem::later(ProblemCode::Busy, "full", Duration::from_millis(1500)).with("more", 7);
        let response = problem.into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["retry-after"], "2", "whole seconds, never too early");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({
            "type": "about:blank", "title": "Try again later", "status": 503, "detail": "full", "code": "busy",
            "retryAfter": 1500, "more": 7,
        });
        assert_eq!(body, expected);
        let soon = Problem::later(ProblemCode::Busy, "", Duration::ZERO).into_response();
        assert_eq!(soon.headers()["retry-after"], "1");
    }
}
