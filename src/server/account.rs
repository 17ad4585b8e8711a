//! `/account`: who is signed in, and the way out. Where a login lands that does not say where to go.

use super::html::{self, Page, escaped};
use super::sign_in::SignIn;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

pub async fn account(State(sign_in): State<Arc<SignIn>>, headers: HeaderMap) -> Response {
    let page = Page { base: &sign_in.base_path, locale: html::language(&headers), site: &sign_in.site };
    let site = escaped(&sign_in.site);
    let base = &sign_in.base_path;
    let Some(session) = sign_in.session(&headers) else {
        let (title, say, again) = page.pick(
            ("Вы не вошли", "Здесь показывают, кто вошёл на", "Войти через MAX"),
            ("You are not signed in", "This page shows who is signed in to", "Sign in with MAX"),
        );
        let body = format!(
            "<h1>{title}</h1><p class=\"say\">{say} <b>{site}</b>.</p>\
             <p><a class=\"primary\" href=\"{base}/login\">{again}</a></p>"
        );
        return html::answer(StatusCode::OK, page.document(title, "", &body));
    };
    let (title, to, go, out) = page.pick(
        ("Вы вошли", "Вход через MAX на", "Перейти на сайт", "Выйти"),
        ("You are signed in", "Signed in with MAX to", "Go to the site", "Sign out"),
    );
    let initial: String = session.name.trim().chars().take(1).flat_map(char::to_uppercase).collect();
    let phone = session.phone.as_deref().map(|phone| format!("<p class=\"fact\">{}</p>", escaped(phone)));
    let body = format!(
        "<div class=\"face\" aria-hidden=\"true\">{}</div><h1>{title}</h1><p class=\"who\">{}</p>{}\
         <p class=\"site\">{to} <b>{site}</b></p><p><a class=\"primary\" href=\"/\">{go}</a></p>\
         <form method=\"post\" action=\"{base}/logout\"><button class=\"quiet\">{out}</button></form>",
        escaped(&initial),
        escaped(&session.name),
        phone.unwrap_or_default(),
    );
    html::answer(StatusCode::OK, page.document(title, "", &body))
}
