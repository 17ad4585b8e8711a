//! One connection to MAX: DNS, TCP, TLS, upgrade, each with its own time budget, so that an error can name the stage.

use crate::base::limits::UPSTREAM_MESSAGE;
use crate::base::rng::Rng;
use crate::base::websocket;
use crate::config::Endpoint;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use url::Url;

/// Time budgets, so that a dead endpoint costs a visitor seconds and not a system's default of minutes.
const DNS_TIME: Duration = Duration::from_secs(3);
const TCP_TIME: Duration = Duration::from_secs(3);
const TLS_TIME: Duration = Duration::from_secs(5);
const UPGRADE_TIME: Duration = Duration::from_secs(5);

/// Addresses of one name that are tried: MAX's hosts have two or three.
const ADDRESSES: usize = 4;

/// What MAX expects of a browser; without it the upgrade is answered 403.
const ORIGIN: &str = "https://web.max.ru";

/// TCP or TLS.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A WebSocket to MAX.
pub type UpstreamSocket = WebSocketStream<Box<dyn ByteStream>>;

/// Where a connection failed, and why.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("DNS: {0}")]
    Dns(String),
    #[error("TCP: {0}")]
    Tcp(String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("WebSocket upgrade: {0}")]
    Upgrade(String),
}

/// Russian Trusted Root CA of the Ministry of Digital Development, in which the chain of MAX's Bot API ends. SHA-256 of the certificate:
/// `d26d2d0231b7c39f92cc738512ba54103519e4405d68b5bd703e9788ca8ecf31`. No browser outside Russia trusts it, and nothing of ours
/// but the connection to that API does.
const RUSSIAN_TRUSTED_ROOT_CA: &[u8] = include_bytes!("russian_trusted_root_ca.pem");

/// Whose hosts that root may speak for.
const MAX_DOMAIN: &str = "max.ru";

/// The roots that MAX's certificate is checked against: Mozilla's, and `upstream.ca_file`.
#[derive(Clone)]
pub struct Roots(TlsConnector);

/// A file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key} {path}: {why}")]
pub struct RootsError {
    key: &'static str,
    path: PathBuf,
    why: String,
}

impl Roots {
    /// Reads `ca_file`, if there is one. An error names the file and what is wrong with it.
    pub fn load(ca_file: Option<&Path>) -> Result<Self, RootsError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = ca_file {
            add(&mut roots, path, "upstream.ca_file")?;
        }
        Ok(Self::of(roots))
    }

    /// For one host alone, that of a bot's API: what `ca_file` names instead of the usual ones, or Mozilla's and, for MAX's own hosts,
    /// the Russian Trusted Root CA.
    pub fn of_bot_api(host: &str, ca_file: Option<&Path>) -> Result<Self, RootsError> {
        let mut roots = RootCertStore::empty();
        match ca_file {
            Some(path) => add(&mut roots, path, "driver.bot.ca_file")?,
            None => {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                let is_max =
                    host == MAX_DOMAIN || host.strip_suffix(MAX_DOMAIN).is_some_and(|rest| rest.ends_with('.'));
                if is_max {
                    roots.add_parsable_certificates(CertificateDer::from_pem_slice(RUSSIAN_TRUSTED_ROOT_CA));
                }
            }
        }
        Ok(Self::of(roots))
    }

    fn of(roots: RootCertStore) -> Self {
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self(TlsConnector::from(Arc::new(config)))
    }
}

fn add(roots: &mut RootCertStore, path: &Path, key: &'static str) -> Result<(), RootsError> {
    let wrong = |why: String| RootsError { key, path: path.to_owned(), why };
    let mut added = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        added += 1;
    }
    if added == 0 { Err(wrong("holds no certificate in PEM form".to_owned())) } else { Ok(()) }
}

/// Who opens the connections of sign-ins.
pub trait Dial: Send + Sync {
    /// Opens a WebSocket as MAX's web client does. `user_agent` is a browser's.
    fn dial<'a>(&'a self, endpoint: &'a Endpoint, user_agent: &'a str) -> Dialling<'a>;
}

/// A connection on its way. Boxed: whoever waits for minutes behind it keeps no room for a handshake.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = Result<UpstreamSocket, ConnectError>> + Send + 'a>>;

/// The network, where MAX is.
pub struct Network {
    roots: Roots,
    rng: Rng,
}

impl Network {
    pub fn new(roots: Roots, rng: Rng) -> Self {
        Self { roots, rng }
    }
}

impl Dial for Network {
    fn dial<'a>(&'a self, endpoint: &'a Endpoint, user_agent: &'a str) -> Dialling<'a> {
        Box::pin(connect(endpoint, &self.roots, user_agent, &self.rng))
    }
}

/// Opens a WebSocket as MAX's web client does. `user_agent` is the one that INIT will say.
pub async fn connect(
    endpoint: &Endpoint,
    roots: &Roots,
    user_agent: &str,
    rng: &Rng,
) -> Result<UpstreamSocket, ConnectError> {
    let url = &endpoint.url;
    let stream = connected(url, roots, |_| true).await?;
    let stream = stream.ok_or_else(|| ConnectError::Dns("the name has no address".to_owned()))?;
    upgrade(stream, url, user_agent, rng).await
}

/// TCP, and TLS where the scheme says so, to an address that is `fine`; `None` where none is.
pub async fn connected(
    url: &Url,
    roots: &Roots,
    fine: impl Fn(IpAddr) -> bool,
) -> Result<Option<Box<dyn ByteStream>>, ConnectError> {
    let host = url.host_str().ok_or_else(|| ConnectError::Dns("the address has no host".to_owned()))?;
    let port = url.port_or_known_default().unwrap_or(443);
    let mut addresses = addresses(host.trim_matches(['[', ']']), port).await?;
    addresses.retain(|address| fine(address.ip()));
    if addresses.is_empty() {
        return Ok(None);
    }
    let stream = tcp(&addresses).await?;
    let _ = stream.set_nodelay(true);
    Ok(Some(match url.scheme() {
        "wss" | "https" => Box::new(tls(stream, host, roots).await?),
        _ => Box::new(stream),
    }))
}

async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    match timeout(DNS_TIME, lookup_host((host, port))).await {
        Err(_) => Err(ConnectError::Dns(format!("no answer for {host} in {DNS_TIME:?}"))),
        Ok(Err(error)) => Err(ConnectError::Dns(format!("{host}: {error}"))),
        Ok(Ok(found)) => Ok(found.take(ADDRESSES).collect()),
    }
}

async fn tcp(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let mut last = "the name has no address".to_owned();
    for address in addresses {
        match timeout(TCP_TIME, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address}: no answer in {TCP_TIME:?}"),
        }
    }
    Err(ConnectError::Tcp(last))
}

async fn tls(stream: TcpStream, host: &str, roots: &Roots) -> Result<impl ByteStream + use<>, ConnectError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| ConnectError::Tls(error.to_string()))?;
    match timeout(TLS_TIME, roots.0.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(ConnectError::Tls(error.to_string())),
        Err(_) => Err(ConnectError::Tls(format!("no answer in {TLS_TIME:?}"))),
    }
}

async fn upgrade(
    stream: Box<dyn ByteStream>,
    url: &Url,
    user_agent: &str,
    rng: &Rng,
) -> Result<UpstreamSocket, ConnectError> {
    let headers = [
        ("Origin", ORIGIN),
        ("User-Agent", user_agent),
        ("Accept-Language", "ru-RU,ru;q=0.9"),
        ("Pragma", "no-cache"),
        ("Cache-Control", "no-cache"),
    ];
    match timeout(UPGRADE_TIME, websocket::connect(stream, url, &headers, rng, UPSTREAM_MESSAGE)).await {
        Ok(Ok(connected)) => Ok(connected.socket),
        Ok(Err(error)) => Err(ConnectError::Upgrade(error.to_string())),
        Err(_) => Err(ConnectError::Upgrade(format!("no answer in {UPGRADE_TIME:?}"))),
    }
}
