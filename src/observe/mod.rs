//! Logs and metrics.
//!
//! The log shows only what our own code says: other crates are capped at warnings, because at their lower levels some
//! write out the frames they carry. Our own code has no way to print a secret: the types that hold one have no text.

mod audit;
#[cfg(test)]
mod heard;
pub mod history;
mod lines;
pub mod plot;
mod process;
pub mod series;
pub mod traces;

use crate::base::audit::AUDIT;
use crate::base::traces::TRACES;
use crate::config::{self, Audit, Log, LogFormat};
#[cfg(test)]
pub use heard::{Counted, Heard};
pub use lines::LastLines;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use process::Process;
use series::Kind;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt as _;

/// What a server watches beside its log.
pub struct Watched<'a> {
    pub audit: &'a Audit,
    pub traces: &'a config::Traces,
    /// This node's name.
    pub node: &'a str,
}

/// Sees the last lines out when it is dropped.
pub struct Watching {
    /// To be posted.
    pub traces: Option<traces::Traces>,
    _log: LastLines,
    _audit: Option<LastLines>,
}

/// Sends the log to standard error, in the format asked for, and what else is watched to where it goes.
pub fn log(log: &Log, watched: Option<Watched<'_>>) -> std::io::Result<Watching> {
    let level = log.level;
    let ours = FilterFn::new(move |metadata: &Metadata<'_>| is_shown(metadata.target(), *metadata.level(), level))
        .with_max_level_hint(LevelFilter::from_level(level));
    let audit = watched.as_ref().map(|watched| audit::begin(watched.audit)).transpose()?;
    let (audit, last_of_audit) = audit.flatten().unzip();
    let audited =
        FilterFn::new(|metadata: &Metadata<'_>| metadata.target() == AUDIT).with_max_level_hint(LevelFilter::INFO);
    let traced =
        FilterFn::new(|metadata: &Metadata<'_>| metadata.target() == TRACES).with_max_level_hint(LevelFilter::INFO);
    let traces = watched.map(|watched| traces::begin(watched.traces, watched.node)).transpose();
    let (layer, traces) = traces.map_err(std::io::Error::other)?.flatten().unzip();
    let registry = tracing_subscriber::registry().with(layer.map(|layer| layer.with_filter(traced)));
    let registry = registry.with(audit.map(|audit| audit.with_filter(audited)));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let (writer, log_lines) = lines::begin(std::io::stderr())?;
    let set = match log.format {
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer);
            tracing::subscriber::set_global_default(registry.with(lines.with_filter(ours)))
        }
        LogFormat::Text => {
            let lines = tracing_subscriber::fmt::layer().with_ansi(colours).with_target(false).with_writer(writer);
            tracing::subscriber::set_global_default(registry.with(lines.with_filter(ours)))
        }
    };
    if set.is_err() {
        tracing::warn!("the log was set up twice");
    }
    // The usual hook writes to standard error itself, and would wait there for whoever does not read it.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok(Watching { traces, _log: log_lines, _audit: last_of_audit })
}

fn is_shown(target: &str, level: Level, chosen: Level) -> bool {
    let ours = target == "max_auth" || target.starts_with("max_auth::");
    level <= if ours { chosen } else { chosen.min(Level::WARN) }
}

/// What was counted so far, and what the process uses.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Begins to collect. Every metric of [`series::ALL`] is there from now on, at zero.
    pub fn begin() -> Result<Self, BuildError> {
        let handle = builder()?.install_recorder()?;
        zero();
        Ok(Self(handle))
    }

    /// For tests: nothing is counted.
    #[cfg(test)]
    #[expect(clippy::unwrap_used, reason = "only tests")]
    pub fn unheard() -> Self {
        Self(builder().unwrap().build_recorder().handle())
    }

    /// As `/metrics` shows it.
    pub fn text(&self) -> String {
        let process = Process::read().map(|process| process.text());
        self.0.render() + &process.unwrap_or_default()
    }

    /// What was counted, without the process.
    pub fn counted(&self) -> String {
        self.0.render()
    }

    /// To be called now and then: what a histogram is told is kept until then.
    pub fn run_upkeep(&self) {
        self.0.run_upkeep();
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for series in series::ALL {
        if let Kind::Seconds(bounds) = series.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(series.name.to_owned()), bounds)?;
        }
    }
    Ok(builder)
}

/// Describes each metric and begins it.
fn zero() {
    for series in series::ALL {
        match series.kind {
            Kind::Counter => describe_counter!(series.name, series.help),
            Kind::Gauge => describe_gauge!(series.name, series.help),
            Kind::Seconds(_) => describe_histogram!(series.name, Unit::Seconds, series.help),
        }
        for labels in series.combinations() {
            match series.kind {
                Kind::Counter => metrics::counter!(series.name, &labels).absolute(0),
                Kind::Gauge => metrics::gauge!(series.name, &labels).increment(0.0),
                Kind::Seconds(_) => drop(metrics::histogram!(series.name, &labels)),
            }
        }
    }
    metrics::gauge!("max_auth_build_info", "version" => env!("CARGO_PKG_VERSION"), "arch" => std::env::consts::ARCH)
        .set(1);
    // Until something else is found.
    metrics::gauge!("max_auth_store_up").set(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_crates_never_show_more_than_warnings() {
        assert!(is_shown("max_auth::login", Level::TRACE, Level::TRACE));
        assert!(!is_shown("tungstenite::protocol", Level::TRACE, Level::TRACE));
        assert!(!is_shown("max_authentic", Level::INFO, Level::TRACE));
        assert!(is_shown("hyper", Level::WARN, Level::TRACE));
        assert!(!is_shown("hyper", Level::WARN, Level::ERROR));
    }

    #[test]
    fn each_metric_is_there_from_the_start_with_each_of_its_known_labels() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, zero);
        let text = Metrics(handle).text();
        let lines: Vec<&str> = text.lines().collect();
        let mut there = 0;
        for series in series::ALL {
            for labels in series.combinations() {
                let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
                let inside = labels.join(",");
                let (name, value) = (series.name, if series.name == "max_auth_store_up" { 1 } else { 0 });
                let line = match (series.kind, inside.is_empty()) {
                    (Kind::Seconds(_), _) => format!("{name}_count {value}"),
                    (_, true) => format!("{name} {value}"),
                    (_, false) => format!("{name}{{{inside}}} {value}"),
                };
                assert!(lines.contains(&line.as_str()), "{line} is not in\n{text}");
                there += 1;
            }
        }
        assert!(there > 150, "{there}");
        assert!(text.contains(&format!("max_auth_build_info{{version=\"{}\",arch=", env!("CARGO_PKG_VERSION"))));
        assert!(text.contains("max_auth_first_code_seconds_bucket{le=\"0.025\"} 0\n"), "{text}");
    }
}
