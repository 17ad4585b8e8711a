//! For tests: what one thread writes to its log, and what it counts.

use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::subscriber::DefaultGuard;

/// Until it is dropped, lines of this thread come here.
pub struct Heard {
    text: Text,
    _listening: DefaultGuard,
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Heard {
    pub fn listen() -> Self {
        let text = Text::default();
        let writer = text.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        Self { text, _listening: tracing::subscriber::set_default(lines) }
    }

    /// Lines with this in them.
    pub fn lines(&self, with: &str) -> usize {
        let text = self.text.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).lines().filter(|line| line.contains(with)).count()
    }
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Until it is dropped, what this thread counts is kept here.
pub struct Counted {
    metrics: PrometheusHandle,
    _listening: LocalRecorderGuard<'static>,
}

impl Counted {
    pub fn listen() -> Self {
        // The guard borrows it; a test's process is short.
        let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        Self { metrics: recorder.handle(), _listening: metrics::set_default_local_recorder(recorder) }
    }

    /// A counter, as it is shown: `name{label="value"}`.
    pub fn of(&self, shown: &str) -> u64 {
        let all = self.metrics.render();
        let line = all.lines().find_map(|line| line.strip_prefix(shown)?.strip_prefix(' '));
        line.map_or(0, |number| number.parse().unwrap())
    }
}
