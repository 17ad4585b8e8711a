//! Inner addresses of the same line (`--hop`): the same questions further in tell which tier turns bad.

use super::conclude::Judged;
use super::finding::{Finding, Severity};
use super::request;
use super::stream::Verdict;
use crate::config::facts::{Code, Layer, Tier};
use url::Url;

/// What came of one inner address.
pub struct Hop {
    pub url: Url,
    pub outcome: Result<Judged, Finding>,
}

/// Findings that are one thing seen from different sides: what holds a stream inside shows outside as whatever the tiers
/// in front make of it.
const FAMILIES: &[&[Code]] = &[
    &[
        Code::Buffered,
        Code::WholeResponseBuffered,
        Code::Compressed,
        Code::CompressedLateByOne,
        Code::AppCompression,
        Code::XAccelIgnored,
        Code::Delayed,
    ],
    &[Code::WsUpgradeNotPassed, Code::WsUpgradeRefused, Code::WsUpgradeHangs, Code::WsFramesHeld],
    &[Code::Cached],
    &[Code::OneWorker],
    &[Code::IdleTimeout, Code::TotalTimeout],
];

fn related(one: Code, other: Code) -> bool {
    one == other || FAMILIES.iter().any(|family| family.contains(&one) && family.contains(&other))
}

/// What asking inside cannot tell about: the request did not come over the tiers in front.
const NOT_INSIDE: &[Code] = &[Code::Dns, Code::Tls, Code::ClockSkew, Code::ClientAddressLost, Code::HostRewritten];

/// Says for each finding where it comes from, as far as the inner addresses tell, and adds what only they show.
pub fn locate(outside: &mut Judged, hops: &[Hop]) {
    let asked: Vec<(&Url, &Judged)> =
        hops.iter().filter_map(|hop| Some((&hop.url, hop.outcome.as_ref().ok()?))).collect();
    for finding in outside.findings.iter_mut().filter(|finding| !NOT_INSIDE.contains(&finding.code)) {
        locate_one(finding, &outside.streams, &asked);
    }
    masked(outside, &asked);
    if outside.way.nginx && asked.iter().any(|(_, judged)| judged.way.nginx) {
        request::two_tiers(&mut outside.findings);
    }
    for hop in hops {
        let Err(why) = &hop.outcome else { continue };
        let evidence = format!("nothing was learned at {}: {}", hop.url, why.evidence);
        outside.findings.push(Finding::new(
            Code::HopNotAsked,
            Severity::Note,
            Layer::ClientSide,
            Tier::Unknown,
            evidence,
        ));
    }
}

fn locate_one(finding: &mut Finding, streams: &[Verdict], asked: &[(&Url, &Judged)]) {
    let here = |judged: &Judged| judged.findings.iter().find(|other| related(other.code, finding.code)).cloned();
    let found: Vec<Option<Finding>> = asked.iter().map(|(_, judged)| here(judged)).collect();
    // The deepest that has it, with all in front of it, or none.
    let Some(deepest) = found.iter().rposition(Option::is_some) else {
        if let Some((good, _)) = asked.first() {
            finding.evidence += &format!(" Asked at {good}, it is gone: the tier in front of that does it.");
            // One hop with nothing known behind it may be max-auth itself.
            if asked.len() > 1 && finding.layer != Layer::App {
                finding.tier = Tier::Outer;
            }
        }
        return;
    };
    let (Some(Some(inner)), Some((bad, judged))) = (found.get(deepest), asked.get(deepest)) else { return };
    if finding.severity == Severity::Fault && inner.severity == Severity::Note && inner.layer == finding.layer {
        if finding.tier != Tier::Inner {
            finding.tier = Tier::Both;
        }
        finding.evidence += &format!(" Asked at {bad}, it is there, too, but milder: it takes both tiers.");
        return;
    }
    let gone = asked.get(deepest + 1).map(|(good, _)| format!(" and gone at {good}")).unwrap_or_default();
    finding.evidence += &format!(
        " It is there at {bad} already{gone}: the tier at {bad} does it; whether one in front does, too, shows once that is \
         mended."
    );
    // Nearer to the cause its name is known better, and the streams are the same: it is the same thing.
    let better = inner.layer != Layer::Unknown && (inner.layer, inner.code) != (finding.layer, finding.code);
    if better && (judged.streams == streams || inner.code == finding.code) {
        finding.evidence += &format!(" There: {}", inner.evidence);
        (finding.code, finding.layer, finding.tier) = (inner.code, inner.layer, inner.tier);
    }
    // Whether a tier in front has it, too, is not known, and both need the lines.
    if finding.tier == Tier::Outer {
        finding.tier = Tier::Both;
    }
}

/// What is wrong inside and does not show outside because of what is wrong in front of it.
fn masked(outside: &mut Judged, asked: &[(&Url, &Judged)]) {
    for (url, judged) in asked {
        for inner in &judged.findings {
            let telling = FAMILIES.iter().any(|family| family.contains(&inner.code));
            let known = outside.findings.iter().any(|other| {
                other.code == inner.code || (related(other.code, inner.code) && other.layer == inner.layer)
            });
            if telling && !known {
                let mut inner = inner.clone();
                inner.evidence =
                    format!("asked at {url}, and hidden from outside by a tier in front: {}", inner.evidence);
                outside.findings.push(inner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::conclude::Transport;
    use crate::doctor::way::Way;

    fn judged(findings: Vec<Finding>) -> Judged {
        let (streams, way) = (Vec::new(), Way { nginx: true, ..Way::default() });
        Judged { transport: Transport::WebSocket, first_event_ms: None, findings, streams, way }
    }

    fn hop(findings: Vec<Finding>) -> Hop {
        Hop { url: "http://127.0.0.1:1/".parse().unwrap(), outcome: Ok(judged(findings)) }
    }

    fn finding(code: Code, severity: Severity) -> Finding {
        Finding::new(code, severity, Layer::Nginx, Tier::Unknown, "")
    }

    #[test]
    fn the_first_hop_that_is_well_names_the_tier() {
        use Severity::{Fault, Note};
        let buffered = |severity| vec![finding(Code::Buffered, severity)];
        for (hops, tier) in [
            (vec![hop(vec![]), hop(vec![])], Tier::Outer),
            // Whether the tier in front has it, too, cannot be seen through one that has it.
            (vec![hop(buffered(Fault)), hop(vec![])], Tier::Unknown),
            (vec![hop(buffered(Note)), hop(vec![])], Tier::Both),
            (vec![hop(vec![])], Tier::Unknown),
        ] {
            let mut outside = judged(buffered(Fault));
            locate(&mut outside, &hops);
            assert_eq!(outside.findings[0].tier, tier);
        }
    }

    #[test]
    fn what_is_hidden_outside_is_told() {
        let mut outside = judged(vec![finding(Code::Buffered, Severity::Note)]);
        outside.streams = vec![Verdict::Burst];
        let inside = Finding::new(Code::AppCompression, Severity::Fault, Layer::App, Tier::Unknown, "");
        locate(&mut outside, &[hop(vec![inside])]);
        let codes: Vec<Code> = outside.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [Code::Buffered, Code::AppCompression]);
    }

    #[test]
    fn a_hop_that_tells_nothing_is_said_so_and_cures_nothing() {
        let mut outside = judged(vec![finding(Code::Buffered, Severity::Fault)]);
        let stranger = Finding::new(Code::NotRouted, Severity::Fault, Layer::Unknown, Tier::Unknown, "404");
        let hops = [stranger].map(|why| Hop { url: "http://127.0.0.1:1/".parse().unwrap(), outcome: Err(why) });
        locate(&mut outside, &hops);
        assert!(!outside.findings[0].evidence.contains("gone"), "{}", outside.findings[0].evidence);
        assert_eq!((outside.findings[0].tier, outside.findings[1].code), (Tier::Unknown, Code::HopNotAsked));
    }
}
