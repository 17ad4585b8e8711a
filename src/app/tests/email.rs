//! The page that asks for an address, and the one where it is changed.

use super::Site;
use super::forward_auth::signed_in;
use crate::config::Config;
use crate::snapshot::assert_snapshot;
use http::StatusCode;
use std::fmt::Write as _;

const BASE: &str = "/api/auth/max";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\nAccept: text/html\nAccept-Language: en";

fn app(email: &str) -> String {
    format!(
        r#"
        [[oidc.clients]]
        id = "app"
        name = "App"
        secret = "0123456789abcdef"
        redirect_uris = ["https://app.example.ru/cb"]
        pkce = "optional"
        consent = "never"
        email = "{email}"
    "#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_asked_for_and_changed_by_forms_of_our_own() {
    let mut text = String::new();
    for email in ["ask", "required"] {
        let site = Site::new(None, |config| config.oidc = Config::of(&app(email)).oidc).await;
        let session = signed_in(&site).await;
        let authorize = "/oauth2/authorize?client_id=app&redirect_uri=https://app.example.ru/cb&response_type=code";
        let begun =
            site.ask(&format!("GET {authorize}&scope=openid%20email\nAccept-Language: en\nCookie: {session}")).await;
        let _ = writeln!(text, "## {email}\n{}", begun.told());
        assert!(begun.header("content-security-policy").contains("form-action 'self' https://app.example.ru;"));
        let cookies = format!("{session}; {}", begun.cookie());
        let request = begun.body.split_once("name=\"request\" value=\"").unwrap().1.split('"').next().unwrap();
        let give = async |origin: &str, cookies: &str, more: &str| {
            let head = format!("POST /oauth2/email\n{FORM}\nOrigin: {origin}\nCookie: {cookies}");
            site.ask(&format!("{head}\n\nrequest={request}&{more}")).await
        };
        let ours = "https://example.ru";
        assert_eq!(give("https://evil.example", &cookies, "email=a@example.ru").await.status, StatusCode::FORBIDDEN);
        assert_eq!(give(ours, &session, "email=a@example.ru").await.status, StatusCode::BAD_REQUEST, "no flow cookie");
        let wrong = give(ours, &cookies, "email=%3Cb%3E%40x").await;
        let _ = writeln!(text, "## {email}: no address\n{}", wrong.told());
        assert!(wrong.body.contains("value=\"&#60;b&#62;@x\""), "{}", wrong.body);
        if email == "required" {
            assert_eq!(give(ours, &cookies, "without=1").await.status, StatusCode::BAD_REQUEST);
        }
        let given = give(ours, &cookies, "email=ivan@example.ru").await;
        assert!(given.header("location").starts_with("https://app.example.ru/cb?code="), "{}", given.told());

        let account = async || {
            site.ask(&format!("GET {BASE}/account\nAccept: text/html\nAccept-Language: en\nCookie: {session}")).await
        };
        let _ = writeln!(text, "## {email}: the account\n{}", account().await.told());
        let change = async |origin: &str, typed: &str| {
            let head = format!("POST {BASE}/account/email\n{FORM}\nOrigin: {origin}\nCookie: {session}");
            site.ask(&format!("{head}\n\nclient=app&email={typed}")).await
        };
        assert_eq!(change("https://evil.example", "b@example.ru").await.status, StatusCode::FORBIDDEN);
        let wrong = change(ours, "nothing").await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
        assert!(wrong.body.contains("value=\"nothing\"") && wrong.body.contains("role=\"alert\""), "{}", wrong.body);
        let changed = change(ours, "b@example.ru").await;
        assert_eq!((changed.status, changed.header("location")), (StatusCode::SEE_OTHER, "/api/auth/max/account"));
        assert!(account().await.body.contains("value=\"b@example.ru\""));
    }
    assert_snapshot("app/snapshots/email.txt", &text);
}
