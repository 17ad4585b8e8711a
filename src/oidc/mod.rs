//! The OpenID Connect provider: any app adds "Sign in with MAX" by configuration. Knows neither HTTP nor transports: requests
//! come in as parameters, and go out as steps, JSON and errors by the names of the specifications.

#[cfg(test)]
mod another_site_tests;
mod assertion;
mod authorize;
mod backchannel;
#[cfg(test)]
mod bounds_tests;
mod claims;
#[cfg(test)]
mod client_tests;
mod clients;
mod code;
mod device;
mod discovery;
#[cfg(test)]
mod document_tests;
mod documents;
mod dpop;
mod email;
#[cfg(test)]
mod email_tests;
mod error;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod jws;
mod keys;
mod logout;
mod params;
mod pushed;
mod request;
mod site_token;
#[cfg(test)]
mod tests;
mod token;
mod tokens;

pub use authorize::{Question, REQUEST_LIFE, Reply, Step};
pub use backchannel::{Deliver, LogoutNotice};
pub use claims::person;
use clients::Clients;
pub use device::{DeviceAnswer, DeviceQuestion};
pub use documents::{Document, Documents, Fetch, Fetched};
pub use dpop::DpopHeader;
pub use email::LONGEST as LONGEST_EMAIL;
pub use error::{ErrorCode, OAuthError};
pub use keys::{JWKS_AGE, Keys, Rotation};
pub use logout::LogoutStep;
pub use params::Params;
pub use request::ResponseMode;

use crate::config::{self, Groups, SigningAlgorithm};
use crate::session::Sessions;
use crate::store::Vault;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub struct Provider {
    pub issuer: String,
    /// The site's own address, without a slash at its end.
    site: String,
    /// Where the site's backend hears that a session is over.
    told: Option<String>,
    clients: Clients,
    groups: Groups,
    pub keys: Arc<Keys>,
    algorithms: Vec<SigningAlgorithm>,
    vault: Vault,
    sessions: Arc<Sessions>,
    token_ttl: Duration,
    refresh_ttl: Duration,
    email_domain: String,
    deliver: Arc<dyn Deliver>,
    documents: Option<Documents>,
}

impl Provider {
    /// `issuer` and `site` are addresses without a slash at their end.
    pub fn new(
        settings: &config::Oidc,
        (issuer, site): (String, String),
        groups: Groups,
        sessions: Arc<Sessions>,
        vault: Vault,
        deliver: Arc<dyn Deliver>,
    ) -> Self {
        // RS256 is what every client knows (OpenID Connect Core §15.1).
        let used = settings.clients.iter().map(|client| client.id_token_alg);
        let algorithms: BTreeSet<SigningAlgorithm> = used.chain([SigningAlgorithm::Rs256]).collect();
        let algorithms: Vec<SigningAlgorithm> = algorithms.into_iter().collect();
        Self {
            issuer,
            site,
            told: None,
            clients: Clients::new(settings.clients.clone()),
            groups,
            keys: Arc::new(Keys::new(vault.clone(), settings.key_life, algorithms.clone())),
            algorithms,
            vault,
            sessions,
            token_ttl: settings.token_ttl,
            refresh_ttl: settings.refresh_ttl,
            email_domain: settings.email_domain.clone(),
            deliver,
            documents: None,
        }
    }

    /// Tells the site's backend of sessions that are over, too (`session.backchannel_logout_uri`).
    pub fn with_told(self, told: Option<String>) -> Self {
        Self { told, ..self }
    }

    /// Clients by a document about themselves, too.
    pub fn with_documents(self, documents: Option<Documents>) -> Self {
        Self { documents, ..self }
    }

    /// Whether anybody can use it.
    pub fn has_clients(&self) -> bool {
        self.clients.iter().next().is_some() || self.documents.is_some()
    }
}
