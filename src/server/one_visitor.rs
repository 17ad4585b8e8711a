//! The headers of an answer that is about one visitor. A cache in front that gives it to the next one hands out an
//! identity; so each kind of cache is told in the words that it still obeys where it was told to ignore the others.

use crate::transport::page::{ACCEL, NOT_STORED};
use http::header::{CACHE_CONTROL, EXPIRES, HeaderName, VARY};
use http::{HeaderMap, HeaderValue};

/// `/session`, `/verify` and the doctor's probe for them.
pub fn for_one_visitor(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, NOT_STORED);
    headers.insert(EXPIRES, HeaderValue::from_static("0"));
    headers.append(VARY, HeaderValue::from_static("Cookie"));
    // nginx: not to be kept, and what is not buffered cannot be.
    headers.insert(HeaderName::from_static("x-accel-expires"), HeaderValue::from_static("0"));
    headers.insert(ACCEL.0, ACCEL.1);
    // Caches of a CDN that take their orders from here only (RFC 9213).
    headers.insert(HeaderName::from_static("cdn-cache-control"), HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("surrogate-control"), HeaderValue::from_static("no-store"));
}
