//! What caches on the way may keep: our scripts and pages of text, and nothing that depends on who asks.
//!
//! Some caches are told to ignore `Cache-Control`. What each still obeys was found by trying, with its switches for
//! ignoring on (`tests/chains/caches.test.mjs`): nginx `X-Accel-Expires` and `Vary`; Varnish, whose VCL sets a lifetime of its
//! own, only a `Vary` that names the cookie, not `*`; and nginx keeps nothing that is not buffered. Squid, Traffic Server and Apache `Vary`, `Pragma` and `Expires`;
//! HAProxy `Vary` and `Pragma`. One told to ignore all of it is found by `max-auth doctor` as `cached`.

use crate::transport::long_poll::ACCEL;
use axum::response::Response;
use http::header::{CACHE_CONTROL, EXPIRES, HeaderName, PRAGMA, VARY};
use http::{HeaderMap, HeaderValue};

/// An answer with this extension is the same for everybody, or its caching is what is being tested: it says itself how it
/// may be kept.
#[derive(Clone, Copy)]
pub struct SaysItself;

pub async fn says_itself(mut response: Response) -> Response {
    response.extensions_mut().insert(SaysItself);
    response
}

/// Beside the ones that browsers know: two for nginx, then two names that content delivery networks share (RFC 9213).
const NEVER: [(HeaderName, HeaderValue); 6] = [
    ACCEL,
    (EXPIRES, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT")),
    (PRAGMA, HeaderValue::from_static("no-cache")),
    (HeaderName::from_static("x-accel-expires"), HeaderValue::from_static("0")),
    (HeaderName::from_static("cdn-cache-control"), HeaderValue::from_static("no-store")),
    (HeaderName::from_static("surrogate-control"), HeaderValue::from_static("no-store")),
];

/// `no-transform`, so that nobody compresses a stream and holds back what does not fill a block.
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store, no-transform");

/// For an answer that depends on who asks.
pub fn forbid(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, PRIVATE);
    for (name, value) in NEVER {
        headers.insert(name, value);
    }
    vary(headers, "cookie");
}

/// Adds a name to `Vary`, in one line: nginx before 1.23 reads only one.
pub fn vary(headers: &mut HeaderMap, name: &str) {
    let mut names: Vec<String> = headers
        .get_all(VARY)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|known| !known.is_empty() && known != name)
        .collect();
    names.push(name.to_owned());
    if let Ok(line) = HeaderValue::from_str(&names.join(", ")) {
        headers.insert(VARY, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vary_is_one_line_whatever_was_there() {
        let mut headers = HeaderMap::new();
        headers.append(VARY, HeaderValue::from_static("Origin, Cookie"));
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
        forbid(&mut headers);
        let lines: Vec<_> = headers.get_all(VARY).iter().collect();
        assert_eq!(lines, ["origin, accept-encoding, cookie"]);
        assert_eq!(headers[CACHE_CONTROL], "private, no-store, no-transform");
    }
}
