//! Cloudflare, whose lines are switches of a dashboard.

use crate::proxies::fact::{UPGRADE, fact};
use crate::proxies::finding_code::FindingCode::Cached;
use crate::proxies::product::Product;

pub static PRODUCT: Product = Product {
    answer_marks: &[("cf-ray", ""), ("server", "cloudflare")],
    request_marks: &["cf-ray"],
    request_hints: &["cdn-loop"],
    operator: Some(("you, in Cloudflare's dashboard", "вы, в панели Cloudflare")),
    facts: &[
        fact("websockets", "Network > WebSockets: on", "per zone", UPGRADE),
        fact(
            "cache",
            "Caching > Cache Rules: URI Path starts with {base}, Bypass cache",
            "an answer about one sign-in must never reach another visitor",
            &[Cached],
        ),
    ],
    ..Product::new("cloudflare", "the zone's dashboard")
};
