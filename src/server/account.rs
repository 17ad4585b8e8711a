//! `/account`: who is signed in, and the way out. Where a login lands that does not say where to go.

use super::pages::{self, Account, Notice};
use super::sign_in::SignIn;
use crate::session::SignedIn;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

pub async fn account(State(sign_in): State<Arc<SignIn>>, headers: HeaderMap) -> Response {
    let page = sign_in.page(&headers);
    let Some(SignedIn { session, .. }) = sign_in.session(&headers).await else {
        let words = page.words;
        let notice = Notice {
            page,
            title: &words.pages.signed_out,
            message: &words.pages.signed_out_text,
            names_site: true,
            failed: false,
            again: Some(&words.shared.button),
        };
        return pages::answer(StatusCode::OK, &notice);
    };
    let initial: String = session.name.trim().chars().take(1).flat_map(char::to_uppercase).collect();
    let account = Account { page, initial: &initial, name: &session.name, phone: session.phone.as_deref() };
    pages::answer(StatusCode::OK, &account)
}
