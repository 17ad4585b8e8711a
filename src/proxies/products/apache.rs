//! Apache's httpd with mod_proxy.

use crate::proxies::fact::fact;
use crate::proxies::finding_code::FindingCode::{
    Cached, ClientAddressLost, HostRewritten, IdleTimeout, NotRouted, TotalTimeout, WholeResponseBuffered,
    WsUpgradeHangs, WsUpgradeNotPassed, WsUpgradeRefused,
};
use crate::proxies::product::{Product, Template};
use crate::proxies::signature::Spoils;

pub static PRODUCT: Product = Product {
    answer_marks: &[("server", "apache")],
    request_marks: &["x-forwarded-server"],
    spoils: &[Spoils::Whole],
    drops_upgrades: true,
    templates: &[Template {
        comments_behind: false,
        ..Template::new("apache", include_str!("../templates/apache.conf"))
    }],
    facts: &[
        fact(
            "proxy-pass",
            "ProxyPass \"{base}\" \"http://{upstream}{base}\" upgrade=websocket",
            "upgrade=websocket needs 2.4.47; without it a WebSocket arrives as a plain GET: 426",
            &[WsUpgradeNotPassed, WsUpgradeRefused, WsUpgradeHangs, NotRouted],
        ),
        fact(
            "timeout",
            "ProxyTimeout 3600",
            "seconds; a sign-in waits for a person, the default ends it after 60 s of silence",
            &[IdleTimeout, TotalTimeout],
        ),
        fact("host", "ProxyPreserveHost On", "the name and port the visitor sees", &[HostRewritten]),
        fact(
            "add-headers",
            "ProxyAddHeaders On",
            "X-Forwarded-For, -Host: the visitor's address",
            &[ClientAddressLost],
        ),
        fact(
            "cache",
            "CacheDisable \"{base}\"",
            "an answer about one sign-in must never reach another visitor",
            &[Cached],
        ),
        fact(
            "modsecurity",
            "<Location \"{base}\">\n    SecResponseBodyAccess Off\n</Location>",
            "ModSecurity: to read an answer it holds all of it",
            &[WholeResponseBuffered],
        ),
    ],
    ..Product::new("apache", "the VirtualHost of the site")
};
