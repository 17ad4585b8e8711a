//! One entry for each decoder and parser that meets bytes from outside: for the fuzzer (`fuzz/`), and for a test that runs the
//! kept corpus through all of them. Each takes any bytes; what must hold of the outcome is asserted.

use crate::base::rng::Rng;
use crate::base::websocket;
pub use crate::config::fuzzing::config;
pub use crate::doctor::fuzzing::{encoded_stream, event_stream, http_answer, nginx_dump, saved_report};
pub use crate::emulator::fuzzing::{bot_request, fault_script};
use crate::login::Position;
use crate::max::binary::{self, Packing};
use crate::max::frame::{Cmd, Dialect, Frame, Received, Wire};
use crate::max::message::{Hello, UserAgent};
use crate::max::opcode::Opcode;
use crate::max::session::{Now, Output, PasswordPolicy, ProtocolSession, Settings};
pub use crate::oidc::fuzzing::{client_document, email_address, oauth_proof, oauth_request};
pub use crate::server::fuzzing::{query, request_head};
pub use crate::session::fuzzing::{ended_sessions, session_cookie};
use crate::transport::begin;
use futures_util::{FutureExt as _, StreamExt as _};
use std::time::Duration;
use url::Url;

/// A name and what reads the bytes.
#[cfg(test)]
type Target = (&'static str, fn(&[u8]));

/// By the names of the files in `fuzz/fuzz_targets` and the folders in `fuzz/corpus`.
#[cfg(test)]
const TARGETS: &[Target] = &[
    ("bot_request", bot_request),
    ("client_document", client_document),
    ("config", config),
    ("email_address", email_address),
    ("encoded_stream", encoded_stream),
    ("ended_sessions", ended_sessions),
    ("event_stream", event_stream),
    ("fault_script", fault_script),
    ("first_message", first_message),
    ("frame_binary", frame_binary),
    ("frame_json", frame_json),
    ("http_answer", http_answer),
    ("max_session", max_session),
    ("nginx_dump", nginx_dump),
    ("oauth_proof", oauth_proof),
    ("oauth_request", oauth_request),
    ("query", query),
    ("request_head", request_head),
    ("saved_report", saved_report),
    ("session_cookie", session_cookie),
    ("websocket_answer", websocket_answer),
    ("websocket_frames", websocket_frames),
];

/// A message of MAX in the binary dialect: header, MessagePack, LZ4. What can be read can be written and read again.
pub fn frame_binary(data: &[u8]) {
    let _ = Received::Binary(data).head();
    let Ok(frame) = Dialect::Binary.decode(Received::Binary(data)) else { return };
    for packing in [Packing::PLAIN, Packing::LIKE_MAX] {
        if let Ok(bytes) = binary::encode(&frame, packing) {
            assert!(binary::decode(&bytes).is_ok_and(|again| again == frame), "{frame:?}");
        }
    }
}

/// The same in the JSON dialect.
pub fn frame_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Received::Text(text).head();
    let Ok(frame) = Dialect::Json.decode(Received::Text(text)) else { return };
    // A request without payload is written as one with an empty one: only what was written must come back as it was.
    let Ok(Wire::Text(written)) = Dialect::Json.encode(&frame) else { return };
    let again = Dialect::Json.decode(Received::Text(&written)).ok();
    let again = again.and_then(|again| Dialect::Json.encode(&again).ok());
    assert!(again.is_some_and(|again| again == Wire::Text(written)), "{frame:?}");
}

/// A conversation with a MAX that says anything: a line is a step. It ends once, whatever comes.
pub fn max_session(data: &[u8]) {
    const SETTINGS: Settings = Settings {
        password: PasswordPolicy::Ask,
        poll_interval: Duration::from_secs(5),
        answer_timeout: Duration::from_secs(10),
        logout_timeout: Duration::from_secs(15),
    };
    let mut now = Now { mono: Duration::ZERO, unix_ms: 1_787_333_000_000 };
    let mut session = ProtocolSession::begin(SETTINGS, &hello(), now);
    let (mut asked, mut ends) = ((0, Opcode::SESSION_INIT), 0);
    for step in data.split(|byte| *byte == b'\n').take(128) {
        drain(&mut session, &mut asked, &mut ends);
        now.mono += Duration::from_millis(250);
        let Some((kind, rest)) = step.split_first() else { continue };
        let payload = || serde_json::from_slice(rest).ok();
        match kind {
            b'a' => session.on_frame(Frame::answer(asked.0, asked.1, payload()), now),
            b'e' => session.on_frame(Frame::error(asked.0, asked.1, payload().unwrap_or_default()), now),
            b'p' => session.on_frame(Frame::request(asked.0, Opcode(u16::from(rest.len() as u8)), None), now),
            b'b' => {
                if let Ok(frame) = binary::decode(rest) {
                    session.on_frame(frame, now);
                }
            }
            b'u' => session.on_unreadable(Frame::answer(asked.0, asked.1, None).head().into(), now),
            b'U' => session.on_unreadable(None, now),
            b't' => {
                now.mono = session.deadline().map_or(now.mono, |deadline| deadline.max(now.mono));
                session.on_deadline(now);
            }
            b'w' => session.wake(now),
            b'k' => _ = session.password(String::from_utf8_lossy(rest).into_owned().into(), now),
            b's' => session.stop(now),
            b'c' => session.on_closed(now),
            _ => {}
        }
    }
    session.on_closed(now);
    drain(&mut session, &mut asked, &mut ends);
    assert_eq!(ends, 1);
}

fn drain(session: &mut ProtocolSession, asked: &mut (u16, Opcode), ends: &mut u32) {
    while let Some(output) = session.poll_output() {
        match output {
            Output::Send(frame) if frame.cmd == Cmd::Request => *asked = (frame.seq, frame.opcode),
            Output::Send(_) | Output::Event(_) => {}
            Output::End(_) => *ends += 1,
        }
    }
}

fn hello() -> Hello {
    let text = |text: &str| text.to_owned();
    Hello {
        user_agent: UserAgent {
            locale: text("ru"),
            device_locale: text("ru"),
            os_version: text("Linux"),
            device_name: text("Chrome"),
            header_user_agent: text("Mozilla/5.0"),
            is_pwa: false,
            app_version: text("26.10.1"),
            screen: text("1080x1920 1.0x"),
            timezone: text("Europe/Moscow"),
        },
        device_id: text("10984d3d-ac32-4992-838c-7e1866fab5e8"),
    }
}

/// What begins or resumes a login, by POST or as the first message of a WebSocket; and a position as text.
pub fn first_message(data: &[u8]) {
    let _ = begin::first_message(data);
    if let Some(position) = std::str::from_utf8(data).ok().and_then(Position::parse) {
        assert_eq!(Position::parse(&position.to_string()), Some(position));
    }
}

/// What a browser sends through an open WebSocket.
pub fn websocket_frames(data: &[u8]) {
    const MAX_MESSAGE: usize = 4096;
    // Every byte is there already, so nothing is waited for.
    let read = async {
        let stream = tokio::io::join(data, tokio::io::sink());
        let mut socket = websocket::server_socket(stream, MAX_MESSAGE, None).await;
        while let Some(Ok(message)) = socket.next().await {
            assert!(message.len() <= MAX_MESSAGE);
        }
    };
    let _ = read.now_or_never();
}

/// What a server answers to our WebSocket handshake, and the frames behind it.
pub fn websocket_answer(data: &[u8]) {
    let Ok(url) = Url::parse("wss://max.example/websocket") else { return };
    let connect = async {
        let stream = tokio::io::join(data, tokio::io::sink());
        if let Ok(mut connected) = websocket::connect(stream, &url, &[], &Rng::system(), 4096).await {
            while let Some(Ok(_)) = connected.socket.next().await {}
        }
    };
    let _ = connect.now_or_never();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    fn folder(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
    }

    #[test]
    fn the_kept_corpus_passes() {
        let mut bytes = 0;
        for (name, target) in TARGETS {
            let mut files = 0;
            for entry in fs::read_dir(folder("corpus").join(name)).unwrap() {
                let data = fs::read(entry.unwrap().path()).unwrap();
                target(&data);
                files += 1;
                bytes += data.len();
            }
            assert!(files > 0, "fuzz/corpus/{name} has no seed");
        }
        assert!(bytes <= 300_000, "the corpus is {bytes} bytes; keep the seeds that find something, and no more");
    }

    #[test]
    fn every_entry_has_its_target_and_the_other_way_round() {
        let files = fs::read_dir(folder("fuzz_targets")).unwrap();
        let files = files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
        let names = TARGETS.iter().map(|(name, _)| (*name).to_owned());
        assert_eq!(files.collect::<BTreeSet<_>>(), names.collect::<BTreeSet<_>>());
    }
}
