//! One session machine on one connection, driven to its end. Whatever happens to the task around it, a MAX login that
//! may be open is carried to its LOGOUT: dropping a runner hands it to a task of its own.

use super::connector::Connector;
use super::open_logins::OpenLogin;
use crate::max::frame::{Dialect, Received, Wire};
use crate::max::message::Hello;
use crate::max::session::{End, Logout, Output, ProtocolSession, SessionEvent};
use crate::max::token::MaxToken;
use crate::signin::{Command, CommandSlot, DriverEvent, EventSink};
use crate::upstream::UpstreamSocket;
use futures_util::{SinkExt as _, StreamExt as _};
use metrics::counter;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

/// One write to MAX. Its frames are small: if the socket takes none for so long, the connection is dead.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// Saying goodbye: the close frame is written, its echo not waited for.
const CLOSE_TIME: Duration = Duration::from_millis(200);

/// How long MAX may go on sending what we cannot read, after a LOGOUT that is sent blindly: closing a socket with unread
/// bytes in it resets the connection, and the LOGOUT could be lost with it.
const DRAIN_TIME: Duration = Duration::from_secs(2);

pub struct SessionRunner {
    /// `None` only once it has been handed on.
    parts: Option<Parts>,
    connector: Arc<Connector>,
    hello: Arc<Hello>,
    dialect: Dialect,
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
}

impl SessionRunner {
    pub fn new(
        connector: Arc<Connector>,
        session: ProtocolSession,
        socket: UpstreamSocket,
        hello: Arc<Hello>,
        dialect: Dialect,
    ) -> Self {
        let parts = Parts { session, socket, open: None, deaf: false, place: None };
        Self { parts: Some(parts), connector, hello, dialect, is_ending: false }
    }

    /// Runs until it is known how the sign-in ends, which may be before MAX has answered LOGOUT: what is left of it is heard
    /// out when the runner is dropped. `sink` gets what happens; `commands` is read as long as it is there.
    pub async fn run(&mut self, sink: &dyn EventSink, commands: Option<&CommandSlot>) -> Option<End> {
        let parts = self.parts.as_mut()?;
        let end = parts.run(&self.connector, self.dialect, sink, commands).await;
        match end.logout() {
            Some(Logout::Underway) => return Some(end),
            Some(Logout::Confirmed) => count_logout("confirmed"),
            // When that is to be counted is decided where this is dropped.
            Some(Logout::NotNeeded | Logout::Failed) | None => {}
        }
        parts.close().await;
        Some(end)
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

impl Parts {
    async fn run(
        &mut self,
        connector: &Connector,
        dialect: Dialect,
        sink: &dyn EventSink,
        commands: Option<&CommandSlot>,
    ) -> End {
        loop {
            if let Some(end) = self.drain(connector, dialect, sink).await {
                return end;
            }
            if commands.is_some()
                && let Some(end) = self.identified(connector)
            {
                return end;
            }
            let deadline = self.session.deadline().map(|at| connector.clock.instant(at));
            tokio::select! {
                message = self.socket.next(), if !self.deaf => self.hear(message, connector, dialect),
                () = async { match deadline { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {
                    self.session.on_deadline(connector.now());
                }
                command = async { match commands { Some(commands) => commands.next().await, None => std::future::pending().await } } => {
                    match command {
                        Command::Wake => self.session.wake(connector.now()),
                        Command::Stop => self.session.stop(connector.now()),
                        Command::Password(password) => {
                            // Not wanted any more: the log has said so to whoever sent it.
                            let _ = self.session.password(password.into_inner(), connector.now());
                        }
                    }
                }
            }
        }
    }

    async fn drain(&mut self, connector: &Connector, dialect: Dialect, sink: &dyn EventSink) -> Option<End> {
        self.mark_open(connector);
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::End(end) => return Some(end),
                Output::Event(event) => sink.emit(translate(event)),
                Output::Send(frame) => {
                    let message = match dialect.encode(&frame) {
                        Ok(Wire::Text(text)) => Message::text(text),
                        Ok(Wire::Binary(bytes)) => Message::binary(bytes),
                        Err(error) => {
                            tracing::error!(opcode = %frame.opcode, "a frame for MAX cannot be written: {error}");
                            self.session.on_closed(connector.now());
                            continue;
                        }
                    };
                    if !matches!(timeout(WRITE_TIME, self.socket.send(message)).await, Ok(Ok(()))) {
                        self.session.on_closed(connector.now());
                    }
                }
            }
        }
        None
    }

    /// LOGOUT has been written: nobody waits for its answer, unless so many do that they could take all the files.
    fn identified(&mut self, connector: &Connector) -> Option<End> {
        if !self.session.holds_token() {
            return None;
        }
        let place = Arc::clone(&connector.endings).try_acquire_owned().ok()?;
        let end = self.session.take_identified()?;
        self.place = Some(place);
        Some(end)
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
        let (connector, hello, dialect) = (Arc::clone(&self.connector), Arc::clone(&self.hello), self.dialect);
        if may_be_open && is_running && !self.is_ending {
            // Its visitor has been told, or the task around us died in the middle: hear MAX out, and log out.
            self.connector.tasks.spawn("end-login", async move {
                SessionRunner { parts: Some(parts), connector, hello, dialect, is_ending: true }.hear_out().await;
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
        let session = ProtocolSession::end_login(connector.settings, Hello::clone(&hello), held, connector.now());
        let mut parts = Parts { session, socket, open: open.take(), deaf: false, place: None };
        let end = parts.run(connector, dialect, &NullSink, None).await;
        parts.close().await;
        if matches!(end, End::Stopped { logout: Logout::Confirmed }) {
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
            DriverEvent::Code { link, ttl, expires_unix_ms: unix_expires_ms }
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
