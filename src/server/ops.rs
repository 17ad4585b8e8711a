//! The operator's listener: metrics and health, never on the public address.

use super::answer::json;
use super::checklist::Checklist;
use super::node_status::NodeStatus;
use super::pages::language;
use super::refusals::store_unavailable;
use crate::base::audit::AUDIT;
use crate::base::problem::{Problem, ProblemCode};
use crate::base::tasks::Tasks;
use crate::login::Registry;
use crate::observe::Metrics;
use crate::oidc::{Keys, Rotation};
use crate::probe::NETWORKS_PATH;
use crate::status::Chosen;
use crate::texts::Locale;
use crate::transport::stream_stats::StreamStats;
use axum::Router;
use axum::extract::{FromRef, Query, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
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
    pub status: Arc<NodeStatus>,
    pub checklist: Arc<Checklist>,
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
            self.status.upkeep(&self.metrics).await;
            self.registry.tidy();
        }
    }

    pub fn router(self) -> Router {
        Router::new()
            .route("/status", get(status))
            .route("/status.json", get(status_json))
            .route("/metrics", get(metrics))
            .route("/streams", get(streams))
            .route(NETWORKS_PATH, get(networks))
            .route("/keys", get(keys))
            .route("/keys/rotate", post(rotate))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .merge(Arc::clone(&self.checklist).router())
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
            tracing::info!(target: AUDIT, event = "keys.rotated");
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

/// Which language, and which bar is looked at.
#[derive(Deserialize)]
struct StatusQuery {
    lang: Option<String>,
    at: Option<i64>,
    #[serde(rename = "for")]
    seconds: Option<i64>,
}

impl StatusQuery {
    fn locale(&self, headers: &HeaderMap) -> Locale {
        self.lang.as_deref().map_or_else(|| language(headers), Locale::parse)
    }
}

/// Nothing from anywhere, and styles of its own.
const STATUS_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
                             frame-ancestors 'none'";

async fn status(State(ops): State<Ops>, Query(query): Query<StatusQuery>, headers: HeaderMap) -> Response {
    let summary = ops.status.summary(&ops.metrics).await;
    let chosen = query.at.zip(query.seconds).map(|(at, seconds)| Chosen { at, seconds });
    let page = crate::status::page(&summary, ops.keys.listed().as_ref(), query.locale(&headers), chosen);
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, STATUS_POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, page).into_response()
}

async fn status_json(State(ops): State<Ops>, Query(query): Query<StatusQuery>, headers: HeaderMap) -> Response {
    let summary = ops.status.summary(&ops.metrics).await;
    json(&crate::status::json(&summary, ops.keys.listed(), query.locale(&headers)))
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
