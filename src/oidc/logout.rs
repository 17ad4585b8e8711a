//! Signing out at a client's wish (OpenID Connect RP-Initiated Logout 1.0): the cookie decides whose session ends, the hint only
//! whether they are asked first.

use super::clients::is_registered;
use super::jws;
use super::keys::KeySet;
use super::params::Params;
use super::{Provider, claims};
use crate::config::Client;
use crate::session::SignedIn;
use crate::store::Unavailable;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const LEAVE: &[u8] = b"max-auth leave 1";

/// How long somebody may think about signing out.
const ASKED: Duration = Duration::from_secs(600);

#[derive(Serialize, Deserialize)]
struct Leave {
    to: String,
}

/// What an `id_token_hint` says.
pub(super) struct Hint {
    pub client: String,
    pub subject: String,
    pub sid: Option<String>,
}

/// What comes next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogoutStep {
    /// Ends the session, and goes there, or says so.
    End { location: Option<String> },
    /// Asks first: nobody proved that the person meant it.
    Ask { location: Option<String> },
    /// The request is wrong; nothing was ended.
    Refused(&'static str),
}

impl Provider {
    /// A token of ours, of whatever age. `client`: for whom it must have been made, where that is known.
    pub(super) fn hinted(&self, keys: &KeySet, token: &str, client: Option<&str>) -> Option<Hint> {
        let said = jws::verified(keys.all(), "JWT", token)?;
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        let hint = Hint { client: text("aud")?, subject: text("sub")?, sid: text("sid") };
        let ours = said["iss"] == self.issuer.as_str() && client.is_none_or(|client| client == hint.client);
        ours.then_some(hint)
    }

    pub async fn end_session(&self, params: &Params, signed_in: Option<&SignedIn>) -> Result<LogoutStep, Unavailable> {
        if params.none_twice().is_err() {
            return Ok(LogoutStep::Refused("A parameter was sent twice."));
        }
        let keys = self.keys.set().await?;
        let named = params.get("client_id");
        let hint = match params.get("id_token_hint") {
            None => None,
            Some(token) => match self.hinted(&keys, token, named) {
                Some(hint) => Some(hint),
                None => {
                    return Ok(LogoutStep::Refused(
                        "id_token_hint is no token of this issuer's, or of another client.",
                    ));
                }
            },
        };
        let client = match hint.as_ref().map(|hint| hint.client.as_str()).or(named) {
            Some(id) => self.client(id).await?,
            None => None,
        };
        let location = match params.get("post_logout_redirect_uri") {
            None => None,
            Some(uri) => match &client {
                Some(client) if is_registered(&client.post_logout_redirect_uris, uri) => {
                    Some(with_state(uri, params.get("state")))
                }
                _ => return Ok(LogoutStep::Refused("post_logout_redirect_uri is not registered for this client.")),
            },
        };
        let theirs = client
            .zip(hint)
            .zip(signed_in)
            .is_some_and(|((client, hint), signed_in)| self.is_of(&client, &hint, signed_in));
        Ok(if theirs || signed_in.is_none() && location.is_some() {
            LogoutStep::End { location }
        } else {
            LogoutStep::Ask { location }
        })
    }

    /// The address, for the question to carry: nobody but us can have made the ticket.
    pub fn ticket(&self, location: &str) -> Result<String, Unavailable> {
        self.vault.seal_token(LEAVE, &Leave { to: location.to_owned() }, ASKED)
    }

    /// Back from [`Self::ticket`].
    pub fn location(&self, ticket: &str) -> Option<String> {
        self.vault.open_token::<Leave>(LEAVE, ticket).map(|leave| leave.to)
    }

    /// The hint is of the session that the browser has.
    fn is_of(&self, client: &Client, hint: &Hint, signed_in: &SignedIn) -> bool {
        let subject = claims::subject(client, &signed_in.session.sub, &self.vault);
        subject == hint.subject && hint.sid.as_ref().is_none_or(|sid| *sid == self.sid(client, signed_in))
    }
}

fn with_state(uri: &str, state: Option<&str>) -> String {
    let Some(state) = state else { return uri.to_owned() };
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
    format!("{uri}{}{query}", if uri.contains('?') { '&' } else { '?' })
}
