//! Pages that need no JavaScript: one look, the visitor's language, the site's name. The markup is in `pages/`, where
//! whatever is put in is escaped; the words are in `web/texts.js`.

use super::ways::Ways;
use crate::texts::{Locale, Texts, Words};
use askama::Template;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY, VARY};
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
    pub words: &'a Words,
}

impl<'a> Page<'a> {
    pub fn new(base: &'a str, site: &'a str, texts: &'a Texts, locale: Locale) -> Self {
        Self { base, locale, site, words: texts.of(locale) }
    }

    /// The ready page, in the same language.
    pub fn login(&self) -> String {
        format!("{}/login?locale={}", self.base, self.locale.tag())
    }

    /// The same for who is to go somewhere afterwards, or for an app that waits.
    pub fn login_for(&self, return_to: Option<&str>, request: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(self.login());
        let more = [("return_to", return_to), ("request", request)];
        query.extend_pairs(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
        query.finish()
    }
}

/// Something is said, and perhaps there is a way to begin again.
#[derive(Template)]
#[template(path = "notice.html")]
pub struct Notice<'a> {
    pub page: Page<'a>,
    pub title: &'a str,
    pub message: &'a str,
    /// The site's name ends the message.
    pub names_site: bool,
    /// It is bad news.
    pub failed: bool,
    /// Where to begin again, and what the link says. "": this address.
    pub again: Option<(&'a str, &'a str)>,
}

/// Who is signed in, and the way out.
#[derive(Template)]
#[template(path = "account.html")]
pub struct Account<'a> {
    pub page: Page<'a>,
    pub initial: &'a str,
    pub name: &'a str,
    pub phone: Option<&'a str>,
    /// How they signed in.
    pub by: Option<&'a str>,
    /// Where else this person is signed in, this browser among them.
    pub places: &'a [Row],
    /// What they signed in to from here.
    pub apps: &'a [Row],
    /// What apps are told as their address.
    pub emails: &'a [EmailRow],
    /// Characters.
    pub longest_email: usize,
}

/// An address for an app, to be changed.
pub struct EmailRow {
    pub client: String,
    pub name: String,
    pub email: String,
    pub wrong: bool,
}

/// A line of a list.
pub struct Row {
    pub name: String,
    pub more: String,
}

/// A login on its way.
#[derive(Template)]
#[template(path = "wait.html")]
pub struct Wait<'a> {
    pub page: Page<'a>,
    /// Seconds until the page asks again.
    pub refresh: u32,
    pub message: &'a str,
    pub code: Option<Code<'a>>,
    /// What is to be picked on the phone.
    pub number: Option<&'a str>,
    pub way: Ways<'a>,
}

/// A code to scan.
pub struct Code<'a> {
    pub link: &'a str,
    pub svg: &'a str,
    /// Milliseconds that it lives, and that are left of them.
    pub whole: i64,
    pub left: i64,
    pub time: String,
    /// What may be sent to the bot, in two groups.
    pub text: Option<(&'a str, &'a str)>,
}

/// The cloud password is asked for.
#[derive(Template)]
#[template(path = "password.html")]
pub struct Password<'a> {
    pub page: Page<'a>,
    /// What was wrong with the last one.
    pub wrong: &'a str,
    /// Characters.
    pub longest: usize,
}

/// Whether an app may know who somebody is.
#[derive(Template)]
#[template(path = "ask.html")]
pub struct Ask<'a> {
    pub page: Page<'a>,
    pub title: &'a str,
    pub app: &'a str,
    /// Where it is: of a device, its address.
    pub host: &'a str,
    /// What the device shows.
    pub code: Option<&'a str>,
    /// What it will know.
    pub scopes: &'a [&'a str],
    pub action: &'a str,
    pub request: &'a str,
}

/// An app wants an address.
#[derive(Template)]
#[template(path = "email.html")]
pub struct Email<'a> {
    pub page: Page<'a>,
    pub app: &'a str,
    pub host: &'a str,
    /// What is in the field.
    pub typed: &'a str,
    pub wrong: Option<&'a str>,
    pub required: bool,
    /// Characters.
    pub longest: usize,
    pub action: &'a str,
    /// Where somebody says no.
    pub decline: &'a str,
    pub request: &'a str,
}

/// Which device it is about.
#[derive(Template)]
#[template(path = "device.html")]
pub struct DeviceCode<'a> {
    pub page: Page<'a>,
    pub action: &'a str,
    pub wrong: Option<&'a str>,
}

/// Somebody may not use an app.
#[derive(Template)]
#[template(path = "denied.html")]
pub struct Denied<'a> {
    pub page: Page<'a>,
    pub app: &'a str,
    /// The way to sign in with another account.
    pub other: &'a str,
    pub action: &'a str,
    pub request: Option<&'a str>,
}

/// Whether somebody means to sign out.
#[derive(Template)]
#[template(path = "leave.html")]
pub struct Leave<'a> {
    pub page: Page<'a>,
    pub action: &'a str,
    /// Where to go afterwards, sealed.
    pub ticket: Option<&'a str>,
}

/// An answer on its way to an app, as a form that sends itself.
#[derive(Template)]
#[template(path = "form_post.html")]
pub struct FormPost<'a> {
    pub page: Page<'a>,
    pub action: &'a str,
    pub fields: &'a [(&'static str, String)],
}

/// An answer for the page that opened this window.
#[derive(Template)]
#[template(path = "web_message.html")]
pub struct WebMessage<'a> {
    pub page: Page<'a>,
    pub origin: &'a str,
    pub fields: &'a [(&'static str, String)],
    /// The way back where nobody waits for the message.
    pub back: &'a str,
}

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// A page of a sign-in that another page opened in a window, and which is to tell it the end.
pub fn in_popup(mut response: Response, is_popup: bool) -> Response {
    if is_popup {
        response.headers_mut().insert(OPENER_POLICY, HeaderValue::from_static("unsafe-none"));
    }
    response
}

pub fn answer(status: StatusCode, page: &impl Template) -> Response {
    // Templates fail only where something that is written into them does; ours are texts and numbers.
    html(status, page.render().unwrap_or_default().into_bytes())
}

pub fn html(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
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

#[cfg(test)]
mod tests {
    use super::super::ways::Other;
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
            ("en;q=0.5,ru;q=0.5", "en"),
            ("ru;q=0.5 , en; q= 0.5", "ru"),
            ("ru;q=0.1,;q=1,*;q=0.9,en;q=0.2", "en"),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, header.parse().unwrap())]);
            assert_eq!(language(&headers).tag(), tag, "{header}");
        }
        assert_eq!(language(&HeaderMap::new()), Locale::Ru);
    }

    #[test]
    fn a_site_is_named_by_its_host() {
        assert_eq!(site(&Url::parse("https://example.ru/").unwrap()), "example.ru");
        assert_eq!(site(&Url::parse("http://127.0.0.1:3001/").unwrap()), "127.0.0.1:3001");
        assert_eq!(site(&Url::parse("https://example.ru:443/").unwrap()), "example.ru");
    }

    const EVIL: &str = "</p><script>\"'&";

    fn is_tame(text: &str) {
        assert!(text.starts_with("<!doctype html><html lang=\"en\">") && text.ends_with("</html>"), "{text}");
        assert!(!text.contains("<script>") && !text.contains(EVIL) && text.contains("script&#62;"), "{text}");
    }

    #[test]
    fn nothing_gets_out_of_a_page() {
        let texts = Texts::ours();
        let page = Page { site: EVIL, ..Page::new("/b", "", &texts, Locale::En) };
        let (names_site, failed, again) = (true, true, Some((EVIL, EVIL)));
        is_tame(&Notice { page, title: EVIL, message: EVIL, names_site, failed, again }.render().unwrap());
        let rows = [
            Row { name: EVIL.to_owned(), more: EVIL.to_owned() },
            Row { name: EVIL.to_owned(), more: EVIL.to_owned() },
        ];
        let (client, name, email) = (EVIL.to_owned(), EVIL.to_owned(), EVIL.to_owned());
        let emails = [EmailRow { client, name, email, wrong: true }];
        let account = Account {
            page,
            initial: "<",
            name: EVIL,
            phone: Some(EVIL),
            by: None,
            places: &rows,
            apps: &rows,
            emails: &emails,
            longest_email: 254,
        };
        is_tame(&account.render().unwrap());
        let email = Email {
            page,
            app: EVIL,
            host: EVIL,
            typed: EVIL,
            wrong: Some(EVIL),
            required: true,
            longest: 254,
            action: "/a",
            decline: "/b",
            request: EVIL,
        };
        is_tame(&email.render().unwrap());
        is_tame(&Password { page, wrong: EVIL, longest: 256 }.render().unwrap());
        let code = Code {
            link: EVIL,
            svg: "<svg></svg>",
            whole: 10,
            left: 5,
            time: EVIL.to_owned(),
            text: Some((EVIL, EVIL)),
        };
        let way = || Ways { line: Some(EVIL), others: vec![Other { name: EVIL, address: EVIL.to_owned() }] };
        let number = Wait { page, refresh: 4, message: EVIL, code: None, number: Some(EVIL), way: way() };
        is_tame(&number.render().unwrap());
        let wait = Wait { number: None, code: Some(code), way: way(), ..number }.render().unwrap();
        is_tame(&wait);
        assert!(wait.contains("<svg></svg>") && wait.contains("<meta http-equiv=\"refresh\" content=\"4\">"));
    }

    #[test]
    fn what_is_not_there_leaves_nothing_behind() {
        let texts = Texts::ours();
        let page = Page::new("/b", "example.ru", &texts, Locale::Ru);
        let wait =
            Wait { page, refresh: 1, message: "m", code: None, number: None, way: Ways::default() }.render().unwrap();
        assert!(wait.contains("badge busy") && !wait.contains("<ol"));
        let (names_site, failed, again) = (false, false, None);
        let notice = Notice { page, title: "t", message: "m", names_site, failed, again }.render().unwrap();
        assert!(notice.contains("<h1>t</h1><p class=\"say\">m</p></div>"), "{notice}");
        assert!(!Password { page, wrong: "", longest: 1 }.render().unwrap().contains("alert"));
        let little = Account {
            page,
            initial: "",
            name: "n",
            phone: None,
            by: None,
            places: &[],
            apps: &[],
            emails: &[],
            longest_email: 1,
        };
        assert!(!little.render().unwrap().contains("fact") && !little.render().unwrap().contains("everywhere"));
    }
}
