//! Signing in on a device without a browser (RFC 8628): it shows a short code, which somebody types elsewhere, where they are
//! asked by name and place whether it is theirs.

use super::Provider;
use super::code::CodeRecord;
use super::error::{ErrorCode, OAuthError, error};
use super::params::Params;
use super::request::{AuthorizationRequest, resources, scope};
use super::tokens::TokenResponse;
use crate::base::audit::AUDIT;
use crate::config::{Client, GrantType};
use crate::session::SignedIn;
use crate::store::{Admission, Key, Race, Space, Unavailable, Vault};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long somebody may take.
const LIFE: Duration = Duration::from_secs(600);

/// Between two questions of the device, in seconds.
const INTERVAL: u64 = 5;

/// A little sooner is no hurry: a device's clock and the network are what they are.
const PATIENCE: Duration = Duration::from_millis(4500);

/// Without vowels, which would make words, and without what looks alike (RFC 8628 §6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Letters of a code: 2.5 · 10^10 of them, of which ten minutes of one address can try 600.
const LENGTH: usize = 8;

/// What waits for somebody to type its code.
#[derive(Clone, Serialize, Deserialize)]
struct Waiting {
    request: AuthorizationRequest,
    /// Where the device asked from.
    place: String,
    /// By which the device asks.
    device: String,
}

#[derive(Serialize, Deserialize)]
struct Device {
    client: String,
}

#[derive(Serialize, Deserialize)]
enum Decision {
    Agreed(Box<Agreed>),
    Declined,
}

#[derive(Serialize, Deserialize)]
struct Agreed {
    request: AuthorizationRequest,
    who: SignedIn,
}

#[derive(Serialize, Deserialize)]
struct Decided {
    decision: Decision,
}

/// RFC 8628 §3.2.
#[derive(Serialize, Debug)]
pub struct DeviceResponse {
    pub device_code: String,
    pub user_code: String,
    pub verification_uri: String,
    pub verification_uri_complete: String,
    pub expires_in: u64,
    pub interval: u64,
}

/// A device, as somebody is asked about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceQuestion {
    pub user_code: String,
    pub client_name: String,
    pub place: String,
    pub scope: Vec<String>,
}

/// What became of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceAnswer {
    Done,
    /// They may not use this client.
    Denied,
    /// There is no such code any more.
    Gone,
}

impl Provider {
    /// `place`: the address the device asks from.
    pub async fn begin_device(
        &self,
        params: &Params,
        authorization: Option<&str>,
        place: String,
    ) -> Result<DeviceResponse, OAuthError> {
        params.none_twice()?;
        let client = self.authenticated(params, authorization).await?;
        if !client.grants.contains(&GrantType::DeviceCode) {
            return Err(error(ErrorCode::UnauthorizedClient, "grants of this client has no device_code."));
        }
        let (scope, resources) = (scope(params, &client)?, resources(params, &client)?);
        let request = AuthorizationRequest { scope, resources, ..AuthorizationRequest::of(&client.id) };
        let (device_code, user_code) = (self.vault.secret(), self.user_code());
        let device = Device { client: client.id.clone() };
        self.vault.put(device_key(&device_code), &device, LIFE).await?;
        let waiting = Waiting { request, place, device: device_code.clone() };
        self.vault.put(self.user_key(&user_code), &waiting, LIFE).await?;
        let verification_uri = format!("{}/oauth2/device", self.issuer);
        Ok(DeviceResponse {
            verification_uri_complete: format!("{verification_uri}?user_code={user_code}"),
            device_code,
            user_code,
            verification_uri,
            expires_in: LIFE.as_secs(),
            interval: INTERVAL,
        })
    }

    /// `BCDF-GHJK`
    fn user_code(&self) -> String {
        // 240 is a multiple of 20: every letter is as likely.
        let fine = std::iter::repeat_with(|| self.vault.bytes::<16>()).flatten().filter(|byte| *byte < 240);
        let letters = fine.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
        let code: String = letters.take(LENGTH).collect();
        format!("{}-{}", &code[..LENGTH / 2], &code[LENGTH / 2..])
    }

    /// Keyed: a code is short enough to be guessed.
    fn user_key(&self, code: &str) -> Key {
        let name = self.vault.pseudonym(format!("user code\0{}", letters_of(code)).as_bytes());
        Vault::key(Space::Request, &["user code", &name])
    }

    /// What a code that somebody typed stands for.
    pub async fn device(&self, typed: &str) -> Result<Option<DeviceQuestion>, Unavailable> {
        let Some(waiting) = self.waiting(typed).await? else { return Ok(None) };
        let client = self.client(&waiting.request.client).await?;
        Ok(client.map(|client| DeviceQuestion {
            user_code: shown(typed),
            client_name: client.name.clone(),
            place: waiting.place,
            scope: waiting.request.scope,
        }))
    }

    async fn waiting(&self, typed: &str) -> Result<Option<Waiting>, Unavailable> {
        if letters_of(typed).len() != LENGTH {
            return Ok(None);
        }
        self.vault.get(self.user_key(typed)).await
    }

    /// The first answer counts.
    pub async fn decide_device(&self, typed: &str, agreed: bool, who: &SignedIn) -> Result<DeviceAnswer, Unavailable> {
        let Some(waiting) = self.waiting(typed).await? else { return Ok(DeviceAnswer::Gone) };
        let Some(client) = self.client(&waiting.request.client).await? else { return Ok(DeviceAnswer::Gone) };
        let client = client.as_ref();
        let decision = match agreed {
            true if !self.permits(client, who) => return Ok(DeviceAnswer::Denied),
            true => Decision::Agreed(Box::new(Agreed { request: waiting.request, who: self.known_to(client, who) })),
            false => Decision::Declined,
        };
        let decided = self.vault.put_new(decision_key(&waiting.device), &Decided { decision }, LIFE).await?;
        self.vault.take::<Waiting>(self.user_key(typed)).await?;
        Ok(if decided { DeviceAnswer::Done } else { DeviceAnswer::Gone })
    }

    /// §3.4
    pub(super) async fn by_device(
        &self,
        client: &Client,
        code: &str,
        jkt: Option<String>,
    ) -> Result<TokenResponse, OAuthError> {
        let device: Option<Device> = self.vault.get(device_key(code)).await?;
        if device.is_none_or(|device| device.client != client.id) {
            return Err(error(
                ErrorCode::ExpiredToken,
                "There is no such device_code: it is over, or of another client.",
            ));
        }
        let often = Vault::key(Space::Rate, &["device", code]);
        if let Admission::Wait(_) = self.vault.admit(often, PATIENCE, 1).await? {
            return Err(error(ErrorCode::SlowDown, "Ask every 5 seconds, and 5 seconds less often from now on."));
        }
        let decided: Option<Decided> = self.vault.get(decision_key(code)).await?;
        match decided.map(|decided| decided.decision) {
            None => Err(error(ErrorCode::AuthorizationPending, "Nobody has answered yet.")),
            Some(Decision::Declined) => Err(error(ErrorCode::AccessDenied, "The person did not agree.")),
            Some(Decision::Agreed(agreed)) => {
                let Agreed { request, who } = *agreed;
                match self.vault.race(Vault::key(Space::Used, &["device", code]), LIFE).await? {
                    Race::Won { .. } => {
                        let (person, session) = (who.session.sub.as_str(), who.id.text());
                        tracing::info!(target: AUDIT, event = "app.granted", client = client.id, person, session);
                        self.first_tokens(client, CodeRecord::new(request, who, self.vault.name()), jkt).await
                    }
                    Race::Lost(_) => Err(error(ErrorCode::InvalidGrant, "The device_code was used before.")),
                }
            }
        }
    }
}

/// However it is typed.
fn letters_of(code: &str) -> String {
    let letters = code.chars().filter(char::is_ascii_alphanumeric).take(LENGTH + 1);
    letters.map(|letter| letter.to_ascii_uppercase()).collect()
}

fn shown(code: &str) -> String {
    let letters = letters_of(code);
    let (start, end) = letters.split_at(letters.len().min(LENGTH / 2));
    format!("{start}-{end}")
}

fn device_key(code: &str) -> Key {
    Vault::key(Space::Request, &["device", code])
}

fn decision_key(code: &str) -> Key {
    Vault::key(Space::Request, &["decision", code])
}
