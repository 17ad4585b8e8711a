//! Pages that need no JavaScript: one look, the visitor's language, the site's name.

use crate::login::Locale;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use url::Url;

/// The site as visitors know it: its host, with a port that is not the usual one.
pub fn site(public_url: &Url) -> String {
    let host = public_url.host_str().unwrap_or_default();
    public_url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What a browser prefers to read; Russian where it does not say.
pub fn language(headers: &HeaderMap) -> Locale {
    let text = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let weighed = text.split(',').filter_map(|item| {
        let (tag, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = match parameters.trim().strip_prefix("q=") {
            None => 1.0,
            Some(weight) => weight.trim().parse::<f32>().ok()?,
        };
        (tag.trim() != "*" && !tag.trim().is_empty()).then(|| (tag.trim(), weight))
    });
    // The first of the heaviest.
    let best = weighed.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map_or_else(Locale::default, |(tag, _)| Locale::parse(tag))
}

/// What the pages of one answer have in common.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    pub base: &'a str,
    pub locale: Locale,
    pub site: &'a str,
}

impl Page<'_> {
    pub fn pick<T>(&self, ru: T, en: T) -> T {
        self.locale.pick(ru, en)
    }

    /// A sheet in the middle; `head` and `body` are markup.
    pub fn document(&self, title: &str, head: &str, body: &str) -> String {
        format!(
            "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">{head}\
             <title>{}</title><link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"{}/page.css\"></head>\
             <body class=\"login\"><main><div class=\"sheet plain\">{body}</div></main></body></html>",
            self.locale.tag(),
            escaped(title),
            self.base
        )
    }

    /// The heading of a sign-in: what for.
    pub fn heading(&self) -> String {
        let (title, on) = self.pick(("Вход через MAX", "Вы входите на"), ("Sign in with MAX", "You are signing in to"));
        format!("<h1>{title}</h1><p class=\"site\">{on} <b>{}</b></p>", escaped(self.site))
    }
}

pub fn answer(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.append(VARY, HeaderValue::from_static("accept-language"));
    // With "no-referrer" a browser sends its own form with "Origin: null".
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

pub fn see_other(place: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(place) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_heaviest_tag() {
        for (header, tag) in [
            ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
            ("en-GB,en;q=0.9,ru;q=0.5", "en"),
            ("de;q=0.3, uk;q=0.7", "ru"),
            ("de", "en"),
            ("*", "ru"),
            ("", "ru"),
            ("en;q=zero", "ru"),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, header.parse().unwrap())]);
            assert_eq!(language(&headers).tag(), tag, "{header}");
        }
        assert_eq!(language(&HeaderMap::new()), Locale::Ru);
    }

    #[test]
    fn nothing_gets_out_of_a_page() {
        let page = Page { base: "/b", locale: Locale::En, site: "<b>&\"" };
        assert!(page.heading().contains("&lt;b&gt;&amp;&quot;"));
        assert!(page.document("</title><script>", "", "").contains("&lt;/title&gt;&lt;script&gt;"));
        assert_eq!(site(&Url::parse("https://example.ru/").unwrap()), "example.ru");
        assert_eq!(site(&Url::parse("http://127.0.0.1:3001/").unwrap()), "127.0.0.1:3001");
    }
}
