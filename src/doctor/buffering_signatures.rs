//! What the seven streams say together: which row of `proxies` fits. The rows are those of 85 chains of real proxies; the
//! first that fits counts.

use super::stream_observation::Verdict;
use crate::proxies::{Layer, Signature, Want, is_measured as was_measured, signatures};

/// What was observed of one path.
#[derive(Clone, Copy, Debug)]
pub struct Observed {
    pub streams: [Verdict; 7],
    pub head_at_once: bool,
    pub accel_arrived: bool,
    pub seen: Layer,
}

/// A row that fits, and the layer in whose file it stands.
#[derive(Debug)]
pub struct Match {
    pub owner: Layer,
    pub row: &'static Signature,
}

/// Whether what came of a stream is what a row wants of it.
fn is_met(want: Want, verdict: Verdict) -> bool {
    match want {
        // What was cut off or never came says nothing about buffers.
        Want::Any => matches!(verdict, Verdict::Live | Verdict::Late | Verdict::Burst),
        Want::Live => verdict == Verdict::Live,
        Want::Late => verdict == Verdict::Late,
        Want::Burst => verdict == Verdict::Burst,
        Want::Held => matches!(verdict, Verdict::Late | Verdict::Burst),
    }
}

fn streams_fit(row: &Signature, streams: &[Verdict; 7]) -> bool {
    row.streams.iter().zip(streams).all(|(want, verdict)| is_met(*want, *verdict))
}

fn fits(owner: Layer, row: &Signature, observed: &Observed) -> bool {
    streams_fit(row, &observed.streams)
        && row.head.is_none_or(|head| head == observed.head_at_once)
        && row.accel.is_none_or(|accel| accel == observed.accel_arrived)
        && (!row.owner_seen || observed.seen.engine() == owner)
}

/// Whether such a row was seen on real chains, whatever else they showed.
pub fn is_measured(streams: &[Verdict; 7]) -> bool {
    signatures().any(|(_, row)| was_measured(row) && streams_fit(row, streams))
}

/// The first row that fits.
pub fn find(observed: &Observed) -> Option<Match> {
    signatures().find(|(owner, row)| fits(*owner, row, observed)).map(|(owner, row)| Match { owner, row })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxies::{Attribution, layer};

    fn verdicts(text: &str) -> [Verdict; 7] {
        let verdict = |letter| match letter {
            'L' => Verdict::Live,
            'T' => Verdict::Late,
            'B' => Verdict::Burst,
            _ => Verdict::Cut,
        };
        text.chars().map(verdict).collect::<Vec<_>>().try_into().unwrap()
    }

    /// "buffered nginx outer, app-compression app unknown"
    fn told(streams: &str, head_at_once: bool, accel_arrived: bool, seen: &str) -> String {
        let seen = layer(seen);
        let Some(found) = find(&Observed { streams: verdicts(streams), head_at_once, accel_arrived, seen }) else {
            return "nothing".to_owned();
        };
        let conclusions = found.row.conclusions.iter().map(|each| {
            let about = match each.about {
                Attribution::Owner | Attribution::Guess => found.owner.name(),
                Attribution::GuessApplication => "app",
                Attribution::Seen => seen.name(),
            };
            format!("{} {about} {}", each.code.name(), each.position.name())
        });
        conclusions.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_contradicts_itself_is_no_signature() {
        // Plain ones came live and those with all headers did not: no compressor does that, a busy machine does.
        for text in ["LLLLTLL", "LLBLLLL", "BLLLLLL", "LLLLLLB", "LTTLLLC", "CCCCCCC"] {
            assert_eq!(told(text, true, true, "caddy"), "nothing", "{text}");
            assert!(!is_measured(&verdicts(text)), "{text}");
        }
    }

    #[test]
    fn what_no_chain_has_shown_is_told_and_not_taken_for_measured() {
        for (text, expected) in [
            ("TTLLLLL", "compressed-late-by-one caddy unknown"),
            ("LBLLLLL", "compressed caddy unknown"),
            ("LTLLLLL", "compressed caddy unknown"),
            ("BTLLLLL", "buffered caddy unknown"),
        ] {
            assert_eq!(told(text, true, true, "caddy"), expected, "{text}");
            assert!(!is_measured(&verdicts(text)), "{text}");
        }
        for text in ["LLLLLLL", "LTTLLLL", "BBLBLLL", "BBBBBBB"] {
            assert!(is_measured(&verdicts(text)), "{text}");
        }
    }

    /// The rows as measured (85 chains): streams, head at once, X-Accel-Buffering arrived, who names itself.
    #[test]
    fn each_measured_row_has_its_conclusion() {
        for (streams, head, accel, seen, expected) in [
            ("LLLLLLL", true, true, "unknown", ""),
            ("LLLLLLL", true, false, "nginx", ""),
            ("BBLBLLL", false, false, "nginx", "buffered nginx unknown"),
            ("BBLBLLL", false, true, "caddy", "buffered caddy unknown"),
            ("LBLBLLL", false, false, "nginx", "compressed nginx unknown"),
            ("BBBBBBL", false, false, "nginx", "buffered nginx outer"),
            ("BBBBBLL", false, false, "nginx", "compressed nginx outer, buffered nginx inner"),
            // The head came at once: then the inner tier does not buffer.
            ("BBBBBLL", true, false, "nginx", "buffered nginx unknown"),
            ("LBBBBLL", false, false, "nginx", "compressed nginx outer"),
            ("LBBLLLL", true, true, "unknown", "app-compression app unknown"),
            ("LTTLLLL", true, true, "unknown", "compressed-late-by-one haproxy unknown"),
            ("LTTTTLL", true, true, "h2o", "compressed-late-by-one h2o unknown"),
            ("LBBBBLL", true, true, "trafficserver", "compressed trafficserver unknown"),
            ("BBBBBLL", true, true, "varnish", "compressed varnish unknown"),
            ("BBBBBBB", false, true, "lighttpd", "whole-response-buffered lighttpd unknown"),
            ("BBBBBBB", false, true, "unknown", "whole-response-buffered unknown unknown"),
            ("BBBBBBB", false, false, "varnish", "whole-response-buffered varnish unknown"),
            ("BBBBBBB", false, false, "nginx", "buffered nginx unknown"),
            ("BBBBLLL", false, false, "nginx", "buffered nginx unknown, app-compression app unknown"),
        ] {
            assert_eq!(told(streams, head, accel, seen), expected, "{streams} {seen}");
        }
    }
}
