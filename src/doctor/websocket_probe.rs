//! The WebSocket as a browser opens it, over HTTP/1.1 and over HTTP/2, and what became of it.

use super::connect::Broken;
use super::http::{Client, ProbeRequest, millis};
use super::http_observation::{HttpObservation, MAX_ANSWER_BYTES, nonce_path};
use crate::base::rng::Rng;
use crate::base::websocket;
use crate::probe::{RequestEcho, SOCKET_PATH, SocketGreeting, StreamEvent};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use http::header::{CONNECTION, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method};
use hyper_util::rt::TokioIo;
use serde::Deserialize as _;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// A WebSocket that is not answered: visitors would wait this long for nothing.
const SOCKET_PATIENCE: Duration = Duration::from_millis(2500);

/// How the WebSocket went.
#[derive(Clone, Debug, Default)]
pub enum WebSocketObservation {
    #[default]
    NotTried,
    /// Messages came as they were sent.
    Live {
        echo: Box<RequestEcho>,
        first_ms: i64,
        /// The server's Unix milliseconds at the second message, and ours when it came.
        sent: i64,
        arrived: i64,
    },
    /// It opened, and then nothing, or too late.
    Silent {
        headers: HeaderMap,
    },
    /// Something else than a WebSocket was answered.
    Answered(Box<HttpObservation>),
    /// Nothing was.
    Hung,
    Broken(String),
}

/// Asks for a WebSocket as a browser does, and if nothing comes of it soon, once more beside the first: one lost packet
/// is no fault of a proxy.
pub async fn socket(client: &Client) -> WebSocketObservation {
    let later = async {
        sleep(SOCKET_PATIENCE / 2).await;
        socket_once(client).await
    };
    let first = socket_once(client);
    tokio::pin!(first, later);
    tokio::select! {
        socket = &mut first => match socket {
            WebSocketObservation::Hung | WebSocketObservation::Silent { .. } => match later.await {
                WebSocketObservation::Hung => socket,
                other => other,
            },
            _ => socket,
        },
        socket = &mut later => match socket {
            WebSocketObservation::Live { .. } => socket,
            _ => first.await,
        },
    }
}

async fn socket_once(client: &Client) -> WebSocketObservation {
    let (path, nonce) = nonce_path(SOCKET_PATH);
    let mut ask = ProbeRequest::get(path);
    let key = STANDARD.encode(Rng::system().bytes::<16>());
    ask.only_http1 = true;
    ask.headers =
        vec![(CONNECTION, HeaderValue::from_static("Upgrade")), (UPGRADE, HeaderValue::from_static("websocket"))];
    ask.headers.extend(HeaderValue::from_str(&key).map(|key| (SEC_WEBSOCKET_KEY, key)));
    open(client, ask, &nonce).await
}

/// The same over HTTP/2, as browsers do it where it is announced; `NotTried` where it is not.
pub async fn socket_over_http2(client: &Client) -> WebSocketObservation {
    if !client.announces_extended_connect() {
        return WebSocketObservation::NotTried;
    }
    let (path, nonce) = nonce_path(SOCKET_PATH);
    let mut ask = ProbeRequest::get(path);
    ask.method = Method::CONNECT;
    ask.extended_connect = true;
    open(client, ask, &nonce).await
}

async fn open(client: &Client, mut ask: ProbeRequest, nonce: &str) -> WebSocketObservation {
    ask.patience = SOCKET_PATIENCE;
    ask.headers.push((SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    ask.headers.extend(HeaderValue::from_str(&client.origin).map(|origin| (ORIGIN, origin)));
    let mut answer = match client.ask(&ask).await {
        Ok(answer) => answer,
        // Only what was waited for says anything.
        Err(Broken::Silent(seconds)) if seconds < SOCKET_PATIENCE.as_secs_f64() / 2.0 => {
            return WebSocketObservation::NotTried;
        }
        Err(Broken::Silent(_)) => return WebSocketObservation::Hung,
        Err(broken) => return WebSocketObservation::Broken(broken.to_string()),
    };
    let opened = if ask.extended_connect { 200 } else { 101 };
    if answer.response.status().as_u16() != opened {
        return WebSocketObservation::Answered(Box::new(
            HttpObservation::read(client, answer, nonce, SOCKET_PATIENCE).await,
        ));
    }
    let headers = answer.response.headers().clone();
    let connecting = millis(answer.since_connect) - millis(answer.head_after);
    let began = answer.began;
    let talk = async {
        let upgraded = hyper::upgrade::on(&mut answer.response).await.ok()?;
        let config = Some(websocket::config(MAX_ANSWER_BYTES));
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, config).await;
        let mut echo = None;
        let mut first_ms = 0;
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
            if value["nonce"] != *nonce {
                continue;
            }
            if let Ok(greeting) = SocketGreeting::deserialize(&value) {
                echo = Some(greeting.echo);
                first_ms = millis(began.elapsed()) + connecting;
            }
            // The second message is sent 300 ms after the first: if it is here, the first was not held for it.
            if let Ok(StreamEvent { number: 2, sent_unix_ms: sent, .. }) = StreamEvent::deserialize(&value) {
                let arrived = client.clock.unix_ms();
                return echo.map(|echo| WebSocketObservation::Live { echo: Box::new(echo), first_ms, sent, arrived });
            }
        }
        None
    };
    let patience = client.at_most(SOCKET_PATIENCE);
    match timeout(patience, talk).await {
        Ok(Some(live)) => live,
        Err(_) if patience < SOCKET_PATIENCE / 2 => WebSocketObservation::NotTried,
        _ => WebSocketObservation::Silent { headers },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::base::tasks::Tasks;
    use crate::doctor::Trust;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    #[tokio::test]
    async fn a_silence_says_something_only_when_it_was_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: url::Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let within = async |time: Duration| {
            let client = Client::new(url.clone(), Trust::Anybody, Tasks::new(), Clock::system());
            socket_once(&client.until(Some(Instant::now() + time))).await
        };
        let (short, long) = tokio::join!(within(Duration::from_millis(400)), within(Duration::from_secs(60)));
        assert!(matches!(short, WebSocketObservation::NotTried), "{short:?}");
        assert!(matches!(long, WebSocketObservation::Hung), "{long:?}");
    }
}
