//! From what was asked and answered to findings, and to the transport that delivers.

use super::delivery::DeliveryMode;
use super::finding::Finding;
use super::http::Client;
use super::probe_round::{ACCEL, ALL_HEADERS, GZIP, PADDED, ProbeRound};
use super::proxy_path::ProxyPath;
use super::reachability::Reached;
use super::request_findings;
use super::stream_findings::{self, DELAYED_MS};
use super::stream_observation::{StreamObservation, Verdict};
use super::websocket_findings;
use super::websocket_probe::WebSocketObservation;
use crate::proxies::{FindingCode, Layer, NGINX, ProxyPosition, Severity, UNKNOWN, is_nameless, named_in_answer};

/// A WebSocket's message that took longer than this (milliseconds) is late, and no machine is so busy.
const SOCKET_LATE_MS: i64 = 600;

/// One address, diagnosed.
pub struct Diagnosis {
    pub transport: DeliveryMode,
    pub first_event_ms: Option<i64>,
    pub findings: Vec<Finding>,
    /// What came of the streams; empty where they were not asked for.
    pub streams: Vec<Verdict>,
    pub path: ProxyPath,
}

pub fn diagnose(client: &Client, reached: &Reached, round: &ProbeRound) -> Diagnosis {
    let offset = offset(reached, round);
    let verdicts: Vec<Verdict> = round.columns.iter().map(|seen| verdict(seen, round, offset)).collect();
    let path = ProxyPath::of(reached, round, accel_gone(round));
    let mut findings = stream_findings::findings(round, &verdicts, offset, &path);
    // One that no header gives away is told by what it does to streams.
    let nameless = findings.iter().map(|finding| finding.layer).find(|layer| is_nameless(*layer));
    let seen = match nameless {
        Some(layer) if path.seen() == UNKNOWN => layer,
        _ => path.seen(),
    };
    let position = position(&findings);
    findings.extend(request_findings::one_worker(round, &path));
    findings.extend(websocket_findings::findings(&round.socket, &path, seen, position));
    findings.extend(websocket_findings::over_http2(&round.socket_over_http2, &path, seen, position));
    findings.extend(socket_late(&round.socket, offset, seen));
    findings
        .extend(request_findings::clocks(round, seen).or_else(|| request_findings::remembered(&reached.echo, seen)));
    findings.extend(pages(round, seen, &verdicts, offset));
    findings.extend(request_findings::limits(round, seen));
    // Which of several tiers changed a request cannot be told from outside.
    let asked = request_findings::Asked { host: &client.host(), origin: &client.origin };
    findings.extend(request_findings::request(asked, reached, &path, seen));
    let mut findings = once(findings);
    if matches!(position, ProxyPosition::Outer | ProxyPosition::Inner | ProxyPosition::Both) {
        request_findings::two_tiers(&mut findings);
    }
    for finding in findings.iter_mut().filter(|finding| finding.layer == UNKNOWN) {
        finding.evidence += &path.introduction();
    }
    let (transport, first_event_ms) = transport(round, &verdicts, offset);
    // Faults first, in the table's order otherwise.
    findings.sort_by_key(|finding| finding.severity == Severity::Note);
    Diagnosis { transport, first_event_ms, findings, streams: verdicts, path }
}

/// One finding once: what was seen twice of one layer is told together.
fn once(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        let about = |finding: &Finding| (finding.code, finding.layer, finding.position);
        match kept.iter_mut().find(|other| about(other) == about(&finding)) {
            Some(other) => {
                other.evidence += &format!("; {}", finding.evidence);
                if finding.is_fault() {
                    other.severity = Severity::Fault;
                }
            }
            None => kept.push(finding),
        }
    }
    kept
}

/// Our clock less the server's (milliseconds), by the answer that was least on its way.
fn offset(reached: &Reached, round: &ProbeRound) -> i64 {
    let pages = [&round.pages.first, &round.pages.second, &round.bare_pages.first, &round.bare_pages.second];
    let answers = pages.into_iter().chain([&round.post]).flatten().chain([&reached.answer]);
    answers.filter_map(|answer| answer.offset()).min().map_or(reached.offset, |(_, offset)| offset)
}

/// A delay of exactly the gap between events may be waiting for the next one. Where the stream that is silent after its
/// first event has it, too, nothing was waited for.
fn verdict(seen: &StreamObservation, round: &ProbeRound, offset: i64) -> Verdict {
    match seen.verdict(offset) {
        Verdict::Late => {
            let alone = round.quiet.as_ref().and_then(|quiet| quiet.first_delay(offset));
            let first = seen.first_delay(offset);
            let same = alone.zip(first).is_some_and(|(alone, first)| (alone - first).abs() < DELAYED_MS);
            if same { Verdict::Delayed } else { Verdict::Late }
        }
        other => other,
    }
}

/// `X-Accel-Buffering` was sent and did not arrive: an nginx is on the path.
fn accel_gone(round: &ProbeRound) -> bool {
    let sent = [ACCEL, ALL_HEADERS, GZIP, PADDED].into_iter().filter_map(|index| round.columns.get(index));
    let mut ours = sent.chain(&round.post_stream).filter(|seen| seen.is_ours()).peekable();
    ours.peek().is_some() && ours.all(|seen| !seen.headers.contains_key("x-accel-buffering"))
}

/// The WebSocket works and is late.
fn socket_late(socket: &WebSocketObservation, offset: i64, seen: Layer) -> Option<Finding> {
    let WebSocketObservation::Live { sent, arrived, .. } = socket else { return None };
    let late = arrived - sent - offset;
    (late >= SOCKET_LATE_MS).then(|| {
        let evidence = format!("messages of the WebSocket came {:.1} s after they were sent", late as f64 / 1000.0);
        Finding::new(FindingCode::Delayed, seen, evidence)
    })
}

/// Where more is known of the tiers than a WebSocket alone tells.
fn position(findings: &[Finding]) -> ProxyPosition {
    let nginx = findings.iter().find(|finding| finding.layer.engine() == NGINX);
    match nginx {
        Some(finding) if matches!(finding.position, ProxyPosition::Outer | ProxyPosition::Inner) => {
            ProxyPosition::Outer
        }
        Some(finding) => finding.position,
        None => ProxyPosition::Unknown,
    }
}

fn pages(round: &ProbeRound, seen: Layer, verdicts: &[Verdict], offset: i64) -> Vec<Finding> {
    let mut found = Vec::new();
    if round.leaked {
        let evidence = "an answer that depends on a visitor's cookie was given to the next one, who sent none: whoever signs \
                        in first is whom the others are taken for";
        found.push(Finding::new(FindingCode::Cached, seen, evidence));
    }
    let severity = match (round.pages.is_cached(), round.bare_pages.is_cached()) {
        (true, _) => Some(Severity::Fault),
        (false, true) => Some(Severity::Note),
        _ => None,
    };
    if let Some(severity) = severity.filter(|_| !round.leaked) {
        let which = if severity == Severity::Fault { "even with Cache-Control: no-store" } else { "without no-store" };
        let evidence =
            format!("two requests of one address got the same number {which}: the second answer is the first");
        found.push(Finding::new(FindingCode::Cached, seen, evidence).severity(severity));
    }
    if let Some(post) = round.post.as_ref().filter(|post| post.ours.is_none() && !post.is_limited()) {
        let layer = named_in_answer(&post.headers).or(seen);
        let evidence = format!("POST /probe was answered {} without reaching max-auth, while GET arrives", post.status);
        found.push(Finding::new(FindingCode::PostRefused, layer, evidence));
    }
    let post_alone = round.post_stream.as_ref().is_some_and(|post| post.verdict(offset) == Verdict::Burst);
    if post_alone && verdicts.get(ALL_HEADERS) == Some(&Verdict::Live) && verdicts.first() == Some(&Verdict::Live) {
        let evidence = "3 events sent 300 ms apart came live by GET and together by POST";
        found.push(Finding::new(FindingCode::Buffered, seen, evidence).severity(Severity::Note));
    }
    found
}

fn transport(round: &ProbeRound, verdicts: &[Verdict], offset: i64) -> (DeliveryMode, Option<i64>) {
    // Browsers that see HTTP/2's WebSocket announced use it and do not try the other one.
    let announced =
        matches!(round.socket_over_http2, WebSocketObservation::NotTried | WebSocketObservation::Live { .. });
    if let (WebSocketObservation::Live { first_ms, .. }, true) = (&round.socket, announced) {
        return (DeliveryMode::WebSocket, Some(*first_ms));
    }
    // A login over anything else begins with a POST.
    if round.post.as_ref().is_none_or(|post| post.ours.is_none()) {
        return (DeliveryMode::None, None);
    }
    let mut streams = [ALL_HEADERS, PADDED].into_iter().filter(|index| verdicts.get(*index) == Some(&Verdict::Live));
    let stream = streams.next().and_then(|index| round.columns.get(index));
    let alone = round.post_stream.as_ref().filter(|seen| verdicts.is_empty() && seen.verdict(offset) == Verdict::Live);
    if let Some(seen) = stream.or(alone) {
        return (DeliveryMode::Sse, seen.first_event_ms);
    }
    let page = round.post.as_ref().map(|post| post.since_connect_ms);
    if round.pages.is_delivered() { (DeliveryMode::LongPoll, page) } else { (DeliveryMode::None, None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::RequestEcho;

    #[test]
    fn a_message_is_late_by_its_delay_without_what_the_clocks_differ() {
        for (sent, arrived, offset, late) in [
            (100, 700, 0, true),
            (100, 699, 0, false),
            (100, 8_699, 8_000, false),
            (100, 8_700, 8_000, true),
            (9_000, 1_599, -8_000, false),
            (9_000, 1_600, -8_000, true),
        ] {
            let echo = Box::new(RequestEcho::default());
            let socket = WebSocketObservation::Live { echo, first_ms: 4, sent, arrived };
            let found = socket_late(&socket, offset, UNKNOWN);
            let told = late.then_some("messages of the WebSocket came 0.6 s after they were sent");
            assert_eq!(found.as_ref().map(|found| found.evidence.as_str()), told, "{sent} {arrived} {offset}");
        }
        assert!(socket_late(&WebSocketObservation::Hung, 0, UNKNOWN).is_none());
    }
}
