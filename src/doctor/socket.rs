//! What became of the WebSocket, and why: the second table.

use super::finding::{Finding, Severity};
use super::http::text;
use super::probe::{Echo, Plain, Socket};
use super::reach::product;
use super::way::Way;
use crate::config::facts::{Code, Layer, Tier};
use crate::probe::SocketGreeting;

/// Where a refused upgrade was refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// Our server answered: the upgrade was lost on the way.
    Us,
    /// Somebody on the way answered.
    Other,
}

struct Row {
    by: By,
    /// From, to.
    status: (u16, u16),
    code: Code,
    says: &'static str,
}

const ANSWERED: &[Row] = &[
    Row {
        by: By::Us,
        status: (100, 599),
        code: Code::WsUpgradeNotPassed,
        says: "max-auth got the request without its upgrade",
    },
    Row { by: By::Other, status: (401, 401), code: Code::AuthRequired, says: "a password is asked for" },
    Row { by: By::Other, status: (403, 403), code: Code::WsUpgradeRefused, says: "a proxy forbids upgrades" },
    Row { by: By::Other, status: (300, 399), code: Code::AuthRedirect, says: "a proxy leads the WebSocket elsewhere" },
    Row { by: By::Other, status: (429, 429), code: Code::RateLimited, says: "a limit refuses it" },
    Row {
        by: By::Other,
        status: (100, 599),
        code: Code::WsUpgradeRefused,
        says: "a proxy refused the upgrade, while an ordinary request to the same path arrives",
    },
];

/// The findings about the WebSocket.
pub fn findings(socket: &Socket, way: &Way, seen: Layer, tier: Tier) -> Vec<Finding> {
    let fault = |code, layer, evidence: String| vec![Finding::new(code, Severity::Fault, layer, tier, evidence)];
    match socket {
        Socket::NotTried => Vec::new(),
        Socket::Live { echo, .. } => tolerated(echo, seen, tier),
        Socket::Hung => fault(
            Code::WsUpgradeHangs,
            hanging(seen, way),
            "the WebSocket was asked for and nothing was answered within 2.5 s, while ordinary requests are answered"
                .to_owned(),
        ),
        Socket::Silent { headers } => fault(
            Code::WsFramesHeld,
            match product(headers) {
                Layer::Unknown => seen,
                named => named,
            },
            "the WebSocket opened (101), but the messages that max-auth sends at once did not come within 2.5 s: what \
             answered the upgrade does not pass on what follows it"
                .to_owned(),
        ),
        Socket::Broken(why) => fault(
            Code::WsUpgradeRefused,
            seen,
            format!(
                "the WebSocket was asked for and the connection ended ({why}), while ordinary requests are answered"
            ),
        ),
        Socket::Answered(plain) => answered(plain, way, seen, tier),
    }
}

/// The WebSocket over HTTP/2: what fails there fails in browsers, which then try no other.
pub fn over_http2(socket: &Socket, way: &Way, seen: Layer, tier: Tier) -> Vec<Finding> {
    let mut found = findings(socket, way, seen, tier);
    for finding in &mut found {
        finding.evidence = format!("over HTTP/2 (RFC 8441, announced by the proxy): {}", finding.evidence);
    }
    found
}

/// A layer that lets upgrades hang is seldom the one that names itself; an application's proxy is the usual one.
fn hanging(seen: Layer, way: &Way) -> Layer {
    if seen == Layer::Unknown { way.unless_named(Layer::App) } else { seen }
}

fn answered(plain: &Plain, way: &Way, seen: Layer, tier: Tier) -> Vec<Finding> {
    if plain.is_busy() {
        return Vec::new();
    }
    let by = if plain.ours.is_some() { By::Us } else { By::Other };
    let fits = |row: &&Row| row.by == by && (row.status.0..=row.status.1).contains(&plain.status);
    let Some(row) = ANSWERED.iter().find(fits) else { return Vec::new() };
    let named = product(&plain.headers);
    let mut layers = if by == By::Us { way.may_drop_upgrades() } else { Vec::new() };
    if layers.is_empty() {
        layers.push(if named == Layer::Unknown { seen } else { named });
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
        let known = !(row.code == Code::WsUpgradeNotPassed && layer == Layer::Nginx && tier == Tier::Outer);
        let tier = if known { tier } else { Tier::Unknown };
        Finding::new(row.code, Severity::Fault, layer, tier, evidence.clone())
    };
    layers.into_iter().map(finding).collect()
}

fn what_arrived(echo: &Echo) -> String {
    format!(
        "what arrived: {}, Upgrade: {}, Connection: {}, Sec-WebSocket-Key {}",
        echo.http_version,
        echo.upgrade.as_deref().unwrap_or("(missing)"),
        echo.connection.as_deref().unwrap_or("(missing)"),
        if echo.sec_web_socket_key { "present" } else { "missing" },
    )
}

/// It works because max-auth is tolerant; others would not be.
fn tolerated(echo: &Echo, seen: Layer, tier: Tier) -> Vec<Finding> {
    let mut found = Vec::new();
    if echo.http_version != "HTTP/1.1" {
        return found;
    }
    let note = |code, layer, evidence: String| Finding::new(code, Severity::Note, layer, tier, evidence);
    let has_token = |value: &Option<String>| {
        value.as_ref().is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case("upgrade")))
    };
    if !has_token(&echo.connection) {
        // `Connection: close` beside an upgrade is what nginx says by default.
        let layer = if echo.connection.as_deref() == Some("close") { Layer::Nginx } else { seen };
        found.push(note(
            Code::WsConnectionHeaderMissing,
            layer,
            format!("the WebSocket works, but its request lost a header; {}", what_arrived(echo)),
        ));
    }
    if !echo.sec_web_socket_key {
        found.push(note(
            Code::WsKeyMissing,
            seen,
            format!("the WebSocket works, but its request lost its key; {}", what_arrived(echo)),
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let seen = product(&headers);
        let way = Way { named: vec![seen], nginx: seen == Layer::Nginx, stranger: None };
        let plain = Plain { status, headers, ours, ..Plain::default() };
        name(&findings(&Socket::Answered(Box::new(plain)), &way, seen, Tier::Unknown))
    }

    #[test]
    fn an_answer_names_the_cause() {
        assert_eq!(refused(426, "nginx", true), [("ws-upgrade-not-passed", "nginx")]);
        assert_eq!(refused(426, "Apache", true), [("ws-upgrade-not-passed", "apache")]);
        assert_eq!(refused(403, "envoy", false), [("ws-upgrade-refused", "envoy")]);
        assert_eq!(refused(400, "nginx", false), [("ws-upgrade-refused", "nginx")]);
        assert_eq!(refused(302, "nginx", false), [("auth-redirect", "nginx")]);
        let hung = findings(&Socket::Hung, &Way::default(), Layer::Unknown, Tier::Unknown);
        assert_eq!(name(&hung), [("ws-upgrade-hangs", "app")]);
        let deaf = Socket::Silent { headers: HeaderMap::new() };
        let deaf = findings(&deaf, &Way::default(), Layer::Unknown, Tier::Unknown);
        assert_eq!(name(&deaf), [("ws-frames-held", "unknown")], "a 101 was answered: nobody forgot to listen");
        let old = json!({ "nonce": "n", "echo": { "nonce": "n", "httpVersion": "HTTP/1.0", "secWebSocketKey": true,
            "proxyUnlisted": false } });
        let plain = Plain { status: 426, ours: Some(old), ..Plain::default() };
        let told = findings(&Socket::Answered(Box::new(plain)), &Way::default(), Layer::Unknown, Tier::Unknown);
        assert!(told[0].evidence.contains("HTTP/1.0 knows no upgrade"), "{}", told[0].evidence);
        let two = Way { named: vec![Layer::Nginx, Layer::Varnish], nginx: true, stranger: None };
        let plain = Plain { status: 426, ours: Some(json!({ "nonce": "n" })), ..Plain::default() };
        let both = findings(&Socket::Answered(Box::new(plain)), &two, Layer::Nginx, Tier::Unknown);
        assert_eq!(name(&both), [("ws-upgrade-not-passed", "nginx"), ("ws-upgrade-not-passed", "varnish")]);
    }

    #[test]
    fn what_max_auth_tolerates_is_a_note() {
        let echo = Echo {
            http_version: "HTTP/1.1".to_owned(),
            upgrade: Some("websocket".to_owned()),
            connection: Some("close".to_owned()),
            ..Echo::default()
        };
        let live = Socket::Live { echo: Box::new(echo), first_ms: 3, sent: 0, arrived: 1 };
        let found = findings(&live, &Way::default(), Layer::Envoy, Tier::Unknown);
        assert_eq!(name(&found), [("ws-connection-header-missing", "nginx"), ("ws-key-missing", "envoy")]);
        assert!(found.iter().all(|finding| finding.severity == Severity::Note));
    }
}
