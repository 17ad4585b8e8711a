//! What the doctor reads that others wrote, for the fuzzer.

use super::compare::Saved;
use super::decode::Decoder;
use super::finding::{Finding, Site};
use super::nginx_rules;
use crate::proxies::{FindingCode, Lang, NGINX};
use serde_json::json;

/// What an encoded event stream may come to, in bytes, for each byte that came, and beyond: gzip's best is 1032.
const EXPANSION: usize = 1100;

/// A compressed event stream: the first byte says how, the others come in pieces. No bomb goes off.
pub fn encoded_stream(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let mut decoder = Decoder::of(["gzip", "br", "zstd", "deflate"][usize::from(kind & 3)]);
    let piece = usize::from(kind >> 2) + 1;
    for piece in rest.chunks(piece) {
        let text = decoder.feed(piece);
        assert!(text.len() <= piece.len() * EXPANSION + 2 * 1024 * 1024, "{} of {}", text.len(), piece.len());
    }
}

/// What `nginx -T` printed.
pub fn nginx_dump(data: &[u8]) {
    let dumps = String::from_utf8_lossy(data).split("\n---\n").map(str::to_owned).collect::<Vec<_>>();
    let site = Site { base: "/api/auth/max".to_owned(), origin: "https://example.ru".to_owned() };
    let mut findings: Vec<Finding> = [
        FindingCode::Buffered,
        FindingCode::WsUpgradeNotPassed,
        FindingCode::IdleTimeout,
        FindingCode::ClientAddressLost,
    ]
    .map(|code| Finding::new(code, NGINX, "evidence"))
    .into();
    nginx_rules::locate(&mut findings, &dumps, &site);
}

/// A report for `--against`.
pub fn saved_report(data: &[u8]) {
    let Ok(saved) = Saved::read(&String::from_utf8_lossy(data)) else { return };
    let now = json!({ "asked": "a", "url": "b", "transport": "sse", "firstEventMs": 5, "findings": [] });
    let _ = saved.is_about("https://example.ru");
    let changes = saved.changes(&now);
    let _ = (changes.json(), changes.text(Lang::Ru), changes.text(Lang::En));
}
