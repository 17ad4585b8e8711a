//! Apache Traffic Server.

use crate::proxies::fact::{fact, placed};
use crate::proxies::finding_code::FindingCode::{Buffered, Compressed, CompressedLateByOne, IdleTimeout, TotalTimeout};
use crate::proxies::product::Product;
use crate::proxies::signature::Spoils;

pub static PRODUCT: Product = Product {
    answer_marks: &[("server", "ats"), ("via", "trafficserver"), ("via", "apachetrafficserver")],
    spoils: &[Spoils::Compressed],
    facts: &[
        fact(
            "compress",
            "compressible-content-type !text/event-stream",
            "the plugin holds events back, and with them even heartbeats",
            &[Compressed, CompressedLateByOne, Buffered],
        ),
        placed(
            "records.config",
            fact(
                "idle",
                "CONFIG proxy.config.http.transaction_no_activity_timeout_out INT 3600",
                "seconds; the default ends a stream after 30 s of silence",
                &[IdleTimeout],
            ),
        ),
        placed(
            "records.config",
            fact(
                "total",
                "CONFIG proxy.config.http.transaction_active_timeout_out INT 0",
                "seconds from the request's beginning, whatever flows; 0 is none",
                &[TotalTimeout],
            ),
        ),
    ],
    ..Product::new("trafficserver", "the compress plugin's file, or records.config")
};
