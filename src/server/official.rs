//! What MAX asks of us: a bot's updates, and what the mini-app's page asks.

use super::answer::json;
use super::app_page::{self, AppPage};
use super::extract::{body_up_to, json_body};
use super::refusals::store_unavailable;
use crate::base::problem::{Problem, ProblemCode};
use crate::drivers::{AppError, Official, OwnContact, Refused};
use crate::texts::Texts;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json as value;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// An update (bytes): a message of 4000 characters with twelve attachments has some 60 KiB.
const UPDATE: usize = 256 * 1024;

/// When MAX may bring an update again that there was no room for; it takes a minute.
const UPDATE_PAUSE: Duration = Duration::from_secs(5);

/// What the official drivers bring with them.
pub struct OfficialPages {
    pub official: Arc<Official>,
    /// MAX's script for mini-apps.
    pub bridge: Url,
    /// A driver compares the visitor's address with the phone's.
    pub keeps_addresses: bool,
}

pub fn router(base: &str, pages: &OfficialPages, texts: &Texts) -> Router {
    let page = Arc::new(AppPage::new(base, pages.bridge.as_str(), texts));
    let page = Router::new().route(&format!("{base}/app"), get(app_page::page)).with_state(page);
    Router::new()
        .route(&format!("{base}/app/open"), post(open))
        .route(&format!("{base}/app/confirm"), post(confirm))
        .route(&format!("{base}/app/contact"), post(contact))
        .with_state(Arc::clone(&pages.official))
        .merge(page)
}

/// Takes what is brought to the webhook's path, which is the operator's choice; everything else passes.
pub async fn webhook(State(official): State<Arc<Official>>, request: Request, next: Next) -> Response {
    let is_brought = request.method() == Method::POST
        && official
            .webhook()
            .and_then(|url| Url::parse(url).ok())
            .is_some_and(|url| url.path() == request.uri().path());
    if !is_brought {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let secret = parts.headers.get("x-max-bot-api-secret").map(|secret| secret.as_bytes().to_vec());
    let body = match body_up_to(body, UPDATE).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    match official.receive(secret.as_deref(), &body) {
        Ok(()) => StatusCode::OK.into_response(),
        Err(Refused::Secret) => {
            let why = "X-Max-Bot-Api-Secret is missing or another than the subscription's.";
            Problem::new(ProblemCode::SecretRefused, why).into_response()
        }
        Err(Refused::Shape) => Problem::invalid("an update is JSON").into_response(),
        Err(Refused::Busy) => {
            Problem::later(ProblemCode::Busy, "Too many updates are being worked on.", UPDATE_PAUSE).into_response()
        }
    }
}

async fn read<T: DeserializeOwned>(request: Request, shape: &str) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    let text = json_body(&parts.headers, body).await?;
    serde_json::from_slice(&text).map_err(|_| Problem::invalid(format!("the body must be {shape}")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    init_data: String,
}

async fn open(State(official): State<Arc<Official>>, request: Request) -> Result<Response, Problem> {
    let Open { init_data } = read(request, "{\"initData\":\"…\"}").await?;
    let opened = official.app_open(&init_data).await.map_err(|error| problem(&error))?;
    Ok(json(&opened))
}

#[derive(Deserialize)]
struct Confirm {
    ticket: String,
    choice: Option<String>,
}

async fn confirm(State(official): State<Arc<Official>>, request: Request) -> Result<Response, Problem> {
    let Confirm { ticket, choice } = read(request, "{\"ticket\":\"…\",\"choice\":\"42\" or null}").await?;
    let outcome = official.app_confirm(&ticket, choice.as_deref()).await.map_err(|error| problem(&error))?;
    Ok(json(&value!({"outcome": outcome.name()})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contact {
    ticket: String,
    phone: Option<String>,
    #[serde(default)]
    auth_date: serde_json::Value,
    #[serde(default)]
    hash: String,
}

async fn contact(State(official): State<Arc<Official>>, request: Request) -> Result<Response, Problem> {
    let shape = "{\"ticket\":\"…\",\"phone\":\"79990000000\" or null,\"authDate\":…,\"hash\":\"…\"}";
    let Contact { ticket, phone, auth_date, hash } = read(request, shape).await?;
    let contact = phone.map(|phone| OwnContact { phone, auth_date, hash });
    let outcome = official.app_contact(&ticket, contact.as_ref()).await.map_err(|error| problem(&error))?;
    Ok(json(&value!({"outcome": outcome.name()})))
}

fn problem(error: &AppError) -> Problem {
    let (code, detail) = match error {
        AppError::InitData => {
            let why =
                "MAX did not sign this for the site's bot, or it is older than five minutes: open the page again.";
            (ProblemCode::InitDataInvalid, why)
        }
        AppError::Used => (ProblemCode::InitDataUsed, "This opening of the page was used: open it again."),
        AppError::CodeMissing => {
            (ProblemCode::CodeMissing, "The page was opened without a code: scan the one on the site.")
        }
        AppError::CodeUsed => (ProblemCode::CodeUsed, "Somebody else has opened this code."),
        AppError::CodeExpired => (ProblemCode::CodeExpired, "The code is over: refresh the sign-in page."),
        AppError::OtherNetwork => {
            (ProblemCode::OtherNetwork, "The phone must be in the browser's network (driver.mini_app.proximity).")
        }
        AppError::Contact => (ProblemCode::ContactInvalid, "MAX did not sign this number for this person."),
        AppError::Locked(left) => {
            return Problem::later(ProblemCode::PersonLocked, "Too many wrong answers within an hour.", *left);
        }
        AppError::Store(error) => return store_unavailable(error),
    };
    Problem::new(code, detail)
}
