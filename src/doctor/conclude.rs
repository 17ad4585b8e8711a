//! From what was asked and answered to findings, and to the transport that delivers.

use super::finding::{Finding, Severity};
use super::http::Client;
use super::probe::{COLUMNS, Echo, Round, Socket};
use super::reach::{Reached, product};
use super::signature::{self, Observed, Who};
use super::socket;
use super::stream::{Seen, Verdict};
use crate::base::limits::HEARTBEAT;
use crate::config::facts::{Code, Layer, Tier};

/// An added delay from here on (milliseconds) is one that people notice and jitter does not explain.
const DELAYED_MS: i64 = 150;

/// Between this request and its head (milliseconds): the head came at once, not with the first event that got out.
const HEAD_MS: i64 = 250;

/// Clocks that differ by less (milliseconds) are fine.
const CLOCK_NOTE_MS: i64 = 10_000;
const CLOCK_FAULT_MS: i64 = 60_000;

/// Of the streams: uncompressed, X-Accel-Buffering, all headers, compressed with a tail.
const ACCEL: usize = 2;
const ALL: usize = 4;
const GZIP: usize = 5;
const BEST: usize = 6;

/// How events get to visitors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    WebSocket,
    Sse,
    LongPoll,
    None,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
            Self::LongPoll => "long-poll",
            Self::None => "none",
        }
    }
}

/// One address, judged.
pub struct Judged {
    pub transport: Transport,
    pub first_event_ms: Option<i64>,
    pub findings: Vec<Finding>,
}

pub fn judge(client: &Client, reached: &Reached, round: &Round) -> Judged {
    let offset = reached.offset;
    let verdicts: Vec<Verdict> = round.columns.iter().map(|seen| seen.verdict(offset)).collect();
    let accel_gone = accel_gone(round);
    let seen = seen_layer(reached, round, accel_gone);
    let mut findings = streams(round, &verdicts, offset, accel_gone, seen);
    // HAProxy adds no header of its own, but its ways with small writes give it away.
    let seen = match findings.iter().find(|finding| finding.layer == Layer::Haproxy) {
        Some(_) if seen == Layer::Unknown => Layer::Haproxy,
        _ => seen,
    };
    let tier = tier(&findings);
    findings.extend(socket::findings(&round.socket, accel_gone, seen, tier));
    findings.extend(socket::over_http2(&round.socket_over_http2, seen, tier));
    findings.extend(clocks(round, seen).or_else(|| remembered(&reached.echo, seen)));
    findings.extend(pages(round, seen, &verdicts));
    findings.extend(limits(round, seen));
    // Which of several tiers changed a request cannot be told from outside.
    findings.extend(request(client, reached, seen, Tier::Unknown, accel_gone));
    let (transport, first_event_ms) = transport(round, &verdicts, offset);
    // Faults first, in the table's order otherwise.
    findings.sort_by_key(|finding| finding.severity == Severity::Note);
    Judged { transport, first_event_ms, findings }
}

/// `X-Accel-Buffering` was sent and did not arrive: an nginx is on the way.
fn accel_gone(round: &Round) -> bool {
    let sent = [ACCEL, ALL, GZIP, BEST].into_iter().filter_map(|index| round.columns.get(index));
    let mut ours = sent.chain(&round.post_stream).filter(|seen| seen.is_ours()).peekable();
    ours.peek().is_some() && ours.all(|seen| !seen.headers.contains_key("x-accel-buffering"))
}

fn seen_layer(reached: &Reached, round: &Round, accel_gone: bool) -> Layer {
    let heads = round.columns.iter().map(|seen| &seen.headers).chain([&reached.plain.headers]);
    let named = heads.map(product).find(|layer| *layer != Layer::Unknown);
    named.unwrap_or(if accel_gone { Layer::Nginx } else { Layer::Unknown })
}

fn streams(round: &Round, verdicts: &[Verdict], offset: i64, accel_gone: bool, seen: Layer) -> Vec<Finding> {
    let mut found = Vec::new();
    let Ok(streams) = <[Verdict; 7]>::try_from(verdicts) else { return found };
    let head = round.columns.first().map_or(0, |seen| seen.head_ms);
    let observed = Observed { streams, head_at_once: head < HEAD_MS, accel_arrived: !accel_gone, seen };
    if let Some(row) = signature::find(&observed) {
        let evidence = evidence(round, &streams, row.means);
        for conclusion in row.conclusions {
            let layer = match conclusion.who {
                Who::Named(layer) => layer,
                Who::Seen => seen,
            };
            // What a login's stream wears gets through: visitors notice nothing.
            // And a login's stream follows each event with a comment, which pushes out what waits for a next byte.
            let defeated = matches!(streams[ALL], Verdict::Live | Verdict::Late);
            let severity = if defeated { Severity::Note } else { Severity::Fault };
            found.push(Finding::new(conclusion.code, severity, layer, conclusion.tier, evidence.clone()));
        }
    }
    found.extend(no_stream(round, &streams, seen));
    let live = round.columns.iter().zip(streams).filter(|(_, verdict)| *verdict == Verdict::Live);
    let delays: Vec<i64> = live.flat_map(|(seen, _)| seen.delays(offset)).collect();
    if let Some(least) = delays.iter().min().filter(|least| **least >= DELAYED_MS) {
        // The kernel's 200 ms for want of TCP_NODELAY is HAProxy's alone among the proxies that were measured.
        let layer = if matches!(seen, Layer::Unknown) { Layer::Haproxy } else { seen };
        let evidence = format!(
            "every event came {least} ms or more after it was sent, beyond the way itself; the kernel of a proxy without \
             TCP_NODELAY holds small writes for 200 ms, and of the proxies measured only HAProxy's defaults do that"
        );
        found.push(Finding::new(Code::Delayed, Severity::Note, layer, Tier::Unknown, evidence));
    }
    found
}

/// No stream came to its end, whatever it wore.
fn no_stream(round: &Round, streams: &[Verdict; 7], seen: Layer) -> Option<Finding> {
    let all = |wanted: Verdict| streams.iter().all(|verdict| *verdict == wanted);
    let sample = round.columns.get(ALL)?;
    if all(Verdict::Cut) {
        let seconds = (sample.took_ms as f64 / 100.0).round() / 10.0;
        let evidence = format!("each stream of 0.9 s was ended by somebody else, {seconds:.1} s after it began");
        let mut finding = Finding::new(Code::TotalTimeout, Severity::Fault, seen, Tier::Unknown, evidence);
        finding.seconds = Some(seconds);
        return Some(finding);
    }
    if !all(Verdict::Failed) {
        return None;
    }
    let (code, what) = match (sample.status, &sample.broken) {
        (Some(status), _) if !sample.is_ours() => (Code::NotRouted, format!("were answered {status}")),
        (_, Some(why)) => (Code::WholeResponseBuffered, format!("gave nothing within 3.2 s ({why})")),
        _ => (Code::WholeResponseBuffered, "came without their events".to_owned()),
    };
    let evidence = format!("requests for an event stream {what}, while other requests to max-auth arrive");
    Some(Finding::new(code, Severity::Fault, seen, Tier::Unknown, evidence))
}

/// "3 events sent 300 ms apart came together after 0.9 s (plain, …); they came live with X-Accel-Buffering".
fn evidence(round: &Round, streams: &[Verdict; 7], means: &str) -> String {
    let names = |wanted: Verdict| -> Vec<&str> {
        COLUMNS.iter().zip(streams).filter(|(_, verdict)| **verdict == wanted).map(|(kind, _)| kind.name).collect()
    };
    let first = |wanted: Verdict| {
        let times = round.columns.iter().zip(streams).filter(|(_, verdict)| **verdict == wanted);
        times.filter_map(|(seen, _)| seen.first_ms()).max().unwrap_or_default() as f64 / 1000.0
    };
    let mut parts = Vec::new();
    for (verdict, how) in [
        (Verdict::Burst, "came together"),
        (Verdict::Late, "came one event late, the first"),
        (Verdict::Cut, "were cut off, the first event"),
    ] {
        let named = names(verdict);
        if !named.is_empty() {
            parts.push(format!("{how} after {:.1} s ({})", first(verdict), named.join(", ")));
        }
    }
    let failed = names(Verdict::Failed);
    if !failed.is_empty() {
        parts.push(format!("did not come at all ({})", failed.join(", ")));
    }
    let live = names(Verdict::Live);
    parts.push(match live.is_empty() {
        true => "came live in no way".to_owned(),
        false => format!("came live with: {}", live.join(", ")),
    });
    let encoding = round.columns.get(1).and_then(|seen| super::http::text(&seen.headers, "content-encoding"));
    let encoding = encoding.map(|encoding| format!(" A proxy compressed them ({encoding}).")).unwrap_or_default();
    format!("3 events sent 300 ms apart {}. So {means}.{encoding}", parts.join("; "))
}

/// Where more is known of the tiers than a WebSocket alone tells.
fn tier(findings: &[Finding]) -> Tier {
    let nginx = findings.iter().find(|finding| finding.layer == Layer::Nginx);
    match nginx {
        Some(finding) if matches!(finding.tier, Tier::Outer | Tier::Inner) => Tier::Outer,
        Some(finding) => finding.tier,
        None => Tier::Unknown,
    }
}

/// What ends requests by the clock.
fn clocks(round: &Round, seen: Layer) -> Option<Finding> {
    let cut = |seen: &Option<Seen>| seen.as_ref().and_then(Seen::cut_ms).filter(|ms| *ms >= 900);
    let (life, quiet) = (cut(&round.life), cut(&round.quiet));
    let page =
        round.held_page.as_ref().filter(|page| page.ours.is_none() && page.took_ms >= 900).map(|page| page.took_ms);
    let (code, ms, what) = match (life, quiet, page) {
        (Some(ms), _, _) => (Code::TotalTimeout, ms, "although something was sent all the time"),
        (None, Some(ms), _) => (Code::IdleTimeout, ms, "after silence; one with heartbeats lived on"),
        (None, None, Some(ms)) => (Code::IdleTimeout, ms, "before its first byte"),
        _ => return None,
    };
    let seconds = (ms as f64 / 100.0).round() / 10.0;
    // Heartbeats and holds of ten seconds pass below it.
    let severity = if seconds > HEARTBEAT.as_secs_f64() { Severity::Note } else { Severity::Fault };
    let evidence = format!("a request was ended {seconds:.1} s after it began, {what}");
    let mut finding = Finding::new(code, severity, seen, Tier::Unknown, evidence);
    finding.seconds = Some(seconds);
    Some(finding)
}

/// What cannot be waited for, from the server's memory of how streams ended.
fn remembered(echo: &Echo, seen: Layer) -> Option<Finding> {
    let timers = echo.timers.iter().max_by_key(|timers| timers.timer.count)?;
    let (timer, seconds) = (timers.timer, timers.timer.seconds);
    let (code, since) = match timer.idle {
        true => (Code::IdleTimeout, "after the last byte"),
        false => (Code::TotalTimeout, "after they began"),
    };
    let severity = if seconds > HEARTBEAT.as_secs_f64() { Severity::Note } else { Severity::Fault };
    let evidence = format!(
        "of {} streams ({}) that were cut on this way lately, {} ended {seconds:.1} s {since}",
        timers.cut, timers.transport, timer.count
    );
    let mut finding = Finding::new(code, severity, seen, Tier::Unknown, evidence);
    finding.seconds = Some(seconds);
    Some(finding)
}

fn pages(round: &Round, seen: Layer, verdicts: &[Verdict]) -> Vec<Finding> {
    let mut found = Vec::new();
    let severity = match (round.pages.is_cached(), round.pages_naive.is_cached()) {
        (true, _) => Some(Severity::Fault),
        (false, true) => Some(Severity::Note),
        _ => None,
    };
    if let Some(severity) = severity {
        let which = if severity == Severity::Fault { "even with Cache-Control: no-store" } else { "without no-store" };
        let evidence =
            format!("two requests of one address got the same number {which}: the second answer is the first");
        found.push(Finding::new(Code::Cached, severity, seen, Tier::Unknown, evidence));
    }
    if let Some(post) = round.post.as_ref().filter(|post| post.ours.is_none() && !post.is_limited()) {
        let layer = match product(&post.headers) {
            Layer::Unknown => seen,
            named => named,
        };
        let evidence =
            format!("POST {} was answered {} without reaching max-auth, while GET arrives", "/probe", post.status);
        found.push(Finding::new(Code::PostRefused, Severity::Fault, layer, Tier::Unknown, evidence));
    }
    let post_alone = round.post_stream.as_ref().is_some_and(|post| post.verdict(0) == Verdict::Burst);
    if post_alone && verdicts.get(ALL) == Some(&Verdict::Live) && verdicts.first() == Some(&Verdict::Live) {
        let evidence = "3 events sent 300 ms apart came live by GET and together by POST";
        found.push(Finding::new(Code::Buffered, Severity::Note, seen, Tier::Unknown, evidence));
    }
    found
}

fn limits(round: &Round, seen: Layer) -> Option<Finding> {
    let limited = round.limited.as_ref()?;
    let layer = match product(&limited.headers) {
        Layer::Unknown => seen,
        named => named,
    };
    let counts = format!("{} of {} requests at once were answered {}", limited.refused, limited.asked, limited.status);
    let (code, evidence) = match limited.by_rate {
        true => (Code::RateLimited, format!("{counts}, and so were some of four in a row")),
        false => (Code::ConnectionLimited, format!("{counts}; one after another, four of four arrived")),
    };
    Some(Finding::new(code, Severity::Fault, layer, Tier::Unknown, evidence))
}

/// What happened to the request itself on its way.
fn request(client: &Client, reached: &Reached, seen: Layer, tier: Tier, accel_gone: bool) -> Vec<Finding> {
    let (echo, mut found) = (&reached.echo, Vec::new());
    // What speaks HTTP/1.0 and closes is nginx before 1.29.7 with its defaults.
    let nginx = echo.http_version == "HTTP/1.0" && echo.connection.as_deref() == Some("close");
    let layer = match seen {
        _ if nginx || accel_gone => Layer::Nginx,
        seen => seen,
    };
    let host = client.host();
    let same = |value: &Option<String>| value.as_ref().is_some_and(|value| bare(value) == bare(&host));
    if echo.host.is_some() && !same(&echo.host) && !same(&echo.x_forwarded_host) {
        let evidence = format!(
            "sent Host: {host}, arrived Host: {}; max-auth does not need it (server.public_url says the name), others do",
            echo.host.as_deref().unwrap_or_default()
        );
        found.push(Finding::new(Code::HostRewritten, Severity::Note, layer, tier, evidence));
    }
    match (&echo.origin, echo.origin_allowed) {
        (Some(origin), Some(false)) => {
            let evidence = format!(
                "sent Origin: {}, arrived {origin}; it is not in server.allowed_origins, so pages there cannot sign in",
                client.origin
            );
            let layer = if *origin == client.origin { Layer::App } else { layer };
            found.push(Finding::new(Code::OriginRefused, Severity::Fault, layer, tier, evidence));
        }
        (None, _) => {
            let evidence = format!("sent Origin: {}, none arrived: WebSockets are refused without it", client.origin);
            found.push(Finding::new(Code::OriginRefused, Severity::Fault, layer, tier, evidence));
        }
        _ => {}
    }
    found.extend(client_address(echo, layer, tier));
    let skew = reached.offset.abs();
    if skew >= CLOCK_NOTE_MS {
        let severity = if skew >= CLOCK_FAULT_MS { Severity::Fault } else { Severity::Note };
        let (which, seconds) = (if reached.offset > 0 { "behind" } else { "ahead of" }, skew as f64 / 1000.0);
        let evidence = format!("the server's clock is {seconds:.0} s {which} the one of the machine that asked");
        let mut finding = Finding::new(Code::ClockSkew, severity, Layer::Unknown, Tier::Unknown, evidence);
        finding.seconds = Some(seconds.round());
        found.push(finding);
    }
    found
}

fn client_address(echo: &Echo, layer: Layer, tier: Tier) -> Option<Finding> {
    if echo.proxy_unlisted {
        let evidence = format!(
            "the proxy {} says whom it forwards, but is not in server.trusted_proxies: all visitors share its address and \
             the limit on sign-ins",
            echo.client_address
        );
        return Some(Finding::new(Code::ClientAddressLost, Severity::Fault, Layer::App, Tier::Unknown, evidence));
    }
    let nobody_says = echo.x_forwarded_for.is_none() && echo.forwarded.is_none();
    let local = echo.client_address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    // Behind a network's address translation the addresses differ without a proxy: more must speak for one.
    let proxied = echo.direct == Some(false) && (layer != Layer::Unknown || echo.via.is_some() || local);
    (proxied && nobody_says).then(|| {
        let evidence = format!(
            "no X-Forwarded-For and no Forwarded arrived: for max-auth every visitor is {}, and the limit on sign-ins \
             counts them together",
            echo.client_address
        );
        Finding::new(Code::ClientAddressLost, Severity::Fault, layer, tier, evidence)
    })
}

/// A host without the port that goes without saying.
fn bare(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(&host).to_owned()
}

fn transport(round: &Round, verdicts: &[Verdict], offset: i64) -> (Transport, Option<i64>) {
    // Browsers that see HTTP/2's WebSocket announced use it and do not try the other one.
    let announced = matches!(round.socket_over_http2, Socket::NotTried | Socket::Live { .. });
    if let (Socket::Live { first_ms, .. }, true) = (&round.socket, announced) {
        return (Transport::WebSocket, Some(*first_ms));
    }
    // A login over anything else begins with a POST.
    if round.post.as_ref().is_none_or(|post| post.ours.is_none()) {
        return (Transport::None, None);
    }
    let mut streams = [ALL, BEST].into_iter().filter(|index| verdicts.get(*index) == Some(&Verdict::Live));
    let stream = streams.next().and_then(|index| round.columns.get(index));
    let alone = round.post_stream.as_ref().filter(|seen| verdicts.is_empty() && seen.verdict(offset) == Verdict::Live);
    if let Some(seen) = stream.or(alone) {
        return (Transport::Sse, seen.first_event_ms);
    }
    let page = round.post.as_ref().map(|post| post.since_connect_ms);
    if round.pages.is_delivered() { (Transport::LongPoll, page) } else { (Transport::None, None) }
}
