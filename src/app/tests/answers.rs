//! One request after the other, and what each is answered.

use super::{Answer, PATIENCE, Site};
use crate::config::PasswordPolicy;
use crate::snapshot::assert_snapshot;
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const BASE: &str = "/api/auth/max";
const JSON: &str = "Origin: https://example.ru\nContent-Type: application/json";
const BEGIN: &str =
    r#"{"userAgent":{"deviceName":"Firefox","osVersion":"Windows"},"returnTo":"/after?x=1","locale":"en"}"#;

/// What was asked and answered, to be compared with what is kept.
pub(super) struct Transcript<'a> {
    site: &'a Site,
    pub text: String,
}

impl<'a> Transcript<'a> {
    pub fn of(site: &'a Site) -> Self {
        Self { site, text: String::new() }
    }

    pub async fn ask(&mut self, what: &str, request: &str) -> Answer {
        let answer = self.site.ask(request).await;
        let begins = answer.header("content-type") == "application/json" && request.starts_with(&begin());
        let answer = if begins { answer.first_event() } else { answer };
        let _ = writeln!(self.text, "## {what}\n{}", answer.told());
        answer
    }
}

fn begin() -> String {
    format!("POST {BASE}\n{JSON}\n\n{BEGIN}")
}

/// Asks until the visitor was told `kind`; the page that says it.
pub(super) async fn events_until(site: &Site, path: &str, cookie: &str, kind: &str) -> Value {
    let began = Instant::now();
    loop {
        let page = site.ask(&format!("GET {path}?wait=0\nCookie: {cookie}\nAccept: application/json")).await.json();
        if page["events"].as_array().is_some_and(|events| events.iter().any(|event| event["event"] == kind)) {
            return page;
        }
        assert!(began.elapsed() < PATIENCE, "no {kind}: {page}");
        sleep(Duration::from_millis(10)).await;
    }
}

pub(super) fn event(page: &Value, kind: &str) -> Value {
    let events = page["events"].as_array().unwrap();
    events.iter().rev().find(|event| event["event"] == kind).unwrap()["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_from_code_to_session_and_out_again() {
    let site = Site::new(None, |_| {}).await;
    let mut told = Transcript::of(&site);
    let begun = told.ask("begins", &begin()).await;
    let (flow, events) = (begun.cookie(), begun.header("location").to_owned());
    let page = events_until(&site, &events, &flow, "qr").await;
    let here = page["next"].as_str().unwrap_or_default().to_owned();
    let key = begun.json()["key"].as_str().unwrap_or_default().to_owned();
    let get = |rest: &str, cookie: &str| format!("GET {events}{rest}\nCookie: {cookie}\nAccept: application/json");
    told.ask("from the beginning", &get("?wait=0", &flow)).await;
    told.ask("from a position on, nothing new", &get(&format!("?wait=0&after={here}"), &flow)).await;
    told.ask("by its key, without a cookie", &format!("GET {events}?wait=0&after={here}\nX-Max-Auth-Key: {key}")).await;
    told.ask("by another key", &format!("GET {events}?wait=0\nX-Max-Auth-Key: AAAAAAAAAAAAAAAAAAAAAA")).await;
    told.ask("by its key, as a stream", &format!("GET {events}\nAccept: text/event-stream\nX-Max-Auth-Key: {key}"))
        .await;
    told.ask("without a cookie", &format!("GET {events}?wait=0")).await;
    told.ask(
        "with another's cookie",
        &get("?wait=0", "__Host-maxauth-flow=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    )
    .await;
    told.ask("from a position that is none", &get("?wait=0&after=7", &flow)).await;
    told.ask("from another life of the log", &get("?wait=0&after=00000000-1", &flow)).await;
    told.ask("from beyond its end", &get(&format!("?wait=0&after={}99", here), &flow)).await;
    told.ask("waits for no time that is one", &get("?wait=soon", &flow)).await;
    told.ask("waits longer than a day", &get("?wait=90000", &flow)).await;
    told.ask("an empty position is none", &get("?wait=0&after=", &flow)).await;
    told.ask("as a stream", &format!("GET {events}\nCookie: {flow}\nAccept: text/event-stream")).await;
    let seen =
        format!("GET {events}?after=00000000-1\nCookie: {flow}\nAccept: text/event-stream\nLast-Event-ID: {here}");
    told.ask("as a stream, from what an EventSource has seen", &seen).await;
    let none = format!("GET {events}?once=1&padded=1\nCookie: {flow}\nAccept: text/event-stream\nLast-Event-ID: ");
    told.ask("as a stream, once and padded", &none).await;
    told.ask("a trial of a stream", &format!("GET {events}?trial=30\nCookie: {flow}")).await;
    told.ask("a trial of no length", &format!("GET {events}?trial=long\nCookie: {flow}")).await;
    told.ask("an upgrade that a proxy took away", &format!("GET {events}?heartbeat=1\nCookie: {flow}")).await;
    told.ask("another method", &format!("PUT {events}\nCookie: {flow}")).await;
    let looked_at = "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\nAccept-Language: en";
    told.ask("the page with a code in it", &format!("GET {BASE}/login?return_to=%2Fafter\n{looked_at}")).await;
    told.ask("from another site", &format!("GET {events}?wait=0\nCookie: {flow}\nOrigin: https://evil.example")).await;
    told.ask(
        "a password that nobody asked for",
        &format!("POST {}\n{JSON}\nCookie: {flow}\n\n{{\"password\":\"x\"}}", events.replace("/events", "/password")),
    )
    .await;
    site.phone("approve").await;
    let page = events_until(&site, &events, &flow, "success").await;
    let success = event(&page, "success");
    let last = told.ask("success", &get(&format!("?wait=0&after={here}"), &flow)).await.json();
    told.ask("after the end", &get(&format!("?wait=0&after={}", last["next"].as_str().unwrap()), &flow)).await;
    told.ask(
        "as a stream, after the end",
        &format!("GET {events}?after={}\nCookie: {flow}\nAccept: text/event-stream", last["next"].as_str().unwrap()),
    )
    .await;

    let redirect = success["redirect"].as_str().unwrap();
    let callback = redirect.strip_prefix("https://example.ru").unwrap_or(redirect).to_owned();
    told.ask("the grant in another browser", &format!("GET {callback}")).await;
    told.ask(
        "the grant in another browser, for a person",
        &format!("GET {callback}\nAccept: text/html\nAccept-Language: ru"),
    )
    .await;
    told.ask("no grant", &format!("GET {BASE}/callback\nCookie: {flow}")).await;
    let signed_in = told.ask("the grant", &format!("GET {callback}\nCookie: {flow}")).await;
    told.ask("the grant again", &format!("GET {callback}\nCookie: {flow}")).await;
    let session = signed_in.cookie();
    told.ask("who it is", &format!("GET {BASE}/session\nCookie: {session}")).await;
    told.ask("who it is, at an address of its own", &format!("GET {BASE}/session/17\nCookie: {session}")).await;
    told.ask("for a proxy", &format!("GET {BASE}/verify\nCookie: {session}")).await;
    told.ask("for a person", &format!("GET {BASE}/account\nCookie: {session}\nAccept: text/html\nAccept-Language: en"))
        .await;
    told.ask("out, from another site", &format!("POST {BASE}/logout\nCookie: {session}\nOrigin: https://evil.example"))
        .await;
    told.ask("out", &format!("POST {BASE}/logout\nCookie: {session}\nOrigin: https://example.ru")).await;
    told.ask("who it is, afterwards", &format!("GET {BASE}/session\nCookie: {session}")).await;
    told.ask("for a proxy, afterwards", &format!("GET {BASE}/verify\nCookie: {session}")).await;
    told.ask("for a person, afterwards", &format!("GET {BASE}/account\nCookie: {session}\nAccept: text/html")).await;
    told.ask(
        "out again, from a form",
        &format!("POST {BASE}/logout\nCookie: {session}\nOrigin: https://example.ru\nAccept: text/html"),
    )
    .await;
    assert_snapshot("app/snapshots/sign-in.txt", &told.text);
    site.tasks.stopped(sleep(PATIENCE)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_without_leaving_the_page_and_one_given_up() {
    let site = Site::new(None, |_| {}).await;
    let mut told = Transcript::of(&site);
    let begun = site.ask(&begin()).await;
    let (flow, events) = (begun.cookie(), begun.header("location").to_owned());
    site.phone("approve").await;
    let token =
        event(&events_until(&site, &events, &flow, "success").await, "success")["token"].as_str().unwrap().to_owned();
    let redeem = |head: &str, body: &str| format!("POST {BASE}/callback\n{head}\nCookie: {flow}\n\n{body}");
    let whole = format!("{{\"token\":\"{token}\"}}");
    told.ask("from another site", &redeem("Origin: https://evil.example\nContent-Type: application/json", &whole))
        .await;
    told.ask("not as JSON", &redeem("Origin: https://example.ru\nContent-Type: text/plain", &whole)).await;
    told.ask("without a token", &redeem(JSON, "{}")).await;
    told.ask("another token", &redeem(JSON, "{\"token\":\"x\"}")).await;
    told.ask("redeemed", &redeem(JSON, &whole)).await;
    told.ask("redeemed again", &redeem(JSON, &whole)).await;

    let begun = site.ask(&begin()).await;
    let (flow, events) = (begun.cookie(), begun.header("location").to_owned());
    let login = events.strip_suffix("/events").unwrap().to_owned();
    events_until(&site, &events, &flow, "qr").await;
    told.ask("given up from another site", &format!("DELETE {login}\nCookie: {flow}\nOrigin: https://evil.example"))
        .await;
    told.ask("given up by another browser", &format!("DELETE {login}\nOrigin: https://example.ru")).await;
    told.ask("given up", &format!("DELETE {login}\nCookie: {flow}\nOrigin: https://example.ru")).await;
    told.ask(
        "a login that never was",
        &format!("DELETE {BASE}/AAAAAAAAAAAAAAAAAAAAAA\nCookie: {flow}\nOrigin: https://example.ru"),
    )
    .await;

    let begun = site.ask(&begin()).await;
    let (flow, events) = (begun.cookie(), begun.header("location").to_owned());
    events_until(&site, &events, &flow, "qr").await;
    site.phone("decline").await;
    // Somebody else's phone may have said no: there is another code.
    let began = Instant::now();
    while site.ask(&format!("GET {events}?wait=0\nCookie: {flow}")).await.body.matches("qrLink").count() < 2 {
        assert!(began.elapsed() < PATIENCE, "no fresh code");
        sleep(Duration::from_millis(10)).await;
    }
    assert_snapshot("app/snapshots/redeem-and-give-up.txt", &told.text);
    site.tasks.stopped(sleep(PATIENCE)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_start_is_said_so() {
    let site = Site::new(None, |_| {}).await;
    let mut told = Transcript::of(&site);
    let post = |head: &str, body: &str| format!("POST {BASE}\n{head}\n\n{body}");
    told.ask("no upgrade", &format!("GET {BASE}")).await;
    told.ask(
        "an upgrade that a proxy took away",
        &format!("GET {BASE}\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\nSec-WebSocket-Version: 13\nVia: 1.1 middle"),
    )
    .await;
    told.ask("an upgrade of another version", &format!("GET {BASE}\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\nSec-WebSocket-Version: 12\nOrigin: https://example.ru")).await;
    told.ask("an upgrade from another site", &format!("GET {BASE}\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\nSec-WebSocket-Version: 13\nOrigin: https://evil.example")).await;
    told.ask("only the head", &format!("HEAD {BASE}")).await;
    told.ask("another method", &format!("PUT {BASE}")).await;
    told.ask("from another site", &post("Origin: https://evil.example\nContent-Type: application/json", BEGIN)).await;
    told.ask(
        "from another site, by what the browser says of it",
        &post("Sec-Fetch-Site: cross-site\nContent-Type: application/json", BEGIN),
    )
    .await;
    told.ask("from no site at all", &post("Content-Type: application/json", "?")).await;
    told.ask("as text", &post("Origin: https://example.ru\nContent-Type: text/plain", BEGIN)).await;
    told.ask(
        "as JSON in UTF-8, empty",
        &post("Origin: https://example.ru\nContent-Type: application/json; charset=utf-8", ""),
    )
    .await;
    told.ask("too long", &post(JSON, &"x".repeat(9000))).await;
    told.ask("a list", &post(JSON, "[]")).await;
    told.ask("neither begin nor resume", &post(JSON, "{}")).await;
    told.ask("a wrong type", &post(JSON, r#"{"userAgent":7}"#)).await;
    told.ask("a resume", &post(JSON, r#"{"login":"AAAAAAAAAAAAAAAAAAAAAA"}"#)).await;
    told.ask("back to another site", &post(JSON, r#"{"userAgent":{},"returnTo":"https://evil.example/"}"#)).await;
    told.ask("nowhere", "GET /nowhere").await;
    told.ask("the first page, for a person", "GET /\nAccept: text/html").await;
    told.ask("the first page, for a program", "GET /").await;
    told.ask("a login that never was", &format!("GET {BASE}/AAAAAAAAAAAAAAAAAAAAAA/events?wait=0")).await;
    told.ask("a login by no name", &format!("GET {BASE}/%ff/events?wait=0")).await;
    assert_snapshot("app/snapshots/no-start.txt", &told.text);
    site.tasks.stopped(sleep(PATIENCE)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_script_and_with_a_password() {
    let site = Site::new(Some("кошка"), |config| config.login.password = PasswordPolicy::Ask).await;
    let mut told = Transcript::of(&site);
    let form = "Origin: https://example.ru\nContent-Type: application/x-www-form-urlencoded";
    told.ask("the form", &format!("GET {BASE}/login?return_to=%2Fafter%22%3E&locale=en")).await;
    told.ask("the form, in the browser's language", &format!("GET {BASE}/login\nAccept-Language: en-GB,ru;q=0.5"))
        .await;
    told.ask("from another site", &format!("POST {BASE}/login\nOrigin: https://evil.example\n\nlocale=en")).await;
    told.ask(
        "back to another site",
        &format!("POST {BASE}/login\n{form}\n\nlocale=en&return_to=https%3A%2F%2Fevil.example"),
    )
    .await;
    let begun = told.ask("begins", &format!("POST {BASE}/login\n{form}\n\nlocale=ru&return_to=%2Fafter")).await;
    let (flow, wait) = (begun.cookie(), begun.header("location").to_owned());
    let shown = async |part: &str| {
        let began = Instant::now();
        loop {
            let page = site.ask(&format!("GET {wait}\nCookie: {flow}")).await;
            if page.body.contains(part) || page.header("location").contains(part) {
                return page;
            }
            assert!(began.elapsed() < PATIENCE, "no {part}: {}", page.body);
            sleep(Duration::from_millis(10)).await;
        }
    };
    shown("max.ru/:auth").await;
    told.ask("a code", &format!("GET {wait}\nCookie: {flow}")).await;
    told.ask("a code, in another browser", &format!("GET {wait}\nAccept-Language: en")).await;
    site.phone("approve").await;
    shown("type=\"password\"").await;
    told.ask("a password is wanted", &format!("GET {wait}\nCookie: {flow}")).await;
    let give = |password: &str| format!("POST {wait}\n{form}\nCookie: {flow}\n\npassword={password}");
    told.ask("a password that is too long", &give(&"x".repeat(300))).await;
    told.ask(
        "a password from another site",
        &format!("POST {wait}\nOrigin: https://evil.example\nCookie: {flow}\n\npassword=x"),
    )
    .await;
    told.ask("a password in another browser", &format!("POST {wait}\n{form}\n\npassword=x")).await;
    told.ask("a wrong password", &give("dog")).await;
    shown("role=\"alert\"").await;
    told.ask("it was wrong", &format!("GET {wait}\nCookie: {flow}")).await;
    told.ask("the right password", &give("%D0%BA%D0%BE%D1%88%D0%BA%D0%B0")).await;
    let done = shown("/callback").await;
    let _ = writeln!(told.text, "## signed in\n{}", done.told());
    assert_snapshot("app/snapshots/no-script.txt", &told.text);
    site.tasks.stopped(sleep(PATIENCE)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_what_an_operator_asks() {
    let site = Site::new(None, |config| {
        config.login.max_active = 2;
        config.login.starts_per_minute = 4;
    })
    .await;
    let mut told = Transcript::of(&site);
    for file in ["client.js", "widget.js", "dialog.js", "light.js", "page.css", "nothing.css"] {
        let whole = site.ask(&format!("GET {BASE}/{file}")).await;
        let _ = writeln!(
            told.text,
            "## {file}\n{} {}, {}",
            whole.status,
            whole.header("content-type"),
            whole.header("cache-control")
        );
        if whole.status.is_success() {
            let again = site.ask(&format!("GET {BASE}/{file}\nIf-None-Match: {}", whole.header("etag"))).await;
            let packed = site.ask(&format!("GET {BASE}/{file}\nAccept-Encoding: gzip")).await;
            let _ = writeln!(
                told.text,
                "again: {}; packed: {}, less: {}",
                again.status,
                packed.header("content-encoding"),
                packed.body.len() < whole.body.len()
            );
        }
    }
    let ops = async |path: &str| super::ask(&site.ops, &format!("GET {path}")).await.told();
    for path in ["/healthz", "/readyz", "/nothing"] {
        let _ = writeln!(told.text, "## {path}\n{}", ops(path).await);
    }
    for number in ["first", "second", "one too many", "more than a minute's"] {
        told.ask(&format!("a start: {number}"), &begin()).await;
    }
    told.ask("a start: of too many", &begin()).await;
    let _ = writeln!(told.text, "## /readyz, full\n{}", ops("/readyz").await);
    let mut streams = super::ask(&site.ops, "GET /streams").await;
    streams.body.truncate(0);
    let _ = writeln!(told.text, "## /streams\n{}", streams.told());
    site.tasks.stopped(sleep(PATIENCE)).await;
    let _ = writeln!(told.text, "## /readyz, stopping\n{}", ops("/readyz").await);
    assert_snapshot("app/snapshots/files-and-operator.txt", &told.text);
}
