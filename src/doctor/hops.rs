//! Inner addresses of the same line (`--hop`): the same questions further in tell which tier turns bad.

use super::conclude::Judged;
use super::finding::{Finding, Severity};
use crate::config::facts::{Code, Layer, Tier};
use url::Url;

/// What came of one inner address.
pub struct Hop {
    pub url: Url,
    pub outcome: Result<Judged, Finding>,
}

/// What an inner address says about a finding outside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Here {
    Absent,
    /// There, too, but harmless: something further out makes it worse.
    Milder,
    Same,
    Unknown,
}

/// Says for each finding which tier it is in, as far as the inner addresses tell.
pub fn locate(findings: &mut [Finding], hops: &[Hop]) {
    for finding in
        findings.iter_mut().filter(|finding| !matches!(finding.code, Code::Dns | Code::Tls | Code::ClockSkew))
    {
        let here: Vec<Here> = hops.iter().map(|hop| at(finding, hop)).collect();
        let Some(first) = here.iter().position(|here| *here != Here::Same && *here != Here::Unknown) else {
            if here.contains(&Here::Same)
                && let Some(last) = hops.last()
            {
                finding.evidence += &format!(" It is the same at {}, so it happens behind that.", last.url);
            }
            continue;
        };
        let good = &hops[first].url;
        match here[first] {
            Here::Milder => {
                if finding.tier != Tier::Inner {
                    finding.tier = Tier::Both;
                }
                finding.evidence += &format!(" Asked at {good}, it is there, too, but milder: it takes both tiers.");
            }
            _ if first == 0 => {
                finding.evidence += &format!(" Asked at {good}, it is gone: the tier in front of that does it.");
                // One hop with nothing known behind it may be max-auth itself.
                if hops.len() > 1 && finding.layer != Layer::App {
                    finding.tier = Tier::Outer;
                }
            }
            _ => {
                let bad = &hops[first - 1].url;
                finding.evidence += &format!(
                    " It is there at {bad} and gone at {good}: the tier at {bad} does it, perhaps others in front, too."
                );
                // An upgrade that is lost inside says nothing of the tiers outside: all of them need the lines.
                if finding.code != Code::WsUpgradeNotPassed {
                    finding.tier = Tier::Inner;
                }
            }
        }
    }
}

fn at(finding: &Finding, hop: &Hop) -> Here {
    let found = match &hop.outcome {
        Ok(judged) => judged.findings.as_slice(),
        // An inner address that cannot be reached from here says nothing; one that answers wrongly does.
        Err(other) if matches!(other.code, Code::BackendDown | Code::Dns | Code::Tls) && other.code != finding.code => {
            return Here::Unknown;
        }
        Err(other) => std::slice::from_ref(other),
    };
    let same = found.iter().find(|other| other.code == finding.code);
    match same {
        None => Here::Absent,
        Some(other) if finding.severity == Severity::Fault && other.severity == Severity::Note => Here::Milder,
        Some(_) => Here::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::conclude::Transport;

    fn hop(findings: Vec<Finding>) -> Hop {
        let judged = Judged { transport: Transport::WebSocket, first_event_ms: None, findings };
        Hop { url: "http://127.0.0.1:1/".parse().unwrap(), outcome: Ok(judged) }
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
            (vec![hop(buffered(Fault)), hop(vec![])], Tier::Inner),
            (vec![hop(buffered(Note)), hop(vec![])], Tier::Both),
            (vec![hop(vec![])], Tier::Unknown),
        ] {
            let mut findings = buffered(Fault);
            locate(&mut findings, &hops);
            assert_eq!(findings[0].tier, tier);
        }
    }
}
