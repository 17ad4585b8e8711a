//! Signing in without JavaScript: a form that begins, and a page that refreshes itself from the code to the session.

use super::extract::{LoginPath, body_bytes, browser_info};
use super::logins::Logins;
use super::pages::{self, Code, Notice, Page, Password, Wait, see_other};
use super::ways::{Ways, by, first_status};
use crate::base::limits::{FORM_OPEN, PASSWORD};
use crate::base::problem::{Problem, ProblemCode, whole_seconds};
use crate::base::secret::Secret;
use crate::login::{Attach, Drawing, Kind, Login, Purpose};
use crate::texts::Locale;
use crate::transport::begin::{StartError, StartRequest};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

/// Between refreshes, in seconds: as often as MAX is asked, and sooner where something is about to come.
const REFRESH: u32 = 4;
const REFRESH_SOON: u32 = 1;

/// The same driver again would be refused again (docs/http.md).
const DRIVER_DOWN: &str = "driver-down";

/// `POST /login`: what the form without JavaScript sends.
pub async fn begin(
    State(logins): State<Arc<Logins>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    if let Err(problem) = logins.origins.check_request(request.headers()) {
        return problem.into_response();
    }
    let (parts, body) = request.into_parts();
    let form = match read_form(body).await {
        Ok(form) => form,
        Err(problem) => return problem.into_response(),
    };
    let locale = field(&form, "locale").map_or_else(|| pages::language(&parts.headers), |tag| Locale::parse(&tag));
    let (return_to, waiting) = (field(&form, "return_to"), field(&form, "request"));
    let again = logins.page(locale).login_for(return_to.as_deref(), waiting.as_deref());
    let request = StartRequest::of_page(browser_info(&parts.headers), return_to, waiting, locale);
    let request = request.by_driver(field(&form, "driver"));
    let flow = logins.cookies.flow_or_new(&parts.headers, &logins.rng);
    let login = match logins.begin_plain(request, &parts.headers, peer, &flow.fingerprint, None).await {
        Ok(login) => login,
        Err(why) => return not_begun(logins.page(locale), &why, again),
    };
    let mut response = see_other(&format!("{}/{}/wait", logins.base_path, login.id.text()));
    if let Some(cookie) = logins.cookies.set_flow(&flow, logins.flow_life) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// `GET /{login}/wait`: the login as it stands, again and again.
pub async fn wait(State(logins): State<Arc<Logins>>, LoginPath(id): LoginPath, headers: HeaderMap) -> Response {
    let login = match logins.find(&id, &headers).await {
        Ok(login) => login,
        Err(problem) => return not_found(&logins, problem, &headers),
    };
    let _reader = login.attach(Attach::NextPage);
    show(&logins, &login, None)
}

/// `POST /{login}/wait`: the cloud password.
pub async fn password(State(logins): State<Arc<Logins>>, LoginPath(id): LoginPath, request: Request) -> Response {
    if let Err(problem) = logins.origins.check_request(request.headers()) {
        return problem.into_response();
    }
    let login = match logins.find(&id, request.headers()).await {
        Ok(login) => login,
        Err(problem) => return not_found(&logins, problem, request.headers()),
    };
    let _reader = login.attach(Attach::NextPage);
    let form = match read_form(request.into_body()).await {
        Ok(form) => form,
        Err(problem) => return problem.into_response(),
    };
    if let Some(password) = field(&form, "password").map(Secret::new) {
        if password.expose().len() > PASSWORD {
            // Not passed on, so that it costs none of the tries.
            let words = logins.texts.of(login.locale());
            return show(&logins, &login, Some(&words.pages.password_too_long));
        }
        // Not asked for any more: the page says what is.
        let _ = login.password(password);
    }
    see_other(&format!("{}/{}/wait", logins.base_path, login.id.text()))
}

impl Logins {
    pub fn page(&self, locale: Locale) -> Page<'_> {
        Page::new(&self.base_path, &self.site, &self.texts, locale)
    }
}

/// `wrong`: what was wrong with the password, if that is known already.
fn show(logins: &Logins, login: &Login, wrong: Option<&str>) -> Response {
    let page = logins.page(login.locale());
    let again = || match login.purpose() {
        Purpose::Site { return_to } => page.login_for(Some(return_to), None),
        Purpose::Authorize { request } => page.login_for(None, Some(request)),
    };
    let Ok(read) = login.log.read(None) else { return over(page, None, Some(again())) };
    let last = |kind: Kind| read.events.iter().rposition(|event| event.kind == kind);
    let data =
        |kind: Kind| -> Option<Value> { serde_json::from_str(&read.events.get(last(kind)?)?.data(Drawing::Svg)).ok() };
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    if let Some(success) = data(Kind::Success) {
        return see_other(&text(&success, "redirect"));
    }
    if let Some(error) = data(Kind::Error) {
        let driver = first_status(login)["driver"].as_str().filter(|_| error["code"] != DRIVER_DOWN).map(str::to_owned);
        let again = || driver.map_or_else(again, |driver| by(&again(), &driver));
        return over(page, Some(&text(&error, "message")), (error["retry"] != false).then(again));
    }
    if login.wants_password() {
        // A page with a form in it must not be taken away while somebody types, nor the login end under it.
        login.hold(FORM_OPEN);
        let refused = data(Kind::Password).is_some_and(|password| password["wrong"] == true);
        let wrong = wrong.or(refused.then_some(&page.words.shared.password_wrong)).unwrap_or_default();
        return pages::answer(StatusCode::OK, &Password { page, wrong, longest: PASSWORD });
    }
    let status = data(Kind::Status).unwrap_or_default();
    let waiting = status["stage"] == "waiting";
    let qr = data(Kind::Qr).filter(|_| waiting);
    let code = qr.as_ref().map(|qr| code(page, qr, login.unix_ms()));
    let refresh = if waiting { REFRESH } else { REFRESH_SOON };
    // A fresh code takes the number back.
    let confirm = data(Kind::Confirm).filter(|_| waiting && last(Kind::Confirm) > last(Kind::Qr));
    let number = confirm.as_ref().and_then(|confirm| confirm["matchCode"].as_str());
    let way = Ways::of(page.words, &first_status(login), &again());
    pages::answer(StatusCode::OK, &Wait { page, refresh, message: &text(&status, "message"), code, number, way })
}

fn code<'a>(page: Page<'_>, qr: &'a Value, now_ms: i64) -> Code<'a> {
    let whole = qr["ttl"].as_i64().unwrap_or_default().max(1);
    let left = (qr["expiresAt"].as_i64().unwrap_or_default() - now_ms).clamp(0, whole);
    let seconds = (left + 999) / 1000;
    let time = match left {
        0 => page.words.shared.refreshing.clone(),
        _ => format!("{} {}:{:02}", page.words.shared.left, seconds / 60, seconds % 60),
    };
    let text = |name: &str| qr[name].as_str().unwrap_or_default();
    let letters = qr["textCode"].as_str().and_then(|letters| letters.split_at_checked(4));
    Code { link: text("qrLink"), svg: text("svg"), whole, left, time, text: letters }
}

/// The end without a session, and the way to begin again.
pub fn over(page: Page<'_>, message: Option<&str>, again: Option<String>) -> Response {
    let words = page.words;
    let notice = Notice {
        page,
        title: &words.shared.error_title,
        message: message.unwrap_or(&words.pages.gone),
        names_site: false,
        failed: true,
        again: again.as_deref().map(|again| (again, words.shared.retry.as_str())),
    };
    pages::answer(StatusCode::OK, &notice)
}

/// A login that is over, or one that cannot be looked for now.
fn not_found(logins: &Logins, problem: Problem, headers: &HeaderMap) -> Response {
    if problem.code() != ProblemCode::LoginNotFound {
        return problem.into_response();
    }
    let page = logins.page(pages::language(headers));
    over(page, None, Some(page.login()))
}

pub fn not_begun(page: Page<'_>, why: &StartError, again: String) -> Response {
    let again = match why {
        // It would be refused again.
        StartError::ReturnTo => Some(page.login()),
        // Only the app can ask again.
        StartError::Request => None,
        _ => Some(again),
    };
    let mut response = over(page, Some(why.message(page.words)), again);
    *response.status_mut() = why.code().status();
    if let Some(wait) = why.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    response
}

/// Every field of these forms is optional.
async fn read_form(body: Body) -> Result<Vec<(String, String)>, Problem> {
    let bytes = body_bytes(body).await?;
    Ok(url::form_urlencoded::parse(&bytes).into_owned().collect())
}

fn field(form: &[(String, String)], name: &str) -> Option<String> {
    form.iter().find(|(found, value)| found == name && !value.is_empty()).map(|(_, value)| value.clone())
}
