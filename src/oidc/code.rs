//! The authorization code: a minute, once, for the client and the address it was made for (RFC 6749 §4.1.2).

use super::Provider;
use super::error::{ErrorCode, OAuthError, error};
use super::request::{AuthorizationRequest, proves};
use crate::config::Client;
use crate::session::SignedIn;
use crate::store::{Race, Vault};
use crate::store::{Space, Unavailable};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a code can be redeemed.
const CODE_LIFE: Duration = Duration::from_secs(60);

/// How long it is remembered, so that one that comes again is known and takes its tokens with it.
const CODE_REMEMBERED: Duration = Duration::from_secs(600);

#[derive(Serialize, Deserialize)]
pub struct CodeRecord {
    pub request: AuthorizationRequest,
    pub who: SignedIn,
    /// Of the tokens that it will become.
    pub family: String,
    issued: i64,
}

impl CodeRecord {
    pub fn new(request: AuthorizationRequest, who: SignedIn, family: String) -> Self {
        Self { request, who, family, issued: 0 }
    }
}

/// What binds a code to the request that it answers, beside the client.
pub enum Bound<'a> {
    /// The address that it was sent to (RFC 6749 §4.1.3), and the verifier where a challenge was sent.
    Redirect(Option<&'a str>),
    /// The verifier, without which nothing goes.
    Verifier,
}

impl Provider {
    pub(super) async fn issue(&self, mut record: CodeRecord) -> Result<String, Unavailable> {
        record.issued = self.vault.unix_ms();
        let code = self.vault.secret();
        self.vault.put(Vault::key(Space::Code, &[&code]), &record, CODE_REMEMBERED).await?;
        Ok(code)
    }

    /// Everything that could be somebody else's mistake is looked at before the code is used up: a stranger who got hold of a
    /// code cannot burn it.
    pub(super) async fn redeem(
        &self,
        client: &Client,
        code: &str,
        bound: Bound<'_>,
        verifier: Option<&str>,
    ) -> Result<CodeRecord, OAuthError> {
        let invalid = |why| Err(error(ErrorCode::InvalidGrant, why));
        let record: Option<CodeRecord> = self.vault.get(Vault::key(Space::Code, &[code])).await?;
        let Some(record) = record.filter(|record| record.request.client == client.id) else {
            return invalid("There is no such code: it is over, or of another client.");
        };
        match bound {
            Bound::Redirect(uri) if uri != Some(record.request.back.redirect_uri.as_str()) => {
                return invalid("redirect_uri is not that of the request.");
            }
            Bound::Verifier if record.request.challenge.is_none() => {
                return invalid("The request had no code_challenge: redeem this code at the token endpoint.");
            }
            Bound::Redirect(_) | Bound::Verifier => {}
        }
        match (&record.request.challenge, verifier) {
            (Some(challenge), Some(verifier)) if proves(challenge, verifier) => {}
            (None, None) => {}
            (Some(_), None) => return invalid("code_verifier is missing."),
            (Some(_), Some(_)) => return invalid("code_verifier does not fit code_challenge."),
            // Somebody took the challenge out of the request (RFC 9700 §4.8.2).
            (None, Some(_)) => return invalid("code_verifier came, but the request had no code_challenge."),
        }
        match self.vault.race(Vault::key(Space::Used, &["code", code]), CODE_REMEMBERED).await? {
            Race::Won { .. } => {}
            Race::Lost(_) => {
                tracing::warn!(client = client.id, "a code came twice; its tokens are withdrawn");
                self.withdraw(&record.family).await?;
                return invalid("The code was used before.");
            }
        }
        let age = self.vault.unix_ms().saturating_sub(record.issued);
        if age > i64::try_from(CODE_LIFE.as_millis()).unwrap_or(i64::MAX) {
            return invalid("The code is older than a minute.");
        }
        Ok(record)
    }
}
