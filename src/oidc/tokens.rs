//! What a code becomes. The tokens of one sign-in are a family, which is kept under its name and is withdrawn as a whole; the
//! tokens themselves are that name, sealed, with an end.

use super::Provider;
use super::claims;
use super::code::CodeRecord;
use super::error::{ErrorCode, OAuthError, error};
use crate::config::{Client, GrantType};
use crate::session::{SessionId, SignedIn};
use crate::store::{Key, Space, Unavailable};
use crate::store::{Race, Vault};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Duration;

const ACCESS: &[u8] = b"max-auth access token 1";
const REFRESH: &[u8] = b"max-auth refresh token 1";

/// A refresh token that comes again within so long is a client whose answer was lost, unless the next one was used already.
const RETRY: Duration = Duration::from_secs(10);

/// Who signed in for which client.
#[derive(Clone, Serialize, Deserialize)]
pub struct Family {
    pub client: String,
    pub who: SignedIn,
    pub scope: Vec<String>,
    pub claims: Vec<String>,
    pub resources: Vec<String>,
    /// The thumbprint of the key without which its tokens are worth nothing.
    #[serde(default)]
    pub jkt: Option<String>,
    /// Its end, in Unix milliseconds.
    until: i64,
}

/// As it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// `None`: withdrawn, which is kept so that it is not written anew.
    family: Option<Family>,
}

impl Family {
    /// The person wants the client to go on without them.
    fn is_offline(&self) -> bool {
        self.scope.iter().any(|scope| scope == "offline_access")
    }
}

#[derive(Serialize, Deserialize)]
struct AccessToken {
    family: String,
}

#[derive(Serialize, Deserialize)]
struct RefreshToken {
    family: String,
    generation: u32,
}

/// RFC 6749 §5.1.
#[derive(Serialize)]
pub struct TokenResponse {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
    id_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// A token that is good, and its family.
pub struct Live {
    pub family: Family,
    pub name: String,
    /// Seconds.
    pub issued: i64,
    pub expires: i64,
}

impl Provider {
    /// The tokens of a code that was just redeemed.
    pub(super) async fn first_tokens(
        &self,
        client: &Client,
        code: CodeRecord,
        jkt: Option<String>,
    ) -> Result<TokenResponse, OAuthError> {
        let (name, nonce) = (code.family.clone(), code.request.nonce.clone());
        let refreshes = client.grants.contains(&GrantType::RefreshToken);
        let family = self.begun(client, code, jkt).await?;
        let generation = refreshes.then_some(0);
        self.tokens(client, &family, &name, nonce.as_deref(), generation).await
    }

    /// What they would say, and an `id_token` that says it signed.
    pub(super) async fn first_identity(
        &self,
        client: &Client,
        code: CodeRecord,
        jkt: Option<String>,
    ) -> Result<Map<String, Value>, OAuthError> {
        let nonce = code.request.nonce.clone();
        let family = self.begun(client, code, jkt).await?;
        let id_token = self.id_token(client, &family, nonce.as_deref(), None).await?;
        metrics::counter!("max_auth_oidc_tokens_total").increment(1);
        let mut claims = self.claims_of(client, &family).await?;
        claims.insert("auth_time".to_owned(), json!(family.who.session.auth_time / 1000));
        claims.insert("sid".to_owned(), json!(self.sid(client, &family.who)));
        claims.insert("id_token".to_owned(), json!(id_token));
        Ok(claims)
    }

    /// The family of a code that was just redeemed.
    async fn begun(&self, client: &Client, code: CodeRecord, jkt: Option<String>) -> Result<Family, OAuthError> {
        let CodeRecord { request, who, family: name, .. } = code;
        let refreshes = client.grants.contains(&GrantType::RefreshToken);
        let life = if refreshes { self.refresh_ttl.max(self.token_ttl) } else { self.token_ttl };
        let until = self.vault.unix_ms().saturating_add(i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let family = Family {
            client: client.id.clone(),
            who,
            scope: request.scope,
            claims: request.claims,
            resources: request.resources,
            jkt,
            until,
        };
        // Withdrawn already, by the same code in other hands: not written over.
        if !self.vault.put_new(family_key(&name), &Kept { family: Some(family.clone()) }, life).await? {
            return Err(error(ErrorCode::InvalidGrant, "The code was used before."));
        }
        self.used(client, &family.who).await?;
        Ok(family)
    }

    /// Each refresh token is good once; one that comes again later takes the family with it (RFC 9700 §4.14.2).
    pub(super) async fn refresh(
        &self,
        client: &Client,
        token: &str,
        scope: Option<&str>,
        jkt: Option<&str>,
    ) -> Result<TokenResponse, OAuthError> {
        let invalid = |why| Err(error(ErrorCode::InvalidGrant, why));
        let over = "The refresh token is over, was withdrawn, or is none.";
        let Some(RefreshToken { family: name, generation }) = self.vault.open_token(REFRESH, token) else {
            return invalid(over);
        };
        let Some(family) = self.family(&name).await?.filter(|family| family.client == client.id) else {
            return invalid(over);
        };
        if family.jkt.as_deref() != jkt {
            return Err(error(ErrorCode::InvalidDpopProof, "The refresh token is bound to another key, or to none."));
        }
        let mut narrowed = family.clone();
        if scope.is_some() {
            narrowed.scope = super::params::words(scope);
            if !narrowed.scope.iter().all(|scope| family.scope.contains(scope)) {
                return Err(error(ErrorCode::InvalidScope, "scope has more in it than was given at the sign-in."));
            }
        }
        if !client.allow.permits(&claims::person(&family.who), &self.groups) {
            self.withdraw(&name).await?;
            return invalid("This person may not use this client any more.");
        }
        match self.vault.race(used_key(&name, generation), self.refresh_ttl).await? {
            Race::Won { .. } => {}
            Race::Lost(ago) => {
                let next: Option<Value> = self.vault.get(used_key(&name, generation + 1)).await?;
                if ago > RETRY || next.is_some() {
                    tracing::warn!(client = client.id, "a refresh token came twice; its family is withdrawn");
                    self.withdraw(&name).await?;
                    return invalid("The refresh token was used before.");
                }
            }
        }
        self.tokens(client, &narrowed, &name, None, Some(generation + 1)).await
    }

    async fn tokens(
        &self,
        client: &Client,
        family: &Family,
        name: &str,
        nonce: Option<&str>,
        generation: Option<u32>,
    ) -> Result<TokenResponse, OAuthError> {
        let access_token = self.vault.seal_token(ACCESS, &AccessToken { family: name.to_owned() }, self.token_ttl)?;
        let left = u64::try_from(family.until.saturating_sub(self.vault.unix_ms())).unwrap_or_default();
        let refresh_token = match generation {
            None => None,
            Some(generation) => {
                let token = RefreshToken { family: name.to_owned(), generation };
                Some(self.vault.seal_token(REFRESH, &token, Duration::from_millis(left))?)
            }
        };
        let id_token = self.id_token(client, family, nonce, Some(&access_token)).await?;
        metrics::counter!("max_auth_oidc_tokens_total").increment(1);
        Ok(TokenResponse {
            access_token,
            token_type: if family.jkt.is_some() { "DPoP" } else { "Bearer" },
            expires_in: self.token_ttl.as_secs(),
            scope: family.scope.join(" "),
            id_token,
            refresh_token,
        })
    }

    /// OpenID Connect Core §2.
    async fn id_token(
        &self,
        client: &Client,
        family: &Family,
        nonce: Option<&str>,
        access_token: Option<&str>,
    ) -> Result<String, OAuthError> {
        let keys = self.keys.set().await?;
        let no_key = error(ErrorCode::ServerError, "There is no signing key.");
        let key = keys.signing(client.id_token_alg).ok_or_else(|| no_key.clone())?;
        let now = self.vault.unix_seconds();
        let mut claims = self.claims_of(client, family).await?;
        let lasts = i64::try_from(self.token_ttl.as_secs()).unwrap_or(i64::MAX);
        let own = [
            ("iss", json!(self.issuer)),
            ("aud", json!(client.id)),
            ("exp", json!(now.saturating_add(lasts))),
            ("iat", json!(now)),
            ("auth_time", json!(family.who.session.auth_time / 1000)),
            ("sid", json!(self.sid(client, &family.who))),
            ("acr", json!(claims::acr(family.who.session.driver))),
            ("amr", json!(claims::amr(family.who.session.driver))),
        ];
        claims.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
        claims.extend(access_token.map(|token| ("at_hash".to_owned(), json!(key.half_hash(token)))));
        claims.extend(nonce.map(|nonce| ("nonce".to_owned(), json!(nonce))));
        key.sign("JWT", &claims).ok_or(no_key)
    }

    pub(super) async fn claims_of(&self, client: &Client, family: &Family) -> Result<Map<String, Value>, Unavailable> {
        let sub = &family.who.session.sub;
        let subject = claims::subject(client, sub, &self.vault);
        let asked = (family.scope.as_slice(), family.claims.as_slice());
        let email = self.address(client, sub, asked, &subject).await?;
        Ok(claims::claims(client, &family.who, asked, (&self.groups, email.as_deref()), &subject))
    }

    /// A session as a client knows it: another name for each, so that clients cannot compare their users by it.
    pub(super) fn sid(&self, client: &Client, who: &SignedIn) -> String {
        self.sid_of(client, &who.id)
    }

    pub(super) fn sid_of(&self, client: &Client, session: &SessionId) -> String {
        let name = format!("session\0{}\0{}", client.sector, session.text());
        self.vault.pseudonym(name.as_bytes()).chars().take(22).collect()
    }

    /// The family of an access token that is good now.
    pub async fn access(&self, token: &str) -> Result<Option<Live>, Unavailable> {
        let Some(opened) = self.vault.open_token::<AccessToken>(ACCESS, token) else { return Ok(None) };
        self.live(opened.family).await
    }

    /// The same of a refresh token, whether it was used or not.
    pub(super) async fn refreshable(&self, token: &str) -> Result<Option<Live>, Unavailable> {
        let Some(opened) = self.vault.open_token::<RefreshToken>(REFRESH, token) else { return Ok(None) };
        let used: Option<Value> = self.vault.get(used_key(&opened.family, opened.generation)).await?;
        if used.is_some() { Ok(None) } else { self.live(opened.family).await }
    }

    async fn live(&self, name: String) -> Result<Option<Live>, Unavailable> {
        let family = self.family(&name).await?;
        Ok(family.map(|family| Live {
            issued: family.who.session.auth_time / 1000,
            expires: family.until / 1000,
            family,
            name,
        }))
    }

    /// A family that was not withdrawn; one that is not to outlive its session ends with it.
    async fn family(&self, name: &str) -> Result<Option<Family>, Unavailable> {
        let kept: Option<Kept> = self.vault.get(family_key(name)).await?;
        let Some(family) = kept.and_then(|kept| kept.family) else { return Ok(None) };
        if !family.is_offline() && self.sessions.is_over(&family.who).await {
            return Ok(None);
        }
        Ok(Some(family))
    }

    /// All tokens of a family are worthless from now on. Written rather than removed: it may be about to begin.
    pub(super) async fn withdraw(&self, name: &str) -> Result<(), Unavailable> {
        let gone = Kept { family: None };
        self.vault.put(family_key(name), &gone, self.refresh_ttl.max(self.token_ttl)).await
    }
}

fn family_key(name: &str) -> Key {
    Vault::key(Space::Family, &[name])
}

fn used_key(name: &str, generation: u32) -> Key {
    Vault::key(Space::Used, &["refresh", name, &generation.to_string()])
}
