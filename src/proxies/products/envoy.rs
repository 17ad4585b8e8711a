//! Envoy, by itself or in a service mesh.

use crate::proxies::fact::fact;
use crate::proxies::finding_code::FindingCode::{
    ClientAddressLost, IdleTimeout, TotalTimeout, WsKeyMissing, WsUpgradeHangs, WsUpgradeNotPassed, WsUpgradeRefused,
};
use crate::proxies::product::{Product, Template};

pub static PRODUCT: Product = Product {
    answer_marks: &[("server", "envoy"), ("x-envoy-upstream-service-time", "")],
    request_marks: &["x-envoy-expected-rq-timeout-ms"],
    request_hints: &["x-envoy-external-address", "x-envoy-internal"],
    templates: &[Template::new("envoy", include_str!("../templates/envoy.yaml"))],
    facts: &[
        fact(
            "upgrade",
            "upgrade_configs:\n- upgrade_type: websocket",
            "without it Envoy answers a WebSocket with 403",
            &[WsUpgradeRefused, WsUpgradeNotPassed, WsUpgradeHangs],
        ),
        fact(
            "route-timeout",
            "timeout: 0s",
            "of the route: the default ends every request 15 s after it began, events or not",
            &[TotalTimeout],
        ),
        fact(
            "idle-timeout",
            "stream_idle_timeout: 0s",
            "a sign-in waits for a person; the default ends it after 5 min of silence",
            &[IdleTimeout],
        ),
        fact(
            "client",
            "use_remote_address: true",
            "X-Forwarded-For says the visitor's address: sign-ins are limited by it",
            &[ClientAddressLost],
        ),
        fact(
            "no-connect",
            "allow_connect: false",
            "of http2_protocol_options: browsers then open the WebSocket over HTTP/1.1, with its key",
            &[WsKeyMissing],
        ),
    ],
    ..Product::new("envoy", "the HTTP connection manager and its route for {base}")
};
