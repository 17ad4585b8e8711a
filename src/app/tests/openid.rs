//! What apps and their visitors are answered at the addresses of OpenID Connect, one request after the other.

use super::answers::{Transcript, event, events_until};
use super::forward_auth::signed_in;
use super::{Answer, Site};
use crate::base::id::{self, Fingerprint};
use crate::config::Config;
use crate::snapshot::assert_snapshot;
use http::StatusCode;
use serde_json::Value;

const BASE: &str = "/api/auth/max";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const OURS: &str = "Origin: https://example.ru\nContent-Type: application/x-www-form-urlencoded";
const EVIL: &str = "Origin: https://evil.example\nContent-Type: application/x-www-form-urlencoded";
const SECRET: &str = "client_id=app&client_secret=0123456789abcdef";
const VERIFIER: &str = "0123456789012345678901234567890123456789012";

const CLIENTS: &str = r#"
    [[oidc.clients]]
    id = "app"
    name = "App"
    secret = "0123456789abcdef"
    redirect_uris = ["https://app.example.org/cb"]
    grants = ["authorization_code", "refresh_token"]
    scopes = ["openid", "profile", "phone"]
    post_logout_redirect_uris = ["https://app.example.org/bye"]
    id_token_alg = "ES256"
    [[oidc.clients]]
    id = "mine"
    name = "Mine"
    secret = "0123456789abcdef"
    redirect_uris = ["https://mine.example.org/cb"]
    pkce = "optional"
    allow = ["max:1"]
    id_token_alg = "ES256"
    [[oidc.clients]]
    id = "tv"
    name = "Television"
    auth = "none"
    redirect_uris = ["https://tv.example.org/cb"]
    grants = ["device_code"]
    scopes = ["openid", "profile"]
    id_token_alg = "ES256"
    [[oidc.clients]]
    id = "mytv"
    auth = "none"
    redirect_uris = ["https://tv.example.org/cb"]
    grants = ["device_code"]
    allow = ["max:1"]
    id_token_alg = "ES256"
"#;

async fn provider(starts_per_minute: u32) -> Site {
    Site::new(None, |config| {
        config.oidc = Config::of(CLIENTS).oidc;
        config.login.starts_per_minute = starts_per_minute;
    })
    .await
}

fn at(more: &str) -> String {
    let challenge = id::encode(Fingerprint::of(VERIFIER.as_bytes()).bytes());
    format!(
        "/oauth2/authorize?client_id=app&redirect_uri=https%3A%2F%2Fapp.example.org%2Fcb&response_type=code&nonce=n&state=s\
         &scope=openid+profile+phone&code_challenge={challenge}&code_challenge_method=S256{more}"
    )
}

impl Answer {
    /// What a form of the page carries under this name.
    fn hidden(&self, name: &str) -> String {
        let rest = self.body.split_once(&format!("name=\"{name}\" value=\"")).expect(&self.body).1;
        rest.split('"').next().unwrap().to_owned()
    }

    /// A parameter of the address that it leads to.
    fn led(&self, name: &str) -> String {
        let (_, query) = self.header("location").split_once('?').unwrap_or_default();
        let found = url::form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name);
        found.unwrap_or_else(|| panic!("no {name}: {}", self.header("location"))).1.into_owned()
    }
}

/// Without the moments that a page names.
fn timeless(text: &str) -> String {
    let without = |line: &str| match (line.find(|character: char| character.is_ascii_digit()), line.find(" UTC")) {
        (Some(start), Some(end)) if start < end => format!("{}A MOMENT{}\n", &line[..start], &line[end..]),
        _ => format!("{line}\n"),
    };
    text.lines().map(without).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_signs_somebody_in_and_gets_its_tokens() {
    let site = provider(1000).await;
    let mut told = Transcript::of(&site);
    told.ask("what an app finds", "GET /.well-known/openid-configuration").await;
    let other = site.ask("GET /.well-known/oauth-authorization-server").await;
    assert_eq!(other.json()["issuer"], "https://example.ru", "RFC 8414 has another address");
    let preflight = "Origin: https://app.example.org\nAccess-Control-Request-Method: POST";
    told.ask("may a page of the app ask itself", &format!("OPTIONS /oauth2/token\n{preflight}")).await;
    told.ask("another method", "PUT /oauth2/token").await;
    told.ask("of no app", "GET /oauth2/authorize?client_id=nobody\nAccept-Language: en").await;
    told.ask("wrongly", &format!("GET {}", at("&prompt=x"))).await;
    told.ask("by a form of the app", &format!("POST /oauth2/authorize\n{EVIL}\n\nclient_id=app&state=a%20b")).await;
    let begun = told.ask("by somebody unknown", &format!("GET {}", at(""))).await;
    let (flow, login, request) = (begun.cookie(), begun.header("location").to_owned(), begun.led("request"));
    told.ask("where they sign in", &format!("GET {login}\nCookie: {flow}\nAccept-Language: en")).await;
    told.ask("in another browser", &format!("GET {login}\nAccept-Language: en")).await;
    let on = format!("GET /oauth2/continue?request={request}\nAccept-Language: en\nCookie: ");
    told.ask("on, before they did", &format!("{on}{flow}")).await;
    told.ask("on, in another browser", &on).await;

    let json = "Origin: https://example.ru\nContent-Type: application/json";
    let start = format!("POST {BASE}\n{json}\nCookie: {flow}\n\n{{\"userAgent\":{{}},\"request\":\"{request}\"}}");
    let events = site.ask(&start).await.header("location").to_owned();
    events_until(&site, &events, &flow, "qr").await;
    site.phone("approve").await;
    let success = event(&events_until(&site, &events, &flow, "success").await, "success");
    let redirect = success["redirect"].as_str().unwrap();
    let redirect = redirect.strip_prefix("https://example.ru").unwrap_or(redirect);
    let signed_in = told.ask("signed in", &format!("GET {redirect}\nCookie: {flow}")).await;
    let both = format!("{flow}; {}", signed_in.cookie());
    let code = told.ask("on to the app", &format!("{on}{both}")).await.led("code");

    let post = |end: &str, body: &str| format!("POST /oauth2/{end}\n{FORM}\n\n{body}");
    let whole = format!(
        "grant_type=authorization_code&code={code}&redirect_uri=https://app.example.org/cb&code_verifier={VERIFIER}&{SECRET}"
    );
    told.ask("tokens, not by a form", &format!("POST /oauth2/token\nContent-Type: application/json\n\n{whole}")).await;
    told.ask("tokens, too long a form", &post("token", &"x".repeat(1_000_000))).await;
    told.ask("tokens, by another secret", &post("token", &whole.replace("=0123456789abcdef", "=x"))).await;
    told.ask("tokens, by no code", &post("token", &whole.replace("&code=", "&x="))).await;
    let tokens = told.ask("tokens", &post("token", &whole)).await.json();
    let access = tokens["access_token"].as_str().unwrap();

    let about = |more: &str| format!("/oauth2/userinfo\n{more}");
    let bearer = format!("Authorization: bearer  {access}");
    told.ask("who it is, without a token", &format!("GET {}", about(""))).await;
    told.ask("who it is, by a token in the address", &format!("GET /oauth2/userinfo?access_token={access}")).await;
    told.ask("who it is, by no token", &format!("GET {}", about("Authorization: Bearer x"))).await;
    told.ask("who it is, by another scheme", &format!("GET {}", about(&bearer.replace("bearer", "Basic")))).await;
    told.ask("who it is", &format!("GET {}", about(&bearer))).await;
    told.ask("who it is, by a form", &post("userinfo", &format!("access_token={access}"))).await;
    told.ask(
        "who it is, by a proof that is none",
        &format!("GET {}", about(&format!("Authorization: DPoP {access}\nDPoP: x"))),
    )
    .await;
    told.ask(
        "who it is, by a proof and no token of its scheme",
        &format!("GET {}", about(&format!("{bearer}\nDPoP: x"))),
    )
    .await;
    told.ask("what a token is good for", &post("introspect", &format!("token={access}&{SECRET}"))).await;
    told.ask("what a token is good for, to a stranger", &post("introspect", &format!("token={access}"))).await;
    let basic = "Authorization: Basic YXBwOjAxMjM0NTY3ODlhYmNkZWY=";
    let pushed = at("").split_once('?').unwrap().1.to_owned();
    told.ask("pushed", &format!("POST /oauth2/par\n{FORM}\n{basic}\n\n{pushed}")).await;
    told.ask("pushed wrongly", &post("par", &pushed)).await;
    told.ask("taken back, by a stranger", &post("revoke", &format!("token={access}"))).await;
    told.ask("taken back", &post("revoke", &format!("token={access}&{SECRET}"))).await;
    told.ask("who it is, afterwards", &format!("GET {}", about(&bearer))).await;

    let account = format!("GET {BASE}/account\nCookie: {both}\nAccept: text/html\nAccept-Language: en");
    told.ask("the app on the person's page", &account).await;
    assert_snapshot("app/snapshots/openid-tokens.txt", &timeless(&told.text));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_is_asked_and_an_answer_counts_from_our_own_page() {
    let site = provider(1000).await;
    let mut told = Transcript::of(&site);
    let session = signed_in(&site).await;
    let begun = site.ask(&format!("GET {}", at("&prompt=login"))).await;
    let both = format!("Cookie: {}; {session}\nAccept-Language: en", begun.cookie());
    let get = |path: &str| format!("GET {path}\n{both}");
    let answer = |request: &str, answer: &str, origin: &str| {
        format!("POST /oauth2/answer\n{both}\n{origin}\n\nrequest={request}&answer={answer}")
    };
    let request = told.ask("asked", &get(&at("&ui_locales=ru"))).await.hidden("request");
    told.ask("agreed, from another site", &answer(&request, "yes", EVIL)).await;
    told.ask("agreed, in another browser", &answer(&request, "yes", OURS).replace("maxauth-flow=", "other=")).await;
    told.ask("agreed, to nothing", &answer("x", "yes", OURS)).await;
    told.ask("declined", &answer(&request, "no", OURS)).await;
    let request = site.ask(&get(&at(""))).await.hidden("request");
    told.ask("agreed", &answer(&request, "yes", OURS)).await;
    told.ask("by a form that sends itself", &get(&at("&response_mode=form_post&prompt=none"))).await;
    let mine =
        "/oauth2/authorize?client_id=mine&redirect_uri=https://mine.example.org/cb&response_type=code&scope=openid";
    let denied = told.ask("by somebody who may not", &get(mine)).await;
    told.ask("back to the app", &answer(&denied.hidden("request"), "no", OURS)).await;

    let bye = "/oauth2/logout?client_id=app&post_logout_redirect_uri=https://app.example.org/bye&state=x";
    told.ask("out, to another address", &get("/oauth2/logout?post_logout_redirect_uri=https://evil.example/")).await;
    told.ask("out, by a form of the app", &format!("POST /oauth2/logout\n{EVIL}\n\nclient_id=app&state=a%20b")).await;
    told.ask("out, in another language", &get(&format!("{bye}&ui_locales=ru"))).await;
    let ticket = told.ask("out", &get(bye)).await.hidden("ticket");
    let leave =
        |answer: &str, origin: &str| format!("POST /oauth2/leave\n{both}\n{origin}\n\nticket={ticket}&answer={answer}");
    told.ask("out after all, from another site", &leave("yes", EVIL)).await;
    told.ask("not out after all", &leave("no", OURS)).await;
    assert_eq!(site.ask(&get(&format!("{BASE}/session"))).await.status, StatusCode::OK, "still there");
    told.ask("out after all", &leave("yes", OURS)).await;
    assert_eq!(site.ask(&get(&format!("{BASE}/session"))).await.status, StatusCode::UNAUTHORIZED);
    told.ask("out, of nobody", &get("/oauth2/logout")).await;
    told.ask("out, of nobody, with a way to go", &get(bye)).await;
    assert_snapshot("app/snapshots/openid-questions.txt", &timeless(&told.text));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_signed_in_on_a_page() {
    let site = provider(1000).await;
    let mut told = Transcript::of(&site);
    let session = signed_in(&site).await;
    let begin = async |client: &str| {
        let asked = format!("POST /oauth2/device_authorization\n{FORM}\n\nclient_id={client}&scope=openid+profile");
        let begun = site.ask(&asked).await.json();
        let text = |name: &str| begun[name].as_str().unwrap().to_owned();
        (text("device_code"), text("user_code"))
    };
    let about = |code: &str, cookie: &str| format!("GET /oauth2/device{code}\nCookie: {cookie}\nAccept-Language: en");
    let answer = |code: &str, answer: &str, cookie: &str| {
        format!(
            "POST /oauth2/device/answer\nCookie: {cookie}\nAccept-Language: en\n{OURS}\n\nrequest={code}&answer={answer}"
        )
    };
    let (device, code) = begin("tv").await;
    let poll = format!("grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=tv&device_code={device}");
    told.ask("a code is typed here", &about("", "")).await;
    told.ask("no code", &about("?user_code=BCDF-GHJK", &session)).await;
    told.ask("by nobody yet", &about(&format!("?user_code={code}"), "")).await;
    told.ask("by somebody", &about(&format!("?user_code={code}"), &session)).await;
    told.ask(
        "from another site",
        &answer(&code, "yes", &session).replace("https://example.ru", "https://evil.example"),
    )
    .await;
    told.ask("answered by nobody", &answer(&code, "yes", "")).await;
    told.ask("agreed", &answer(&code, "yes", &session)).await;
    told.ask("agreed again", &answer(&code, "yes", &session)).await;
    let tokens = site.ask(&format!("POST /oauth2/token\n{FORM}\n\n{poll}")).await;
    assert!(tokens.json()["id_token"].is_string(), "{}", tokens.body);
    let (_, other) = begin("tv").await;
    told.ask("declined", &answer(&other, "no", &session)).await;
    let (_, third) = begin("mytv").await;
    told.ask("by somebody who may not", &answer(&third, "yes", &session)).await;
    let text = told.text.replace(&code, "CODE").replace(&other, "CODE").replace(&third, "CODE");
    assert_snapshot("app/snapshots/openid-device.txt", &timeless(&text));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_waits() {
    for request in [
        format!("GET {}", at("")),
        "GET /oauth2/device?user_code=BCDF-GHJK".to_owned(),
        format!("POST /oauth2/device_authorization\n{FORM}\n\nclient_id=tv&scope=openid"),
    ] {
        let site = provider(1).await;
        let mut codes = Vec::new();
        for _ in 0..30 {
            let answer = site.ask(&request).await;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                assert!(!answer.header("retry-after").is_empty(), "{request}");
                codes.push(answer.json()["code"].as_str().unwrap().to_owned());
            }
        }
        assert!((1..30).contains(&codes.len()) && codes[0] == "rate-limited", "{request}: {codes:?}");
        assert_eq!(site.ask("GET /oauth2/jwks").await.status, StatusCode::OK);
        assert_ne!(site.ask("GET /oauth2/device").await.status, StatusCode::TOO_MANY_REQUESTS, "the form itself");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_each_place_and_leaves_all_of_them_at_once() {
    let site = provider(1000).await;
    let (here, there) = (signed_in(&site).await, signed_in(&site).await);
    let who = async |cookie: &str| site.ask(&format!("GET {BASE}/session\nCookie: {cookie}")).await.status;
    let account = format!("GET {BASE}/account\nCookie: {here}\nAccept: text/html\nAccept-Language: en");
    let page = site.ask(&account).await.body;
    assert!(page.contains(&format!("action=\"{BASE}/logout/everywhere\"")), "{page}");
    assert_eq!((page.matches("<li>").count(), page.matches(" UTC").count()), (2, 1), "the moment of the other: {page}");
    let out = |path: &str, origin: &str| format!("POST {BASE}/{path}\nCookie: {there}\nOrigin: {origin}");
    let evil = site.ask(&out("logout/everywhere", "https://evil.example")).await;
    assert_eq!((evil.status, who(&here).await), (StatusCode::FORBIDDEN, StatusCode::OK));
    let left = site.ask(&out("logout/everywhere", "https://example.ru")).await;
    assert_eq!((left.status, left.header("set-cookie").contains("Max-Age=0")), (StatusCode::NO_CONTENT, true));
    assert_eq!((who(&here).await, who(&there).await), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    let third = signed_in(&site).await;
    assert_eq!(who(&third).await, StatusCode::OK, "a new sign-in is none of those");
    let page = site.ask(&account.replace(&here, &third)).await.body;
    assert!(!page.contains("everywhere") && page.matches("<li>").count() == 1, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_token_for_backends_is_the_one_that_is_said() {
    let site = provider(1000).await;
    let session = signed_in(&site).await;
    let answer = site.ask(&format!("GET {BASE}/session?token=1\nCookie: {session}")).await.json();
    let claims = id::decode(answer["token"].as_str().unwrap().split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(answer["expiresAt"].as_i64().unwrap(), claims["exp"].as_i64().unwrap() * 1000);
    for (name, value) in [("name", "Иван Петров"), ("given_name", "Иван"), ("family_name", "Петров")]
    {
        assert!(claims[name].is_string(), "{name} {value}: {claims}");
    }
    let who = site.ask(&format!("GET {BASE}/session\nCookie: {session}")).await.json();
    assert_eq!(claims["auth_time"].as_i64().unwrap(), who["authTime"].as_i64().unwrap_or_default() / 1000, "{who}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_the_keys_and_makes_the_next_one_sign() {
    let site = provider(1000).await;
    let ops = async |request: &str| super::ask(&site.ops, request).await;
    let kids = |answer: &Answer, state: &str| -> Vec<String> {
        let all = answer.json()["keys"].as_array().unwrap().clone();
        let those = all.iter().filter(|key| key["state"] == state);
        those.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let first = ops("GET /keys").await;
    assert_eq!((kids(&first, "signing").len(), kids(&first, "next").len()), (2, 2), "{}", first.body);
    assert!(!first.body.contains("\"d\"") && !first.body.contains("pkcs8"));
    let page = ops("POST /keys/rotate?now=1").await;
    assert_eq!((page.status, &page.json()["code"]), (StatusCode::FORBIDDEN, &Value::from("origin-refused")));
    let soon = ops("POST /keys/rotate\nX-Max-Auth-Operator: 1").await;
    assert_eq!((soon.status, &soon.json()["code"]), (StatusCode::TOO_MANY_REQUESTS, &Value::from("rate-limited")));
    assert!(soon.body.contains("16 min") && !soon.header("retry-after").is_empty(), "{}", soon.body);
    assert_eq!(kids(&ops("GET /keys").await, "signing"), kids(&first, "signing"), "nothing was done yet");
    let rotated = ops("POST /keys/rotate?now=1\nX-Max-Auth-Operator: 1").await;
    assert_eq!((kids(&rotated, "signing"), kids(&rotated, "retired")), (kids(&first, "next"), kids(&first, "signing")));
    assert_eq!(
        site.ask("GET /oauth2/jwks").await.json()["keys"].as_array().unwrap().len(),
        6,
        "all of them stay known"
    );
}
