//! What the endpoints of logins share: beginning one, and finding it for the browser that began it.

use super::cookie::Cookies;
use super::extract::is_phone;
use super::origin::AllowedOrigins;
use super::ready_head::ReadyHead;
use super::refusals::{login_not_found, store_unavailable};
use super::upgrade::StrippedUpgrades;
use crate::base::client_address::{ClientAddress, client_address};
use crate::base::id::{Fingerprint, LoginId};
use crate::base::limits::GRANT_LIFE;
use crate::base::problem::{Problem, ProblemCode};
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::login::{Login, Registry};
use crate::oidc::Provider;
use crate::texts::Texts;
use crate::transport::begin::{StartError, StartPolicy, StartRequest};
use crate::transport::stream_stats::StreamStats;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the login endpoints need, and nothing else.
pub struct Logins {
    pub registry: Arc<Registry>,
    pub policy: Arc<StartPolicy>,
    /// Who asks for a login, where it is for an app.
    pub provider: Arc<Provider>,
    pub origins: AllowedOrigins,
    pub cookies: Cookies,
    pub trusted_proxies: Vec<IpNet>,
    pub base_path: String,
    /// The site as visitors know it: the host of its address.
    pub site: String,
    pub texts: Arc<Texts>,
    pub ready: ReadyHead,
    pub first_message_timeout: Duration,
    /// `login.ttl` and the grant's life: how long a flow cookie is of use.
    pub flow_life: Duration,
    pub stripped: StrippedUpgrades,
    pub ends: Arc<StreamStats>,
    pub unlisted_proxy_told: AtomicBool,
    pub tasks: Tasks,
    pub rng: Rng,
}

impl Logins {
    /// `key`: of what the page may read the login with where it sends no cookie.
    pub async fn begin(
        &self,
        request: StartRequest,
        headers: &HeaderMap,
        peer: SocketAddr,
        flow: &Fingerprint,
        key: Option<Fingerprint>,
    ) -> Result<Arc<Login>, Problem> {
        let begun = self.policy.begin(request, self.who(headers, peer), *flow, key, is_phone(headers)).await;
        begun.map_err(|why| match why {
            StartError::ReturnTo => Problem::new(
                ProblemCode::ReturnToRefused,
                "returnTo must be a path of this site that begins with one slash, or an address on a listed origin.",
            ),
            StartError::Request => Problem::new(
                ProblemCode::RequestGone,
                "No app waits under this request, or another browser began it. Begin again at the app.",
            ),
            StartError::Driver => {
                Problem::invalid("driver must be one of login.drivers, such as \"account_qr\"; it may be left out.")
            }
            StartError::RateLimited { retry_after } => Problem::later(
                ProblemCode::RateLimited,
                "Too many sign-ins were begun from this address (login.starts_per_minute).",
                retry_after,
            ),
            StartError::Busy { retry_after } => Problem::later(
                ProblemCode::Busy,
                "As many sign-ins as this server takes are in flight (login.max_active).",
                retry_after,
            ),
            StartError::StoreFull { retry_after } => {
                Problem::later(ProblemCode::StoreFull, "There is no room to keep one more sign-in.", retry_after)
            }
        })
    }

    pub async fn begin_plain(
        &self,
        request: StartRequest,
        headers: &HeaderMap,
        peer: SocketAddr,
        flow: &Fingerprint,
        key: Option<Fingerprint>,
    ) -> Result<Arc<Login>, StartError> {
        self.policy.begin(request, self.who(headers, peer), *flow, key, is_phone(headers)).await
    }

    /// The login, for the browser that began it. For any other it does not exist.
    pub async fn find(&self, id: &str, headers: &HeaderMap) -> Result<Arc<Login>, Problem> {
        let (id, flow) = LoginId::parse(id).zip(self.cookies.flow(headers)).ok_or_else(login_not_found)?;
        let found = self.registry.find(id, &flow.fingerprint).await.map_err(|error| store_unavailable(&error))?;
        found.ok_or_else(login_not_found)
    }

    /// The login, for the page that began it, asking without its cookie.
    pub async fn find_by_key(&self, id: &str, key: &HeaderValue) -> Result<Arc<Login>, Problem> {
        let id = LoginId::parse(id).ok_or_else(login_not_found)?;
        let found = self.registry.find_by_key(id, key.as_bytes()).await.map_err(|error| store_unavailable(&error))?;
        found.ok_or_else(login_not_found)
    }

    pub fn who(&self, headers: &HeaderMap, peer: SocketAddr) -> ClientAddress {
        let who = client_address(peer.ip(), headers, &self.trusted_proxies);
        if who.unlisted_proxy && !self.unlisted_proxy_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                proxy = %who.ip,
                "a proxy that is not in server.trusted_proxies forwards visitors; until it is listed they share its \
                 address, and the limit per address counts them together"
            );
        }
        who
    }
}

/// How long the flow cookie is of use.
pub fn flow_life(ttl: Duration) -> Duration {
    ttl + GRANT_LIFE + Duration::from_secs(60)
}
