//! The browser's end of a WebSocket: bytes with a budget, and what must be kept while it is open.

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// What a connection's server counts: put into the extensions of its requests, dropped when the socket is closed.
#[derive(Clone)]
pub struct Held(#[expect(dead_code, reason = "kept for its drop")] pub Arc<dyn Any + Send + Sync>);

/// A stream that may bring so many bytes a minute. Messages are counted where they are read, but pieces of one that never
/// ends are not, and reading those for ever costs a core.
pub struct Metered<S> {
    stream: S,
    per_minute: usize,
    read: usize,
    minute: Instant,
    _held: Option<Held>,
}

impl<S> Metered<S> {
    pub fn new(stream: S, per_minute: usize, held: Option<Held>) -> Self {
        Self { stream, per_minute, read: 0, minute: Instant::now(), _held: held }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let fresh = buf.filled().len() - before;
        self.read += fresh;
        if self.read > self.per_minute {
            if self.minute.elapsed() < MINUTE {
                return Poll::Ready(Err(io::Error::other("more bytes than a browser sends")));
            }
            (self.read, self.minute) = (fresh, Instant::now());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test(start_paused = true)]
    async fn a_minute_has_its_bytes_and_the_next_minute_has_them_again() {
        let (mut theirs, ours) = tokio::io::duplex(1000);
        let mut ours = Metered::new(ours, 100, None);
        let mut buffer = [0; 60];
        for _ in 0..3 {
            theirs.write_all(&buffer).await.unwrap();
            ours.read_exact(&mut buffer).await.unwrap();
            tokio::time::advance(MINUTE).await;
        }
        theirs.write_all(&[0; 180]).await.unwrap();
        let outcomes = [ours.read_exact(&mut buffer).await.is_ok(), ours.read_exact(&mut buffer).await.is_ok()];
        assert_eq!(outcomes, [true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_has_its_bytes_to_the_last_one() {
        for (bytes, fine) in [(100, true), (101, false)] {
            let (mut theirs, ours) = tokio::io::duplex(1000);
            let mut ours = Metered::new(ours, 100, None);
            theirs.write_all(&vec![0; bytes]).await.unwrap();
            tokio::time::advance(MINUTE - std::time::Duration::from_millis(1)).await;
            assert_eq!(ours.read_exact(&mut vec![0; bytes]).await.is_ok(), fine, "{bytes}");
        }
    }
}
