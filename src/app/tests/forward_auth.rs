//! A proxy that asks before each request, and the way over the site and back to a host of its own.

use super::answers::{event, events_until};
use super::{Answer, Site};
use crate::base::origin::Origin;
use crate::config::Groups;
use http::StatusCode;
use serde_json::Value;

const BASE: &str = "/api/auth/max";
const APP: &str = "https://app.example.org";

/// Behind a proxy that is listed; one other host is protected.
async fn protected() -> Site {
    Site::new(None, |config| {
        config.server.trusted_proxies.push("203.0.113.0/24".parse().unwrap());
        config.server.allowed_origins.push(Origin::parse(APP).unwrap());
    })
    .await
}

/// The cookie of somebody who signed in on the site.
pub(super) async fn signed_in(site: &Site) -> String {
    let json = "Origin: https://example.ru\nContent-Type: application/json";
    let begun = site.ask(&format!("POST {BASE}\n{json}\n\n{{\"userAgent\":{{}}}}")).await;
    let (flow, events) = (begun.cookie(), begun.header("location").to_owned());
    events_until(site, &events, &flow, "qr").await;
    site.phone("approve").await;
    let token = event(&events_until(site, &events, &flow, "success").await, "success")["token"].clone();
    let taken = site.ask(&format!("POST {BASE}/callback\n{json}\nCookie: {flow}\n\n{{\"token\":{token}}}")).await;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.body);
    taken.cookie()
}

fn leads_to(answer: &Answer) -> String {
    format!("{} {}", answer.status.as_u16(), answer.header("location"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_is_sent_to_the_address_that_a_listed_proxy_names() {
    let site = protected().await;
    let asked = async |path: &str, headers: &str| {
        leads_to(&site.ask(&format!("GET {BASE}/verify{path}\nAccept: text/html\n{headers}")).await)
    };
    let there = |to: &str| format!("303 {APP}{BASE}/enter?to={to}");
    let wanted = there("%2Fa%2Fb%3Fx%3D1%26y%3D%2520");
    for headers in [
        "X-Original-URL: https://app.example.org/a/b?x=1&y=%20",
        "X-Forwarded-Host: app.example.org\nX-Forwarded-Proto: https\nX-Forwarded-Uri: /a/b?x=1&y=%20",
        "Host: app.example.org\nX-Forwarded-Uri: /a/b?x=1&y=%20",
        "X-Forwarded-Host: app.example.org:443\nX-Forwarded-Proto: wss\nX-Forwarded-Uri: /a/b?x=1&y=%20\nX-Forwarded-Method: GET",
        "X-Original-URL: https://app.example.org/a/b?x=1&y=%20#part\nSec-Fetch-Mode: navigate\nAccept: */*",
    ] {
        assert_eq!(asked("?redirect=1", headers).await, wanted, "{headers}");
        assert_eq!(asked("", headers).await, "401 ", "{headers}");
    }
    // Envoy.
    assert_eq!(asked("/a/b?x=1&y=%20", "Host: app.example.org").await, wanted);
    assert_eq!(asked("/", "Host: app.example.org").await, there("%2F"));
    let written = site.ask(&format!("POST {BASE}/verify/a\nAccept: text/html\nHost: app.example.org")).await;
    assert_eq!(leads_to(&written), "401 ", "Envoy asks by the method that was used");
    let host = "Host: app.example.org\n";
    for (what, headers) in [
        ("another host", "Host: other.example.org"),
        ("another scheme", "Host: app.example.org\nX-Forwarded-Proto: http"),
        ("what cannot be asked again", "Host: app.example.org\nX-Forwarded-Method: POST"),
        ("a script", "Host: app.example.org\nSec-Fetch-Mode: cors"),
        ("no host at all", "X-Forwarded-Host: a b"),
    ] {
        let answer = asked("?redirect=1", headers).await;
        assert!(!answer.contains("other") && !answer.contains("http://"), "{what}: {answer}");
        assert!(answer == "401 " || answer.starts_with("303 https://example.ru/"), "{what}: {answer}");
    }
    for evil in ["//evil.example/x", "/\\evil.example", "https://evil.example/", "/a\u{a0}b", ""] {
        assert_eq!(asked("?redirect=1", &format!("{host}X-Forwarded-Uri: {evil}")).await, there("%2F"), "{evil}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_listed_names_nothing() {
    let site = Site::new(None, |config| config.server.allowed_origins.push(Origin::parse(APP).unwrap())).await;
    let headers = "Host: example.ru\nX-Original-URL: https://app.example.org/a\nX-Forwarded-Host: app.example.org\nX-Forwarded-Uri: /a";
    let answer = site.ask(&format!("GET {BASE}/verify?redirect=1\nAccept: text/html\n{headers}")).await;
    assert_eq!(leads_to(&answer), format!("303 https://example.ru{BASE}/enter?to=%2F"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sign_in_is_good_on_every_listed_host() {
    let site = protected().await;
    let on_app = async |path: &str, cookie: &str| {
        site.ask(&format!("GET {BASE}{path}\nHost: app.example.org\nAccept: text/html\nCookie: {cookie}")).await
    };
    let on_site = async |path: &str, cookie: &str| {
        site.ask(&format!("GET {path}\nHost: example.ru\nAccept: text/html\nCookie: {cookie}")).await
    };
    let left = on_app("/enter?to=/a?x=1&y=2", "").await;
    let flow = left.cookie();
    let over = left.header("location").strip_prefix("https://example.ru").unwrap().to_owned();
    assert!(over.starts_with(&format!("{BASE}/enter?request=")) && flow.starts_with("__Host-maxauth-flow="), "{over}");

    // Nobody is signed in on the site yet: first there, then the same way.
    let login = on_site(&over, "").await;
    let expected = format!("303 {BASE}/login?return_to=%2Fapi%2Fauth%2Fmax%2Fenter%3Frequest%3D");
    assert!(leads_to(&login).starts_with(&expected), "{}", leads_to(&login));
    let session = signed_in(&site).await;
    let back = on_site(&over, &session).await;
    let back = back.header("location").strip_prefix(APP).expect("back on the host").to_owned();
    let token = back.strip_prefix(BASE).unwrap();

    for other in ["", "__Host-maxauth-flow=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(on_app(token, other).await.status, StatusCode::BAD_REQUEST, "another browser");
    }
    let arrived = on_app(token, &flow).await;
    assert_eq!(leads_to(&arrived), "303 /a?x=1&y=2");
    assert_eq!(arrived.cookie(), session, "the same session");
    assert!(arrived.header("set-cookie").contains("Max-Age=") && arrived.header("set-cookie").contains("HttpOnly"));
    assert_eq!(on_app(token, &flow).await.status, StatusCode::BAD_REQUEST, "once");

    let verified = on_app("/verify?redirect=1", &session).await;
    assert_eq!((verified.status, verified.header("x-auth-user")), (StatusCode::OK, "401041669"));
    assert_eq!(
        (verified.header("cache-control"), verified.header("x-auth-token")),
        ("private, no-store, no-transform", "")
    );
    assert!(verified.headers.contains_key("x-auth-groups"), "always said, so that a visitor cannot");
    assert_eq!(leads_to(&on_app("/enter?to=%2Fb", &session).await), "303 /b", "known already");
    for evil in ["//evil.example", "%2F%2Fevil.example", "https%3A%2F%2Fevil.example", "/\\evil", ""] {
        assert_eq!(leads_to(&on_app(&format!("/enter?to={evil}"), &session).await), "303 /", "{evil}");
    }

    let out = "Origin: https://app.example.org\nHost: app.example.org";
    site.ask(&format!("POST {BASE}/logout\n{out}\nCookie: {session}")).await;
    assert_eq!(on_site(&format!("{BASE}/verify"), &session).await.status, StatusCode::UNAUTHORIZED, "out everywhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_so_on_a_page_and_to_scripts() {
    let site = Site::new(None, |config| {
        config.server.trusted_proxies.push("203.0.113.0/24".parse().unwrap());
        config.session.allow = crate::config::AllowList::parse(
            &toml::Value::Array(vec![toml::Value::String("max:1".to_owned())]),
            &Groups::default(),
        )
        .unwrap();
    })
    .await;
    // Allowed when it began, not any more: the list was changed in between.
    let everybody = protected().await;
    let session = signed_in(&everybody).await;
    let asked = async |path: &str| {
        site.ask(&format!("GET {BASE}{path}\nHost: example.ru\nAccept: text/html\nCookie: {session}")).await
    };
    for path in ["/verify?redirect=1", "/enter?to=/a"] {
        let page = asked(path).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}: {}", page.body);
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
    }
    let told = asked("/verify").await;
    assert_eq!((told.status, &told.json()["code"]), (StatusCode::FORBIDDEN, &Value::from("not-allowed")));
    assert!(!told.headers.contains_key("x-auth-user"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_gets_a_token_of_five_minutes() {
    let site = protected().await;
    let session = signed_in(&site).await;
    let answer = site.ask(&format!("GET {BASE}/session?token=1\nCookie: {session}")).await.json();
    let header = site.ask(&format!("GET {BASE}/verify?token=1\nCookie: {session}")).await;
    for token in [answer["token"].as_str().unwrap(), header.header("x-auth-token")] {
        let part = |at: usize| -> Value {
            serde_json::from_slice(&crate::base::id::decode(token.split('.').nth(at).unwrap()).unwrap()).unwrap()
        };
        let (head, claims) = (part(0), part(1));
        assert_eq!((&head["alg"], &head["typ"]), (&Value::from("RS256"), &Value::from("JWT")));
        assert_eq!((&claims["iss"], &claims["aud"]), (&Value::from("https://example.ru"), &claims["iss"]));
        assert_eq!(claims["sub"], "401041669");
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
        let keys = site.ask("GET /oauth2/jwks").await.json();
        assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == head["kid"]), "{keys}");
    }
    assert_eq!(answer["expiresAt"].as_i64().unwrap() % 1000, 0);
    let nobody = site.ask(&format!("GET {BASE}/session?token=1")).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
}
