//! A connection of HTTP/1 as its server sees it: what was read ahead comes first, and it is known whether all that was written
//! has gone out. So it can be taken from one that serves it and given to another.

use super::timeouts::WriteTimeout;
use bytes::{Bytes, BytesMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Read of what the other end sends while its answer waits (bytes): then nothing more until it has the answer.
const READ_AHEAD: usize = 1024;

pub struct Line<S> {
    stream: WriteTimeout<S>,
    /// Read already, to be read first.
    unread: Bytes,
    flushed: Flushed,
}

/// Whether everything that was written has gone out.
#[derive(Clone)]
pub struct Flushed(Arc<AtomicBool>);

impl Flushed {
    pub fn is_true(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S> Line<S> {
    pub fn new(stream: S) -> Self {
        let flushed = Flushed(Arc::new(AtomicBool::new(true)));
        Self { stream: WriteTimeout::new(stream), unread: Bytes::new(), flushed }
    }

    pub fn flushed(&self) -> Flushed {
        self.flushed.clone()
    }

    /// Puts bytes before what is not read yet. They are copied: a slice keeps the buffer that it was read into.
    pub fn put_back(&mut self, first: &[u8]) {
        let mut unread = BytesMut::with_capacity(first.len() + self.unread.len());
        unread.extend_from_slice(first);
        unread.extend_from_slice(&self.unread);
        self.unread = unread.freeze();
    }
}

impl<S: AsyncRead + Unpin> Line<S> {
    /// Completes when the other end has gone. What it sends meanwhile is kept for who reads next.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.unread.is_empty() {
            return Poll::Pending;
        }
        let mut buffer = [0; READ_AHEAD];
        let mut read = ReadBuf::new(&mut buffer);
        match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read)) {
            Ok(()) if !read.filled().is_empty() => {
                self.unread = Bytes::copy_from_slice(read.filled());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let length = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.flushed.0.store(false, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.flushed.0.store(false, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Whoever writes flushes when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.flushed.0.store(true, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
