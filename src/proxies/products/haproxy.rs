//! HAProxy. It adds no header of its own: how it spoils streams gives it away.

use crate::proxies::fact::fact;
use crate::proxies::finding_code::FindingCode::{
    ClientAddressLost, Compressed, CompressedLateByOne, Delayed, IdleTimeout, NotRouted, TotalTimeout,
};
use crate::proxies::position::ProxyPosition::Unknown;
use crate::proxies::product::{Product, Template};
use crate::proxies::signature::{Attribution, L, Spoils, T, conclusion, signature};

pub static PRODUCT: Product = Product {
    spoils: &[Spoils::LateByOne],
    delays_small_writes: true,
    signatures: &[signature(
        [L, T, T, L, L, L, L],
        &[conclusion(CompressedLateByOne, Attribution::Guess, Unknown)],
        "a compressor holds each event until the next, and stops at no-transform, as HAProxy's does",
    )],
    templates: &[Template {
        certificate: Some("/etc/haproxy/{domain}.pem"),
        colon_port: true,
        ..Template::new("haproxy", include_str!("../templates/haproxy.cfg"))
    }],
    facts: &[
        fact(
            "no-delay",
            "option http-no-delay",
            "without it the kernel holds each event for 200 ms, hoping for more",
            &[Delayed],
        ),
        fact(
            "tunnel",
            "timeout tunnel 1h",
            "a WebSocket is a tunnel; without this line the timeouts below end it",
            &[IdleTimeout],
        ),
        fact(
            "server-timeout",
            "timeout server 1h",
            "a stream may be silent while a person looks for the phone",
            &[IdleTimeout, TotalTimeout],
        ),
        fact("client-timeout", "timeout client 1h", "the same for the visitor's side", &[IdleTimeout]),
        fact(
            "compression",
            "compression type text/html text/css application/javascript application/json",
            "names what may be compressed; without a list event streams are, too",
            &[Compressed, CompressedLateByOne],
        ),
        fact(
            "client",
            "option forwardfor",
            "X-Forwarded-For: sign-ins are limited by the visitor's address",
            &[ClientAddressLost],
        ),
        fact(
            "route",
            "use_backend max_auth if { path {base} } or { path_beg {base}/ }",
            "the path must reach max-auth and not the site",
            &[NotRouted],
        ),
    ],
    ..Product::new("haproxy", "the defaults section, or the frontend and backend that serve it")
};
