//! The stream over a WebSocket: a first message that begins or resumes, or a resume by URL that needs none.

use super::begin::{FirstMessage, StartError, StartPolicy, StartRequest, first_message};
use super::close::Close;
use super::mark::Mark;
use super::pump::{Marks, Next, Pump};
use super::stream_stats::{EndReason, StreamGuard};
use crate::base::client_address::ClientAddress;
use crate::base::id::{Fingerprint, LoginId};
use crate::base::limits::{BROWSER_MESSAGES_PER_MINUTE, BROWSER_WRITE, MARK_GAP};
use crate::base::problem::ProblemCode;
use crate::base::tasks::Tasks;
use crate::base::websocket::ServerSocket;
use crate::login::{Attach, Drawing, LogReader, Login, Position, Registry};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::{Error, Message};

/// A peer that has not answered three pings is gone, or frozen: it will come back with its position.
const SILENCE: Duration = Duration::from_secs(35);

/// How long a peer may take to answer our close before the connection is dropped.
const CLOSING: Duration = Duration::from_secs(2);

/// What a browser says that leaves the page but may keep it for its Back button: by itself, or our page, which must not
/// send 1001.
const MAY_COME_BACK: [u16; 2] = [1001, 4001];

/// What a WebSocket runs over: an upgraded connection, or a pipe in a test.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> ByteStream for S {}

/// What the first message is judged by.
pub struct Context {
    pub policy: Arc<StartPolicy>,
    pub registry: Arc<Registry>,
    pub tasks: Tasks,
    pub first_message_timeout: Duration,
    pub who: ClientAddress,
    pub flow: Fingerprint,
    pub is_phone: bool,
    pub wish: Wish,
}

/// How a page wants its events.
#[derive(Clone, Copy, Default)]
pub struct Wish {
    /// Which marks it can see.
    pub heartbeat: Heartbeat,
    pub drawing: Drawing,
}

/// `heartbeat=` of the address.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Heartbeat {
    /// Pings, which a page does not see.
    #[default]
    Hidden,
    /// `1`: marks, some of them at once, by which it judges the line.
    Judged,
    /// `2` to `25`: one so often, in seconds, and none besides.
    Every(Duration),
}

/// A WebSocket that knows what it reads.
pub struct Opened<S = TokioIo<Upgraded>> {
    pub socket: ServerSocket<S>,
    pub reader: LogReader,
    pub after: Option<Position>,
    pub wish: Wish,
}

/// Hears the first message. `None` when it was none: the socket is closed with the reason.
pub async fn begin<S: ByteStream>(mut socket: ServerSocket<S>, context: Context) -> Option<Opened<S>> {
    let wish = context.wish;
    match first(&mut socket, context).await {
        Ok((reader, after)) => Some(Opened { socket, reader, after, wish }),
        Err(ended) => {
            finish(&mut socket, ended).await;
            None
        }
    }
}

/// A stream that is about to send what follows the position. Not async, so that nothing of how it began is kept.
pub fn open<S: ByteStream>(opened: Opened<S>, tasks: Tasks, guard: StreamGuard) -> Box<Open<S>> {
    let Opened { socket, reader, after, wish } = opened;
    let now = Instant::now();
    let marks = match wish.heartbeat {
        Heartbeat::Hidden => Marks::Plain,
        Heartbeat::Judged => Marks::Opening,
        Heartbeat::Every(period) => Marks::Every(period),
    };
    let pump = Pump::new(reader, after, marks, tasks, guard);
    Box::new(Open { socket, pump, wish, last_heard: now, messages: 0, minute: now })
}

/// Sends it, to the last event.
pub async fn serve<S: ByteStream>(mut open: Box<Open<S>>) {
    let ended = open.run().await;
    Box::pin(part(open, ended)).await;
}

async fn part<S: ByteStream>(open: Box<Open<S>>, ended: Ended) {
    // The login may end now if nobody else reads it; saying goodbye does not count.
    let Open { mut socket, pump, .. } = *open;
    let mut guard = pump.into_guard();
    let finished = matches!(ended, Ended::Close(Close::Finished));
    if !finish(&mut socket, ended).await && finished {
        // The login went on over another line, and this one was frozen.
        guard.will_end(EndReason::Silent);
    }
}

/// Whether anybody was there to hear it.
async fn finish<S: ByteStream>(socket: &mut ServerSocket<S>, ended: Ended) -> bool {
    let Ended::Close(close) = ended else { return true };
    let closing = async {
        if socket.close(Some(close.frame())).await.is_ok() {
            // Until the peer's close has come: an early end of TCP would cost it our last message.
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    timeout(CLOSING, closing).await.is_ok()
}

enum Ended {
    Close(Close),
    PeerLeft,
}

/// Waits for the first message; its timer ends with it.
async fn first<S: ByteStream>(
    socket: &mut ServerSocket<S>,
    context: Context,
) -> Result<(LogReader, Option<Position>), Ended> {
    let message = tokio::select! {
        message = timeout(context.first_message_timeout, message(socket)) => message,
        () = context.tasks.stopping() => return Err(Ended::Close(Close::Restarting)),
    };
    let message = message.map_err(|_| Ended::Close(Close::NoInitialMessage))??;
    let Message::Text(text) = message else { return Err(Ended::Close(Close::InvalidInitialMessage)) };
    match first_message(text.as_bytes()) {
        Err(why) => {
            tracing::debug!("a WebSocket's first message was refused: {why}");
            Err(Ended::Close(Close::InvalidInitialMessage))
        }
        Ok(FirstMessage::Begin(request)) => start(socket, *request, &context).await,
        Ok(FirstMessage::Resume { login, after }) => {
            let id = LoginId::parse(&login).ok_or(Ended::Close(Close::NoSuchLogin))?;
            let login = context.registry.find(id, &context.flow).await.map_err(|_| Ended::Close(Close::TryLater))?;
            let login = login.ok_or(Ended::Close(Close::NoSuchLogin))?;
            let reader = login.attach(Attach::Resume).map_err(|_| Ended::Close(Close::TooManyReaders))?;
            context.registry.reach(&login, after).await.map_err(|_| Ended::Close(Close::TryLater))?;
            Ok((reader, after))
        }
    }
}

async fn start<S: ByteStream>(
    socket: &mut ServerSocket<S>,
    request: StartRequest,
    context: &Context,
) -> Result<(LogReader, Option<Position>), Ended> {
    let locale = request.locale();
    match context.policy.begin(request, context.who, context.flow, None, context.is_phone).await {
        Ok(login) => Ok((attach_first(&login)?, None)),
        Err(StartError::ReturnTo | StartError::Request | StartError::Driver) => {
            Err(Ended::Close(Close::InvalidInitialMessage))
        }
        Err(
            why @ (StartError::RateLimited { retry_after }
            | StartError::Busy { retry_after }
            | StartError::StoreFull { retry_after }),
        ) => {
            let message = why.message(context.policy.texts().of(locale));
            Err(refuse(socket, why.code(), message, retry_after).await)
        }
    }
}

fn attach_first(login: &Arc<Login>) -> Result<LogReader, Ended> {
    login.attach(Attach::Begin).map_err(|_| Ended::Close(Close::TooManyReaders))
}

/// An error event without a login, then the close.
async fn refuse<S: ByteStream>(
    socket: &mut ServerSocket<S>,
    code: ProblemCode,
    message: &str,
    retry_after: Duration,
) -> Ended {
    let retry_after = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
    let data = json!({"code": code.code(), "message": message, "retry": true, "retryAfter": retry_after});
    let event = json!({"event": "error", "data": data}).to_string();
    let _ = timeout(BROWSER_WRITE, socket.send(Message::text(event))).await;
    Ended::Close(Close::TryLater)
}

/// The next message that is not protocol housekeeping, of which there is little.
async fn message<S: ByteStream>(socket: &mut ServerSocket<S>) -> Result<Message, Ended> {
    for _ in 0..BROWSER_MESSAGES_PER_MINUTE {
        match socket.next().await {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_))) | None => return Err(Ended::PeerLeft),
            Some(Ok(message)) => return Ok(message),
            Some(Err(error)) => return Err(ended_by(&error)),
        }
    }
    Err(Ended::Close(Close::TooManyMessages))
}

fn ended_by(error: &Error) -> Ended {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Ended::Close(Close::MessageTooBig),
        // Text that is not UTF-8 and the like: not a message we could mean.
        Error::Utf8(_) => Ended::Close(Close::InvalidInitialMessage),
        _ => Ended::PeerLeft,
    }
}

/// A stream of events, and where it is.
pub struct Open<S> {
    socket: ServerSocket<S>,
    pump: Pump,
    wish: Wish,
    last_heard: Instant,
    /// Messages, pings and their answers included, in the minute that began at `minute`.
    messages: u32,
    minute: Instant,
}

impl<S: ByteStream> Open<S> {
    /// Three inputs: what the log says next, what the browser says, and time, which the pump keeps.
    async fn run(&mut self) -> Ended {
        loop {
            tokio::select! {
                biased;
                next = self.pump.next() => match next {
                    Next::Page(page, mark) => {
                        let mut frames = self.mark(mark);
                        for event in &page.events {
                            text_frame(&event.json(self.wish.drawing), &mut frames);
                        }
                        if !self.send(&frames).await {
                            return Ended::PeerLeft;
                        }
                        if page.sealed {
                            return Ended::Close(Close::Finished);
                        }
                    }
                    Next::Heartbeat(mark) => {
                        if self.last_heard.elapsed() > SILENCE {
                            self.pump.will_end(EndReason::Silent);
                            return Ended::PeerLeft;
                        }
                        if !self.beat(mark).await {
                            return Ended::PeerLeft;
                        }
                    }
                    Next::Gone => return Ended::Close(Close::PositionGone),
                    Next::Stopping => return Ended::Close(Close::Restarting),
                },
                message = self.socket.next() => match message {
                    Some(Ok(Message::Close(frame))) => {
                        self.pump.will_end(EndReason::Left);
                        if frame.is_some_and(|frame| MAY_COME_BACK.contains(&u16::from(frame.code))) {
                            self.pump.login().may_come_back();
                        }
                        return Ended::PeerLeft;
                    }
                    None => return Ended::PeerLeft,
                    Some(Ok(message)) => if let Some(close) = self.heard(&message) {
                        return Ended::Close(close);
                    },
                    Some(Err(error)) => return ended_by(&error),
                },
            }
        }
    }

    /// With a ping, so that a dead peer is noticed and both directions of every proxy's timer are fed.
    async fn beat(&mut self, mark: Mark) -> bool {
        let mut frames = self.mark(mark);
        if self.wish.heartbeat != Heartbeat::Judged || mark.next >= MARK_GAP * 2 {
            frames.extend(PING);
        }
        self.send(&frames).await
    }

    /// Nothing where nobody asked for marks.
    fn mark(&self, mark: Mark) -> Vec<u8> {
        let mut frames = Vec::new();
        if self.wish.heartbeat != Heartbeat::Hidden {
            text_frame(&mark.message(), &mut frames);
        }
        frames
    }

    /// Whole frames in one write, so that they travel in one packet where they fit; past the library's buffer, which would
    /// keep room for the largest as long as the socket lives.
    async fn send(&mut self, frames: &[u8]) -> bool {
        self.pump.wrote(frames.len());
        let write = async {
            self.socket.flush().await.map_err(|_| ())?;
            let stream = self.socket.get_mut();
            stream.write_all(frames).await.map_err(|_| ())?;
            stream.flush().await.map_err(|_| ())
        };
        matches!(timeout(BROWSER_WRITE, write).await, Ok(Ok(())))
    }

    /// `{"wake":true}`; anything else is for versions to come.
    fn heard(&mut self, message: &Message) -> Option<Close> {
        let now = Instant::now();
        self.last_heard = now;
        if now - self.minute > Duration::from_secs(60) {
            (self.minute, self.messages) = (now, 0);
        }
        self.messages += 1;
        if self.messages > BROWSER_MESSAGES_PER_MINUTE {
            return Some(Close::TooManyMessages);
        }
        let Message::Text(text) = message else {
            // An answer to a ping, or bytes that mean nothing here.
            return None;
        };
        if let Ok(Value::Object(message)) = serde_json::from_str::<Value>(text)
            && message.get("wake") == Some(&Value::Bool(true))
        {
            self.pump.login().wake();
        }
        None
    }
}

/// RFC 6455 §5.5.2: final, empty, unmasked, as a server sends it.
const PING: [u8; 2] = [0x89, 0];

/// RFC 6455 §5.2: final, text, unmasked.
fn text_frame(text: &str, frames: &mut Vec<u8>) {
    frames.push(0x81);
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(short @ 0..=125), _) => frames.push(short),
        (_, Ok(medium)) => {
            frames.push(126);
            frames.extend(medium.to_be_bytes());
        }
        _ => {
            frames.push(127);
            frames.extend((text.len() as u64).to_be_bytes());
        }
    }
    frames.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
pub(super) mod tests;
