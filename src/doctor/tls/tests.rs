//! Certificates that are taken and refused, and what answers at a port.

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
    speaks(certificate, &[]).await
}

/// The same, and speaks these by ALPN.
async fn speaks(certificate: &Path, protocols: &[&str]) -> SocketAddr {
    let key = PrivateKeyDer::from_pem_file(certificate.with_extension("key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(certificates(certificate).unwrap(), key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
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
    let trust = |files: &[&PathBuf]| Trust::load(&files.iter().copied().cloned().collect::<Vec<_>>(), None).unwrap();
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
    assert_eq!(told(std::slice::from_ref(&empty), None), of("--ca-file", &empty, "holds no certificate in PEM form"));
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
        (CertificateError::ExpiredContext { time: day(12), not_after: day(2) }, "the certificate expired 10 days ago;"),
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

#[tokio::test]
async fn http2_is_what_both_sides_agree_on() {
    let folder = tempfile::tempdir().unwrap();
    let own = certificate(folder.path(), "own", false, None);
    for (protocols, offered, http2) in [
        (&["h2", "http/1.1"][..], true, true),
        (&["h2", "http/1.1"], false, false),
        (&["http/1.1"], true, false),
        (&[], true, false),
    ] {
        let address = speaks(&own, protocols).await;
        let (_, local, is_http2) = at(address, "https", None, &Trust::Anybody).wire(offered).await.ok().unwrap();
        assert_eq!((is_http2, local.unwrap().ip()), (http2, address.ip()), "{protocols:?} {offered}");
    }
    let plain = says("").await;
    assert!(!at(plain, "http", None, &Trust::Anybody).wire(true).await.ok().unwrap().2);
}
