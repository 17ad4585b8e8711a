//! One login: a browser's WebSocket, one to MAX, and what goes between them.

use crate::max::{self, GET_QR, INIT, LOGIN, STATUS, Said};
use crate::websocket::{self, CLOSE, PING, PONG, TEXT};
use crate::{Endpoint, Relay};
use serde::Deserialize;
use std::future::{Future as _, poll_fn};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::client::TlsStream;

/// For a code: from the browser's connection on.
const BEGIN: Duration = Duration::from_secs(30);

/// TCP, or TLS whose larger state only those carry who have it.
enum Line {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Line {
    fn both(self: Pin<&mut Self>) -> Pin<&mut dyn Stream> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(&mut **stream),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.both().poll_read(cx, into)
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.both().poll_write(cx, bytes)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.both().poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.both().poll_shutdown(cx)
    }
}

struct Login {
    browser: TcpStream,
    line: Line,
    /// What came of a frame that is not whole yet, of the browser and of MAX.
    rests: [Vec<u8>; 2],
    seq: u16,
    track: Box<str>,
    every: Duration,
}

/// What may happen to a login that waits.
enum Happened {
    Said(Said),
    Browser(u8, Vec<u8>),
    Due,
}

pub async fn serve(browser: TcpStream, relay: &'static Relay) -> io::Result<()> {
    // What only the beginning needs is let go after it.
    let mut login = timeout(BEGIN, Box::pin(Login::begin(browser, relay))).await??;
    login.wait().await
}

impl Login {
    async fn begin(mut browser: TcpStream, relay: &Relay) -> io::Result<Self> {
        browser.set_nodelay(true)?;
        let head = websocket::head(&mut browser).await?;
        let answer = websocket::accepted(&head).ok_or(io::ErrorKind::InvalidData)?;
        browser.write_all(answer.as_bytes()).await?;
        let mut rests = [Vec::new(), Vec::new()];
        let hello = poll_fn(|cx| {
            websocket::poll_frame(&mut browser, &mut rests[0], cx, |frame, payload| {
                (frame == TEXT).then(|| init(payload))
            })
        });
        let init = hello.await?.flatten().ok_or(io::ErrorKind::InvalidData)?;
        tell(&mut browser, "status", r#"{"message":"Получаем QR-код…"}"#).await?;
        let line = connect(&relay.endpoint).await?;
        let mut login = Self { browser, line, rests, seq: 0, track: "".into(), every: Duration::ZERO };
        login.ask(INIT, &init).await?;
        login.hear(Said::Welcome).await?;
        login.ask(GET_QR, "{}").await?;
        match login.said().await? {
            Said::Code { link, track, every } => login.show(&link, track, every).await?,
            _ => return Err(io::ErrorKind::ConnectionRefused.into()),
        }
        Ok(login)
    }

    async fn hear(&mut self, expected: Said) -> io::Result<()> {
        let said = self.said().await?;
        if said == expected { Ok(()) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
    }

    async fn said(&mut self) -> io::Result<Said> {
        poll_fn(|cx| {
            websocket::poll_frame(&mut self.line, &mut self.rests[1], cx, |frame, text| max::read(frame, text))
        })
        .await
    }

    async fn ask(&mut self, opcode: u16, payload: &str) -> io::Result<()> {
        let request = max::request(self.seq, opcode, payload);
        self.seq = self.seq.wrapping_add(1);
        self.send(TEXT, request.as_bytes()).await
    }

    async fn send(&mut self, frame: u8, payload: &[u8]) -> io::Result<()> {
        let mask = (random() as u32).to_ne_bytes();
        let frame = websocket::frame(frame, payload, Some(mask));
        self.line.write_all(&frame).await?;
        self.line.flush().await
    }

    async fn show(&mut self, link: &str, track: Box<str>, every: Duration) -> io::Result<()> {
        (self.track, self.every) = (track, every);
        let data = format!(r#"{{"qrLink":{}}}"#, serde_json::to_string(link)?);
        tell(&mut self.browser, "qr", &data).await
    }

    async fn wait(&mut self) -> io::Result<()> {
        let mut due = pin!(sleep_until(Instant::now() + self.every));
        loop {
            let happened = poll_fn(|cx| {
                if let Poll::Ready(said) =
                    websocket::poll_frame(&mut self.line, &mut self.rests[1], cx, |frame, text| max::read(frame, text))
                {
                    return Poll::Ready(said.map(Happened::Said));
                }
                let browser = |frame: u8, payload: &mut [u8]| Happened::Browser(frame, payload.to_vec());
                if let Poll::Ready(came) = websocket::poll_frame(&mut self.browser, &mut self.rests[0], cx, browser) {
                    return Poll::Ready(came);
                }
                due.as_mut().poll(cx).map(|()| Ok(Happened::Due))
            });
            match happened.await? {
                Happened::Due => {
                    due.as_mut().reset(Instant::now() + self.every);
                    self.ask_about(STATUS).await?;
                }
                Happened::Said(Said::Approved) => self.ask_about(LOGIN).await?,
                Happened::Said(Said::Person { id, name }) => {
                    let data = format!(r#"{{"id":"{id}","name":{}}}"#, serde_json::to_string(&name)?);
                    tell(&mut self.browser, "success", &data).await?;
                    return self.browser.write_all(&websocket::frame(CLOSE, &1000_u16.to_be_bytes(), None)).await;
                }
                Happened::Said(Said::Refused(STATUS)) => self.ask(GET_QR, "{}").await?,
                Happened::Said(Said::Code { link, track, every }) => self.show(&link, track, every).await?,
                Happened::Said(Said::Ping(seq)) => self.send(TEXT, max::answer_to_ping(seq).as_bytes()).await?,
                Happened::Said(Said::FramePing(payload)) => self.send(PONG, &payload).await?,
                Happened::Said(Said::Refused(_) | Said::Gone) => {
                    return tell(&mut self.browser, "error", r#"{"code":"upstream"}"#).await;
                }
                Happened::Browser(PING, payload) => {
                    self.browser.write_all(&websocket::frame(PONG, &payload, None)).await?;
                }
                Happened::Browser(CLOSE, _) => return Ok(()),
                Happened::Said(Said::Welcome | Said::Waiting | Said::Other) | Happened::Browser(..) => {}
            }
        }
    }

    async fn ask_about(&mut self, opcode: u16) -> io::Result<()> {
        let payload = format!(r#"{{"trackId":{}}}"#, serde_json::to_string(&*self.track)?);
        self.ask(opcode, &payload).await
    }
}

async fn tell(browser: &mut TcpStream, event: &str, data: &str) -> io::Result<()> {
    let text = format!(r#"{{"event":"{event}","data":{data}}}"#);
    browser.write_all(&websocket::frame(TEXT, text.as_bytes(), None)).await
}

/// What MAX is told of the browser.
fn init(hello: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Hello {
        user_agent: serde_json::Map<String, serde_json::Value>,
    }
    let mut told = serde_json::from_slice::<Hello>(hello).ok()?.user_agent;
    for (name, value) in [
        ("deviceType", "WEB"),
        ("pushDeviceType", "WEBPUSH"),
        ("locale", "ru"),
        ("deviceLocale", "ru"),
        ("headerUserAgent", AGENT),
        ("appVersion", "26.10.1"),
        ("screen", "1080x1920 1.0x"),
        ("timezone", "Europe/Moscow"),
    ] {
        told.entry(name).or_insert_with(|| value.into());
    }
    let (a, b) = (random(), random());
    let device = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a as u32,
        (a >> 32) as u16,
        (a >> 52) as u16,
        (b >> 52) as u16,
        b & 0xffff_ffff_ffff
    );
    Some(serde_json::json!({ "userAgent": told, "deviceId": device }).to_string())
}

const AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/151.0.0.0 Safari/537.36";

/// Not to be guessed by a page, which is what masks are for.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

async fn connect(endpoint: &Endpoint) -> io::Result<Line> {
    let stream = TcpStream::connect(endpoint.address).await?;
    stream.set_nodelay(true)?;
    let mut line = match &endpoint.tls {
        None => Line::Plain(stream),
        Some((connector, name)) => Line::Tls(Box::new(connector.connect(name.clone(), stream).await?)),
    };
    let request = format!(
        "GET /websocket HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://web.max.ru\r\nUser-Agent: {AGENT}\r\n\r\n",
        endpoint.address
    );
    line.write_all(request.as_bytes()).await?;
    line.flush().await?;
    let head = websocket::head(&mut line).await?;
    if head.starts_with("HTTP/1.1 101") { Ok(line) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
}
