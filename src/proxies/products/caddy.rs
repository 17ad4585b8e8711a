//! Caddy.

use crate::proxies::fact::{fact, placed};
use crate::proxies::finding_code::FindingCode::{
    Buffered, Compressed, CompressedLateByOne, ForgedUserPassed, PageNotProtected, SignInNotLed, WayBackHostWrong,
    WayBackPathLost, WholeResponseBuffered,
};
use crate::proxies::product::{ForgedAtVerify, Product, Template};
use crate::proxies::signature::Spoils;

pub static PRODUCT: Product = Product {
    answer_marks: &[("server", "caddy"), ("via", "caddy")],
    forged_at_verify: ForgedAtVerify::All,
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
        placed(
            "route, before forward_auth",
            fact(
                "strip",
                "request_header -X-Auth-*\nrequest_header -X-Auth_*\nrequest_header -X_Auth-*\nrequest_header -X_Auth_*",
                "what the visitor may have sent; some applications read _ as -",
                &[ForgedUserPassed],
            ),
        ),
        placed(
            "route, before reverse_proxy",
            fact(
                "protect",
                "forward_auth {upstream} {\n    uri {base}/verify?redirect=1\n    copy_headers X-Auth-User X-Auth-Name X-Auth-Groups\n}",
                "who is not signed in does not get further",
                &[PageNotProtected, SignInNotLed, WayBackPathLost, WayBackHostWrong],
            ),
        ),
    ],
    ..Product::new("caddy", "the site's block in the Caddyfile")
};
