//! `/token` (RFC 6749 §3.2), in phases: who is the client, may it use this grant, what does the grant come to. And what else a
//! client asks us directly: introspection (RFC 7662) and revocation (RFC 7009).

use super::clients::has_secret;
use super::code::Bound;
use super::dpop::DpopHeader;
use super::error::{ErrorCode, OAuthError, error};
use super::params::Params;
use super::tokens::{Live, TokenResponse};
use super::{Provider, claims};
use crate::config::{Client, GrantType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use std::sync::Arc;

impl Provider {
    /// `authorization`: the header, where there is one.
    pub async fn token(
        &self,
        params: &Params,
        authorization: Option<&str>,
        dpop: Option<DpopHeader<'_>>,
    ) -> Result<TokenResponse, OAuthError> {
        params.none_twice()?;
        let client = self.authenticated(params, authorization).await?;
        let client = client.as_ref();
        let grant = match params.get("grant_type") {
            Some("authorization_code") => GrantType::AuthorizationCode,
            Some("refresh_token") => GrantType::RefreshToken,
            Some("urn:ietf:params:oauth:grant-type:device_code") => GrantType::DeviceCode,
            None => return Err(error(ErrorCode::InvalidRequest, "grant_type is missing.")),
            Some(_) => {
                let known = "grant_type is none of authorization_code, refresh_token and device_code (RFC 8628).";
                return Err(error(ErrorCode::UnsupportedGrantType, known));
            }
        };
        if !client.grants.contains(&grant) {
            return Err(error(ErrorCode::UnauthorizedClient, "This grant_type is not in grants of the client."));
        }
        let jkt = self.proven(client, dpop).await?;
        match grant {
            GrantType::AuthorizationCode => self.by_code(client, params, jkt).await,
            GrantType::DeviceCode => {
                let code = needed(params, "device_code", "device_code is missing.")?;
                self.by_device(client, code, jkt).await
            }
            GrantType::RefreshToken => {
                let token = needed(params, "refresh_token", "refresh_token is missing.")?;
                self.refresh(client, token, params.get("scope"), jkt.as_deref()).await
            }
        }
    }

    async fn by_code(
        &self,
        client: &Client,
        params: &Params,
        jkt: Option<String>,
    ) -> Result<TokenResponse, OAuthError> {
        let code = needed(params, "code", "code is missing.")?;
        super::request::resources(params, client)?;
        let bound = Bound::Redirect(params.get("redirect_uri"));
        let record = self.redeem(client, code, bound, params.get("code_verifier")).await?;
        self.first_tokens(client, record, jkt).await
    }

    /// Who signed in, for a site that speaks no OpenID Connect: the claims of its scopes, and the same as `id_token`. There is no
    /// access token, so nothing is left to keep.
    pub async fn identity(
        &self,
        params: &Params,
        authorization: Option<&str>,
    ) -> Result<Map<String, Value>, OAuthError> {
        params.none_twice()?;
        let client = self.authenticated(params, authorization).await?;
        if !client.grants.contains(&GrantType::AuthorizationCode) {
            return Err(error(ErrorCode::UnauthorizedClient, "grants of this client has no authorization_code."));
        }
        let jkt = self.proven(&client, None).await?;
        let code = needed(params, "code", "code is missing.")?;
        let verifier = needed(params, "code_verifier", "code_verifier is missing.")?;
        let record = self.redeem(&client, code, Bound::Verifier, Some(verifier)).await?;
        self.first_identity(&client, record, jkt).await
    }

    /// The client: by Basic, by its secret in the body, by its id alone if it has no secret (RFC 6749 §2.3), or by a token that
    /// it signed.
    pub(super) async fn authenticated(
        &self,
        params: &Params,
        authorization: Option<&str>,
    ) -> Result<Arc<Client>, OAuthError> {
        let invalid = |why| error(ErrorCode::InvalidClient, why);
        if params.get("client_assertion").is_some() || params.get("client_assertion_type").is_some() {
            if authorization.is_some() || params.get("client_secret").is_some() {
                let why = "The client sends an assertion and a secret; one is enough (RFC 6749, 2.3).";
                return Err(error(ErrorCode::InvalidRequest, why));
            }
            return self.asserted(params).await;
        }
        let in_body = (params.get("client_id"), params.get("client_secret"));
        let Some(header) = authorization else {
            let (id, secret) = in_body;
            let id = id.ok_or_else(|| invalid("The client says neither client_id nor Authorization."))?;
            let known = self.client(id).await?;
            return match (known, secret) {
                (Some(client), None) if client.is_public() => Ok(client),
                (Some(client), Some(secret)) if has_secret(&client, secret) => Ok(client),
                _ => Err(invalid("There is no such client, or this is not its secret.")),
            };
        };
        if in_body.1.is_some() {
            let why = "The client sends its secret both in Authorization and in the body (RFC 6749, 2.3).";
            return Err(error(ErrorCode::InvalidRequest, why));
        }
        let (id, secrets) =
            basic(header).ok_or_else(|| invalid("Authorization is not Basic with an id and a secret."))?;
        if in_body.0.is_some_and(|other| other != id) {
            return Err(error(ErrorCode::InvalidRequest, "client_id is not that of Authorization."));
        }
        let client = self.clients.get(&id);
        let client = client.filter(|client| secrets.iter().any(|secret| has_secret(client, secret)));
        client.ok_or_else(|| invalid("There is no such client, or this is not its secret."))
    }

    /// What a token is good for, for the client that has it. Of the tokens of others nothing is said.
    pub async fn introspect(&self, params: &Params, authorization: Option<&str>) -> Result<Value, OAuthError> {
        params.none_twice()?;
        let client = self.authenticated(params, authorization).await?;
        let client = client.as_ref();
        if client.is_public() {
            return Err(error(ErrorCode::InvalidClient, "Only a client with a secret may ask (RFC 7662, 2.1)."));
        }
        let token = needed(params, "token", "token is missing.")?;
        let Some((live, kind)) = self.found(client, token).await? else { return Ok(json!({ "active": false })) };
        let mut answer = json!({
            "active": true,
            "iss": self.issuer,
            "client_id": client.id,
            "sub": claims::subject(client, &live.family.who.session.sub, &self.vault),
            "scope": live.family.scope.join(" "),
            "auth_time": live.issued,
            "token_type": kind,
        });
        if let Some(jkt) = &live.family.jkt {
            answer["cnf"] = json!({ "jkt": jkt });
            if kind == "Bearer" {
                answer["token_type"] = json!("DPoP");
            }
        }
        if kind == "refresh_token" {
            answer["exp"] = json!(live.expires);
        }
        Ok(answer)
    }

    /// A token, and with it all of its sign-in. What is no token of the client's is as good as revoked.
    pub async fn revoke(&self, params: &Params, authorization: Option<&str>) -> Result<(), OAuthError> {
        params.none_twice()?;
        let client = self.authenticated(params, authorization).await?;
        let client = client.as_ref();
        let token = needed(params, "token", "token is missing.")?;
        if let Some((live, _)) = self.found(client, token).await? {
            self.withdraw(&live.name).await?;
        }
        Ok(())
    }

    async fn found(&self, client: &Client, token: &str) -> Result<Option<(Live, &'static str)>, OAuthError> {
        let theirs = |live: &Live| live.family.client == client.id;
        if let Some(live) = self.access(token).await?.filter(theirs) {
            return Ok(Some((live, "Bearer")));
        }
        Ok(self.refreshable(token).await?.filter(theirs).map(|live| (live, "refresh_token")))
    }

    /// OpenID Connect Core §5.3; `None` where the token is not good, which one that is bound to a key is only with a proof of it.
    pub async fn userinfo(
        &self,
        token: &str,
        dpop: Option<DpopHeader<'_>>,
    ) -> Result<Option<Map<String, Value>>, OAuthError> {
        let Some(live) = self.access(token).await? else { return Ok(None) };
        let proven = match dpop {
            Some(header) => Some(self.proof(header, "userinfo", Some(token)).await?),
            None => None,
        };
        if proven != live.family.jkt {
            return Ok(None);
        }
        let Some(client) = self.client(&live.family.client).await? else { return Ok(None) };
        Ok(Some(self.claims_of(&client, &live.family).await?))
    }
}

fn needed<'a>(params: &'a Params, name: &str, missing: &'static str) -> Result<&'a str, OAuthError> {
    params.get(name).ok_or_else(|| error(ErrorCode::InvalidRequest, missing))
}

/// Id and secret: form-encoded as RFC 6749 §2.3.1 wants it, or as they are, which many send.
pub(super) fn basic(header: &str) -> Option<(String, [String; 2])> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    Some((decoded(id), [secret.to_owned(), decoded(secret)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_read_encoded_and_plain() {
        let header = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let (id, secrets) = basic(&header("my%2Dapp:a%2Bb+c")).unwrap();
        assert_eq!((id.as_str(), secrets), ("my-app", ["a%2Bb+c".to_owned(), "a+b c".to_owned()]));
        assert_eq!(basic(&header("a:b:c").replace("Basic", "bAsIc")).unwrap().1[0], "b:c");
        for bad in ["", "Basic", "Basic !", "Bearer YTpi", &header("nobody")] {
            assert!(basic(bad).is_none(), "{bad}");
        }
    }
}
