//! The doctor's HTTP client: one connection per request over HTTP/1.1, one shared over HTTP/2 as browsers do it. It
//! follows nothing, retries nothing and decodes nothing.

use super::connect::{Broken, Destination, STAGE_TIMEOUT, Wire};
use super::progress::{Step, Steps};
use super::tls::Trust;
use crate::base::clock::Clock;
use crate::base::tasks::Tasks;
use crate::probe::FROM_HEADER;
use bytes::Bytes;
use http::header::{HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use url::Url;

/// A browser's, because some firewalls refuse whatever is not one.
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/151.0.0.0 Safari/537.36 max-auth-doctor";

/// An answer's head, and when it came.
pub struct Answer {
    pub response: Response<Incoming>,
    pub began: Instant,
    /// From the request to the head, without connecting.
    pub head_after: Duration,
    /// From the first packet of this probe on, connecting included.
    pub since_connect: Duration,
}

/// What is asked.
pub struct ProbeRequest {
    pub method: Method,
    /// Below the endpoint, with its query.
    pub path: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: &'static str,
    pub patience: Duration,
    /// A WebSocket wants HTTP/1.1 even where HTTP/2 is spoken.
    pub only_http1: bool,
    /// Extended CONNECT (RFC 8441): the WebSocket that browsers open where a proxy announces it.
    pub extended_connect: bool,
}

impl ProbeRequest {
    pub fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            headers: Vec::new(),
            body: "",
            patience: STAGE_TIMEOUT,
            only_http1: false,
            extended_connect: false,
        }
    }
}

type Body = Full<Bytes>;

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// Talks to one endpoint.
pub struct Client {
    to: Destination,
    /// What a browser would send as `Origin`: that of the address people type.
    pub origin: String,
    shared: Mutex<Option<http2::SendRequest<Body>>>,
    /// Whether the other side announced extended CONNECT (RFC 8441).
    announced: Arc<AtomicBool>,
    tasks: Tasks,
    pub clock: Clock,
    steps: Option<Steps>,
}

impl Client {
    pub fn new(url: Url, trust: Trust, tasks: Tasks, clock: Clock) -> Self {
        let origin = url.origin().ascii_serialization();
        let to = Destination { url, host: None, trust, until: None };
        let (shared, announced) = (Mutex::new(None), Arc::default());
        Self { to, origin, shared, announced, tasks, clock, steps: None }
    }

    /// Nothing is waited for beyond this.
    pub fn until(self, until: Option<Instant>) -> Self {
        Self { to: Destination { until, ..self.to }, ..self }
    }

    /// Somebody is told what has answered.
    pub fn telling(self, steps: Option<Steps>) -> Self {
        Self { steps, ..self }
    }

    /// The login endpoint.
    pub fn url(&self) -> &Url {
        &self.to.url
    }

    /// The name to ask for.
    pub fn host(&self) -> String {
        self.to.host()
    }

    /// What is left of this wait.
    pub fn at_most(&self, wait: Duration) -> Duration {
        self.to.at_most(wait)
    }

    /// Whether TLS is spoken where plain HTTP was asked for.
    pub async fn is_tls_port(&self) -> bool {
        self.to.is_tls_port().await
    }

    pub fn tell(&self, step: Step) {
        if let Some(steps) = &self.steps {
            // Whoever does not listen any more misses nothing.
            let _ = steps.send(step);
        }
    }

    /// The same questions at an inner address, as the outer proxies would ask them.
    pub fn hop(&self, url: Url) -> Self {
        let (tasks, clock) = (self.tasks.clone(), self.clock.clone());
        let hop = Self::new(url, self.to.trust.clone(), tasks, clock).until(self.to.until);
        let to = Destination { host: Some(self.host()), ..hop.to };
        Self { to, origin: self.origin.clone(), ..hop }
    }

    /// The same, where a redirect led.
    pub fn moved(self, url: Url) -> Self {
        Self::new(url, self.to.trust, self.tasks, self.clock).until(self.to.until).telling(self.steps)
    }

    /// Whether browsers would open a WebSocket over HTTP/2; known once something was answered.
    pub fn announces_extended_connect(&self) -> bool {
        self.announced.load(Ordering::Relaxed)
    }

    pub async fn ask(&self, ask: &ProbeRequest) -> Result<Answer, Broken> {
        let first = Instant::now();
        let (sender, local) = self.sender(ask.only_http1).await?;
        let path = format!("{}{}", self.to.url.path().trim_end_matches('/'), ask.path);
        let request = self.request(ask, &path, matches!(sender, Sender::Http2(_)), local)?;
        let began = Instant::now();
        let answered = async {
            match sender {
                Sender::Http1(mut sender) => sender.send_request(request).await,
                Sender::Http2(mut sender) => sender.send_request(request).await,
            }
        };
        let patience = self.at_most(ask.patience);
        let response = timeout(patience, answered)
            .await
            .map_err(|_| Broken::Silent(patience.as_secs_f64()))?
            .map_err(|error| Broken::Http(chain(&error)))?;
        Ok(Answer { response, began, head_after: began.elapsed(), since_connect: first.elapsed() })
    }

    fn request(
        &self,
        ask: &ProbeRequest,
        path: &str,
        http2: bool,
        local: Option<SocketAddr>,
    ) -> Result<Request<Body>, Broken> {
        let host = self.host();
        let target = if http2 { format!("{}://{host}{path}", self.to.url.scheme()) } else { path.to_owned() };
        let target: Uri = target.parse().map_err(|_| Broken::Http(format!("{path} is no address")))?;
        let mut request = Request::new(Full::new(Bytes::from_static(ask.body.as_bytes())));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = target;
        if ask.extended_connect {
            request.extensions_mut().insert(Protocol::from_static("websocket"));
        }
        let headers = request.headers_mut();
        if !http2 {
            headers.insert(HOST, HeaderValue::from_str(&host).map_err(|error| Broken::Http(error.to_string()))?);
        } else {
            *request.version_mut() = Version::HTTP_2;
        }
        let headers = request.headers_mut();
        headers.insert(http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(from) = local.and_then(|local| HeaderValue::from_str(&local.to_string()).ok()) {
            headers.insert(HeaderName::from_static(FROM_HEADER), from);
        }
        for (name, value) in &ask.headers {
            headers.insert(name, value.clone());
        }
        Ok(request)
    }

    /// A connection for one request; the shared one where the other side speaks HTTP/2.
    async fn sender(&self, only_http1: bool) -> Result<(Sender, Option<SocketAddr>), Broken> {
        if only_http1 || self.to.url.scheme() != "https" {
            return self.http1(self.to.wire(false).await?).await;
        }
        // Held while connecting: the others wait for the one connection, as in a browser.
        let mut shared = self.shared.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((Sender::Http2(sender.clone()), None));
        }
        let (wire, local, is_http2) = self.to.wire(true).await?;
        if !is_http2 {
            drop(shared);
            return self.http1((wire, local, false)).await;
        }
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(wire))
            .await
            .map_err(|error| Broken::Http(chain(&error)))?;
        let (mut connection, announced) = (Box::pin(connection), Arc::clone(&self.announced));
        self.tasks.spawn("doctor connection", async move {
            let _ = poll_fn(|context| {
                let polled = connection.as_mut().poll(context);
                announced.store(connection.is_extended_connect_protocol_enabled(), Ordering::Relaxed);
                polled
            })
            .await;
        });
        *shared = Some(sender.clone());
        Ok((Sender::Http2(sender), local))
    }

    async fn http1(
        &self,
        (wire, local, _): (Box<dyn Wire>, Option<SocketAddr>, bool),
    ) -> Result<(Sender, Option<SocketAddr>), Broken> {
        let handshake = http1::Builder::new().title_case_headers(true).handshake(TokioIo::new(wire)).await;
        let (sender, connection) = handshake.map_err(|error| Broken::Http(chain(&error)))?;
        self.tasks.spawn("doctor connection", async move {
            let _ = connection.with_upgrades().await;
        });
        Ok((Sender::Http1(sender), local))
    }
}

/// An error with its causes, which hyper keeps to itself otherwise.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Whole milliseconds.
pub fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A header as text.
pub fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
