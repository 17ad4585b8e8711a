//! What happened to a request on its way, what ends it by the clock, and which limits it met.

use super::finding::Finding;
use super::probe_round::ProbeRound;
use super::proxy_path::ProxyPath;
use super::reachability::Reached;
use super::stream_observation::StreamObservation;
use crate::base::limits::HEARTBEAT;
use crate::probe::RequestEcho;
use crate::proxies::{APP, FindingCode, Layer, NGINX, ProxyPosition, Severity, UNKNOWN, named_in_answer};

/// Clocks that differ by less (milliseconds) are fine.
const CLOCK_NOTE_MS: i64 = 10_000;
const CLOCK_FAULT_MS: i64 = 60_000;

/// What ends requests by the clock.
pub fn clocks(round: &ProbeRound, seen: Layer) -> Option<Finding> {
    let cut =
        |seen: &Option<StreamObservation>| seen.as_ref().and_then(StreamObservation::cut_ms).filter(|ms| *ms >= 900);
    let (life, quiet) = (cut(&round.life), cut(&round.quiet));
    let page =
        round.held_page.as_ref().filter(|page| page.ours.is_none() && page.took_ms >= 900).map(|page| page.took_ms);
    let (code, ms, what) = match (life, quiet, page) {
        (Some(ms), _, _) => (FindingCode::TotalTimeout, ms, "although something was sent all the time"),
        (None, Some(ms), _) => (FindingCode::IdleTimeout, ms, "after silence; one with heartbeats lived on"),
        (None, None, Some(ms)) => (FindingCode::IdleTimeout, ms, "before its first byte"),
        _ => return None,
    };
    let seconds = (ms as f64 / 100.0).round() / 10.0;
    // Heartbeats and holds of ten seconds pass below it.
    let severity = if seconds > HEARTBEAT.as_secs_f64() { Severity::Note } else { Severity::Fault };
    let evidence = format!("a request was ended {seconds:.1} s after it began, {what}");
    Some(Finding::new(code, seen, evidence).severity(severity).seconds(seconds))
}

/// What cannot be waited for, from the server's memory of how streams ended.
pub fn remembered(echo: &RequestEcho, seen: Layer) -> Option<Finding> {
    let timers = echo.timers.iter().max_by_key(|timers| timers.timer.count)?;
    let (timer, seconds) = (timers.timer, timers.timer.seconds);
    let (code, since) = match timer.idle {
        true => (FindingCode::IdleTimeout, "after the last byte"),
        false => (FindingCode::TotalTimeout, "after they began"),
    };
    let severity = if seconds > HEARTBEAT.as_secs_f64() { Severity::Note } else { Severity::Fault };
    let evidence = format!(
        "of {} streams ({}) that were cut on this way lately, {} ended {seconds:.1} s {since}",
        timers.cut, timers.transport, timer.count
    );
    Some(Finding::new(code, seen, evidence).severity(severity).seconds(seconds))
}

pub fn limits(round: &ProbeRound, seen: Layer) -> Option<Finding> {
    let limited = round.limited.as_ref().filter(|_| !round.busy)?;
    let layer = named_in_answer(&limited.headers).or(seen);
    let counts = format!("{} of {} requests at once were answered {}", limited.refused, limited.asked, limited.status);
    let (code, evidence) = match limited.by_rate {
        true => (FindingCode::RateLimited, format!("{counts}, and so were some of four in a row")),
        false => (FindingCode::ConnectionLimited, format!("{counts}; one after another, four of four arrived")),
    };
    Some(Finding::new(code, layer, evidence))
}

/// What was sent.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub host: &'a str,
    pub origin: &'a str,
}

/// What happened to the request itself on its path.
pub fn request(asked: Asked<'_>, reached: &Reached, path: &ProxyPath, seen: Layer) -> Vec<Finding> {
    let (echo, mut found) = (&reached.echo, Vec::new());
    let layer = if path.nginx { path.as_named(NGINX) } else { seen };
    let Asked { host, origin: sent } = asked;
    let same = |value: &Option<String>| value.as_ref().is_some_and(|value| bare(value) == bare(host));
    if echo.host.is_some() && !same(&echo.host) && !same(&echo.x_forwarded_host) {
        let evidence = format!(
            "sent Host: {host}, arrived Host: {}; max-auth does not need it (server.public_url says the name), others do",
            echo.host.as_deref().unwrap_or_default()
        );
        found.push(Finding::new(FindingCode::HostRewritten, layer, evidence));
    }
    match (&echo.origin, echo.origin_allowed) {
        (Some(origin), Some(false)) => {
            let evidence = format!(
                "sent Origin: {sent}, arrived {origin}; it is not in server.allowed_origins, so pages there cannot sign in"
            );
            let layer = if origin == sent { APP } else { layer };
            found.push(Finding::new(FindingCode::OriginRefused, layer, evidence));
        }
        (None, _) => {
            let evidence = format!("sent Origin: {sent}, none arrived: WebSockets are refused without it");
            found.push(Finding::new(FindingCode::OriginRefused, layer, evidence));
        }
        _ => {}
    }
    found.extend(client_address(echo, path, layer));
    let skew = reached.offset.abs();
    if skew >= CLOCK_NOTE_MS {
        let severity = if skew >= CLOCK_FAULT_MS { Severity::Fault } else { Severity::Note };
        let (which, seconds) = (if reached.offset > 0 { "behind" } else { "ahead of" }, skew as f64 / 1000.0);
        let evidence = format!("the server's clock is {seconds:.0} s {which} the one of the machine that asked");
        let finding = Finding::new(FindingCode::ClockSkew, UNKNOWN, evidence);
        found.push(finding.severity(severity).seconds(seconds.round()));
    }
    found
}

fn client_address(echo: &RequestEcho, path: &ProxyPath, layer: Layer) -> Option<Finding> {
    let lost = |layer, position, evidence: String| {
        Some(Finding::new(FindingCode::ClientAddressLost, layer, evidence).at(position))
    };
    if echo.proxy_unlisted {
        let evidence = "a proxy says whom it forwards, but is not in server.trusted_proxies: all visitors share its address \
                        and the limit on sign-ins";
        return lost(APP, ProxyPosition::Unknown, evidence.to_owned());
    }
    let hops = echo.hops();
    // Behind a network's address translation the addresses differ without a proxy: more must speak for one.
    let others = layer != UNKNOWN || echo.via.is_some() || path.stranger.is_some() || echo.client_is_inner;
    if echo.direct != Some(false) || !others {
        return None;
    }
    if hops == 0 {
        let evidence = "no X-Forwarded-For and no Forwarded arrived: for max-auth every visitor has the address of the proxy, \
                        and the limit on sign-ins counts them together";
        return lost(layer, ProxyPosition::Unknown, evidence.to_owned());
    }
    // The address that arrives is not that of the one that asked, and no visitor out there has such a one.
    if echo.client_is_asker != Some(false) || !echo.client_is_inner {
        return None;
    }
    if hops > 1 {
        let evidence = format!(
            "{hops} addresses arrived, and the last that server.trusted_proxies does not name is one of the inside and not \
             the one that asked: the address of a tier, which all visitors share"
        );
        return lost(APP, ProxyPosition::Unknown, evidence);
    }
    let evidence = "one address arrived, one of the inside and not the one that asked: an inner tier has written that of \
                    the tier in front over the visitor's, so that all visitors share it. The outer tier sets the header, the \
                    inner one adds to it, and server.trusted_proxies names the tiers. (Where addresses are translated before \
                    the first proxy, as by a published port of Docker, it is that.)";
    lost(layer, ProxyPosition::Inner, evidence.to_owned())
}

/// Two tiers of nginx that say nothing about visitors: the outer one sets the header, the inner one adds to it.
pub fn two_tiers(findings: &mut Vec<Finding>) {
    let lost = |finding: &Finding| {
        finding.code == FindingCode::ClientAddressLost
            && finding.layer.engine() == NGINX
            && finding.position == ProxyPosition::Unknown
    };
    if let Some(index) = findings.iter().position(lost) {
        let mut inner = findings[index].clone();
        findings[index].position = ProxyPosition::Outer;
        inner.position = ProxyPosition::Inner;
        findings.insert(index + 1, inner);
    }
}

/// Nobody is answered while a stream is open.
pub fn one_worker(round: &ProbeRound, path: &ProxyPath) -> Option<Finding> {
    let alone = round.alone?;
    let evidence = format!(
        "a small question asked beside an event stream was answered {:.1} s later, when the stream of {:.1} s was over: what \
         proxies here serves one request at a time, and a sign-in that waits keeps everybody else out",
        alone.waited_ms as f64 / 1000.0,
        alone.stream_ms as f64 / 1000.0
    );
    let layer = path.application_server().unwrap_or(UNKNOWN);
    Some(Finding::new(FindingCode::OneWorker, layer, evidence))
}

/// A host without the port that goes without saying.
fn bare(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(&host).to_owned()
}
