//! The only place that spawns. A task that panics is logged and counted, never lost; stopping is two tokens: *soft*
//! asks (finish, end MAX sessions), *hard* ends what is left when the deadline has passed.

use futures_util::FutureExt as _;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A thread for what blocks. It ends by itself, when whatever feeds it is gone.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
pub fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    tracker: TaskTracker,
    soft: CancellationToken,
    hard: CancellationToken,
    crashed: AtomicUsize,
}

impl Tasks {
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            tracker: TaskTracker::new(),
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
            crashed: AtomicUsize::new(0),
        }))
    }

    /// Runs `future` until it ends or the hard stop comes.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let inner = Arc::clone(&self.0);
        // Boxed: the wrapper below would hold the future twice, once as its argument and once being polled.
        let future = Box::pin(future);
        tokio::spawn(self.0.tracker.track_future(async move {
            tokio::select! {
                biased;
                () = inner.hard.cancelled() => {}
                outcome = AssertUnwindSafe(future).catch_unwind() => if outcome.is_err() {
                    inner.crashed.fetch_add(1, Ordering::Relaxed);
                    metrics::counter!("max_auth_tasks_crashed_total", "task" => name).increment(1);
                    tracing::error!(task = name, "a task crashed; this is a defect of max-auth");
                }
            }
        }));
    }

    /// Completes when the server has been asked to stop.
    pub async fn stopping(&self) {
        self.0.soft.cancelled().await;
    }

    pub fn is_stopping(&self) -> bool {
        self.0.soft.is_cancelled()
    }

    /// Waits for the tasks; when `deadline` completes first, drops what is left. True when all ended by themselves.
    pub async fn stopped(&self, deadline: impl Future<Output = ()>) -> bool {
        self.0.soft.cancel();
        self.0.tracker.close();
        tokio::select! {
            () = self.0.tracker.wait() => true,
            () = deadline => {
                self.0.hard.cancel();
                self.0.tracker.wait().await;
                false
            }
        }
    }

    pub fn crashed(&self) -> usize {
        self.0.crashed.load(Ordering::Relaxed)
    }
}
