//! One stream of a login's events, as a browser has it: over a WebSocket, server-sent events, or page after page.

use super::connect::{Connector, Http, broke};
use super::plan::{Target, Transport};
use crate::base::rng::Rng;
use crate::base::websocket::{self, ConnectFailed, Connected};
use axum::body::Body;
use futures_util::future::BoxFuture;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use std::collections::VecDeque;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use url::{Position, Url};

/// A drawn code is about 3 KiB (bytes).
const LARGEST_EVENT: usize = 64 * 1024;

/// A page holds what a log keeps at most (bytes).
const LARGEST_PAGE: usize = 512 * 1024;

/// What a browser says of itself, and for which request of an app it comes.
fn hello(request: Option<&str>) -> String {
    let mut hello = serde_json::json!({ "userAgent": { "deviceName": "Chrome", "osVersion": "Linux" } });
    if let Some(request) = request {
        hello["request"] = request.into();
    }
    hello.to_string()
}

/// The longest that a page may be held for, in seconds.
const PAGE_WAIT: u32 = 10;

/// Closes from this code on say that coming back is of no use.
const FINAL_CLOSE: u16 = 4400;

/// An event, without the drawing and the words.
#[derive(Debug, Deserialize)]
pub struct Event {
    pub id: Option<String>,
    pub event: String,
    #[serde(default)]
    pub data: Data,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Data {
    pub login: Option<String>,
    pub qr_link: Option<String>,
    pub code: Option<String>,
    pub redirect: Option<String>,
}

/// Why there are no more events.
#[derive(Debug, PartialEq)]
pub enum Ended {
    /// Coming back is of no use: the login, or the position, is no more.
    Gone(String),
    /// Come back.
    Broke(String),
}

impl Ended {
    pub fn why(self) -> String {
        match self {
            Self::Gone(why) | Self::Broke(why) => why,
        }
    }
}

/// Who begins a login.
#[derive(Default)]
pub struct Comer<'a> {
    /// The cookies it has already.
    pub cookie: &'a str,
    pub request: Option<&'a str>,
}

/// Where a login goes on.
pub struct Place<'a> {
    pub login: &'a str,
    pub after: Option<&'a str>,
    /// The cookie that says whose it is.
    pub cookie: &'a str,
}

pub enum Stream {
    Websocket(Box<WebSocketStream<TcpStream>>),
    Sse { body: Incoming, text: Vec<u8>, _connection: Http },
    Pages(Box<Pages>),
}

/// What opens streams.
pub struct Opener<'a> {
    pub transport: Transport,
    pub connector: &'a Connector,
    pub rng: &'a Rng,
}

impl Opener<'_> {
    /// Begins a login. Gives its cookie, too.
    pub async fn begin(&self, target: &Target, comer: &Comer<'_>) -> Result<(Stream, String), Ended> {
        let hello = hello(comer.request);
        if self.transport == Transport::Websocket {
            let Connected { mut socket, cookies } = self.websocket(target, &target.url, comer.cookie).await?;
            socket.send(Message::text(hello)).await.map_err(|error| Ended::Broke(broke(&error)))?;
            return Ok((Stream::Websocket(Box::new(socket)), cookies.join("; ")));
        }
        let mut connection = self.connector.http(target.address).await.map_err(Ended::Broke)?;
        let request = Request::post(&target.url[Position::BeforePath..]).header(CONTENT_TYPE, "application/json");
        let mut request = request.header(ACCEPT, self.accepts()).header(ORIGIN, &target.origin);
        if !comer.cookie.is_empty() {
            request = request.header(COOKIE, comer.cookie);
        }
        let answer = connection.ask(whole(request, hello)?).await.map_err(Ended::Broke)?;
        let set = answer.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let cookies: Vec<&str> = set.filter_map(|value| value.split(';').next()).collect();
        let cookie = cookies.join("; ");
        let stream = self.read(connection, answer, target, &cookie).await?;
        Ok((stream, cookie))
    }

    /// Goes on behind a position.
    pub async fn resume(&self, target: &Target, place: &Place<'_>) -> Result<Stream, Ended> {
        let url = events_url(&target.url, place);
        if self.transport == Transport::Websocket {
            let Connected { socket, .. } = self.websocket(target, &url, place.cookie).await?;
            return Ok(Stream::Websocket(Box::new(socket)));
        }
        let mut connection = self.connector.http(target.address).await.map_err(Ended::Broke)?;
        if self.transport == Transport::Poll {
            let ask = Ask { url, origin: target.origin.clone(), cookie: place.cookie.to_owned() };
            return Ok(Stream::Pages(Box::new(Pages::new(connection, ask, Page::default()))));
        }
        let request = get(&url, &target.origin, place.cookie, self.accepts())?;
        let answer = connection.ask(request).await.map_err(Ended::Broke)?;
        self.read(connection, answer, target, place.cookie).await
    }

    fn accepts(&self) -> &'static str {
        match self.transport {
            Transport::Sse => "text/event-stream",
            Transport::Websocket | Transport::Poll => "application/json",
        }
    }

    async fn websocket(&self, target: &Target, url: &Url, cookie: &str) -> Result<Connected<TcpStream>, Ended> {
        let stream = self.connector.tcp(target.address).await.map_err(|error| Ended::Broke(broke(&error)))?;
        let headers = [("Origin", target.origin.as_str()), ("Cookie", cookie)];
        let headers = if cookie.is_empty() { &headers[..1] } else { &headers[..] };
        websocket::connect(stream, url, headers, self.rng, LARGEST_EVENT).await.map_err(|error| match error {
            ConnectFailed::Status(status) => by_status(status, None),
            other => Ended::Broke(broke(&other)),
        })
    }

    /// Reads an answer's body as the transport has it.
    async fn read(
        &self,
        connection: Http,
        answer: Response<Incoming>,
        target: &Target,
        cookie: &str,
    ) -> Result<Stream, Ended> {
        if answer.status() == StatusCode::OK && self.transport == Transport::Sse {
            return Ok(Stream::Sse { body: answer.into_body(), text: Vec::new(), _connection: connection });
        }
        let page = page(answer).await?;
        let place = Place { login: page.login.as_deref().unwrap_or_default(), after: None, cookie };
        let ask =
            Ask { url: events_url(&target.url, &place), origin: target.origin.clone(), cookie: cookie.to_owned() };
        Ok(Stream::Pages(Box::new(Pages::new(connection, ask, page))))
    }
}

impl Stream {
    /// The next event. Nothing is lost when this is dropped before it completes.
    pub async fn next(&mut self) -> Result<Event, Ended> {
        match self {
            Self::Websocket(socket) => next_message(socket).await,
            Self::Sse { body, text, .. } => next_of_stream(body, text).await,
            Self::Pages(pages) => pages.next().await,
        }
    }
}

async fn next_message(socket: &mut WebSocketStream<TcpStream>) -> Result<Event, Ended> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return parse(text.as_bytes()),
            Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) >= FINAL_CLOSE => {
                return Err(Ended::Gone(frame.reason.to_string()));
            }
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map_or(1005, |frame| u16::from(frame.code));
                return Err(Ended::Broke(format!("close {code}")));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Ended::Broke(broke(&error))),
            None => return Err(Ended::Broke("connection: closed".to_owned())),
        }
    }
}

fn parse(text: &[u8]) -> Result<Event, Ended> {
    serde_json::from_slice(text).map_err(|_| Ended::Gone("not an event".to_owned()))
}

async fn next_of_stream(body: &mut Incoming, text: &mut Vec<u8>) -> Result<Event, Ended> {
    loop {
        if let Some(event) = cut_event(text) {
            return event;
        }
        if text.len() > LARGEST_EVENT {
            return Err(Ended::Gone("an event is too long".to_owned()));
        }
        match body.frame().await {
            Some(Ok(frame)) => text.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Some(Err(error)) => return Err(Ended::Broke(broke(&error))),
            None => return Err(Ended::Broke("the stream ended".to_owned())),
        }
    }
}

/// Takes the first event that is whole off a stream's text; comments and marks are none.
fn cut_event(text: &mut Vec<u8>) -> Option<Result<Event, Ended>> {
    while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
        let block: Vec<u8> = text.drain(..end + 2).collect();
        let block = String::from_utf8_lossy(&block);
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        if let (Some(event), Some(data)) = (field("event"), field("data")) {
            let data = serde_json::from_str(data).map_err(|_| Ended::Gone("not an event".to_owned()));
            let (id, event) = (field("id").map(str::to_owned), event.to_owned());
            return Some(data.map(|data| Event { id, event, data }));
        }
    }
    None
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    login: Option<String>,
    events: VecDeque<Event>,
    next: Option<String>,
}

/// What each question for a page says.
struct Ask {
    url: Url,
    origin: String,
    cookie: String,
}

type Answered = (Http, Result<Page, Ended>);

/// Page after page on one connection.
pub struct Pages {
    ask: Ask,
    events: VecDeque<Event>,
    next: Option<String>,
    connection: Option<Http>,
    asking: Option<BoxFuture<'static, Answered>>,
}

impl Pages {
    fn new(connection: Http, ask: Ask, first: Page) -> Self {
        Self { ask, events: first.events, next: first.next, connection: Some(connection), asking: None }
    }

    async fn next(&mut self) -> Result<Event, Ended> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if let Some(mut connection) = self.connection.take() {
                let request = self.request()?;
                self.asking = Some(Box::pin(async move {
                    let page = match connection.ask(request).await {
                        Ok(answer) => page(answer).await,
                        Err(why) => Err(Ended::Broke(why)),
                    };
                    (connection, page)
                }));
            }
            let Some(asking) = &mut self.asking else { return Err(Ended::Broke("connection: closed".to_owned())) };
            let (connection, page) = asking.await;
            self.asking = None;
            let page = page?;
            self.connection = Some(connection);
            self.events = page.events;
            self.next = page.next.or_else(|| self.next.take());
        }
    }

    fn request(&self) -> Result<Request<Body>, Ended> {
        let mut url = self.ask.url.clone();
        if let Some(next) = &self.next {
            url.set_query(Some(&format!("after={next}")));
        }
        url.query_pairs_mut().append_pair("wait", &PAGE_WAIT.to_string());
        get(&url, &self.ask.origin, &self.ask.cookie, "application/json")
    }
}

async fn page(answer: Response<Incoming>) -> Result<Page, Ended> {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST_PAGE).collect().await;
    let body = body.map_err(|error| Ended::Broke(format!("connection: {error}")))?.to_bytes();
    if status != StatusCode::OK {
        return Err(by_status(status.as_u16(), Some(&body)));
    }
    serde_json::from_slice(&body).map_err(|_| Ended::Gone("not a page of events".to_owned()))
}

/// What another status than the hoped-for one means; a problem body names it.
fn by_status(status: u16, body: Option<&[u8]>) -> Ended {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
    }
    let problem = body.and_then(|body| serde_json::from_slice::<Problem>(body).ok());
    let why = problem.map_or_else(|| format!("status {status}"), |problem| problem.code);
    if matches!(status, 404 | 410) { Ended::Gone(why) } else { Ended::Broke(why) }
}

fn events_url(base: &Url, place: &Place<'_>) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{}/events", base.path().trim_end_matches('/'), place.login));
    url.set_query(place.after.map(|after| format!("after={after}")).as_deref());
    url
}

fn get(url: &Url, origin: &str, cookie: &str, accepts: &str) -> Result<Request<Body>, Ended> {
    let request = Request::get(&url[Position::BeforePath..]).header(ACCEPT, accepts).header(ORIGIN, origin);
    whole(request.header(COOKIE, cookie), String::new())
}

fn whole(request: http::request::Builder, body: String) -> Result<Request<Body>, Ended> {
    request.body(Body::from(body)).map_err(|error| Ended::Gone(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_off_a_stream_and_the_rest_stays() {
        let mut text = b": a comment\n\nid: 0a-1\nevent: status\ndata: {\"login\":\"L\"}\n\nid: 0a-2\nev".to_vec();
        let event = cut_event(&mut text).unwrap().unwrap();
        assert_eq!((event.id.as_deref(), event.event.as_str()), (Some("0a-1"), "status"));
        assert_eq!(event.data.login.as_deref(), Some("L"));
        assert!(cut_event(&mut text).is_none());
        assert_eq!(text, b"id: 0a-2\nev");
        let mut broken = b"event: status\ndata: {\n\n".to_vec();
        assert_eq!(cut_event(&mut broken).unwrap().unwrap_err(), Ended::Gone("not an event".to_owned()));
    }

    #[test]
    fn a_status_says_whether_coming_back_is_of_use() {
        let problem = br#"{"code":"position-gone","status":410}"#;
        assert_eq!(by_status(410, Some(problem)), Ended::Gone("position-gone".to_owned()));
        assert_eq!(by_status(404, None), Ended::Gone("status 404".to_owned()));
        assert_eq!(by_status(503, Some(b"<html>")), Ended::Broke("status 503".to_owned()));
    }

    #[test]
    fn a_login_goes_on_below_the_endpoint() {
        let place = Place { login: "L", after: Some("0a-1"), cookie: "" };
        for base in ["http://127.0.0.1:1/api", "http://127.0.0.1:1/api/"] {
            let url = events_url(&base.parse().unwrap(), &place);
            assert_eq!(url.as_str(), "http://127.0.0.1:1/api/L/events?after=0a-1");
        }
    }
}
