//! The doctor's HTTP client: one connection per request over HTTP/1.1, one shared over HTTP/2 as browsers do it, and
//! each failure with the stage it happened in. It follows nothing, retries nothing and decodes nothing.

use super::progress::{Step, Steps};
use super::tls::{self, Trust};
use crate::base::clock::Clock;
use crate::base::tasks::Tasks;
use crate::probe::FROM_HEADER;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use http::header::{HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use std::future::{Future as _, poll_fn};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use url::{Position, Url};

/// One stage of connecting: a healthy line takes a tenth of it, and the verdict is wanted within five seconds.
const STAGE_TIMEOUT: Duration = Duration::from_secs(3);

/// Between the first try of one address and of the next (RFC 8305 recommends it).
const STAGGER: Duration = Duration::from_millis(250);

/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

/// A browser's, because some firewalls refuse whatever is not one.
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/151.0.0.0 Safari/537.36 max-auth-doctor";

/// Why there is no answer, by stage.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Broken {
    #[error("DNS: {0}")]
    Dns(String),
    /// Not the site's fault: this machine gets nowhere.
    #[error("the network of this machine: {0}")]
    LocalNetwork(String),
    #[error("TCP: {0}")]
    Tcp(String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("no answer within {0:.1} s")]
    Silent(f64),
    #[error("the connection broke: {0}")]
    Http(String),
}

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

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

type Body = Full<Bytes>;

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// Talks to one endpoint.
pub struct Client {
    /// The login endpoint.
    pub url: Url,
    /// The name to ask for, where it is not the address's (an inner hop).
    host: Option<String>,
    /// What a browser would send as `Origin`: that of the address people type.
    pub origin: String,
    trust: Trust,
    /// The doctor's word: nothing is waited for beyond it.
    until: Option<Instant>,
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
        let (shared, announced) = (Mutex::new(None), Arc::default());
        Self { url, host: None, origin, trust, until: None, shared, announced, tasks, clock, steps: None }
    }

    /// Nothing is waited for beyond this.
    pub fn until(self, until: Option<Instant>) -> Self {
        Self { until, ..self }
    }

    /// Somebody is told what has answered.
    pub fn telling(self, steps: Option<Steps>) -> Self {
        Self { steps, ..self }
    }

    pub fn tell(&self, step: Step) {
        if let Some(steps) = &self.steps {
            // Whoever does not listen any more misses nothing.
            let _ = steps.send(step);
        }
    }

    /// What is left of this wait.
    pub fn at_most(&self, wait: Duration) -> Duration {
        self.until.map_or(wait, |until| wait.min(until.saturating_duration_since(Instant::now())))
    }

    /// The same questions at an inner address, as the outer proxies would ask them.
    pub fn hop(&self, url: Url) -> Self {
        let (tasks, clock) = (self.tasks.clone(), self.clock.clone());
        let hop = Self::new(url, self.trust.clone(), tasks, clock).until(self.until);
        Self { host: Some(self.host()), origin: self.origin.clone(), ..hop }
    }

    /// The same, where a redirect led.
    pub fn moved(self, url: Url) -> Self {
        Self::new(url, self.trust, self.tasks, self.clock).until(self.until).telling(self.steps)
    }

    /// Whether browsers would open a WebSocket over HTTP/2; known once something was answered.
    pub fn announces_extended_connect(&self) -> bool {
        self.announced.load(Ordering::Relaxed)
    }

    pub fn host(&self) -> String {
        match &self.host {
            Some(host) => host.clone(),
            None => self.url[Position::BeforeHost..Position::AfterPort].to_owned(),
        }
    }

    pub async fn ask(&self, ask: &ProbeRequest) -> Result<Answer, Broken> {
        let first = Instant::now();
        let (sender, local) = self.sender(ask.only_http1).await?;
        let path = format!("{}{}", self.url.path().trim_end_matches('/'), ask.path);
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
        let target = if http2 { format!("{}://{host}{path}", self.url.scheme()) } else { path.to_owned() };
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
        if only_http1 || self.url.scheme() != "https" {
            return self.http1(self.wire(false).await?).await;
        }
        // Held while connecting: the others wait for the one connection, as in a browser.
        let mut shared = self.shared.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((Sender::Http2(sender.clone()), None));
        }
        let (wire, local, is_http2) = self.wire(true).await?;
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

    async fn wire(&self, offer_http2: bool) -> Result<(Box<dyn Wire>, Option<SocketAddr>, bool), Broken> {
        let stream = race(&self.addresses().await?, self.at_most(STAGE_TIMEOUT)).await?;
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().ok();
        if self.url.scheme() != "https" {
            return Ok((Box::new(stream), local, false));
        }
        let name = self.server_name();
        let asked = ServerName::try_from(name.clone()).map_err(|error| Broken::Tls(error.to_string()))?;
        let address = stream.peer_addr().ok();
        let (config, leaf) = self.trust.client(offer_http2);
        let stream =
            match timeout(self.at_most(STAGE_TIMEOUT), TlsConnector::from(Arc::new(config)).connect(asked, stream))
                .await
            {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return Err(Broken::Tls(self.refused(&error, address, leaf.get(), &name).await)),
                Err(_) => return Err(Broken::Tls(format!("no answer in {STAGE_TIMEOUT:?}"))),
            };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Box::new(stream), local, is_http2))
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, Broken> {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.url.port_or_known_default().unwrap_or(443);
        match timeout(self.at_most(STAGE_TIMEOUT), lookup_host((host, port))).await {
            Err(_) => {
                Err(Broken::LocalNetwork(format!("no name server answers, asked for {host} for {STAGE_TIMEOUT:?}")))
            }
            Ok(Err(error)) if no_resolver(&error) => {
                Err(Broken::LocalNetwork(format!("no name server answers: {host}: {error}")))
            }
            Ok(Err(error)) => Err(Broken::Dns(format!("{host}: {error}"))),
            Ok(Ok(found)) => {
                let found: Vec<SocketAddr> = found.take(ADDRESSES).collect();
                if found.is_empty() { Err(Broken::Dns(format!("{host} has no address"))) } else { Ok(found) }
            }
        }
    }

    /// Why the greeting of TLS failed.
    async fn refused(
        &self,
        error: &std::io::Error,
        address: Option<SocketAddr>,
        leaf: Option<&CertificateDer<'_>>,
        name: &str,
    ) -> String {
        if let Some(address) = address.filter(|_| tls::may_be_plain(error))
            && tls::speaks_plain_http(address, &self.host()).await
        {
            let port = address.port();
            return format!(
                "port {port} speaks plain HTTP, not TLS: ask http://{}, or give the port a certificate",
                self.host()
            );
        }
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => tls::explain(error, leaf, name),
            None => error.to_string(),
        }
    }

    /// Whether TLS is spoken where plain HTTP was asked for.
    pub async fn is_tls_port(&self) -> bool {
        let (Ok(addresses), Ok(name)) = (self.addresses().await, ServerName::try_from(self.server_name())) else {
            return false;
        };
        if self.url.scheme() != "http" {
            return false;
        }
        let asked = addresses.iter().map(|address| tls::speaks_tls(*address, name.clone()));
        join_all(asked).await.contains(&true)
    }

    /// The name in the certificate: the visitor's, also at an inner hop.
    fn server_name(&self) -> String {
        let url = self.host.as_deref().and_then(|host| Url::parse(&format!("https://{host}/")).ok());
        let name = url.as_ref().unwrap_or(&self.url).host_str().unwrap_or_default();
        name.trim_matches(['[', ']']).to_owned()
    }
}

/// The first of several addresses that answers. A further one is tried a little later, beside those before it (RFC 8305),
/// so that silent ones cost no more than one does.
pub async fn race(addresses: &[SocketAddr], patience: Duration) -> Result<TcpStream, Broken> {
    let mut tries: FuturesUnordered<_> = addresses
        .iter()
        .zip(0..)
        .map(|(address, index)| async move {
            sleep(STAGGER * index).await;
            (*address, TcpStream::connect(*address).await)
        })
        .collect();
    let mut failed = Vec::new();
    let first = async {
        while let Some((address, tried)) = tries.next().await {
            match tried {
                Ok(stream) => return Some(stream),
                Err(error) => failed.push((address, error)),
            }
        }
        None
    };
    if let Ok(Some(stream)) = timeout(patience, first).await {
        return Ok(stream);
    }
    let told: Vec<String> = addresses
        .iter()
        .map(|address| match failed.iter().find(|(of, _)| of == address) {
            Some((_, error)) => format!("{address}: {error}"),
            None => format!("{address}: no answer in {:.1} s", patience.as_secs_f64()),
        })
        .collect();
    let nowhere = failed.len() == addresses.len() && failed.iter().all(|(_, error)| no_route(error));
    let told = told.join("; ");
    Err(if nowhere { Broken::LocalNetwork(told) } else { Broken::Tcp(told) })
}

/// No way out of this machine. "No route to host" is not one of these: a firewall in front of the site says it, too.
fn no_route(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown)
}

/// EAI_AGAIN: the name may well exist, nobody could be asked. There is no kind for it.
fn no_resolver(error: &std::io::Error) -> bool {
    error.to_string().contains("Temporary failure in name resolution")
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
