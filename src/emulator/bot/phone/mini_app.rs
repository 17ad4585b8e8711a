//! The mini-app: how it is opened, and what it may ask of the messenger around it.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::json;

use super::{Who, WhoQuery, cannot, person, told};
use crate::base::problem::Problem;
use crate::emulator::bot::init_data::{Kind, Parts};
use crate::emulator::bot::{Bot, init_data, link, signatures};

const BRIDGE: &str = include_str!("../../../../web/max-web-app.js");

/// The phone's address as MAX sees and signs it: that of this machine, as the browser beside it.
const USUAL_IP: &str = "127.0.0.1";

#[derive(Deserialize)]
pub(super) struct Network {
    ip: Option<String>,
}

pub(super) async fn launch_without_payload(
    State(bot): State<Arc<Bot>>,
    Query(who): WhoQuery,
    Query(network): Query<Network>,
) -> Result<Response, Problem> {
    open(&bot, &who, network.ip, None)
}

pub(super) async fn launch(
    State(bot): State<Arc<Bot>>,
    Path(startapp): Path<String>,
    Query(who): WhoQuery,
    Query(network): Query<Network>,
) -> Result<Response, Problem> {
    open(&bot, &who, network.ip, link::app_payload(&startapp))
}

/// Whatever the state of the dialogue; it does not change it, either.
fn open(bot: &Bot, who: &Who, ip: Option<String>, start_param: Option<String>) -> Result<Response, Problem> {
    let asked = Asked { kind: Kind::Good, start_param, ip };
    let init_data = made(bot, who, &asked)?;
    let url = bot.options.mini_app.as_ref().map(|url| format!("{url}#{}", init_data::fragment(&init_data)));
    Ok(told(&json!({ "initData": init_data, "url": url })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    kind: Kind,
    start_param: Option<String>,
    ip: Option<String>,
}

fn made(bot: &Bot, who: &Who, asked: &Asked) -> Result<String, Problem> {
    let mut state = bot.state();
    let parts = Parts {
        person: person(&mut state, who)?,
        start_param: asked.start_param.as_deref(),
        ip: Some(asked.ip.as_deref().unwrap_or(USUAL_IP)).filter(|ip| !ip.is_empty()),
        query_id: bot.rng.uuid(),
        now_ms: bot.clock.unix_ms(),
    };
    Ok(init_data::make(&bot.options.token, asked.kind, &parts))
}

pub(super) async fn init_data(
    State(bot): State<Arc<Bot>>,
    Query(who): WhoQuery,
    body: String,
) -> Result<Response, Problem> {
    let asked: Asked = serde_json::from_str(&body).map_err(|error| Problem::invalid(error.to_string()))?;
    Ok(told(&json!({ "initData": made(&bot, &who, &asked)? })))
}

#[derive(Deserialize)]
pub(super) struct RequestContact {
    #[serde(default)]
    kind: ContactKind,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum ContactKind {
    #[default]
    Own,
    /// Another number under the same hash.
    Forged,
    /// The person did not want to.
    Declined,
}

/// What `WebApp.requestContact()` gives.
pub(super) async fn request_contact(
    State(bot): State<Arc<Bot>>,
    Query(who): WhoQuery,
    Query(RequestContact { kind }): Query<RequestContact>,
) -> Result<Response, Problem> {
    let mut state = bot.state();
    let person = person(&mut state, &who)?;
    if kind == ContactKind::Declined {
        return Err(cannot("the person did not share the number"));
    }
    let auth_date = bot.clock.unix_seconds();
    let hash = signatures::phone(&bot.options.token, auth_date, person.phone, person.id);
    let phone = if kind == ContactKind::Forged { person.phone + 1 } else { person.phone };
    Ok(told(&json!({ "phone": phone.to_string(), "authDate": auth_date, "hash": hash })))
}

/// A stand-in for MAX's own script; what it says it is, it is in MAX.
pub(super) async fn bridge() -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "no-store")], BRIDGE).into_response()
}
