//! One session machine on one connection, driven to its end. Whatever happens to the task around it, a MAX login that
//! may be open is carried to its LOGOUT: dropping a runner hands it to a task of its own.

use super::connector::Connector;
use super::open_logins::OpenLogin;
use crate::base::traces::TRACES;
use crate::max::frame::{Dialect, Received, Wire};
use crate::max::message::Hello;
use crate::max::opcode::Opcode;
use crate::max::session::{End, Logout, Lost, Output, ProtocolSession, SessionEvent};
use crate::max::token::MaxToken;
use crate::signin::{Command, CommandSlot, DriverEvent, EventSink};
use crate::upstream::UpstreamSocket;
use futures_util::{SinkExt as _, StreamExt as _};
use metrics::counter;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tracing::Span;

/// One write to MAX. Its frames are small: if the socket takes none for so long, the connection is dead.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// Saying goodbye: the close frame is written, its echo not waited for.
const CLOSE_TIME: Duration = Duration::from_millis(200);

/// How long MAX may go on sending what we cannot read, after a LOGOUT that is sent blindly: closing a socket with unread
/// bytes in it resets the connection, and the LOGOUT could be lost with it.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Boxed: whoever waits for its end keeps no copy of it.
pub struct SessionRunner {
    /// `None` only once it has been handed on.
    parts: Option<Parts>,
    connector: Arc<Connector>,
    hello: Arc<Hello>,
    /// Of the address that it is connected to.
    index: usize,
    /// By a task that does nothing else: a second one is not made.
    is_ending: bool,
}

struct Parts {
    session: ProtocolSession,
    socket: UpstreamSocket,
    /// There while a login may be open at MAX.
    open: Option<OpenLogin>,
    /// Nothing can be read any more, as after a message over the limit.
    deaf: bool,
    /// Among those that may end after their visitors were told.
    place: Option<OwnedSemaphorePermit>,
    /// Of the question that MAX has not answered yet, where somebody collects spans.
    asked: Option<Box<(Opcode, Span)>>,
}

impl SessionRunner {
    /// Begins a sign-in on a connection.
    pub fn begin(
        connector: &Arc<Connector>,
        hello: &Arc<Hello>,
        (index, socket): (usize, UpstreamSocket),
    ) -> Box<Self> {
        let session = ProtocolSession::begin(connector.settings, hello, connector.now());
        let parts = Parts { session, socket, open: None, deaf: false, place: None, asked: None };
        let (connector, hello) = (Arc::clone(connector), Arc::clone(hello));
        Box::new(Self { parts: Some(parts), connector, hello, index, is_ending: false })
    }

    /// On a connection that may have died while it waited: MAX is to answer within `time`.
    pub fn hurry(&mut self, time: Duration) {
        if let Some(parts) = &mut self.parts {
            parts.session.hurry_greeting(time, self.connector.now());
        }
    }

    /// Of the address that it is connected to.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Runs until it is known how the sign-in ends, which may be before MAX has answered LOGOUT: what is left of it is heard
    /// out when the runner is dropped. `sink` gets what happens; `commands` is read as long as it is there.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps its arguments twice, for the minutes that a login waits"
    )]
    pub fn run<'a>(
        &'a mut self,
        sink: &'a dyn EventSink,
        commands: Option<&'a CommandSlot>,
    ) -> impl Future<Output = Option<Box<End>>> + Send + 'a {
        async move {
            let dialect = self.connector.dialect(self.index);
            let parts = self.parts.as_mut()?;
            let end = parts.run(&self.connector, dialect, sink, commands).await;
            match end.logout() {
                Some(Logout::Underway) => return Some(end),
                Some(Logout::Confirmed) => count_logout("confirmed"),
                // When that is to be counted is decided where this is dropped.
                Some(Logout::NotNeeded | Logout::Failed) | None => {}
            }
            Box::pin(parts.close()).await;
            Some(end)
        }
    }

    /// MAX has answered on this connection.
    pub fn is_greeted(&self) -> bool {
        self.parts.as_ref().is_some_and(|parts| parts.session.is_greeted())
    }

    /// What is left: the answer to the login, or to its LOGOUT.
    async fn hear_out(mut self) {
        if let Some(parts) = &mut self.parts {
            // The task that was writing may have been dropped in the middle.
            if !matches!(timeout(WRITE_TIME, parts.socket.flush()).await, Ok(Ok(()))) {
                parts.session.on_closed(self.connector.now());
            }
            parts.session.stop(self.connector.now());
        }
        self.run(&NullSink, None).await;
    }
}

/// What is to be done for a session.
enum Step {
    Write(Message),
    Wait,
    /// Boxed: those who wait for it keep room for a pointer.
    Over(Box<End>),
}

impl Parts {
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps its arguments twice, for the minutes that a login waits"
    )]
    fn run<'a>(
        &'a mut self,
        connector: &'a Connector,
        dialect: Dialect,
        sink: &'a dyn EventSink,
        commands: Option<&'a CommandSlot>,
    ) -> impl Future<Output = Box<End>> + Send + 'a {
        async move {
            loop {
                match self.step(connector, dialect, sink) {
                    Step::Over(end) => return end,
                    Step::Write(message) => {
                        // Boxed: it is over at once, and its room is not kept by those who wait.
                        Box::pin(self.write(message, connector)).await;
                        continue;
                    }
                    Step::Wait => {}
                }
                if commands.is_some()
                    && let Some(end) = self.identified(connector)
                {
                    return end;
                }
                let Some(deadline) = self.session.deadline() else { return Box::new(End::Lost { why: Lost::Closed }) };
                let due = connector.clock.about(connector.clock.instant(deadline));
                tokio::select! {
                    message = self.socket.next(), if !self.deaf => self.hear(message, connector, dialect),
                    () = sleep_until(due) => self.session.on_deadline(connector.now()),
                    command = next(commands) => match command {
                        Command::Wake => self.session.wake(connector.now()),
                        Command::Stop => self.session.stop(connector.now()),
                        Command::Password(password) => {
                            // Not wanted any more: the log has said so to whoever sent it.
                            let _ = self.session.password(password.into_inner(), connector.now());
                        }
                    },
                }
            }
        }
    }

    /// What the machine wants next; its news are told.
    fn step(&mut self, connector: &Connector, dialect: Dialect, sink: &dyn EventSink) -> Step {
        self.mark_open(connector);
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::End(end) => return Step::Over(Box::new(end)),
                Output::Event(event) => sink.emit(translate(event)),
                Output::Send(frame) => {
                    self.asked = asking(frame.opcode);
                    match dialect.encode(&frame) {
                        Ok(Wire::Text(text)) => return Step::Write(Message::text(text)),
                        Ok(Wire::Binary(bytes)) => return Step::Write(Message::binary(bytes)),
                        Err(error) => {
                            tracing::error!(opcode = %frame.opcode, "a frame for MAX cannot be written: {error}");
                            self.session.on_closed(connector.now());
                        }
                    }
                }
            }
        }
        Step::Wait
    }

    async fn write(&mut self, message: Message, connector: &Connector) {
        if !matches!(timeout(WRITE_TIME, self.socket.send(message)).await, Ok(Ok(()))) {
            self.session.on_closed(connector.now());
        }
    }

    /// LOGOUT has been written: nobody waits for its answer, unless so many do that they could take all the files.
    fn identified(&mut self, connector: &Connector) -> Option<Box<End>> {
        if !self.session.holds_token() {
            return None;
        }
        let place = Arc::clone(&connector.endings).try_acquire_owned().ok()?;
        let end = self.session.take_identified()?;
        self.place = Some(place);
        Some(Box::new(end))
    }

    /// Before the request goes out that may open a login, so that a crash behind it is told.
    fn mark_open(&mut self, connector: &Connector) {
        let may_be_open = self.session.login_in_flight() || self.session.holds_token();
        match (&self.open, may_be_open) {
            (None, true) => self.open = Some(connector.open_logins.begin()),
            (Some(_), false) => self.settled(),
            _ => {}
        }
    }

    fn settled(&mut self) {
        if let Some(open) = self.open.take() {
            open.settled();
        }
    }

    async fn close(&mut self) {
        let _ = timeout(CLOSE_TIME, self.socket.close(None)).await;
        if self.deaf {
            let mut unread = [0; 1024];
            let drained = async { while !matches!(self.socket.get_mut().read(&mut unread).await, Ok(0) | Err(_)) {} };
            let _ = timeout(DRAIN_TIME, drained).await;
        }
    }

    fn hear(&mut self, message: Option<Result<Message, SocketError>>, connector: &Connector, dialect: Dialect) {
        let received = match &message {
            Some(Ok(Message::Text(text))) => Received::Text(text.as_str()),
            Some(Ok(Message::Binary(bytes))) => Received::Binary(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return,
            Some(Err(error)) if is_unreadable(error) => {
                if let Some(times) = connector.unreadable.due("message") {
                    tracing::warn!(times, "MAX sent what cannot be read; nothing behind it can: {error}");
                }
                counter!("max_auth_upstream_unreadable_total").increment(1);
                self.deaf = true;
                return self.session.on_deaf(connector.now());
            }
            Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return self.session.on_closed(connector.now()),
        };
        match dialect.decode(received) {
            Ok(frame) => {
                tracing::trace!(opcode = %frame.opcode, "MAX sent a frame");
                // It ends with its span.
                drop(self.asked.take_if(|asked| asked.0 == frame.opcode));
                self.session.on_frame(frame, connector.now());
            }
            Err(error) => {
                if let Some(times) = connector.unreadable.due("frame") {
                    tracing::warn!(times, "MAX sent what is not a frame: {error}");
                }
                counter!("max_auth_upstream_unreadable_total").increment(1);
                self.session.on_unreadable(received.head(), connector.now());
            }
        }
    }
}

/// A span from a question to its answer.
fn asking(opcode: Opcode) -> Option<Box<(Opcode, Span)>> {
    let span = tracing::info_span!(
        target: TRACES,
        "max",
        otel.name = format!("MAX {}", opcode.name().unwrap_or("(unnamed)")),
        otel.kind = "client",
        max.opcode = opcode.0,
    );
    (!span.is_disabled()).then(|| Box::new((opcode, span)))
}

/// Never, where nobody has anything to say any more.
async fn next(commands: Option<&CommandSlot>) -> Command {
    match commands {
        Some(commands) => commands.next().await,
        None => std::future::pending().await,
    }
}

/// The WebSocket library has stopped reading, while the connection itself stands: a message over the limit, text that is
/// no UTF-8, a frame against the protocol.
fn is_unreadable(error: &SocketError) -> bool {
    match error {
        SocketError::Capacity(_) | SocketError::Utf8(_) => true,
        SocketError::Protocol(error) => !matches!(error, ProtocolError::ResetWithoutClosingHandshake),
        _ => false,
    }
}

impl Drop for SessionRunner {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        let may_be_open = parts.session.holds_token() || parts.session.login_in_flight();
        let is_running = parts.session.deadline().is_some();
        let (connector, hello, index) = (Arc::clone(&self.connector), Arc::clone(&self.hello), self.index);
        if may_be_open && is_running && !self.is_ending {
            // Its visitor has been told, or the task around us died in the middle: hear MAX out, and log out.
            self.connector.tasks.spawn("end-login", async move {
                SessionRunner { parts: Some(parts), connector, hello, index, is_ending: true }.hear_out().await;
            });
        } else if let Some(token) = parts.session.take_token() {
            // MAX has not confirmed: once more on a connection of its own.
            let (open, place) = (parts.open.take(), parts.place.take());
            self.connector.tasks.spawn("end-login", async move {
                end_login(&connector, hello, token, open).await;
                drop(place);
            });
        } else if !may_be_open {
            parts.settled();
        } else {
            count_logout("unconfirmed");
            tracing::warn!(
                "the connection was cut while MAX was opening a session, which may have stayed open: \
                 its owner sees it under Devices in MAX and can end it there"
            );
            // Stopped while hearing MAX out, it stays marked: the end of the process tells.
            if !is_running {
                parts.settled();
            }
        }
    }
}

/// How often ending a login on a new connection is tried, and the pauses between.
const END_TRIES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(4)];

/// Logs out on a new connection, because the one that logged in is gone.
async fn end_login(connector: &Arc<Connector>, hello: Arc<Hello>, token: MaxToken, mut open: Option<OpenLogin>) {
    let mut token = Some(token);
    for pause in END_TRIES {
        tokio::time::sleep(pause).await;
        let Some((index, socket)) = connector.connect(&hello).await else { continue };
        let Some(held) = token.take() else { return };
        let dialect = connector.dialect(index);
        let session = ProtocolSession::end_login(connector.settings, &hello, held, connector.now());
        let mut parts = Parts { session, socket, open: open.take(), deaf: false, place: None, asked: None };
        let end = parts.run(connector, dialect, &NullSink, None).await;
        parts.close().await;
        if end.logout() == Some(Logout::Confirmed) {
            count_logout("confirmed");
            return parts.settled();
        }
        token = parts.session.take_token();
        open = parts.open.take();
    }
    count_logout("failed");
    if let Some(open) = open {
        open.settled();
    }
    tracing::warn!("a MAX session could not be ended: its owner sees it under Devices in MAX and can end it there");
}

/// Each login that MAX opened is counted once.
fn count_logout(result: &'static str) {
    counter!("max_auth_logouts_total", "result" => result).increment(1);
}

fn translate(event: SessionEvent) -> DriverEvent {
    match event {
        SessionEvent::Initialised => DriverEvent::Connected,
        SessionEvent::Code { link, ttl, unix_expires_ms } => {
            DriverEvent::Code { link, ttl, expires_unix_ms: unix_expires_ms, text_code: None }
        }
        SessionEvent::Approved => DriverEvent::Approved,
        SessionEvent::PasswordWanted { hint, wrong } => DriverEvent::Password { hint, wrong },
        SessionEvent::Identified => DriverEvent::Finishing,
    }
}

/// Nobody is listening any more.
struct NullSink;

impl EventSink for NullSink {
    fn emit(&self, _: DriverEvent) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::error::CapacityError;

    #[test]
    fn a_library_that_has_stopped_reading_is_not_a_line_that_was_cut() {
        let large = CapacityError::MessageTooLong { size: 2, max_size: 1 };
        for (error, unreadable) in [
            (SocketError::Capacity(large), true),
            (SocketError::Utf8("bytes".to_owned()), true),
            (SocketError::Protocol(ProtocolError::NonZeroReservedBits), true),
            (SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake), false),
            (SocketError::ConnectionClosed, false),
            (SocketError::Io(std::io::ErrorKind::ConnectionReset.into()), false),
        ] {
            assert_eq!(is_unreadable(&error), unreadable, "{error}");
        }
    }
}
