//! Which apps a session has signed in to, and how they hear that it is over (OpenID Connect Back-Channel Logout 1.0).

use super::Provider;
use super::claims;
use super::clients::host_of;
use crate::config::{Client, SigningAlgorithm};
use crate::session::{SessionId, SignedIn};
use crate::store::{Key, Space, Unavailable, Vault};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// How long a logout token is good for, in seconds (§2.4: at most two minutes).
const LIFE: i64 = 120;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// That a session has tokens of an app.
#[derive(Serialize, Deserialize)]
struct Used {
    /// Unix milliseconds.
    since: i64,
}

/// An app that somebody signed in to, for their own page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsedApp {
    pub name: String,
    pub host: String,
    /// Unix milliseconds.
    pub since: i64,
}

/// A logout token on its way to an app.
#[derive(Clone, Debug)]
pub struct LogoutNotice {
    pub client: String,
    pub uri: String,
    pub token: String,
}

/// Brings notices to apps, beside everything else.
pub trait Deliver: Send + Sync + 'static {
    /// Returns at once.
    fn deliver(&self, notice: LogoutNotice);
}

impl Provider {
    /// Tells the apps of sessions that were just ended. Not to reach the store is no reason to keep somebody signed in.
    pub async fn ended(&self, sub: &str, sessions: &[SessionId]) {
        match self.notices(sub, sessions).await {
            Ok(notices) => notices.into_iter().for_each(|notice| self.deliver.deliver(notice)),
            Err(error) => tracing::error!("apps are not told that a session is over: {error}"),
        }
    }

    /// Kept when a code is redeemed, for as long as the session can last.
    pub(super) async fn used(&self, client: &Client, who: &SignedIn) -> Result<(), Unavailable> {
        let now = self.vault.unix_ms();
        let left = u64::try_from(who.session.expires_at.saturating_sub(now)).unwrap_or_default();
        let used = Used { since: now };
        self.vault.put(used_key(&who.id, client), &used, Duration::from_millis(left.max(1))).await
    }

    /// The apps of a session, by name.
    pub async fn apps_of(&self, who: &SignedIn) -> Result<Vec<UsedApp>, Unavailable> {
        let asked = self.clients.iter().map(async |client| {
            let used: Option<Used> = self.vault.get(used_key(&who.id, client)).await?;
            let host = client.redirect_uris.first().map(|uri| host_of(uri)).unwrap_or_default();
            Ok(used.map(|used| UsedApp { name: client.name.clone(), host, since: used.since }))
        });
        let mut apps: Vec<UsedApp> = try_join_all(asked).await?.into_iter().flatten().collect();
        apps.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(apps)
    }

    /// What the apps of sessions that were just ended are to be told: those that have a `backchannel_logout_uri`; and the site. Who
    /// told is known by the record, which is taken: nobody is told twice.
    async fn notices(&self, sub: &str, ended: &[SessionId]) -> Result<Vec<LogoutNotice>, Unavailable> {
        let mut notices = Vec::new();
        for client in self.clients.iter() {
            let Some(uri) = &client.backchannel_logout_uri else { continue };
            for session in ended {
                if self.vault.take::<Used>(used_key(session, client)).await?.is_none() {
                    continue;
                }
                let (subject, sid) = (claims::subject(client, sub, &self.vault), self.sid_of(client, session));
                let token = self.logout_token(&client.id, client.id_token_alg, &subject, &sid).await?;
                notices.push(LogoutNotice { client: client.id.clone(), uri: uri.clone(), token });
            }
        }
        // The site knows its people and sessions as `site_token` names them. For the address alone, so that no backend takes it for
        // the identity token of somebody who is signed in.
        if let Some(uri) = &self.told {
            for session in ended {
                let token = self.logout_token(uri, SigningAlgorithm::Rs256, sub, session.text()).await?;
                notices.push(LogoutNotice { client: self.site.clone(), uri: uri.clone(), token });
            }
        }
        Ok(notices)
    }

    /// §2.4: never a `nonce`, so that it is no ID token.
    async fn logout_token(
        &self,
        audience: &str,
        algorithm: SigningAlgorithm,
        subject: &str,
        sid: &str,
    ) -> Result<String, Unavailable> {
        let keys = self.keys.set().await?;
        let now = self.vault.unix_seconds();
        let said: Map<String, Value> = [
            ("iss", json!(self.issuer)),
            ("aud", json!(audience)),
            ("iat", json!(now)),
            ("exp", json!(now.saturating_add(LIFE))),
            ("jti", json!(self.vault.name())),
            ("sub", json!(subject)),
            ("sid", json!(sid)),
            ("events", json!({ EVENT: {} })),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let token = keys.signing(algorithm).and_then(|key| key.sign("logout+jwt", &said));
        token.ok_or_else(|| Unavailable::OutOfReach("there is no signing key".to_owned()))
    }
}

fn used_key(session: &SessionId, client: &Client) -> Key {
    Vault::key(Space::Person, &["app", session.text(), &client.id])
}
