//! Logs and metrics.
//!
//! The log shows only what our own code says: other crates are capped at warnings, because at their lower levels some
//! write out the frames they carry. Our own code has no way to print a secret: the types that hold one have no text.

mod audit;
#[cfg(test)]
mod heard;
mod lines;

use crate::base::audit::AUDIT;
use crate::config::{Audit, Log, LogFormat};
#[cfg(test)]
pub use heard::{Counted, Heard};
pub use lines::LastLines;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt as _;

/// Sends the log to standard error, in the format asked for. What is returned sees the last lines out.
pub fn log(log: &Log, audit: Option<&Audit>) -> std::io::Result<(LastLines, Option<LastLines>)> {
    let level = log.level;
    let ours = FilterFn::new(move |metadata: &Metadata<'_>| is_shown(metadata.target(), *metadata.level(), level))
        .with_max_level_hint(LevelFilter::from_level(level));
    let (audit, last_of_audit) = audit.map(audit::begin).transpose()?.flatten().unzip();
    let audited =
        FilterFn::new(|metadata: &Metadata<'_>| metadata.target() == AUDIT).with_max_level_hint(LevelFilter::INFO);
    let registry = tracing_subscriber::registry().with(audit.map(|audit| audit.with_filter(audited)));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let (writer, last_lines) = lines::begin(std::io::stderr())?;
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
    Ok((last_lines, last_of_audit))
}

fn is_shown(target: &str, level: Level, chosen: Level) -> bool {
    let ours = target == "max_auth" || target.starts_with("max_auth::");
    level <= if ours { chosen } else { chosen.min(Level::WARN) }
}

/// Begins to collect metrics; the handle renders them for `/metrics`.
pub fn metrics() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        // Start to first code: 5 ms beside the emulator, a second over a bad line to MAX.
        .set_buckets_for_metric(
            Matcher::Full("max_auth_first_code_seconds".to_owned()),
            &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0],
        )?
        .install_recorder()?;
    describe_gauge!("max_auth_logins_active", "Logins in flight");
    describe_counter!("max_auth_logins_started_total", "Logins begun");
    describe_counter!("max_auth_logins_ended_total", "Logins ended, by outcome");
    describe_counter!("max_auth_logins_busy_total", "Logins refused because login.max_active were in flight");
    describe_counter!("max_auth_logins_taken_over_total", "Logins that another process had begun, with a fresh code");
    describe_counter!("max_auth_logins_lost_total", "Logins whose visitors begin anew because the store lost writes");
    describe_counter!(
        "max_auth_rate_limited_total",
        "Logins, and requests of apps, refused by login.starts_per_minute"
    );
    describe_counter!("max_auth_codes_total", "QR codes shown");
    describe_histogram!("max_auth_first_code_seconds", Unit::Seconds, "From the start of a login to its first code");
    describe_counter!("max_auth_logouts_total", "MAX sessions ended, by result");
    describe_counter!("max_auth_upstream_connects_total", "Connections to MAX, by result and kind");
    describe_gauge!("max_auth_upstream_spares", "Connections to MAX that were made ahead and wait for a visitor");
    describe_counter!("max_auth_upstream_spares_total", "Connections to MAX made ahead, by what became of them");
    describe_counter!("max_auth_upstream_lost_total", "Connections to MAX that were lost during a login");
    describe_counter!("max_auth_upstream_unreadable_total", "Messages of MAX that could not be read");
    describe_gauge!("max_auth_logins_left_open", "MAX sessions that the process before this one may have left open");
    describe_counter!("max_auth_streams_total", "Streams and pages begun, by transport");
    describe_counter!("max_auth_stream_ends_total", "Streams ended, by transport and how");
    describe_counter!(
        "max_auth_streams_frozen_total",
        "WebSockets whose other end went silent, by what had been sent; without phones"
    );
    describe_counter!("max_auth_logins_frozen_total", "Logins whose browser reported a frozen line");
    describe_counter!("max_auth_client_failures_total", "Transports that failed in browsers, by how");
    describe_counter!("max_auth_upgrades_stripped_total", "WebSocket requests whose Upgrade header a proxy dropped");
    describe_counter!("max_auth_origin_refused_total", "Requests from origins that are not listed");
    describe_counter!(
        "max_auth_sessions_unchecked_total",
        "Sessions believed while the store was out of reach, so that one ended early could pass"
    );
    describe_counter!(
        "max_auth_grants_refused_total",
        "Callbacks with a token that was used, late or of another browser"
    );
    describe_counter!("max_auth_oidc_codes_total", "Authorization codes given to apps");
    describe_counter!("max_auth_oidc_tokens_total", "Answers of the token endpoint with tokens");
    describe_counter!(
        "max_auth_oidc_denied_total",
        "People turned away because an app's allow-list does not name them"
    );
    describe_counter!("max_auth_oidc_logouts_told_total", "Apps that were told that a session is over");
    describe_counter!("max_auth_oidc_logouts_untold_total", "Apps that could not be told it");
    describe_counter!("max_auth_oidc_errors_total", "Refusals that clients of OpenID Connect were given, by error");
    describe_counter!("max_auth_requests_total", "HTTP requests, by method, route and status");
    describe_gauge!("max_auth_connections_open", "Open connections on the public listener, WebSockets included");
    describe_counter!("max_auth_connections_refused_total", "Connections refused because too many were open, by why");
    describe_counter!("max_auth_connections_ended_total", "Connections that nobody used as one does, by why");
    describe_counter!("max_auth_rate_table_full_total", "Starts not counted because the table of addresses was full");
    describe_counter!("max_auth_log_lines_dropped_total", "Log lines dropped because nobody read standard error");
    describe_counter!("max_auth_audit_lines_dropped_total", "Lines of the audit log that could not be written");
    describe_counter!("max_auth_tasks_crashed_total", "Tasks that crashed; each is a defect of max-auth");
    Ok(handle)
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
}
