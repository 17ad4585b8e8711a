//! How sign-ins go at this node and at all of them: what is counted is sampled into the rings, what the node knows is collected
//! for `/status`, and where a store is shared each node leaves its report there, for whichever is asked.

use super::answer::json;
use super::extract::prefers_html;
use super::pages::language;
use crate::base::clock::Clock;
use crate::base::tasks::Tasks;
use crate::login::{Failed, Registry};
use crate::observe::Metrics;
use crate::observe::history::History;
use crate::status::{Facts, FailedLogin, Hop, NodeReport, State, Summary, health_page, summary};
use crate::store::{Key, NodeName, Space, Vault};
use crate::transport::stream_stats::{HopSummary, StreamStats};
use axum::extract::State as Shared;
use axum::response::{Html, IntoResponse as _, Response};
use http::HeaderMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How long a report is believed: some rounds of upkeep.
const REPORT_LIFE: Duration = Duration::from_secs(30);

/// For all reports together, so that a store that is away does not keep the page from its reader.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the status is made of.
pub struct NodeStatus {
    registry: Arc<Registry>,
    ends: Arc<StreamStats>,
    vault: Vault,
    clock: Clock,
    tasks: Tasks,
    since: i64,
    settings: StatusSettings,
    history: Mutex<History>,
    /// Sign-ins work, as was found last: what anybody may know.
    works: AtomicBool,
}

/// What was configured.
pub struct StatusSettings {
    pub node: String,
    pub max_active: usize,
    pub app_version: String,
    pub store_kind: &'static str,
    /// Codes of what was said at the start.
    pub warnings: Vec<&'static str>,
}

impl NodeStatus {
    pub fn new(
        (registry, ends, vault): (Arc<Registry>, Arc<StreamStats>, Vault),
        (clock, tasks): (Clock, Tasks),
        settings: StatusSettings,
    ) -> Self {
        let (since, history, works) = (clock.unix_seconds(), Mutex::default(), AtomicBool::new(true));
        Self { registry, ends, vault, clock, tasks, since, settings, history, works }
    }

    /// Whether sign-ins work, as this node found when it last looked.
    pub fn works(&self) -> bool {
        self.works.load(Ordering::Relaxed)
    }

    /// To be called every few seconds, and before anybody reads.
    fn sample(&self, metrics: &Metrics) -> NodeReport {
        let text = metrics.counted();
        let now = self.clock.unix_seconds();
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.sample(&text, now);
        NodeReport::new(self.facts(), &text, &history, now)
    }

    /// Samples, looks whether all is well, and tells the other nodes.
    pub async fn upkeep(&self, metrics: &Metrics) {
        let report = self.sample(metrics);
        let nodes = self.registry.nodes();
        let ours = nodes.first().cloned();
        let state = summary(report.clone(), Vec::new(), Vec::new()).state;
        self.works.store(matches!(state, State::Up | State::Idle), Ordering::Relaxed);
        // Nobody else: nobody to tell.
        if let Some(node) = ours.filter(|_| nodes.len() > 1) {
            let report = report.fitting();
            let told = self.vault.put(key(&node), &report, REPORT_LIFE);
            if !matches!(timeout(PATIENCE, told).await, Ok(Ok(()))) {
                tracing::debug!("the report for other nodes could not be stored");
            }
        }
    }

    /// Of all nodes, as far as they are heard of.
    pub async fn summary(&self, metrics: &Metrics) -> Summary {
        let ours = self.sample(metrics);
        let nodes: Vec<NodeName> = self.registry.nodes().into_iter().skip(1).collect();
        let reports = nodes.iter().map(|node| self.vault.get::<NodeReport>(key(node)));
        let reports = timeout(PATIENCE, futures_util::future::join_all(reports)).await.unwrap_or_default();
        let (mut others, mut silent) = (Vec::new(), Vec::new());
        let mut reports = reports.into_iter();
        for node in nodes {
            match reports.next() {
                Some(Ok(Some(report))) => others.push(report),
                _ => silent.push(shown(&node)),
            }
        }
        summary(ours, others, silent)
    }

    fn facts(&self) -> Facts {
        let networks = self.ends.networks.answer();
        let troubled = networks.networks.into_iter().filter(|seen| seen.day.frozen + seen.day.silent.between > 0);
        let node = self.registry.nodes().first().map_or_else(|| self.settings.node.clone(), shown);
        Facts {
            node,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: self.since,
            active: self.registry.active() as u64,
            max_active: self.settings.max_active as u64,
            stopping: self.tasks.is_stopping(),
            app_version: self.settings.app_version.clone(),
            store_kind: self.settings.store_kind.to_owned(),
            hops: self.ends.summary(None).into_iter().map(hop).collect(),
            networks: troubled.take(20).collect(),
            networks_seen: networks.seen,
            failures: self.registry.failures().into_iter().map(failed).collect(),
            warnings: self.settings.warnings.iter().map(|code| (*code).to_owned()).collect(),
        }
    }
}

fn key(node: &NodeName) -> Key {
    Vault::key(Space::Report, &[node.text()])
}

/// `GET /health-of-sign-in`, where it is switched on: whether sign-ins work, and nothing else.
pub async fn health_of_sign_in(Shared(status): Shared<Arc<NodeStatus>>, headers: HeaderMap) -> Response {
    let works = status.works();
    if prefers_html(&headers) {
        return Html(health_page(works, language(&headers))).into_response();
    }
    json(&serde_json::json!({ "state": if works { "up" } else { "degraded" } }))
}

/// With what tells two nodes of one name apart.
fn shown(node: &NodeName) -> String {
    node.text().to_owned()
}

fn hop(row: HopSummary) -> Hop {
    Hop {
        hop: row.hop,
        transport: row.transport.to_owned(),
        ended: row.ended as u64,
        cut: row.cut as u64,
        frozen: row.frozen as u64,
        timer: row.timer.as_ref().map(|timer| timer.seconds),
        idle: row.timer.is_some_and(|timer| timer.idle),
    }
}

fn failed(failed: Failed) -> FailedLogin {
    FailedLogin {
        at: failed.unix_ms,
        login: failed.login,
        reason: failed.failure.code().to_owned(),
        max_code: failed.max_code,
        network: failed.network.map(|network| network.to_string()),
    }
}
