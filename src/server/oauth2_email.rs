//! The page that asks for an address, for an app that wants one (`email = "ask"`, `"required"`).

use super::oauth2::{OAuth2, leads_to};
use super::pages::{self, Email, in_popup};
use crate::oidc::{LONGEST_EMAIL, Question, Step};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

/// What somebody typed; nothing, where they go on without.
pub async fn given(State(oauth2): State<Arc<OAuth2>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let form = match oauth2.own_form(headers, body).await {
        Ok(form) => form,
        Err(problem) => return problem.into_response(),
    };
    let Some((id, flow)) = form.get("request").zip(oauth2.sign_in.cookies.flow(headers)) else {
        return oauth2.show(Step::Gone, headers);
    };
    let typed = if form.get("without").is_some() { "" } else { form.get("email").unwrap_or_default() };
    let signed_in = oauth2.sign_in.session(headers).await;
    let step = oauth2.provider.email_given(id, typed, signed_in.as_ref(), &flow.fingerprint).await;
    oauth2.shown(step, headers)
}

impl OAuth2 {
    /// `typed`: what is in the field.
    pub fn ask_for_email(&self, question: &Question, typed: &str, wrong: bool, headers: &HeaderMap) -> Response {
        let page = self.page(headers, question.locale.as_deref());
        let email = Email {
            page,
            app: &question.client_name,
            host: &question.client_host,
            typed,
            wrong: wrong.then_some(page.words.pages.email_wrong.as_str()),
            required: question.email_required,
            longest: LONGEST_EMAIL,
            action: &self.at("email"),
            decline: &self.at("answer"),
            request: &question.request,
        };
        let status = if wrong { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        in_popup(leads_to(pages::answer(status, &email), Some(&question.redirect_uri)), question.is_popup)
    }
}
