//! `[oidc]`: the apps that people sign in to with us, by OpenID Connect.

use super::client_auth::{ClientAuth, auth};
use super::documents::{self, ClientDocuments};
use super::people::{AllowList, Groups};
use super::reader::ConfigMerger;
use super::value::{self, Keys};
use std::collections::BTreeSet;
use std::time::Duration;
use toml::{Table, Value};
use url::Url;

/// `[oidc]`.
pub struct Oidc {
    /// What tokens say they come from, where that is not `server.public_url`; no slash at its end.
    pub issuer: Option<String>,
    /// `[[oidc.clients]]`
    pub clients: Vec<Client>,
    /// How long an access token and an ID token are good for.
    pub token_ttl: Duration,
    /// From the sign-in until refreshing ends.
    pub refresh_ttl: Duration,
    /// How long a key signs before the next one does.
    pub key_life: Duration,
    /// Behind the `@` of addresses that are made up (`email = "synthetic"`).
    pub email_domain: String,
    /// Clients by a document about themselves, where there may be any.
    pub documents: Option<ClientDocuments>,
}

/// `subject`: what an app knows a person by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// Another one for each client, so that apps cannot compare their users.
    Pairwise,
    /// MAX's number of the account.
    Public,
}

/// `email`: what an app that insists on an address gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Email {
    /// No claim.
    None,
    /// One under `.invalid` that reaches nobody, never verified.
    Synthetic,
    /// The one that the person gives when asked, or none; never verified.
    Ask,
    /// The same, and there is no going on without one.
    Required,
}

/// `consent`: whether a person is asked before an app that is new to them is told who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consent {
    /// Once for each app, and again when it wants more.
    Remember,
    /// Each time: nobody vouches for the app. Not a word of the configuration.
    Always,
    /// Not asked: an app of one's own.
    Never,
}

/// `grants`: what a client may exchange for tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantType {
    /// RFC 6749 §4.1
    AuthorizationCode,
    /// RFC 6749 §6
    RefreshToken,
    /// RFC 8628
    DeviceCode,
}

/// `id_token_alg`: how its ID tokens are signed (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SigningAlgorithm {
    /// RSA, 2048 bits, SHA-256: what every client knows.
    Rs256,
    /// P-256, SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// One of `[[oidc.clients]]`.
#[derive(Clone)]
pub struct Client {
    /// `client_id`: letters, digits, - _ .
    pub id: String,
    /// For people.
    pub name: String,
    /// How it proves who it is.
    pub auth: ClientAuth,
    /// Its secret stands in the configuration itself.
    pub secret_in_clear: bool,
    /// Exact; a loopback address of a native app without its port.
    pub redirect_uris: Vec<String>,
    /// PKCE may be left out.
    pub pkce_optional: bool,
    /// What it may ask for.
    pub scopes: BTreeSet<String>,
    /// What it may exchange for tokens.
    pub grants: Vec<GrantType>,
    /// What it knows a person by.
    pub subject: Subject,
    /// What pairwise subjects are made of: clients of one sector see the same ones.
    pub sector: String,
    /// Which address it is told.
    pub email: Email,
    /// Whether people are asked.
    pub consent: Consent,
    /// Where it may send people after a sign-out; exact.
    pub post_logout_redirect_uris: Vec<String>,
    /// Its tokens are bound to a key of its own (RFC 9449), always.
    pub dpop_required: bool,
    /// Where it hears that a session is over.
    pub backchannel_logout_uri: Option<String>,
    /// How its ID tokens are signed.
    pub id_token_alg: SigningAlgorithm,
    /// Who may sign in to it.
    pub allow: AllowList,
    /// Whom its access tokens may be for (RFC 8707).
    pub resources: Vec<String>,
}

impl Client {
    /// It has no secret (RFC 6749 §2.1).
    pub fn is_public(&self) -> bool {
        matches!(self.auth, ClientAuth::None)
    }
}

/// What a preset says of an app, as data: docs/recipes has a page for each.
struct Preset {
    name: &'static str,
    pkce_optional: bool,
    scopes: &'static [&'static str],
    refresh: bool,
    email: Email,
}

const PRESETS: &[Preset] = &[
    preset("authjs", false, &[], false, Email::None),
    preset("gitea", true, &["groups"], false, Email::Synthetic),
    preset("gitlab", false, &[], false, Email::None),
    preset("grafana", false, &["groups"], true, Email::Synthetic),
    preset("keycloak", true, &[], false, Email::None),
    preset("mod_auth_openidc", false, &["groups"], true, Email::None),
    preset("nextcloud", true, &["groups"], false, Email::None),
    preset("oauth2-proxy", false, &["groups"], true, Email::Synthetic),
    preset("portainer", true, &[], false, Email::None),
    preset("synapse", false, &[], false, Email::None),
];

/// The names of all, for those who hold a page or a file to each.
#[cfg(test)]
pub fn preset_names() -> Vec<&'static str> {
    PRESETS.iter().map(|preset| preset.name).collect()
}

const fn preset(
    name: &'static str,
    pkce_optional: bool,
    scopes: &'static [&'static str],
    refresh: bool,
    email: Email,
) -> Preset {
    Preset { name, pkce_optional, scopes, refresh, email }
}

/// Every scope there is.
pub const SCOPES: [&str; 7] = ["openid", "profile", "email", "phone", "groups", "max:id", "offline_access"];

/// What a client may ask for that does not say.
const USUAL_SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// Clients of one server.
const CLIENTS: usize = 1000;

const KEYS: [&str; 21] = [
    "id",
    "secret",
    "secret_hash",
    "name",
    "redirect_uris",
    "auth",
    "jwks",
    "dpop",
    "pkce",
    "scopes",
    "grants",
    "subject",
    "sector",
    "email",
    "consent",
    "post_logout_redirect_uris",
    "backchannel_logout_uri",
    "id_token_alg",
    "allow",
    "preset",
    "resources",
];

pub(super) fn read(settings: &mut ConfigMerger, groups: &Groups) -> Option<Oidc> {
    let issuer = settings.read("oidc.issuer", |value| match value::optional_text(value)? {
        None => Ok(None),
        Some(text) => issuer(text).map(Some),
    });
    let clients = settings.read("oidc.clients", |value| clients(value, groups));
    let token_ttl = settings.read("oidc.token_ttl", value::positive_duration);
    let refresh_ttl = settings.read("oidc.refresh_ttl", value::positive_duration);
    let key_life = settings.read("oidc.key_life", |value| match value::positive_duration(value)? {
        short if short < Duration::from_secs(3600) => Err("is shorter than an hour".to_owned()),
        long if long > Duration::from_secs(120 * 86_400) => Err("is longer than 120 days".to_owned()),
        fine => Ok(fine),
    });
    let email_domain = settings.read("oidc.email_domain", |value| {
        let domain = value::text(value)?;
        let fine = domain.ends_with(".invalid")
            && domain.len() <= 100
            && domain.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
        if fine { Ok(domain) } else { Err(format!("{domain:?} is not a name under .invalid (RFC 2606 §2)")) }
    });
    let documents = documents::read(settings, groups);
    Some(Oidc {
        issuer: issuer?,
        clients: clients?,
        token_ttl: token_ttl?,
        refresh_ttl: refresh_ttl?,
        key_life: key_life?,
        email_domain: email_domain?,
        documents: documents?,
    })
}

fn issuer(text: String) -> Result<String, String> {
    let url = Url::parse(&text).map_err(|error| format!("{text:?}: {error}"))?;
    let plain = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    if !plain || !url.has_host() || !url.username().is_empty() {
        return Err(format!("{text:?} is not an address such as \"https://example.ru\""));
    }
    if text.ends_with('/') {
        return Err(format!("{text:?} must not end with a slash: clients compare it as text"));
    }
    Ok(text)
}

fn clients(value: &Value, groups: &Groups) -> Result<Vec<Client>, String> {
    let list = value.as_array().ok_or("is no list of tables: write [[oidc.clients]]")?;
    if list.len() > CLIENTS {
        return Err(format!("more than {CLIENTS} clients"));
    }
    let mut clients: Vec<Client> = Vec::with_capacity(list.len());
    for (number, value) in list.iter().enumerate() {
        let table = value.as_table().ok_or("is no list of tables: write [[oidc.clients]]")?;
        let name =
            table.get("id").and_then(Value::as_str).map_or_else(|| format!("client {}", number + 1), str::to_owned);
        let client = client(table, groups).map_err(|why| format!("{name}: {why}"))?;
        if clients.iter().any(|known| known.id == client.id) {
            return Err(format!("{name}: there are two clients of that id"));
        }
        clients.push(client);
    }
    Ok(clients)
}

fn client(table: &Table, groups: &Groups) -> Result<Client, String> {
    if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let nearest = KEYS.iter().max_by(|a, b| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b)));
        return Err(format!("unknown key `{key}`; did you mean `{}`?", nearest.unwrap_or(&"id")));
    }
    let preset = match table.get("preset") {
        None => None,
        Some(value) => {
            let words: Vec<(&str, usize)> = PRESETS.iter().enumerate().map(|(at, preset)| (preset.name, at)).collect();
            PRESETS.get(value::choice(value, &words).map_err(|why| format!("`preset`: {why}"))?)
        }
    };
    let read = Keys(table);
    let id = read.needed("id", value::text)?;
    if id.is_empty() || id.len() > 100 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        return Err("`id`: expected letters, digits, - _ . and at most 100 of them".to_owned());
    }
    let name = read.optional("name", value::text)?.unwrap_or_else(|| id.clone());
    if name.is_empty() || name.chars().count() > 80 || name.chars().any(char::is_control) {
        return Err("`name`: expected a name of at most 80 characters".to_owned());
    }
    let redirect_uris = read.needed("redirect_uris", |value| value::list(value, redirect_uri))?;
    let auth = auth(&read)?;
    let pkce_optional = read
        .optional("pkce", |value| value::choice(value, &[("required", false), ("optional", true)]))?
        .unwrap_or_else(|| preset.is_some_and(|preset| preset.pkce_optional));
    if pkce_optional && matches!(auth, ClientAuth::None) && table.contains_key("pkce") {
        return Err("`pkce`: a client without a secret needs it (RFC 9700 §2.1.1)".to_owned());
    }
    let usual = USUAL_SCOPES.into_iter().chain(preset.into_iter().flat_map(|preset| preset.scopes.iter().copied()));
    let scopes: BTreeSet<String> = match read.optional("scopes", |value| value::list(value, scope))? {
        Some(scopes) => scopes.into_iter().chain(["openid".to_owned()]).collect(),
        None => usual.map(str::to_owned).collect(),
    };
    let words = [
        ("authorization_code", GrantType::AuthorizationCode),
        ("refresh_token", GrantType::RefreshToken),
        ("device_code", GrantType::DeviceCode),
    ];
    let grants = read.optional("grants", |value| value::list(value, |value| value::choice(value, &words)))?;
    let grants = grants.unwrap_or_else(|| match preset {
        Some(preset) if preset.refresh => vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        _ => vec![GrantType::AuthorizationCode],
    });
    let subject = [("pairwise", Subject::Pairwise), ("public", Subject::Public)];
    let words =
        [("none", Email::None), ("synthetic", Email::Synthetic), ("ask", Email::Ask), ("required", Email::Required)];
    let email = read.optional("email", |value| value::choice(value, &words))?;
    let email = email.unwrap_or_else(|| preset.map_or(Email::None, |preset| preset.email));
    if matches!(email, Email::Ask | Email::Required) && !scopes.contains("email") {
        return Err("`email`: people are asked for what the app may not know: \"email\" is not in scopes".to_owned());
    }
    if email == Email::Required && grants.contains(&GrantType::DeviceCode) {
        return Err(
            "`email`: \"required\" cannot be asked for on a device: \"ask\", or no device_code in grants".to_owned()
        );
    }
    let consent = [("remember", Consent::Remember), ("never", Consent::Never)];
    let algorithms =
        [("RS256", SigningAlgorithm::Rs256), ("ES256", SigningAlgorithm::Es256), ("EdDSA", SigningAlgorithm::EdDsa)];
    let sector = read.optional("sector", value::text)?.unwrap_or_else(|| id.clone());
    Ok(Client {
        name,
        auth,
        secret_in_clear: table.contains_key("secret"),
        redirect_uris,
        pkce_optional,
        scopes,
        grants,
        subject: read.optional("subject", |value| value::choice(value, &subject))?.unwrap_or(Subject::Pairwise),
        sector,
        email,
        consent: read.optional("consent", |value| value::choice(value, &consent))?.unwrap_or(Consent::Remember),
        post_logout_redirect_uris: read
            .optional("post_logout_redirect_uris", |value| value::list(value, redirect_uri))?
            .unwrap_or_default(),
        dpop_required: read
            .optional("dpop", |value| value::choice(value, &[("optional", false), ("required", true)]))?
            .unwrap_or_default(),
        backchannel_logout_uri: read.optional("backchannel_logout_uri", backchannel_uri)?,
        id_token_alg: read
            .optional("id_token_alg", |value| value::choice(value, &algorithms))?
            .unwrap_or(SigningAlgorithm::Rs256),
        allow: read.optional("allow", |value| AllowList::parse(value, groups))?.unwrap_or_default(),
        resources: read.optional("resources", |value| value::list(value, documents::resource))?.unwrap_or_default(),
        id,
    })
}

pub(super) fn backchannel_uri(value: &Value) -> Result<String, String> {
    let text = value::text(value)?;
    let url = Url::parse(&text).map_err(|error| format!("{text:?}: {error}"))?;
    let fine = matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty();
    if fine && !text.contains('#') {
        Ok(text)
    } else {
        Err(format!("{text:?} is not an address such as https://app.example.ru/logout"))
    }
}

/// Kept as written: clients send it as it was registered, and it is compared as text (RFC 9700 §2.1).
fn redirect_uri(value: &Value) -> Result<String, String> {
    let text = value::text(value)?;
    let wrong = |why: &str| Err(format!("{text:?} {why}"));
    let Ok(url) = Url::parse(&text) else { return wrong("is not an address") };
    if text.contains('#') {
        return wrong("has a fragment (RFC 6749 §3.1.2)");
    }
    if text.contains('*') {
        return wrong("has a *: addresses are compared exactly, write each of them");
    }
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return wrong("is not https; plain http is for 127.0.0.1, [::1] and localhost (RFC 9700 §2.6)"),
        scheme if scheme.contains('.') => {}
        _ => return wrong("has a scheme of its own without a dot, such as ru.example.app:/callback (RFC 8252 §7.1)"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("has a user in it");
    }
    if text.len() > 1000 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("is longer than 1000 characters, or not ASCII");
    }
    Ok(text)
}

fn scope(value: &Value) -> Result<String, String> {
    let text = value::text(value)?;
    if SCOPES.contains(&text.as_str()) { Ok(text) } else { Err(format!("{text:?} is none of {}", SCOPES.join(", "))) }
}

#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
