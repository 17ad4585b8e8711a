//! Log lines on their way to standard error. A thread of its own writes them, so that whoever does not read our output
//! stops nothing but the log: what finds no room is dropped and counted, and that is told once lines flow again.

use crate::base::limits::{LOG_BYTES, LOG_LINES};
use crate::base::tasks;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing_subscriber::fmt::MakeWriter;

/// At the end, for what is still on its way.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The queue's near end.
#[derive(Clone)]
pub struct Lines {
    queue: mpsc::Sender<Vec<u8>>,
    state: Arc<State>,
}

struct State {
    what: Output,
    /// Bytes that wait or are being written.
    waiting: Mutex<usize>,
    emptied: Condvar,
    dropped: AtomicU64,
}

/// Waits, when dropped, until the last lines are out; for a while.
pub struct LastLines(Arc<State>);

/// What lines are written to, for people who must hear that some were lost.
#[derive(Clone, Copy)]
pub struct Output {
    /// The thread's name.
    pub thread: &'static str,
    /// The metric that counts what is lost.
    pub dropped: &'static str,
    pub told: &'static str,
}

const LOG: Output = Output {
    thread: "log",
    dropped: "max_auth_log_lines_dropped_total",
    told: "log lines were dropped, because nobody read standard error",
};

/// Begins to write the log to `output`.
pub fn begin(output: impl Write + Send + 'static) -> io::Result<(Lines, LastLines)> {
    begin_with(output, LOG)
}

/// The same for other lines.
pub fn begin_with(output: impl Write + Send + 'static, what: Output) -> io::Result<(Lines, LastLines)> {
    let (queue, lines) = mpsc::channel(LOG_LINES);
    let state = Arc::new(State::of(what));
    let writer = Arc::clone(&state);
    tasks::thread(what.thread, move || write(output, lines, &writer))?;
    Ok((Lines { queue, state: Arc::clone(&state) }, LastLines(state)))
}

fn write(mut output: impl Write, mut lines: mpsc::Receiver<Vec<u8>>, state: &State) {
    while let Some(line) = next(&mut lines, state) {
        let written = output.write_all(&line).and_then(|()| output.flush());
        if written.is_err() {
            state.drop_one();
        }
        state.done(line.len());
    }
}

/// The next line. With none waiting, what was lost is told first: that line comes back to this queue.
fn next(lines: &mut mpsc::Receiver<Vec<u8>>, state: &State) -> Option<Vec<u8>> {
    if let Ok(line) = lines.try_recv() {
        return Some(line);
    }
    let dropped = state.dropped.swap(0, Ordering::Relaxed);
    if dropped > 0 {
        tracing::warn!(lines = dropped, "{}", state.what.told);
    }
    lines.blocking_recv()
}

impl State {
    fn of(what: Output) -> Self {
        Self { what, waiting: Mutex::default(), emptied: Condvar::new(), dropped: AtomicU64::new(0) }
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        metrics::counter!(self.what.dropped).increment(1);
    }

    /// Room for a line, if there is any.
    fn take(&self, bytes: usize) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = *waiting + bytes <= LOG_BYTES;
        if fits {
            *waiting += bytes;
        }
        fits
    }

    fn done(&self, bytes: usize) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting -= bytes;
        if *waiting == 0 {
            self.emptied.notify_all();
        }
    }
}

impl Write for &Lines {
    /// Takes a whole line: the formatter writes each at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.state.take(line.len()) {
            self.state.drop_one();
        } else if self.queue.try_send(line.to_vec()).is_err() {
            self.state.done(line.len());
            self.state.drop_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.emptied.wait_timeout_while(waiting, LAST_LINES, |waiting| *waiting > 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    /// A pipe that takes a line only when somebody reads it.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.send(line.to_vec()).map_err(io::Error::other)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (Lines, LastLines, Receiver<Vec<u8>>) {
        let (pipe, read) = sync_channel(0);
        let (lines, last) = begin(Pipe(pipe)).unwrap();
        (lines, last, read)
    }

    #[test]
    fn a_stalled_pipe_costs_lines_and_nothing_else() {
        let (lines, last, read) = pipe();
        let line = vec![b'x'; 1000];
        let fit = LOG_BYTES / line.len();
        for _ in 0..fit + 50 {
            (&lines).write_all(&line).unwrap();
        }
        assert_eq!(lines.state.dropped.load(Ordering::Relaxed), 50);
        for _ in 0..fit {
            assert_eq!(read.recv().unwrap().len(), 1000);
        }
        // All of them are out, so this does not wait.
        drop(last);
        (&lines).write_all(b"flows again").unwrap();
        assert_eq!(read.recv().unwrap(), b"flows again");
    }

    #[test]
    fn a_line_that_is_out_makes_room_for_as_many_bytes() {
        let state = State::of(LOG);
        assert!(state.take(LOG_BYTES - 10) && state.take(10) && !state.take(1), "full to the byte");
        state.done(10);
        assert!(!state.take(11) && state.take(10));
        state.done(LOG_BYTES - 10);
        assert!(!state.take(LOG_BYTES - 9) && state.take(LOG_BYTES - 10));
    }

    #[test]
    fn many_small_lines_are_bounded_too() {
        let (lines, _last, _read) = pipe();
        for _ in 0..LOG_LINES + 50 {
            (&lines).write_all(b"x").unwrap();
        }
        assert!(lines.state.dropped.load(Ordering::Relaxed) >= 49);
    }

    #[test]
    fn what_was_lost_is_told_once_when_the_queue_is_empty() {
        let heard = crate::observe::Heard::listen();
        let (state, (queue, mut lines)) = (State::of(LOG), mpsc::channel(2));
        let mut next = |line: &str| {
            queue.try_send(line.as_bytes().to_vec()).unwrap();
            next(&mut lines, &state)
        };
        state.drop_one();
        state.drop_one();
        assert_eq!(next("a").unwrap(), b"a");
        assert_eq!(heard.lines("were dropped"), 0, "not before what waits");
        drop(queue);
        assert!(super::next(&mut lines, &state).is_none());
        assert_eq!(heard.lines("log lines were dropped, because nobody read standard error lines=2"), 1);
        assert!(super::next(&mut lines, &state).is_none());
        assert_eq!(heard.lines("were dropped"), 1, "nothing more was lost");
    }
}
