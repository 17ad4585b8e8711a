//! The doctor for the server's own checklist: the site from outside, and MAX.

use crate::base::clock::Clock;
use crate::base::tasks::{Tasks, thread};
use crate::config::{self, Config};
use crate::doctor::{self, DeliveryMode, Options, Trust};
use crate::proxies::{FindingCode, Lang};
use crate::server::{Inspection, Inspector, Verdict};
use futures_util::future::BoxFuture;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::oneshot;

#[derive(Clone)]
pub struct Doctor {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub tasks: Tasks,
}

impl Inspector for Doctor {
    /// On a thread and a runtime of its own: it measures times, and the server's threads have work to do.
    fn inspect(&self) -> BoxFuture<'_, Inspection> {
        let (doctor, (tell, told)) = (self.clone(), oneshot::channel());
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let report = match runtime {
                Ok(runtime) => runtime.block_on(doctor.report()),
                Err(error) => Err(error.to_string()),
            };
            let _ = tell.send(report);
        };
        Box::pin(async move {
            let begun = thread("inspection", work).map_err(|error| error.to_string());
            let report = match begun {
                Ok(()) => {
                    told.await.unwrap_or_else(|_| Err("the doctor crashed; this is a defect of max-auth".to_owned()))
                }
                Err(why) => Err(why),
            };
            report.unwrap_or_else(|why| Inspection { report: (why.clone(), why), ..Inspection::default() })
        })
    }
}

impl Doctor {
    async fn report(&self) -> Result<Inspection, String> {
        let server = &self.config.server;
        let address = format!("{}{}", server.public_url.as_str().trim_end_matches('/'), server.base_path);
        let url = address.parse().map_err(|error| format!("{address}: {error}"))?;
        let system = config::environment("SSL_CERT_FILE").map(PathBuf::from);
        let options = Options {
            url: Some(url),
            hops: Vec::new(),
            nginx: Vec::new(),
            slow: false,
            trust: Trust::load(&[], system.as_deref())?,
            upstream: Some(Arc::clone(&self.config)),
            steps: None,
        };
        let report = doctor::examine(&options, self.clock.clone(), self.tasks.clone()).await;
        let report = report.map_err(|error| error.to_string())?;
        let of_max = |code: FindingCode| code == FindingCode::UpstreamUnreachable;
        let faults = report.findings.iter().any(|finding| finding.is_fault() && !of_max(finding.code));
        let path = match report.transport {
            DeliveryMode::None => Verdict::Broken,
            DeliveryMode::WebSocket if !faults => Verdict::Fine,
            _ => Verdict::Attention,
        };
        let max = match report.findings.iter().find(|finding| of_max(finding.code)) {
            None => Verdict::Fine,
            Some(finding) if finding.is_fault() => Verdict::Broken,
            Some(_) => Verdict::Attention,
        };
        Ok(Inspection { path, max, report: (report.text(false, Lang::En), report.text(false, Lang::Ru)) })
    }
}
