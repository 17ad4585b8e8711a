//! The page of a new server's operator.

use super::{Answer, Site, ask};
use crate::base::origin::Origin;

const PAGE: &str = "GET /checklist\nAccept: text/html\nAccept-Language: en";

/// Of each point: its mark, its title, and what to write.
fn points(page: &Answer) -> Vec<(String, String, String)> {
    let cut = |text: &str, from: &str, to: &str| {
        text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map(|(found, _)| found.to_owned())
    };
    let items = page.body.split("<li>").skip(1).map(|item| item.split("</li>").next().unwrap_or_default());
    items
        .map(|item| {
            let line = cut(item, "<pre tabindex=\"0\">", "</pre>").unwrap_or_default();
            (cut(item, "mark ", "\"").unwrap(), cut(item, "<h2>", "</h2>").unwrap(), line)
        })
        .collect()
}

#[tokio::test]
async fn what_is_missing_is_said_with_the_line_that_mends_it() {
    let bare = Site::new(None, |config| {
        config.server.public_url_given = false;
        config.server.public_url = "http://127.0.0.1:3001/".parse().unwrap();
    })
    .await;
    let page = ask(&bare.ops, PAGE).await;
    let lines = points(&page);
    assert_eq!(lines[0].0, "bad", "{lines:?}");
    assert!(lines[0].2.contains("public_url = &#34;https://example.ru&#34;"), "{lines:?}");
    assert!(page.body.contains("only pages opened on this machine can sign in, at http://127.0.0.1:3001"));
    assert_eq!((lines[1].0.as_str(), lines[2].0.as_str()), ("unknown", "unknown"), "nobody looked yet");
    assert_eq!(lines[4].0, "attention", "everybody may");
    assert!(lines[4].2.contains("allow = "), "{lines:?}");

    let open = Site::new(None, |config| {
        config.server.public_url_given = true;
        config.server.public_url = "http://example.ru/".parse().unwrap();
    })
    .await;
    let page = ask(&open.ops, PAGE).await;
    assert_eq!(points(&page)[0].0, "bad");
    assert!(page.body.contains("cookies and codes can be read on the way"));

    let right = Site::new(None, |config| {
        config.server.public_url_given = true;
        config.server.public_url = "https://example.ru/".parse().unwrap();
        config.server.allowed_origins = vec![Origin::parse("https://example.ru").unwrap()];
        config.login.starts_per_minute = 0;
        config.session.allow = crate::config::Config::of("[session]\nallow = [\"max:7\"]").session.allow;
    })
    .await;
    let russian = ask(&right.ops, "GET /checklist\nAccept-Language: ru").await;
    let lines = points(&russian);
    assert_eq!((lines[0].0.as_str(), lines[4].0.as_str()), ("good", "good"), "{lines:?}");
    assert!(lines.iter().any(|(_, title, _)| title == "Слабее, чем могло бы быть"), "{lines:?}");
    assert!(russian.body.contains("login.starts_per_minute = 0") && russian.body.contains("<html lang=\"ru\">"));
}

#[tokio::test]
async fn a_press_looks_from_outside_and_only_our_own_page_presses() {
    let site = Site::new(None, |_| {}).await;
    let foreign = ask(&site.ops, "POST /checklist\nSec-Fetch-Site: cross-site\nAccept: text/html").await;
    assert_eq!(foreign.status, 403);
    assert!(!ask(&site.ops, PAGE).await.body.contains("what is found"));
    let pressed = ask(&site.ops, "POST /checklist\nSec-Fetch-Site: same-origin\nAccept: text/html").await;
    assert_eq!((pressed.status.as_u16(), &pressed.headers["location"]), (303, &"/checklist".parse().unwrap()));
    let page = ask(&site.ops, PAGE).await;
    let lines = points(&page);
    assert_eq!((lines[1].0.as_str(), lines[2].0.as_str()), ("attention", "bad"), "{lines:?}");
    assert!(page.body.contains("what is found") && page.body.contains("Looked at, seconds ago: 0"));
    assert!(ask(&site.ops, "GET /checklist\nAccept-Language: ru").await.body.contains("что найдено"));
    assert_eq!(ask(&site.ops, "POST /checklist").await.status, 204, "by a program");
}
