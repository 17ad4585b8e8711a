//! The Bot API over HTTP: who may ask, which request it is, and what the fault script does to the answer.

mod chats;
mod messages;
mod profile;
mod receiving;
mod token;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde_json::{Map, Value, json};
use tokio::time::sleep;
use url::form_urlencoded;

use super::Bot;
use super::answer::Answer;
use super::fault::{Effect, On};

pub(super) const PREFIX: &str = "/bot-api";

/// A request's body: 210 buttons with a payload of 1024 characters each come to 1 MiB at most.
const BODY_BYTES: usize = 2 * 1024 * 1024;

/// Pieces of a body that trickles.
const PIECES: usize = 20;

pub(super) fn router(bot: Arc<Bot>) -> Router {
    Router::new()
        .route(PREFIX, any(serve))
        .route("/bot-api/{*path}", any(serve))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(bot)
}

/// A request as the handlers see it.
struct Asked {
    query: Vec<(String, String)>,
    body: Bytes,
}

impl Asked {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A number; what is no number is a 400.
    fn number(&self, name: &str) -> Result<Option<i64>, Answer> {
        let parse = |text: &str| {
            text.parse().map_err(|_| Answer::malformed(&format!("{name}: must be an integer, and is {text:?}")))
        };
        self.parameter(name).map(parse).transpose()
    }

    fn object(&self) -> Result<Map<String, Value>, Answer> {
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(object),
            _ => Err(Answer::malformed("the body must be a JSON object")),
        }
    }
}

/// What is asked for.
enum Request<'a> {
    Me,
    EditMe,
    Subscriptions,
    Subscribe,
    Unsubscribe,
    Updates,
    Read(Option<&'a str>),
    Send,
    Edit,
    Delete,
    Answer,
    Chat(&'a str),
    ChatAction(&'a str),
}

impl<'a> Request<'a> {
    fn of(method: &Method, path: &'a [&'a str]) -> Result<Self, Answer> {
        let wrong_method = || Answer::refused(405, "method.not.allowed", "Method not allowed");
        Ok(match (path, method.as_str()) {
            (["me"], "GET") => Self::Me,
            (["me"] | ["me", "commands"], "PATCH") => Self::EditMe,
            (["subscriptions"], "GET") => Self::Subscriptions,
            (["subscriptions"], "POST") => Self::Subscribe,
            (["subscriptions"], "DELETE") => Self::Unsubscribe,
            (["updates"], "GET") => Self::Updates,
            (["messages"], "GET") => Self::Read(None),
            (["messages", mid], "GET") => Self::Read(Some(mid)),
            (["messages"], "POST") => Self::Send,
            (["messages"], "PUT") => Self::Edit,
            (["messages"], "DELETE") => Self::Delete,
            (["answers"], "POST") => Self::Answer,
            (["chats", id], "GET") => Self::Chat(id),
            (["chats", id, "actions"], "POST") => Self::ChatAction(id),
            (
                ["me"]
                | ["me", "commands"]
                | ["subscriptions"]
                | ["updates"]
                | ["messages"]
                | ["messages", _]
                | ["answers"]
                | ["chats", _]
                | ["chats", _, "actions"],
                _,
            ) => return Err(wrong_method()),
            _ => return Err(Answer::not_found("not.found", "Unknown method")),
        })
    }

    fn occasion(&self) -> On {
        match self {
            Self::Me => On::Me,
            Self::EditMe => On::EditMe,
            Self::Subscriptions => On::Subscriptions,
            Self::Subscribe => On::Subscribe,
            Self::Unsubscribe => On::Unsubscribe,
            Self::Updates => On::Updates,
            Self::Read(_) => On::Read,
            Self::Send => On::Send,
            Self::Edit => On::Edit,
            Self::Delete => On::Delete,
            Self::Answer => On::Answer,
            Self::Chat(_) | Self::ChatAction(_) => On::Chat,
        }
    }
}

async fn serve(State(bot): State<Arc<Bot>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let asked = Asked { query, body };
    let path: Vec<&str> = uri.path().trim_start_matches(PREFIX).split('/').filter(|part| !part.is_empty()).collect();
    let refused = token::check(&headers, asked.parameter("access_token"), &bot.options.token).err();
    let refused = refused.or_else(|| (!bot.state().rates.request(bot.clock.monotonic())).then(Answer::too_many));
    let request = match refused {
        Some(refused) => Err(refused),
        None => Request::of(&method, &path),
    };
    let request = match request {
        Ok(request) => request,
        Err(refused) => return sent(&bot, refused, None),
    };
    let effect = {
        let mut state = bot.state();
        state.stats.request(request.occasion().name());
        state.faults.take(request.occasion())
    };
    match effect {
        Some(Effect::Refuse { status, code, message, retry_after }) => {
            let answer = Answer { retry_after, ..Answer::refused(status, &code, &message) };
            sent(&bot, answer, None)
        }
        Some(Effect::Unsuccessful { code, message }) => sent(&bot, Answer::unsuccessful(&code, &message), None),
        Some(Effect::Empty) => sent(&bot, Answer::fine(json!({})), None),
        Some(Effect::Html(status)) => page(status),
        effect => {
            let answer = answer(&bot, &request, &asked, effect.as_ref()).await;
            if let Some(Effect::Delay(time)) = effect {
                sleep(time).await;
            }
            sent(&bot, answer, effect.as_ref())
        }
    }
}

async fn answer(bot: &Arc<Bot>, request: &Request<'_>, asked: &Asked, effect: Option<&Effect>) -> Answer {
    let answer = match request {
        Request::Me => Ok(profile::read(bot)),
        Request::EditMe => profile::edit(bot, asked),
        Request::Subscriptions => Ok(receiving::subscriptions(bot)),
        Request::Subscribe => receiving::subscribe(bot, asked),
        Request::Unsubscribe => receiving::unsubscribe(bot, asked),
        Request::Updates => receiving::updates(bot, asked, effect).await,
        Request::Read(mid) => messages::read(bot, asked, *mid),
        Request::Send => messages::send(bot, asked),
        Request::Edit => messages::edit(bot, asked),
        Request::Delete => messages::delete(bot, asked),
        Request::Answer => messages::answer(bot, asked),
        Request::Chat(id) => chats::read(bot, id),
        Request::ChatAction(id) => chats::action(bot, id),
    };
    answer.unwrap_or_else(|refused| refused)
}

/// The answer on the wire; a fault may make its body slow, or cut it.
fn sent(bot: &Bot, answer: Answer, effect: Option<&Effect>) -> Response {
    bot.state().stats.answered(answer.status, &answer.body);
    let text = answer.body.to_string();
    let length = text.len();
    let body = match effect {
        Some(Effect::SlowBody(time)) => trickling(text, *time),
        // More was promised than comes.
        Some(Effect::Cut) => {
            let half = Bytes::from(text).slice(..length / 2);
            Body::from_stream(stream::iter([Ok(half), Err(std::io::Error::other("cut on command"))]))
        }
        _ => Body::from(text),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(seconds) = answer.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn trickling(text: String, time: Duration) -> Body {
    let bytes = Bytes::from(text);
    let size = bytes.len().div_ceil(PIECES).max(1);
    let pause = time / PIECES as u32;
    let pieces = stream::unfold(bytes, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        sleep(pause).await;
        let piece = rest.split_to(size.min(rest.len()));
        Some((Ok::<_, Infallible>(piece), rest))
    });
    Body::from_stream(pieces)
}

/// What some proxy in front of MAX says.
fn page(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let text = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n");
    (status, [(CONTENT_TYPE, "text/html")], text).into_response()
}
