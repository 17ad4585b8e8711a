//! `/account`: who is signed in, where, to which apps, and the ways out. Where a login lands that does not say where to go.

use super::extract::body_up_to;
use super::pages::{self, Account, EmailRow, Notice, Row, see_other};
use super::refusals::store_unavailable;
use super::sign_in::SignIn;
use crate::base::limits::REQUEST_BODY;
use crate::oidc::{LONGEST_EMAIL, Params};
use crate::session::SignedIn;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

pub async fn account(State(sign_in): State<Arc<SignIn>>, headers: HeaderMap) -> Response {
    match sign_in.session(&headers).await {
        Some(signed_in) => shown(&sign_in, &signed_in, None, &headers).await,
        None => signed_out(&sign_in, &headers),
    }
}

/// `client`, `email`: another address for an app, or none.
pub async fn email(State(sign_in): State<Arc<SignIn>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    if let Err(problem) = sign_in.origins.check_request(headers) {
        return problem.into_response();
    }
    let form = match body_up_to(body, REQUEST_BODY).await {
        Ok(form) => Params::parse(&form),
        Err(problem) => return problem.into_response(),
    };
    let Some(signed_in) = sign_in.session(headers).await else { return signed_out(&sign_in, headers) };
    let (client, typed) = (form.get("client").unwrap_or_default(), form.get("email").unwrap_or_default());
    match sign_in.provider.change_email(&signed_in, client, typed).await {
        Ok(Ok(())) => see_other(&format!("{}/account", sign_in.base_path)),
        Ok(Err(_)) => shown(&sign_in, &signed_in, Some((client, typed)), headers).await,
        Err(error) => store_unavailable(&error).into_response(),
    }
}

fn signed_out(sign_in: &SignIn, headers: &HeaderMap) -> Response {
    let page = sign_in.page(headers);
    let words = page.words;
    let notice = Notice {
        page,
        title: &words.pages.signed_out,
        message: &words.pages.signed_out_text,
        names_site: true,
        failed: false,
        again: Some((&page.login(), &words.shared.button)),
    };
    pages::answer(StatusCode::OK, &notice)
}

/// `wrong`: what was typed for an app and is no address.
async fn shown(sign_in: &SignIn, signed_in: &SignedIn, wrong: Option<(&str, &str)>, headers: &HeaderMap) -> Response {
    let page = sign_in.page(headers);
    let words = page.words;
    let provider = &sign_in.provider;
    // While the store is out of reach the page says less, and the ways out are there.
    let (places, apps, emails) =
        tokio::join!(sign_in.sessions.places(signed_in), provider.apps_of(signed_in), provider.emails_of(signed_in));
    let since = |unix_ms: i64| format!("{} {}", words.pages.since, time_of(unix_ms));
    let places = places.unwrap_or_default().into_iter().map(|place| {
        let here = place.id == signed_in.id;
        let name = if place.browser.is_empty() { words.pages.some_browser.clone() } else { place.browser };
        Row { name, more: if here { words.pages.this_browser.clone() } else { since(place.began) } }
    });
    let apps = apps.unwrap_or_default().into_iter().map(|app| Row { more: since(app.since), name: app.name });
    let emails = emails.unwrap_or_default().into_iter().map(|app| {
        let wrong = wrong.filter(|(client, _)| *client == app.client).map(|(_, typed)| typed.to_owned());
        EmailRow {
            wrong: wrong.is_some(),
            email: wrong.or(app.email).unwrap_or_default(),
            client: app.client,
            name: app.name,
        }
    });
    let session = &signed_in.session;
    let by = words.shared.ways.get(session.driver.name());
    let initial: String = session.name.trim().chars().take(1).flat_map(char::to_uppercase).collect();
    let account = Account {
        page,
        initial: &initial,
        name: &session.name,
        phone: session.phone.as_deref(),
        by: by.map(|[name, _]| name.as_str()),
        places: &places.collect::<Vec<_>>(),
        apps: &apps.collect::<Vec<_>>(),
        emails: &emails.collect::<Vec<_>>(),
        longest_email: LONGEST_EMAIL,
    };
    pages::answer(if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &account)
}

/// `28.11.2026 19:40 UTC`
fn time_of(unix_ms: i64) -> String {
    let minutes = unix_ms.div_euclid(60_000);
    let (hour, minute) = (minutes.rem_euclid(1440) / 60, minutes.rem_euclid(60));
    let (mut year, mut day) = (1970, minutes.div_euclid(1440));
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    let months = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= months[month] {
        day -= months[month];
        month += 1;
    }
    format!("{:02}.{:02}.{year} {hour:02}:{minute:02} UTC", day + 1, month + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_by_the_calendar() {
        for (seconds, said) in [
            (0, "01.01.1970 00:00 UTC"),
            (951_782_399, "28.02.2000 23:59 UTC"),
            (951_782_400, "29.02.2000 00:00 UTC"),
            (1_795_897_230, "28.11.2026 20:20 UTC"),
            (4_107_542_400, "01.03.2100 00:00 UTC"),
        ] {
            assert_eq!(time_of(seconds * 1000), said);
        }
    }
}
