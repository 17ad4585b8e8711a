//! The hop next to us, told by how it writes its requests: which proxy it is and how it is set up, never who comes
//! through it.

use crate::proxies::request_marks;
use http::header::{CONNECTION, VIA};
use http::{HeaderMap, Request};
use std::sync::Arc;

/// Characters of `Via` that are kept: protocol and pseudonym of the nearest proxies.
const VIA_LENGTH: usize = 60;

pub fn proxy_fingerprint<B>(request: &Request<B>) -> Arc<str> {
    let headers = request.headers();
    let mut text = format!("{:?}", request.version());
    for (name, value) in
        [("connection", printable(headers, CONNECTION.as_str())), ("via", printable(headers, VIA.as_str()))]
    {
        if !value.is_empty() {
            text += &format!(" {name}={value}");
        }
    }
    for mark in marks(headers) {
        text += &format!(" {mark}");
    }
    text.into()
}

/// The names of those headers that proxies add.
pub fn marks(headers: &HeaderMap) -> impl Iterator<Item = &'static str> {
    request_marks().filter(|mark| headers.contains_key(*mark))
}

fn printable(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.chars().filter(|c| c.is_ascii_graphic()).take(VIA_LENGTH).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_tells_the_proxy_and_not_the_visitor() {
        let request = Request::builder()
            .header("Connection", "close")
            .header("X-Forwarded-For", "203.0.113.9")
            .header("Via", "1.1 Caddy")
            .body(())
            .unwrap();
        assert_eq!(&*proxy_fingerprint(&request), "HTTP/1.1 connection=close via=1.1caddy x-forwarded-for");
    }
}
