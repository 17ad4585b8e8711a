//! What happened to a request on its way, what ends it by the clock, and which limits it met.

use super::finding::{Finding, Severity};
use super::http::Client;
use super::probe::Echo;
use super::reach::{Reached, product};
use super::round::Round;
use super::stream::Seen;
use super::way::Way;
use crate::base::limits::HEARTBEAT;
use crate::config::facts::{Code, Layer, Tier};

/// Clocks that differ by less (milliseconds) are fine.
const CLOCK_NOTE_MS: i64 = 10_000;
const CLOCK_FAULT_MS: i64 = 60_000;

/// What ends requests by the clock.
pub fn clocks(round: &Round, seen: Layer) -> Option<Finding> {
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
pub fn remembered(echo: &Echo, seen: Layer) -> Option<Finding> {
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

pub fn limits(round: &Round, seen: Layer) -> Option<Finding> {
    let limited = round.limited.as_ref().filter(|_| !round.busy)?;
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
pub fn request(client: &Client, reached: &Reached, way: &Way, seen: Layer) -> Vec<Finding> {
    let (echo, mut found, tier) = (&reached.echo, Vec::new(), Tier::Unknown);
    let layer = if way.nginx { Layer::Nginx } else { seen };
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
    found.extend(client_address(echo, way, layer));
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

fn client_address(echo: &Echo, way: &Way, layer: Layer) -> Option<Finding> {
    let lost = |layer, tier, evidence: String| {
        Some(Finding::new(Code::ClientAddressLost, Severity::Fault, layer, tier, evidence))
    };
    if echo.proxy_unlisted {
        let evidence = "a proxy says whom it forwards, but is not in server.trusted_proxies: all visitors share its address \
                        and the limit on sign-ins";
        return lost(Layer::App, Tier::Unknown, evidence.to_owned());
    }
    let hops = echo.hops();
    // Behind a network's address translation the addresses differ without a proxy: more must speak for one.
    let others = layer != Layer::Unknown || echo.via.is_some() || way.stranger.is_some() || echo.client_is_inner;
    if echo.direct != Some(false) || !others {
        return None;
    }
    if hops == 0 {
        let evidence = "no X-Forwarded-For and no Forwarded arrived: for max-auth every visitor has the address of the proxy, \
                        and the limit on sign-ins counts them together";
        return lost(layer, Tier::Unknown, evidence.to_owned());
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
        return lost(Layer::App, Tier::Unknown, evidence);
    }
    let evidence = "one address arrived, one of the inside and not the one that asked: an inner tier has written that of \
                    the tier in front over the visitor's, so that all visitors share it. The outer tier sets the header, the \
                    inner one adds to it, and server.trusted_proxies names the tiers. (Where addresses are translated before \
                    the first proxy, as by a published port of Docker, it is that.)";
    lost(layer, Tier::Inner, evidence.to_owned())
}

/// Two tiers of nginx that say nothing about visitors: the outer one sets the header, the inner one adds to it.
pub fn two_tiers(findings: &mut Vec<Finding>) {
    let lost = |finding: &Finding| {
        finding.code == Code::ClientAddressLost && finding.layer == Layer::Nginx && finding.tier == Tier::Unknown
    };
    if let Some(index) = findings.iter().position(lost) {
        let mut inner = findings[index].clone();
        findings[index].tier = Tier::Outer;
        inner.tier = Tier::Inner;
        findings.insert(index + 1, inner);
    }
}

/// Nobody is answered while a stream is open.
pub fn one_worker(round: &Round, way: &Way) -> Option<Finding> {
    let alone = round.alone?;
    let evidence = format!(
        "a small question asked beside an event stream was answered {:.1} s later, when the stream of {:.1} s was over: what \
         proxies here serves one request at a time, and a sign-in that waits keeps everybody else out",
        alone.waited_ms as f64 / 1000.0,
        alone.stream_ms as f64 / 1000.0
    );
    let layer = way.named.iter().copied().find(|layer| *layer == Layer::Gunicorn).unwrap_or(Layer::Unknown);
    Some(Finding::new(Code::OneWorker, Severity::Fault, layer, Tier::Unknown, evidence))
}

/// A host without the port that goes without saying.
fn bare(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(&host).to_owned()
}
