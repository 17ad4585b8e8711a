//! Varnish, a cache that compresses, too.

use crate::proxies::fact::{UPGRADE, fact, placed};
use crate::proxies::finding_code::FindingCode::{
    Buffered, Cached, Compressed, CompressedLateByOne, IdleTimeout, TotalTimeout, WholeResponseBuffered,
};
use crate::proxies::product::Product;
use crate::proxies::signature::Spoils;

pub static PRODUCT: Product = Product {
    answer_marks: &[("x-varnish", ""), ("via", "varnish")],
    request_marks: &["x-varnish"],
    spoils: &[Spoils::Whole, Spoils::Compressed],
    drops_upgrades: true,
    facts: &[
        fact(
            "pipe",
            "sub vcl_recv { if (req.http.upgrade ~ \"(?i)websocket\") { return (pipe); } }\n\
         sub vcl_pipe { if (req.http.upgrade) { set bereq.http.upgrade = req.http.upgrade; \
         set bereq.http.connection = req.http.connection; } }",
            "the built-in VCL drops the upgrade",
            UPGRADE,
        ),
        fact(
            "no-gzip",
            "sub vcl_backend_response { if (bereq.url ~ \"^{base}\") { set beresp.do_gzip = false; \
         set beresp.uncacheable = true; return (deliver); } }",
            "do_gzip holds events back, whatever the browser asked for",
            &[Compressed, CompressedLateByOne],
        ),
        fact(
            "stream",
            "sub vcl_backend_response { if (bereq.url ~ \"^{base}\") { set beresp.do_stream = true; \
         set beresp.uncacheable = true; return (deliver); } }",
            "without it the whole answer is fetched first",
            &[Buffered, WholeResponseBuffered],
        ),
        fact(
            "pass",
            "sub vcl_recv { if (req.url ~ \"^{base}\" && !req.http.upgrade) { return (pass); } }",
            "an answer about one sign-in must never reach another visitor",
            &[Cached],
        ),
        placed(
            "the backend's block of the VCL",
            fact(
                "timeouts",
                ".first_byte_timeout = 1h; .between_bytes_timeout = 1h;",
                "the default ends a stream after 60 s of silence",
                &[IdleTimeout, TotalTimeout],
            ),
        ),
    ],
    ..Product::new("varnish", "the VCL, above the subs of these names that are there: what returns first wins")
};
