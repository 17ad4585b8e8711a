//! The operator's listener: metrics and health, never on the public address.

use super::answer::json;
use super::refusals::store_unavailable;
use crate::base::problem::{Problem, ProblemCode};
use crate::base::tasks::Tasks;
use crate::login::Registry;
use crate::observe::Metrics;
use crate::oidc::{Keys, Rotation};
use crate::probe::NETWORKS_PATH;
use crate::transport::stream_stats::StreamStats;
use axum::Router;
use axum::extract::{FromRef, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// What the operator's endpoints need.
#[derive(Clone)]
pub struct Ops {
    pub metrics: Metrics,
    pub registry: Arc<Registry>,
    pub tasks: Tasks,
    pub max_active: usize,
    pub ends: Arc<StreamStats>,
    pub keys: Arc<Keys>,
}

/// Whoever changes something says so by this header: a page of a browser on this machine cannot.
pub const OPERATOR: HeaderName = HeaderName::from_static("x-max-auth-operator");

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
            .route(NETWORKS_PATH, get(networks))
            .route("/keys", get(keys))
            .route("/keys/rotate", post(rotate))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(self)
    }
}

impl FromRef<Ops> for Metrics {
    fn from_ref(ops: &Ops) -> Self {
        ops.metrics.clone()
    }
}

impl FromRef<Ops> for Arc<StreamStats> {
    fn from_ref(ops: &Ops) -> Self {
        Arc::clone(&ops.ends)
    }
}

/// The signing keys, without what signs.
async fn keys(State(ops): State<Ops>) -> Response {
    match ops.keys.set().await {
        Ok(set) => json(&set.listed()),
        Err(error) => store_unavailable(&error).into_response(),
    }
}

async fn rotate(State(ops): State<Ops>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    if !headers.contains_key(OPERATOR) {
        let detail = "max-auth keys rotate sends the header X-Max-Auth-Operator; a page of a browser cannot.";
        return Problem::new(ProblemCode::OriginRefused, detail).into_response();
    }
    match ops.keys.rotate(query.as_deref() == Some("now=1")).await {
        Ok(Rotation::Done(set)) => {
            tracing::info!("the next signing key signs from now on");
            json(&set.listed())
        }
        Ok(Rotation::TooSoon(wait)) => {
            let minutes = wait.as_secs().div_ceil(60);
            let detail = format!(
                "The next key is so young that apps may not know it yet; they keep the list for a quarter of an hour. Try again in \
                 {minutes} min, or use --now if the present key is known to somebody else."
            );
            Problem::later(ProblemCode::RateLimited, detail, wait).into_response()
        }
        Err(error) => store_unavailable(&error).into_response(),
    }
}

async fn metrics(State(metrics): State<Metrics>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.text()).into_response()
}

/// How streams ended lately, for each hop, with the timer that most cuts point to.
async fn streams(State(ends): State<Arc<StreamStats>>) -> Response {
    json(&ends.summary(None))
}

/// How sign-ins go for the visitors of each network.
async fn networks(State(ends): State<Arc<StreamStats>>) -> Response {
    json(&ends.networks.answer())
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
