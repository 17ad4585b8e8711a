//! Pushed authorization requests (RFC 9126): the client sends what it asks for itself, and the browser carries a reference.

use super::Provider;
use super::error::{ErrorCode, OAuthError, error};
use super::params::Params;
use super::request::{Refusal, read};
use crate::config::Client;
use crate::store::{Key, Space, Unavailable, Vault};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// Until the browser must have come (RFC 9126 §2.2).
const LIFE: Duration = Duration::from_secs(90);

/// By these a client proves who it is; they are kept nowhere.
const PROOFS: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];

#[derive(Serialize, Deserialize)]
struct Pushed {
    params: String,
}

/// RFC 9126 §2.2.
#[derive(Serialize, Debug)]
pub struct PushedResponse {
    request_uri: String,
    expires_in: u64,
}

impl Provider {
    /// Everything is checked at once, so that the client and not a visitor hears what is wrong.
    pub async fn push(&self, params: &Params, authorization: Option<&str>) -> Result<PushedResponse, OAuthError> {
        params.none_twice()?;
        let client = self.authenticated(params, authorization).await?;
        let named = params.without(&PROOFS).with("client_id", &client.id);
        let keys = self.keys.set().await?;
        let hint = |token: &str, client: &Client| self.hinted(&keys, token, Some(&client.id)).map(|hint| hint.subject);
        read(&named, &client, hint).map_err(|refusal| match refusal {
            Refusal::Page(error) | Refusal::Client(_, error) => error,
        })?;
        let id = self.vault.secret();
        self.vault.put(key(&id), &Pushed { params: named.encoded() }, LIFE).await?;
        Ok(PushedResponse { request_uri: format!("{PREFIX}{id}"), expires_in: LIFE.as_secs() })
    }

    /// What a browser's request means: itself, or what was pushed, once.
    pub(super) async fn meant(&self, params: &Params) -> Result<Result<Option<Params>, OAuthError>, Unavailable> {
        let Some(id) = params.get("request_uri").and_then(|uri| uri.strip_prefix(PREFIX)) else { return Ok(Ok(None)) };
        let pushed: Option<Pushed> = self.vault.take(key(id)).await?;
        let pushed = pushed.map(|pushed| Params::parse(pushed.params.as_bytes()));
        let theirs = pushed.filter(|pushed| pushed.get("client_id") == params.get("client_id"));
        let gone = "There is no such request_uri: it was used, is older than 90 seconds, or of another client.";
        Ok(theirs.map(Some).ok_or_else(|| error(ErrorCode::InvalidRequest, gone)))
    }
}

fn key(id: &str) -> Key {
    Vault::key(Space::Request, &["pushed", id])
}
