//! The operator's listener: metrics and health, never on the public address.

use super::answer::json;
use crate::base::tasks::Tasks;
use crate::login::Registry;
use crate::transport::stream_stats::StreamStats;
use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use std::time::Duration;

/// What the operator's endpoints need.
#[derive(Clone)]
pub struct Ops {
    pub metrics: PrometheusHandle,
    pub registry: Arc<Registry>,
    pub tasks: Tasks,
    pub max_active: usize,
    pub ends: Arc<StreamStats>,
}

/// Between two rounds of upkeep: what a histogram is told is kept until then.
const UPKEEP: Duration = Duration::from_secs(5);

impl Ops {
    /// Keeps memory bounded where nobody asks: metrics that no scraper fetches, logins and grants that are over.
    pub async fn upkeep(self) {
        while tokio::time::timeout(UPKEEP, self.tasks.stopping()).await.is_err() {
            self.metrics.run_upkeep();
            self.registry.tidy();
        }
    }

    pub fn router(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/streams", get(streams))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(self)
    }
}

impl FromRef<Ops> for PrometheusHandle {
    fn from_ref(ops: &Ops) -> Self {
        ops.metrics.clone()
    }
}

impl FromRef<Ops> for Arc<StreamStats> {
    fn from_ref(ops: &Ops) -> Self {
        Arc::clone(&ops.ends)
    }
}

async fn metrics(State(metrics): State<PrometheusHandle>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
}

/// How streams ended lately, for each hop, with the timer that most cuts point to.
async fn streams(State(ends): State<Arc<StreamStats>>) -> Response {
    json(&ends.summary(None))
}

/// 503 while no new login would be taken.
async fn ready(State(ops): State<Ops>) -> Response {
    if ops.tasks.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    if ops.registry.active() >= ops.max_active {
        return (StatusCode::SERVICE_UNAVAILABLE, "full: login.max_active\n").into_response();
    }
    if !ops.registry.store_answers() {
        return (StatusCode::SERVICE_UNAVAILABLE, "store: out of reach\n").into_response();
    }
    "ready\n".into_response()
}
