//! The phone: a page for people, and the same buttons as JSON for tests.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName};
use serde_json::{Value, json};

use super::Emulator;
use super::bot;
use super::fault::Faults;
use super::world;
use crate::base::problem::{Problem, ProblemCode};
use crate::max::frame::Dialect;

/// A fault script, in bytes: 64 faults of about 100 bytes each, and room for whoever writes them by hand.
const MAX_SCRIPT_BYTES: usize = 64 * 1024;

const PAGE: &str = include_str!("../../web/phone.html");
const SCRIPT: &str = include_str!("../../web/phone.js");
const BOT_SCRIPT: &str = include_str!("../../web/phone-bot.js");
const STYLE: &str = include_str!("../../web/phone.css");

/// The page loads its own script and style and talks to its own address; its icon is written inside it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `bot` gets a place on the page, and its mini-app a frame.
pub(super) fn router(emulator: Arc<Emulator>, bot: Option<&bot::Served>) -> Router {
    let (page, policy) = page(bot);
    Router::new()
        .route("/phone", get(move || whole_page(policy.clone(), page.clone())))
        .route("/phone/phone.js", get(|| asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/phone/phone-bot.js", get(|| asset("text/javascript; charset=utf-8", BOT_SCRIPT)))
        .route("/phone/phone.css", get(|| asset("text/css; charset=utf-8", STYLE)))
        .route("/phone/codes", get(codes))
        .route("/phone/stats", get(stats))
        .route("/phone/approve/{track}", post(approve))
        .route("/phone/decline/{track}", post(decline))
        .route("/phone/expire/{track}", post(expire))
        .route("/phone/fault", post(fault).layer(DefaultBodyLimit::max(MAX_SCRIPT_BYTES)))
        .with_state(emulator)
}

fn page(bot: Option<&bot::Served>) -> (String, String) {
    let Some(bot) = bot else { return (PAGE.to_owned(), POLICY.to_owned()) };
    let page = PAGE.replacen("<body>", &format!("<body data-bot=\"{}\">", bot.name()), 1);
    let frames = bot.mini_app().map_or_else(|| "'self'".to_owned(), |url| url.origin().ascii_serialization());
    (page, format!("{POLICY}; frame-src {frames}"))
}

async fn whole_page(policy: String, page: String) -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), (CONTENT_SECURITY_POLICY, policy)];
    ([(CACHE_CONTROL, "no-store")], headers, page).into_response()
}

async fn asset(content_type: &'static str, text: &'static str) -> Response {
    with_headers([(CONTENT_TYPE, content_type), (CONTENT_SECURITY_POLICY, POLICY)], text)
}

fn with_headers<const N: usize>(headers: [(HeaderName, &'static str); N], body: impl IntoResponse) -> Response {
    ([(CACHE_CONTROL, "no-store")], headers, body).into_response()
}

fn json_body(body: &Value) -> Response {
    with_headers([(CONTENT_TYPE, "application/json")], body.to_string())
}

async fn codes(State(emulator): State<Arc<Emulator>>) -> Response {
    let now = emulator.clock.monotonic();
    let mut world = emulator.world();
    let codes = world.codes(now).map(|code| {
        json!({
            "track": code.track,
            "link": code.link(),
            "expiresAt": code.expires_unix_ms,
            "polls": code.polls,
            "state": code.state.name(),
            "dialect": match code.dialect { Dialect::Json => "json", Dialect::Binary => "binary" },
            "deviceName": code.device_name,
            "osVersion": code.os_version,
        })
    });
    let codes = codes.collect::<Vec<_>>();
    drop(world);
    json_body(&json!({ "codes": codes }))
}

async fn stats(State(emulator): State<Arc<Emulator>>) -> Response {
    let world = emulator.world();
    let stats = &world.stats;
    let body = json!({
        "codes": stats.codes,
        "logins": stats.logins,
        "logouts": stats.logouts,
        "openLogins": stats.open_logins(),
        "maxLoginsAtOnce": stats.max_logins_at_once,
        "questions": stats.questions,
        "connections": stats.connections,
        "silent": world.silent(),
        "totalConnections": stats.total_connections,
        "foreignOrigins": stats.foreign_origins,
        "sessionsClosed": stats.sessions_closed,
        "faults": world.faults.left(),
    });
    drop(world);
    json_body(&body)
}

async fn approve(State(emulator): State<Arc<Emulator>>, Path(track): Path<String>) -> Response {
    let approved = emulator.world().approve(&track, emulator.clock.monotonic());
    done(approved)
}

async fn decline(State(emulator): State<Arc<Emulator>>, Path(track): Path<String>) -> Response {
    let ended = emulator.world().end_code(&track, world::State::Declined, emulator.clock.monotonic());
    done(ended)
}

async fn expire(State(emulator): State<Arc<Emulator>>, Path(track): Path<String>) -> Response {
    let ended = emulator.world().end_code(&track, world::State::Expired, emulator.clock.monotonic());
    done(ended)
}

fn done(found: bool) -> Response {
    if found {
        return StatusCode::NO_CONTENT.into_response();
    }
    let detail = "no open code has this track: it may be used, expired, or its connection closed";
    Problem::new(ProblemCode::NoSuchCode, detail).into_response()
}

async fn fault(State(emulator): State<Arc<Emulator>>, script: Bytes) -> Response {
    match Faults::parse(&script) {
        Ok(faults) => {
            emulator.world().faults = faults;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(reason) => Problem::new(ProblemCode::BadScript, reason).into_response(),
    }
}
