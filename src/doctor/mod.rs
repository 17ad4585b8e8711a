//! `max-auth doctor`: why does the stream not arrive, and which line fixes it. It asks the probe endpoints of a running
//! server through whatever stands in front, everything side by side, and concludes from tables what holds what back.

mod buffering_signatures;
mod compare;
mod connect;
mod decode;
mod delivery;
mod diagnose;
mod explain;
mod finding;
mod forward_auth;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod hops;
mod http;
mod http_observation;
mod layout;
mod networks;
mod nginx_config;
mod nginx_rules;
mod probe_round;
mod progress;
mod proxy_path;
mod reachability;
mod report;
mod request_findings;
mod sse;
mod store;
mod stream_findings;
mod stream_observation;
#[cfg(test)]
mod tests;
mod tls;
mod upstream;
mod websocket_findings;
mod websocket_probe;
mod words;

use crate::base::clock::Clock;
use crate::base::tasks::Tasks;
use crate::config::Config;
use crate::proxies::{CLIENT_SIDE, FindingCode, Severity};
pub use compare::{Saved, is_slower};
pub use delivery::{DeliveryMode, DeliveryTimes};
use diagnose::{Diagnosis, diagnose};
pub use explain::{codes, explain};
use finding::{Finding, Site};
pub use forward_auth::{ForwardAuthReport, examine as examine_forward_auth};
use futures_util::future::join_all;
use hops::Hop;
use http::Client;
pub use networks::NetworksReport;
use probe_round::ProbeRound;
pub use probe_round::SLOW_HOLD;
pub use progress::{Step, Steps};
use proxy_path::ProxyPath;
use reachability::Unreached;
pub use report::Report;
use std::sync::Arc;
use std::time::Duration;
pub use store::{StoreReport, examine as examine_store};
pub use tls::Trust;
use tokio::time::Instant;
use url::Url;
pub use words::{ANSWERED, FIRST_CHANGE, MS, NOT_THROUGH, SECONDS, STILL, WAS, WATCHING};

/// Where max-auth's endpoints are unless the address says otherwise (`server.base_path`).
const BASE_PATH: &str = "/api/auth/max";

/// The verdict comes within five seconds, whatever hangs; what is left of them is for its own work on a busy machine.
const WITHIN: Duration = Duration::from_millis(4500);

/// What the doctor is told.
pub struct Options {
    /// The site, or the login endpoint.
    pub url: Option<Url>,
    /// Inner addresses of the same path, from the outside inwards.
    pub hops: Vec<Url>,
    /// What `nginx -T` printed, one for each machine.
    pub nginx: Vec<String>,
    /// Wait for idle cuts.
    pub slow: bool,
    /// Whose certificates are accepted.
    pub trust: Trust,
    /// MAX is asked, too, with these settings.
    pub upstream: Option<Arc<Config>>,
    /// Is told which part of the path has answered.
    pub steps: Option<Steps>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum CannotTest {
    #[error("{0}: an address begins with http:// or https://")]
    NotHttp(Url),
    #[error("{0}: {1}")]
    Page(Url, String),
    #[error("{0}")]
    Upstream(String),
    #[error("the network of this machine is down, so nothing was learned of the site: {0}")]
    LocalNetwork(String),
}

/// Looks at one path, at MAX, or at both.
pub async fn examine(options: &Options, clock: Clock, tasks: Tasks) -> Result<Report, CannotTest> {
    let path = async {
        match &options.url {
            Some(url) => one_path(url, options, clock.clone(), tasks.clone()).await,
            None => Ok(nothing_asked()),
        }
    };
    let max = async {
        match &options.upstream {
            Some(config) => {
                let asked = upstream::check(config, clock.clone(), tasks.clone()).await;
                if let Some(steps) = &options.steps {
                    let _ = steps.send(Step::Max);
                }
                asked.map(Some)
            }
            None => Ok(None),
        }
    };
    let (report, max) = tokio::join!(path, max);
    let mut report = report?;
    if let Some(asked) = max.map_err(CannotTest::Upstream)? {
        report.upstream = asked.lines;
        report.findings.extend(asked.findings);
        report.findings.sort_by_key(|finding| finding.severity == Severity::Note);
    }
    Ok(report)
}

async fn one_path(url: &Url, options: &Options, clock: Clock, tasks: Tasks) -> Result<Report, CannotTest> {
    let began = Instant::now();
    let until = (!options.slow).then(|| began + WITHIN);
    let client = Client::new(endpoint(url)?, options.trust.clone(), tasks, clock).until(until);
    let asked = client.url().to_string();
    let hops = options.hops.iter().map(|hop| hop_endpoint(hop, client.url())).collect::<Result<Vec<_>, _>>()?;
    let hops = hops.into_iter().map(|url| (url.clone(), client.hop(url)));
    let inner = join_all(hops.map(async |(url, client)| {
        let (_, outcome) = look(client, false).await;
        let outcome = outcome.map(|(diagnosis, _)| diagnosis).map_err(|unreached| match unreached {
            Unreached::Finding(finding) => finding,
            Unreached::LocalNetwork(why) => Finding::new(FindingCode::BackendDown, CLIENT_SIDE, why),
        });
        Hop { url, outcome }
    }));
    let inner = async {
        let inner = inner.await;
        if let Some(steps) = options.steps.as_ref().filter(|_| !inner.is_empty()) {
            let _ = steps.send(Step::Hops);
        }
        inner
    };
    let told = client.telling(options.steps.clone());
    let ((client, outcome), inner) = tokio::join!(look(told, options.slow), inner);
    let site = Site { base: client.url().path().trim_end_matches('/').to_owned(), origin: client.origin.clone() };
    let mut times =
        [DeliveryMode::WebSocket, DeliveryMode::Sse, DeliveryMode::LongPoll].map(|way| (way, None)).to_vec();
    let mut diagnosis = match outcome {
        Ok((diagnosis, seen)) => {
            times = seen;
            diagnosis
        }
        Err(Unreached::LocalNetwork(why)) => return Err(CannotTest::LocalNetwork(why)),
        Err(Unreached::Finding(finding)) => Diagnosis {
            transport: DeliveryMode::None,
            first_event_ms: None,
            findings: vec![finding],
            streams: Vec::new(),
            path: ProxyPath::default(),
        },
    };
    hops::locate(&mut diagnosis, &inner);
    diagnosis.findings.sort_by_key(|finding| finding.severity == Severity::Note);
    if !options.nginx.is_empty() {
        nginx_rules::locate(&mut diagnosis.findings, &options.nginx, &site);
    }
    Ok(Report {
        asked,
        url: client.url().to_string(),
        site,
        transport: diagnosis.transport,
        first_event_ms: diagnosis.first_event_ms,
        duration_ms: http::millis(began.elapsed()),
        findings: diagnosis.findings,
        upstream: Vec::new(),
        path_asked: true,
        times,
        changes: None,
    })
}

/// The endpoint that an address means, as a saved report names it.
pub fn asked(url: &Url) -> Result<String, CannotTest> {
    endpoint(url).map(|url| url.to_string())
}

/// Asks one address everything.
async fn look(client: Client, slow: bool) -> (Client, Result<(Diagnosis, DeliveryTimes), Unreached>) {
    let (client, reached) = reachability::reach(client).await;
    match reached {
        Ok(reached) => {
            client.tell(Step::Reached);
            let round = ProbeRound::of(&client, reached.offset, slow).await;
            let diagnosis = diagnose(&client, &reached, &round);
            let times = round.delivery_times(reached.offset);
            (client, Ok((diagnosis, times)))
        }
        Err(unreached) => (client, Err(unreached)),
    }
}

/// An inner address serves the same path unless it says otherwise.
fn hop_endpoint(hop: &Url, outside: &Url) -> Result<Url, CannotTest> {
    let mut url = endpoint(hop)?;
    if hop.path().trim_end_matches('/').is_empty() {
        url.set_path(outside.path());
    }
    Ok(url)
}

/// Where only MAX, or only the store, is asked.
pub fn nothing_asked() -> Report {
    Report {
        asked: "MAX".to_owned(),
        url: "MAX".to_owned(),
        site: Site { base: BASE_PATH.to_owned(), origin: String::new() },
        transport: DeliveryMode::None,
        first_event_ms: None,
        duration_ms: 0,
        findings: Vec::new(),
        upstream: Vec::new(),
        path_asked: false,
        times: Vec::new(),
        changes: None,
    }
}

/// A report with what was found of the store.
pub fn with_store(mut report: serde_json::Value, store: &StoreReport) -> serde_json::Value {
    report["store"] = store.json();
    report
}

/// A report with what was found of a protected page.
pub fn with_forward_auth(mut report: serde_json::Value, page: &ForwardAuthReport) -> serde_json::Value {
    report["forwardAuth"] = page.json();
    report
}

/// A report with what was found of the networks of visitors.
pub fn with_networks(mut report: serde_json::Value, networks: &NetworksReport) -> serde_json::Value {
    report["networks"] = networks.json();
    report
}

/// The login endpoint: what was given, with the usual path when there is none.
fn endpoint(url: &Url) -> Result<Url, CannotTest> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(CannotTest::NotHttp(url.clone()));
    }
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(if path.is_empty() { BASE_PATH } else { &path });
    Ok(url)
}
