//! The event streams that `max-auth doctor` asks for: three numbered events with their time of sending, in each
//! form that is known to get through some proxy.

use super::long_poll::{ACCEL, NOT_STORED};
use crate::base::clock::Clock;
use crate::base::id;
use crate::base::limits::FLUSH_COMMENT_DELAY;
use crate::base::rng::Rng;
use crate::probe::{EVENTS, GAP, ProbeVariant, StreamEvent};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Frame;
use http_body_util::StreamBody;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Random bytes behind each event of a padded stream, after compression: more than nginx's default buffers hold back.
const PADDING: usize = 12 * 1024;

/// When the stream says what.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    /// [`EVENTS`] events, [`GAP`] apart, and an end [`GAP`] after the last.
    Events,
    /// One event, then nothing (or a comment each `heartbeat`) for `hold`, then another.
    Hold { hold: Duration, heartbeat: Option<Duration> },
}

/// The whole stream: its form, when it says what, and how large its events are (bytes beyond their own).
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub variant: ProbeVariant,
    pub plan: Plan,
    pub size: usize,
}

enum Piece {
    Event(usize),
    Comment,
    End,
}

/// The stream. `guard` is kept until its end.
pub fn serve<G: Send + 'static>(shape: Shape, nonce: String, clock: Clock, rng: Rng, guard: G) -> Response {
    let Shape { variant, plan, size } = shape;
    let state = State {
        variant,
        size,
        nonce,
        clock,
        rng,
        began: Instant::now(),
        pieces: schedule(variant, plan),
        encoder: variant.is_compressed().then(|| GzEncoder::new(Vec::new(), Compression::fast())),
        _guard: guard,
    };
    let chunks = stream::unfold(state, |mut state| async move {
        let chunk = state.chunk().await?;
        Some((Ok::<_, Infallible>(Frame::data(chunk)), state))
    });
    let mut response = Response::new(Body::new(StreamBody::new(chunks)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    match variant {
        ProbeVariant::NoHeaders => {}
        ProbeVariant::Accel => {
            headers.insert(ACCEL.0, ACCEL.1);
        }
        ProbeVariant::NoTransform => {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-transform"));
        }
        ProbeVariant::All | ProbeVariant::Gzip | ProbeVariant::PaddedGzip => {
            headers.insert(ACCEL.0, ACCEL.1);
            headers.insert(CACHE_CONTROL, NOT_STORED);
        }
    }
    if variant.is_compressed() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn schedule(variant: ProbeVariant, plan: Plan) -> VecDeque<(Duration, Piece)> {
    let mut pieces = VecDeque::new();
    match plan {
        Plan::Events => {
            let mut at = Duration::ZERO;
            for number in 1..=EVENTS {
                pieces.push_back((at, Piece::Event(number)));
                if variant == ProbeVariant::PaddedGzip {
                    pieces.push_back((at + FLUSH_COMMENT_DELAY, Piece::Comment));
                }
                at += GAP;
            }
            pieces.push_back((at, Piece::End));
        }
        Plan::Hold { hold, heartbeat } => {
            pieces.push_back((Duration::ZERO, Piece::Event(1)));
            let mut at = Duration::ZERO;
            while let Some(heartbeat) = heartbeat.filter(|heartbeat| at + *heartbeat < hold) {
                at += heartbeat;
                pieces.push_back((at, Piece::Comment));
            }
            pieces.push_back((hold, Piece::Event(2)));
            pieces.push_back((hold, Piece::End));
        }
    }
    pieces
}

struct State<G> {
    variant: ProbeVariant,
    size: usize,
    nonce: String,
    clock: Clock,
    rng: Rng,
    began: Instant,
    pieces: VecDeque<(Duration, Piece)>,
    encoder: Option<GzEncoder<Vec<u8>>>,
    _guard: G,
}

impl<G> State<G> {
    async fn chunk(&mut self) -> Option<Bytes> {
        let (at, piece) = self.pieces.pop_front()?;
        sleep_until(self.began + at).await;
        let text = match piece {
            Piece::Event(number) => self.event(number),
            Piece::Comment => ":\n\n".to_owned(),
            Piece::End => return self.end(),
        };
        let Some(encoder) = &mut self.encoder else { return Some(Bytes::from(text)) };
        // Into memory: neither can fail.
        let _ = encoder.write_all(text.as_bytes());
        let _ = encoder.flush();
        Some(Bytes::from(std::mem::take(encoder.get_mut())))
    }

    fn event(&self, number: usize) -> String {
        let sent_unix_ms = self.clock.unix_ms();
        let event = StreamEvent { nonce: self.nonce.clone(), number, sent_unix_ms, drawing: self.drawing() };
        let data = serde_json::to_string(&event).unwrap_or_default();
        let mut text = format!("id: {number}\nevent: probe\ndata: {data}\n\n");
        if self.variant == ProbeVariant::PaddedGzip {
            let padding: [u8; PADDING] = self.rng.bytes();
            text.push_str(": ");
            text.push_str(&id::encode(&padding));
            text.push_str("\n\n");
        }
        text
    }

    /// It compresses little.
    fn drawing(&self) -> String {
        let mut drawing = String::with_capacity(self.size);
        while drawing.len() < self.size {
            drawing.push_str(&id::encode(&self.rng.bytes::<512>()));
        }
        drawing.truncate(self.size);
        drawing
    }

    fn end(&mut self) -> Option<Bytes> {
        self.encoder.take()?.finish().ok().map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use http_body_util::BodyExt as _;
    use std::io::Read as _;

    /// The head, and for each chunk when it came and what it holds (of a compressed one how many bytes).
    async fn sent(variant: ProbeVariant, plan: Plan, size: usize) -> (Response, Vec<(u64, Vec<u8>)>) {
        let shape = Shape { variant, plan, size };
        let response = serve(shape, "n".to_owned(), Clock::fixed(5000), Rng::seeded(1), ());
        let (parts, mut body) = response.into_parts();
        let (began, mut chunks) = (Instant::now(), Vec::new());
        while let Some(frame) = body.frame().await {
            chunks.push((began.elapsed().as_millis() as u64, frame.unwrap().into_data().unwrap().to_vec()));
        }
        (Response::from_parts(parts, Body::empty()), chunks)
    }

    fn events(text: &[u8]) -> Vec<StreamEvent> {
        let text = std::str::from_utf8(text).unwrap();
        text.lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn three_events_apart_and_then_an_end() {
        let (head, chunks) = sent(ProbeVariant::All, Plan::Events, 0).await;
        assert_eq!(chunks.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 300, 600]);
        for (number, (at, text)) in (1..).zip(&chunks) {
            let sent_unix_ms = 5000 + *at as i64;
            let event = StreamEvent { nonce: "n".to_owned(), number, sent_unix_ms, drawing: String::new() };
            assert_eq!(events(text), [event]);
        }
        assert_eq!(head.headers()["content-type"], "text/event-stream");
        assert_eq!(head.headers()["x-accel-buffering"], "no");
        assert_eq!(head.headers()["cache-control"], "no-store, no-transform");
    }

    #[tokio::test(start_paused = true)]
    async fn each_form_has_its_headers() {
        for (variant, accel, cache, encoding) in [
            (ProbeVariant::NoHeaders, None, None, None),
            (ProbeVariant::Accel, Some("no"), None, None),
            (ProbeVariant::NoTransform, None, Some("no-transform"), None),
            (ProbeVariant::Gzip, Some("no"), Some("no-store, no-transform"), Some("gzip")),
            (ProbeVariant::PaddedGzip, Some("no"), Some("no-store, no-transform"), Some("gzip")),
        ] {
            let (head, _) = sent(variant, Plan::Events, 0).await;
            let header = |name: &str| head.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(header("x-accel-buffering"), accel, "{variant:?}");
            assert_eq!(header("cache-control"), cache, "{variant:?}");
            assert_eq!(header("content-encoding"), encoding, "{variant:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_padded_one_pushes_each_event_through_and_is_whole() {
        let (_, chunks) = sent(ProbeVariant::PaddedGzip, Plan::Events, 0).await;
        let times: Vec<u64> = chunks.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [0, 150, 300, 450, 600, 750, 900], "an event, a comment, and the end");
        assert!(
            chunks.iter().step_by(2).take(3).all(|(_, bytes)| bytes.len() > PADDING),
            "what compresses is no padding"
        );
        let all: Vec<u8> = chunks.into_iter().flat_map(|(_, bytes)| bytes).collect();
        let mut text = Vec::new();
        GzDecoder::new(&all[..]).read_to_end(&mut text).unwrap();
        assert_eq!(events(&text).len(), EVENTS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_one_says_nothing_but_its_heartbeats() {
        let hold = Duration::from_millis(1000);
        let (_, silent) = sent(ProbeVariant::All, Plan::Hold { hold, heartbeat: None }, 0).await;
        assert_eq!(silent.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1000]);
        assert_eq!(events(&silent[1].1)[0].number, 2);
        let heartbeat = Some(Duration::from_millis(400));
        let (_, alive) = sent(ProbeVariant::All, Plan::Hold { hold, heartbeat }, 0).await;
        assert_eq!(alive.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 400, 800, 1000]);
        assert_eq!(alive[1].1, b":\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_is_as_large_as_asked_for() {
        for size in [1, 511, 3000] {
            let (_, chunks) = sent(ProbeVariant::NoHeaders, Plan::Events, size).await;
            assert!(chunks.iter().all(|(_, text)| events(text)[0].drawing.len() == size), "{size}");
        }
    }
}
