//! Inner addresses of the same path (`--hop`): the same questions further in tell which tier turns bad.

use super::diagnose::Diagnosis;
use super::finding::Finding;
use super::request_findings;
use super::stream_observation::Verdict;
use crate::proxies::{APP, FindingCode, ProxyPosition, UNKNOWN};
use url::Url;

/// What came of one inner address.
pub struct Hop {
    pub url: Url,
    pub outcome: Result<Diagnosis, Finding>,
}

/// Findings that are one thing seen from different sides: what holds a stream inside shows outside as whatever the tiers
/// in front make of it.
const FAMILIES: &[&[FindingCode]] = &[
    &[
        FindingCode::Buffered,
        FindingCode::WholeResponseBuffered,
        FindingCode::Compressed,
        FindingCode::CompressedLateByOne,
        FindingCode::AppCompression,
        FindingCode::XAccelIgnored,
        FindingCode::Delayed,
    ],
    &[
        FindingCode::WsUpgradeNotPassed,
        FindingCode::WsUpgradeRefused,
        FindingCode::WsUpgradeHangs,
        FindingCode::WsFramesHeld,
    ],
    &[FindingCode::Cached],
    &[FindingCode::OneWorker],
    &[FindingCode::IdleTimeout, FindingCode::TotalTimeout],
];

fn related(one: FindingCode, other: FindingCode) -> bool {
    one == other || FAMILIES.iter().any(|family| family.contains(&one) && family.contains(&other))
}

/// What asking inside cannot tell about: the request did not come over the tiers in front.
const NOT_INSIDE: &[FindingCode] = &[
    FindingCode::Dns,
    FindingCode::Tls,
    FindingCode::ClockSkew,
    FindingCode::ClientAddressLost,
    FindingCode::HostRewritten,
];

/// Says for each finding where it comes from, as far as the inner addresses tell, and adds what only they show.
pub fn locate(outside: &mut Diagnosis, hops: &[Hop]) {
    let asked: Vec<(&Url, &Diagnosis)> =
        hops.iter().filter_map(|hop| Some((&hop.url, hop.outcome.as_ref().ok()?))).collect();
    for finding in outside.findings.iter_mut().filter(|finding| !NOT_INSIDE.contains(&finding.code)) {
        locate_one(finding, &outside.streams, &asked);
    }
    masked(outside, &asked);
    if outside.path.nginx && asked.iter().any(|(_, diagnosis)| diagnosis.path.nginx) {
        request_findings::two_tiers(&mut outside.findings);
    }
    for hop in hops {
        let Err(why) = &hop.outcome else { continue };
        let evidence = format!("nothing was learned at {}: {}", hop.url, why.evidence);
        outside.findings.push(Finding::hop_not_asked(evidence));
    }
}

/// How a finding compares with what the inner addresses show.
enum HopComparison<'a> {
    /// None of them has it; the first that was asked.
    Gone(Option<&'a Url>),
    /// The deepest that has it has it milder.
    Milder(&'a Url),
    /// The deepest that has it, what was found there, and the one behind it, where it is gone.
    Same { bad: &'a Url, diagnosis: &'a Diagnosis, inner: &'a Finding, good: Option<&'a Url> },
}

fn compare<'a>(finding: &Finding, asked: &[(&'a Url, &'a Diagnosis)]) -> HopComparison<'a> {
    let has = |diagnosis: &'a Diagnosis| diagnosis.findings.iter().find(|other| related(other.code, finding.code));
    // The deepest that has it, with all in front of it, or none.
    let deepest = asked.iter().enumerate().rev().find_map(|(index, (url, diagnosis))| {
        let inner = has(diagnosis)?;
        Some((*url, *diagnosis, inner, asked.get(index + 1).map(|(url, _)| *url)))
    });
    match deepest {
        None => HopComparison::Gone(asked.first().map(|(url, _)| *url)),
        Some((bad, _, inner, _)) if finding.is_fault() && !inner.is_fault() && inner.layer == finding.layer => {
            HopComparison::Milder(bad)
        }
        Some((bad, diagnosis, inner, good)) => HopComparison::Same { bad, diagnosis, inner, good },
    }
}

fn locate_one(finding: &mut Finding, streams: &[Verdict], asked: &[(&Url, &Diagnosis)]) {
    let (bad, diagnosis, inner, good) = match compare(finding, asked) {
        HopComparison::Gone(None) => return,
        HopComparison::Gone(Some(good)) => {
            finding.evidence += &format!(" Asked at {good}, it is gone: the tier in front of that does it.");
            // One hop with nothing known behind it may be max-auth itself.
            if asked.len() > 1 && finding.layer != APP {
                finding.position = ProxyPosition::Outer;
            }
            return;
        }
        HopComparison::Milder(bad) => {
            if finding.position != ProxyPosition::Inner {
                finding.position = ProxyPosition::Both;
            }
            finding.evidence += &format!(" Asked at {bad}, it is there, too, but milder: it takes both tiers.");
            return;
        }
        HopComparison::Same { bad, diagnosis, inner, good } => (bad, diagnosis, inner, good),
    };
    let gone = good.map(|good| format!(" and gone at {good}")).unwrap_or_default();
    finding.evidence += &format!(
        " It is there at {bad} already{gone}: the tier at {bad} does it; whether one in front does, too, shows once that is \
         mended."
    );
    // Nearer to the cause its name is known better, and the streams are the same: it is the same thing.
    let better = inner.layer != UNKNOWN && (inner.layer, inner.code) != (finding.layer, finding.code);
    if better && (diagnosis.streams == streams || inner.code == finding.code) {
        finding.evidence += &format!(" There: {}", inner.evidence);
        (finding.code, finding.layer, finding.position) = (inner.code, inner.layer, inner.position);
    }
    // Whether a tier in front has it, too, is not known, and both need the lines.
    if finding.position == ProxyPosition::Outer {
        finding.position = ProxyPosition::Both;
    }
}

/// What is wrong inside and does not show outside because of what is wrong in front of it.
fn masked(outside: &mut Diagnosis, asked: &[(&Url, &Diagnosis)]) {
    for (url, diagnosis) in asked {
        for inner in &diagnosis.findings {
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
    use crate::doctor::delivery::DeliveryMode;
    use crate::doctor::proxy_path::ProxyPath;
    use crate::proxies::{NGINX, Severity, layer};

    fn diagnosis(findings: Vec<Finding>) -> Diagnosis {
        let (streams, path) = (Vec::new(), ProxyPath { nginx: true, ..ProxyPath::default() });
        Diagnosis { transport: DeliveryMode::WebSocket, first_event_ms: None, findings, streams, path }
    }

    fn hop(findings: Vec<Finding>) -> Hop {
        Hop { url: "http://127.0.0.1:1/".parse().unwrap(), outcome: Ok(diagnosis(findings)) }
    }

    fn finding(code: FindingCode, severity: Severity) -> Finding {
        Finding::new(code, NGINX, "").severity(severity)
    }

    #[test]
    fn the_first_hop_that_is_well_names_the_tier() {
        use Severity::{Fault, Note};
        let buffered = |severity| vec![finding(FindingCode::Buffered, severity)];
        for (hops, tier) in [
            (vec![hop(vec![]), hop(vec![])], ProxyPosition::Outer),
            // Whether the tier in front has it, too, cannot be seen through one that has it.
            (vec![hop(buffered(Fault)), hop(vec![])], ProxyPosition::Unknown),
            (vec![hop(buffered(Note)), hop(vec![])], ProxyPosition::Both),
            (vec![hop(vec![])], ProxyPosition::Unknown),
        ] {
            let mut outside = diagnosis(buffered(Fault));
            locate(&mut outside, &hops);
            assert_eq!(outside.findings[0].position, tier);
        }
    }

    #[test]
    fn what_is_hidden_outside_is_told() {
        let mut outside = diagnosis(vec![finding(FindingCode::Buffered, Severity::Note)]);
        outside.streams = vec![Verdict::Burst];
        let inside = Finding::new(FindingCode::AppCompression, APP, "");
        locate(&mut outside, &[hop(vec![inside])]);
        let codes: Vec<FindingCode> = outside.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [FindingCode::Buffered, FindingCode::AppCompression]);
    }

    #[test]
    fn a_hop_that_tells_nothing_is_said_so_and_cures_nothing() {
        let mut outside = diagnosis(vec![finding(FindingCode::Buffered, Severity::Fault)]);
        let stranger = Finding::new(FindingCode::NotRouted, UNKNOWN, "404");
        let hops = [stranger].map(|why| Hop { url: "http://127.0.0.1:1/".parse().unwrap(), outcome: Err(why) });
        locate(&mut outside, &hops);
        assert!(!outside.findings[0].evidence.contains("gone"), "{}", outside.findings[0].evidence);
        assert_eq!(
            (outside.findings[0].position, outside.findings[1].code),
            (ProxyPosition::Unknown, FindingCode::HopNotAsked)
        );
    }

    /// What is said outside of one finding, with what the inner addresses show.
    fn told(outside: Finding, streams: &[Verdict], hops: &[Hop]) -> String {
        let mut judged = diagnosis(vec![outside]);
        judged.streams = streams.to_vec();
        locate(&mut judged, hops);
        let lines = judged.findings.iter().map(|finding| {
            let (severity, code) = (finding.severity.name(), finding.code.name());
            format!("{severity} {code} {} {}:{}", finding.layer.name(), finding.position.name(), finding.evidence)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_the_inner_addresses_tell() {
        use FindingCode::*;
        let whole = || Finding::new(WholeResponseBuffered, layer("lighttpd"), "held");
        let at = |position| finding(Buffered, Severity::Fault).at(position);
        let with_streams = |streams: Vec<Verdict>, findings| {
            let mut inner = diagnosis(findings);
            inner.streams = streams;
            Hop { url: "http://127.0.0.1:2/".parse().unwrap(), outcome: Ok(inner) }
        };
        let lost = |layer| Finding::new(ClientAddressLost, layer, "");
        let mut text = String::new();
        for (name, outside, hops) in [
            ("gone at two", at(ProxyPosition::Unknown), vec![hop(vec![]), hop(vec![])]),
            ("gone at two, an application", Finding::new(AppCompression, APP, ""), vec![hop(vec![]), hop(vec![])]),
            ("milder inside", at(ProxyPosition::Outer), vec![hop(vec![finding(Buffered, Severity::Note)])]),
            ("milder inside, inner", at(ProxyPosition::Inner), vec![hop(vec![finding(Buffered, Severity::Note)])]),
            ("the same inside", at(ProxyPosition::Outer), vec![hop(vec![at(ProxyPosition::Unknown)]), hop(vec![])]),
            (
                "another name inside, the same streams",
                at(ProxyPosition::Outer),
                vec![with_streams(vec![Verdict::Burst], vec![whole()])],
            ),
            (
                "another name inside, other streams",
                at(ProxyPosition::Outer),
                vec![with_streams(vec![Verdict::Late], vec![whole()])],
            ),
            (
                "another name inside, the same code",
                at(ProxyPosition::Unknown),
                vec![with_streams(vec![], vec![Finding::new(Buffered, layer("caddy"), "held")])],
            ),
            (
                "no name inside",
                at(ProxyPosition::Unknown),
                vec![with_streams(vec![Verdict::Burst], vec![Finding::new(Buffered, UNKNOWN, "held")])],
            ),
            ("not to be told inside", lost(NGINX), vec![hop(vec![])]),
            ("not to be told inside, another layer", lost(APP), vec![hop(vec![])]),
            (
                "another family inside",
                at(ProxyPosition::Unknown),
                vec![hop(vec![Finding::new(Cached, NGINX, "twice"), Finding::new(PostRefused, NGINX, "")])],
            ),
            (
                "the same family elsewhere inside",
                at(ProxyPosition::Unknown),
                vec![hop(vec![Finding::new(Compressed, layer("varnish"), "held")])],
            ),
        ] {
            text += &format!("=== {name}\n{}\n", told(outside, &[Verdict::Burst], &hops));
        }
        crate::snapshot::assert_snapshot("doctor/snapshots/hops.txt", &text);
        assert!(related(IdleTimeout, TotalTimeout) && related(Dns, Dns) && !related(Dns, Tls));
    }
}
