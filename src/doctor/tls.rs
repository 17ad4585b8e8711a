//! Certificates as the doctor takes them: Mozilla's roots, the system's and those that were named; what is wrong with one
//! in plain words; and ports that speak something else than their address says.

#[cfg(test)]
mod tests;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, InvalidMessage, RootCertStore, SignatureScheme};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A second look at a port that did not speak what it should: its answer to a greeting is immediate.
const GREETING: Duration = Duration::from_millis(700);

/// Where systems keep their roots: Debian and Alpine, Fedora and RHEL, openSUSE, FreeBSD, macOS.
const SYSTEM: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/usr/local/etc/ssl/cert.pem",
    "/etc/ssl/cert.pem",
];

/// Whose certificates are accepted.
#[derive(Clone)]
pub enum Trust {
    /// `--insecure`: what is asked and answered is no secret, and a test bench has a certificate of its own.
    Anybody,
    Roots {
        verifier: Arc<WebPkiServerVerifier>,
        /// Named by whoever asks: one of these is accepted as a site's own certificate, too.
        named: Arc<Vec<CertificateDer<'static>>>,
    },
}

impl Trust {
    /// Mozilla's roots, those of `files`, and those of the system, which `system` (`SSL_CERT_FILE`) may name.
    pub fn load(files: &[PathBuf], system: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let mut named = Vec::new();
        for file in files {
            named.extend(certificates(file).map_err(|why| format!("--ca-file {}: {why}", file.display()))?);
        }
        match system {
            Some(file) => {
                let found = certificates(file).map_err(|why| format!("SSL_CERT_FILE {}: {why}", file.display()))?;
                named.extend(found);
            }
            // A broken file of the system is none of the site's faults.
            None => {
                let found = SYSTEM.iter().find_map(|file| certificates(Path::new(file)).ok());
                roots.add_parsable_certificates(found.unwrap_or_default());
            }
        }
        roots.add_parsable_certificates(named.iter().cloned());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = verifier.build().map_err(|error| error.to_string())?;
        Ok(Self::Roots { verifier, named: Arc::new(named) })
    }

    /// For one connection: its settings, and where the site's certificate is left.
    pub fn client(&self, offer_http2: bool) -> (ClientConfig, Arc<OnceLock<CertificateDer<'static>>>) {
        let leaf = Arc::new(OnceLock::new());
        let verifier = Arc::new(Witness { trust: self.clone(), leaf: Arc::clone(&leaf), provider: provider() });
        let mut config =
            ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        if offer_http2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        config.alpn_protocols.push(b"http/1.1".to_vec());
        (config, leaf)
    }
}

fn provider() -> Arc<CryptoProvider> {
    let installed = CryptoProvider::get_default().cloned();
    installed.unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    if found.is_empty() { Err("holds no certificate in PEM form".to_owned()) } else { Ok(found) }
}

/// Checks, and keeps what it was shown.
#[derive(Debug)]
struct Witness {
    trust: Trust,
    leaf: Arc<OnceLock<CertificateDer<'static>>>,
    provider: Arc<CryptoProvider>,
}

impl Witness {
    fn signature(
        &self,
        verify: impl FnOnce(&WebPkiServerVerifier) -> Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match &self.trust {
            Trust::Anybody => Ok(HandshakeSignatureValid::assertion()),
            Trust::Roots { verifier, .. } => verify(verifier),
        }
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anybody => "anybody",
            Self::Roots { .. } => "roots",
        })
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let _ = self.leaf.set(leaf.clone().into_owned());
        let Trust::Roots { verifier, named } = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        match verifier.verify_server_cert(leaf, others, name, ocsp, now) {
            // `openssl req -x509` makes an authority of every certificate; whoever named this very one means it.
            Err(error) if is_authority(&error) && named.iter().any(|named| named == leaf) => {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(|verifier| verifier.verify_tls12_signature(message, certificate, signed))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(|verifier| verifier.verify_tls13_signature(message, certificate, signed))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate is an authority's, and stands where a site's should.
fn is_authority(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(other)) if format!("{other:?}").contains("CaUsedAsEndEntity"))
}

/// What is wrong, in the words of whoever has to mend it. `name`: what was asked for.
pub fn explain(error: &rustls::Error, leaf: Option<&CertificateDer<'_>>, name: &str) -> String {
    let own = leaf.is_some_and(|leaf| is_self_signed(leaf.as_ref()));
    let days = |from: UnixTime, to: UnixTime| to.as_secs().saturating_sub(from.as_secs()) / 86_400;
    let is = |what: String| format!("the certificate {what}; --insecure looks at what lies behind it");
    let trusted = "; --ca-file FILE accepts it, --insecure any";
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::ExpiredContext { time, not_after } => is(format!("expired {} days ago", days(*not_after, *time))),
            Bad::Expired => is("is expired".to_owned()),
            Bad::NotValidYetContext { time, not_before } => is(format!(
                "is not yet valid, for {} more days, or the clock of this machine is wrong",
                days(*time, *not_before) + 1
            )),
            Bad::NotValidYet => is("is not yet valid, or the clock of this machine is wrong".to_owned()),
            Bad::NotValidForNameContext { presented, .. } => {
                let names: Vec<&str> = presented
                    .iter()
                    .take(4)
                    .map(|name| name.trim_start_matches("DnsName(\"").trim_end_matches("\")"))
                    .collect();
                let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
                is(format!("is for another name: {names}, not {name}"))
            }
            Bad::NotValidForName => is(format!("is for another name, not {name}")),
            _ if own => format!("the certificate is self-signed: no browser accepts it{trusted}"),
            Bad::UnknownIssuer => format!(
                "nobody knows who issued the certificate: an intermediate is missing (send fullchain.pem), or it is from a \
                 private authority{trusted}"
            ),
            _ if is_authority(error) => {
                format!("the certificate is that of an authority (CA:TRUE), not of a site{trusted}")
            }
            other => is(format!("is not accepted: {other:?}")),
        },
        rustls::Error::AlertReceived(alert) => format!(
            "the other side ended the greeting with {alert:?}: it has no certificate for {name}, or no common version of TLS"
        ),
        other => other.to_string(),
    }
}

/// Whether an answer to our greeting may have been plain text.
pub fn may_be_plain(error: &std::io::Error) -> bool {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => true,
        Some(rustls::Error::InvalidMessage(_)) => true,
        Some(_) => false,
        // It hung up on what it did not understand.
        None => true,
    }
}

/// Whether something came of it in time.
async fn answers(asked: impl Future<Output = Option<()>>) -> bool {
    timeout(GREETING, asked).await.ok().flatten().is_some()
}

/// Does plain HTTP answer here?
pub async fn speaks_plain_http(address: SocketAddr, host: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut head = [0; 5];
        stream.read_exact(&mut head).await.ok()?;
        (&head == b"HTTP/").then_some(())
    };
    answers(asked).await
}

/// Does TLS answer here?
pub async fn speaks_tls(address: SocketAddr, name: ServerName<'static>) -> bool {
    let asked = async {
        let stream = TcpStream::connect(address).await.ok()?;
        let (config, leaf) = Trust::Anybody.client(false);
        let _ = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        // Whatever came after it: a certificate was shown.
        leaf.get().map(|_| ())
    };
    answers(asked).await
}

/// Whether issuer and subject of a certificate (X.509 in DER) are the same.
fn is_self_signed(certificate: &[u8]) -> bool {
    let names = || {
        let (_, certificate, _) = element(certificate)?;
        let (_, mut rest, _) = element(certificate)?;
        // An explicit version comes first; then serial, algorithm, issuer, validity, subject.
        if *rest.first()? == 0xa0 {
            rest = element(rest)?.2;
        }
        let mut parts = Vec::new();
        for _ in 0..5 {
            let (_, content, after) = element(rest)?;
            parts.push(content);
            rest = after;
        }
        Some(parts[2] == parts[4])
    };
    names().unwrap_or(false)
}

/// A tag, its content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}
