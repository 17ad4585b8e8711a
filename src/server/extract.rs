//! What a request of a login asks for: its path, its query, its body, its headers, read strictly; what cannot be read is
//! answered with a problem body like everything else.

use super::refusals::login_not_found;
use super::timeouts::BodyTooSlow;
use crate::base::limits::{LONG_POLL_WAIT, RARE_HEARTBEAT, REQUEST_BODY, TRIAL};
use crate::base::problem::{Problem, ProblemCode};
use crate::login::{Drawing, Position};
use crate::signin::BrowserInfo;
use crate::transport::ws::{Heartbeat, Wish};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, Path, Query};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Uri};
use http_body_util::LengthLimitError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::time::Duration;

/// The login named in the path, as text; whether there is such a login is another question.
pub struct LoginPath(pub String);

#[derive(Deserialize)]
struct PathParts {
    login: String,
}

impl<S: Send + Sync> FromRequestParts<S> for LoginPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<PathParts>::from_request_parts(parts, state).await;
        path.map(|Path(path)| Self(path.login)).map_err(|_| login_not_found())
    }
}

/// A query string.
pub struct StrictQuery<Q>(pub Q);

impl<Q: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for StrictQuery<Q> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<Q>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|error| Problem::invalid(error.body_text()))
    }
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// `after=` in the query; else what an EventSource says it has seen.
pub fn position(query: &EventsQuery, headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let text = match (&query.after, headers.get(LAST_EVENT_ID)) {
        // An EventSource keeps the URL of its first connection: what it has seen since then is in the header.
        (_, Some(seen)) if !seen.is_empty() => String::from_utf8_lossy(seen.as_bytes()).into_owned(),
        (Some(after), _) if !after.is_empty() => after.clone(),
        _ => return Ok(None),
    };
    Position::parse(&text).map(Some).ok_or_else(|| {
        Problem::new(ProblemCode::PositionInvalid, "A position is the id of the last event seen, such as 0a1b2c3d-4.")
    })
}

pub fn seconds(text: Option<&str>) -> Result<Duration, Problem> {
    let Some(text) = text else { return Ok(Duration::ZERO) };
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    let wait = seconds.map(|seconds| Duration::from_secs_f64(seconds).min(LONG_POLL_WAIT));
    wait.ok_or_else(|| Problem::invalid("wait must be a number of seconds, at most 10"))
}

/// What the address of a WebSocket that begins says of the stream's form; `beat` is what pages of before say.
pub fn wish_of(uri: &Uri) -> Result<Wish, Problem> {
    let (mut beat, mut picture) = (None, None);
    for (key, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match &*key {
            "heartbeat" | "beat" => beat = Some(value),
            "drawing" => picture = Some(value),
            _ => {}
        }
    }
    Ok(Wish { heartbeat: heartbeat(beat.as_deref())?, drawing: drawing(picture.as_deref())? })
}

/// `heartbeat=`: nothing or `0`, `1`, or seconds.
pub fn heartbeat(text: Option<&str>) -> Result<Heartbeat, Problem> {
    match text {
        None | Some("" | "0" | "false") => Ok(Heartbeat::Hidden),
        Some("1" | "true") => Ok(Heartbeat::Judged),
        Some(text) => {
            let seconds = text.parse().ok().map(Duration::from_secs);
            let period = seconds.filter(|period| (RARE_HEARTBEAT.0..=RARE_HEARTBEAT.1).contains(period));
            period
                .map(Heartbeat::Every)
                .ok_or_else(|| Problem::invalid("heartbeat must be 1, or a number of seconds from 2 to 25"))
        }
    }
}

/// `drawing=`: `svg`, which is what nothing means, or `png`.
pub fn drawing(text: Option<&str>) -> Result<Drawing, Problem> {
    match text {
        None | Some("" | "svg") => Ok(Drawing::Svg),
        Some("png") => Ok(Drawing::Png),
        Some(_) => Err(Problem::invalid("drawing must be svg or png")),
    }
}

/// Of the trial of a stream, in milliseconds.
pub fn trial_length(text: &str) -> Result<Duration, Problem> {
    let length = text.parse().map(Duration::from_millis);
    length
        .map(|length| length.min(TRIAL))
        .map_err(|_| Problem::invalid("trial must be a number of milliseconds, at most 2000"))
}

pub async fn json_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(ProblemCode::ContentType, "Send the body as Content-Type: application/json."));
    }
    body_bytes(body).await
}

/// The whole body, if it is not too large and there in time.
pub async fn body_bytes(body: Body) -> Result<Bytes, Problem> {
    body_up_to(body, REQUEST_BODY).await
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads a body")]
pub async fn body_up_to(body: Body, most: usize) -> Result<Bytes, Problem> {
    to_bytes(body, most).await.map_err(|error| {
        let mut cause: Option<&dyn Error> = Some(&error);
        while let Some(error) = cause {
            if error.is::<BodyTooSlow>() {
                return Problem::new(ProblemCode::BodyTimeout, "The body took too long.");
            }
            if error.is::<LengthLimitError>() {
                return Problem::new(ProblemCode::BodyTooLarge, format!("At most {most} bytes are read."));
            }
            cause = error.source();
        }
        Problem::invalid("the body broke off")
    })
}

pub fn wants_stream(headers: &HeaderMap) -> bool {
    holds(headers, ACCEPT, "text/event-stream")
}

pub fn prefers_json(headers: &HeaderMap) -> bool {
    holds(headers, ACCEPT, "application/json")
}

/// The browser, as its person would call it; for a list of their sessions.
pub fn browser_of(headers: &HeaderMap) -> String {
    <[_; 2]>::from(browser_and_system(headers)).into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The same for MAX, which shows it under "devices".
pub fn browser_info(headers: &HeaderMap) -> BrowserInfo {
    let (browser, system) = browser_and_system(headers);
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).filter(|agent| agent.len() <= 512);
    BrowserInfo {
        header_user_agent: agent.map(str::to_owned),
        device_name: browser.map(str::to_owned),
        os_version: system.map(str::to_owned),
        ..BrowserInfo::default()
    }
}

fn browser_and_system(headers: &HeaderMap) -> (Option<&'static str>, Option<&'static str>) {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // The first that is found: each pretends to be those below it.
    let named =
        |words: &[(&str, &'static str)]| words.iter().find(|(word, _)| agent.contains(word)).map(|(_, name)| *name);
    let browser = named(&[
        ("YaBrowser/", "Yandex Browser"),
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = named(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    (browser, system)
}

/// A person's browser that shows what it gets, not a program.
pub fn prefers_html(headers: &HeaderMap) -> bool {
    holds(headers, ACCEPT, "text/html")
}

/// Whether a person would see the answer: what the browser says of it counts more than what would be taken, since a script may
/// take anything.
pub fn navigates(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").map_or_else(|| prefers_html(headers), |mode| mode == "navigate")
}

pub fn holds(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.to_ascii_lowercase().contains(word))
}

/// Whether an answer may be sent in `coding` (RFC 9110 §12.5.3): named, or meant by `*`, and not with a weight of 0.
pub fn accepts_encoding(headers: &HeaderMap, coding: &str) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut any = false;
    for one in values.flat_map(|value| value.split(',')) {
        let mut parts = one.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let wanted = weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0));
        if name.eq_ignore_ascii_case(coding) {
            return wanted;
        }
        any |= name == "*" && wanted;
    }
    any
}

/// What failed in a browser, told with its next request: `ws.hang,sse.http-502`. Only known words become labels.
pub fn count_failures(failed: &str) {
    const TRANSPORTS: [&str; 5] = ["ws", "sse", "poll", "post", "page"];
    const REASONS: [&str; 9] = ["hang", "late", "silent", "frozen", "closed", "refused", "http", "failed", "ended"];
    for one in failed.split(',').take(20) {
        let Some((transport, why)) = one.split_once('.') else { continue };
        let Some(transport) = TRANSPORTS.iter().find(|known| **known == transport) else { continue };
        let why = REASONS.iter().find(|known| why.starts_with(**known)).unwrap_or(&"other");
        metrics::counter!("max_auth_client_failures_total", "transport" => *transport, "why" => *why).increment(1);
    }
}

/// Phones leave the page to approve in the MAX app.
pub fn is_phone(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).is_some_and(|agent| agent.contains("Mobi"))
}

#[derive(Deserialize)]
pub struct EventsQuery {
    pub after: Option<String>,
    pub wait: Option<String>,
    pub once: Option<String>,
    #[serde(alias = "insist")]
    pub padded: Option<String>,
    pub failed: Option<String>,
    #[serde(alias = "beat")]
    pub heartbeat: Option<String>,
    pub drawing: Option<String>,
    pub wake: Option<String>,
    pub trial: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Counted;

    #[test]
    fn an_encoding_is_accepted_unless_its_weight_is_none() {
        for (value, accepted) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("deflate, gzip;q=0", false),
            ("gzip;q=0.000, *", false),
            ("*", true),
            ("*;q=0", false),
            ("x-gzip-like", false),
            ("identity", false),
            ("gzip;q=broken", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().unwrap())]);
            assert_eq!(accepts_encoding(&headers, "gzip"), accepted, "{value:?}");
        }
        assert!(!accepts_encoding(&HeaderMap::new(), "gzip"));
    }

    #[test]
    fn a_failure_of_a_browser_is_counted_by_words_that_are_known() {
        let counted = Counted::listen();
        count_failures("ws.hang,sse.http-502,ws.hang,poll.http,post.what,xyz.hang,ws,,WS.hang,sse.");
        let of = |transport: &str, why: &str| {
            counted.of(&format!("max_auth_client_failures_total{{transport=\"{transport}\",why=\"{why}\"}}"))
        };
        for (transport, why, count) in
            [("ws", "hang", 2), ("sse", "http", 1), ("sse", "other", 1), ("poll", "http", 1), ("post", "other", 1)]
        {
            assert_eq!(of(transport, why), count, "{transport} {why}");
        }
        assert_eq!((of("xyz", "hang"), of("ws", "other")), (0, 0));
        count_failures(&"ws.late,".repeat(50));
        assert_eq!(of("ws", "late"), 20, "whoever sends many is not heard out");
    }

    #[test]
    fn a_browser_is_called_as_its_person_calls_it() {
        let called = |agent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, agent.parse().unwrap());
            (browser_of(&headers), is_phone(&headers))
        };
        for (agent, name, phone) in [
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/120.0 YaBrowser/24.1 Safari/537.36",
                "Yandex Browser, Windows",
                false,
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36 Edg/120.0",
                "Edge, Linux",
                false,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
                "Chrome, Android",
                true,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Mobile/15E148 Safari/604.1",
                "Safari, iPhone",
                true,
            ),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Gecko/20100101 Firefox/120.0", "Firefox, macOS", false),
            ("curl/8.0 Linux", "Linux", false),
            ("curl/8.0", "", false),
        ] {
            assert_eq!(called(agent), (name.to_owned(), phone), "{agent}");
        }
        assert_eq!((browser_of(&HeaderMap::new()), is_phone(&HeaderMap::new())), (String::new(), false));
    }
}
