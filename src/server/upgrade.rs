//! A WebSocket that lost its upgrade on the way: answered 426 with what did arrive, and told to the operator once.

use crate::base::problem::{Problem, ProblemCode};
use crate::proxies::{FindingCode, NGINX, ProxyPosition, fixes};
use http::header::{CONNECTION, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE, VIA};
use http::{HeaderValue, Request, Version};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};

/// The lines that are missing nearly always, of the proxy that is nearly always there. One that goes elsewhere stands as a
/// comment behind the one that needs it.
fn fix() -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for fact in fixes(FindingCode::WsUpgradeNotPassed, NGINX, ProxyPosition::Unknown) {
        match (fact.place, lines.last_mut()) {
            (Some(place), Some(last)) => *last += &format!("  # in {place}: {}", fact.line),
            _ => lines.push(fact.line.to_owned()),
        }
    }
    lines
}

/// Remembers that the operator has been told.
#[derive(Default)]
pub struct StrippedUpgrades {
    told: AtomicBool,
}

impl StrippedUpgrades {
    /// The answer to a GET of the WebSocket's address that asks for none.
    pub fn answer<B>(&self, request: &Request<B>) -> Problem {
        let headers = request.headers();
        // Browsers send these only with an upgrade, and proxies that strip the upgrade let them through.
        let stripped = headers.contains_key(SEC_WEBSOCKET_KEY) || headers.contains_key(SEC_WEBSOCKET_VERSION);
        let text = |name: HeaderName| {
            headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).chars().take(200).collect::<String>())
        };
        let arrived = json!({
            "httpVersion": format!("{:?}", request.version()),
            "upgrade": text(UPGRADE),
            "connection": text(CONNECTION),
            "via": text(VIA),
            "secWebSocketKey": headers.contains_key(SEC_WEBSOCKET_KEY),
        });
        let happened = if stripped {
            "A WebSocket was asked for, but the Upgrade header did not arrive: a proxy between the browser and \
             max-auth dropped it. Sign-ins go on over a slower transport"
        } else {
            "This address speaks WebSocket, and the Upgrade header did not arrive. If a browser sent it, a proxy dropped it"
        };
        let (fix, product) = (fix(), NGINX.name());
        let detail = format!("{happened}; the lines in `fix` ({product}, each tier) fix it.");
        if stripped {
            metrics::counter!("max_auth_upgrades_stripped_total").increment(1);
            if !self.told.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    http_version = ?request.version(),
                    connection = text(CONNECTION),
                    via = text(VIA),
                    "a proxy in front of max-auth drops the Upgrade header of WebSockets, so sign-ins fall back to a \
                     slower transport; in {product}, on each tier: {}",
                    fix.join(" ")
                );
            }
        }
        let problem =
            Problem::new(ProblemCode::UpgradeRequired, detail).with("arrived", arrived).with("fix", json!(fix));
        if request.version() < Version::HTTP_2 {
            // RFC 9110 §15.5.22; HTTP/2 has no such headers.
            return problem
                .header(UPGRADE, HeaderValue::from_static("websocket"))
                .header(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Counted, Heard};
    use axum::response::IntoResponse as _;

    #[test]
    fn the_answer_names_the_upgrade_where_the_version_has_one() {
        for (version, has) in
            [(Version::HTTP_10, true), (Version::HTTP_11, true), (Version::HTTP_2, false), (Version::HTTP_3, false)]
        {
            let request = Request::builder().version(version).body(()).unwrap();
            let answer = StrippedUpgrades::default().answer(&request).into_response();
            assert_eq!(answer.status(), http::StatusCode::UPGRADE_REQUIRED);
            let headers = answer.headers();
            assert_eq!((headers.contains_key(UPGRADE), headers.contains_key(CONNECTION)), (has, has), "{version:?}");
        }
    }

    #[test]
    fn the_operator_is_told_once_of_what_a_proxy_took_away_and_each_is_counted() {
        let (heard, counted) = (Heard::listen(), Counted::listen());
        let upgrades = StrippedUpgrades::default();
        let ask = |header: Option<HeaderName>| {
            let mut request = Request::builder().version(Version::HTTP_11).header(VIA, "1.1 middle");
            if let Some(header) = header {
                request = request.header(header, "x");
            }
            upgrades.answer(&request.body(()).unwrap())
        };
        let told = || (heard.lines("drops the Upgrade header"), counted.of("max_auth_upgrades_stripped_total"));
        ask(None);
        ask(Some(UPGRADE));
        assert_eq!(told(), (0, 0), "somebody who opened the address");
        ask(Some(SEC_WEBSOCKET_KEY));
        assert_eq!((told(), heard.lines("1.1 middle")), ((1, 1), 1));
        ask(Some(SEC_WEBSOCKET_VERSION));
        assert_eq!(told(), (1, 2));
    }
}
