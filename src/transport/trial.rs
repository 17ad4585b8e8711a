//! A stream on trial: marks and nothing else, and it ends by itself. By them a browser sees whether a stream would come in
//! time, and nothing that holds or delays it can keep anybody waiting for longer: not a proxy with a single worker, which
//! would not even notice that the browser has given up.

use super::mark::Mark;
use super::sse::{Dress, answer, write_mark};
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

/// Marks of a trial, and of one of an insistent stream, whose marks weigh 12 KiB each. The last one ends it.
const MARKS: u32 = 5;
const INSISTENT_MARKS: u32 = 3;

/// Marks over `length`. `insist` and `gzip` as for a stream.
pub fn serve(clock: Clock, length: Duration, insist: bool, gzip: bool) -> Response {
    let marks = if insist { INSISTENT_MARKS } else { MARKS };
    let gap = length.min(TRIAL) / (marks - 1);
    let dress = Dress::new(insist, gzip);
    let encoded = dress.encoded();
    let chunks = stream::unfold((0, dress), move |(sent, mut dress)| {
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
            let chunk = dress.chunk(text, sent + 1 == marks);
            Some((Ok::<_, Infallible>(Frame::data(chunk)), (sent + 1, dress)))
        }
    });
    answer(Body::new(StreamBody::new(chunks)), encoded)
}
