//! Who is signed in, for the site's own backends: a signed token that they check by our published keys, so that they need not
//! ask us at each request.

use super::{Provider, claims};
use crate::config::SigningAlgorithm;
use crate::session::SignedIn;
use crate::store::Unavailable;
use serde_json::{Map, Value, json};

/// How long a backend may believe it, in seconds: as long as a session that was ended goes on there.
const LIFE: i64 = 300;

impl Provider {
    /// The token, and its end in Unix milliseconds.
    pub async fn site_token(&self, who: &SignedIn) -> Result<(String, i64), Unavailable> {
        let keys = self.keys.set().await?;
        let no_key = || Unavailable::OutOfReach("there is no signing key".to_owned());
        let key = keys.signing(SigningAlgorithm::Rs256).ok_or_else(no_key)?;
        let session = &who.session;
        let now = self.vault.unix_seconds();
        let expires = now.saturating_add(LIFE).min(session.expires_at / 1000);
        let said = [
            ("iss", Some(json!(self.issuer))),
            // Never the id of an app, in which no colon can be.
            ("aud", Some(json!(self.site))),
            ("sub", Some(json!(session.sub))),
            ("iat", Some(json!(now))),
            ("exp", Some(json!(expires))),
            ("auth_time", Some(json!(session.auth_time / 1000))),
            ("sid", Some(json!(who.id.text()))),
            ("name", Some(json!(session.name))),
            ("given_name", session.first_name.as_ref().map(|name| json!(name))),
            ("family_name", session.last_name.as_ref().map(|name| json!(name))),
            ("picture", session.picture.as_ref().map(|address| json!(address))),
            ("phone_number", session.phone.as_ref().map(|phone| json!(phone))),
            ("groups", Some(json!(self.groups.of(&claims::person(who))))),
        ];
        let said: Map<String, Value> =
            said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let token = key.sign("JWT", &said).ok_or_else(no_key)?;
        Ok((token, expires.saturating_mul(1000)))
    }
}
