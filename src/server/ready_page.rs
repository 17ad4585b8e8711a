//! `GET /login`: one answer that holds its style, its script and a code to scan, 8 KiB at most on the wire. The login begins
//! with the page, so nothing is asked for between the page and the code: some networks let so little through a connection
//! that a second question would get no answer (docs/networks.md).

use super::extract::{StrictQuery, accepts_encoding, browser_info};
use super::logins::Logins;
use super::no_script::{not_begun, over};
use super::pages::{self, Page, in_popup};
use super::refusals::store_unavailable;
use super::ways::{Ways, by, first_status};
use crate::base::id::{self, Fingerprint};
use crate::login::{Attach, Drawing, Kind, Login};
use crate::texts::Locale;
use crate::transport::begin::StartRequest;
use askama::Template;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::SET_COOKIE;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long the page waits for MAX's code. MAX answers within a fifth of a second; a page without a code shows that it comes.
const CODE_WAIT: Duration = Duration::from_millis(1500);

#[derive(Template)]
#[template(path = "ready.html")]
struct Rest<'a> {
    page: Page<'a>,
    client: Option<&'a str>,
    return_to: Option<&'a str>,
    request: Option<&'a str>,
    code: Option<Code>,
    message: &'a str,
    way: Ways<'a>,
    /// Which was asked for.
    driver: Option<&'a str>,
    /// Where to begin again.
    again: &'a str,
    /// The same login, without a script.
    wait: Option<&'a str>,
    /// For the script: `{}`, or what it goes on with.
    begun: &'a str,
}

struct Code {
    link: String,
    png: String,
}

#[derive(Deserialize)]
pub struct LoginQuery {
    return_to: Option<String>,
    request: Option<String>,
    locale: Option<String>,
    driver: Option<String>,
}

/// `GET /login`
pub async fn login(
    State(logins): State<Arc<Logins>>,
    StrictQuery(query): StrictQuery<LoginQuery>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    metrics::counter!("max_auth_pages_total").increment(1);
    let locale = query.locale.as_deref().map_or_else(|| pages::language(&headers), Locale::parse);
    let page = logins.page(locale);
    let mut is_popup = false;
    let client = match (&query.request, logins.cookies.flow(&headers)) {
        (None, _) => None,
        (Some(_), None) => return over(page, Some(&page.words.pages.request_gone), None),
        (Some(request), Some(flow)) => match logins.provider.question(request, &flow.fingerprint).await {
            Ok(Some(question)) => {
                is_popup = question.is_popup;
                Some(question.client_name)
            }
            Ok(None) => return over(page, Some(&page.words.pages.request_gone), None),
            Err(error) => return store_unavailable(&error).into_response(),
        },
    };
    let (return_to, request) = (query.return_to.as_deref(), query.request.as_deref());
    let plainly = page.login_for(return_to, request);
    let again = query.driver.as_deref().map_or_else(|| plainly.clone(), |driver| by(&plainly, driver));
    let rest = Rest {
        page,
        client: client.as_deref(),
        return_to,
        request,
        code: None,
        message: &page.words.shared.connecting,
        way: Ways::default(),
        driver: query.driver.as_deref(),
        again: &again,
        wait: None,
        begun: "{}",
    };
    let gzip = accepts_encoding(&headers, "gzip");
    let head = logins.ready.head(locale);
    if !is_looked_at(&headers) {
        return in_popup(head.answer(&rest.render().unwrap_or_default(), gzip), is_popup);
    }

    let flow = logins.cookies.flow_or_new(&headers, &logins.rng);
    let key = id::encode(&logins.rng.bytes::<16>());
    let start = StartRequest::of_page(browser_info(&headers), query.return_to.clone(), query.request.clone(), locale);
    let start = start.by_driver(query.driver.clone());
    let kept = Some(Fingerprint::of(key.as_bytes()));
    let login = match logins.begin_plain(start, &headers, peer, &flow.fingerprint, kept).await {
        Ok(login) => login,
        Err(why) => return not_begun(page, &why, plainly),
    };
    // Until the page asks for more.
    let reader = login.attach(Attach::Begin);
    let _ = timeout(CODE_WAIT, has_code(&login)).await;
    let told = Told::of(&login, &key);
    let wait = format!("{}/{}/wait", logins.base_path, login.id.text());
    let message = told.message.as_deref().unwrap_or(&page.words.shared.connecting);
    let way = Ways::of(page.words, &first_status(&login), &plainly);
    let rest = Rest { code: told.code, message, way, wait: Some(&wait), begun: &told.begun, ..rest };
    let mut response = in_popup(head.answer(&rest.render().unwrap_or_default(), gzip), is_popup);
    drop(reader);
    if let Some(cookie) = logins.cookies.set_flow(&flow, logins.flow_life) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// A person opens the page, as far as a browser says; nobody fetches it ahead. Over plain HTTP browsers do not say, and
/// the script begins.
fn is_looked_at(headers: &HeaderMap) -> bool {
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|said| said == value);
    says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document") && !headers.contains_key("sec-purpose")
}

/// Waits for the code, or for the end of the login.
async fn has_code(login: &Login) {
    let mut at = login.log.start();
    while let Ok(page) = login.log.follow(at).await {
        if page.sealed || page.events.iter().any(|event| matches!(event.kind, Kind::Qr | Kind::Error)) {
            return;
        }
        at = page.next;
    }
}

/// What the login has told by now.
struct Told {
    code: Option<Code>,
    message: Option<String>,
    begun: String,
}

impl Told {
    fn of(login: &Login, key: &str) -> Self {
        let data = |kind: Kind, drawing: Drawing| -> Option<Value> {
            serde_json::from_str(&login.log.last_of(kind)?.data(drawing)).ok()
        };
        let mut begun = json!({"login": login.id.text(), "key": key});
        // An end is for the script to tell: it reads everything.
        let next = login.log.read(None).ok().filter(|page| !page.sealed).map(|page| page.next);
        let qr = next.and_then(|_| data(Kind::Qr, Drawing::Png));
        if let Some(next) = next {
            begun["after"] = next.to_string().into();
        }
        let code = qr.and_then(|qr| {
            let code = Code { link: qr["qrLink"].as_str()?.to_owned(), png: qr["png"].as_str()?.to_owned() };
            // Just made, so that what is left is what it began with.
            begun["ttl"] = qr["ttl"].clone();
            if let Some(text) = qr["textCode"].as_str() {
                begun["textCode"] = text.into();
            }
            Some(code)
        });
        let status = data(Kind::Status, Drawing::Png);
        let message = status.and_then(|status| Some(status["message"].as_str()?.to_owned()));
        Self { code, message, begun: begun.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ready_head::ReadyHead;
    use super::*;
    use crate::texts::Texts;
    use axum::response::Response;
    use flate2::read::GzDecoder;
    use http::HeaderValue;
    use http_body_util::BodyExt as _;
    use std::io::Read as _;

    const EVIL: &str = "</p><script>\"'&";

    fn rest<'a>(texts: &'a Texts, locale: Locale) -> Rest<'a> {
        let page = Page::new("/b", "example.ru", texts, locale);
        Rest {
            page,
            client: None,
            return_to: None,
            request: None,
            code: None,
            message: "",
            way: Ways::default(),
            driver: None,
            again: "/b/login",
            wait: None,
            begun: "{}",
        }
    }

    async fn body(response: Response) -> Vec<u8> {
        response.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn the_whole_page_has_eight_kilobytes_at_most() {
        let texts = Texts::ours();
        let ready = ReadyHead::new(&texts);
        let link = "https://max.ru/:auth/6bc2adb2-6b23-4a7d-a96c-320bee4ed0d7";
        for locale in Locale::ALL {
            let code = Code { link: link.to_owned(), png: Drawing::Png.of(link).unwrap().1 };
            let begun = format!("{{\"login\":\"{0}\",\"key\":\"{0}\",\"after\":\"0a1b2c3d-3\"}}", "x".repeat(22));
            let rest = Rest { code: Some(code), wait: Some("/b/x/wait"), begun: &begun, ..rest(&texts, locale) };
            let rest = rest.render().unwrap();
            let whole = body(ready.head(locale).answer(&rest, false)).await;
            let packed = body(ready.head(locale).answer(&rest, true)).await;
            assert!(packed.len() <= 7600, "{} bytes, and half a kilobyte for the headers", packed.len());
            let mut unpacked = vec![];
            GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == whole, "what is compressed in two parts is read as one");
            let text = String::from_utf8(whole).unwrap();
            assert!(text.starts_with(&format!("<!doctype html><html lang=\"{}\">", locale.tag())), "{text}");
            assert!(text.ends_with("</html>") && !text.contains("/*") && !text.contains(" // "), "{text}");
        }
    }

    #[test]
    fn nothing_gets_out_of_the_page() {
        let texts = Texts::ours();
        let all = Rest {
            return_to: Some(EVIL),
            request: Some(EVIL),
            driver: Some(EVIL),
            client: Some(EVIL),
            message: EVIL,
            ..rest(&texts, Locale::En)
        };
        let code = Some(Code { link: EVIL.to_owned(), png: EVIL.to_owned() });
        for page in [Rest { code, again: EVIL, ..all }, Rest { wait: Some(EVIL), ..rest(&texts, Locale::En) }] {
            let text = page.render().unwrap();
            assert!(!text.contains("<script>") && !text.contains(EVIL) && text.contains("script&#62;"), "{text}");
        }
        let little = rest(&texts, Locale::Ru).render().unwrap();
        assert!(
            !little.contains("return_to") && !little.contains("href=\"\"") && !little.contains("who\">"),
            "{little}"
        );
    }

    #[test]
    fn only_who_looks_at_it_begins_a_login() {
        let asked = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            is_looked_at(&HeaderMap::from_iter(headers.map(|(name, value): (http::HeaderName, _)| (name, value))))
        };
        let person = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(asked(&person));
        assert!(!asked(&[]), "a program, or a browser over plain HTTP");
        assert!(!asked(&[person[0], ("sec-fetch-dest", "iframe")]));
        assert!(!asked(&[("sec-fetch-mode", "cors"), person[1]]));
        assert!(!asked(&[person[0], person[1], ("sec-purpose", "prefetch;prerender")]));
    }
}
