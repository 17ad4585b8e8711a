//! A stream on trial: marks and nothing else, and it ends by itself. By them a browser sees whether a stream would come in
//! time, and nothing that holds or delays it can keep anybody waiting for longer: not a proxy with a single worker, which
//! would not even notice that the browser has given up.

use super::mark::Mark;
use super::sse::{Encoder, answer, write_mark};
use crate::base::clock::Clock;
use crate::base::limits::TRIAL;
use axum::body::Body;
use axum::response::Response;
use bytes::BytesMut;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::sleep;

/// Marks of a trial, and of one of an padded stream, whose marks weigh 12 KiB each. The last one ends it.
const MARKS: u32 = 5;
const PADDED_MARKS: u32 = 3;

/// Marks over `length`. `padded` and `gzip` as for a stream.
pub fn serve(clock: Clock, length: Duration, padded: bool, gzip: bool) -> Response {
    let marks = if padded { PADDED_MARKS } else { MARKS };
    let gap = length.min(TRIAL) / (marks - 1);
    let encoder = Encoder::new(padded, gzip);
    let encoded = encoder.encoded();
    let chunks = stream::unfold((0, encoder), move |(sent, mut encoder)| {
        let clock = clock.clone();
        async move {
            if sent == marks {
                return None;
            }
            if sent > 0 {
                sleep(gap).await;
            }
            let mut text = BytesMut::new();
            write_mark(Mark::now(&clock, gap), &mut text);
            let chunk = encoder.chunk(text, sent + 1 == marks);
            Some((Ok::<_, Infallible>(Frame::data(chunk)), (sent + 1, encoder)))
        }
    });
    answer(Body::new(StreamBody::new(chunks)), encoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use tokio::time::Instant;

    /// The time and the text of each chunk.
    async fn chunks(length: u64, padded: bool) -> Vec<(u64, String)> {
        let began = Instant::now();
        let response = serve(Clock::fixed(5000), Duration::from_millis(length), padded, false);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = response.into_body();
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            seen.push((began.elapsed().as_millis() as u64, String::from_utf8(data.to_vec()).unwrap()));
        }
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_by_itself_and_its_marks_are_apart() {
        let seen = chunks(400, false).await;
        let times: Vec<u64> = seen.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [0, 100, 200, 300, 400]);
        assert_eq!(seen[0].1, ": 5000 100\n\n");
        let (last, _) = chunks(3_600_000, true).await.pop().unwrap();
        assert_eq!(last, TRIAL.as_millis() as u64, "whoever asks for longer");
    }

    #[tokio::test(start_paused = true)]
    async fn an_padded_one_pushes_each_mark_through_buffers() {
        let seen = chunks(400, true).await;
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|(_, text)| text.starts_with(": ") && text.len() > 12 * 1024));
    }
}
