//! What begins a login, and what every login of this node has in common.

use crate::base::id::Fingerprint;
use crate::signin::BrowserInfo;
use crate::store::Unavailable;
use crate::texts::{Locale, Texts};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What begins a login, checked.
pub struct StartParams {
    pub browser: BrowserInfo,
    pub purpose: Purpose,
    pub locale: Locale,
    /// Of the flow cookie of the browser that begins.
    pub flow: Fingerprint,
    /// Of what lets the same page read without its cookie: browsers ask so over connections of their own, which live when the
    /// others have died in silence.
    pub key: Option<Fingerprint>,
    /// A phone leaves the page to approve, so it is waited for longer.
    pub phone: bool,
    /// Of the visitor, for the operator's list of failures; no finer than a provider's.
    pub network: Option<IpNet>,
    /// Which driver asks MAX, by its name; else the first that is up.
    pub driver: Option<String>,
    /// Of the visitor, where a driver compares it.
    pub address: Option<IpAddr>,
}

/// What a login is for; its grant carries it on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A session of this site.
    Site {
        /// Where to go afterwards: a path of this site or an address on a listed origin.
        return_to: String,
    },
    /// An app of OpenID Connect, whose request waits under this id.
    Authorize { request: String },
}

/// An answer of [`Continuations`] on its way.
pub type Admitted<'a> = Pin<Box<dyn Future<Output = Result<bool, Unavailable>> + Send + 'a>>;

/// What waits for a login, and goes on when it is over.
pub trait Continuations: Send + Sync + 'static {
    /// Whether a request waits under this id, for the browser of this flow.
    fn admit<'a>(&'a self, request: &'a str, flow: &'a Fingerprint) -> Admitted<'a>;
}

pub struct Settings {
    /// `login.ttl`
    pub ttl: Duration,
    /// `login.grace`
    pub grace: Duration,
    /// `login.grace_phone`
    pub grace_phone: Duration,
    /// `login.max_active`
    pub max_active: usize,
    /// `login.max_active_total`
    pub max_active_total: u32,
    /// Where `success` sends the browser; the token is added behind `?token=`.
    pub callback: String,
    /// What visitors are told.
    pub texts: Arc<Texts>,
}
