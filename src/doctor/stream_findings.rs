//! What the event streams say: who holds them back, how, and with what evidence.

use super::buffering_signatures::{self, Match, Observed};
use super::finding::Finding;
use super::probe_round::{ACCEL, ALL_HEADERS, COLUMNS, GZIP, PLAIN, ProbeRound, REAL_COLUMNS};
use super::proxy_path::ProxyPath;
use super::stream_observation::{StreamObservation, Verdict};
use crate::proxies::{APP, Attribution, Conclusion, FindingCode, Layer, NGINX, Severity, Spoils, delays_small_writes};

/// An added delay from here on (milliseconds) is one that people notice and jitter does not explain.
pub const DELAYED_MS: i64 = 150;

/// The delay of a proxy without TCP_NODELAY is the kernel's 200 ms; one that is longer (milliseconds) is somebody else's.
const KERNEL_MS: i64 = 265;

/// Between this request and its head (milliseconds): the head came at once, not with the first event that got out.
const HEAD_MS: i64 = 250;

/// A stream that gave nothing for less than this (milliseconds) was not waited for long enough.
const UNSEEN_MS: i64 = 2000;

/// What a login's stream wears gets through: visitors notice nothing. And a login's stream follows each event with a
/// comment, which pushes out what waits for a next byte.
fn defeated(streams: &[Verdict; 7]) -> Severity {
    match streams[ALL_HEADERS] {
        Verdict::Live | Verdict::Late => Severity::Note,
        _ => Severity::Fault,
    }
}

pub fn findings(round: &ProbeRound, verdicts: &[Verdict], offset: i64, path: &ProxyPath) -> Vec<Finding> {
    let mut found = Vec::new();
    let Ok(streams) = <[Verdict; 7]>::try_from(verdicts) else { return found };
    if let Some(finding) = all_late(round, &streams, offset, path) {
        found.push(finding);
        return found;
    }
    if let Some((code, layer, means)) = behind_nginx(round, &streams, path) {
        let evidence = evidence(round, &streams, &means);
        found.push(Finding::new(code, layer, evidence).severity(defeated(&streams)));
    } else if let Some(finding) = filter_in_nginx(round, &streams, offset, path) {
        found.push(finding);
    } else if let Some(row) = signed(round, &streams, path) {
        found.extend(by_row(round, &streams, offset, path, &row));
    }
    found.extend(no_stream(round, &streams, path.seen()));
    if streams.iter().all(|verdict| *verdict == Verdict::Live) {
        found.extend(real_sizes(round, offset, path));
    }
    found.extend(kernel_delay(round, &streams, offset, path));
    found
}

fn by_row(round: &ProbeRound, streams: &[Verdict; 7], offset: i64, path: &ProxyPath, matched: &Match) -> Vec<Finding> {
    let passes = round.bulk.as_ref().is_some_and(|bulk| match bulk.verdict(offset) {
        Verdict::Live => true,
        Verdict::Late => bulk.began_before_its_end(offset),
        _ => false,
    });
    let means = if passes {
        "something holds back what fits its buffers: events of 128 KB get through"
    } else {
        matched.row.means
    };
    let evidence = evidence(round, streams, means);
    let finding = |conclusion: &Conclusion| {
        let how = match conclusion.code {
            FindingCode::CompressedLateByOne => Spoils::LateByOne,
            FindingCode::Compressed => Spoils::Compressed,
            _ => Spoils::Whole,
        };
        let layer = match conclusion.about {
            Attribution::Owner => path.as_named(matched.owner),
            Attribution::Guess => path.unless_named(matched.owner),
            Attribution::GuessApplication => path.unless_named(APP),
            Attribution::Seen => path.spoiler(how).unwrap_or(path.seen()),
        };
        let code = match conclusion.code {
            FindingCode::WholeResponseBuffered if passes => FindingCode::Buffered,
            code => code,
        };
        Finding::new(code, layer, evidence.clone()).severity(defeated(streams)).at(conclusion.position)
    };
    matched.row.conclusions.iter().map(finding).collect()
}

/// The row that fits, if the rest of the evidence agrees: what was compressed says so in its head.
fn signed(round: &ProbeRound, streams: &[Verdict; 7], path: &ProxyPath) -> Option<Match> {
    let head = round.columns.first().map_or(0, |seen| seen.head_ms);
    let observed =
        Observed { streams: *streams, head_at_once: head < HEAD_MS, accel_arrived: !path.nginx, seen: path.seen() };
    let matched = buffering_signatures::find(&observed)?;
    let compressing = [FindingCode::Compressed, FindingCode::CompressedLateByOne, FindingCode::AppCompression];
    let claims = matched.row.conclusions.iter().any(|conclusion| compressing.contains(&conclusion.code));
    let encoded = round.columns.get(PLAIN).is_some_and(|seen| seen.encoding().is_some());
    (!claims || encoded).then_some(matched)
}

/// One nginx obeys X-Accel-Buffering: what is held in spite of it is held by somebody else, and where one is on the way
/// who is known for that, it is he.
fn behind_nginx(round: &ProbeRound, streams: &[Verdict; 7], path: &ProxyPath) -> Option<(FindingCode, Layer, String)> {
    if !path.nginx || streams[ACCEL] == Verdict::Live || streams[ALL_HEADERS] == Verdict::Live {
        return None;
    }
    let encoded = round.columns.get(PLAIN).is_some_and(|seen| seen.encoding().is_some());
    let name = path.as_named(NGINX).name();
    let (code, how, means) = match (streams[ALL_HEADERS], streams[GZIP]) {
        (Verdict::Burst, Verdict::Burst) => (
            FindingCode::WholeResponseBuffered,
            Spoils::Whole,
            format!(
                "each answer is held until it is complete; {name} would have obeyed X-Accel-Buffering, so it is the one \
                 behind or in front of it"
            ),
        ),
        (Verdict::Burst, Verdict::Live) if encoded => (
            FindingCode::Compressed,
            Spoils::Compressed,
            format!("a compressor that is not {name}'s collects events: {name} would have obeyed X-Accel-Buffering"),
        ),
        (Verdict::Late, Verdict::Live) if encoded => (
            FindingCode::CompressedLateByOne,
            Spoils::LateByOne,
            format!("a compressor that is not {name}'s holds each event until the next"),
        ),
        _ => return None,
    };
    Some((code, path.spoiler(how)?, means))
}

/// Nothing gets through an nginx that would, however large: no buffer does that, a filter does.
fn filter_in_nginx(round: &ProbeRound, streams: &[Verdict; 7], offset: i64, path: &ProxyPath) -> Option<Finding> {
    let bulk = round.bulk.as_ref()?;
    let held = streams.iter().all(|verdict| *verdict == Verdict::Burst) && bulk.verdict(offset) == Verdict::Burst;
    let nginx = path.as_named(NGINX);
    (path.nginx && held && path.seen() == nginx).then(|| {
        let name = nginx.name();
        let means = format!(
            "nothing leaves before the end, not even events of 128 KB, which no buffer of {name} holds back, and {name} obeys \
             X-Accel-Buffering: a filter in it reads whole answers (Lua, ModSecurity), or something that does not say its name \
             does so behind it"
        );
        Finding::new(FindingCode::WholeResponseBuffered, nginx, evidence(round, streams, &means))
    })
}

/// Events in time with each other, all of them late.
fn all_late(round: &ProbeRound, streams: &[Verdict; 7], offset: i64, path: &ProxyPath) -> Option<Finding> {
    let late = streams.iter().filter(|verdict| **verdict == Verdict::Delayed).count();
    let delays = round.columns.iter().flat_map(|seen| seen.delays(offset));
    let least = delays.min().filter(|least| *least >= KERNEL_MS && late * 2 > streams.len())?;
    let evidence = format!(
        "every event stream came {:.1} s late, its events in time with each other: nothing waits for a next byte or for the \
         end, whatever the stream wears; what passes it on takes so long",
        least as f64 / 1000.0
    );
    let severity = if streams[ALL_HEADERS] == Verdict::Delayed { Severity::Fault } else { Severity::Note };
    Some(Finding::new(FindingCode::Delayed, path.seen(), evidence).severity(severity))
}

/// Small events pass, those of a code and its drawing do not.
fn real_sizes(round: &ProbeRound, offset: i64, path: &ProxyPath) -> Option<Finding> {
    let [plain, all] = round.real.as_slice() else { return None };
    let (verdicts, held) = ([plain.verdict(offset), all.verdict(offset)], [Verdict::Late, Verdict::Burst]);
    if !held.contains(&verdicts[0]) {
        return None;
    }
    let severity = if verdicts[1] == Verdict::Live { Severity::Note } else { Severity::Fault };
    let (code, how) = match plain.encoding() {
        Some(_) => (FindingCode::Compressed, Spoils::Compressed),
        None => (FindingCode::Buffered, Spoils::Whole),
    };
    let layer = match code {
        FindingCode::Buffered if path.nginx => path.as_named(NGINX),
        _ => path.spoiler(how).unwrap_or(path.seen()),
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
    Some(Finding::new(code, layer, evidence).severity(severity))
}

/// A fifth of a second on every event of every stream.
fn kernel_delay(round: &ProbeRound, streams: &[Verdict; 7], offset: i64, path: &ProxyPath) -> Option<Finding> {
    let live = round.columns.iter().zip(streams).filter(|(_, verdict)| **verdict == Verdict::Live);
    let delays: Vec<i64> = live.flat_map(|(seen, _)| seen.delays(offset)).collect();
    let least = delays.iter().min().filter(|least| (DELAYED_MS..KERNEL_MS).contains(*least))?;
    // The kernel's 200 ms for want of TCP_NODELAY.
    let known: Vec<Layer> = delays_small_writes().collect();
    let layer = path.unless_named(*known.first()?);
    let names = known.iter().map(|layer| format!("{}'s", layer.name())).collect::<Vec<_>>().join(" and ");
    let evidence = format!(
        "every event came {least} ms or more after it was sent, beyond the way itself; the kernel of a proxy without \
         TCP_NODELAY holds small writes for 200 ms, and of the proxies measured only {names} defaults do that"
    );
    Some(Finding::new(FindingCode::Delayed, layer, evidence).severity(Severity::Note))
}

/// No stream came to its end, whatever it wore.
fn no_stream(round: &ProbeRound, streams: &[Verdict; 7], seen: Layer) -> Option<Finding> {
    let all = |wanted: Verdict| streams.iter().all(|verdict| *verdict == wanted);
    let sample = round.columns.get(ALL_HEADERS)?;
    if all(Verdict::Cut) {
        let seconds = (sample.took_ms as f64 / 100.0).round() / 10.0;
        let evidence = format!("each stream of 0.9 s was ended by somebody else, {seconds:.1} s after it began");
        return Some(Finding::new(FindingCode::TotalTimeout, seen, evidence).seconds(seconds));
    }
    // On a path so slow that time was up before, nothing was seen.
    if !all(Verdict::Failed) || (sample.is_ours() && sample.took_ms < UNSEEN_MS) {
        return None;
    }
    let (code, what) = match (sample.status, &sample.broken) {
        (Some(status), _) if !sample.is_ours() => (FindingCode::NotRouted, format!("were answered {status}")),
        (_, Some(why)) => (FindingCode::WholeResponseBuffered, format!("gave nothing within 3.2 s ({why})")),
        _ => (FindingCode::WholeResponseBuffered, "came without their events".to_owned()),
    };
    let evidence = format!("requests for an event stream {what}, while other requests to max-auth arrive");
    Some(Finding::new(code, seen, evidence))
}

/// "3 events sent 300 ms apart came together after 0.9 s (plain, …); they came live with X-Accel-Buffering".
fn evidence(round: &ProbeRound, streams: &[Verdict; 7], means: &str) -> String {
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
    let encoding = round.columns.get(PLAIN).and_then(StreamObservation::encoding);
    let encoding = encoding.map(|encoding| format!(" A proxy compressed them ({encoding}).")).unwrap_or_default();
    format!("3 events sent 300 ms apart {}. So {means}.{encoding}", parts.join("; "))
}
