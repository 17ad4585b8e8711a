//! From what was asked and answered to findings, and to the transport that delivers.

use super::finding::{Finding, Severity};
use super::http::Client;
use super::probe::Socket;
use super::reach::{Reached, product};
use super::request;
use super::round::{ALL, COLUMNS, REAL_COLUMNS, Round};
use super::signature::{self, Observed, Row, Who};
use super::socket;
use super::stream::{Seen, Verdict};
use super::way::{Spoils, Way};
use crate::config::facts::{Code, Layer, Tier};

/// An added delay from here on (milliseconds) is one that people notice and jitter does not explain.
const DELAYED_MS: i64 = 150;

/// HAProxy's delay is the kernel's 200 ms; one that is longer (milliseconds) is somebody else's.
const KERNEL_MS: i64 = 265;

/// A WebSocket's message that took longer than this (milliseconds) is late, and no machine is so busy.
const SOCKET_LATE_MS: i64 = 600;

/// Between this request and its head (milliseconds): the head came at once, not with the first event that got out.
const HEAD_MS: i64 = 250;

/// A stream that gave nothing for less than this (milliseconds) was not waited for long enough.
const UNSEEN_MS: i64 = 2000;

/// Of the streams: uncompressed, plain, X-Accel-Buffering, compressed, compressed with a tail.
const PLAIN: usize = 1;
const ACCEL: usize = 2;
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
    /// What came of the streams; empty where they were not asked for.
    pub streams: Vec<Verdict>,
    pub way: Way,
}

pub fn judge(client: &Client, reached: &Reached, round: &Round) -> Judged {
    let offset = offset(reached, round);
    let verdicts: Vec<Verdict> = round.columns.iter().map(|seen| verdict(seen, round, offset)).collect();
    let way = Way::of(reached, round, accel_gone(round));
    let mut findings = streams(round, &verdicts, offset, &way);
    // HAProxy adds no header of its own, but its ways with small writes give it away.
    let seen = match findings.iter().find(|finding| finding.layer == Layer::Haproxy) {
        Some(_) if way.seen() == Layer::Unknown => Layer::Haproxy,
        _ => way.seen(),
    };
    let tier = tier(&findings);
    findings.extend(request::one_worker(round, &way));
    findings.extend(socket::findings(&round.socket, &way, seen, tier));
    findings.extend(socket::over_http2(&round.socket_over_http2, &way, seen, tier));
    findings.extend(socket_late(&round.socket, offset, seen));
    findings.extend(request::clocks(round, seen).or_else(|| request::remembered(&reached.echo, seen)));
    findings.extend(pages(round, seen, &verdicts, offset));
    findings.extend(request::limits(round, seen));
    // Which of several tiers changed a request cannot be told from outside.
    findings.extend(request::request(client, reached, &way, seen));
    let mut findings = once(findings);
    if matches!(tier, Tier::Outer | Tier::Inner | Tier::Both) {
        request::two_tiers(&mut findings);
    }
    for finding in findings.iter_mut().filter(|finding| finding.layer == Layer::Unknown) {
        finding.evidence += &way.introduction();
    }
    let (transport, first_event_ms) = transport(round, &verdicts, offset);
    // Faults first, in the table's order otherwise.
    findings.sort_by_key(|finding| finding.severity == Severity::Note);
    Judged { transport, first_event_ms, findings, streams: verdicts, way }
}

/// One finding once: what was seen twice of one layer is told together.
fn once(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        let same =
            |other: &&mut Finding| (other.code, other.layer, other.tier) == (finding.code, finding.layer, finding.tier);
        match kept.iter_mut().find(same) {
            Some(other) => {
                other.evidence += &format!("; {}", finding.evidence);
                if finding.severity == Severity::Fault {
                    other.severity = Severity::Fault;
                }
            }
            None => kept.push(finding),
        }
    }
    kept
}

/// Our clock less the server's, by the answer that was least on its way.
fn offset(reached: &Reached, round: &Round) -> i64 {
    let pages = [&round.pages.first, &round.pages.second, &round.pages_naive.first, &round.pages_naive.second];
    let answers = pages.into_iter().chain([&round.post]).flatten().chain([&reached.plain]);
    answers.filter_map(|plain| plain.offset()).min().map_or(reached.offset, |(_, offset)| offset)
}

/// A delay of exactly the gap between events may be waiting for the next one. Where the stream that is silent after its
/// first event has it, too, nothing was waited for.
fn verdict(seen: &Seen, round: &Round, offset: i64) -> Verdict {
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

/// `X-Accel-Buffering` was sent and did not arrive: an nginx is on the way.
fn accel_gone(round: &Round) -> bool {
    let sent = [ACCEL, ALL, GZIP, BEST].into_iter().filter_map(|index| round.columns.get(index));
    let mut ours = sent.chain(&round.post_stream).filter(|seen| seen.is_ours()).peekable();
    ours.peek().is_some() && ours.all(|seen| !seen.headers.contains_key("x-accel-buffering"))
}

/// What a login's stream wears gets through: visitors notice nothing. And a login's stream follows each event with a
/// comment, which pushes out what waits for a next byte.
fn defeated(streams: &[Verdict; 7]) -> Severity {
    match streams[ALL] {
        Verdict::Live | Verdict::Late => Severity::Note,
        _ => Severity::Fault,
    }
}

fn streams(round: &Round, verdicts: &[Verdict], offset: i64, way: &Way) -> Vec<Finding> {
    let mut found = Vec::new();
    let Ok(streams) = <[Verdict; 7]>::try_from(verdicts) else { return found };
    if let Some(finding) = all_late(round, &streams, offset, way) {
        found.push(finding);
        return found;
    }
    if let Some((code, layer, means)) = behind_nginx(round, &streams, way) {
        let evidence = evidence(round, &streams, means);
        found.push(Finding::new(code, defeated(&streams), layer, Tier::Unknown, evidence));
    } else if let Some(finding) = filter_in_nginx(round, &streams, offset, way) {
        found.push(finding);
    } else if let Some(row) = signed(round, &streams, way) {
        found.extend(by_row(round, &streams, offset, way, row));
    }
    found.extend(no_stream(round, &streams, way.seen()));
    if streams.iter().all(|verdict| *verdict == Verdict::Live) {
        found.extend(real_sizes(round, offset, way));
    }
    found.extend(kernel_delay(round, &streams, offset, way));
    found
}

fn by_row(round: &Round, streams: &[Verdict; 7], offset: i64, way: &Way, row: &'static Row) -> Vec<Finding> {
    let passes = round.bulk.as_ref().is_some_and(|bulk| match bulk.verdict(offset) {
        Verdict::Live => true,
        Verdict::Late => bulk.began_before_its_end(offset),
        _ => false,
    });
    let means =
        if passes { "something holds back what fits its buffers: events of 128 KB get through" } else { row.means };
    let evidence = evidence(round, streams, means);
    let finding = |conclusion: &signature::Conclusion| {
        let how = match conclusion.code {
            Code::CompressedLateByOne => Spoils::LateByOne,
            Code::Compressed => Spoils::Compressed,
            _ => Spoils::Whole,
        };
        let layer = match conclusion.who {
            Who::Named(layer) => layer,
            Who::Guess(layer) => way.unless_named(layer),
            Who::Seen => way.spoiler(how).unwrap_or(way.seen()),
        };
        let code = match conclusion.code {
            Code::WholeResponseBuffered if passes => Code::Buffered,
            code => code,
        };
        Finding::new(code, defeated(streams), layer, conclusion.tier, evidence.clone())
    };
    row.conclusions.iter().map(finding).collect()
}

/// The row that fits, if the rest of the evidence agrees: what was compressed says so in its head.
fn signed(round: &Round, streams: &[Verdict; 7], way: &Way) -> Option<&'static Row> {
    let head = round.columns.first().map_or(0, |seen| seen.head_ms);
    let observed =
        Observed { streams: *streams, head_at_once: head < HEAD_MS, accel_arrived: !way.nginx, seen: way.seen() };
    let row = signature::find(&observed)?;
    let compressing = [Code::Compressed, Code::CompressedLateByOne, Code::AppCompression];
    let claims = row.conclusions.iter().any(|conclusion| compressing.contains(&conclusion.code));
    let encoded = round.columns.get(PLAIN).is_some_and(|seen| seen.encoding().is_some());
    (!claims || encoded).then_some(row)
}

/// One nginx obeys X-Accel-Buffering: what is held in spite of it is held by somebody else, and where one is on the way
/// who is known for that, it is he.
fn behind_nginx(round: &Round, streams: &[Verdict; 7], way: &Way) -> Option<(Code, Layer, &'static str)> {
    if !way.nginx || streams[ACCEL] == Verdict::Live || streams[ALL] == Verdict::Live {
        return None;
    }
    let encoded = round.columns.get(PLAIN).is_some_and(|seen| seen.encoding().is_some());
    let (code, how, means) = match (streams[ALL], streams[GZIP]) {
        (Verdict::Burst, Verdict::Burst) => (
            Code::WholeResponseBuffered,
            Spoils::Whole,
            "each answer is held until it is complete; nginx would have obeyed X-Accel-Buffering, so it is the one behind or \
             in front of it",
        ),
        (Verdict::Burst, Verdict::Live) if encoded => (
            Code::Compressed,
            Spoils::Compressed,
            "a compressor that is not nginx's collects events: nginx would have obeyed X-Accel-Buffering",
        ),
        (Verdict::Late, Verdict::Live) if encoded => (
            Code::CompressedLateByOne,
            Spoils::LateByOne,
            "a compressor that is not nginx's holds each event until the next",
        ),
        _ => return None,
    };
    Some((code, way.spoiler(how)?, means))
}

/// Nothing gets through an nginx that would, however large: no buffer does that, a filter does.
fn filter_in_nginx(round: &Round, streams: &[Verdict; 7], offset: i64, way: &Way) -> Option<Finding> {
    let bulk = round.bulk.as_ref()?;
    let held = streams.iter().all(|verdict| *verdict == Verdict::Burst) && bulk.verdict(offset) == Verdict::Burst;
    (way.nginx && held && way.seen() == Layer::Nginx).then(|| {
        let means = "nothing leaves before the end, not even events of 128 KB, which no buffer of nginx holds back, and nginx \
                     obeys X-Accel-Buffering: a filter in it reads whole answers (Lua, ModSecurity), or something that does \
                     not say its name does so behind it";
        let evidence = evidence(round, streams, means);
        Finding::new(Code::WholeResponseBuffered, Severity::Fault, Layer::Nginx, Tier::Unknown, evidence)
    })
}

/// Events in time with each other, all of them late.
fn all_late(round: &Round, streams: &[Verdict; 7], offset: i64, way: &Way) -> Option<Finding> {
    let late = streams.iter().filter(|verdict| **verdict == Verdict::Delayed).count();
    let delays = round.columns.iter().flat_map(|seen| seen.delays(offset));
    let least = delays.min().filter(|least| *least >= KERNEL_MS && late * 2 > streams.len())?;
    let evidence = format!(
        "every event stream came {:.1} s late, its events in time with each other: nothing waits for a next byte or for the \
         end, whatever the stream wears; what passes it on takes so long",
        least as f64 / 1000.0
    );
    let severity = if streams[ALL] == Verdict::Delayed { Severity::Fault } else { Severity::Note };
    Some(Finding::new(Code::Delayed, severity, way.seen(), Tier::Unknown, evidence))
}

/// The WebSocket works and is late.
fn socket_late(socket: &Socket, offset: i64, seen: Layer) -> Option<Finding> {
    let Socket::Live { sent, arrived, .. } = socket else { return None };
    let late = arrived - sent - offset;
    (late >= SOCKET_LATE_MS).then(|| {
        let evidence = format!("messages of the WebSocket came {:.1} s after they were sent", late as f64 / 1000.0);
        Finding::new(Code::Delayed, Severity::Fault, seen, Tier::Unknown, evidence)
    })
}

/// Small events pass, those of a code and its drawing do not.
fn real_sizes(round: &Round, offset: i64, way: &Way) -> Option<Finding> {
    let [plain, all] = round.real.as_slice() else { return None };
    let (verdicts, held) = ([plain.verdict(offset), all.verdict(offset)], [Verdict::Late, Verdict::Burst]);
    if !held.contains(&verdicts[0]) {
        return None;
    }
    let severity = if verdicts[1] == Verdict::Live { Severity::Note } else { Severity::Fault };
    let (code, how) = match plain.encoding() {
        Some(_) => (Code::Compressed, Spoils::Compressed),
        None => (Code::Buffered, Spoils::Whole),
    };
    let layer = match code {
        Code::Buffered if way.nginx => Layer::Nginx,
        _ => way.spoiler(how).unwrap_or(way.seen()),
    };
    let how = plain.encoding().map(|encoding| format!(", compressed on the way ({encoding})")).unwrap_or_default();
    let with = |name: &str, verdict: Verdict| match verdict {
        Verdict::Live => format!("live ({name})"),
        _ => format!("late or together ({name})"),
    };
    let evidence = format!(
        "events of a few bytes came live in every way; events of 3 KB, as a code with its drawing has them, came {}{how} and {}",
        with(REAL_COLUMNS[0].name, verdicts[0]),
        with(REAL_COLUMNS[1].name, verdicts[1]),
    );
    Some(Finding::new(code, severity, layer, Tier::Unknown, evidence))
}

/// A fifth of a second on every event of every stream.
fn kernel_delay(round: &Round, streams: &[Verdict; 7], offset: i64, way: &Way) -> Option<Finding> {
    let live = round.columns.iter().zip(streams).filter(|(_, verdict)| **verdict == Verdict::Live);
    let delays: Vec<i64> = live.flat_map(|(seen, _)| seen.delays(offset)).collect();
    let least = delays.iter().min().filter(|least| (DELAYED_MS..KERNEL_MS).contains(*least))?;
    // The kernel's 200 ms for want of TCP_NODELAY is HAProxy's alone among the proxies that were measured.
    let layer = way.unless_named(Layer::Haproxy);
    let evidence = format!(
        "every event came {least} ms or more after it was sent, beyond the way itself; the kernel of a proxy without \
         TCP_NODELAY holds small writes for 200 ms, and of the proxies measured only HAProxy's defaults do that"
    );
    Some(Finding::new(Code::Delayed, Severity::Note, layer, Tier::Unknown, evidence))
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
    // On a line so slow that time was up before, nothing was seen.
    if !all(Verdict::Failed) || (sample.is_ours() && sample.took_ms < UNSEEN_MS) {
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
        (Verdict::Delayed, "came in time with each other, but late, the first"),
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
    let encoding = round.columns.get(PLAIN).and_then(Seen::encoding);
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

fn pages(round: &Round, seen: Layer, verdicts: &[Verdict], offset: i64) -> Vec<Finding> {
    let mut found = Vec::new();
    if round.leaked {
        let evidence = "an answer that depends on a visitor's cookie was given to the next one, who sent none: whoever signs \
                        in first is whom the others are taken for";
        found.push(Finding::new(Code::Cached, Severity::Fault, seen, Tier::Unknown, evidence));
    }
    let severity = match (round.pages.is_cached(), round.pages_naive.is_cached()) {
        (true, _) => Some(Severity::Fault),
        (false, true) => Some(Severity::Note),
        _ => None,
    };
    if let Some(severity) = severity.filter(|_| !round.leaked) {
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
    let post_alone = round.post_stream.as_ref().is_some_and(|post| post.verdict(offset) == Verdict::Burst);
    if post_alone && verdicts.get(ALL) == Some(&Verdict::Live) && verdicts.first() == Some(&Verdict::Live) {
        let evidence = "3 events sent 300 ms apart came live by GET and together by POST";
        found.push(Finding::new(Code::Buffered, Severity::Note, seen, Tier::Unknown, evidence));
    }
    found
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
