//! Traefik. Its answers do not name it, its requests do.

use crate::proxies::fact::{fact, placed};
use crate::proxies::finding_code::FindingCode::{
    Buffered, ForgedUserPassed, IdleTimeout, PageNotProtected, SignInNotLed, TotalTimeout, WayBackHostWrong,
    WayBackPathLost, WholeResponseBuffered,
};
use crate::proxies::product::{Product, Template};
use crate::proxies::signature::Spoils;

/// Where what asks goes.
const FORWARD_AUTH: &str = "forwardAuth of the middleware signed-in";

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
        placed(
            "the router of the page",
            fact(
                "protect",
                "middlewares: [signed-in]",
                "who is not signed in does not get further",
                &[PageNotProtected],
            ),
        ),
        placed(
            FORWARD_AUTH,
            fact(
                "ask",
                "address: http://{upstream}{base}/verify?redirect=1",
                "it does the leading, by X-Forwarded-Proto, -Host and -Uri",
                &[PageNotProtected, SignInNotLed, WayBackPathLost, WayBackHostWrong],
            ),
        ),
        placed(
            FORWARD_AUTH,
            fact(
                "strip",
                "authResponseHeadersRegex: (?i)^X[-_]Auth[-_]",
                "in place of what the visitor sent; some applications read _ as -",
                &[ForgedUserPassed],
            ),
        ),
    ],
    ..Product::new("traefik", "the router that serves {base}")
};
