//! lighttpd with mod_proxy.

use crate::proxies::fact::{UPGRADE, fact};
use crate::proxies::finding_code::FindingCode::{Buffered, WholeResponseBuffered};
use crate::proxies::product::Product;
use crate::proxies::signature::Spoils;

pub static PRODUCT: Product = Product {
    answer_marks: &[("server", "lighttpd")],
    request_marks: &["x-host"],
    spoils: &[Spoils::Whole],
    drops_upgrades: true,
    facts: &[
        fact(
            "stream",
            "server.stream-response-body = 1",
            "the default 0 holds the whole answer, its head too",
            &[Buffered, WholeResponseBuffered],
        ),
        fact(
            "upgrade",
            "proxy.header = ( \"upgrade\" => \"enable\" )",
            "passes on the upgrade of a WebSocket",
            UPGRADE,
        ),
    ],
    ..Product::new("lighttpd", "the block for {base} in lighttpd.conf")
};
