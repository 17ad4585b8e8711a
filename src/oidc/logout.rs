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
        let said = jws::verified(keys.all(), token)?;
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
        let client = hint.as_ref().map(|hint| hint.client.as_str()).or(named).and_then(|id| self.clients.get(id));
        let location = match params.get("post_logout_redirect_uri") {
            None => None,
            Some(uri) => match client {
                Some(client) if is_registered(&client.post_logout_redirect_uris, uri) => {
                    Some(with_state(uri, params.get("state")))
                }
                _ => return Ok(LogoutStep::Refused("post_logout_redirect_uri is not registered for this client.")),
            },
        };
        let theirs = client
            .zip(hint)
            .zip(signed_in)
            .is_some_and(|((client, hint), signed_in)| self.is_of(client, &hint, signed_in));
        Ok(if theirs || signed_in.is_none() && location.is_some() {
            LogoutStep::End { location }
        } else {
            LogoutStep::Ask { location }
        })
    }

    /// Whether it is an address of some client's for after a sign-out, a `state` behind it or not.
    pub fn may_leave_to(&self, uri: &str) -> bool {
        let plain = uri.rsplit_once("state=").map_or(uri, |(plain, _)| plain.trim_end_matches(['?', '&']));
        let known = |client: &Client| {
            let known = &client.post_logout_redirect_uris;
            is_registered(known, uri) || is_registered(known, plain)
        };
        self.clients.iter().any(known)
    }

    /// The hint is of the session that the browser has.
    fn is_of(&self, client: &Client, hint: &Hint, signed_in: &SignedIn) -> bool {
        let who = claims::Authentication::of(signed_in);
        let subject = claims::subject(client, &who.max_id, &self.vault);
        subject == hint.subject && hint.sid.as_ref().is_none_or(|sid| *sid == self.sid(client, &who))
    }
}

fn with_state(uri: &str, state: Option<&str>) -> String {
    let Some(state) = state else { return uri.to_owned() };
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
    format!("{uri}{}{query}", if uri.contains('?') { '&' } else { '?' })
}
