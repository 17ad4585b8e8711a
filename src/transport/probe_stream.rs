//! The event streams that `max-auth doctor` asks for: three numbered events with their time of sending, in each
//! dress that is known to get through some proxy. Which dresses arrive in time names the layer that holds them.

use super::page::{ACCEL, NOT_STORED};
use crate::base::clock::Clock;
use crate::base::id;
use crate::base::limits::ECHO;
use crate::base::rng::Rng;
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
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Between events: far above a network's jitter, and three of them still fit in a second.
pub const GAP: Duration = Duration::from_millis(300);

/// Events of an ordinary probe.
pub const EVENTS: u64 = 3;

/// Random bytes behind each event of the `best` dress, after compression: more than nginx's default buffers hold back.
const TAIL: usize = 12 * 1024;

/// What the stream wears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dress {
    /// Nothing but its content type.
    Naive,
    /// `X-Accel-Buffering: no`.
    Accel,
    /// `Cache-Control: no-transform`.
    NoTransform,
    /// Both and `no-store`: what a login's stream wears.
    All,
    /// All, and compressed by us with a flush after each event: nobody compresses it again.
    Gzip,
    /// Gzip, a tail that does not compress behind each event, and a comment soon after.
    Best,
}

impl Dress {
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "naive" => Self::Naive,
            "accel" => Self::Accel,
            "no-transform" => Self::NoTransform,
            "all" => Self::All,
            "gzip" => Self::Gzip,
            "best" => Self::Best,
            _ => return None,
        })
    }

    fn is_compressed(self) -> bool {
        matches!(self, Self::Gzip | Self::Best)
    }
}

/// When the stream says what.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    /// Three events, [`GAP`] apart, and an end [`GAP`] after the last.
    Events,
    /// One event, then nothing (or a comment each `beat`) for `hold`, then another.
    Hold { hold: Duration, beat: Option<Duration> },
}

/// The whole stream: what it wears, when it says what, and how large its events are (bytes beyond their own).
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub dress: Dress,
    pub plan: Plan,
    pub size: usize,
}

enum Piece {
    Event(u64),
    Comment,
    End,
}

/// The stream. `guard` is kept until its end.
pub fn serve<G: Send + 'static>(shape: Shape, nonce: String, clock: Clock, rng: Rng, guard: G) -> Response {
    let Shape { dress, plan, size } = shape;
    let state = State {
        dress,
        size,
        nonce,
        clock,
        rng,
        began: Instant::now(),
        pieces: schedule(dress, plan),
        encoder: dress.is_compressed().then(|| GzEncoder::new(Vec::new(), Compression::fast())),
        _guard: guard,
    };
    let chunks = stream::unfold(state, |mut state| async move {
        let chunk = state.chunk().await?;
        Some((Ok::<_, Infallible>(Frame::data(chunk)), state))
    });
    let mut response = Response::new(Body::new(StreamBody::new(chunks)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    match dress {
        Dress::Naive => {}
        Dress::Accel => {
            headers.insert(ACCEL.0, ACCEL.1);
        }
        Dress::NoTransform => {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-transform"));
        }
        Dress::All | Dress::Gzip | Dress::Best => {
            headers.insert(ACCEL.0, ACCEL.1);
            headers.insert(CACHE_CONTROL, NOT_STORED);
        }
    }
    if dress.is_compressed() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn schedule(dress: Dress, plan: Plan) -> VecDeque<(Duration, Piece)> {
    let mut pieces = VecDeque::new();
    match plan {
        Plan::Events => {
            let mut at = Duration::ZERO;
            for number in 1..=EVENTS {
                pieces.push_back((at, Piece::Event(number)));
                if dress == Dress::Best {
                    pieces.push_back((at + ECHO, Piece::Comment));
                }
                at += GAP;
            }
            pieces.push_back((at, Piece::End));
        }
        Plan::Hold { hold, beat } => {
            pieces.push_back((Duration::ZERO, Piece::Event(1)));
            let mut at = Duration::ZERO;
            while let Some(beat) = beat.filter(|beat| at + *beat < hold) {
                at += beat;
                pieces.push_back((at, Piece::Comment));
            }
            pieces.push_back((hold, Piece::Event(2)));
            pieces.push_back((hold, Piece::End));
        }
    }
    pieces
}

struct State<G> {
    dress: Dress,
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

    fn event(&self, number: u64) -> String {
        let mut data = json!({ "nonce": self.nonce, "number": number, "sentUnixMs": self.clock.unix_ms() });
        if self.size > 0 {
            // Inside the event, so that it is only there when all of it is; it compresses little.
            let mut drawing = String::with_capacity(self.size + 1024);
            while drawing.len() < self.size {
                drawing.push_str(&id::encode(&self.rng.bytes::<512>()));
            }
            drawing.truncate(self.size);
            data["drawing"] = drawing.into();
        }
        let mut text = format!("id: {number}\nevent: probe\ndata: {data}\n\n");
        if self.dress == Dress::Best {
            let tail: [u8; TAIL] = self.rng.bytes();
            text.push_str(": ");
            text.push_str(&id::encode(&tail));
            text.push_str("\n\n");
        }
        text
    }

    fn end(&mut self) -> Option<Bytes> {
        self.encoder.take()?.finish().ok().map(Bytes::from)
    }
}
