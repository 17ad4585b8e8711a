//! Signing in without JavaScript: a form that begins, and a page that refreshes itself from the code to the session.

use super::asked::{Asked, LoginPath, body_bytes};
use super::logins::Logins;
use crate::base::problem::Problem;
use crate::base::secret::Secret;
use crate::login::{Attach, Kind, Login};
use crate::transport::begin::{NotBegun, Wish};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

/// The ready page. Its noscript form has a hidden field that is filled here.
const LOGIN_PAGE: &str = include_str!("../../web/login.html");
const RETURN_TO_MARK: &str = "<!--return_to-->";

/// Between refreshes, in seconds: as often as MAX is asked.
const REFRESH: u32 = 4;

#[derive(Deserialize)]
pub struct LoginQuery {
    return_to: Option<String>,
}

/// `GET /login`
pub async fn login_page(Asked(query): Asked<LoginQuery>) -> Response {
    let field = match &query.return_to {
        Some(place) => format!("<input type=\"hidden\" name=\"return_to\" value=\"{}\">", escaped(place)),
        None => String::new(),
    };
    html(StatusCode::OK, LOGIN_PAGE.replace(RETURN_TO_MARK, &field))
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
    let wish = Wish::without_script(field(&form, "return_to"));
    let flow = logins.cookies.flow_or_new(&parts.headers, &logins.rng);
    let login = match logins.begin_plain(wish, &parts.headers, peer, &flow.fingerprint) {
        Ok(login) => login,
        Err(why) => return not_begun(&logins, &why),
    };
    let mut response = see_other(&format!("{}/{}/wait", logins.base_path, login.id.text()));
    if let Some(cookie) = logins.cookies.set_flow(&flow, logins.flow_life) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// `GET /{login}/wait`: the login as it stands, again and again.
pub async fn wait(State(logins): State<Arc<Logins>>, LoginPath(id): LoginPath, headers: HeaderMap) -> Response {
    let Ok(login) = logins.find(&id, &headers) else { return over(&logins, "", "") };
    let _reader = login.attach(Attach::NextPage);
    show(&logins, &login)
}

/// `POST /{login}/wait`: the cloud password.
pub async fn password(State(logins): State<Arc<Logins>>, LoginPath(id): LoginPath, request: Request) -> Response {
    if let Err(problem) = logins.origins.check_request(request.headers()) {
        return problem.into_response();
    }
    let Ok(login) = logins.find(&id, request.headers()) else { return over(&logins, "", "") };
    let form = match read_form(request.into_body()).await {
        Ok(form) => form,
        Err(problem) => return problem.into_response(),
    };
    if let Some(password) = field(&form, "password") {
        // Not asked for any more: the page says what is.
        let _ = login.password(Secret::new(password));
    }
    see_other(&format!("{}/{}/wait", logins.base_path, login.id.text()))
}

fn show(logins: &Logins, login: &Login) -> Response {
    let Ok(page) = login.log.read(None) else { return over(logins, "", "") };
    let data = |kind: Kind| -> Option<Value> {
        let event = page.events.iter().rev().find(|event| event.kind == kind)?;
        serde_json::from_slice(&event.data()).ok()
    };
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    if let Some(success) = data(Kind::Success) {
        return see_other(&text(&success, "redirect"));
    }
    if let Some(error) = data(Kind::Error) {
        return over(logins, &text(&error, "message"), "");
    }
    let message = data(Kind::Status).map(|status| text(&status, "message")).unwrap_or_default();
    let asks = login.wants_password();
    let body = if asks {
        let wrong = data(Kind::Password).is_some_and(|password| password["wrong"] == true);
        password_form(wrong)
    } else {
        code(&data(Kind::Qr), &message)
    };
    // A page with a form in it must not be taken away while somebody types.
    let refresh = if asks { String::new() } else { format!("<meta http-equiv=\"refresh\" content=\"{REFRESH}\">") };
    html(StatusCode::OK, document(logins, &refresh, &body))
}

fn code(qr: &Option<Value>, message: &str) -> String {
    let shown = qr.as_ref().map(|qr| {
        // Drawn by us from MAX's text: a path and numbers.
        let svg = qr["svg"].as_str().unwrap_or_default();
        let link = escaped(qr["qrLink"].as_str().unwrap_or_default());
        format!(
            "<div class=\"code\">{svg}</div>\
             <p><a href=\"{link}\" rel=\"noopener noreferrer\" target=\"_blank\">Открыть в MAX · Open in MAX</a></p>\
             <p class=\"note\">MAX → Профиль → Устройства → Войти по QR. Сканируйте, только если вы сами открыли эту \
             страницу. <span lang=\"en\">Scan only if you opened this page yourself.</span></p>"
        )
    });
    format!("<p><strong>{}</strong></p>{}", escaped(message), shown.unwrap_or_default())
}

fn password_form(wrong: bool) -> String {
    let hint = if wrong {
        "<p><strong>Пароль неверный. <span lang=\"en\">Wrong password.</span></strong></p>"
    } else {
        ""
    };
    format!(
        "{hint}<form method=\"post\"><p><label>Облачный пароль MAX · MAX cloud password<br>\
         <input type=\"password\" name=\"password\" autocomplete=\"off\" required maxlength=\"64\"></label></p>\
         <p class=\"note\">Пароль уйдёт в MAX один раз и нигде не останется. \
         <span lang=\"en\">It goes to MAX once and is kept nowhere.</span></p>\
         <p><button class=\"quiet\">Продолжить · Continue</button></p></form>"
    )
}

fn not_begun(logins: &Logins, why: &NotBegun) -> Response {
    let message = match why {
        NotBegun::ReturnTo => "Адрес возврата не относится к этому сайту. · The return address is not of this site.",
        NotBegun::RateLimited { .. } | NotBegun::Busy { .. } => {
            "Слишком много входов сейчас, попробуйте через минуту. · Too many sign-ins, try again in a minute."
        }
    };
    over(logins, message, "")
}

/// The end without a session, and the way to begin again.
fn over(logins: &Logins, message: &str, refresh: &str) -> Response {
    let message = if message.is_empty() {
        "Этого входа больше нет. · This sign-in is over."
    } else {
        message
    };
    let body = format!(
        "<p><strong>{}</strong></p><p><a href=\"{}/login\">Начать ещё раз · Start again</a></p>",
        escaped(message),
        logins.base_path
    );
    html(StatusCode::OK, document(logins, refresh, &body))
}

fn document(logins: &Logins, head: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"ru\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">{head}<title>Вход через MAX</title>\
         <link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"{}/page.css\"></head>\
         <body class=\"login\"><main><div class=\"sheet plain\"><h1>Вход через MAX</h1>{body}</div></main></body></html>",
        logins.base_path
    )
}

fn html(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // With "no-referrer" a browser sends its own form with "Origin: null".
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn see_other(place: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(place) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
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

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_place_for_the_return_address_and_nothing_gets_out_of_it() {
        assert!(LOGIN_PAGE.contains(RETURN_TO_MARK));
        assert_eq!(escaped("/\"><script>'&"), "/&quot;&gt;&lt;script&gt;&#39;&amp;");
    }
}
