//! Answers that wait on a connection of HTTP/1, without the server of that connection: hyper keeps 24 KiB of buffers and
//! the heads of both sides for as long as an answer is not over.

use super::connection_uses::STOP_ANSWERS;
use super::line::Line;
use super::waiting::Later;
use crate::base::tasks::Tasks;
use crate::base::websocket::has_token;
use axum::body::Body;
use axum::response::Response;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::header::CONNECTION;
use http::{Request, Version};
use http_body::Body as _;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// How a connection goes on after the answer to a request (RFC 9112 §9.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Persistence {
    http_1_1: bool,
    pub keep_alive: bool,
}

impl Persistence {
    pub fn of<B>(request: &Request<B>) -> Self {
        let says = |token| has_token(request.headers(), CONNECTION.as_str(), token);
        let http_1_1 = request.version() == Version::HTTP_11;
        Self { http_1_1, keep_alive: !says("close") && (http_1_1 || says("keep-alive")) }
    }

    /// A request that says the same. Its answer is known.
    fn request(self) -> &'static [u8] {
        match (self.http_1_1, self.keep_alive) {
            (true, true) => b"GET / HTTP/1.1\r\n\r\n",
            (true, false) => b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
            (false, true) => b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
            (false, false) => b"GET / HTTP/1.0\r\n\r\n",
        }
    }
}

/// What is left of a request while its answer waits.
pub enum Parked {
    /// The whole answer is to come.
    Answer(Later, Persistence),
    /// The head has gone out, and a part of a body whose length nobody knows.
    Body(Body, Persistence),
}

/// How a connection goes on: to be served with the answer to what it reads first, if there is one.
pub type Again<S> = Box<(Line<S>, Option<Response>)>;

/// Waits for an answer. `None` when the connection is over.
#[expect(clippy::manual_async_fn, reason = "a function keeps what it is given twice, a block once")]
pub fn answer<S>(
    mut line: Line<S>,
    mut later: Later,
    mut how: Persistence,
    tasks: &Tasks,
) -> impl Future<Output = Option<Again<S>>> + Send
where
    S: AsyncRead + Unpin + Send,
{
    async move {
        let mut there = poll_fn(|cx| match line.poll_gone(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => later.as_mut().poll(cx).map(Some),
        });
        let response = until_stopped(&mut there, tasks).await.flatten()?;
        how.keep_alive &= !tasks.is_stopping();
        // Whoever serves the connection next writes the answer as any other, and knows what may follow it.
        line.put_back(how.request());
        Some(Box::new((line, Some(response))))
    }
}

/// Writes the rest of a body. `None` when the connection is over.
pub fn body<S>(
    line: Line<S>,
    body: Body,
    how: Persistence,
    tasks: &Tasks,
) -> impl Future<Output = Option<Again<S>>> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut writer = BodyWriter { line, body, chunked: how.http_1_1, unwritten: Bytes::new(), ended: false };
    async move {
        until_stopped(&mut writer, tasks).await??;
        if how.http_1_1 && how.keep_alive && !tasks.is_stopping() {
            return Some(Box::new((writer.line, None)));
        }
        // Whoever has not taken what was written by now is closed all the same.
        let _ = writer.line.shutdown().await;
        None
    }
}

/// A stop lets what waits end by itself, for a moment.
async fn until_stopped<F: Future + Unpin>(waiting: &mut F, tasks: &Tasks) -> Option<F::Output> {
    tokio::select! {
        biased;
        over = &mut *waiting => return Some(over),
        () = tasks.stopping() => {}
    }
    timeout(STOP_ANSWERS, waiting).await.ok()
}

/// Writes the frames of a body as chunks (RFC 9112 §7.1), or as they are where the end of the connection is their end.
/// Completes with `None` when that cannot go on.
struct BodyWriter<S> {
    line: Line<S>,
    body: Body,
    chunked: bool,
    unwritten: Bytes,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for BodyWriter<S> {
    type Output = Option<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let this = &mut *self;
        if this.line.poll_gone(cx).is_ready() {
            return Poll::Ready(None);
        }
        loop {
            while !this.unwritten.is_empty() {
                match ready!(Pin::new(&mut this.line).poll_write(cx, &this.unwritten)) {
                    Ok(written @ 1..) => this.unwritten.advance(written),
                    Ok(0) | Err(_) => return Poll::Ready(None),
                }
            }
            if ready!(Pin::new(&mut this.line).poll_flush(cx)).is_err() {
                return Poll::Ready(None);
            }
            // What was written may be the last of something large.
            this.unwritten = Bytes::new();
            if this.ended {
                return Poll::Ready(Some(()));
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    // An empty chunk would be the end.
                    if !data.is_empty() {
                        this.unwritten = if this.chunked { chunk(&data) } else { data };
                    }
                }
                Some(Err(_)) => return Poll::Ready(None),
                None => {
                    this.ended = true;
                    this.unwritten = Bytes::from_static(if this.chunked { b"0\r\n\r\n" } else { b"" });
                }
            }
        }
    }
}

fn chunk(data: &[u8]) -> Bytes {
    let size = format!("{:x}\r\n", data.len());
    let mut chunk = BytesMut::with_capacity(size.len() + data.len() + 2);
    chunk.put_slice(size.as_bytes());
    chunk.put_slice(data);
    chunk.put_slice(b"\r\n");
    chunk.freeze()
}
