//! What the doctor reads that others wrote, for the fuzzer.

use super::compare::Saved;
use super::decode::{Decoder, MAX_STREAM_BYTES};
use super::finding::{Finding, Site};
use super::http_observation::{HttpObservation, MAX_ANSWER_BYTES, whole};
use super::sse::SseReader;
use super::stream_observation::StreamObservation;
use super::{nginx_rules, proxy_path, reachability};
use crate::probe::{EchoAnswer, PollAnswer, StreamEvent, VisitorAnswer};
use crate::proxies::{FindingCode, Lang, NGINX};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::join3;
use http::Request;
use http::response::Parts;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::pin::pin;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use url::Url;

/// A compressed event stream: the first byte says how, the others come in pieces. No bomb goes off.
pub fn encoded_stream(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let mut decoder = Decoder::of(["gzip", "br", "zstd", "deflate"][usize::from(kind & 3)]);
    let piece = usize::from(kind >> 2) + 1;
    let decoded: usize = rest.chunks(piece).map(|piece| decoder.feed(piece).len()).sum();
    assert!(decoded <= MAX_STREAM_BYTES, "{decoded} bytes of {}", rest.len());
}

/// An event stream, and what is concluded from its times: the first byte says how it is encoded, and into which pieces it is
/// cut. Uncompressed, that makes no difference.
pub fn event_stream(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let encoding = ["", "gzip", "br", "zstd"][usize::from(kind & 3)];
    let read = |piece: usize| -> Vec<StreamEvent> {
        let mut reader = SseReader::of(encoding);
        rest.chunks(piece).flat_map(|piece| reader.feed(piece)).collect()
    };
    let events = read(usize::from(kind >> 2) + 1);
    if encoding.is_empty() {
        let sent = |events: &[StreamEvent]| events.iter().map(|event| event.sent_unix_ms).collect::<Vec<_>>();
        assert_eq!(sent(&events), sent(&read(usize::MAX)));
    }
    let seen = StreamObservation::with_events(&events);
    for offset in [0, i64::MIN, i64::MAX] {
        let other = StreamObservation::with_events(events.get(1..).unwrap_or_default());
        let _ = (seen.verdict(offset), seen.first_delay(offset), seen.began_before_its_end(offset), seen.cut_ms());
        for both in [seen.clone().with(other, offset), seen.clone().with(seen.clone(), offset)] {
            let _ = both.verdict(offset);
        }
    }
}

/// A whole answer over HTTP/1.1, from its first byte on, and what is read out of it.
pub fn http_answer(data: &[u8]) {
    let Ok(url) = Url::parse("https://example.ru/api/auth/max") else { return };
    let Some((head, body)) = answered(data) else { return };
    assert!(body.len() <= MAX_ANSWER_BYTES, "{}", body.len());
    let said = HttpObservation::said(head, &body, "n");
    let _ = (said.is_limited(), said.is_busy(), said.offset());
    let _ = (said.answer::<PollAnswer>(), said.answer::<VisitorAnswer>());
    if let Some(EchoAnswer { echo, .. }) = said.answer() {
        let _ = proxy_path::inner(&echo);
    }
    let _ = (reachability::circle(&url, &said), reachability::stranger(&url, &said));
    if let Some(to) = reachability::moved(&url, &said) {
        assert!(matches!(to.scheme(), "http" | "https") && to.path() == url.path(), "{to}");
    }
}

/// What hyper makes of these bytes, which follow its question at once: nothing is waited for.
fn answered(data: &[u8]) -> Option<(Parts, Bytes)> {
    /// Turns of the two sides, one after the other; a body of 4 KiB in chunks of a byte has some hundreds.
    const TURNS: usize = 10_000;
    /// Bytes on the way.
    const PIPE: usize = 16 * 1024;
    let (ours, mut theirs) = duplex(PIPE);
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(ours)).now_or_never()?.ok()?;
    let server = async move {
        // Before it is asked, an answer is an error.
        let _ = theirs.read(&mut [0; 1024]).await;
        let _ = theirs.write_all(data).await;
    };
    let answer = async move {
        let (head, body) = sender.send_request(Request::new(Full::default())).await.ok()?.into_parts();
        Some((head, whole(body).await))
    };
    let mut all = pin!(join3(answer, connection, server));
    (0..TURNS).find_map(|_| all.as_mut().now_or_never())?.0
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

#[cfg(test)]
mod tests {
    use super::answered;

    /// Else the fuzzer would try an empty function.
    #[test]
    fn an_answer_is_read_without_waiting() {
        let of = |data: &[u8]| answered(data).map(|(head, body)| (head.status.as_u16(), body));
        let plain = of(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(plain, Some((404, "hi".into())));
        let chunked = of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n");
        assert_eq!(chunked, Some((200, "hi".into())));
        assert_eq!(of(b"HTTP/1.0 502 Bad Gateway\r\n\r\nuntil it ends"), Some((502, "until it ends".into())));
        assert_eq!(of(b"SSH-2.0-OpenSSH_9.2\r\n"), None);
    }
}
