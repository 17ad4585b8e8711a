//! What went wrong, said to people: where a browser navigates, a problem body becomes a page with what happened and one thing to
//! do. Programs get the body.

use super::extract::navigates;
use super::pages::{self, Notice};
use super::sign_in::SignIn;
use crate::base::problem::ProblemCode;
use crate::texts::Words;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{ACCEPT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http::{HeaderValue, Method};
use std::sync::Arc;

/// Around the routes that people open.
pub async fn for_people(State(sign_in): State<Arc<SignIn>>, request: Request, next: Next) -> Response {
    if !navigates(request.headers()) {
        return next.run(request).await;
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let language = request.headers().get(ACCEPT_LANGUAGE).cloned();
    let response = next.run(request).await;
    match response.extensions().get::<ProblemCode>() {
        Some(code) => page(&sign_in, *code, reads, language, &response),
        None => response,
    }
}

fn page(
    sign_in: &SignIn,
    code: ProblemCode,
    reads: bool,
    language: Option<HeaderValue>,
    problem: &Response,
) -> Response {
    let headers = HeaderMap::from_iter(language.map(|language| (ACCEPT_LANGUAGE, language)));
    let page = sign_in.page(&headers);
    let wait = problem.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let (title, message) = said(code, reads, wait, page.words);
    // What was sent must not be sent again by a link. An empty address is the one that was asked for.
    let again = reads.then_some(("", page.words.shared.retry.as_str()));
    let notice = Notice { page, title, message: &message, names_site: false, failed: true, again };
    let mut response = pages::answer(problem.status(), &notice);
    let ours = [CONTENT_TYPE, CONTENT_LENGTH];
    for (name, value) in problem.headers().iter().filter(|(name, _)| !ours.contains(name)) {
        if !response.headers().contains_key(name) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

/// A title, what happened, and what to do.
fn said<'a>(code: ProblemCode, reads: bool, wait: Option<&str>, words: &'a Words) -> (&'a str, String) {
    let words = &words.pages;
    let (title, what) = match code {
        ProblemCode::Busy | ProblemCode::StoreFull | ProblemCode::Internal => {
            (&words.later_title, words.later_text.clone())
        }
        ProblemCode::RateLimited => {
            let wait = wait.map(|seconds| format!(" {} {seconds} {}", words.try_in, words.seconds));
            (&words.too_many_title, words.too_many_text.clone() + &wait.unwrap_or_default())
        }
        ProblemCode::LogoutFailed => (&words.sign_out_failed_title, words.sign_out_failed_text.clone()),
        ProblemCode::OriginRefused => (&words.wrong_title, words.other_site_text.clone()),
        _ => (&words.wrong_title, words.wrong_text.clone()),
    };
    (title, if reads { what } else { format!("{what} {}", words.go_back) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::{Locale, Texts};

    #[test]
    fn each_problem_says_what_happened_and_what_to_do() {
        let texts = Texts::ours();
        let words = texts.of(Locale::En);
        for (code, reads, wait, title, message) in [
            (ProblemCode::Busy, true, Some("3"), "Signing in does not work right now", words.pages.later_text.clone()),
            (ProblemCode::StoreFull, true, None, "Signing in does not work right now", words.pages.later_text.clone()),
            (
                ProblemCode::RateLimited,
                true,
                Some("6"),
                "Too many attempts",
                "Too many sign-ins were begun from your address. Try again in 6 s.".to_owned(),
            ),
            (
                ProblemCode::RateLimited,
                true,
                None,
                "Too many attempts",
                "Too many sign-ins were begun from your address.".to_owned(),
            ),
            (
                ProblemCode::LogoutFailed,
                false,
                None,
                "Not signed out",
                "You are still signed in. Go back to the page before and try again.".to_owned(),
            ),
            (ProblemCode::OriginRefused, true, None, "That does not work", words.pages.other_site_text.clone()),
            (ProblemCode::BodyTooLarge, true, None, "That does not work", words.pages.wrong_text.clone()),
        ] {
            assert_eq!(said(code, reads, wait, words), (title, message), "{code:?}");
        }
    }
}
