//! Every metric there is, as data: what `/metrics` describes, begins at zero and shows, what docs/http.md lists, and what
//! deploy/monitoring may name. A label's values are listed where they are few and known; each of them is there from the
//! start, so that `rate()` and alerts see the first time, too.

/// A metric by its name.
pub struct Series {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    pub labels: &'static [Label],
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    Counter,
    Gauge,
    /// A histogram of seconds, with these bounds.
    Seconds(&'static [f64]),
}

pub struct Label {
    pub name: &'static str,
    pub values: Values,
}

#[derive(Clone, Copy)]
pub enum Values {
    Known(&'static [&'static str]),
    /// Bounded, but only the configuration or the program's routes say which.
    Found,
}

/// From a fast answer of ours to the longest that a person waits for.
pub const FAST: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Start to first code: 5 ms beside the emulator, a second over a bad line to MAX.
const CODE: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// How long people take for the phone; a code lives for two minutes, a login for ten. MAX is asked each five seconds, so that answers
/// come just behind multiples of that: these bounds are a second behind them.
const PEOPLE: &[f64] = &[1.0, 3.0, 6.0, 8.0, 11.0, 16.0, 21.0, 31.0, 46.0, 61.0, 121.0, 600.0];

/// What follows by itself; a grant lives for a minute.
const FOLLOWS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How a login ends: success, a failure by its code, and a server that stopped.
pub const OUTCOMES: &[&str] = &[
    "success",
    "login-expired",
    "visitor-left",
    "cancelled",
    "upstream-unreachable",
    "qr-login-disabled",
    "password-not-supported",
    "password-wrong",
    "two-factor-needed",
    "account-blocked",
    "max-rate-limited",
    "max-trouble",
    "declined",
    "expired",
    "locked",
    "driver-down",
    "internal",
    "server-stopped",
];

/// MAX's codes of errors that a source names, and all others together.
pub const REFUSALS: &[&str] = &[
    "qr_login.disabled",
    "client.unsupported-version",
    "track.not.found",
    "password2fa.track.invalid",
    "proto.state",
    "session.state",
    "proto.payload",
    "proto.opcode",
    "qr_link.invalid",
    "login.cred",
    "password2fa.wrong",
    "password.invalid",
    "password2fa.no.attempts",
    "error.profile.active.session.no2fa",
    "login.token",
    "login.blocked",
    "user.not.found",
    "login.flood",
    "too.many.requests",
    "error.limit.violate",
    "error.code.attempt.limit",
    "auth.request.forbidden",
    "service.unavailable",
    "service.timeout",
    "internal",
    "io.exception",
    "other",
];

/// Kinds of updates of a bot, and all that are not looked at.
const UPDATES: &[&str] = &["bot_started", "message_created", "message_callback", "bot_stopped", "other"];

const OAUTH_ERRORS: &[&str] = &[
    "access_denied",
    "authorization_pending",
    "consent_required",
    "expired_token",
    "interaction_required",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "login_required",
    "registration_not_supported",
    "request_not_supported",
    "request_uri_not_supported",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
];

/// Tasks of a server.
pub const TASKS: &[&str] = &[
    "backchannel-logout",
    "beat",
    "bot-keeper",
    "bot-polling",
    "bot-update",
    "connection",
    "emulated-max",
    "emulator",
    "emulator-held-update",
    "emulator-http",
    "emulator-webhook",
    "end-login",
    "ended-sessions",
    "hints",
    "login",
    "looks",
    "messenger",
    "ops listener",
    "probe place",
    "probe socket",
    "public listener",
    "signing-keys",
    "spare",
    "store",
    "store-hints",
    "traces",
    "upkeep",
    "websocket",
];

const fn counter(name: &'static str, help: &'static str, labels: &'static [Label]) -> Series {
    Series { name, kind: Kind::Counter, help, labels }
}

const fn gauge(name: &'static str, help: &'static str, labels: &'static [Label]) -> Series {
    Series { name, kind: Kind::Gauge, help, labels }
}

const fn seconds(name: &'static str, help: &'static str, bounds: &'static [f64], labels: &'static [Label]) -> Series {
    Series { name, kind: Kind::Seconds(bounds), help, labels }
}

const fn known(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::Known(values) }
}

const fn found(name: &'static str) -> Label {
    Label { name, values: Values::Found }
}

const TRANSPORT: Label = known("transport", &["websocket", "sse", "page"]);

/// In the order of docs/http.md.
pub const ALL: &[Series] = &[
    gauge("max_auth_build_info", "1; the version is a label", &[found("version"), found("arch")]),
    // Sign-ins.
    counter("max_auth_pages_total", "Ready pages opened; a button on a page of the site is not seen here", &[]),
    counter("max_auth_logins_started_total", "Logins begun", &[]),
    gauge("max_auth_logins_active", "Logins in flight", &[]),
    counter("max_auth_logins_ended_total", "Logins ended, by outcome", &[known("outcome", OUTCOMES)]),
    counter("max_auth_logins_busy_total", "Logins refused because login.max_active were in flight", &[]),
    counter("max_auth_rate_limited_total", "Logins, and requests of apps, refused by login.starts_per_minute", &[]),
    counter("max_auth_origin_refused_total", "Requests from origins that are not listed", &[]),
    counter("max_auth_codes_total", "QR codes shown", &[]),
    seconds("max_auth_first_code_seconds", "From the start of a login to its first code", CODE, &[]),
    seconds("max_auth_approval_seconds", "From the first code to the approval on the phone", PEOPLE, &[]),
    seconds("max_auth_finish_seconds", "From the approval to the success", FOLLOWS, &[]),
    seconds(
        "max_auth_handover_seconds",
        "From the success until the browser has fetched its session, or went on to an app",
        FOLLOWS,
        &[],
    ),
    counter("max_auth_success_delivered_total", "Successes handed to browsers, by transport", &[TRANSPORT]),
    counter("max_auth_grants_refused_total", "Callbacks with a token that was used, late or of another browser", &[]),
    counter("max_auth_logins_taken_over_total", "Logins that another process had begun, with a fresh code", &[]),
    counter("max_auth_logins_lost_total", "Logins whose visitors begin anew because the store lost writes", &[]),
    counter("max_auth_logins_frozen_total", "Logins whose browser reported a frozen line", &[]),
    counter(
        "max_auth_sessions_unchecked_total",
        "Sessions believed while the store was out of reach, so that one ended early could pass",
        &[],
    ),
    // The official drivers.
    gauge("max_auth_bot_up", "1 when MAX takes the bot's token and brings its updates, at the last look", &[]),
    counter("max_auth_bot_updates_total", "What MAX brought, by kind", &[known("kind", UPDATES)]),
    counter("max_auth_bot_updates_repeated_total", "What it brought again", &[]),
    counter("max_auth_bot_updates_refused_total", "What was brought without the secret of the subscription", &[]),
    counter("max_auth_bot_calls_failed_total", "Calls to MAX's Bot API that came to nothing, after their tries", &[]),
    counter("max_auth_bot_subscriptions_lost_total", "Times somebody took the bot's subscription away", &[]),
    counter("max_auth_mini_app_refused_total", "Openings of the mini-app that MAX did not sign, or too long ago", &[]),
    // MAX.
    gauge(
        "max_auth_upstream_up",
        "1 while this address of MAX works, as the last who needed it found; 0 after a failure",
        &[found("endpoint")],
    ),
    counter(
        "max_auth_upstream_connects_total",
        "Connections to MAX, by result and kind",
        &[known("result", &["ok", "failed"]), known("kind", &["at-once", "ahead"])],
    ),
    gauge("max_auth_upstream_spares", "Connections to MAX that were made ahead and wait for a visitor", &[]),
    counter(
        "max_auth_upstream_spares_total",
        "Connections to MAX made ahead, by what became of them",
        &[known("result", &["used", "unused", "dead"])],
    ),
    counter("max_auth_upstream_lost_total", "Connections to MAX that were lost during a login", &[]),
    counter("max_auth_upstream_refusals_total", "Logins that MAX refused, by its code", &[known("code", REFUSALS)]),
    counter("max_auth_upstream_unreadable_total", "Messages of MAX that could not be read", &[]),
    counter(
        "max_auth_logouts_total",
        "MAX sessions ended, by result",
        &[known("result", &["confirmed", "unconfirmed", "failed"])],
    ),
    gauge("max_auth_logins_left_open", "MAX sessions that the process before this one may have left open", &[]),
    // The store, and apps.
    gauge("max_auth_store_up", "1 while the store answers", &[]),
    counter("max_auth_oidc_codes_total", "Authorization codes given to apps", &[]),
    counter("max_auth_oidc_tokens_total", "Answers of the token endpoint with tokens", &[]),
    counter("max_auth_oidc_denied_total", "People turned away because an app's allow-list does not name them", &[]),
    counter("max_auth_oidc_logouts_told_total", "Apps that were told that a session is over", &[]),
    counter("max_auth_oidc_logouts_untold_total", "Apps that could not be told it", &[]),
    counter(
        "max_auth_oidc_errors_total",
        "Refusals that clients of OpenID Connect were given, by error",
        &[known("error", OAUTH_ERRORS)],
    ),
    gauge(
        "max_auth_oidc_key_until_seconds",
        "When the next signing key takes over, Unix time; 0 where none was needed yet",
        &[],
    ),
    // Streams.
    counter("max_auth_streams_total", "Streams and pages begun, by transport", &[TRANSPORT]),
    counter(
        "max_auth_stream_ends_total",
        "Streams ended, by transport and how",
        &[known("transport", &["websocket", "sse"]), known("how", &["finished", "left", "cut", "silent", "stopped"])],
    ),
    counter(
        "max_auth_streams_frozen_total",
        "WebSockets whose other end went silent, by what had been sent; without phones",
        &[known("bytes", &["below-8k", "8k-40k", "above-40k"])],
    ),
    counter(
        "max_auth_client_failures_total",
        "Transports that failed in browsers, by how",
        &[
            known("transport", &["ws", "sse", "poll", "post", "page"]),
            known(
                "why",
                &["hang", "late", "silent", "frozen", "closed", "refused", "http", "failed", "ended", "other"],
            ),
        ],
    ),
    counter("max_auth_upgrades_stripped_total", "WebSocket requests whose Upgrade header a proxy dropped", &[]),
    // HTTP.
    counter(
        "max_auth_requests_total",
        "HTTP requests, by method, route and status",
        &[found("method"), found("route"), found("status")],
    ),
    seconds(
        "max_auth_request_seconds",
        "From a request to the head of its answer, by route; a long poll waits on purpose",
        FAST,
        &[found("route")],
    ),
    gauge("max_auth_connections_open", "Open connections on the public listener, WebSockets included", &[]),
    counter(
        "max_auth_connections_refused_total",
        "Connections refused because too many were open, by why",
        &[known("why", &["all", "address"])],
    ),
    counter(
        "max_auth_connections_ended_total",
        "Connections that nobody used as one does, by why",
        &[known("why", &["no-request", "idle", "not-read"])],
    ),
    // The process.
    counter("max_auth_rate_table_full_total", "Starts not counted because the table of addresses was full", &[]),
    counter("max_auth_audit_lines_dropped_total", "Lines of the audit log that could not be written", &[]),
    counter("max_auth_log_lines_dropped_total", "Log lines dropped because nobody read standard error", &[]),
    counter(
        "max_auth_tasks_crashed_total",
        "Tasks that crashed; each is a defect of max-auth",
        &[known("task", TASKS)],
    ),
];

impl Series {
    /// Each combination of its labels' values; none where a label's values are only found.
    pub fn combinations(&self) -> Vec<Vec<(&'static str, &'static str)>> {
        let mut all = vec![Vec::new()];
        for label in self.labels {
            let Values::Known(values) = label.values else { return Vec::new() };
            let with = |value: &&'static str| {
                let value = *value;
                all.iter().map(move |one: &Vec<_>| [one.clone(), vec![(label.name, value)]].concat())
            };
            all = values.iter().flat_map(with).collect();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let names: BTreeSet<&str> = ALL.iter().map(|series| series.name).collect();
        assert_eq!(names.len(), ALL.len(), "each once");
        for series in ALL {
            let total = series.name.ends_with("_total");
            assert_eq!(total, series.kind == Kind::Counter, "{}: counters end in _total, others do not", series.name);
            assert!(!matches!(series.kind, Kind::Seconds(_)) || series.name.ends_with("_seconds"), "{}", series.name);
            if let Kind::Seconds(bounds) = series.kind {
                assert!(bounds.is_sorted_by(|a, b| a < b), "{}", series.name);
            }
        }
    }

    #[test]
    fn each_combination_of_known_values_is_one() {
        let of = |name: &str| ALL.iter().find(|series| series.name == name).unwrap().combinations();
        assert_eq!(of("max_auth_logins_started_total"), [vec![]]);
        assert_eq!(of("max_auth_client_failures_total").len(), 50);
        assert_eq!(of("max_auth_stream_ends_total")[7], [("transport", "sse"), ("how", "silent")].to_vec());
        assert!(of("max_auth_requests_total").is_empty() && of("max_auth_build_info").is_empty());
    }

    /// A line for each, as docs/http.md has them.
    fn table() -> String {
        let row = |series: &Series| {
            let kind = match series.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Seconds(_) => "histogram",
            };
            let names: Vec<&str> = series.labels.iter().map(|label| label.name).collect();
            let labels = if names.is_empty() { String::new() } else { format!("{{{}}}", names.join(",")) };
            format!("| `{}{labels}` | {kind} | {} |\n", series.name, series.help)
        };
        ALL.iter().map(row).collect()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may read the environment")]
    fn the_page_of_endpoints_has_the_same_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/http.md");
        let (begin, page) = ("| metric | kind | what |\n|---|---|---|\n", std::fs::read_to_string(path).unwrap());
        let (before, rest) = page.split_once(begin).unwrap();
        let rows: usize = rest.lines().take_while(|line| line.starts_with('|')).map(|line| line.len() + 1).sum();
        let wanted = format!("{before}{begin}{}{}", table(), &rest[rows..]);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        assert!(page == wanted, "docs/http.md: UPDATE=1 cargo test --lib observe, and look at it");
    }
}
