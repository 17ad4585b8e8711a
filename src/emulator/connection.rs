//! A client's connection: the handshake, one answer after the other, and whatever the fault script does to them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use futures_util::{SinkExt as _, StreamExt as _};
use http::StatusCode;
use http::header::ORIGIN;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, Interval, interval_at, sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use super::Emulator;
use super::answers::{Client, error_payload};
use super::fault::{Effect, When};
use super::odd::{self, Odd};
use crate::base::websocket::{self, Pending, ServerSocket};
use crate::max::binary::{self, Packing, Wrapped};
use crate::max::frame::{Cmd, Dialect, EncodeError, Frame, Received, Wire};
use crate::max::opcode::Opcode;

/// Open connections; past it the handshake is refused.
const MAX_CONNECTIONS: usize = 10_000;

/// The largest message of a client, in bytes. INIT, the largest that a sign-in needs, has about 600.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// A client that says nothing for so long is gone. MAX itself waits 30 to 60 s; clients are debugged here.
const IDLE_TIME: Duration = Duration::from_secs(300);

/// One write; a client that takes nothing for so long is gone.
const WRITE_TIME: Duration = Duration::from_secs(10);

/// MAX answers 403 to any other.
const WEB_ORIGIN: &str = "https://web.max.ru";

/// A push that no client knows.
const UNKNOWN_PUSH: Opcode = Opcode(128);

pub(super) fn router(emulator: Arc<Emulator>) -> Router {
    Router::new().route("/websocket", any(connect)).with_state(emulator)
}

async fn connect(State(emulator): State<Arc<Emulator>>, mut request: Request) -> Response {
    let Some(asked) = websocket::upgrade_asked(&request) else {
        return (StatusCode::UPGRADE_REQUIRED, "this is the WebSocket of the emulated MAX\n").into_response();
    };
    let effect = {
        let mut world = emulator.world();
        if world.stats.connections >= MAX_CONNECTIONS {
            return (StatusCode::SERVICE_UNAVAILABLE, "too many connections\n").into_response();
        }
        world.faults.on_connect()
    };
    match effect {
        Some(Effect::Refuse(status)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
            return (status, "refused, as the fault script says\n").into_response();
        }
        Some(Effect::Delay(delay)) => sleep(delay).await,
        _ => {}
    }
    let foreign = request.headers().get(ORIGIN).is_none_or(|origin| origin != WEB_ORIGIN);
    let (response, pending): (Response<Body>, Pending) = match websocket::accept(&mut request, asked, MAX_MESSAGE_BYTES)
    {
        Ok(accepted) => accepted,
        Err(_) => return (StatusCode::BAD_REQUEST, "not a WebSocket handshake\n").into_response(),
    };
    let tasks = emulator.tasks.clone();
    tasks.spawn("emulated-max", async move {
        let open = Open::new(Arc::clone(&emulator), foreign);
        let Ok(Some(socket)) = timeout(WRITE_TIME, pending.socket()).await else { return };
        let silent = effect == Some(Effect::HalfOpen);
        if !matches!(effect, Some(Effect::Cut(_))) {
            Connection { emulator, client: Client::new(open.0), socket, silent, pushes: 0 }.run().await;
        }
    });
    response
}

/// Counts a connection for as long as it lives, however it ends.
struct Open(u64, Arc<Emulator>);

impl Open {
    fn new(emulator: Arc<Emulator>, foreign_origin: bool) -> Self {
        let mut world = emulator.world();
        world.stats.foreign_origins += u64::from(foreign_origin);
        let serial = world.connected();
        drop(world);
        Self(serial, emulator)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.1.world().disconnected(self.0);
    }
}

struct Connection {
    emulator: Arc<Emulator>,
    client: Client,
    socket: ServerSocket,
    /// Half open: everything is read, nothing is answered.
    silent: bool,
    /// How many pushes were sent: the server counts its own from 0.
    pushes: u16,
}

/// The connection is over.
struct Over;

impl Connection {
    async fn run(mut self) {
        let emulator = Arc::clone(&self.emulator);
        let mut pings = emulator.options.server_ping.map(|every| interval_at(Instant::now() + every, every));
        let mut last_heard = Instant::now();
        loop {
            let step = tokio::select! {
                biased;
                () = emulator.tasks.stopping() => Err(Over),
                () = next(&mut pings) => self.ping().await,
                heard = timeout_at(last_heard + IDLE_TIME, self.socket.next()) => match heard {
                    Ok(Some(Ok(message))) => {
                        last_heard = Instant::now();
                        self.hear(message).await
                    }
                    Ok(Some(Err(_)) | None) | Err(_) => Err(Over),
                },
            };
            if step.is_err() {
                return;
            }
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), Over> {
        let (dialect, frame) = match &message {
            Message::Text(text) => (Dialect::Json, Dialect::Json.decode(Received::Text(text.as_str()))),
            Message::Binary(bytes) => (Dialect::Binary, Dialect::Binary.decode(Received::Binary(bytes))),
            // The next read sends the echo of a close and then ends.
            Message::Close(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(()),
        };
        // No source says what MAX does with what it cannot read; closing is what its binary host does with text.
        let frame = frame.map_err(|_| Over)?;
        if self.client.dialect.replace(dialect).is_none() {
            self.emulator.world().heard(self.client.connection);
        }
        if self.silent || frame.cmd != Cmd::Request {
            return Ok(());
        }
        let effect = self.emulator.world().faults.on_request(frame.opcode);
        match effect {
            None | Some(Effect::Refuse(_)) => self.answer(&frame).await,
            Some(effect) => self.answer_with(&frame, effect).await,
        }
    }

    async fn answer(&mut self, request: &Frame) -> Result<(), Over> {
        let answer = self.emulator.answer(&mut self.client, request);
        self.send(&answer).await
    }

    async fn answer_with(&mut self, request: &Frame, effect: Effect) -> Result<(), Over> {
        match effect {
            Effect::HalfOpen => {
                self.silent = true;
                Ok(())
            }
            Effect::Cut(When::Before) => Err(Over),
            Effect::Cut(When::Instead) => {
                self.emulator.answer(&mut self.client, request);
                Err(Over)
            }
            Effect::Cut(When::After) => {
                self.answer(request).await?;
                Err(Over)
            }
            Effect::Error(code) => {
                let payload = error_payload(&code, "as the fault script says", "Так велит сценарий");
                self.send(&Frame::error(request.seq, request.opcode, payload)).await
            }
            Effect::Garbage => {
                let message = match self.client.dialect {
                    Some(Dialect::Binary) => Message::binary(vec![0xff, 0x00, 0xc1]),
                    _ => Message::text("{\"ver\":11,\"cmd\":"),
                };
                self.write(message).await
            }
            Effect::Delay(delay) => {
                let answer = self.emulator.answer(&mut self.client, request);
                sleep(delay).await;
                self.send(&answer).await
            }
            Effect::WrongOpcode => {
                let mut answer = self.emulator.answer(&mut self.client, request);
                answer.opcode = Opcode(answer.opcode.0.wrapping_add(1));
                self.send(&answer).await
            }
            Effect::PushCollide => {
                let push = Frame::request(request.seq, UNKNOWN_PUSH, Some(json!({ "chatId": 1, "unread": 1 })));
                self.send(&push).await?;
                self.answer(request).await
            }
            Effect::Duplicate => {
                let answer = self.emulator.answer(&mut self.client, request);
                self.send(&answer).await?;
                self.send(&answer).await
            }
            Effect::Odd(kind, when) => {
                let answer = self.emulator.answer(&mut self.client, request);
                let dialect = self.client.dialect.unwrap_or(Dialect::Json);
                // A push with the seq of the answer: what tells them apart is the rest of the head.
                let push = Frame::request(request.seq, UNKNOWN_PUSH, Some(json!({ "chatId": 1 })));
                if when == When::Before {
                    self.write_odd(odd::spoilt(kind, &push, dialect)).await?;
                }
                match when {
                    When::Instead => self.write_odd(odd::spoilt(kind, &answer, dialect)).await?,
                    When::Before | When::After => self.send(&answer).await?,
                }
                if when == When::After {
                    self.write_odd(odd::spoilt(kind, &push, dialect)).await?;
                }
                Ok(())
            }
            Effect::Refuse(_) => self.answer(request).await,
        }
    }

    async fn ping(&mut self) -> Result<(), Over> {
        if self.silent || self.client.dialect.is_none() {
            return Ok(());
        }
        let push = Frame::request(self.pushes, Opcode::PING, None);
        self.pushes = self.pushes.wrapping_add(1);
        self.send(&push).await
    }

    async fn send(&mut self, frame: &Frame) -> Result<(), Over> {
        let message = match self.encode(frame) {
            Ok(Wire::Text(text)) => Message::text(text),
            Ok(Wire::Binary(bytes)) => Message::binary(bytes),
            Err(_) => return Err(Over),
        };
        self.write(message).await
    }

    fn encode(&self, frame: &Frame) -> Result<Wire, EncodeError> {
        if self.client.dialect != Some(Dialect::Binary) {
            return Dialect::Json.encode(frame);
        }
        let wrapped = if self.emulator.options.wrap_all_ints { Wrapped::Every } else { Wrapped::Long };
        binary::encode(frame, Packing { wrapped, ..Packing::LIKE_MAX }).map(Wire::Binary)
    }

    async fn write_odd(&mut self, odd: Odd) -> Result<(), Over> {
        match odd {
            Odd::Message(message) => self.write(message).await,
            Odd::Bytes(bytes) => match timeout(WRITE_TIME, self.socket.get_mut().write_all(&bytes)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(Over),
            },
        }
    }

    async fn write(&mut self, message: Message) -> Result<(), Over> {
        match timeout(WRITE_TIME, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Over),
        }
    }
}

async fn next(pings: &mut Option<Interval>) {
    match pings {
        Some(pings) => drop(pings.tick().await),
        None => std::future::pending().await,
    }
}
