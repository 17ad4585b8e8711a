//! Server-sent events (WHATWG HTML §9.2), for `fetch` and for a plain `EventSource`.

use super::long_poll::{ACCEL, NOT_STORED};
use super::mark::Mark;
use super::pump::{Marks, Next, Pump};
use super::stored_gzip::StoredGzip;
use super::stream_stats::{EndReason, StreamGuard};
use crate::base::tasks::Tasks;
use crate::login::{Drawing, Event, LogReader, Position};
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use std::convert::Infallible;

/// How soon an `EventSource` comes back, in milliseconds: at once when each response carries one event.
const RETRY: &str = "retry: 1000\n\n";
const RETRY_ONCE: &str = "retry: 50\n\n";

/// Bytes of comment behind each event and heartbeat of an padded stream: two tiers of nginx on defaults hold 4 to 8 KiB
/// each.
const PADDING: usize = 12 * 1024;

/// What kind of stream is asked for.
#[derive(Clone, Copy, Default)]
pub struct Shape {
    /// The response ends after one event or one heartbeat; an `EventSource` comes back by itself, through anything.
    pub once: bool,
    /// For a browser that saw the usual stream stall: encoded by ourselves, so that nobody compresses it on the way, and
    /// each event pushed through the buffers by padding. 12 KiB an event.
    pub padded: bool,
    pub drawing: Drawing,
}

/// Streams from `after` to the last event. `gzip`: whether the client reads it.
pub fn serve(
    reader: LogReader,
    after: Option<Position>,
    shape: Shape,
    gzip: bool,
    tasks: Tasks,
    guard: impl FnOnce() -> StreamGuard,
) -> Response {
    if let Ok(page) = reader.login().log.read(after)
        && page.sealed
        && page.events.is_empty()
    {
        // 204 is what makes an EventSource stop coming back.
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let encoder = Encoder::new(shape.padded, gzip);
    let encoded = encoder.encoded();
    let pump = Pump::new(reader, after, Marks::Flush, tasks, guard());
    let state = State { pump, shape, encoder, opened: false, ended: false };
    let chunks = stream::unfold(state, |mut state| async move {
        let chunk = state.chunk().await?;
        Some((Ok::<_, Infallible>(Frame::data(chunk)), state))
    });
    answer(Body::new(StreamBody::new(chunks)), encoded)
}

/// The head of an event stream, as much as a head can do to let it pass.
pub fn answer(body: Body, encoded: bool) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, NOT_STORED);
    headers.insert(ACCEL.0, ACCEL.1);
    if encoded {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

/// How a stream is written: for a padded one padding and an encoding of its own.
pub struct Encoder {
    padded: bool,
    gzip: Option<StoredGzip>,
}

impl Encoder {
    /// `gzip`: whether the client reads it.
    pub fn new(padded: bool, gzip: bool) -> Self {
        Self { padded, gzip: (padded && gzip).then(StoredGzip::new) }
    }

    pub fn encoded(&self) -> bool {
        self.gzip.is_some()
    }

    pub fn chunk(&mut self, mut text: BytesMut, last: bool) -> Bytes {
        if self.padded {
            text.put_slice(b":");
            text.put_bytes(b' ', PADDING);
            text.put_slice(b"\n\n");
        }
        let Some(gzip) = &mut self.gzip else { return text.freeze() };
        let mut encoded = BytesMut::with_capacity(text.len() + 64);
        gzip.write(&text, &mut encoded);
        if last {
            gzip.finish(&mut encoded);
        }
        encoded.freeze()
    }
}

struct State {
    pump: Pump,
    shape: Shape,
    encoder: Encoder,
    opened: bool,
    ended: bool,
}

impl State {
    async fn chunk(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut text = BytesMut::new();
        if !self.opened {
            self.opened = true;
            text.put_slice(if self.shape.once { RETRY_ONCE } else { RETRY }.as_bytes());
        }
        self.fill(&mut text).await;
        Some(self.encoder.chunk(text, self.ended))
    }

    async fn fill(&mut self, text: &mut BytesMut) {
        loop {
            match self.pump.next().await {
                Next::Page(page, mark) if page.events.is_empty() && !page.sealed => {
                    // The opening page. With `once`, wait for the one event.
                    if !self.shape.once {
                        return write_mark(mark, text);
                    }
                }
                Next::Page(page, mark) => {
                    write_mark(mark, text);
                    let count = if self.shape.once { 1 } else { page.events.len() };
                    page.events.iter().take(count).for_each(|event| write(event, self.shape.drawing, text));
                    return self.end_if(page.sealed || self.shape.once);
                }
                Next::Heartbeat(mark) => {
                    write_mark(mark, text);
                    return self.end_if(self.shape.once);
                }
                Next::Gone | Next::Stopping => {
                    self.ended = true;
                    return;
                }
            }
        }
    }

    fn end_if(&mut self, ends: bool) {
        if ends {
            self.ended = true;
            self.pump.will_end(EndReason::Finished);
        }
    }
}

/// A comment: it keeps the line alive, and shows by its time whether the line delivers.
pub fn write_mark(mark: Mark, text: &mut BytesMut) {
    text.put_slice(format!("{mark}\n\n").as_bytes());
}

fn write(event: &Event, drawing: Drawing, text: &mut BytesMut) {
    let data = event.data(drawing);
    text.reserve(data.len() + 64);
    text.put_slice(format!("id: {}\nevent: {}\ndata: ", event.position, event.kind.name()).as_bytes());
    text.put_slice(data.as_bytes());
    text.put_slice(b"\n\n");
}
