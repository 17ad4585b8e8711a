//! A pipe as long as a line: what goes in comes out later, until it is cut.

use crate::base::tasks::Tasks;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio_util::sync::CancellationToken;

/// Messages of a sign-in are smaller.
const ROOM: usize = 64 * 1024;

/// Its two ends; each direction takes `delay`.
pub fn pipe(tasks: &Tasks, delay: Duration, cut: CancellationToken) -> (DuplexStream, DuplexStream) {
    let ((ours, near), (theirs, far)) = (duplex(ROOM), duplex(ROOM));
    tasks.spawn("pipe", async move {
        let ((near_out, near_in), (far_out, far_in)) = (split(near), split(far));
        tokio::select! {
            () = cut.cancelled() => {}
            _ = async { tokio::join!(carry(near_out, far_in, delay), carry(far_out, near_in, delay)) } => {}
        }
    });
    (ours, theirs)
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: Duration) {
    let mut bytes = vec![0; ROOM];
    while let Ok(length) = from.read(&mut bytes).await {
        tokio::time::sleep(delay).await;
        if length == 0 || to.write_all(&bytes[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
