//! One JSON page: what no proxy can break, because it is an ordinary answer.

use crate::base::limits::LONG_POLL_WAIT;
use crate::base::tasks::Tasks;
use crate::login::{Gone, LogReader, Login, Page, Position};
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use std::time::Duration;
use tokio::time::timeout;

/// Tells nginx, and whoever follows its convention, to pass on bytes as they come.
pub const ACCEL: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// Not stored, not rewritten, not compressed on the way.
pub const NOT_STORED: HeaderValue = HeaderValue::from_static("no-store, no-transform");

/// The page after a position: at once if there is something, else when there is, at most after `wait`. `key`: told to the
/// page that begins.
pub async fn serve(
    reader: &LogReader,
    after: Option<Position>,
    wait: Duration,
    key: Option<&str>,
    tasks: &Tasks,
) -> Result<Response, Gone> {
    let login = reader.login();
    let asked = login.unix_ms();
    let mut page = login.log.read(after)?;
    if page.events.is_empty() && !page.sealed && !wait.is_zero() {
        let follow = timeout(wait.min(LONG_POLL_WAIT), login.log.follow(page.next));
        page = tokio::select! {
            followed = follow => followed.unwrap_or(Ok(page))?,
            () = tasks.stopping() => page,
        };
    }
    Ok(answer(login, &page, asked, key))
}

/// `{"login":ID,"events":[…],"next":POSITION,"asked":MS,"sent":MS}`: by the last two a browser knows what the line can do.
fn answer(login: &Login, page: &Page, asked: i64, key: Option<&str>) -> Response {
    let mut response = Response::new(Body::from(body(login, page, asked, key)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, NOT_STORED);
    headers.insert(ACCEL.0, ACCEL.1);
    response
}

fn body(login: &Login, page: &Page, asked: i64, key: Option<&str>) -> Bytes {
    let mut body = BytesMut::with_capacity(256);
    body.put_slice(format!("{{\"login\":\"{}\",\"events\":[", login.id.text()).as_bytes());
    for (index, event) in page.events.iter().enumerate() {
        if index > 0 {
            body.put_u8(b',');
        }
        body.put_slice(event.json().as_bytes());
    }
    let times = format!("],\"next\":\"{}\",\"asked\":{asked},\"sent\":{}", page.next, login.unix_ms());
    body.put_slice(times.as_bytes());
    if let Some(key) = key {
        body.put_slice(format!(",\"key\":\"{key}\"").as_bytes());
    }
    body.put_u8(b'}');
    body.freeze()
}
