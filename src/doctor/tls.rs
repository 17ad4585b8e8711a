//! Certificates as the doctor takes them: Mozilla's roots, the system's and those that were named; what is wrong with one
//! in plain words; and ports that speak something else than their address says.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::connect::Destination;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{AlertDescription, OtherError, ServerConfig};
    use std::process::{Command, Stdio};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    /// A certificate for 127.0.0.1 and its key, in this folder; self-signed, unless `by` has signed it.
    fn certificate(folder: &Path, name: &str, authority: bool, by: Option<&str>) -> PathBuf {
        let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
        let constraint = format!("basicConstraints=critical,CA:{}", if authority { "TRUE" } else { "FALSE" });
        let mut command = Command::new("openssl");
        command
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=DNS:here.example,IP:127.0.0.1"])
            .args(["-addext", &constraint, "-keyout", &key, "-out", &cert]);
        if let Some(by) = by {
            command.args(["-CA", &format!("{by}.pem"), "-CAkey", &format!("{by}.key")]);
        }
        let made = command.current_dir(folder).stderr(Stdio::null()).status();
        assert!(made.is_ok_and(|status| status.success()), "openssl makes no certificate; scripts/setup installs it");
        folder.join(cert)
    }

    /// A port that shows this certificate to each.
    async fn shows(certificate: &Path) -> SocketAddr {
        let key = PrivateKeyDer::from_pem_file(certificate.with_extension("key")).unwrap();
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(certificates(certificate).unwrap(), key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        crate::base::tasks::Tasks::new().spawn("site", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = acceptor.accept(stream).await;
            }
        });
        address
    }

    /// A port that says this to each, whatever was asked.
    async fn says(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        crate::base::tasks::Tasks::new().spawn("site", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    fn at(address: SocketAddr, scheme: &str, host: Option<&str>, trust: &Trust) -> Destination {
        let url = format!("{scheme}://{address}/max").parse().unwrap();
        Destination { url, host: host.map(str::to_owned), trust: trust.clone(), until: None }
    }

    /// Why a site is refused; nothing if it is not.
    async fn refused(address: SocketAddr, host: Option<&str>, trust: &Trust) -> String {
        at(address, "https", host, trust).wire(true).await.map_or_else(|broken| broken.to_string(), |_| String::new())
    }

    #[tokio::test]
    async fn a_certificate_is_taken_from_whom_it_should_be() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name, authority, by| certificate(folder.path(), name, authority, by);
        let (own, old, root) = (made("own", false, None), made("old", true, None), made("root", true, None));
        let (signed, deeper) = (made("signed", false, Some("root")), made("deeper", true, Some("root")));
        let trust =
            |files: &[&PathBuf]| Trust::load(&files.iter().copied().cloned().collect::<Vec<_>>(), None).unwrap();
        let nobody = trust(&[]);
        let (self_signed, unknown) = ("the certificate is self-signed", "nobody knows who issued the certificate");
        let (other_name, authority) = ("for another name: here.example, ", "that of an authority (CA:TRUE)");
        let elsewhere = Some("there.example:8443");
        for (shown, host, trusted, why) in [
            (&own, None, &nobody, self_signed),
            (&own, None, &trust(&[&own]), ""),
            (&own, None, &trust(&[&root]), self_signed),
            (&own, elsewhere, &trust(&[&own]), other_name),
            (&own, elsewhere, &Trust::Anybody, ""),
            (&old, None, &nobody, self_signed),
            (&old, None, &trust(&[&old]), ""),
            (&old, elsewhere, &trust(&[&old]), "name"),
            (&signed, None, &nobody, unknown),
            (&signed, None, &trust(&[&root]), ""),
            (&signed, None, &trust(&[&own]), unknown),
            (&deeper, None, &trust(&[&root]), authority),
            (&deeper, None, &trust(&[&root, &deeper]), ""),
            (&signed, None, &Trust::load(&[], Some(root.as_path())).unwrap(), ""),
        ] {
            let told = refused(shows(shown).await, host, trusted).await;
            let as_expected = if why.is_empty() { told.is_empty() } else { told.contains(why) };
            assert!(as_expected, "{} at {host:?}, {why:?}: {told:?}", shown.display());
        }
    }

    #[tokio::test]
    async fn a_port_is_known_by_what_it_speaks() {
        let folder = tempfile::tempdir().unwrap();
        let tls = shows(&certificate(folder.path(), "site", false, None)).await;
        let name = || ServerName::try_from("here.example").unwrap();
        let nobody = Trust::load(&[], None).unwrap();
        for (said, http) in
            [("HTTP/1.1 400 Bad Request\r\n\r\n", true), ("SSH-2.0-x\r\n", false), ("HTTP", false), ("", false)]
        {
            let port = says(said).await;
            assert_eq!(speaks_plain_http(port, "here.example").await, http, "{said:?}");
            assert!(!speaks_tls(port, name()).await, "{said:?}");
            assert!(!at(port, "http", None, &nobody).is_tls_port().await, "{said:?}");
            let told = refused(port, None, &nobody).await;
            let plain = format!("TLS: port {} speaks plain HTTP, not TLS: ask http://{port},", port.port());
            assert_eq!(told.starts_with(&plain), http, "{said:?}: {told}");
            assert!(told.starts_with("TLS: "), "{said:?}: {told}");
        }
        assert!(speaks_tls(tls, name()).await && at(tls, "http", None, &nobody).is_tls_port().await);
        assert!(!at(tls, "https", None, &nobody).is_tls_port().await, "that was asked for");
        assert!(!speaks_plain_http(tls, "here.example").await);
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
        std::fs::write(&empty, "no PEM\n").unwrap();
        let told = |files: &[PathBuf], system| Trust::load(files, system).map(|trust| format!("{trust:?}"));
        let of = |flag, file: &Path, why| Err(format!("{flag} {}: {why}", file.display()));
        assert_eq!(
            told(std::slice::from_ref(&empty), None),
            of("--ca-file", &empty, "holds no certificate in PEM form")
        );
        assert_eq!(told(&[], Some(&empty)), of("SSL_CERT_FILE", &empty, "holds no certificate in PEM form"));
        let why = told(std::slice::from_ref(&missing), None).unwrap_err();
        assert!(why.starts_with(&format!("--ca-file {}: ", missing.display())), "{why}");
        assert_eq!(told(&[], None), Ok("roots".to_owned()));
        assert_eq!(format!("{:?}", Trust::Anybody), "anybody");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("CA:TRUE")]
    struct CaUsedAsEndEntity;

    #[test]
    fn what_is_wrong_is_told_in_words() {
        use rustls::Error::{AlertReceived, General, InvalidCertificate};
        let day = |number: u64| UnixTime::since_unix_epoch(Duration::from_secs(number * 86_400));
        let name = || ServerName::try_from("asked.example").unwrap();
        let names = |names: &[&str]| CertificateError::NotValidForNameContext {
            expected: name(),
            presented: names.iter().map(|name| format!("DnsName(\"{name}\")")).collect(),
        };
        let other = CertificateError::Other(OtherError(Arc::new(CaUsedAsEndEntity)));
        for (error, told) in [
            (
                CertificateError::ExpiredContext { time: day(12), not_after: day(2) },
                "the certificate expired 10 days ago;",
            ),
            (CertificateError::Expired, "the certificate is expired;"),
            (
                CertificateError::NotValidYetContext { time: day(2), not_before: day(5) },
                "the certificate is not yet valid, for 4 more days, or the clock of this machine is wrong;",
            ),
            (CertificateError::NotValidYet, "the certificate is not yet valid, or the clock of this machine is wrong;"),
            (names(&["a", "b", "c", "d", "e"]), "the certificate is for another name: a, b, c, d, not asked.example;"),
            (names(&[]), "the certificate is for another name: no name at all, not asked.example;"),
            (CertificateError::NotValidForName, "the certificate is for another name, not asked.example;"),
            (CertificateError::UnknownIssuer, "nobody knows who issued the certificate: an intermediate is missing"),
            (other, "the certificate is that of an authority (CA:TRUE), not of a site;"),
            (CertificateError::Revoked, "the certificate is not accepted: Revoked;"),
        ] {
            let text = explain(&InvalidCertificate(error.clone()), None, "asked.example");
            assert!(text.starts_with(told), "{error:?}: {text}");
        }
        let alert = explain(&AlertReceived(AlertDescription::HandshakeFailure), None, "asked.example");
        assert!(alert.starts_with("the other side ended the greeting with HandshakeFailure: it has no certificate"));
        assert_eq!(explain(&General("odd".to_owned()), None, ""), "unexpected error: odd");
        assert!(!is_authority(&General("CaUsedAsEndEntity".to_owned())));
    }

    #[test]
    fn an_answer_may_be_plain_text_if_it_is_no_tls_at_all() {
        let of = |error: rustls::Error| may_be_plain(&std::io::Error::other(error));
        assert!(of(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)));
        assert!(of(rustls::Error::InvalidMessage(InvalidMessage::InvalidEmptyPayload)));
        assert!(!of(rustls::Error::InvalidCertificate(CertificateError::Expired)));
        assert!(may_be_plain(&std::io::ErrorKind::UnexpectedEof.into()));
    }

    #[test]
    fn an_element_of_der_is_as_long_as_it_says() {
        let long = |count: usize| [&[4, 0x82, (count >> 8) as u8, count as u8][..], &vec![7; count], &[9]].concat();
        for (bytes, content, after) in [
            (&[4, 0][..], &[][..], &[][..]),
            (&[4, 2, 7, 7, 9], &[7, 7], &[9]),
            (&[4, 0x81, 1, 7, 9], &[7], &[9]),
            (&[4, 0x84, 0, 0, 0, 1, 7, 9], &[7], &[9]),
            (&long(300), &[7; 300], &[9]),
            (&long(127), &[7; 127], &[9]),
        ] {
            assert_eq!(element(bytes), Some((4, content, after)), "{:?}", &bytes[..bytes.len().min(8)]);
        }
        for bytes in [&[][..], &[4], &[4, 2, 7], &[4, 0x80, 0, 0], &[4, 0x85, 0, 0, 0, 0, 1, 7], &[4, 0x82, 0]] {
            assert_eq!(element(bytes), None, "{bytes:?}");
        }
        assert!(!is_self_signed(&[]) && !is_self_signed(&[0x30, 3, 0x30, 1, 0xa0]));
    }
}
