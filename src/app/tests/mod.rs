//! The whole server in this process, without a listener: what it answers to each request of a sign-in and to what is not
//! one. MAX is the emulator. The answers are kept in snapshots, with what differs from run to run left out.

mod answers;
mod checklist;
mod email;
mod error_pages;
mod forward_auth;
mod networks;
mod openid;

use super::{App, Kept, Surroundings, build};
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::config::{Config, Dialect, Endpoint, Flags};
use crate::emulator::{self, Account, Emulator, Options};
use crate::observe::Metrics;
use crate::server::{Checklist, Inspection, Inspector, Ops, Verdict};
use crate::store::Flaky;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

/// Nobody waits longer for anything here.
const PATIENCE: Duration = Duration::from_secs(20);

/// Of a stream, what comes in this time after the first piece.
const PIECE: Duration = Duration::from_millis(300);

/// What every answer of the public listener says; only what differs from it is kept.
const USUAL: [(&str, &str); 14] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action \
         'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("vary", "origin, cookie"),
    ("cache-control", "private, no-store, no-transform"),
    ("cdn-cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("pragma", "no-cache"),
    ("referrer-policy", "no-referrer"),
    ("surrogate-control", "no-store"),
    ("x-accel-buffering", "no"),
    ("x-accel-expires", "0"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// Where the test's visitor comes from.
const VISITOR: &str = "203.0.113.7:40000";

struct Site {
    routes: Router,
    ops: Router,
    phone: Router,
    tasks: Tasks,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

/// Somebody who looked from outside.
struct Found;

impl Inspector for Found {
    fn inspect(&self) -> BoxFuture<'_, Inspection> {
        let report = ("what is found".to_owned(), "что найдено".to_owned());
        Box::pin(std::future::ready(Inspection { path: Verdict::Attention, max: Verdict::Broken, report }))
    }
}

impl Site {
    async fn new(password: Option<&str>, settle: impl FnOnce(&mut Config)) -> Self {
        Self::over(None, password, settle).await
    }

    /// `store`: one that can be away.
    async fn over(store: Option<Arc<Flaky>>, password: Option<&str>, settle: impl FnOnce(&mut Config)) -> Self {
        let (clock, rng, tasks) = (Clock::system(), Rng::system(), Tasks::new());
        let account = Account::default();
        let (poll, password) = (Duration::from_millis(20), password.map(str::to_owned));
        let options = Options { poll, password, account, ..Options::default() };
        let max = Emulator::new(options, clock.clone(), rng.clone(), tasks.clone());
        let listener = emulator::listen("127.0.0.1:0".parse().unwrap(), false).await.unwrap();
        let url = format!("ws://{}/websocket", listener.local_addr().unwrap()).parse().unwrap();
        let phone = max.phone_router();
        tasks.spawn("emulator", async move { max.serve(listener).await });

        let mut config = Config::load(&Flags::default()).unwrap().config;
        config.upstream.endpoints = vec![Endpoint { url, dialect: Dialect::Binary }];
        config.server.public_url = "https://example.ru/".parse().unwrap();
        config.server.allowed_origins = vec![crate::base::origin::Origin::of(&config.server.public_url)];
        settle(&mut config);
        let max_active = config.login.max_active;
        let mut surroundings = Surroundings::in_memory(&tasks);
        if let Some(store) = store {
            surroundings.kept = Kept::over(store, &Rng::seeded(1)).unwrap();
        }
        let App { registry, ends, keys, status, routes, .. } = build(&config, surroundings);
        let metrics = Metrics::unheard();
        let checklist = Checklist::new(Arc::new(config), Arc::clone(&registry), Arc::new(Found), clock);
        let ops = Ops { metrics, registry, tasks: tasks.clone(), max_active, ends, keys, status, checklist }.router();
        Self { routes, ops, phone, tasks }
    }

    /// `request`: a method, a path, and headers below it, each on a line; then an empty line and the body.
    async fn ask(&self, request: &str) -> Answer {
        ask(&self.routes, request).await
    }

    /// Until MAX has a code to show, which the phone then approves or declines.
    async fn phone(&self, does: &str) {
        let until = async {
            loop {
                let codes = ask(&self.phone, "GET /phone/codes").await;
                let codes: Value = serde_json::from_str(&codes.body).unwrap();
                let open = codes["codes"].as_array().unwrap().iter().find(|code| code["state"] == "open").cloned();
                if let Some(code) = open {
                    return code["track"].as_str().unwrap().to_owned();
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let track = timeout(PATIENCE, until).await.expect("a code");
        let done = ask(&self.phone, &format!("POST /phone/{does}/{track}")).await;
        assert!(done.status.is_success(), "{}", done.body);
    }
}

async fn ask(routes: &Router, request: &str) -> Answer {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines().map(str::trim);
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let mut asked = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        asked = asked.header(name, value.trim());
    }
    let mut asked = asked.body(Body::from(body.to_owned())).unwrap();
    asked.extensions_mut().insert(ConnectInfo::<SocketAddr>(VISITOR.parse().unwrap()));
    let answer = timeout(PATIENCE, routes.clone().oneshot(asked)).await.expect("an answer").unwrap();
    let (parts, mut body) = answer.into_parts();
    let mut bytes = Vec::new();
    let mut wait = PATIENCE;
    while let Ok(Some(Ok(frame))) = timeout(wait, body.frame()).await {
        bytes.extend_from_slice(frame.data_ref().unwrap_or(&bytes::Bytes::new()));
        if parts.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream") {
            wait = PIECE;
        }
    }
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&bytes).into_owned() }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The cookie that it sets, as a browser sends it back.
    fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    /// Of a page, the first event only: what else is there already is a matter of time.
    fn first_event(mut self) -> Self {
        let mut page = self.json();
        if let Some(events) = page["events"].as_array_mut() {
            events.truncate(1);
            page["next"] = page["events"][0]["id"].clone();
            self.body = page.to_string();
        }
        self
    }

    /// As it is kept: status, headers in order, and what is in the body for whom it is.
    fn told(&self) -> String {
        let mut text = format!("{}\n", self.status);
        let differs = |name: &str, value: &str| name != "content-length" && !USUAL.contains(&(name, value));
        let said = self.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("?")));
        let said = said.filter(|(name, value)| differs(name, value));
        let mut headers: Vec<String> = said.map(|(name, value)| format!("  {name}: {value}")).collect();
        let silent = USUAL.iter().filter(|(name, _)| !self.headers.contains_key(*name));
        headers.extend(silent.map(|(name, _)| format!("  no {name}")));
        headers.sort();
        for header in headers {
            let _ = writeln!(text, "{}", steady(&header));
        }
        let html = self.header("content-type").starts_with("text/html");
        let body = if html { seen(&self.body) } else { self.body.clone() };
        for line in body.lines().filter(|line| !line.trim().is_empty() && !line.starts_with(": ")) {
            let line = steady(line);
            let end = line.char_indices().nth(700).map_or(line.len(), |(end, _)| end);
            let _ = writeln!(text, "  | {}", &line[..end]);
        }
        text
    }
}

/// What a person sees of a page, and where its forms and links lead.
fn seen(html: &str) -> String {
    let mut text = String::new();
    let body = html.split_once("<body").map_or(html, |(_, body)| body);
    for piece in body.split('<').skip(1) {
        let (tag, words) = piece.split_once('>').unwrap_or((piece, ""));
        for attribute in ["action=\"", "href=\"", "name=\"", "value=\"", "content=\""] {
            if let Some((_, rest)) = tag.split_once(attribute) {
                let _ = writeln!(text, "{attribute}{}\"", rest.split('"').next().unwrap_or_default());
            }
        }
        if !tag.starts_with("script") && !tag.starts_with("style") && !words.trim().is_empty() {
            let _ = writeln!(text, "{}", words.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    text
}

/// Without what differs from run to run: secrets and ids, drawings, times.
fn steady(line: &str) -> String {
    let mut text = String::new();
    let line = &without(&without(line, "/:auth/", "?\\\""), "/callback/", "?\\\"");
    // Of the ready page's script and style, which change with every word of them.
    let line = &without(&without(line, "script-src 'self' 'sha256-", "'"), "style-src 'sha256-", "'");
    let line = &without(line, "data:image/png;base64,", "\"");
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '-';
    let mut rest = line.as_str();
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|character| is_word(character) != is_word(first)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        let digits = piece.bytes().all(|byte| byte.is_ascii_digit());
        let mixed =
            piece.bytes().any(|byte| byte.is_ascii_digit()) || piece.bytes().any(|byte| byte.is_ascii_uppercase());
        let epoch = piece.len() > 9
            && piece.as_bytes()[8] == b'-'
            && piece.bytes().take(8).all(|byte| byte.is_ascii_hexdigit());
        match () {
            () if is_word(first) && digits && piece.len() > 3 => text += "NUMBER",
            () if is_word(first) && epoch => text += &format!("EPOCH{}", &piece[8..]),
            () if is_word(first) && piece.len() >= 20 && mixed => text += "SECRET",
            () => text += piece,
        }
        rest = after;
    }
    // A drawn code.
    while let Some(start) = text.find("d=\\\"M").or_else(|| text.find("d=\"M")) {
        let end = text[start + 5..].find('"').map_or(text.len(), |end| start + 5 + end);
        text.replace_range(start..end, "DRAWING");
    }
    text
}

/// Without what stands between `before` and one of the characters of `ends`.
fn without(line: &str, before: &str, ends: &str) -> String {
    let Some((start, rest)) = line.split_once(before) else { return line.to_owned() };
    let end = rest.find(|character| ends.contains(character)).unwrap_or(rest.len());
    format!("{start}{before}SECRET{}", &rest[end..])
}
