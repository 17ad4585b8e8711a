//! What a client asks for at `/authorize` (OpenID Connect Core §3.1.2.1), read in an ordered list of checks. Until client and
//! address are known to be right, an error is shown to the visitor; after that the client is told.

use super::clients::is_registered;
use super::error::{ErrorCode, OAuthError, error};
use super::params::{Params, words};
use crate::base::id::{self, Fingerprint};
use crate::config::{Client, GrantType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

/// Longest `state` that is carried, in bytes: some clients put a sealed session into it.
const STATE: usize = 4096;

/// Longest `nonce`.
const NONCE: usize = 1024;

/// Claims that are asked for by name.
const CLAIMS: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ResponseMode {
    Query,
    FormPost,
    /// To the page that opened this window, by `postMessage` to the origin of `redirect_uri`.
    WebMessage,
}

/// `prompt`
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Prompt {
    pub none: bool,
    /// A new scan: for `login` and for `select_account`.
    pub login: bool,
    pub consent: bool,
}

/// Where an answer goes, and how.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Back {
    pub redirect_uri: String,
    pub mode: ResponseMode,
    pub state: Option<String>,
}

/// A request that passed every check.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    pub client: String,
    pub back: Back,
    pub scope: Vec<String>,
    pub nonce: Option<String>,
    /// SHA-256 of the PKCE verifier, as sent.
    pub challenge: Option<String>,
    pub prompt: Prompt,
    /// Seconds.
    pub max_age: Option<i64>,
    /// Whom the client expects, by what it sent as `id_token_hint`.
    pub subject: Option<String>,
    /// Asked for by name, beside those of the scopes.
    pub claims: Vec<String>,
    pub resources: Vec<String>,
    pub locale: Option<String>,
}

impl AuthorizationRequest {
    /// One that asks for nothing, and is answered to no browser.
    pub fn of(client: &str) -> Self {
        Self {
            client: client.to_owned(),
            back: Back { redirect_uri: String::new(), mode: ResponseMode::Query, state: None },
            scope: Vec::new(),
            nonce: None,
            challenge: None,
            prompt: Prompt::default(),
            max_age: None,
            subject: None,
            claims: Vec::new(),
            resources: Vec::new(),
            locale: None,
        }
    }
}

/// Why a request was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Nobody knows whom to tell but the visitor.
    Page(OAuthError),
    Client(Back, OAuthError),
}

/// For the client that it [`named`]. `hint`: the subject of an `id_token_hint`, for whom it was made and whether it is ours.
pub fn read(
    params: &Params,
    client: &Client,
    hint: impl FnOnce(&str, &Client) -> Option<String>,
) -> Result<AuthorizationRequest, Refusal> {
    let back = back(params, client)?;
    let told = |error| Refusal::Client(back.clone(), error);
    params.none_twice().map_err(told)?;
    no_request_object(params).map_err(told)?;
    response_type(params, client).map_err(told)?;
    let scope = scope(params, client).map_err(told)?;
    let challenge = challenge(params, client).map_err(told)?;
    let prompt = prompt(params).map_err(told)?;
    let max_age = max_age(params).map_err(told)?;
    let subject = match params.get("id_token_hint") {
        None => None,
        Some(token) => {
            Some(hint(token, client).ok_or_else(|| told(bad("id_token_hint is no token of this issuer's.")))?)
        }
    };
    Ok(AuthorizationRequest {
        client: client.id.clone(),
        scope,
        nonce: nonce(params).map_err(told)?,
        challenge,
        prompt,
        max_age,
        subject,
        claims: claims(params).map_err(told)?,
        resources: resources(params, client).map_err(told)?,
        locale: params
            .get("ui_locales")
            .and_then(|tags| tags.split(' ').next())
            .map(|tag| tag.chars().take(16).collect()),
        back,
    })
}

const fn bad(description: &'static str) -> OAuthError {
    error(ErrorCode::InvalidRequest, description)
}

/// The client that a request names.
pub fn named(params: &Params) -> Result<&str, OAuthError> {
    if params.all("client_id").count() > 1 || params.all("redirect_uri").count() > 1 {
        return Err(bad("client_id or redirect_uri was sent twice."));
    }
    params.get("client_id").ok_or_else(|| bad("client_id is missing."))
}

fn back(params: &Params, client: &Client) -> Result<Back, Refusal> {
    let page = |description| Refusal::Page(bad(description));
    let uri = params.get("redirect_uri").ok_or_else(|| page("redirect_uri is missing."))?;
    if !is_registered(&client.redirect_uris, uri) {
        return Err(page(
            "This redirect_uri is not registered: it is compared as text with redirect_uris of the client.",
        ));
    }
    let state = params.get("state").map(str::to_owned);
    let redirect_uri = uri.to_owned();
    let (mode, known) = match params.get("response_mode") {
        None | Some("query") => (ResponseMode::Query, true),
        Some("form_post") => (ResponseMode::FormPost, true),
        Some("web_message") if origin_of(uri).is_some() => (ResponseMode::WebMessage, true),
        Some(_) => (ResponseMode::Query, false),
    };
    if state.as_ref().is_some_and(|state| state.len() > STATE) {
        let back = Back { redirect_uri, mode, state: None };
        return Err(Refusal::Client(back, bad("state is longer than 4096 bytes.")));
    }
    let back = Back { redirect_uri, mode, state };
    if known {
        Ok(back)
    } else {
        Err(Refusal::Client(back, bad("response_mode is none of query, form_post and, for a web page, web_message.")))
    }
}

/// Of a web page: whom a message to it is for.
pub fn origin_of(uri: &str) -> Option<String> {
    let origin = Url::parse(uri).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// Not passed over: what is in them would count (OpenID Connect Core §6).
fn no_request_object(params: &Params) -> Result<(), OAuthError> {
    for (name, code) in [
        ("request", ErrorCode::RequestNotSupported),
        ("request_uri", ErrorCode::RequestUriNotSupported),
        ("registration", ErrorCode::RegistrationNotSupported),
    ] {
        if params.get(name).is_some() {
            return Err(error(code, "Send the parameters themselves."));
        }
    }
    Ok(())
}

fn response_type(params: &Params, client: &Client) -> Result<(), OAuthError> {
    match params.get("response_type") {
        None => return Err(bad("response_type is missing.")),
        Some("code") => {}
        Some(_) => return Err(error(ErrorCode::UnsupportedResponseType, "Only response_type=code (RFC 9700, 2.1.2).")),
    }
    if client.grants.contains(&GrantType::AuthorizationCode) {
        return Ok(());
    }
    Err(error(ErrorCode::UnauthorizedClient, "grants of this client has no authorization_code."))
}

/// What the client may not have is left out, and the answer of the token endpoint says so (RFC 6749 §3.3).
pub fn scope(params: &Params, client: &Client) -> Result<Vec<String>, OAuthError> {
    let asked = words(params.get("scope"));
    if !asked.iter().any(|scope| scope == "openid") {
        return Err(error(ErrorCode::InvalidScope, "scope must have openid in it."));
    }
    Ok(asked.into_iter().filter(|scope| client.scopes.contains(scope)).collect())
}

/// RFC 7636, by its one safe method.
fn challenge(params: &Params, client: &Client) -> Result<Option<String>, OAuthError> {
    match (params.get("code_challenge"), params.get("code_challenge_method")) {
        (Some(challenge), Some("S256")) if id::decode(challenge).is_some_and(|hash| hash.len() == 32) => {
            Ok(Some(challenge.to_owned()))
        }
        (Some(_), Some("S256")) => Err(bad("code_challenge is not the base64url of a SHA-256 hash.")),
        (Some(_), _) | (None, Some(_)) => Err(bad("code_challenge_method must be S256, with a code_challenge.")),
        (None, None) if client.pkce_optional && !client.is_public() => Ok(None),
        (None, None) => Err(bad("code_challenge is missing: this client must use PKCE (RFC 7636).")),
    }
}

fn prompt(params: &Params) -> Result<Prompt, OAuthError> {
    let mut prompt = Prompt::default();
    let words = words(params.get("prompt"));
    for word in &words {
        match word.as_str() {
            "none" => prompt.none = true,
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => return Err(bad("prompt has a word in it that is none of none, login, consent, select_account.")),
        }
    }
    if prompt.none && words.len() > 1 {
        return Err(bad("prompt=none stands alone."));
    }
    Ok(prompt)
}

fn max_age(params: &Params) -> Result<Option<i64>, OAuthError> {
    let Some(text) = params.get("max_age") else { return Ok(None) };
    let seconds = text.parse::<u32>().map_err(|_| bad("max_age is no number of seconds."))?;
    Ok(Some(i64::from(seconds)))
}

fn nonce(params: &Params) -> Result<Option<String>, OAuthError> {
    match params.get("nonce") {
        Some(nonce) if nonce.len() > NONCE => Err(bad("nonce is longer than 1024 bytes.")),
        nonce => Ok(nonce.map(str::to_owned)),
    }
}

/// The names in `claims` (OpenID Connect Core §5.5); what is wanted of their values is not looked at.
fn claims(params: &Params) -> Result<Vec<String>, OAuthError> {
    let Some(text) = params.get("claims") else { return Ok(Vec::new()) };
    let wrong = || bad("claims is not an object of JSON as OpenID Connect Core, 5.5 has it.");
    let wanted: Map<String, Value> = serde_json::from_str(text).map_err(|_| wrong())?;
    let mut names = Vec::new();
    for place in ["userinfo", "id_token"] {
        match wanted.get(place) {
            None | Some(Value::Null) => {}
            Some(Value::Object(claims)) => names.extend(claims.keys().filter(|name| name.len() <= 64).cloned()),
            Some(_) => return Err(wrong()),
        }
    }
    names.truncate(CLAIMS);
    Ok(names)
}

/// RFC 8707 §2: who will be shown the access token.
pub fn resources(params: &Params, client: &Client) -> Result<Vec<String>, OAuthError> {
    let asked: Vec<String> = params.all("resource").map(str::to_owned).collect();
    if asked.iter().all(|resource| client.resources.contains(resource)) {
        return Ok(asked);
    }
    Err(error(ErrorCode::InvalidTarget, "resource is not one of resources of the client."))
}

/// Whether a verifier is the one that was promised (RFC 7636 §4.6).
pub fn proves(challenge: &str, verifier: &str) -> bool {
    let well_formed = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let known = Fingerprint::from_text(challenge);
    well_formed && known.is_some_and(|known| known.matches(&Fingerprint::of(verifier.as_bytes())))
}
