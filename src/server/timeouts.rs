//! Bodies that do not arrive and answers that nobody takes.

use crate::base::limits::{BROWSER_WRITE, REQUEST_BODY_TIME};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// The body of a request did not arrive in time.
#[derive(Debug, thiserror::Error)]
#[error("the body took too long")]
pub struct BodyTooSlow;

/// What cannot be read of a request's body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body that must be there as a whole in time, whoever reads it.
pub struct TimelyBody<B> {
    body: B,
    due: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> TimelyBody<B> {
    /// The time begins now, with the request's head.
    pub fn new(body: B) -> Self {
        Self { body, due: Instant::now() + REQUEST_BODY_TIME, timer: None }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin> Body for TimelyBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let due = self.due;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(Box::new(BodyTooSlow))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose other end must take what is written, or at least some of it, in time.
pub struct WriteTimeout<S> {
    stream: S,
    /// Runs while a write waits.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimeout<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, timer: None }
    }

    fn timed<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.timer = None;
            return written;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(BROWSER_WRITE)));
        ready!(timer.as_mut().poll(cx));
        metrics::counter!("max_auth_connections_ended_total", "why" => "not-read").increment(1);
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.timed(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.timed(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.timed(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A byte every three seconds, for ever.
    fn dripping() -> impl Body<Data = Bytes, Error = BodyError> + Unpin {
        let drops = futures_util::stream::unfold((), |()| async {
            sleep(Duration::from_secs(3)).await;
            Some((Ok::<_, BodyError>(Frame::data(Bytes::from_static(b"x"))), ()))
        });
        http_body_util::StreamBody::new(Box::pin(drops))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_must_be_there_in_time_as_a_whole() {
        let began = Instant::now();
        let error = TimelyBody::new(dripping()).collect().await.err().unwrap();
        assert!(error.is::<BodyTooSlow>());
        assert_eq!(began.elapsed(), REQUEST_BODY_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(10);
        let mut ours = WriteTimeout::new(ours);
        let slow = async {
            for _ in 0..10 {
                sleep(BROWSER_WRITE / 2).await;
                theirs.read_exact(&mut [0; 10]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(ours.write_all(&[0; 100]), slow);
        written.unwrap();
        let began = Instant::now();
        let error = ours.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (ErrorKind::TimedOut, BROWSER_WRITE));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_buffered_goes_out_with_a_flush_which_has_the_same_time() {
        let (ours, mut theirs) = tokio::io::duplex(10);
        let mut ours = WriteTimeout::new(tokio::io::BufWriter::new(ours));
        ours.write_all(b"12345678").await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(1), theirs.read_u8()).await.is_err(), "not yet");
        ours.flush().await.unwrap();
        let mut read = [0; 8];
        theirs.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"12345678");
        ours.write_all(&[0; 20]).await.unwrap();
        let began = Instant::now();
        let error = ours.flush().await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (ErrorKind::TimedOut, BROWSER_WRITE));
    }

    #[tokio::test(start_paused = true)]
    async fn everything_else_is_as_without_it() {
        let (ours, mut theirs) = tokio::io::duplex(10);
        assert!(!WriteTimeout::new(tokio::io::empty()).is_write_vectored() || tokio::io::empty().is_write_vectored());
        let mut ours = WriteTimeout::new(ours);
        assert_eq!(ours.is_write_vectored(), theirs.is_write_vectored());
        let pieces = [IoSlice::new(b"ab"), IoSlice::new(b"cd")];
        let written = ours.write_vectored(&pieces).await.unwrap();
        theirs.write_all(b"xy").await.unwrap();
        let mut read = [0; 2];
        ours.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"xy");
        ours.shutdown().await.unwrap();
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"abcd"[..written]);
    }
}
