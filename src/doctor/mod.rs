//! `max-auth doctor`: why does the stream not arrive, and which line fixes it. It asks the probe endpoints of a running
//! server through whatever stands in front, everything side by side, and concludes from tables what holds what back.

mod conclude;
mod finding;
mod http;
mod probe;
mod reach;
mod report;
mod signature;
mod socket;
mod stream;
#[cfg(test)]
mod tests;

use crate::base::clock::Clock;
use crate::base::tasks::Tasks;
use conclude::{Judged, Transport, judge};
use finding::Site;
use http::Client;
use probe::{Round, Socket};
pub use report::Report;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// Where max-auth's endpoints are unless the address says otherwise (`server.base_path`).
const BASE_PATH: &str = "/api/auth/max";

/// What the doctor is told.
pub struct Options {
    /// The site, or the login endpoint.
    pub url: Option<Url>,
    /// Inner addresses of the same line, from the outside inwards.
    pub hops: Vec<Url>,
    /// What `nginx -T` printed.
    pub nginx: Option<String>,
    /// Wait for idle cuts.
    pub slow: bool,
    /// Any certificate will do.
    pub insecure: bool,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum CannotTest {
    #[error("{0}: an address begins with http:// or https://")]
    NotHttp(Url),
}

/// Looks at one line.
pub async fn examine(options: &Options, clock: Clock, tasks: Tasks) -> Result<Report, CannotTest> {
    let began = Instant::now();
    let Some(url) = &options.url else { return Ok(nothing_asked()) };
    let client = Client::new(endpoint(url)?, options.insecure, tasks, clock);
    let (client, reached) = reach::reach(client).await;
    let mut site = Site {
        base: client.url.path().trim_end_matches('/').to_owned(),
        origin: client.origin.clone(),
        proxy: String::new(),
    };
    let judged = match reached {
        Ok(reached) => {
            site.proxy = reached.echo.client_address.clone();
            let round = Round::of(&client, options.slow).await;
            judge(&client, &reached, &round)
        }
        Err(finding) => Judged {
            transport: Transport::None,
            first_event_ms: None,
            findings: vec![finding],
            verdicts: Vec::new(),
            seen: crate::config::facts::Layer::Unknown,
        },
    };
    Ok(Report {
        url: client.url.to_string(),
        site,
        transport: judged.transport,
        first_event_ms: judged.first_event_ms,
        duration_ms: stream::millis(began.elapsed()),
        findings: judged.findings,
        upstream: Vec::new(),
        line: true,
    })
}

fn nothing_asked() -> Report {
    Report {
        url: "MAX".to_owned(),
        site: Site { base: BASE_PATH.to_owned(), origin: String::new(), proxy: String::new() },
        transport: Transport::None,
        first_event_ms: None,
        duration_ms: 0,
        findings: Vec::new(),
        upstream: Vec::new(),
        line: false,
    }
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
