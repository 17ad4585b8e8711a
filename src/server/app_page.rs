//! `GET /app`: the mini-app, which MAX opens on the phone. One answer, the same for everybody who reads its language; what it
//! is about is behind the address, where only its script sees it.

use super::extract::accepts_encoding;
use super::middleware::Framed;
use super::modules::sheet_of_app;
use super::pages::{html, language};
use crate::base::id::Fingerprint;
use crate::texts::{Locale, Section, Texts, Words};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderName, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::io::Write as _;
use std::sync::Arc;
use url::Url;

/// Who shows mini-apps in a frame: MAX in a browser.
const FRAMES: &str = "'self' https://web.max.ru https://max.ru";

/// As `scripts/built` makes it small.
const SCRIPT: &str = include_str!("../../web/built/app.js");

/// The page in each language, made once.
pub struct AppPage {
    ru: Body,
    en: Body,
    policy: HeaderValue,
}

struct Body {
    text: Vec<u8>,
    gzip: Vec<u8>,
}

#[derive(Template)]
#[template(path = "app.html")]
struct Page<'a> {
    locale: Locale,
    words: &'a Words,
    style: &'a str,
    script: &'a str,
    bridge: &'a str,
    base: &'a str,
}

impl AppPage {
    /// `bridge`: where MAX's script is.
    pub fn new(base: &str, bridge: &str, texts: &Texts) -> Self {
        let style = sheet_of_app();
        let script = format!("{}{SCRIPT}", texts.declaration(&[Section::App]).replace('<', "\\u003c"));
        let body = |locale: Locale| {
            let page = Page { locale, words: texts.of(locale), style: &style, script: &script, bridge, base };
            let text = page.render().unwrap_or_default().into_bytes();
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            let gzip = encoder.write_all(&text).and_then(|()| encoder.finish()).unwrap_or_default();
            Body { text, gzip }
        };
        Self { ru: body(Locale::Ru), en: body(Locale::En), policy: policy(&script, &style, bridge) }
    }

    fn of(&self, locale: Locale) -> &Body {
        match locale {
            Locale::Ru => &self.ru,
            Locale::En => &self.en,
        }
    }
}

/// What is in the page, MAX's script, our own endpoints, and nothing else.
fn policy(script: &str, style: &str, bridge: &str) -> HeaderValue {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Fingerprint::of(text.as_bytes()).bytes()));
    let policy = format!(
        "default-src 'none'; script-src {} {}; style-src {}; connect-src 'self'; img-src data:; form-action 'none'; \
         base-uri 'none'; frame-ancestors {FRAMES}",
        hash(script),
        source(bridge),
        hash(style),
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// An address as a policy names it: what would end the directive is written otherwise, and a query never counts.
fn source(address: &str) -> String {
    let Ok(url) = Url::parse(address) else { return String::new() };
    let path = url.path().replace(';', "%3B").replace(',', "%2C");
    format!("{}{path}", url.origin().ascii_serialization())
}

/// `GET /app`
pub async fn page(State(app): State<Arc<AppPage>>, headers: HeaderMap) -> Response {
    metrics::counter!("max_auth_pages_total").increment(1);
    let body = app.of(language(&headers));
    let gzip = accepts_encoding(&headers, "gzip") && !body.gzip.is_empty();
    let mut response = html(StatusCode::OK, if gzip { body.gzip.clone() } else { body.text.clone() });
    let answer = response.headers_mut();
    answer.insert(CONTENT_SECURITY_POLICY, app.policy.clone());
    answer.append(VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        answer.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    // MAX in a browser talks to the window that it opened, or shows the page in a frame.
    answer.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("unsafe-none"));
    answer.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    response.extensions_mut().insert(Framed);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIDGE: &str = "https://st.max.ru/js/max-web-app.js";
    use serde_json::json;

    fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
        text.split_once(from).unwrap().1.split_once(to).unwrap().0
    }

    #[test]
    fn the_policy_lets_in_what_is_in_the_page_and_the_bridge() {
        let texts = Texts::with(&[(Locale::Ru, json!({"app": {"done": "</script><script>alert(1)"}}))]).unwrap();
        let app = AppPage::new("/b", BRIDGE, &texts);
        let policy = app.policy.to_str().unwrap();
        for locale in Locale::ALL {
            let text = String::from_utf8(app.of(locale).text.clone()).unwrap();
            assert_eq!(text.matches("</script>").count(), 2, "a text of the site's does not end the script");
            let script = between(&text, "<script type=\"module\">", "</script>");
            for text in [script, between(&text, "<style>", "</style>")] {
                let hash = STANDARD.encode(Fingerprint::of(text.as_bytes()).bytes());
                assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
            }
            assert!(text.contains(&format!("<script src=\"{BRIDGE}\" async>")), "{text}");
            assert!(text.contains("data-base=\"/b\"") && !script.contains("import "), "{text}");
        }
        assert!(policy.contains("; script-src 'sha256-") && policy.contains(&format!("' {BRIDGE};")), "{policy}");
        assert!(policy.ends_with("frame-ancestors 'self' https://web.max.ru https://max.ru"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    }

    #[test]
    fn it_fits_into_what_a_frozen_connection_lets_through() {
        let app = AppPage::new("/api/auth/max", BRIDGE, &Texts::ours());
        for locale in Locale::ALL {
            let packed = app.of(locale).gzip.len();
            assert!((3000..=9000).contains(&packed), "{packed} bytes");
        }
    }

    #[test]
    fn an_address_in_a_policy_ends_no_directive() {
        for (address, named) in [
            (BRIDGE, BRIDGE),
            ("http://127.0.0.1:9000/a.js?v=1;2", "http://127.0.0.1:9000/a.js"),
            ("https://a.example/x;script-src,*/y.js", "https://a.example/x%3Bscript-src%2C*/y.js"),
            ("nothing", ""),
        ] {
            assert_eq!(source(address), named);
        }
    }
}
