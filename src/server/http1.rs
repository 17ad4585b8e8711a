//! A connection of HTTP/1: bounded heads and bodies, a stop that lets answers finish. While an answer waits, the connection
//! is taken from hyper, and given back to a new one for what follows.

use super::connection_uses::{Connection, STOP_ANSWERS, Use};
use super::line::Line;
use super::parked::{self, Again, Parked, Persistence};
use super::timeouts::TimelyBody;
use super::waiting::{MayWait, come};
use crate::base::limits::{REQUEST_HEAD, REQUEST_HEAD_TIME};
use crate::base::metered::Held;
use crate::base::tasks::Tasks;
use crate::base::websocket::has_token;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::ConnectInfo;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{Method, Request, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::{Future as _, pending, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt as _;

/// Who is asked, and by whom.
pub struct Asked {
    pub peer: SocketAddr,
    pub connection: Arc<Connection>,
    pub routes: Router,
    pub tasks: Tasks,
}

/// Serves a connection to its end. Each step is a box of its own, so that a waiting answer has room for itself only.
pub async fn serve<S>(stream: S, asked: Arc<Asked>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut again = Box::new((Line::new(stream), None));
    loop {
        let Some((line, parked)) = Box::pin(exchange(again, &asked)).await else { return };
        let over = match parked {
            Parked::Answer(later, how) => Box::pin(parked::answer(line, later, how, &asked.tasks)).await,
            Parked::Body(body, how) => Box::pin(parked::body(line, body, how, &asked.tasks)).await,
        };
        let Some(next) = over else { return };
        again = next;
    }
}

/// Where the answer that waits is put, for who polls the connection.
type Slot = Arc<Mutex<Option<Parked>>>;

fn park(slot: &Slot, parked: Parked) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(parked);
}

/// Answers requests until one waits, or the connection is over.
async fn exchange<S>(again: Again<S>, asked: &Arc<Asked>) -> Option<(Line<S>, Parked)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (line, answer) = *again;
    let (slot, flushed, answer) = (Slot::default(), line.flushed(), Mutex::new(answer));
    let service = service_fn(|request: Request<Incoming>| {
        let answered = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (asked, slot) = (Arc::clone(asked), Arc::clone(&slot));
        async move {
            match answered {
                Some(answer) => Ok::<_, Infallible>(answer),
                None => Ok(respond(request, asked, slot).await),
            }
        }
    });
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(REQUEST_HEAD_TIME).max_buf_size(REQUEST_HEAD);
    let mut served = builder.serve_connection(TokioIo::new(line), service).with_upgrades();
    let mut ends_at = None;
    loop {
        // Nothing may be left in hyper's buffer when the connection is taken from it.
        let next = poll_fn(|cx| match Pin::new(&mut served).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Err(ended)),
            Poll::Pending if flushed.is_true() => {
                let parked = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
                parked.map_or(Poll::Pending, |parked| Poll::Ready(Ok(parked)))
            }
            Poll::Pending => Poll::Pending,
        });
        tokio::select! {
            // First: an answer that is there must be asked for before hyper is told to stop.
            biased;
            next = next => {
                let parked = match next {
                    Ok(parked) => parked,
                    Err(ended) => {
                        // A peer that went away is everyday life.
                        let _ = ended.inspect_err(|error| tracing::trace!("a connection ended: {error}"));
                        return None;
                    }
                };
                let parts = served.into_parts()?;
                let mut line = parts.io.into_inner();
                line.put_back(&parts.read_buf);
                return Some((line, parked));
            }
            () = asked.tasks.stopping(), if ends_at.is_none() => {}
            why = asked.connection.unused(), if ends_at.is_none() => {
                metrics::counter!("max_auth_connections_ended_total", "why" => why).increment(1);
            }
            () = sleep_until(ends_at.unwrap_or_else(Instant::now)), if ends_at.is_some() => return None,
        }
        Pin::new(&mut served).graceful_shutdown();
        ends_at = Some(Instant::now() + STOP_ANSWERS);
    }
}

async fn respond(request: Request<Incoming>, asked: Arc<Asked>, slot: Slot) -> Response {
    let used = Use::begin(&asked.connection);
    let how = Persistence::of(&request);
    let is_head = request.method() == Method::HEAD;
    let is_whole = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let mut request = request.map(|body| match body.is_end_stream() {
        true => Body::empty(),
        false => Body::new(Noticed { body: TimelyBody::new(body), is_whole: Arc::clone(&is_whole) }),
    });
    let extensions = request.extensions_mut();
    extensions.insert(ConnectInfo(asked.peer));
    // A WebSocket outlives its request, and the connection as its server sees it.
    extensions.insert(Held(Arc::clone(&used) as _));
    if is_whole.load(Ordering::Relaxed) && !is_head {
        extensions.insert(MayWait);
    }
    let Ok(response) = asked.routes.clone().oneshot(request).await;
    let response = match come(response) {
        Ok(response) => response,
        Err(mut later) => match futures_util::poll!(&mut later) {
            Poll::Ready(response) => response,
            Poll::Pending => {
                park(&slot, Parked::Answer(later, how));
                return pending().await;
            }
        },
    };
    // With a body that is not read whole, or of which hyper knows how it ends, the connection is hyper's to the end.
    let is_stream = response.status() == StatusCode::OK && response.body().size_hint().exact().is_none();
    let says_close = has_token(response.headers(), CONNECTION.as_str(), "close");
    if !is_stream || is_head || says_close || !is_whole.load(Ordering::Relaxed) {
        return response;
    }
    response.map(|body| Body::new(Streamed { body: Some(body), how, slot }))
}

/// The body of a request, which says when it is there as a whole.
struct Noticed<B> {
    body: B,
    is_whole: Arc<AtomicBool>,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Noticed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || matches!(frame, Poll::Ready(Some(Ok(_)))) && self.body.is_end_stream()
        {
            self.is_whole.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer until it waits.
struct Streamed {
    body: Option<Body>,
    how: Persistence,
    slot: Slot,
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Pending };
        let frame = Pin::new(body).poll_frame(cx);
        if frame.is_pending()
            && let Some(body) = self.body.take()
        {
            park(&self.slot, Parked::Body(body, self.how));
        }
        frame
    }
}
