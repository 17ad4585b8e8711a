//! How a client of `[[oidc.clients]]` proves who it is: by a secret, by a key, or not at all.

use super::value::{self, Keys};
use crate::base::id::{self, Fingerprint};
use crate::base::jwk::{self, PublicKey};
use crate::base::secret::Secret;
use toml::Value;

/// How a client proves at the token endpoint who it is.
#[derive(Clone)]
pub enum ClientAuth {
    /// SHA-256 of a secret, sent as HTTP Basic or in the body.
    Secret(Fingerprint),
    /// A token that one of these keys signed (`private_key_jwt`).
    Keys(Vec<PublicKey>),
    /// A public client: PKCE is all.
    None,
}

pub(super) fn auth(read: &Keys<'_>) -> Result<ClientAuth, String> {
    let secret = read.optional("secret", value::text)?.map(Secret::new);
    let hash = read.optional("secret_hash", value::text)?;
    let words = [("basic", Some(true)), ("post", Some(true)), ("none", Some(false)), ("private_key_jwt", None)];
    let asked = read.optional("auth", |value| value::choice(value, &words))?;
    let keys = read.optional("jwks", jwks)?;
    let with_secret = match (asked, keys) {
        (Some(None), Some(keys)) if secret.is_none() && hash.is_none() => return Ok(ClientAuth::Keys(keys)),
        (Some(None), None) => return Err("`jwks` is missing: the app's public keys, as JSON".to_owned()),
        (Some(None), Some(_)) => return Err("`auth`: with \"private_key_jwt\" there is no secret".to_owned()),
        (_, Some(_)) => return Err("`jwks` is for auth = \"private_key_jwt\"".to_owned()),
        (asked, None) => asked.flatten(),
    };
    match (secret, hash, with_secret) {
        (Some(_), Some(_), _) => Err("`secret` and `secret_hash` are both given; one is enough".to_owned()),
        (None, None, Some(false)) => Ok(ClientAuth::None),
        (_, _, Some(false)) => Err("`auth`: \"none\" is a client without a secret".to_owned()),
        (None, None, _) => {
            Err("`secret_hash` is missing (max-auth keys client-secret makes one), or auth = \"none\"".to_owned())
        }
        (Some(secret), None, _) if secret.expose().len() < 16 => {
            Err("`secret`: shorter than 16 characters, which can be guessed".to_owned())
        }
        (Some(secret), None, _) => Ok(ClientAuth::Secret(Fingerprint::of(secret.expose().as_bytes()))),
        (None, Some(hash), _) => {
            let bytes = hash.strip_prefix("sha256:").and_then(Fingerprint::from_text);
            bytes.map(ClientAuth::Secret).ok_or_else(|| {
                "`secret_hash`: expected \"sha256:\" and 43 characters, as max-auth keys client-secret prints"
                    .to_owned()
            })
        }
    }
}

/// A JWK set as text (RFC 7517 §5).
fn jwks(value: &Value) -> Result<Vec<PublicKey>, String> {
    let text = value::text(value)?;
    let set: serde_json::Value = serde_json::from_str(&text).map_err(|error| format!("is no JSON: {error}"))?;
    let keys = set["keys"].as_array().ok_or("has no list `keys` in it")?;
    if keys.is_empty() || keys.len() > jwk::KEYS {
        return Err(format!("expected 1 to {} keys", jwk::KEYS));
    }
    let parse = |(at, key)| PublicKey::parse(key).map_err(|why| format!("key {}: {why}", at + 1));
    keys.iter().enumerate().map(parse).collect()
}

/// The text of a secret's hash, as [`auth`] reads it.
pub fn secret_hash(secret: &str) -> String {
    format!("sha256:{}", id::encode(Fingerprint::of(secret.as_bytes()).bytes()))
}
