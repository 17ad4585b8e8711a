//! `/checklist` of the operator's listener: what a new server still lacks, and, at a press, whether it really works: the doctor from
//! outside, MAX, in one page without a script.

use super::extract::prefers_html;
use super::pages;
use crate::base::clock::Clock;
use crate::base::problem::{Problem, ProblemCode};
use crate::config::{Config, StoreKind};
use crate::login::Registry;
use crate::texts::Locale;
use crate::texts::checklist as words;
use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::future::BoxFuture;
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderMap, HeaderValue, StatusCode};
use std::sync::{Arc, Mutex, PoisonError};

/// What looks at the site from outside; `app` puts it in, since the doctor is a neighbour of this module.
pub trait Inspector: Send + Sync {
    /// Within half a minute.
    fn inspect(&self) -> BoxFuture<'_, Inspection>;
}

/// What was found, in both languages.
#[derive(Clone, Default)]
pub struct Inspection {
    /// Whether the best transport reaches a visitor, and nothing is wrong with the way.
    pub path: Verdict,
    /// Whether MAX gives codes.
    pub max: Verdict,
    /// The doctor's report, in English and in Russian.
    pub report: (String, String),
}

/// Of one point.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Verdict {
    Fine,
    /// It works, or will not for everybody.
    Attention,
    Broken,
    #[default]
    Unknown,
}

pub struct Checklist {
    config: Arc<Config>,
    registry: Arc<Registry>,
    inspector: Arc<dyn Inspector>,
    clock: Clock,
    /// Held while one looks: a second press waits for nothing, and is shown what is there.
    looking: tokio::sync::Mutex<()>,
    last: Mutex<Option<(i64, Inspection)>>,
}

/// A line of the page.
struct Point {
    verdict: Verdict,
    title: &'static str,
    text: String,
    /// What to write, where.
    line: Option<String>,
}

#[derive(Template)]
#[template(path = "checklist.html")]
struct Shown<'a> {
    locale: Locale,
    title: &'static str,
    site: &'a str,
    points: Vec<Point>,
    press: &'static str,
    pressed: Option<(String, String)>,
    more: &'static str,
}

impl Point {
    /// Its class, its sign and its word.
    fn mark(&self, locale: Locale) -> (&'static str, &'static str, &'static str) {
        let (class, sign, word) = match self.verdict {
            Verdict::Fine => ("good", "✓", words::FINE),
            Verdict::Attention => ("attention", "!", words::ATTENTION),
            Verdict::Broken => ("bad", "✕", words::BROKEN),
            Verdict::Unknown => ("unknown", "?", words::UNKNOWN),
        };
        (class, sign, word.of(locale))
    }
}

impl Checklist {
    pub fn new(config: Arc<Config>, registry: Arc<Registry>, inspector: Arc<dyn Inspector>, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            config,
            registry,
            inspector,
            clock,
            looking: tokio::sync::Mutex::default(),
            last: Mutex::default(),
        })
    }

    pub fn router<S: Clone + Send + Sync + 'static>(self: Arc<Self>) -> Router<S> {
        Router::new().route("/checklist", get(show).post(look)).with_state(self)
    }

    fn last(&self) -> Option<(i64, Inspection)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn points(&self, locale: Locale, last: Option<&Inspection>) -> Vec<Point> {
        let mut points = vec![
            self.address(locale),
            self.path(locale, last),
            max(locale, last),
            self.store(locale),
            self.people(locale),
        ];
        let told = ["session.allow ", "server.public_url "];
        let others = self.config.weaknesses().into_iter().filter(|text| !told.iter().any(|key| text.starts_with(key)));
        points.extend(others.map(|text| Point {
            verdict: Verdict::Attention,
            title: words::WEAKER.of(locale),
            text,
            line: None,
        }));
        points
    }

    fn address(&self, locale: Locale) -> Point {
        let server = &self.config.server;
        let url = server.public_url.as_str().trim_end_matches('/');
        let local = matches!(server.public_url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let (verdict, text) = if !server.public_url_given {
            let text = words::NO_ADDRESS.of(locale);
            (Verdict::Broken, text)
        } else if server.public_url.scheme() != "https" && !local {
            (Verdict::Broken, words::READABLE.of(locale))
        } else {
            (Verdict::Fine, words::VISITORS_SEE.of(locale))
        };
        Point {
            verdict,
            title: words::ADDRESS.of(locale),
            text: format!("{text} {url}"),
            line: (verdict == Verdict::Broken).then(|| "[server]\npublic_url = \"https://example.ru\"".to_owned()),
        }
    }

    fn path(&self, locale: Locale, last: Option<&Inspection>) -> Point {
        let verdict = last.map_or(Verdict::Unknown, |last| last.path);
        let text = match verdict {
            Verdict::Fine => words::ARRIVES.of(locale),
            Verdict::Attention => words::ARRIVES_SOMEHOW.of(locale),
            Verdict::Broken => words::DOES_NOT_ARRIVE.of(locale),
            Verdict::Unknown => words::NOT_YET.of(locale),
        };
        Point { verdict, title: words::PATH.of(locale), text: text.to_owned(), line: None }
    }

    fn store(&self, locale: Locale) -> Point {
        let store = &self.config.store;
        let (verdict, text) = match store.kind {
            _ if !self.registry.store_answers() => (Verdict::Broken, words::STORE_AWAY.of(locale).to_owned()),
            StoreKind::Memory => (Verdict::Attention, words::IN_MEMORY.of(locale).to_owned()),
            StoreKind::File => (Verdict::Fine, format!("{} {}", words::FOLDER.of(locale), store.path.display())),
            StoreKind::Redis => (Verdict::Fine, words::SHARED.of(locale).to_owned()),
        };
        let line = (verdict == Verdict::Attention).then(|| "[store]\nkind = \"file\"".to_owned());
        Point { verdict, title: words::STORE.of(locale), text, line }
    }

    fn people(&self, locale: Locale) -> Point {
        let everybody = self.config.session.allow.is_everybody();
        let (verdict, text) = match everybody {
            true => (Verdict::Attention, words::EVERYBODY.of(locale)),
            false => (Verdict::Fine, words::NAMED.of(locale)),
        };
        Point {
            verdict,
            title: words::PEOPLE.of(locale),
            text: text.to_owned(),
            line: everybody.then(|| "[session]\nallow = [\"max:401041669\"]".to_owned()),
        }
    }
}

fn max(locale: Locale, last: Option<&Inspection>) -> Point {
    let verdict = last.map_or(Verdict::Unknown, |last| last.max);
    let text = match verdict {
        Verdict::Fine => words::GIVES_CODES.of(locale),
        Verdict::Attention => words::ONE_ANSWERS.of(locale),
        Verdict::Broken => words::GIVES_NONE.of(locale),
        Verdict::Unknown => words::NOT_YET.of(locale),
    };
    let line = (verdict == Verdict::Broken).then(|| "max-auth doctor --upstream".to_owned());
    Point { verdict, title: "MAX", text: text.to_owned(), line }
}

async fn show(State(checklist): State<Arc<Checklist>>, headers: HeaderMap) -> Response {
    let locale = pages::language(&headers);
    let last = checklist.last();
    let points = checklist.points(locale, last.as_ref().map(|(_, inspection)| inspection));
    let pressed = last.map(|(at, inspection)| {
        let report = match locale {
            Locale::Ru => inspection.report.1,
            Locale::En => inspection.report.0,
        };
        let seconds = (checklist.clock.unix_ms() - at).max(0) / 1000;
        let ago = format!("{} {seconds}", words::LOOKED.of(locale));
        (ago, report)
    });
    let page = Shown {
        locale,
        title: words::TITLE.of(locale),
        site: checklist.config.server.public_url.as_str().trim_end_matches('/'),
        points,
        press: words::PRESS.of(locale),
        pressed,
        more: words::HOW.of(locale),
    };
    let mut response = pages::answer(StatusCode::OK, &page);
    // Its style is within it: this listener has no files.
    response.headers_mut().insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
    );
    response
}

/// A press. Another site's page could press, too, in a browser on this machine: it is told no.
async fn look(State(checklist): State<Arc<Checklist>>, headers: HeaderMap) -> Response {
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Problem::new(ProblemCode::OriginRefused, "The page of this listener presses, no other.")
            .into_response();
    }
    if let Ok(_looking) = checklist.looking.try_lock() {
        let found = checklist.inspector.inspect().await;
        let at = checklist.clock.unix_ms();
        *checklist.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, found));
    }
    if prefers_html(&headers) { pages::see_other("/checklist") } else { StatusCode::NO_CONTENT.into_response() }
}
