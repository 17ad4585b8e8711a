//! Tokens that are worth nothing without a key of the client's (DPoP, RFC 9449): each request proves that it has the key.

use super::Provider;
use super::error::{ErrorCode, OAuthError, error};
use crate::base::id::{self, Fingerprint};
use crate::base::jwk::{self, PublicKey};
use crate::config::Client;
use crate::store::{Race, Space, Vault};
use serde_json::Value;
use std::time::Duration;

/// What a proof may be older or younger than now, in seconds (§11.1).
const WINDOW: i64 = 60;

/// Longest `jti`, in bytes.
const NAME: usize = 200;

/// A header `DPoP`, and the request that it came with.
#[derive(Clone, Copy)]
pub struct DpopHeader<'a> {
    pub proof: &'a str,
    pub method: &'a str,
}

impl Provider {
    /// The thumbprint of the key that this request proves to have, where it does.
    pub(super) async fn proven(
        &self,
        client: &Client,
        header: Option<DpopHeader<'_>>,
    ) -> Result<Option<String>, OAuthError> {
        match header {
            Some(header) => self.proof(header, "token", None).await.map(Some),
            None if client.dpop_required => {
                Err(error(ErrorCode::InvalidDpopProof, "dpop = required: the DPoP header is missing (RFC 9449)."))
            }
            None => Ok(None),
        }
    }

    /// §4.3, in its order. `endpoint`: below `/oauth2/`; `token`: the access token that comes with the proof.
    pub(super) async fn proof(
        &self,
        header: DpopHeader<'_>,
        endpoint: &str,
        token: Option<&str>,
    ) -> Result<String, OAuthError> {
        let invalid = |why| Err(error(ErrorCode::InvalidDpopProof, why));
        let Some(key) = own_key(header.proof) else {
            return invalid("The proof is no JWT of typ dpop+jwt with a public key in its header.");
        };
        let Some(verified) = jwk::verified(std::slice::from_ref(&key), header.proof) else {
            return invalid("The proof is not signed by the key in its header.");
        };
        let claims = &verified.claims;
        if claims["htm"] != header.method {
            return invalid("htm of the proof is not the method of the request.");
        }
        let here = format!("{}/oauth2/{endpoint}", self.issuer);
        let named = claims["htu"].as_str().map(|uri| uri.split(['?', '#']).next().unwrap_or_default());
        if named != Some(here.as_str()) {
            return invalid("htu of the proof is not the address of this endpoint.");
        }
        let now = self.vault.unix_seconds();
        if claims["iat"].as_i64().is_none_or(|made| (now - made).abs() > WINDOW) {
            return invalid("iat of the proof is not within a minute of now.");
        }
        if let Some(token) = token {
            let hash = id::encode(Fingerprint::of(token.as_bytes()).bytes());
            if claims["ath"] != hash.as_str() {
                return invalid("ath of the proof is not the hash of the access token.");
            }
        }
        let Some(name) = claims["jti"].as_str().filter(|name| (1..=NAME).contains(&name.len())) else {
            return invalid("jti of the proof is missing, or too long.");
        };
        let thumbprint = key.thumbprint();
        let used = Vault::key(Space::Used, &["dpop", &thumbprint, name]);
        match self.vault.race(used, Duration::from_secs(2 * WINDOW.unsigned_abs())).await? {
            Race::Won { .. } => Ok(thumbprint),
            Race::Lost(_) => invalid("The proof was used before (jti)."),
        }
    }
}

/// The key in the header of a proof.
pub(super) fn own_key(proof: &str) -> Option<PublicKey> {
    let header = proof.split('.').next().filter(|_| proof.len() <= jwk::TOKEN)?;
    let header: Value = serde_json::from_slice(&id::decode(header)?).ok()?;
    (header["typ"] == "dpop+jwt").then_some(())?;
    PublicKey::parse(&header["jwk"]).ok()
}
