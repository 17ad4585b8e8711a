//! Caddy.

use crate::proxies::fact::fact;
use crate::proxies::finding_code::FindingCode::{Buffered, Compressed, CompressedLateByOne, WholeResponseBuffered};
use crate::proxies::product::{Product, Template};
use crate::proxies::signature::Spoils;

pub static PRODUCT: Product = Product {
    answer_marks: &[("server", "caddy"), ("via", "caddy")],
    spoils: &[Spoils::Compressed],
    templates: &[Template::new("caddy", include_str!("../templates/Caddyfile"))],
    facts: &[
        fact(
            "encode",
            "@rest not path {base} {base}/*\nencode @rest zstd gzip",
            "Caddy before 2.11 holds an event stream back that it compresses",
            &[Buffered, Compressed, CompressedLateByOne],
        ),
        fact(
            "flush",
            "flush_interval -1",
            "in reverse_proxy: each event leaves when it comes, whatever its type",
            &[Buffered, WholeResponseBuffered],
        ),
    ],
    ..Product::new("caddy", "the site's block in the Caddyfile")
};
