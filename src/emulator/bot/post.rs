//! One POST of an update to where a subscription points.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST, HeaderName};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

const SECRET: HeaderName = HeaderName::from_static("x-max-bot-api-secret");

/// Of an answer's body; nothing of it is looked at.
const ANSWER_BYTES: usize = 64 * 1024;

/// The roots that a subscriber's certificate must come from: Mozilla's, and those of `--bot-ca`.
#[derive(Clone)]
pub struct Trust(TlsConnector);

#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct TrustError {
    path: String,
    why: String,
}

impl Trust {
    pub fn load(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = ca_file {
            let wrong = |why: String| TrustError { path: path.display().to_string(), why };
            let before = roots.len();
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if roots.len() == before {
                return Err(wrong("holds no certificate in PEM form".to_owned()));
            }
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

/// The status that was answered within `time`, or why there is none.
pub(super) async fn post(
    trust: &Trust,
    url: &Url,
    secret: Option<&str>,
    body: String,
    time: Duration,
) -> Result<u16, String> {
    match timeout(time, connect_and_post(trust, url, secret, body)).await {
        Ok(outcome) => outcome,
        Err(_) => Err("no answer in time".to_owned()),
    }
}

async fn connect_and_post(trust: &Trust, url: &Url, secret: Option<&str>, body: String) -> Result<u16, String> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(443);
    let name = host.trim_matches(['[', ']']);
    let stream = TcpStream::connect((name, port)).await.map_err(|error| format!("TCP: {error}"))?;
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut request = Request::post(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header(HOST, authority)
        .header(CONTENT_TYPE, "application/json; charset=utf-8");
    if let Some(secret) = secret {
        request = request.header(SECRET, secret);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())?;
    if url.scheme() != "https" {
        return exchange(stream, request).await;
    }
    let name = ServerName::try_from(name.to_owned()).map_err(|error| format!("TLS: {error}"))?;
    let stream = trust.0.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))?;
    exchange(stream, request).await
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let told = |error: hyper::Error| format!("HTTP: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    // It owns the sender: with that the connection ends.
    let answer = async move {
        let answer = sender.send_request(request).await.map_err(told)?;
        let status = answer.status().as_u16();
        let (mut rest, mut read) = (answer.into_body(), 0);
        while read < ANSWER_BYTES
            && let Some(frame) = rest.frame().await
        {
            read += frame.map_err(told)?.data_ref().map_or(0, Bytes::len);
        }
        Ok(status)
    };
    let (answer, _) = tokio::join!(answer, connection);
    answer
}
