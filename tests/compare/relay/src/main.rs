//! The least that signs people in with MAX: `max-auth-relay LISTEN ws|wss ADDRESS [CA-FILE]`. README.md says what is left out.

mod login;
mod max;
mod websocket;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

struct Relay {
    endpoint: Endpoint,
}

struct Endpoint {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (listen, address, ca) = match &*arguments {
        [listen, scheme, address] if scheme == "ws" => (listen, address, None),
        [listen, scheme, address, ca] if scheme == "wss" => (listen, address, Some(ca)),
        _ => return Err("max-auth-relay LISTEN ws ADDRESS | LISTEN wss ADDRESS CA-FILE".into()),
    };
    let address: SocketAddr = address.parse()?;
    let mut tls = None;
    if let Some(ca) = ca {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca)? {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        tls = Some((TlsConnector::from(Arc::new(config)), ServerName::IpAddress(address.ip().into())));
    }
    let relay: &'static Relay = Box::leak(Box::new(Relay { endpoint: Endpoint { address, tls } }));
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (browser, _) = listener.accept().await?;
        // Whoever breaks off has gone.
        tokio::spawn(async move { drop(login::serve(browser, relay).await) });
    }
}
