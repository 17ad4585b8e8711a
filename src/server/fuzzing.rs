//! What the server reads of a request, for the fuzzer.

use super::asked::{self, EventsQuery};
use super::cookie::Cookies;
use super::hop;
use super::origin::AllowedOrigins;
use crate::base::client_address::client_address;
use crate::base::origin::Origin;
use crate::base::websocket;
use axum::extract::Query;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use std::net::{IpAddr, Ipv4Addr};

/// Headers as they stand on the wire: cookies, `Forwarded`, `Origin`, `Upgrade`, `Accept`.
pub fn request_head(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii())) {
            headers.append(name, value);
        }
    }
    for secure in [false, true] {
        let cookies = Cookies { secure };
        let _ = (cookies.flow(&headers), cookies.session(&headers));
    }
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let trusted = ["127.0.0.0/8", "10.0.0.0/8", "::/0"].map(|net| net.parse().ok());
    let trusted: Vec<_> = trusted.into_iter().flatten().collect();
    let _ = (client_address(peer, &headers, &trusted), client_address(peer, &headers, &[]));
    let origins = AllowedOrigins::new(Origin::parse("https://example.ru").into_iter().collect());
    let _ = (origins.check_request(&headers), origins.check_upgrade(&headers));
    let _ = (asked::wants_stream(&headers), asked::prefers_json(&headers), asked::prefers_html(&headers));
    let _ = (asked::is_phone(&headers), hop::marks(&headers).count());
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    let _ = hop::hop(&request);
    if let Some(upgrade) = websocket::asked(&request) {
        let _ = websocket::accept(&mut request, upgrade, 4096);
    }
}

/// The query of an events request.
pub fn query(data: &[u8]) {
    let Ok(uri) = Uri::try_from([b"/x?", data].concat()) else { return };
    let _ = asked::asks_for_marks(&uri);
    let Ok(Query(query)) = Query::<EventsQuery>::try_from_uri(&uri) else { return };
    let _ = asked::position(&query, &HeaderMap::new());
    let _ = asked::seconds(query.wait.as_deref());
    let _ = asked::trial_length(query.trial.as_deref().unwrap_or_default());
    asked::count_failures(query.failed.as_deref().unwrap_or_default());
}
