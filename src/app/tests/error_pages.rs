//! What goes wrong, as a person's browser is told of it, and as a program is.

use super::{Answer, Site};
use crate::base::clock::Clock;
use crate::config::Config;
use crate::snapshot::assert_snapshot;
use crate::store::Flaky;
use http::StatusCode;
use std::fmt::Write as _;
use std::sync::Arc;

const BASE: &str = "/api/auth/max";
const PERSON: &str = "Accept: text/html,*/*;q=0.8\nSec-Fetch-Mode: navigate\nAccept-Language: en";
const OWN_FORM: &str = "Origin: https://example.ru\nContent-Type: application/x-www-form-urlencoded";
const APP: &str = r#"
    [[oidc.clients]]
    id = "app"
    name = "App"
    secret = "0123456789abcdef"
    redirect_uris = ["https://app.example.ru/cb"]
    pkce = "optional"
"#;
const AUTHORIZE: &str =
    "/oauth2/authorize?client_id=app&redirect_uri=https://app.example.ru/cb&response_type=code&scope=openid";

async fn site(store: Option<Arc<Flaky>>, settle: impl FnOnce(&mut Config)) -> Site {
    Site::over(store, None, |config| {
        config.oidc = Config::of(APP).oidc;
        settle(config);
    })
    .await
}

/// A page, with one thing to do.
fn is_page(answer: &Answer, leads: Option<&str>, what: &str) {
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{what}: {}", answer.body);
    assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "{what}");
    let link = answer.body.split_once("class=\"primary\" href=\"").map(|(_, rest)| rest.split('"').next().unwrap());
    assert_eq!(link, leads, "{what}: {}", answer.body);
    assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{what}");
}

fn is_problem(answer: &Answer, what: &str) {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}: {}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_people_get_a_page_and_programs_a_problem() {
    let flaky = Arc::new(Flaky::new(Clock::system()));
    let site = site(Some(Arc::clone(&flaky)), |_| {}).await;
    let flow = site.ask(&format!("GET {AUTHORIZE}")).await.cookie();
    assert!(flow.starts_with("__Host-maxauth-flow="), "{flow}");
    flaky.reach(false);
    let mut text = String::new();
    for (path, again) in [
        (AUTHORIZE.to_owned(), Some("")),
        ("/oauth2/continue?request=AAAAAAAAAAAAAAAAAAAAAA".to_owned(), Some("")),
        ("/oauth2/device?user_code=BCDF-GHJK".to_owned(), Some("")),
        (format!("{BASE}/callback?token=AAAAAAAAAAAAAAAAAAAAAA"), Some("")),
        (format!("{BASE}/enter?request=AAAAAAAAAAAAAAAAAAAAAA"), Some("")),
        (format!("{BASE}/login?request=AAAAAAAAAAAAAAAAAAAAAA"), Some("")),
    ] {
        let page = site.ask(&format!("GET {path}\n{PERSON}\nCookie: {flow}")).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(page.header("retry-after"), "3", "{path}");
        is_page(&page, again, &path);
        let _ = writeln!(text, "## {path}\n{}", page.told());
        for program in ["Accept: */*", "Accept: text/html\nSec-Fetch-Mode: cors", "Accept: application/json"] {
            let answer = site.ask(&format!("GET {path}\n{program}\nCookie: {flow}")).await;
            assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "3"));
            is_problem(&answer, &path);
        }
    }
    let form = format!(
        "POST /oauth2/answer\n{OWN_FORM}\n{PERSON}\nCookie: {flow}\n\nanswer=yes&request=AAAAAAAAAAAAAAAAAAAAAA"
    );
    let answered = site.ask(&form).await;
    is_page(&answered, None, "what was sent is not sent again by a link");
    let _ = writeln!(text, "## an answer\n{}", answered.told());
    assert_snapshot("app/snapshots/store-away.txt", &text);
    flaky.reach(true);
    assert_eq!(site.ask(&format!("GET {AUTHORIZE}\n{PERSON}")).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_how_long_to_wait() {
    let site = site(None, |config| config.login.starts_per_minute = 1).await;
    let mut text = String::new();
    for path in [AUTHORIZE, "/oauth2/device?user_code=BCDF-GHJK"] {
        // Apps are limited by themselves, at a multiple of what people may begin.
        let mut page = site.ask(&format!("GET {path}\n{PERSON}")).await;
        for _ in 0..200 {
            if page.status == StatusCode::TOO_MANY_REQUESTS {
                break;
            }
            page = site.ask(&format!("GET {path}\n{PERSON}")).await;
        }
        assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        let seconds: u64 = page.header("retry-after").parse().unwrap();
        assert!(page.body.contains(&format!("Try again in {seconds} s.")), "{}", page.body);
        is_page(&page, Some(""), path);
        is_problem(&site.ask(&format!("GET {path}")).await, path);
        let russian = site.ask(&format!("GET {path}\nAccept: text/html")).await;
        assert!(russian.body.contains("Слишком много попыток"), "{}", russian.body);
        text.push_str(&page.told());
    }
    assert!(!text.contains("starts_per_minute"), "settings are not for visitors");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_cannot_begin_says_so_by_its_status_and_leads_back_to_where_it_was() {
    let full = site(None, |config| config.login.max_active = 0).await;
    let begin = |more: &str| format!("POST {BASE}/login\n{OWN_FORM}\n{PERSON}\n\nlocale=en&{more}");
    let busy = full.ask(&begin("return_to=%2Fafter%3Fx%3D1")).await;
    assert_eq!(busy.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_ne!(busy.header("retry-after"), "");
    is_page(&busy, Some(&format!("{BASE}/login?locale=en&#38;return_to=%2Fafter%3Fx%3D1")), "full");
    let elsewhere = full.ask(&begin("return_to=https%3A%2F%2Fevil.example%2F")).await;
    assert_eq!(elsewhere.status, StatusCode::BAD_REQUEST);
    is_page(&elsewhere, Some(&format!("{BASE}/login?locale=en")), "not to the address that was refused");
    let gone = full.ask(&begin("request=AAAAAAAAAAAAAAAAAAAAAA")).await;
    assert_eq!(gone.status, StatusCode::GONE);
    is_page(&gone, None, "only the app can ask again");

    let stranger = full.ask(&format!("POST {BASE}/login\nOrigin: https://evil.example\n{PERSON}\n\nlocale=en")).await;
    assert_eq!(stranger.status, StatusCode::FORBIDDEN);
    assert!(stranger.body.contains("came from another site"), "{}", stranger.body);
    is_page(&stranger, None, "of another site");
    let script = full.ask(&format!("POST {BASE}/login\nOrigin: https://evil.example\n\nlocale=en")).await;
    is_problem(&script, "a program of another site");
}
