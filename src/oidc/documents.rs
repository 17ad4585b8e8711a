//! Clients by a document about themselves: a `client_id` that is an address, where the document is
//! (draft-ietf-oauth-client-id-metadata-document). Nobody vouches for them: they have no secret, only their own host and the
//! visitor's machine are told anything, and people are asked each time.

use super::Provider;
use super::error::{ErrorCode, OAuthError, error};
use crate::config::{
    AllowList, Client, ClientAuth, ClientDocuments, Consent, Email, GrantType, SigningAlgorithm, Subject,
};
use crate::store::{Key, Space, Unavailable, Vault};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Longest `client_id` that is an address.
const ID: usize = 500;

/// Addresses of one document, and the longest.
const REDIRECTS: usize = 20;
const REDIRECT: usize = 500;

/// How long a document is believed, whatever its `Cache-Control` says: not asked for over and over, and not for ever.
const FRESH: (u64, u64) = (300, 86_400);

/// How long one that cannot be had, or is wrong, is not asked for again.
const PAUSE: Duration = Duration::from_secs(60);

/// What such clients may ask for.
const SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// A document as it came.
#[derive(Clone, Debug)]
pub struct Document {
    pub body: Vec<u8>,
    /// Of `Cache-Control`, in seconds.
    pub max_age: Option<u64>,
}

/// On its way.
pub type Fetched<'a> = Pin<Box<dyn Future<Output = Result<Document, String>> + Send + 'a>>;

/// Asks other hosts for documents, bounded in size and time, and following nothing.
pub trait Fetch: Send + Sync + 'static {
    fn fetch<'a>(&'a self, url: &'a Url) -> Fetched<'a>;
}

/// What there is to know of such clients.
pub struct Documents {
    pub settings: ClientDocuments,
    pub fetch: Arc<dyn Fetch>,
}

/// What is kept of a document: as long as its tokens can live, and for new sign-ins while it is fresh.
#[derive(Serialize, Deserialize)]
struct Known {
    redirect_uris: Vec<String>,
    /// Unix seconds.
    fresh: i64,
}

/// That one is not to be had.
#[derive(Serialize, Deserialize)]
struct Failed {}

/// Whether a `client_id` is an address: written as it is kept, so that no two texts are one client.
fn address(id: &str) -> Option<Url> {
    let url = Url::parse(id).ok().filter(|url| id.len() <= ID && url.as_str() == id)?;
    let plain = url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
    (plain && url.fragment().is_none() && url.query().is_none() && url.path() != "/").then_some(url)
}

/// The addresses that answers may go to, or what is wrong.
pub(super) fn read(id: &Url, body: &[u8]) -> Result<Vec<String>, &'static str> {
    let said: Value = serde_json::from_slice(body).map_err(|_| "it is no JSON")?;
    let said = said.as_object().ok_or("it is no object")?;
    if said.get("client_id").and_then(Value::as_str) != Some(id.as_str()) {
        return Err("its client_id is not its address");
    }
    if said.keys().any(|key| key.starts_with("client_secret")) {
        return Err("it has a secret in it");
    }
    // What is not said would be a secret (RFC 7591 §2).
    if said.get("token_endpoint_auth_method").is_some_and(|method| method != "none") {
        return Err("its token_endpoint_auth_method is not none");
    }
    let listed = said.get("redirect_uris").and_then(Value::as_array).ok_or("it has no redirect_uris")?;
    let own = |uri: &&str| is_own(id, uri);
    let uris: Vec<String> =
        listed.iter().take(REDIRECTS).filter_map(Value::as_str).filter(own).map(str::to_owned).collect();
    if uris.is_empty() { Err("none of its redirect_uris is of its own origin, or of this machine") } else { Ok(uris) }
}

/// Of the document's own origin, or of the visitor's machine.
fn is_own(id: &Url, uri: &str) -> bool {
    let plain = uri.len() <= REDIRECT && uri.bytes().all(|byte| byte.is_ascii_graphic()) && !uri.contains(['#', '*']);
    let Some(url) = Url::parse(uri).ok().filter(|url| plain && url.username().is_empty() && url.password().is_none())
    else {
        return false;
    };
    let local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    url.origin() == id.origin() || url.scheme() == "http" && local
}

impl Provider {
    /// The client of a request that is on its way, or of tokens. Nothing is fetched: strangers can name any address.
    pub(super) async fn client(&self, id: &str) -> Result<Option<Arc<Client>>, Unavailable> {
        if let Some(client) = self.clients.get(id) {
            return Ok(Some(client));
        }
        let Some((documents, url)) = self.documents.as_ref().zip(address(id)) else { return Ok(None) };
        let known: Option<Known> = self.vault.get(known_key(id)).await?;
        Ok(known.map(|known| Arc::new(made(&url, known.redirect_uris, &documents.settings))))
    }

    /// The client of a new request: a document that is not fresh is fetched.
    pub(super) async fn new_client(&self, id: &str) -> Result<Result<Arc<Client>, OAuthError>, Unavailable> {
        const UNKNOWN: OAuthError =
            error(ErrorCode::InvalidRequest, "There is no client of this client_id in [[oidc.clients]].");
        const FAILED: OAuthError = error(
            ErrorCode::InvalidRequest,
            "The document at client_id could not be had, or is not one of a client; the log says why.",
        );
        if let Some(client) = self.clients.get(id) {
            return Ok(Ok(client));
        }
        let Some((documents, url)) = self.documents.as_ref().zip(address(id)) else { return Ok(Err(UNKNOWN)) };
        let client = |uris| Ok(Ok(Arc::new(made(&url, uris, &documents.settings))));
        let known: Option<Known> = self.vault.get(known_key(id)).await?;
        if let Some(known) = known.filter(|known| known.fresh > self.vault.unix_seconds()) {
            return client(known.redirect_uris);
        }
        if self.vault.get::<Failed>(failed_key(id)).await?.is_some() {
            return Ok(Err(FAILED));
        }
        let document = documents.fetch.fetch(&url).await;
        let read = document.and_then(|document| {
            let uris = read(&url, &document.body).map_err(str::to_owned)?;
            Ok((uris, document.max_age.unwrap_or_default().clamp(FRESH.0, FRESH.1)))
        });
        match read {
            Ok((redirect_uris, seconds)) => {
                let fresh = self.vault.unix_seconds().saturating_add_unsigned(seconds);
                let life = self.refresh_ttl.max(self.token_ttl) + Duration::from_secs(FRESH.1);
                let known = Known { redirect_uris, fresh };
                self.vault.put(known_key(id), &known, life).await?;
                client(known.redirect_uris)
            }
            Err(why) => {
                tracing::warn!(client = id, "the document of a client cannot be used: {why}");
                self.vault.put(failed_key(id), &Failed {}, PAUSE).await?;
                Ok(Err(FAILED))
            }
        }
    }
}

/// Known to people by the host alone: whatever name the document has in it is its own word.
pub(super) fn made(id: &Url, redirect_uris: Vec<String>, settings: &ClientDocuments) -> Client {
    let host = id.host_str().unwrap_or_default();
    let host = id.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Client {
        id: id.as_str().to_owned(),
        name: host.clone(),
        auth: ClientAuth::None,
        secret_in_clear: false,
        redirect_uris,
        pkce_optional: false,
        scopes: SCOPES.map(str::to_owned).into(),
        grants: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        subject: Subject::Pairwise,
        sector: id.origin().ascii_serialization(),
        email: Email::None,
        consent: Consent::Always,
        post_logout_redirect_uris: Vec::new(),
        dpop_required: false,
        backchannel_logout_uri: None,
        id_token_alg: SigningAlgorithm::Rs256,
        allow: AllowList::clone(&settings.allow),
        resources: settings.resources.clone(),
    }
}

fn known_key(id: &str) -> Key {
    Vault::key(Space::Request, &["client document", id])
}

fn failed_key(id: &str) -> Key {
    Vault::key(Space::Request, &["client document failed", id])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "https://app.example.ru/oauth/client.json";

    #[test]
    fn an_address_is_written_in_one_way() {
        for fine in [ID, "https://app.example.ru:8443/a", "https://127.0.0.1:8443/a"] {
            assert!(address(fine).is_some(), "{fine}");
        }
        for bad in [
            "app",
            "https://app.example.ru",
            "https://app.example.ru/",
            "http://app.example.ru/a",
            "HTTPS://app.example.ru/a",
            "https://App.example.ru/a",
            "https://app.example.ru:443/a",
            "https://app.example.ru/a/../b",
            "https://app.example.ru/./b",
            "https://user@app.example.ru/a",
            "https://:x@app.example.ru/a",
            "https://app.example.ru/a#b",
            "https://app.example.ru/a?b",
            " https://app.example.ru/a",
            &format!("https://app.example.ru/{}", "a".repeat(500)),
        ] {
            assert!(address(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_document_names_itself_and_only_its_own_addresses() {
        let id = Url::parse(ID).unwrap();
        let read = |said: Value| read(&id, said.to_string().as_bytes());
        let all = json!([
            "https://app.example.ru/cb",
            "http://127.0.0.1/cb",
            "http://[::1]/cb",
            "http://localhost:3000/cb",
            "https://evil.example/cb",
            "http://app.example.ru/cb",
            "https://app.example.ru/#x",
            "ru.example.app:/cb",
            "https://a@app.example.ru/",
            "https://app.example.ru/*",
            "javascript:alert(1)",
            "https://app.example.ru:8/",
            "http://localhost.evil.example/",
            7,
        ]);
        let own = ["https://app.example.ru/cb", "http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost:3000/cb"];
        assert_eq!(read(json!({"client_id": ID, "redirect_uris": all})).unwrap(), own);
        let uris = json!(["https://app.example.ru/cb"]);
        let fine = json!({"client_id": ID, "redirect_uris": uris, "token_endpoint_auth_method": "none", "more": 1});
        assert!(read(fine).is_ok());
        for (said, why) in [
            (json!([]), "no object"),
            (json!({"redirect_uris": uris}), "client_id"),
            (json!({"client_id": "https://app.example.ru/oauth/client.jso", "redirect_uris": uris}), "client_id"),
            (json!({"client_id": ID, "redirect_uris": uris, "client_secret": "x"}), "secret"),
            (json!({"client_id": ID, "redirect_uris": uris, "client_secret_expires_at": 0}), "secret"),
            (
                json!({"client_id": ID, "redirect_uris": uris, "token_endpoint_auth_method": "client_secret_post"}),
                "method",
            ),
            (
                json!({"client_id": ID, "redirect_uris": uris, "token_endpoint_auth_method": "private_key_jwt"}),
                "method",
            ),
            (json!({"client_id": ID}), "redirect_uris"),
            (json!({"client_id": ID, "redirect_uris": ["https://evil.example/cb"]}), "own origin"),
        ] {
            assert!(read(said.clone()).unwrap_err().contains(why), "{said}");
        }
        assert!(super::read(&id, b"<html>").is_err());
    }
}
