//! One JSON page: what no proxy can break, because it is an ordinary answer.

use super::pump::count_success;
use crate::base::limits::LONG_POLL_WAIT;
use crate::base::tasks::Tasks;
use crate::login::{Drawing, Gone, LogReader, Login, Page, Position};
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
    drawing: Drawing,
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
    count_success(&page, "page");
    Ok(answer(login, &page, asked, drawing, key))
}

/// `{"login":ID,"events":[…],"next":POSITION,"asked":MS,"sent":MS}`: by the last two a browser knows what the line can do.
fn answer(login: &Login, page: &Page, asked: i64, drawing: Drawing, key: Option<&str>) -> Response {
    let mut response = Response::new(Body::from(body(login, page, asked, drawing, key)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, NOT_STORED);
    headers.insert(ACCEL.0, ACCEL.1);
    response
}

fn body(login: &Login, page: &Page, asked: i64, drawing: Drawing, key: Option<&str>) -> Bytes {
    let mut body = BytesMut::with_capacity(256);
    body.put_slice(format!("{{\"login\":\"{}\",\"events\":[", login.id.text()).as_bytes());
    for (index, event) in page.events.iter().enumerate() {
        if index > 0 {
            body.put_u8(b',');
        }
        body.put_slice(event.json(drawing).as_bytes());
    }
    let times = format!("],\"next\":\"{}\",\"asked\":{asked},\"sent\":{}", page.next, login.unix_ms());
    body.put_slice(times.as_bytes());
    if let Some(key) = key {
        body.put_slice(format!(",\"key\":\"{key}\"").as_bytes());
    }
    body.put_u8(b'}');
    body.freeze()
}

#[cfg(test)]
mod tests {
    use super::super::ws::Heartbeat;
    use super::super::ws::tests::{World, world};
    use super::*;
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use tokio::time::Instant;

    /// The events of a page, and how long it took.
    async fn asked(world: &World, reader: &LogReader, after: Option<Position>, wait: u64) -> (Vec<String>, f32) {
        let began = Instant::now();
        let answer =
            serve(reader, after, Duration::from_secs(wait), Drawing::Svg, None, &world.tasks).await.ok().unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let page: Value = serde_json::from_slice(&body).unwrap();
        let events = page["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap().to_owned());
        (events.collect(), began.elapsed().as_secs_f32())
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_waits_only_for_what_is_not_there_yet() {
        let world = world(15);
        let (login, _socket) = world.resumed(None, Heartbeat::Hidden).await;
        let reader = login.attach(crate::login::Attach::Resume).unwrap();
        let all = login.log.read(None).unwrap();
        let (events, took) = asked(&world, &reader, None, 9).await;
        assert_eq!((events.len(), took), (all.events.len(), 0.0), "what is there comes at once");
        let new = Some(all.next);
        assert_eq!(asked(&world, &reader, new, 0).await, (vec![], 0.0), "whoever does not want to wait");
        assert_eq!(asked(&world, &reader, new, 4).await, (vec![], 4.0));
        let (events, took) = asked(&world, &reader, new, 86_400).await;
        assert!(LONG_POLL_WAIT.as_secs_f32() < 15.0 && took <= LONG_POLL_WAIT.as_secs_f32(), "{took}");
        let (events, took) = match events.is_empty() {
            true => asked(&world, &reader, new, 9).await,
            false => (events, took),
        };
        assert!(!events.is_empty() && took < 9.0, "{events:?} came after {took} s");
        let end = login.log.read(None).unwrap();
        assert!(end.sealed);
        assert_eq!(asked(&world, &reader, Some(end.next), 9).await, (vec![], 0.0), "nothing more will come");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stops_answers_who_waits() {
        let world = world(1000);
        let (login, _socket) = world.resumed(None, Heartbeat::Hidden).await;
        let reader = login.attach(crate::login::Attach::Resume).unwrap();
        let new = Some(login.log.read(None).unwrap().next);
        let stop = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            world.tasks.stopped(tokio::time::sleep(Duration::from_secs(60))).await;
        };
        let ((_, took), _) = tokio::join!(asked(&world, &reader, new, 9), stop);
        assert!((2.0..2.5).contains(&took), "{took}");
    }
}
