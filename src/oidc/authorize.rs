//! From a request to a code: what `/authorize` decides, and what follows a sign-in and a question.

use super::clients::host_of;
use super::code::CodeRecord;
use super::error::{ErrorCode, OAuthError, error};
use super::params::Params;
use super::request::{AuthorizationRequest, Back, Refusal, ResponseMode, named, origin_of, read};
use super::{Provider, claims};
use crate::base::audit::AUDIT;
use crate::base::id::{self, Fingerprint};
use crate::config::{Client, Consent, Email};
use crate::login::{Admitted, Continuations};
use crate::session::SignedIn;
use crate::store::Vault;
use crate::store::{Key, Space, Unavailable};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a visitor may take from `/authorize` to the scan.
pub const REQUEST_LIFE: Duration = Duration::from_secs(1800);

/// How long an agreement is remembered.
const CONSENT_LIFE: Duration = Duration::from_secs(365 * 86_400);

/// An answer to a client, by way of the browser.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub redirect_uri: String,
    pub mode: ResponseMode,
    pub params: Vec<(&'static str, String)>,
}

impl Reply {
    /// `redirect_uri` with the answer in its query.
    pub fn location(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.params);
        let joint = if self.redirect_uri.contains('?') { '&' } else { '?' };
        format!("{}{joint}{}", self.redirect_uri, query.finish())
    }

    /// Of `redirect_uri`.
    pub fn origin(&self) -> String {
        origin_of(&self.redirect_uri).unwrap_or_default()
    }
}

/// What comes next for the visitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Something is wrong with the request, and the client cannot be told.
    Page(OAuthError),
    Reply(Reply),
    /// Sign in for the request of this id.
    SignIn(String),
    /// Ask whether the client may know.
    Ask(Question),
    /// Ask for an address; `typed`: what was given before, which is perhaps `wrong`.
    Email {
        question: Question,
        typed: Option<String>,
        wrong: bool,
    },
    /// They may not use this client.
    Denied(Question),
    /// There is no such request any more, or another browser began it.
    Gone,
}

/// A request that waits for its visitor, as they are told of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    pub request: String,
    pub client_name: String,
    /// Where the answer goes.
    pub client_host: String,
    /// The address the answer goes to, which a page's policy must let a form lead to.
    pub redirect_uri: String,
    pub scope: Vec<String>,
    pub locale: Option<String>,
    /// The client does not go on without an address.
    pub email_required: bool,
    /// The page that opened this window waits for the answer.
    pub is_popup: bool,
}

/// As it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    pub request: AuthorizationRequest,
    /// Of the browser that brought it.
    flow: String,
    /// Unix milliseconds.
    began: i64,
    /// Who agreed to it, where something else is asked after that.
    #[serde(default)]
    agreed: Option<String>,
    /// They were just asked for an address.
    #[serde(skip)]
    pub email_given: bool,
}

impl Pending {
    pub fn agreed_by(&self, sub: &str) -> bool {
        self.agreed.as_deref() == Some(sub)
    }
}

#[derive(Serialize, Deserialize)]
struct Agreed {
    scope: Vec<String>,
}

impl Provider {
    /// `flow`: of the browser. Nothing is kept for who cannot go on.
    pub async fn authorize(
        &self,
        params: &Params,
        signed_in: Option<&SignedIn>,
        flow: &Fingerprint,
    ) -> Result<Step, Unavailable> {
        let pushed = match self.meant(params).await? {
            Ok(pushed) => pushed,
            Err(error) => return Ok(Step::Page(error)),
        };
        let params = pushed.as_ref().unwrap_or(params);
        let keys = self.keys.set().await?;
        let hint = |token: &str, client: &Client| self.hinted(&keys, token, Some(&client.id)).map(|hint| hint.subject);
        let client = match named(params) {
            Ok(id) => self.new_client(id).await?,
            Err(error) => Err(error),
        };
        let client = match client {
            Ok(client) => client,
            Err(error) => return Ok(Step::Page(error)),
        };
        let request = match read(params, &client, hint) {
            Ok(request) => request,
            Err(Refusal::Page(error)) => return Ok(Step::Page(error)),
            Err(Refusal::Client(back, error)) => return Ok(Step::Reply(self.refusal(&back, &error))),
        };
        let began = self.vault.unix_ms();
        let flow = id::encode(flow.bytes());
        let pending = Pending { request, flow, began, agreed: None, email_given: false };
        let id = self.vault.name();
        if !pending.request.prompt.none {
            self.vault.put(request_key(&id), &pending, REQUEST_LIFE).await?;
        }
        self.next(id, pending, signed_in).await
    }

    /// After a sign-in.
    pub async fn resume(
        &self,
        id: &str,
        signed_in: Option<&SignedIn>,
        flow: &Fingerprint,
    ) -> Result<Step, Unavailable> {
        match self.pending(id, flow).await? {
            Some(pending) => self.next(id.to_owned(), pending, signed_in).await,
            None => Ok(Step::Gone),
        }
    }

    /// What the visitor answered.
    pub async fn answered(
        &self,
        id: &str,
        agreed: bool,
        signed_in: Option<&SignedIn>,
        flow: &Fingerprint,
    ) -> Result<Step, Unavailable> {
        let Some(pending) = self.pending(id, flow).await? else { return Ok(Step::Gone) };
        if !agreed {
            self.vault.take::<Pending>(request_key(id)).await?;
            let refused = error(ErrorCode::AccessDenied, "The person did not agree.");
            return Ok(Step::Reply(self.refusal(&pending.request.back, &refused)));
        }
        let Some(signed_in) = signed_in.filter(|signed_in| self.is_recent(&pending, signed_in)) else {
            return Ok(Step::SignIn(id.to_owned()));
        };
        let Some(client) = self.client(&pending.request.client).await? else { return Ok(Step::Gone) };
        if !self.permits(&client, signed_in) {
            return Ok(self.denied(id, &pending, &client));
        }
        self.remember(&client, &pending.request, signed_in).await?;
        self.email_or_grant(id, pending, &client, signed_in).await
    }

    /// What a page says of a request, to the browser that brought it.
    pub async fn question(&self, id: &str, flow: &Fingerprint) -> Result<Option<Question>, Unavailable> {
        let Some(pending) = self.pending(id, flow).await? else { return Ok(None) };
        let client = self.client(&pending.request.client).await?;
        Ok(client.map(|client| question(id, &pending, &client)))
    }

    pub(super) async fn pending(&self, id: &str, flow: &Fingerprint) -> Result<Option<Pending>, Unavailable> {
        let pending: Option<Pending> = self.vault.get(request_key(id)).await?;
        let theirs = |pending: &Pending| Fingerprint::from_text(&pending.flow).is_some_and(|known| known.matches(flow));
        Ok(pending.filter(theirs))
    }

    pub(super) async fn next(
        &self,
        id: String,
        pending: Pending,
        signed_in: Option<&SignedIn>,
    ) -> Result<Step, Unavailable> {
        let request = &pending.request;
        let Some(client) = self.client(&request.client).await? else { return Ok(Step::Gone) };
        let client = client.as_ref();
        let refuse = |code, why| Ok(Step::Reply(self.refusal(&request.back, &error(code, why))));
        let silent = request.prompt.none;
        let Some(signed_in) = signed_in.filter(|signed_in| self.is_recent(&pending, signed_in)) else {
            return match silent {
                true => refuse(ErrorCode::LoginRequired, "Nobody is signed in here, or not recently enough."),
                false => Ok(Step::SignIn(id)),
            };
        };
        if let Some(expected) = &request.subject
            && claims::subject(client, &signed_in.session.sub, &self.vault) != *expected
        {
            // Whoever signs in now may be the one; whoever just did is not.
            return match silent || is_fresh(&pending, signed_in) {
                true => refuse(ErrorCode::LoginRequired, "Somebody else is signed in here than id_token_hint says."),
                false => Ok(Step::SignIn(id)),
            };
        }
        if !self.permits(client, signed_in) {
            tracing::info!(client = client.id, "a person who is not in `allow` was turned away");
            return match silent {
                true => refuse(ErrorCode::AccessDenied, "This person may not use this client."),
                false => Ok(self.denied(&id, &pending, client)),
            };
        }
        // Whoever scans a code below the client's name has agreed by that.
        let just_now = pending.agreed_by(&signed_in.session.sub);
        let agreed = just_now
            || client.consent == Consent::Never
            || client.consent == Consent::Remember
                && (is_fresh(&pending, signed_in) || self.has_agreed(client, request, signed_in).await?);
        if request.prompt.consent && !just_now || !agreed {
            return match silent {
                true => refuse(ErrorCode::ConsentRequired, "The person has not agreed yet."),
                false => Ok(Step::Ask(question(&id, &pending, client))),
            };
        }
        if is_fresh(&pending, signed_in) {
            self.remember(client, request, signed_in).await?;
        }
        self.email_or_grant(&id, pending, client, signed_in).await
    }

    /// The last question, where there is one.
    async fn email_or_grant(
        &self,
        id: &str,
        mut pending: Pending,
        client: &Client,
        signed_in: &SignedIn,
    ) -> Result<Step, Unavailable> {
        let request = &pending.request;
        let asked = (request.scope.as_slice(), request.claims.as_slice());
        let anew = request.prompt.consent && !pending.email_given;
        let Some(typed) = self.email_to_ask(client, &signed_in.session.sub, asked, anew).await? else {
            return self.grant(id, pending, client, signed_in).await;
        };
        if request.prompt.none {
            let refused = error(ErrorCode::InteractionRequired, "The person was not asked for an address yet.");
            return Ok(Step::Reply(self.refusal(&request.back, &refused)));
        }
        // Nobody is asked twice whether they agree.
        pending.agreed = Some(signed_in.session.sub.clone());
        self.vault.put(request_key(id), &pending, REQUEST_LIFE).await?;
        Ok(Step::Email { question: question(id, &pending, client), typed, wrong: false })
    }

    async fn grant(
        &self,
        id: &str,
        pending: Pending,
        client: &Client,
        signed_in: &SignedIn,
    ) -> Result<Step, Unavailable> {
        let Pending { request, .. } = pending;
        if !request.prompt.none {
            self.vault.take::<Pending>(request_key(id)).await?;
        }
        let who = self.known_to(client, signed_in);
        let back = request.back.clone();
        let code = self.issue(CodeRecord::new(request, who, self.vault.name())).await?;
        metrics::counter!("max_auth_oidc_codes_total").increment(1);
        let (person, session) = (signed_in.session.sub.as_str(), signed_in.id.text());
        tracing::info!(target: AUDIT, event = "app.granted", client = client.id, person, session);
        Ok(Step::Reply(self.reply(&back, vec![("code", code)])))
    }

    /// What is kept of somebody for a client: a phone number only where it may be needed.
    pub(super) fn known_to(&self, client: &Client, signed_in: &SignedIn) -> SignedIn {
        let mut who = signed_in.clone();
        if !client.scopes.contains("phone") && !client.allow.names_phones() && !self.groups.name_phones() {
            who.phone = None;
        }
        who
    }

    /// A session that is old enough for the client: `max_age` and `prompt=login` ask for a scan of their own.
    fn is_recent(&self, pending: &Pending, signed_in: &SignedIn) -> bool {
        let age = self.vault.unix_ms().saturating_sub(signed_in.session.auth_time);
        let too_old = pending.request.max_age.is_some_and(|seconds| age > seconds.saturating_mul(1000));
        is_fresh(pending, signed_in) || !(pending.request.prompt.login || too_old)
    }

    pub(super) fn permits(&self, client: &Client, signed_in: &SignedIn) -> bool {
        let may = client.allow.permits(&claims::person(signed_in), &self.groups);
        if !may {
            let person = signed_in.session.sub.as_str();
            tracing::info!(target: AUDIT, event = "person.refused", client = client.id, person);
        }
        may
    }

    fn denied(&self, id: &str, pending: &Pending, client: &Client) -> Step {
        metrics::counter!("max_auth_oidc_denied_total").increment(1);
        Step::Denied(question(id, pending, client))
    }

    async fn has_agreed(
        &self,
        client: &Client,
        request: &AuthorizationRequest,
        signed_in: &SignedIn,
    ) -> Result<bool, Unavailable> {
        let agreed: Option<Agreed> = self.vault.get(self.consent_key(client, signed_in)).await?;
        Ok(agreed.is_some_and(|agreed| request.scope.iter().all(|scope| agreed.scope.contains(scope))))
    }

    async fn remember(
        &self,
        client: &Client,
        request: &AuthorizationRequest,
        signed_in: &SignedIn,
    ) -> Result<(), Unavailable> {
        if client.consent != Consent::Remember || self.has_agreed(client, request, signed_in).await? {
            return Ok(());
        }
        let agreed = Agreed { scope: request.scope.clone() };
        self.vault.put(self.consent_key(client, signed_in), &agreed, CONSENT_LIFE).await
    }

    /// Keyed: whether somebody agreed cannot be guessed from the name of the record.
    fn consent_key(&self, client: &Client, signed_in: &SignedIn) -> Key {
        let person = self.vault.pseudonym(format!("person\0{}", signed_in.session.sub).as_bytes());
        Vault::key(Space::Consent, &[&person, &client.id])
    }

    fn refusal(&self, back: &Back, error: &OAuthError) -> Reply {
        let params = vec![("error", error.code.text().to_owned()), ("error_description", error.description.to_owned())];
        self.reply(back, params)
    }

    /// With `iss`, so that a client of several providers knows whose answer it is (RFC 9207).
    fn reply(&self, back: &Back, mut params: Vec<(&'static str, String)>) -> Reply {
        params.extend(back.state.clone().map(|state| ("state", state)));
        params.push(("iss", self.issuer.clone()));
        Reply { redirect_uri: back.redirect_uri.clone(), mode: back.mode, params }
    }
}

impl Continuations for Provider {
    fn admit<'a>(&'a self, request: &'a str, flow: &'a Fingerprint) -> Admitted<'a> {
        Box::pin(async move { Ok(self.pending(request, flow).await?.is_some()) })
    }
}

/// Signed in for this very request.
fn is_fresh(pending: &Pending, signed_in: &SignedIn) -> bool {
    signed_in.session.auth_time >= pending.began
}

pub(super) fn question(id: &str, pending: &Pending, client: &Client) -> Question {
    Question {
        request: id.to_owned(),
        client_name: client.name.clone(),
        client_host: host_of(&pending.request.back.redirect_uri),
        redirect_uri: pending.request.back.redirect_uri.clone(),
        scope: pending.request.scope.clone(),
        locale: pending.request.locale.clone(),
        email_required: client.email == Email::Required,
        is_popup: pending.request.back.mode == ResponseMode::WebMessage,
    }
}

fn request_key(id: &str) -> Key {
    Vault::key(Space::Request, &[id])
}
