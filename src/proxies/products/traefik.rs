//! Traefik. Its answers do not name it, its requests do.

use crate::proxies::fact::{fact, placed};
use crate::proxies::finding_code::FindingCode::{Buffered, IdleTimeout, TotalTimeout, WholeResponseBuffered};
use crate::proxies::product::{Product, Template};
use crate::proxies::signature::Spoils;

pub static PRODUCT: Product = Product {
    request_marks: &["x-forwarded-server", "x-forwarded-port", "x-real-ip"],
    spoils: &[Spoils::Whole],
    templates: &[Template { colon_port: true, ..Template::new("traefik", include_str!("../templates/traefik.yml")) }],
    facts: &[
        fact(
            "no-buffering",
            "middlewares: []",
            "the middleware `buffering` holds whole answers: leave it out of this router",
            &[Buffered, WholeResponseBuffered],
        ),
        placed(
            "the static configuration, or the command line",
            fact(
                "timeouts",
                "--entryPoints.https.transport.respondingTimeouts.readTimeout=0s",
                "of the entry point: no end for a request that takes a person's time",
                &[IdleTimeout, TotalTimeout],
            ),
        ),
    ],
    ..Product::new("traefik", "the router that serves {base}")
};
