//! A client that proves by a signed token who it is: `private_key_jwt` (RFC 7523 §3, OpenID Connect Core §9).

use super::Provider;
use super::error::{ErrorCode, OAuthError, error};
use super::params::Params;
use crate::base::jwk;
use crate::config::{Client, ClientAuth};
use crate::store::{Race, Space, Vault};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Longest life of an assertion, in seconds: as long as it must be remembered.
const LONGEST: i64 = 600;

/// What clocks may differ by, in seconds.
const SKEW: i64 = 30;

impl Provider {
    pub(super) async fn asserted(&self, params: &Params) -> Result<Arc<Client>, OAuthError> {
        let invalid = |why| Err(error(ErrorCode::InvalidClient, why));
        if params.get("client_assertion_type") != Some(TYPE) {
            return invalid("client_assertion_type is not urn:ietf:params:oauth:client-assertion-type:jwt-bearer.");
        }
        let Some(token) = params.get("client_assertion") else { return invalid("client_assertion is missing.") };
        // Its own word, to find its keys; nothing is believed before they fit.
        let named = unverified(token).and_then(|claims| claims["sub"].as_str().map(str::to_owned));
        let client = named.and_then(|id| self.clients.get(&id));
        let unknown = "There is no client of this sub with auth = private_key_jwt.";
        let Some(client) = client else { return invalid(unknown) };
        let ClientAuth::Keys(keys) = &client.auth else { return invalid(unknown) };
        if params.get("client_id").is_some_and(|id| id != client.id) {
            return invalid("client_id is not the sub of the assertion.");
        }
        let Some(verified) = jwk::verified(keys, token) else {
            return invalid("No key in jwks of the client signed this assertion.");
        };
        let claims = &verified.claims;
        if claims["iss"] != client.id.as_str() || claims["sub"] != client.id.as_str() {
            return invalid("iss and sub of the assertion must be the client_id.");
        }
        let audiences = match &claims["aud"] {
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect::<Vec<_>>(),
        };
        let ours = [self.issuer.clone(), format!("{}/oauth2/token", self.issuer)];
        if audiences.is_empty() || !audiences.iter().all(|audience| ours.iter().any(|ours| ours == audience)) {
            return invalid("aud of the assertion must be the issuer (or its token endpoint), and nobody else.");
        }
        let now = self.vault.unix_seconds();
        let Some(expires) = claims["exp"].as_i64() else { return invalid("exp of the assertion is missing.") };
        if expires <= now - SKEW || expires > now + LONGEST + SKEW {
            return invalid("The assertion is over, or lives longer than ten minutes.");
        }
        if claims["nbf"].as_i64().is_some_and(|begins| begins > now + SKEW) {
            return invalid("The assertion is not good yet.");
        }
        let Some(name) = claims["jti"].as_str().filter(|name| !name.is_empty()) else {
            return invalid("jti of the assertion is missing.");
        };
        let left = Duration::from_secs(u64::try_from(expires + SKEW - now).unwrap_or_default().max(1));
        match self.vault.race(Vault::key(Space::Used, &["assertion", &client.id, name]), left).await? {
            Race::Won { .. } => Ok(client),
            Race::Lost(_) => invalid("The assertion was used before (jti)."),
        }
    }
}

pub(super) fn unverified(token: &str) -> Option<Value> {
    let claims = token.split('.').nth(1).filter(|_| token.len() <= jwk::TOKEN)?;
    serde_json::from_slice(&crate::base::id::decode(claims)?).ok()
}
