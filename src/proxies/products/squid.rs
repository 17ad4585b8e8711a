//! Squid as an accelerator.

use crate::proxies::fact::{UPGRADE, fact};
use crate::proxies::product::Product;

pub static PRODUCT: Product = Product {
    answer_marks: &[("via", "squid"), ("server", "squid")],
    drops_upgrades: true,
    facts: &[fact(
        "upgrade",
        "http_upgrade_request_protocols websocket allow all",
        "in lower case: the manual's WebSocket does not match what browsers send",
        UPGRADE,
    )],
    ..Product::new("squid", "squid.conf")
};
