//! What became of the WebSocket, and why: the second table.

use super::finding::Finding;
use super::http::text;
use super::http_observation::HttpObservation;
use super::proxy_path::ProxyPath;
use super::websocket_probe::WebSocketObservation;
use crate::probe::{RequestEcho, SocketGreeting};
use crate::proxies::{APP, FindingCode, Layer, NGINX, ProxyPosition, UNKNOWN, named_in_answer};

/// Where a refused upgrade was refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Responder {
    /// Our server answered: the upgrade was lost on the path.
    Us,
    /// Somebody on the way answered.
    Other,
}

struct Row {
    by: Responder,
    /// From, to.
    status: (u16, u16),
    code: FindingCode,
    says: &'static str,
}

impl Row {
    const fn other(from: u16, to: u16, code: FindingCode, says: &'static str) -> Self {
        Self { by: Responder::Other, status: (from, to), code, says }
    }
}

const ANSWERED: &[Row] = &[
    Row {
        by: Responder::Us,
        status: (100, 599),
        code: FindingCode::WsUpgradeNotPassed,
        says: "max-auth got the request without its upgrade",
    },
    Row::other(401, 401, FindingCode::AuthRequired, "a password is asked for"),
    Row::other(403, 403, FindingCode::WsUpgradeRefused, "a proxy forbids upgrades"),
    Row::other(300, 399, FindingCode::AuthRedirect, "a proxy leads the WebSocket elsewhere"),
    Row::other(429, 429, FindingCode::RateLimited, "a limit refuses it"),
    Row::other(
        100,
        599,
        FindingCode::WsUpgradeRefused,
        "a proxy refused the upgrade, while an ordinary request to the same path arrives",
    ),
];

/// The findings about the WebSocket.
pub fn findings(socket: &WebSocketObservation, path: &ProxyPath, seen: Layer, position: ProxyPosition) -> Vec<Finding> {
    let fault = |code, layer, evidence: String| vec![Finding::new(code, layer, evidence).at(position)];
    match socket {
        WebSocketObservation::NotTried => Vec::new(),
        WebSocketObservation::Live { echo, .. } => tolerated(echo, path, seen, position),
        WebSocketObservation::Hung => fault(
            FindingCode::WsUpgradeHangs,
            hanging(seen, path),
            "the WebSocket was asked for and nothing was answered within 2.5 s, while ordinary requests are answered"
                .to_owned(),
        ),
        WebSocketObservation::Silent { headers } => fault(
            FindingCode::WsFramesHeld,
            named_in_answer(headers).or(seen),
            "the WebSocket opened (101), but the messages that max-auth sends at once did not come within 2.5 s: what \
             answered the upgrade does not pass on what follows it"
                .to_owned(),
        ),
        WebSocketObservation::Broken(why) => fault(
            FindingCode::WsUpgradeRefused,
            seen,
            format!(
                "the WebSocket was asked for and the connection ended ({why}), while ordinary requests are answered"
            ),
        ),
        WebSocketObservation::Answered(plain) => answered(plain, path, seen, position),
    }
}

/// The WebSocket over HTTP/2: what fails there fails in browsers, which then try no other.
pub fn over_http2(
    socket: &WebSocketObservation,
    path: &ProxyPath,
    seen: Layer,
    position: ProxyPosition,
) -> Vec<Finding> {
    let mut found = findings(socket, path, seen, position);
    for finding in &mut found {
        finding.evidence = format!("over HTTP/2 (RFC 8441, announced by the proxy): {}", finding.evidence);
    }
    found
}

/// A layer that lets upgrades hang is seldom the one that names itself; an application's proxy is the usual one.
fn hanging(seen: Layer, path: &ProxyPath) -> Layer {
    if seen == UNKNOWN { path.unless_named(APP) } else { seen }
}

fn answered(plain: &HttpObservation, path: &ProxyPath, seen: Layer, position: ProxyPosition) -> Vec<Finding> {
    if plain.is_busy() {
        return Vec::new();
    }
    let by = if plain.ours.is_some() { Responder::Us } else { Responder::Other };
    let fits = |row: &&Row| row.by == by && (row.status.0..=row.status.1).contains(&plain.status);
    let Some(row) = ANSWERED.iter().find(fits) else { return Vec::new() };
    let mut layers = if by == Responder::Us { path.may_drop_upgrades() } else { Vec::new() };
    if layers.is_empty() {
        layers.push(named_in_answer(&plain.headers).or(seen));
    }
    let arrived = plain.answer::<SocketGreeting>().map(|greeting| greeting.echo);
    let old = arrived.as_ref().is_some_and(|echo| echo.http_version == "HTTP/1.0");
    let arrived = arrived.map(|echo| format!("; {}", what_arrived(&echo))).unwrap_or_default();
    let server = text(&plain.headers, "server").map(|server| format!(" by {server}")).unwrap_or_default();
    let old = if old { ". HTTP/1.0 knows no upgrade: what asked max-auth must speak 1.1 to it" } else { "" };
    let several = match layers.len() > 1 {
        true => {
            " (several on the way drop it unless a line says otherwise; which one does cannot be told from here, --hop tells)"
        }
        false => "",
    };
    let evidence =
        format!("a WebSocket was asked for, answered {}{server}: {}{arrived}{old}{several}", plain.status, row.says);
    let finding = |layer: Layer| {
        // Two tiers: which of them dropped it cannot be told from outside.
        let outer = layer.engine() == NGINX && position == ProxyPosition::Outer;
        let known = !(row.code == FindingCode::WsUpgradeNotPassed && outer);
        let position = if known { position } else { ProxyPosition::Unknown };
        Finding::new(row.code, layer, evidence.clone()).at(position)
    };
    layers.into_iter().map(finding).collect()
}

fn what_arrived(echo: &RequestEcho) -> String {
    format!(
        "what arrived: {}, Upgrade: {}, Connection: {}, Sec-WebSocket-Key {}",
        echo.http_version,
        echo.upgrade.as_deref().unwrap_or("(missing)"),
        echo.connection.as_deref().unwrap_or("(missing)"),
        if echo.sec_web_socket_key { "present" } else { "missing" },
    )
}

/// It works because max-auth is tolerant; others would not be.
fn tolerated(echo: &RequestEcho, path: &ProxyPath, seen: Layer, position: ProxyPosition) -> Vec<Finding> {
    let mut found = Vec::new();
    if echo.http_version != "HTTP/1.1" {
        return found;
    }
    let note = |code, layer, lost: &str| {
        let evidence = format!("the WebSocket works, but its request lost {lost}; {}", what_arrived(echo));
        Finding::new(code, layer, evidence).at(position)
    };
    let has_token = |value: &Option<String>| {
        value.as_ref().is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case("upgrade")))
    };
    if !has_token(&echo.connection) {
        // `Connection: close` beside an upgrade is what nginx says by default.
        let layer = if echo.connection.as_deref() == Some("close") { path.as_named(NGINX) } else { seen };
        found.push(note(FindingCode::WsConnectionHeaderMissing, layer, "a header"));
    }
    if !echo.sec_web_socket_key {
        found.push(note(FindingCode::WsKeyMissing, seen, "its key"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxies::{Severity, layer};
    use http::HeaderMap;
    use serde_json::json;

    fn name(found: &[Finding]) -> Vec<(&'static str, &'static str)> {
        found.iter().map(|finding| (finding.code.name(), finding.layer.name())).collect()
    }

    fn refused(status: u16, server: &'static str, ours: bool) -> Vec<(&'static str, &'static str)> {
        let headers = HeaderMap::from_iter([(http::header::SERVER, server.parse().unwrap())]);
        let echo = json!({ "nonce": "n", "unixMs": 1, "httpVersion": "HTTP/1.0", "connection": "close",
            "secWebSocketKey": true, "clientAddress": "::1", "proxyUnlisted": false });
        let ours = ours.then(|| json!({ "nonce": "n", "echo": echo }));
        let seen = named_in_answer(&headers);
        let path = ProxyPath { named: vec![seen], nginx: seen == NGINX, stranger: None };
        let plain = HttpObservation { status, headers, ours, ..HttpObservation::default() };
        name(&findings(&WebSocketObservation::Answered(Box::new(plain)), &path, seen, ProxyPosition::Unknown))
    }

    #[test]
    fn an_answer_names_the_cause() {
        assert_eq!(refused(426, "nginx", true), [("ws-upgrade-not-passed", "nginx")]);
        assert_eq!(refused(426, "Apache", true), [("ws-upgrade-not-passed", "apache")]);
        assert_eq!(refused(403, "envoy", false), [("ws-upgrade-refused", "envoy")]);
        assert_eq!(refused(400, "nginx", false), [("ws-upgrade-refused", "nginx")]);
        assert_eq!(refused(302, "nginx", false), [("auth-redirect", "nginx")]);
        let hung = findings(&WebSocketObservation::Hung, &ProxyPath::default(), UNKNOWN, ProxyPosition::Unknown);
        assert_eq!(name(&hung), [("ws-upgrade-hangs", "app")]);
        let deaf = WebSocketObservation::Silent { headers: HeaderMap::new() };
        let deaf = findings(&deaf, &ProxyPath::default(), UNKNOWN, ProxyPosition::Unknown);
        assert_eq!(name(&deaf), [("ws-frames-held", "unknown")], "a 101 was answered: nobody forgot to listen");
        let old = json!({ "nonce": "n", "echo": { "nonce": "n", "httpVersion": "HTTP/1.0", "secWebSocketKey": true,
            "proxyUnlisted": false } });
        let plain = HttpObservation { status: 426, ours: Some(old), ..HttpObservation::default() };
        let told = findings(
            &WebSocketObservation::Answered(Box::new(plain)),
            &ProxyPath::default(),
            UNKNOWN,
            ProxyPosition::Unknown,
        );
        assert!(told[0].evidence.contains("HTTP/1.0 knows no upgrade"), "{}", told[0].evidence);
        let two = ProxyPath { named: vec![NGINX, layer("varnish")], nginx: true, stranger: None };
        let plain = HttpObservation { status: 426, ours: Some(json!({ "nonce": "n" })), ..HttpObservation::default() };
        let both = findings(&WebSocketObservation::Answered(Box::new(plain)), &two, NGINX, ProxyPosition::Unknown);
        assert_eq!(name(&both), [("ws-upgrade-not-passed", "nginx"), ("ws-upgrade-not-passed", "varnish")]);
    }

    #[test]
    fn what_max_auth_tolerates_is_a_note() {
        let echo = RequestEcho {
            http_version: "HTTP/1.1".to_owned(),
            upgrade: Some("websocket".to_owned()),
            connection: Some("close".to_owned()),
            ..RequestEcho::default()
        };
        let live = WebSocketObservation::Live { echo: Box::new(echo), first_ms: 3, sent: 0, arrived: 1 };
        let found = findings(&live, &ProxyPath::default(), layer("envoy"), ProxyPosition::Unknown);
        assert_eq!(name(&found), [("ws-connection-header-missing", "nginx"), ("ws-key-missing", "envoy")]);
        assert!(found.iter().all(|finding| finding.severity == Severity::Note));
    }
}
