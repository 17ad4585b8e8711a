//! h2o.

use crate::proxies::fact::{UPGRADE, fact};
use crate::proxies::finding_code::FindingCode::{Compressed, CompressedLateByOne, IdleTimeout, TotalTimeout};
use crate::proxies::product::Product;
use crate::proxies::signature::Spoils;

pub static PRODUCT: Product = Product {
    answer_marks: &[("server", "h2o")],
    spoils: &[Spoils::LateByOne],
    drops_upgrades: true,
    facts: &[
        fact("websocket", "proxy.websocket: ON", "off by default: a WebSocket arrives as a plain GET", UPGRADE),
        fact("compress", "compress: OFF", "its compressor keeps one event back", &[Compressed, CompressedLateByOne]),
        fact(
            "io",
            "proxy.timeout.io: 3600000",
            "milliseconds; the default ends a stream after 30 s",
            &[IdleTimeout, TotalTimeout],
        ),
    ],
    ..Product::new("h2o", "the path {base} in h2o.conf")
};
