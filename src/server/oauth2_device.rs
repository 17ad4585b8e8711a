//! The pages of RFC 8628: a code that a device shows is typed here, and somebody is asked whether the device is theirs.

use super::oauth2::OAuth2;
use super::pages::{self, Ask, DeviceCode, Notice, see_other};
use super::refusals::store_unavailable;
use crate::base::problem::{Problem, ProblemCode};
use crate::oidc::{DeviceAnswer, DeviceQuestion, Params};
use crate::store::Unavailable;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use std::net::SocketAddr;
use std::sync::Arc;

/// Asks for the code, or, where the address has it, whether the device is theirs.
pub async fn device(
    State(oauth2): State<Arc<OAuth2>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let query = Params::parse(request.uri().query().unwrap_or_default().as_bytes());
    let headers = request.headers();
    let Some(typed) = query.get("user_code") else { return oauth2.ask_for_code(headers, None) };
    // Codes are short: nobody may try many.
    if let Err(wait) = oauth2.logins.policy.admit_request(oauth2.logins.who(headers, peer)) {
        metrics::counter!("max_auth_rate_limited_total").increment(1);
        let detail = "Too many codes were tried from this address (login.starts_per_minute).";
        return Problem::later(ProblemCode::RateLimited, detail, wait).into_response();
    }
    oauth2.about_device(typed, headers).await.unwrap_or_else(|error| store_unavailable(&error).into_response())
}

/// What somebody answered.
pub async fn device_answer(State(oauth2): State<Arc<OAuth2>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let form = match oauth2.own_form(headers, body).await {
        Ok(form) => form,
        Err(problem) => return problem.into_response(),
    };
    let typed = form.get("request").unwrap_or_default();
    let answered = oauth2.device_answered(typed, form.get("answer") == Some("yes"), headers).await;
    answered.unwrap_or_else(|error| store_unavailable(&error).into_response())
}

impl OAuth2 {
    fn ask_for_code(&self, headers: &HeaderMap, wrong: Option<&str>) -> Response {
        let page = self.page(headers, None);
        let code = DeviceCode { page, action: &self.at("device"), wrong };
        pages::answer(if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &code)
    }

    async fn about_device(&self, typed: &str, headers: &HeaderMap) -> Result<Response, Unavailable> {
        let Some(question) = self.provider.device(typed).await? else {
            let page = self.page(headers, None);
            return Ok(self.ask_for_code(headers, Some(&page.words.pages.device_unknown)));
        };
        if self.sign_in.session(headers).await.is_none() {
            let here = format!("{}?user_code={}", self.at("device"), question.user_code);
            let to: String = url::form_urlencoded::byte_serialize(here.as_bytes()).collect();
            return Ok(see_other(&format!("{}/login?return_to={to}", self.sign_in.base_path)));
        }
        Ok(self.ask_about(&question, headers))
    }

    /// With the code and the place, so that whoever was talked into typing a stranger's code can see it (RFC 8628 §5.4).
    fn ask_about(&self, question: &DeviceQuestion, headers: &HeaderMap) -> Response {
        let page = self.page(headers, None);
        let words = &page.words.pages;
        let scopes: Vec<&str> =
            question.scope.iter().filter_map(|scope| super::oauth2::in_words(scope, page.words)).collect();
        let ask = Ask {
            page,
            title: &words.device_title,
            app: &question.client_name,
            host: &question.place,
            code: Some(&question.user_code),
            scopes: &scopes,
            action: &self.at("device/answer"),
            request: &question.user_code,
        };
        pages::answer(StatusCode::OK, &ask)
    }

    async fn device_answered(&self, typed: &str, agreed: bool, headers: &HeaderMap) -> Result<Response, Unavailable> {
        let Some(signed_in) = self.sign_in.session(headers).await else {
            return self.about_device(typed, headers).await;
        };
        let page = self.page(headers, None);
        let words = &page.words.pages;
        let (status, title, message) = match self.provider.decide_device(typed, agreed, &signed_in).await? {
            DeviceAnswer::Gone => return Ok(self.ask_for_code(headers, Some(&words.device_unknown))),
            DeviceAnswer::Denied => (StatusCode::FORBIDDEN, &words.denied_title, &words.denied_text),
            DeviceAnswer::Done if agreed => (StatusCode::OK, &words.device_done, &words.device_done_text),
            DeviceAnswer::Done => (StatusCode::OK, &words.device_refused, &words.device_refused_text),
        };
        let denied = status == StatusCode::FORBIDDEN;
        let notice = Notice { page, title, message, names_site: denied, failed: denied, again: None };
        Ok(pages::answer(status, &notice))
    }
}
