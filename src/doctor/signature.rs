//! What the seven streams say together. A table of data: a row is what came of each stream, plus a few other facts,
//! and what follows. The rows are those of 85 chains of real proxies; the first that fits counts.

use super::stream::Verdict;
use crate::config::facts::{Code, Layer, Tier};

/// What a row wants of one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    Live,
    Late,
    Burst,
    /// Late or in one heap.
    Held,
    Any,
}

/// Which layer a conclusion is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// The evidence itself names it.
    Named(Layer),
    /// The one that names itself, if any does.
    Seen,
    /// Of what was measured only this does so: unless somebody else names himself.
    Guess(Layer),
}

pub struct Conclusion {
    pub code: Code,
    pub who: Who,
    pub tier: Tier,
}

pub struct Row {
    /// Uncompressed, plain, X-Accel-Buffering, no-transform, all headers, compressed by us, the same with a tail.
    pub streams: [Want; 7],
    /// The head came at once (before the events).
    pub head: Option<bool>,
    /// The header `X-Accel-Buffering` that was sent also arrived. nginx takes it out, even one that ignores it; no other
    /// proxy does.
    pub accel: Option<bool>,
    /// The layer that names itself.
    pub seen: Option<Layer>,
    pub conclusions: &'static [Conclusion],
    /// What the evidence means, and no more than that.
    pub means: &'static str,
}

/// What was observed of one line.
#[derive(Clone, Copy, Debug)]
pub struct Observed {
    pub streams: [Verdict; 7],
    pub head_at_once: bool,
    pub accel_arrived: bool,
    pub seen: Layer,
}

const L: Want = Want::Live;
const T: Want = Want::Late;
const B: Want = Want::Burst;
const H: Want = Want::Held;
const A: Want = Want::Any;

const fn conclusion(code: Code, who: Who, tier: Tier) -> Conclusion {
    Conclusion { code, who, tier }
}

const NGINX: Who = Who::Named(Layer::Nginx);

pub const TABLE: &[Row] = &[
    Row {
        streams: [L, L, L, L, L, L, L],
        head: None,
        accel: None,
        seen: None,
        conclusions: &[],
        means: "nothing holds streams back",
    },
    Row {
        streams: [B, B, L, B, L, L, L],
        head: None,
        accel: Some(false),
        seen: None,
        conclusions: &[conclusion(Code::Buffered, NGINX, Tier::Unknown)],
        means: "one nginx buffers answers; it obeyed X-Accel-Buffering and took the header out (others in front of it may be there, and do not buffer)",
    },
    Row {
        streams: [B, B, L, B, L, L, L],
        head: None,
        accel: Some(true),
        seen: None,
        conclusions: &[conclusion(Code::Buffered, Who::Seen, Tier::Unknown)],
        means: "something that obeys X-Accel-Buffering buffers answers, and leaves the header in, so it is not nginx",
    },
    Row {
        streams: [L, B, L, B, L, L, L],
        head: None,
        accel: Some(false),
        seen: None,
        conclusions: &[conclusion(Code::Compressed, NGINX, Tier::Unknown)],
        means: "one nginx compresses event streams and buffers what it compresses",
    },
    Row {
        streams: [B, B, B, B, L, L, L],
        head: None,
        accel: Some(false),
        seen: None,
        conclusions: &[
            conclusion(Code::Buffered, NGINX, Tier::Unknown),
            conclusion(Code::AppCompression, Who::Guess(Layer::App), Tier::Unknown),
        ],
        means: "one nginx buffers answers, and behind it the application compresses event streams",
    },
    Row {
        streams: [B, B, B, B, B, B, L],
        head: None,
        accel: Some(false),
        seen: None,
        conclusions: &[conclusion(Code::Buffered, NGINX, Tier::Outer)],
        means: "the outer of two nginx tiers buffers: the inner one took X-Accel-Buffering out, so the outer never saw it \
                (a single nginx with `proxy_ignore_headers X-Accel-Buffering` looks the same from here)",
    },
    Row {
        streams: [B, B, B, B, B, L, L],
        head: Some(false),
        accel: Some(false),
        seen: None,
        conclusions: &[
            conclusion(Code::Compressed, NGINX, Tier::Outer),
            conclusion(Code::Buffered, NGINX, Tier::Inner),
        ],
        means: "of two nginx tiers the outer one compresses and buffers, and the inner one, which talks HTTP/1.0 to \
                max-auth, buffers too",
    },
    Row {
        streams: [L, B, B, B, B, L, L],
        head: None,
        accel: Some(false),
        seen: None,
        conclusions: &[conclusion(Code::Compressed, NGINX, Tier::Outer)],
        means: "the outer of two nginx tiers compresses event streams and buffers what it compresses; the inner one took \
                X-Accel-Buffering out",
    },
    Row {
        streams: [L, B, B, L, L, L, L],
        head: None,
        accel: None,
        seen: None,
        conclusions: &[conclusion(Code::AppCompression, Who::Guess(Layer::App), Tier::Unknown)],
        means: "compression middleware of an application collects events; it stops at no-transform",
    },
    Row {
        streams: [L, T, T, L, L, L, L],
        head: None,
        accel: None,
        seen: None,
        conclusions: &[conclusion(Code::CompressedLateByOne, Who::Guess(Layer::Haproxy), Tier::Unknown)],
        means: "a compressor holds each event until the next, and stops at no-transform, as HAProxy's does",
    },
    Row {
        streams: [L, T, T, T, T, L, L],
        head: None,
        accel: None,
        seen: None,
        conclusions: &[conclusion(Code::CompressedLateByOne, Who::Seen, Tier::Unknown)],
        means: "a compressor holds each event until the next, whatever the headers say",
    },
    Row {
        streams: [L, B, B, B, B, L, L],
        head: None,
        accel: Some(true),
        seen: None,
        conclusions: &[conclusion(Code::Compressed, Who::Seen, Tier::Unknown)],
        means: "a compressor that is not nginx's collects events, whatever the headers say",
    },
    Row {
        streams: [B, B, B, B, B, L, L],
        head: None,
        accel: Some(true),
        seen: None,
        conclusions: &[conclusion(Code::Compressed, Who::Seen, Tier::Unknown)],
        means: "a compressor collects events even for those who did not ask for compression",
    },
    Row {
        streams: [B, B, B, B, B, B, B],
        head: None,
        accel: Some(false),
        seen: Some(Layer::Nginx),
        conclusions: &[conclusion(Code::Buffered, NGINX, Tier::Unknown)],
        means: "an nginx that never sees X-Accel-Buffering holds more than 12 KB back (large proxy_buffers), or a layer \
                behind it holds whole answers",
    },
    Row {
        streams: [B, B, B, B, B, B, B],
        head: None,
        accel: None,
        seen: None,
        conclusions: &[conclusion(Code::WholeResponseBuffered, Who::Seen, Tier::Unknown)],
        means: "something holds each answer until it is complete",
    },
    // What no chain has shown so far: said without a name.
    Row {
        streams: [T, T, A, A, A, A, A],
        head: None,
        accel: None,
        seen: None,
        conclusions: &[conclusion(Code::CompressedLateByOne, Who::Seen, Tier::Unknown)],
        means: "each event waits for the next bytes; which layer does it cannot be told from here",
    },
    Row {
        streams: [L, H, A, A, A, A, A],
        head: None,
        accel: None,
        seen: None,
        conclusions: &[conclusion(Code::Compressed, Who::Seen, Tier::Unknown)],
        means: "only uncompressed streams are sure to come live; which layer compresses cannot be told from here",
    },
    Row {
        streams: [B, H, A, A, A, A, A],
        head: None,
        accel: None,
        seen: None,
        conclusions: &[conclusion(Code::Buffered, Who::Seen, Tier::Unknown)],
        means: "something buffers streams; which layer cannot be told from here",
    },
];

impl Want {
    fn fits(self, verdict: Verdict) -> bool {
        match self {
            // What was cut off or never came says nothing about buffers.
            Self::Any => matches!(verdict, Verdict::Live | Verdict::Late | Verdict::Burst),
            Self::Live => verdict == Verdict::Live,
            Self::Late => verdict == Verdict::Late,
            Self::Burst => verdict == Verdict::Burst,
            Self::Held => matches!(verdict, Verdict::Late | Verdict::Burst),
        }
    }
}

impl Row {
    fn fits(&self, observed: &Observed) -> bool {
        let streams = self.streams.iter().zip(observed.streams).all(|(want, verdict)| want.fits(verdict));
        streams
            && self.head.is_none_or(|head| head == observed.head_at_once)
            && self.accel.is_none_or(|accel| accel == observed.accel_arrived)
            && self.seen.is_none_or(|seen| seen == observed.seen)
    }
}

/// Rows at the end that no chain has shown.
const UNSEEN: usize = 3;

/// Whether such a row was seen on real chains, whatever else they showed.
pub fn is_measured(streams: &[Verdict; 7]) -> bool {
    let measured = &TABLE[..TABLE.len() - UNSEEN];
    measured.iter().any(|row| row.streams.iter().zip(streams).all(|(want, verdict)| want.fits(*verdict)))
}

/// The first row that fits.
pub fn find(observed: &Observed) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.fits(observed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Layer::{App, H2o, Haproxy, Nginx, Trafficserver, Unknown, Varnish};
    use Tier::{Inner, Outer};

    #[test]
    fn what_contradicts_itself_is_no_signature() {
        let verdicts = |text: &str| -> [Verdict; 7] {
            let verdict = |letter| match letter {
                'L' => Verdict::Live,
                'T' => Verdict::Late,
                _ => Verdict::Burst,
            };
            text.chars().map(verdict).collect::<Vec<_>>().try_into().unwrap()
        };
        // Plain ones came live and those with all headers did not: no compressor does that, a busy machine does.
        for text in ["LLLLTLL", "LLBLLLL", "BLLLLLL", "LLLLLLB"] {
            let observed =
                Observed { streams: verdicts(text), head_at_once: true, accel_arrived: true, seen: Layer::Caddy };
            assert!(find(&observed).is_none(), "{text}");
            assert!(!is_measured(&verdicts(text)), "{text}");
        }
        assert!(is_measured(&verdicts("LTTLLLL")));
    }

    /// The rows as measured (85 chains): streams, head at once, X-Accel-Buffering arrived, who names itself.
    #[test]
    fn each_measured_row_has_its_conclusion() {
        const UNKNOWN: Tier = Tier::Unknown;
        type Expected = &'static [(&'static str, Layer, Tier)];
        let measured: &[(&str, bool, bool, Layer, Expected)] = &[
            ("LLLLLLL", true, true, Unknown, &[]),
            ("LLLLLLL", true, false, Nginx, &[]),
            ("BBLBLLL", false, false, Nginx, &[("buffered", Nginx, UNKNOWN)]),
            ("LBLBLLL", false, false, Nginx, &[("compressed", Nginx, UNKNOWN)]),
            ("BBBBBBL", false, false, Nginx, &[("buffered", Nginx, Outer)]),
            ("BBBBBLL", false, false, Nginx, &[("compressed", Nginx, Outer), ("buffered", Nginx, Inner)]),
            ("LBBBBLL", false, false, Nginx, &[("compressed", Nginx, Outer)]),
            ("LBBLLLL", true, true, Unknown, &[("app-compression", App, UNKNOWN)]),
            ("LTTLLLL", true, true, Unknown, &[("compressed-late-by-one", Haproxy, UNKNOWN)]),
            ("LTTTTLL", true, true, H2o, &[("compressed-late-by-one", H2o, UNKNOWN)]),
            ("LBBBBLL", true, true, Trafficserver, &[("compressed", Trafficserver, UNKNOWN)]),
            ("BBBBBLL", true, true, Varnish, &[("compressed", Varnish, UNKNOWN)]),
            ("BBBBBBB", false, true, Layer::Lighttpd, &[("whole-response-buffered", Layer::Lighttpd, UNKNOWN)]),
            ("BBBBBBB", false, true, Unknown, &[("whole-response-buffered", Unknown, UNKNOWN)]),
            ("BBBBBBB", false, false, Nginx, &[("buffered", Nginx, UNKNOWN)]),
            ("BBBBLLL", false, false, Nginx, &[("buffered", Nginx, UNKNOWN), ("app-compression", App, UNKNOWN)]),
        ];
        for (streams, head_at_once, accel_arrived, seen, expected) in measured {
            let verdict = |letter| match letter {
                'L' => Verdict::Live,
                'T' => Verdict::Late,
                _ => Verdict::Burst,
            };
            let streams: Vec<Verdict> = streams.chars().map(verdict).collect();
            let observed = Observed {
                streams: streams.try_into().unwrap(),
                head_at_once: *head_at_once,
                accel_arrived: *accel_arrived,
                seen: *seen,
            };
            let row = find(&observed).unwrap();
            let named: Vec<(&str, Layer, Tier)> = row
                .conclusions
                .iter()
                .map(|each| {
                    let layer = match each.who {
                        Who::Named(layer) | Who::Guess(layer) => layer,
                        Who::Seen => *seen,
                    };
                    (each.code.name(), layer, each.tier)
                })
                .collect();
            assert_eq!(named, *expected, "{observed:?}");
        }
    }
}
