//! How the doctor gets a connection, and why it gets none: the name, the first address that answers, the greeting of TLS.

use super::tls::{self, Trust};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use url::{Position, Url};

/// One stage of connecting: a healthy line takes a tenth of it, and the verdict is wanted within five seconds.
pub const STAGE_TIMEOUT: Duration = Duration::from_secs(3);

/// Between the first try of one address and of the next (RFC 8305 recommends it).
const STAGGER: Duration = Duration::from_millis(250);

/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

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

/// A connection, with TLS or without.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Where to.
#[derive(Clone)]
pub struct Destination {
    /// The login endpoint.
    pub url: Url,
    /// The name to ask for, where it is not the address's (an inner hop).
    pub host: Option<String>,
    pub trust: Trust,
    /// The doctor's word: nothing is waited for beyond it.
    pub until: Option<Instant>,
}

impl Destination {
    /// What is left of this wait.
    pub fn at_most(&self, wait: Duration) -> Duration {
        self.until.map_or(wait, |until| wait.min(until.saturating_duration_since(Instant::now())))
    }

    pub fn host(&self) -> String {
        match &self.host {
            Some(host) => host.clone(),
            None => self.url[Position::BeforeHost..Position::AfterPort].to_owned(),
        }
    }

    /// A connection, our end of it, and whether it speaks HTTP/2.
    pub async fn wire(&self, offer_http2: bool) -> Result<(Box<dyn Wire>, Option<SocketAddr>, bool), Broken> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn each_address_is_told_what_became_of_it() {
        let closed = async || TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let (one, other) = (closed().await, closed().await);
        let Err(Broken::Tcp(told)) = race(&[one, other], Duration::from_secs(5)).await else { panic!("connected") };
        let lines: Vec<&str> = told.split("; ").collect();
        assert_eq!(lines.len(), 2, "{told}");
        for (line, address) in lines.iter().zip([one, other]) {
            assert!(line.starts_with(&format!("{address}: ")) && line.contains("refused"), "{told}");
        }
        let Err(Broken::Tcp(told)) = race(&[one], Duration::from_secs(5)).await else { panic!("connected") };
        assert!(told.starts_with(&format!("{one}: ")) && told.contains("refused"), "{told}");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let Ok(stream) = race(&[one, open], Duration::from_secs(5)).await else { panic!("one of them answers") };
        assert_eq!(stream.peer_addr().unwrap(), open);
        let Err(Broken::Tcp(told)) = race(&[], Duration::from_secs(5)).await else { return };
        assert_eq!(told, "");
    }
}
