//! Signing in without JavaScript: a form that begins, and a page that refreshes itself from the code to the session.

use super::asked::{Asked, LoginPath, body_bytes};
use super::html::{self, Page, escaped, see_other};
use super::logins::Logins;
use crate::base::limits::{FORM_OPEN, PASSWORD};
use crate::base::problem::Problem;
use crate::base::secret::Secret;
use crate::login::{Attach, Kind, Locale, Login};
use crate::transport::begin::{StartError, StartRequest};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

/// The ready page. Its language, and the form of its noscript part, are filled in here.
const LOGIN_PAGE: &str = include_str!("../../web/login.html");
const FORM_MARK: &str = "<!--form-->";
const LANGUAGE_MARK: &str = "<html lang=\"ru\">";
const TITLE_MARK: &str = "<title>Вход через MAX</title>";

/// Between refreshes, in seconds: as often as MAX is asked, and sooner where something is about to come.
const REFRESH: u32 = 4;
const REFRESH_SOON: u32 = 1;

#[derive(Deserialize)]
pub struct LoginQuery {
    return_to: Option<String>,
    locale: Option<String>,
}

/// `GET /login`
pub async fn login_page(
    State(logins): State<Arc<Logins>>,
    Asked(query): Asked<LoginQuery>,
    headers: HeaderMap,
) -> Response {
    let locale = query.locale.as_deref().map_or_else(|| html::language(&headers), Locale::parse);
    let page = logins.page(locale);
    let field =
        |name: &str, value: &str| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value));
    let (say, button) = page.pick(
        ("Код появится на следующей странице и будет обновляться сам.", "Получить QR-код"),
        ("The code comes on the next page, which refreshes itself.", "Get the QR code"),
    );
    let form = format!(
        "<form class=\"sheet plain\" method=\"post\" action=\"login\">{}<p class=\"say\">{say}</p>{}{}\
         <p><button class=\"primary\">{button}</button></p></form>",
        page.heading(),
        field("locale", locale.tag()),
        query.return_to.as_deref().map(|place| field("return_to", place)).unwrap_or_default(),
    );
    let text = LOGIN_PAGE
        .replace(LANGUAGE_MARK, &format!("<html lang=\"{}\">", locale.tag()))
        .replace(TITLE_MARK, page.pick(TITLE_MARK, "<title>Sign in with MAX</title>"))
        .replace(FORM_MARK, &form);
    html::answer(StatusCode::OK, text)
}

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
    let locale = field(&form, "locale").map_or_else(|| html::language(&parts.headers), |tag| Locale::parse(&tag));
    let request = StartRequest::without_script(field(&form, "return_to"), locale);
    let flow = logins.cookies.flow_or_new(&parts.headers, &logins.rng);
    let login = match logins.begin_plain(request, &parts.headers, peer, &flow.fingerprint) {
        Ok(login) => login,
        Err(why) => return not_begun(logins.page(locale), &why),
    };
    let mut response = see_other(&format!("{}/{}/wait", logins.base_path, login.id.text()));
    if let Some(cookie) = logins.cookies.set_flow(&flow, logins.flow_life) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// `GET /{login}/wait`: the login as it stands, again and again.
pub async fn wait(State(logins): State<Arc<Logins>>, LoginPath(id): LoginPath, headers: HeaderMap) -> Response {
    let Ok(login) = logins.find(&id, &headers) else { return over(logins.page(html::language(&headers)), "", true) };
    let _reader = login.attach(Attach::NextPage);
    show(&logins, &login, "")
}

/// `POST /{login}/wait`: the cloud password.
pub async fn password(State(logins): State<Arc<Logins>>, LoginPath(id): LoginPath, request: Request) -> Response {
    if let Err(problem) = logins.origins.check_request(request.headers()) {
        return problem.into_response();
    }
    let Ok(login) = logins.find(&id, request.headers()) else {
        return over(logins.page(html::language(request.headers())), "", true);
    };
    let _reader = login.attach(Attach::NextPage);
    let form = match read_form(request.into_body()).await {
        Ok(form) => form,
        Err(problem) => return problem.into_response(),
    };
    if let Some(password) = field(&form, "password").map(Secret::new) {
        if password.expose().len() > PASSWORD {
            // Not passed on, so that it costs none of the tries.
            return show(
                &logins,
                &login,
                login.locale().pick("Такой длинный пароль не подойдёт.", "That password is too long."),
            );
        }
        // Not asked for any more: the page says what is.
        let _ = login.password(password);
    }
    see_other(&format!("{}/{}/wait", logins.base_path, login.id.text()))
}

impl Logins {
    fn page(&self, locale: Locale) -> Page<'_> {
        Page { base: &self.base_path, locale, site: &self.site }
    }
}

/// `wrong`: what was wrong with the password, if that is known already.
fn show(logins: &Logins, login: &Login, wrong: &str) -> Response {
    let page = logins.page(login.locale());
    let Ok(read) = login.log.read(None) else { return over(page, "", true) };
    let data = |kind: Kind| -> Option<Value> {
        let event = read.events.iter().rev().find(|event| event.kind == kind)?;
        serde_json::from_slice(&event.data()).ok()
    };
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    if let Some(success) = data(Kind::Success) {
        return see_other(&text(&success, "redirect"));
    }
    if let Some(error) = data(Kind::Error) {
        return over(page, &text(&error, "message"), error["retry"] != false);
    }
    let title = page.pick("Вход через MAX", "Sign in with MAX");
    if login.wants_password() {
        // A page with a form in it must not be taken away while somebody types, nor the login end under it.
        login.hold(FORM_OPEN);
        let refused = data(Kind::Password).is_some_and(|password| password["wrong"] == true);
        let refused = if refused { page.pick("Пароль неверный.", "Wrong password.") } else { "" };
        let wrong = if wrong.is_empty() { refused } else { wrong };
        return html::answer(StatusCode::OK, page.document(title, "", &password_form(page, wrong)));
    }
    let status = data(Kind::Status).unwrap_or_default();
    let (stage, message) = (text(&status, "stage"), text(&status, "message"));
    let waiting = stage == "waiting";
    let body = match data(Kind::Qr) {
        Some(qr) if waiting => code(page, &qr, &message, login.unix_ms()),
        _ => format!(
            "{}<div class=\"badge busy\" aria-hidden=\"true\"></div><p class=\"state\" role=\"status\">{}</p>",
            page.heading(),
            escaped(&message)
        ),
    };
    let seconds = if waiting { REFRESH } else { REFRESH_SOON };
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">");
    html::answer(StatusCode::OK, page.document(title, &refresh, &body))
}

fn code(page: Page<'_>, qr: &Value, message: &str, now_ms: i64) -> String {
    // Drawn by us from MAX's text: a path and numbers.
    let svg = qr["svg"].as_str().unwrap_or_default();
    let link = escaped(qr["qrLink"].as_str().unwrap_or_default());
    let whole = qr["ttl"].as_i64().unwrap_or_default().max(1);
    let left = (qr["expiresAt"].as_i64().unwrap_or_default() - now_ms).clamp(0, whole);
    let (valid, fresh) =
        page.pick(("Код действует ещё", "Получаем новый код…"), ("This code is valid for", "Getting a fresh code…"));
    let time = if left == 0 {
        fresh.to_owned()
    } else {
        let seconds = (left + 999) / 1000;
        format!("{valid} {}:{:02}", seconds / 60, seconds % 60)
    };
    let (open, here, steps, warning) = page.pick(
        (
            "Открыть в MAX",
            "MAX на этом устройстве?",
            ["Откройте MAX на телефоне", "Профиль → Устройства → Войти по QR", "Наведите камеру и подтвердите вход"],
            "Сканируйте, только если вы сами открыли эту страницу. Сотрудники сайта никогда не присылают QR-коды.",
        ),
        (
            "Open in MAX",
            "Is MAX on this device?",
            ["Open MAX on your phone", "Profile → Devices → Sign in with QR", "Point the camera here and confirm"],
            "Scan only if you opened this page yourself. Staff of this site never send QR codes.",
        ),
    );
    let steps: String = steps.iter().map(|step| format!("<li>{step}</li>")).collect();
    format!(
        "{}<p class=\"app\"><a class=\"primary\" href=\"{link}\" rel=\"noopener noreferrer\" target=\"_blank\">{open}</a></p>\
         <div class=\"code\">{svg}</div>\
         <progress max=\"{whole}\" value=\"{left}\" aria-hidden=\"true\"></progress>\
         <p class=\"state\" role=\"status\">{}</p><p class=\"left\">{time}</p>\
         <p class=\"here\">{here} <a href=\"{link}\" rel=\"noopener noreferrer\" target=\"_blank\">{open}</a></p>\
         <ol class=\"steps\">{steps}</ol><p class=\"note\">{warning}</p>",
        page.heading(),
        escaped(message),
    )
}

fn password_form(page: Page<'_>, wrong: &str) -> String {
    let (label, note, go) = page.pick(
        ("Облачный пароль MAX", "Пароль уйдёт в MAX один раз и нигде не останется.", "Продолжить"),
        ("MAX cloud password", "It goes to MAX once and is kept nowhere.", "Continue"),
    );
    let wrong = if wrong.is_empty() { String::new() } else { format!("<p class=\"wrong\" role=\"alert\">{wrong}</p>") };
    format!(
        "{}<form method=\"post\"><label for=\"password\">{label}</label>\
         <input id=\"password\" type=\"password\" name=\"password\" autocomplete=\"off\" required autofocus \
         maxlength=\"{PASSWORD}\">{wrong}<p class=\"small\">{note}</p><button class=\"primary\">{go}</button></form>",
        page.heading()
    )
}

fn not_begun(page: Page<'_>, why: &StartError) -> Response {
    let message = match why {
        StartError::ReturnTo => {
            page.pick("Адрес возврата не относится к этому сайту.", "The address to return to is not one of this site.")
        }
        StartError::RateLimited { .. } | StartError::Busy { .. } => page.pick(
            "Слишком много входов сейчас, попробуйте через минуту.",
            "Too many sign-ins right now. Please try again in a minute.",
        ),
    };
    over(page, message, true)
}

/// The end without a session, and the way to begin again.
fn over(page: Page<'_>, message: &str, again: bool) -> Response {
    let (title, gone, start) = page.pick(
        ("Вход не завершён", "Этого входа больше нет.", "Начать ещё раз"),
        ("Not signed in", "This sign-in is over.", "Start again"),
    );
    let message = if message.is_empty() { gone } else { message };
    let link =
        format!("<p><a class=\"primary\" href=\"{}/login?locale={}\">{start}</a></p>", page.base, page.locale.tag());
    let body = format!(
        "<div class=\"badge bad\" aria-hidden=\"true\">!</div><h1>{title}</h1><p class=\"say\">{}</p>{}",
        escaped(message),
        if again { link.as_str() } else { "" }
    );
    html::answer(StatusCode::OK, page.document(title, "", &body))
}

/// Every field of these forms is optional.
async fn read_form(body: Body) -> Result<Vec<(String, String)>, Problem> {
    let bytes = body_bytes(body).await?;
    Ok(url::form_urlencoded::parse(&bytes).into_owned().collect())
}

fn field(form: &[(String, String)], name: &str) -> Option<String> {
    form.iter().find(|(found, value)| found == name && !value.is_empty()).map(|(_, value)| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_page_has_the_places_that_are_filled() {
        for mark in [FORM_MARK, LANGUAGE_MARK, TITLE_MARK] {
            assert_eq!(LOGIN_PAGE.matches(mark).count(), 1, "{mark}");
        }
    }
}
