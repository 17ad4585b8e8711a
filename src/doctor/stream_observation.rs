//! One timed event stream: reads it, notes when each event came, and judges that against when it was sent.

use super::connect::Broken;
use super::decode::MAX_STREAM_BYTES;
use super::http::{Answer, Client, ProbeRequest, millis, text};
use super::http_observation::own_path;
use super::sse::SseReader;
#[cfg(any(fuzzing, test))]
use crate::probe::StreamEvent;
use crate::probe::{EVENTS, GAP, ProbeQuery, ProbeVariant, STREAM_PATH};
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName, RANGE};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::BodyExt as _;
use std::time::Duration;
use tokio::time::timeout;

/// The time between two events, in milliseconds.
pub const GAP_MS: i64 = GAP.as_millis() as i64;

/// An ordinary stream lasts 0.9 s; one that has not ended after this long is taken as it is.
const PATIENCE: Duration = Duration::from_millis(3200);

/// An event that took less than this (milliseconds) beyond the way was live: less than the gap to the next one by a
/// margin, and more than the 200 ms that HAProxy adds.
const LIVE_MS: i64 = 265;

/// Arrivals closer together than this (milliseconds) came together.
const TOGETHER_MS: i64 = 150;

/// What browsers accept.
const BROWSER_ENCODINGS: HeaderValue = HeaderValue::from_static("gzip, deflate, br, zstd");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// What we say of a stream that we no longer wait for.
const UNENDED: &str = "did not end";

/// Delays that differ by less (milliseconds) are one delay: the way is long, and nothing is held for what follows.
const STEADY_MS: i64 = 120;

/// How a stream came through.
/// In the order of getting worse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Each event about when it was sent.
    Live,
    /// Each event in time with the others, but all of them late.
    Delayed,
    /// Each event when the next bytes followed.
    Late,
    /// All at once, at the end.
    Burst,
    /// Ended before its end.
    Cut,
    /// Not a stream of ours at all.
    Failed,
}

/// One of the streams that are asked for.
#[derive(Clone, Copy, Debug)]
pub struct StreamProbe {
    /// As the evidence calls it.
    pub name: &'static str,
    pub variant: ProbeVariant,
    pub identity: bool,
    pub post: bool,
    /// Milliseconds of holding, and between comments.
    pub hold: Option<(u64, Option<u64>)>,
    /// Bytes of each event beyond its own.
    pub size: usize,
}

impl StreamProbe {
    pub const fn get(name: &'static str, variant: ProbeVariant, identity: bool) -> Self {
        Self { name, variant, identity, post: false, hold: None, size: 0 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Event {
    /// Local Unix milliseconds.
    arrived: i64,
    /// The server's.
    sent: i64,
}

/// What was seen of one stream.
#[derive(Clone, Debug, Default)]
pub struct StreamObservation {
    pub status: Option<u16>,
    pub headers: HeaderMap,
    pub broken: Option<String>,
    /// From the request to the head, in milliseconds.
    pub head_ms: i64,
    /// From the request to the end, in milliseconds.
    pub took_ms: i64,
    /// From connecting to the first event, in milliseconds.
    pub first_event_ms: Option<i64>,
    events: Vec<Event>,
    /// When raw bytes came, in milliseconds since the request.
    raw: Vec<i64>,
    /// Ended as an answer should.
    complete: bool,
    /// An encoding that is not undone here: diagnosis by when bytes came.
    opaque: bool,
}

impl StreamObservation {
    pub async fn of(client: &Client, kind: StreamProbe) -> Self {
        let query = ProbeQuery {
            variant: Some(kind.variant),
            hold: kind.hold.map(|(hold, _)| hold),
            heartbeat: kind.hold.and_then(|(_, heartbeat)| heartbeat),
            size: (kind.size > 0).then_some(kind.size),
            ..ProbeQuery::default()
        };
        let (path, nonce) = own_path(STREAM_PATH, query);
        let mut ask = ProbeRequest::get(path);
        ask.headers = vec![(ACCEPT, EVENT_STREAM)];
        ask.patience = PATIENCE;
        if let Some((hold, _)) = kind.hold {
            ask.patience = Duration::from_millis(hold) + Duration::from_millis(1000);
        }
        if kind.identity {
            // As a browser's fetch sends it that must not get a compressed answer.
            ask.headers.push((RANGE, HeaderValue::from_static("bytes=0-")));
            ask.headers.push((ACCEPT_ENCODING, IDENTITY));
        } else {
            ask.headers.push((ACCEPT_ENCODING, BROWSER_ENCODINGS));
        }
        if kind.post {
            ask.method = Method::POST;
            ask.body = "{}";
            ask.headers.push((HeaderName::from_static("content-type"), HeaderValue::from_static("application/json")));
        }
        let began = tokio::time::Instant::now();
        match client.ask(&ask).await {
            Ok(answer) => Self::read(client, answer, &nonce, ask.patience).await,
            Err(broken) => Self {
                took_ms: millis(began.elapsed()),
                broken: Some(match broken {
                    Broken::Silent(_) => "no answer".to_owned(),
                    other => other.to_string(),
                }),
                ..Self::default()
            },
        }
    }

    async fn read(client: &Client, answer: Answer, nonce: &str, patience: Duration) -> Self {
        let connecting = answer.since_connect.saturating_sub(answer.head_after);
        let (parts, mut body) = answer.response.into_parts();
        let encoding = text(&parts.headers, "content-encoding").unwrap_or_default().to_ascii_lowercase();
        let mut seen = Self {
            status: Some(parts.status.as_u16()),
            headers: parts.headers,
            head_ms: millis(answer.head_after),
            ..Self::default()
        };
        let mut reader = SseReader::of(&encoding);
        seen.opaque = reader.is_opaque();
        let mut total = 0;
        loop {
            let left = client.at_most(patience.saturating_sub(answer.began.elapsed()));
            match timeout(left, body.frame()).await {
                Err(_) => {
                    seen.broken = Some(UNENDED.to_owned());
                    break;
                }
                Ok(None) => {
                    seen.complete = true;
                    break;
                }
                Ok(Some(Err(error))) => {
                    seen.broken = Some(error.to_string());
                    break;
                }
                Ok(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    total += data.len();
                    if total > MAX_STREAM_BYTES {
                        seen.broken = Some("is endless".to_owned());
                        break;
                    }
                    let (at, arrived) = (millis(answer.began.elapsed()), client.clock.unix_ms());
                    if !data.is_empty() {
                        seen.raw.push(at);
                    }
                    for event in reader.feed(&data) {
                        if event.nonce != nonce {
                            continue;
                        }
                        seen.first_event_ms.get_or_insert(millis(connecting) + at);
                        seen.events.push(Event { arrived, sent: event.sent_unix_ms });
                    }
                }
            }
        }
        seen.took_ms = millis(answer.began.elapsed());
        seen
    }

    /// Whether it came from our server: its nonce, or (in an encoding that is not undone here) its type.
    pub fn is_ours(&self) -> bool {
        !self.events.is_empty() || self.is_stream()
    }

    fn is_stream(&self) -> bool {
        matches!(self.status, Some(200 | 206))
            && text(&self.headers, "content-type").is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// How much the events were late beyond the way, in milliseconds. `offset`: our clock less the server's. What a server
    /// says of its clock may be any number.
    pub fn delays(&self, offset: i64) -> Vec<i64> {
        self.events.iter().map(|event| event.arrived.saturating_sub(event.sent).saturating_sub(offset).max(0)).collect()
    }

    pub fn verdict(&self, offset: i64) -> Verdict {
        if !self.is_stream() {
            return Verdict::Failed;
        }
        if self.opaque {
            return self.opaque_verdict();
        }
        if self.events.len() < EVENTS {
            // We stopped waiting: nobody has cut it.
            let unended = self.broken.as_deref() == Some(UNENDED);
            return if unended || (self.complete && self.events.is_empty()) { Verdict::Failed } else { Verdict::Cut };
        }
        let delays = self.delays(offset);
        if delays.iter().all(|delay| *delay < LIVE_MS) {
            return Verdict::Live;
        }
        match (self.events.first(), self.events.last()) {
            (Some(first), Some(last)) if last.arrived.saturating_sub(first.arrived) < GAP_MS => Verdict::Burst,
            // As late as the next event is away: that may be waiting for it.
            _ if is_steady(&delays) && !delays.iter().all(|delay| (delay - GAP_MS).abs() < STEADY_MS) => {
                Verdict::Delayed
            }
            _ => Verdict::Late,
        }
    }

    /// Together with another look at the same: each event as early as it was ever seen. Buffers hold the same event each
    /// time, a busy machine another one.
    pub fn with(self, other: Self, offset: i64) -> Self {
        if other.verdict(offset) == Verdict::Live || self.events.len() != other.events.len() || self.opaque {
            return if other.verdict(offset) < self.verdict(offset) { other } else { self };
        }
        let better = other.delays(offset);
        let events = self.events.iter().zip(self.delays(offset)).zip(better).map(|((event, delay), better)| Event {
            arrived: event.sent.saturating_add(offset).saturating_add(delay.min(better)),
            sent: event.sent,
        });
        let events = events.collect();
        Self { events, ..self }
    }

    /// Whether the first event came before the last was sent: an answer that is held whole comes after its end, however
    /// unevenly a busy machine reads it.
    pub fn began_before_its_end(&self, offset: i64) -> bool {
        match (self.events.first(), self.events.last()) {
            (Some(first), Some(last)) => first.arrived < last.sent.saturating_add(offset),
            _ => false,
        }
    }

    /// When the first event came, beyond the way (milliseconds).
    pub fn first_delay(&self, offset: i64) -> Option<i64> {
        self.delays(offset).first().copied()
    }

    /// The encoding that somebody gave it, if any.
    pub fn encoding(&self) -> Option<String> {
        text(&self.headers, "content-encoding").filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    }

    /// Bytes that cannot be read still come live, late or in one heap.
    fn opaque_verdict(&self) -> Verdict {
        let mut heaps: Vec<i64> = Vec::new();
        for at in &self.raw {
            if heaps.last().is_none_or(|last| at - last > TOGETHER_MS) {
                heaps.push(*at);
            }
        }
        match heaps.as_slice() {
            [] => Verdict::Cut,
            _ if !self.complete => Verdict::Cut,
            [_] => Verdict::Burst,
            [first, .., last] if *first < LIVE_MS && last - first >= GAP_MS => Verdict::Live,
            _ => Verdict::Late,
        }
    }

    /// When the first event came, in milliseconds since the request.
    pub fn first_ms(&self) -> Option<i64> {
        self.raw.first().copied()
    }

    /// Ended by somebody else before its time: after how many milliseconds.
    pub fn cut_ms(&self) -> Option<i64> {
        let gateway = matches!(self.status, Some(408 | 499 | 502 | 503 | 504 | 524));
        let ended = self.broken.as_deref().is_some_and(|why| !matches!(why, UNENDED | "no answer"));
        let short = self.complete && self.is_stream() && !self.opaque && self.events.len() < 2;
        (gateway || ended || short).then_some(self.took_ms)
    }
}

fn is_steady(delays: &[i64]) -> bool {
    let (least, most) = (delays.iter().min(), delays.iter().max());
    matches!((least, most), (Some(least), Some(most)) if most - least < STEADY_MS)
}

#[cfg(any(fuzzing, test))]
impl StreamObservation {
    /// A stream with these events, which came at once.
    pub fn with_events(events: &[StreamEvent]) -> Self {
        let events = events.iter().map(|event| Event { arrived: 0, sent: event.sent_unix_ms });
        let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, EVENT_STREAM)]);
        Self { status: Some(200), headers, events: events.collect(), complete: true, ..Self::default() }
    }
}

#[cfg(test)]
impl StreamObservation {
    /// A stream whose events came so long after they were sent, for tests of what follows from it.
    pub fn with_delays(delays: [i64; 3]) -> Self {
        let events =
            (0..).zip(delays).map(|(index, delay)| Event { arrived: index * GAP_MS + delay, sent: index * GAP_MS });
        let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, EVENT_STREAM)]);
        Self { status: Some(200), headers, events: events.collect(), complete: true, ..Self::default() }
    }

    /// A stream that somebody else ended after its first event, so many milliseconds after it began.
    pub fn ended_early(took_ms: i64) -> Self {
        let mut seen = Self::with_delays([0; 3]);
        seen.events.truncate(1);
        Self { took_ms, ..seen }
    }

    /// A stream in Brotli, whose bytes came then.
    pub fn opaque(raw: &[i64]) -> Self {
        Self { opaque: true, raw: raw.to_vec(), ..Self::with_delays([0; 3]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_make_the_verdict() {
        for (delays, verdict) in [
            ([0, 1, 2], Verdict::Live),
            ([208, 210, 218], Verdict::Live),
            ([300, 301, 300], Verdict::Late),
            ([500, 510, 300], Verdict::Late),
            ([1500, 1502, 1510], Verdict::Delayed),
            ([900, 600, 300], Verdict::Burst),
            ([1100, 800, 500], Verdict::Burst),
        ] {
            assert_eq!(StreamObservation::with_delays(delays).verdict(0), verdict, "{delays:?}");
        }
        assert_eq!(StreamObservation::with_delays([5000, 5001, 5002]).verdict(5000), Verdict::Live, "clocks differ");
        for (raw, verdict) in [
            (&[3, 301, 602, 903][..], Verdict::Live),
            (&[903][..], Verdict::Burst),
            (&[901, 903][..], Verdict::Burst),
            (&[303, 602, 903][..], Verdict::Late),
        ] {
            assert_eq!(StreamObservation::opaque(raw).verdict(0), verdict, "{raw:?}");
        }
    }

    #[test]
    fn only_what_is_held_each_time_is_held() {
        let together =
            |one, other| StreamObservation::with_delays(one).with(StreamObservation::with_delays(other), 0).verdict(0);
        assert_eq!(together([0, 400, 10], [350, 5, 10]), Verdict::Live, "a busy machine");
        assert_eq!(together([0, 300, 10], [0, 310, 10]), Verdict::Late, "a buffer's end");
        assert_eq!(together([900, 600, 300], [910, 610, 310]), Verdict::Burst);
        assert_eq!(together([900, 600, 300], [0, 0, 0]), Verdict::Live, "what came live once can come live");
        assert_eq!(together([0, 0, 0], [900, 600, 300]), Verdict::Live);
    }
}
