//! What the mini-app's page asks: who opened it by what code, and what they answered. HTTP is the server's.

use super::init_data::{InitData, is_their_phone};
use super::proximity::is_near;
use super::question::{Answer, Judged, Opened, Verdict, is_link_code};
use super::{Official, Person, update};
use crate::base::id::{self, Fingerprint};
use crate::config::Proximity;
use crate::signin::{Awake, DriverName};
use crate::store::Unavailable;
use crate::texts::Locale;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What seals a ticket.
const TICKET: &[u8] = b"ticket of the mini-app";

/// Who opened a code, between the page's requests.
#[derive(Serialize, Deserialize)]
struct Ticket {
    code: String,
    person: Person,
}

/// What the page shows.
#[derive(Debug, Serialize)]
pub struct AppOpened {
    pub ticket: String,
    pub site: String,
    pub browser: Option<String>,
    /// Empty: only yes or no.
    pub choices: Vec<String>,
    /// `elsewhere`: the phone is in another network than the browser.
    pub warning: Option<&'static str>,
    /// The site will ask for the number.
    pub contact: bool,
    /// The person's language.
    pub locale: &'static str,
}

/// What came of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppOutcome {
    Approved,
    /// The site wants the person's number.
    Contact,
    Declined,
}

impl AppOutcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Contact => "contact",
            Self::Declined => "declined",
        }
    }
}

/// Why the page cannot go on.
#[derive(Debug, PartialEq)]
pub enum AppError {
    /// Not signed by MAX for this bot, or too old.
    InitData,
    /// It was used before.
    Used,
    /// Opened by something else than a code.
    CodeMissing,
    /// Somebody else has the code.
    CodeUsed,
    CodeExpired,
    Locked(Duration),
    OtherNetwork,
    /// MAX did not sign this number for this person.
    Contact,
    Store(Unavailable),
}

impl From<Unavailable> for AppError {
    fn from(error: Unavailable) -> Self {
        Self::Store(error)
    }
}

/// A number as `WebApp.requestContact()` gives it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnContact {
    pub phone: String,
    pub auth_date: Value,
    pub hash: String,
}

impl Official {
    /// Somebody opened the page inside MAX.
    pub async fn app_open(&self, init_data: &str) -> Result<AppOpened, AppError> {
        let refused = |why| {
            metrics::counter!("max_auth_mini_app_refused_total").increment(1);
            // Not the data: it names a person.
            tracing::info!(?why, "what opened the mini-app is not believed");
            AppError::InitData
        };
        let data = InitData::read(init_data, self.settings.token.expose(), self.vault.unix_ms()).map_err(refused)?;
        let code = data.start_param.ok_or(AppError::CodeMissing)?;
        if !is_link_code(&code) {
            // Those that people type are for the dialogue, where guesses are counted.
            return Err(AppError::CodeExpired);
        }
        let name = id::encode(Fingerprint::of(data.hash.as_bytes()).bytes());
        if !self.questions.is_first("init-data", &name).await? {
            return Err(AppError::Used);
        }
        let user = data.user.id;
        let question = match self.questions.open(&code, user).await? {
            Opened::Theirs(question) => question,
            Opened::Others => return Err(AppError::CodeUsed),
            Opened::Gone => return Err(AppError::CodeExpired),
            Opened::Locked(left, question) => {
                self.wake(&question).await;
                return Err(AppError::Locked(left));
            }
        };
        let near = match (self.settings.proximity, data.ip.zip(question.address)) {
            (Proximity::Off, _) => true,
            (_, Some((phone, browser))) => is_near(phone, browser, &self.settings.countries),
            // Nobody knows: that is not near enough where it must be.
            (policy, None) => policy == Proximity::Warn,
        };
        if !near && self.settings.proximity == Proximity::Require {
            self.questions.decide(&question, Verdict::Declined).await?;
            self.wake(&question).await;
            return Err(AppError::OtherNetwork);
        }
        if self.wake(&question).await == Awake::Over {
            return Err(AppError::CodeExpired);
        }
        let locale = data.user.language_code.as_deref().map(Locale::parse).unwrap_or_default();
        let ticket = Ticket { code: question.code.clone(), person: data.user.into() };
        Ok(AppOpened {
            ticket: self.vault.seal_token(TICKET, &ticket, self.questions.ttl() * 2)?,
            site: self.settings.site.clone(),
            browser: question.browser.clone(),
            choices: question.choices.clone(),
            warning: (!near).then_some("elsewhere"),
            contact: self.settings.wants_phone,
            locale: locale.tag(),
        })
    }

    fn ticket(&self, ticket: &str) -> Result<Ticket, AppError> {
        self.vault.open_token(TICKET, ticket).ok_or(AppError::CodeExpired)
    }

    /// What they picked; `None`: it was not them.
    pub async fn app_confirm(&self, ticket: &str, choice: Option<&str>) -> Result<AppOutcome, AppError> {
        let Ticket { code, person } = self.ticket(ticket)?;
        let answer = choice.map_or(Answer::NotMe, Answer::Picked);
        match self.questions.judge(&code, person.id, answer).await? {
            (Judged::Right, Some(_)) if self.settings.wants_phone => {
                self.questions.await_contact(person.id, &code).await?;
                Ok(AppOutcome::Contact)
            }
            (Judged::Right, Some(question)) => {
                let is_signed_in = self.signed_in(&question, DriverName::MiniApp, person, None).await?;
                if is_signed_in { Ok(AppOutcome::Approved) } else { Err(AppError::CodeExpired) }
            }
            (Judged::Wrong, Some(question)) => {
                self.wake(&question).await;
                Ok(AppOutcome::Declined)
            }
            _ => Err(AppError::CodeExpired),
        }
    }

    /// Their number; `None`: they keep it to themselves.
    pub async fn app_contact(&self, ticket: &str, contact: Option<&OwnContact>) -> Result<AppOutcome, AppError> {
        let Ticket { code, person } = self.ticket(ticket)?;
        let awaited = self.questions.awaited(person.id).await?.filter(|question| question.code == code);
        let question = awaited.ok_or(AppError::CodeExpired)?;
        let phone = match contact {
            None => None,
            Some(OwnContact { phone, auth_date, hash }) => {
                let digits = phone.trim_start_matches('+');
                if !is_their_phone(self.settings.token.expose(), person.id, digits, auth_date, hash) {
                    return Err(AppError::Contact);
                }
                Some(update::phone(digits).ok_or(AppError::Contact)?)
            }
        };
        let is_signed_in = self.signed_in(&question, DriverName::MiniApp, person, phone).await?;
        if is_signed_in { Ok(AppOutcome::Approved) } else { Err(AppError::CodeExpired) }
    }
}
