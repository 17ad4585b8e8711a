//! `/phone/bot`: what people do on their phones, as JSON for the page and for tests. `?person=N` says who; without it it is
//! the person whose account the emulator has.

mod acts;
mod mini_app;
mod settings;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Query};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::Value;

use super::Bot;
use super::State as BotState;
use super::person::Person;
use crate::base::problem::{Problem, ProblemCode};

/// A script, a text, a link.
const BODY_BYTES: usize = 64 * 1024;

pub(super) fn router(bot: Arc<Bot>) -> Router {
    Router::new()
        .route("/phone/bot/start", post(acts::start_without_payload))
        .route("/phone/bot/start/{payload}", post(acts::start))
        .route("/phone/bot/stop", post(acts::stop))
        .route("/phone/bot/say", post(acts::say))
        .route("/phone/bot/press/{callback}", post(acts::press))
        .route("/phone/bot/contact", post(acts::contact))
        .route("/phone/bot/dialog", get(acts::dialog))
        .route("/phone/bot/launch", post(mini_app::launch_without_payload))
        .route("/phone/bot/launch/{startapp}", post(mini_app::launch))
        .route("/phone/bot/request-contact", post(mini_app::request_contact))
        .route("/phone/bot/init-data", post(mini_app::init_data))
        .route("/phone/bot/max-web-app.js", get(mini_app::bridge))
        .route("/phone/bot/scan", get(settings::scanned).post(settings::scan))
        .route("/phone/bot/person", post(settings::person))
        .route("/phone/bot/fault", post(settings::fault))
        .route("/phone/bot/stats", get(settings::stats))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(bot)
}

/// Who holds the phone.
#[derive(Deserialize)]
struct Who {
    person: Option<i64>,
}

type WhoQuery = Query<Who>;

fn person<'a>(state: &'a mut BotState, who: &Who) -> Result<&'a mut Person, Problem> {
    let id = who.person.unwrap_or(state.people.first);
    state.people.named(id).ok_or_else(|| cannot("there are too many people already"))
}

/// A phone could not do that now.
fn cannot(detail: &str) -> Problem {
    Problem::new(ProblemCode::PhoneCannot, detail)
}

/// A mini-app on another address may read it, too.
fn told(body: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, body.to_string()).into_response()
}
