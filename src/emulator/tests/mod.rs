//! The session machine against the emulator, over an in-memory pipe and on a paused clock: nothing here waits for real.

mod faults;
mod odd;
mod phone;
mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio::time::sleep_until;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tower::ServiceExt as _;
use zeroize::Zeroizing;

use super::{Emulator, Options};
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::max::frame::{Dialect, Frame, Received, Wire};
use crate::max::session::{End, Now, Output, PasswordPolicy, ProtocolSession, SessionEvent, Settings};
use crate::max::tests::hello;
use crate::max::token::MaxToken;

pub(super) const SETTINGS: Settings = Settings {
    password: PasswordPolicy::Ask,
    poll_interval: Duration::from_secs(5),
    answer_timeout: Duration::from_secs(10),
    logout_timeout: Duration::from_secs(15),
};

/// Both dialects; a test that runs for each names the one that failed.
pub(super) const DIALECTS: [Dialect; 2] = [Dialect::Json, Dialect::Binary];

pub(super) fn emulator(options: Options) -> Arc<Emulator> {
    Emulator::new(options, Clock::fixed(1_787_333_000_000), Rng::seeded(7), Tasks::new())
}

/// Codes are approved at the second question, and questions come often.
pub(super) fn quick() -> Options {
    Options { approve_after: 2, poll: Duration::from_millis(50), ..Options::default() }
}

pub(super) type Socket = WebSocketStream<DuplexStream>;

/// A connection to `/websocket`.
pub(super) async fn connect(emulator: &Arc<Emulator>) -> Result<Socket, tungstenite::Error> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let serving = Arc::clone(emulator);
    let router = emulator.router();
    emulator.tasks.spawn("test-http", async move { serving.serve_connection(router, theirs).await });
    let request = Request::get("ws://max.test/websocket")
        .header("Host", "max.test")
        .header("Origin", "https://web.max.ru")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", tungstenite::handshake::client::generate_key())
        .body(())
        .unwrap();
    tokio_tungstenite::client_async(request, ours).await.map(|(socket, _)| socket)
}

pub(super) async fn send(socket: &mut Socket, dialect: Dialect, frame: &Frame) -> Result<(), tungstenite::Error> {
    socket
        .send(match dialect.encode(frame).unwrap() {
            Wire::Text(text) => Message::text(text),
            Wire::Binary(bytes) => Message::binary(bytes),
        })
        .await
}

/// The next frame; `None` when the connection is over or what came is no frame.
pub(super) async fn receive(socket: &mut Socket, dialect: Dialect) -> Option<Frame> {
    match socket.next().await?.ok()? {
        Message::Text(text) => dialect.decode(Received::Text(text.as_str())).ok(),
        Message::Binary(bytes) => dialect.decode(Received::Binary(&bytes)).ok(),
        _ => None,
    }
}

/// What a visitor and their phone do, and what came of it.
pub(super) struct Run {
    pub(super) session: ProtocolSession,
    pub(super) passwords: Vec<&'static str>,
    pub(super) news: Vec<SessionEvent>,
}

impl Run {
    pub(super) fn new(emulator: &Emulator, settings: Settings) -> Self {
        Self::of(ProtocolSession::begin(settings, &hello(), now(emulator)))
    }

    pub(super) fn rescue(emulator: &Emulator, token: MaxToken) -> Self {
        Self::of(ProtocolSession::end_login(SETTINGS, &hello(), token, now(emulator)))
    }

    fn of(session: ProtocolSession) -> Self {
        Self { session, passwords: Vec::new(), news: Vec::new() }
    }

    /// Drives the session to its end over a new connection.
    pub(super) async fn over(&mut self, emulator: &Arc<Emulator>, dialect: Dialect) -> End {
        let mut socket = connect(emulator).await.expect("a connection");
        self.on(&mut socket, emulator, dialect).await
    }

    pub(super) async fn on(&mut self, socket: &mut Socket, emulator: &Arc<Emulator>, dialect: Dialect) -> End {
        loop {
            while let Some(output) = self.session.poll_output() {
                match output {
                    Output::End(end) => return end,
                    Output::Send(frame) => {
                        if send(socket, dialect, &frame).await.is_err() {
                            self.session.on_closed(now(emulator));
                        }
                    }
                    Output::Event(news) => {
                        if matches!(news, SessionEvent::PasswordWanted { .. }) {
                            match self.passwords.pop() {
                                Some(password) => {
                                    let password = Zeroizing::new(password.to_owned());
                                    self.session.password(password, now(emulator)).unwrap();
                                }
                                None => self.session.stop(now(emulator)),
                            }
                        }
                        self.news.push(news);
                    }
                }
            }
            let deadline = emulator.clock.instant(self.session.deadline().expect("a deadline until the end"));
            tokio::select! {
                frame = receive(socket, dialect) => match frame {
                    Some(frame) => self.session.on_frame(frame, now(emulator)),
                    None => self.session.on_closed(now(emulator)),
                },
                () = sleep_until(deadline) => self.session.on_deadline(now(emulator)),
            }
        }
    }

    pub(super) fn codes(&self) -> usize {
        self.news.iter().filter(|news| matches!(news, SessionEvent::Code { .. })).count()
    }
}

pub(super) fn now(emulator: &Emulator) -> Now {
    Now { mono: emulator.clock.monotonic(), unix_ms: emulator.clock.unix_ms() }
}

/// A request to the phone; the body as JSON, or null.
pub(super) async fn phone(emulator: &Arc<Emulator>, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    let response = emulator.phone_router().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

pub(super) async fn script(emulator: &Arc<Emulator>, faults: Value) {
    let script = serde_json::json!({ "faults": faults }).to_string();
    let (status, answer) = phone(emulator, "POST", "/phone/fault", &script).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
}

/// One of the counters, once the server's tasks have seen what happened.
pub(super) async fn stat(emulator: &Arc<Emulator>, name: &str) -> u64 {
    tokio::time::sleep(Duration::from_millis(10)).await;
    phone(emulator, "GET", "/phone/stats", "").await.1[name].as_u64().unwrap()
}
