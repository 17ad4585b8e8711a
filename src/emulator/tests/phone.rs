//! The phone's buttons.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

use super::{Run, SETTINGS, connect, emulator, phone, stat};
use crate::emulator::{Emulator, Options, listen};
use crate::max::frame::Dialect;
use crate::max::session::{End, Logout};

fn patient() -> Options {
    Options { poll: Duration::from_millis(50), ..Options::default() }
}

async fn codes(emulator: &std::sync::Arc<Emulator>) -> Vec<serde_json::Value> {
    phone(emulator, "GET", "/phone/codes", "").await.1["codes"].as_array().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn codes_are_listed_and_approved() {
    let emulator = emulator(patient());
    assert!(codes(&emulator).await.is_empty());
    let mut run = Run::new(&emulator, SETTINGS);
    let mut socket = connect(&emulator).await.unwrap();
    let person = async {
        tokio::time::sleep(Duration::from_millis(180)).await;
        let listed = codes(&emulator).await;
        let code = &listed[0];
        let track = code["track"].as_str().unwrap();
        assert_eq!(code["link"], format!("https://max.ru/:auth/{track}"));
        assert_eq!((code["state"].as_str(), code["dialect"].as_str()), (Some("open"), Some("binary")));
        assert_eq!((code["deviceName"].as_str(), code["osVersion"].as_str()), (Some("Chrome"), Some("Linux")));
        assert_eq!(code["polls"], 3);
        assert_eq!(code["expiresAt"], 1_787_333_000_000_i64 + 120_000);
        let approve = format!("/phone/approve/{track}");
        assert_eq!(phone(&emulator, "POST", &approve, "").await.0, StatusCode::NO_CONTENT);
        assert_eq!(codes(&emulator).await[0]["state"], "approved");
        approve
    };
    let (end, approve) = tokio::join!(run.on(&mut socket, &emulator, Dialect::Binary), person);
    assert!(matches!(end, End::SignedIn { logout: Logout::Confirmed, .. }), "{end:?}");
    assert!(codes(&emulator).await.is_empty(), "a used code is gone");
    let (status, problem) = phone(&emulator, "POST", &approve, "").await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::NOT_FOUND, Some("no-such-code")));
}

#[tokio::test(start_paused = true)]
async fn a_code_that_is_declined_or_expired_gives_way_to_a_fresh_one() {
    for button in ["decline", "expire"] {
        let emulator = emulator(patient());
        let mut run = Run::new(&emulator, SETTINGS);
        let mut socket = connect(&emulator).await.unwrap();
        let person = async {
            tokio::time::sleep(Duration::from_millis(180)).await;
            let track = codes(&emulator).await[0]["track"].as_str().unwrap().to_owned();
            let press = |button: &str, track: &str| format!("/phone/{button}/{track}");
            assert_eq!(phone(&emulator, "POST", &press(button, &track), "").await.0, StatusCode::NO_CONTENT);
            assert_eq!(phone(&emulator, "POST", &press("approve", &track), "").await.0, StatusCode::NOT_FOUND);
            tokio::time::sleep(Duration::from_secs(2)).await;
            let listed = codes(&emulator).await;
            assert_eq!(listed[0]["state"], if button == "decline" { "declined" } else { "expired" });
            let fresh = listed[1]["track"].as_str().unwrap();
            assert_eq!(phone(&emulator, "POST", &press("approve", fresh), "").await.0, StatusCode::NO_CONTENT);
        };
        let (end, ()) = tokio::join!(run.on(&mut socket, &emulator, Dialect::Json), person);
        assert!(matches!(end, End::SignedIn { .. }), "{button}: {end:?}");
        assert_eq!((run.codes(), stat(&emulator, "codes").await), (2, 2));
    }
}

#[tokio::test]
async fn the_page_brings_its_own_things() {
    let emulator = emulator(patient());
    for (path, content_type) in [
        ("/phone", "text/html; charset=utf-8"),
        ("/phone/phone.js", "text/javascript; charset=utf-8"),
        ("/phone/phone.css", "text/css; charset=utf-8"),
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = emulator.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], content_type);
    }
    let plain = Request::get("/websocket").body(Body::empty()).unwrap();
    assert_eq!(emulator.router().oneshot(plain).await.unwrap().status(), StatusCode::UPGRADE_REQUIRED);
}

/// As one client library sends it.
#[tokio::test]
async fn two_host_headers_do_not_matter() {
    let emulator = emulator(patient());
    let (mut ours, theirs) = tokio::io::duplex(4096);
    let (serving, router) = (std::sync::Arc::clone(&emulator), emulator.router());
    emulator.tasks.spawn("test-http", async move { serving.serve_connection(router, theirs).await });
    let request = "GET /websocket HTTP/1.1\r\nHost: a\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    ours.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    ours.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 101");
}

#[tokio::test]
async fn it_stays_on_loopback_unless_told_twice() {
    let error = listen("0.0.0.0:0".parse().unwrap(), false).await.unwrap_err();
    assert!(error.to_string().contains("--allow-remote"));
    assert!(listen("0.0.0.0:0".parse().unwrap(), true).await.is_ok());
    assert!(listen("[::ffff:127.0.0.1]:0".parse().unwrap(), false).await.is_ok());
    assert!(listen("127.0.0.1:0".parse().unwrap(), false).await.is_ok());
}
