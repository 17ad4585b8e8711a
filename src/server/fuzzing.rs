//! What the server reads of a request, for the fuzzer.

use super::cookie::Cookies;
use super::extract::{self, EventsQuery};
use super::origin::AllowedOrigins;
use super::proxy_fingerprint;
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
    let _ = (extract::wants_stream(&headers), extract::prefers_json(&headers), extract::prefers_html(&headers));
    let _ = (extract::is_phone(&headers), proxy_fingerprint::marks(&headers).count());
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    let _ = proxy_fingerprint::proxy_fingerprint(&request);
    if let Some(upgrade) = websocket::upgrade_asked(&request) {
        let _ = websocket::accept(&mut request, upgrade, 4096);
    }
}

/// The query of an events request.
pub fn query(data: &[u8]) {
    let Ok(uri) = Uri::try_from([b"/x?", data].concat()) else { return };
    let _ = extract::wish_of(&uri);
    let Ok(Query(query)) = Query::<EventsQuery>::try_from_uri(&uri) else { return };
    let _ = extract::position(&query, &HeaderMap::new());
    let _ = extract::seconds(query.wait.as_deref());
    let _ = extract::trial_length(query.trial.as_deref().unwrap_or_default());
    extract::count_failures(query.failed.as_deref().unwrap_or_default());
}
