//! Server-sent events (WHATWG HTML §9.2), for `fetch` and for a plain `EventSource`.

use super::ends::{How, Recorder};
use super::page::{ACCEL, NOT_STORED};
use super::pump::{Next, Pump};
use crate::base::tasks::Tasks;
use crate::login::{Event, Position, Reader};
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use std::convert::Infallible;

/// A comment: proves at once that the line delivers, and keeps it alive.
const COMMENT: &[u8] = b":\n\n";

/// How soon an `EventSource` comes back, in milliseconds: at once when each response carries one event.
const RETRY: &str = "retry: 1000\n\n";
const RETRY_ONCE: &str = "retry: 50\n\n";

/// Streams from `after` to the last event. With `once`, the response ends after one event or one heartbeat.
pub fn serve(reader: Reader, after: Option<Position>, once: bool, tasks: Tasks, recorder: Recorder) -> Response {
    let log = &reader.login().log;
    if let Ok(page) = log.read(after)
        && page.sealed
        && page.events.is_empty()
    {
        // 204 is what makes an EventSource stop coming back.
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let state = State { pump: Pump::new(reader, after, true, tasks, recorder), once, opened: false, ended: false };
    let chunks = stream::unfold(state, |mut state| async move {
        let chunk = state.chunk().await?;
        Some((Ok::<_, Infallible>(Frame::data(chunk)), state))
    });
    let mut response = Response::new(Body::new(StreamBody::new(chunks)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, NOT_STORED);
    headers.insert(ACCEL.0, ACCEL.1);
    response
}

struct State {
    pump: Pump,
    once: bool,
    opened: bool,
    ended: bool,
}

impl State {
    async fn chunk(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut chunk = BytesMut::new();
        if !self.opened {
            self.opened = true;
            chunk.put_slice(if self.once { RETRY_ONCE } else { RETRY }.as_bytes());
        }
        loop {
            match self.pump.next().await {
                // With `once` the opening page may be empty: wait for the one event.
                Next::Page(page) if page.events.is_empty() && !page.sealed => {
                    if !self.once {
                        chunk.put_slice(COMMENT);
                        break;
                    }
                }
                Next::Page(page) => {
                    self.ended = page.sealed || self.once;
                    if self.once {
                        self.pump.will_end(How::Finished);
                    }
                    let count = if self.once { 1 } else { page.events.len() };
                    page.events.iter().take(count).for_each(|event| write(event, &mut chunk));
                    break;
                }
                Next::Beat => {
                    if self.once {
                        self.ended = true;
                        self.pump.will_end(How::Finished);
                    }
                    chunk.put_slice(COMMENT);
                    break;
                }
                Next::Gone | Next::Stopping => {
                    self.ended = true;
                    break;
                }
            }
        }
        Some(chunk.freeze())
    }
}

fn write(event: &Event, chunk: &mut BytesMut) {
    let data = event.data();
    chunk.reserve(data.len() + 64);
    chunk.put_slice(format!("id: {}\nevent: {}\ndata: ", event.position, event.kind.name()).as_bytes());
    chunk.put_slice(&data);
    chunk.put_slice(b"\n\n");
}
