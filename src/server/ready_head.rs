//! The part of the ready page that is the same for everybody who reads its language: style, script and their policy, made and
//! compressed once.

use super::middleware::policy;
use super::modules::sheet;
use super::pages;
use crate::base::id::Fingerprint;
use crate::texts::{Locale, Texts, Words};
use askama::Template;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compress, Compression, Crc, FlushCompress};
use http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, VARY};
use http::{HeaderValue, StatusCode};

/// As `scripts/built` makes it small.
const SCRIPT: &str = include_str!("../../web/built/page.js");

/// What the script says, by section of the texts.
const WORDS: [(&str, &[&str]); 3] = [
    ("shared", &["left", "refreshing", "finishing", "errorTitle", "pick"]),
    ("widget", &["waiting", "qrLabel", "approved", "success"]),
    ("client", &["network"]),
];

/// The part of the page that is the same for everybody who reads that language, made once.
pub struct ReadyHead {
    ru: Head,
    en: Head,
}

pub struct Head {
    text: String,
    /// Raw deflate (RFC 1951) that ends at a byte, with more to follow.
    deflated: Vec<u8>,
    policy: HeaderValue,
}

#[derive(Template)]
#[template(path = "ready_head.html")]
struct HeadTemplate<'a> {
    locale: Locale,
    words: &'a Words,
    style: &'a str,
    script: &'a str,
}

impl ReadyHead {
    pub fn new(texts: &Texts) -> Self {
        let style = sheet();
        let head = |locale: Locale| Head::new(locale, texts, &style);
        Self { ru: head(Locale::Ru), en: head(Locale::En) }
    }

    pub fn head(&self, locale: Locale) -> &Head {
        match locale {
            Locale::Ru => &self.ru,
            Locale::En => &self.en,
        }
    }
}

impl Head {
    fn new(locale: Locale, texts: &Texts, style: &str) -> Self {
        let words = texts.some_of(locale, &WORDS).to_string().replace('<', "\\u003c");
        let script = format!("const WORDS={words};{SCRIPT}");
        let template = HeadTemplate { locale, words: texts.of(locale), style, script: &script };
        let text = template.render().unwrap_or_default();
        let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Fingerprint::of(text.as_bytes()).bytes()));
        let policy = policy(&hash(&script), &hash(style));
        let deflated = deflated(&text, Compression::best(), FlushCompress::Sync, "");
        Self { text, deflated, policy }
    }

    /// The whole page. `gzip`: whether the browser reads it.
    pub fn answer(&self, rest: &str, gzip: bool) -> Response {
        let body = if gzip { self.gzip(rest) } else { [&self.text, rest].concat().into_bytes() };
        let mut response = pages::html(StatusCode::OK, body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    /// RFC 1952, of a head that was compressed before. What differs from login to login is never compressed together with
    /// what somebody else chose and a secret that lives on: both secrets in it are made for this answer.
    fn gzip(&self, rest: &str) -> Vec<u8> {
        let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        body.extend(&self.deflated);
        body.extend(deflated(rest, Compression::default(), FlushCompress::Finish, &self.text));
        let mut crc = Crc::new();
        crc.update(self.text.as_bytes());
        crc.update(rest.as_bytes());
        body.extend(crc.sum().to_le_bytes());
        body.extend(crc.amount().to_le_bytes());
        body
    }
}

/// `before`: what the reader has just read, to which the text may refer.
fn deflated(text: &str, level: Compression, flush: FlushCompress, before: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    let mut compress = Compress::new(level, false);
    // Neither can fail: at the beginning, and into a vector with room for all of it.
    let _ = compress.set_dictionary(before.as_bytes());
    let _ = compress.compress_vec(text.as_bytes(), &mut out, flush);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
        text.split_once(from).unwrap().1.split_once(to).unwrap().0
    }

    #[test]
    fn the_policy_lets_in_what_is_in_the_page_and_nothing_else() {
        let texts = Texts::with(&[(Locale::Ru, json!({"shared": {"left": "</script><script>alert(1)"}}))]).unwrap();
        for locale in Locale::ALL {
            let head = Head::new(locale, &texts, &sheet());
            assert_eq!(head.text.matches("</script>").count(), 1, "a text of the site's does not end the script");
            let policy = head.policy.to_str().unwrap();
            let script = between(&head.text, "<script type=\"module\" async>", "</script>");
            let style = between(&head.text, "<style>", "</style>");
            for text in [script, style] {
                let hash = STANDARD.encode(Fingerprint::of(text.as_bytes()).bytes());
                assert!(policy.contains(&format!("'sha256-{hash}';")), "{policy}");
            }
            assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
            assert!(script.starts_with("const WORDS={\"") && !script.contains("import "), "{script}");
        }
    }
}
