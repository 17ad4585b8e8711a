//! The whole URL table.

use super::caching::says_itself;
use super::cookie::Cookies;
use super::extract::prefers_html;
use super::files::{self, Extra};
use super::forward_auth::{self, ForwardAuth};
use super::logins::{Logins, flow_life};
use super::node_status::{NodeStatus, health_of_sign_in};
use super::oauth2::{self, OAuth2};
use super::official::{self, OfficialPages};
use super::origin::AllowedOrigins;
use super::probe::{Probes, VerifyProbes};
use super::ready_head::ReadyHead;
use super::sign_in::{self, SignIn};
use super::{
    account, error_pages, login_commands, login_streams, middleware, no_script, pages, ready_page, redeem, upgrade,
};
use crate::base::clock::Clock;
use crate::base::problem::{Problem, ProblemCode};
use crate::base::repeat::OncePerMinute;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::config::{self, AllowList, Groups};
use crate::login::{Grants, Registry};
use crate::oidc::Provider;
use crate::session::Sessions;
use crate::store::Vault;
use crate::texts::Texts;
use crate::transport::begin::StartPolicy;
use crate::transport::stream_stats::StreamStats;
use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, delete, get, post};
use http::{HeaderMap, Uri};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Everything the public listener is made of.
pub struct Parts {
    pub registry: Arc<Registry>,
    pub grants: Arc<Grants>,
    pub sessions: Arc<Sessions>,
    pub provider: Arc<Provider>,
    pub vault: Vault,
    pub session_allow: AllowList,
    pub groups: Groups,
    pub tasks: Tasks,
    pub clock: Clock,
    pub rng: Rng,
    pub texts: Arc<Texts>,
    pub ends: Arc<StreamStats>,
    pub status: Arc<NodeStatus>,
    pub official: Option<OfficialPages>,
    pub extra: Option<Extra>,
}

pub fn router(server: &config::Server, login: &config::Login, parts: Parts) -> Router {
    let base = server.base_path.as_str();
    let origins = AllowedOrigins::new(server.allowed_origins.clone());
    let cookies = Cookies { secure: server.public_url.scheme() == "https" };
    let policy = StartPolicy::new(
        (Arc::clone(&parts.registry), Arc::<Provider>::clone(&parts.provider)),
        login.starts_per_minute,
        server.public_url.clone(),
        server.allowed_origins.clone(),
        format!("{base}/account"),
        Arc::clone(&parts.texts),
        parts.clock.clone(),
    );
    let policy = policy.counted(Arc::clone(&parts.ends));
    let policy = policy.keeping_addresses(parts.official.as_ref().is_some_and(|official| official.keeps_addresses));
    let site = pages::site(&server.public_url);
    let verify_probes = Arc::new(VerifyProbes::new(parts.vault.clone(), parts.clock.clone()));
    let probes = Probes::new(
        origins.clone(),
        server.trusted_proxies.clone(),
        Arc::clone(&parts.ends),
        Arc::clone(&verify_probes),
        parts.clock.clone(),
        parts.rng.clone(),
        parts.tasks.clone(),
    );
    let logins = Arc::new(Logins {
        registry: parts.registry,
        policy: Arc::new(policy),
        provider: Arc::clone(&parts.provider),
        origins: origins.clone(),
        cookies,
        trusted_proxies: server.trusted_proxies.clone(),
        base_path: base.to_owned(),
        site: site.clone(),
        texts: Arc::clone(&parts.texts),
        ready: ReadyHead::new(&parts.texts),
        first_message_timeout: login.first_message_timeout,
        flow_life: flow_life(login.ttl),
        stripped: upgrade::StrippedUpgrades::default(),
        ends: parts.ends,
        unlisted_proxy_told: AtomicBool::new(false),
        tasks: parts.tasks,
        rng: parts.rng,
    });
    let oauth2 = format!("{}/oauth2", oauth2::path_of(&parts.provider.issuer));
    let sign_in = Arc::new(SignIn {
        grants: parts.grants,
        sessions: parts.sessions,
        allow: parts.session_allow,
        groups: parts.groups,
        provider: Arc::clone(&parts.provider),
        oauth2,
        cookies,
        origins: origins.clone(),
        base_path: base.to_owned(),
        logout_failed: OncePerMinute::default(),
        site,
        texts: Arc::clone(&parts.texts),
    });

    let forward = Arc::new(ForwardAuth {
        sign_in: Arc::clone(&sign_in),
        logins: Arc::clone(&logins),
        vault: parts.vault,
        main: server.public_url.clone(),
        unlisted: OncePerMinute::default(),
        probes: verify_probes,
    });
    let forward_routes = Router::new()
        .route(&format!("{base}/verify"), get(forward_auth::verify))
        .route(&format!("{base}/verify/"), any(forward_auth::verify_path))
        .route(&format!("{base}/verify/{{*path}}"), any(forward_auth::verify_path))
        .with_state(Arc::clone(&forward));
    let forward_pages = Router::new().route(&format!("{base}/enter"), get(forward_auth::enter)).with_state(forward);
    let oauth2 = OAuth2 {
        provider: parts.provider,
        sign_in: Arc::clone(&sign_in),
        logins: Arc::clone(&logins),
        wrong: OncePerMinute::default(),
    };
    let oauth2 = Arc::new(oauth2);
    let oauth2_pages = oauth2::for_people(&oauth2);
    let redeem = redeem::router(base, &oauth2.provider);
    let oauth2_routes = oauth2::for_programs(oauth2);
    let login_routes = Router::new()
        .route(base, any(login_streams::base))
        .route(&format!("{base}/"), any(login_streams::base))
        .route(&format!("{base}/{{login}}"), delete(login_commands::delete))
        .route(&format!("{base}/{{login}}/events"), any(login_streams::events))
        .route(&format!("{base}/{{login}}/events/{{unique}}"), any(login_streams::events))
        .route(&format!("{base}/{{login}}/password"), post(login_commands::password))
        .with_state(Arc::clone(&logins));
    let login_pages = Router::new()
        .route(&format!("{base}/login"), get(ready_page::login).post(no_script::begin))
        .route(&format!("{base}/{{login}}/wait"), get(no_script::wait).post(no_script::password))
        .with_state(logins);
    let session_routes = Router::new()
        .route(&format!("{base}/session"), get(sign_in::session))
        .route(&format!("{base}/session/{{unique}}"), get(sign_in::session))
        .with_state(Arc::clone(&sign_in));
    let session_pages = Router::new()
        .route(&format!("{base}/authorize"), get(sign_in::authorize))
        .route(&format!("{base}/callback"), get(sign_in::callback).post(sign_in::redeem))
        .route(&format!("{base}/callback/{{unique}}"), get(sign_in::callback))
        .route(&format!("{base}/account"), get(account::account))
        .route(&format!("{base}/account/email"), post(account::email))
        .route(&format!("{base}/logout"), post(sign_in::logout))
        .route(&format!("{base}/logout/everywhere"), post(sign_in::logout_everywhere))
        .with_state(Arc::clone(&sign_in));
    let people = oauth2_pages.merge(forward_pages).merge(login_pages).merge(session_pages);
    let people = people.layer(from_fn_with_state(sign_in, error_pages::for_people));
    // What caches do to a probe is its subject.
    let probe_routes = probes.router(base).layer(map_response(says_itself));
    let files = files::router(base, &parts.texts);
    let mut routes = people
        .merge(login_routes)
        .merge(session_routes)
        .merge(forward_routes)
        .merge(oauth2_routes)
        .merge(redeem)
        .merge(probe_routes)
        .merge(files);
    if server.public_health {
        let path = format!("{base}/health-of-sign-in");
        routes = routes.merge(Router::new().route(&path, get(health_of_sign_in)).with_state(parts.status));
    }
    if let Some(pages) = &parts.official {
        routes = routes.merge(official::router(base, pages, &parts.texts));
    }
    if let Some(Extra(extra)) = parts.extra {
        routes = routes.merge(extra);
    }
    let account = format!("{base}/account");
    let routes = routes
        .fallback(move |uri: Uri, headers: HeaderMap| async move { not_found(&uri, &headers, &account) })
        .method_not_allowed_fallback(method_not_allowed);
    let routes = match parts.official {
        Some(OfficialPages { official, .. }) => {
            // A layer runs once the path is matched; a router around it sees every path.
            Router::new().fallback_service(routes).layer(from_fn_with_state(official, official::webhook))
        }
        None => routes,
    };
    middleware::wrap(routes, origins)
}

/// A person who comes to the site's first page where nothing else serves it is shown who they are.
fn not_found(uri: &Uri, headers: &HeaderMap, account: &str) -> Response {
    if uri.path() == "/" && prefers_html(headers) {
        return pages::see_other(account);
    }
    Problem::new(
        ProblemCode::NotFound,
        "max-auth answers here, but not at this address. Its endpoints live below server.base_path.",
    )
    .into_response()
}

async fn method_not_allowed() -> Problem {
    Problem::new(ProblemCode::MethodNotAllowed, "The Allow header says which methods this address takes.")
}
