//! The apps that are registered, and what may be said about them.

use crate::config::{Client, ClientAuth};
use std::sync::Arc;
use url::Url;

#[derive(Clone)]
pub struct Clients(Arc<[Arc<Client>]>);

impl Clients {
    pub fn new(clients: Vec<Client>) -> Self {
        Self(clients.into_iter().map(Arc::new).collect())
    }

    pub fn get(&self, id: &str) -> Option<Arc<Client>> {
        self.0.iter().find(|client| client.id == id).cloned()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.0.iter().map(Arc::as_ref)
    }
}

/// Whether an address is registered: as text, byte for byte (RFC 9700 §2.1). Only the port of a loopback address is free, which
/// native apps are given at random (RFC 8252 §7.3).
pub fn is_registered(registered: &[String], uri: &str) -> bool {
    registered
        .iter()
        .any(|known| known == uri || without_port(known).is_some_and(|known| Some(known) == without_port(uri)))
}

/// A loopback address by number: scheme and host, and what comes after the port.
fn without_port(uri: &str) -> Option<(&str, &str)> {
    let host = ["http://127.0.0.1", "http://[::1]"].into_iter().find(|host| uri.starts_with(host))?;
    let rest = &uri[host.len()..];
    let Some(port) = rest.strip_prefix(':') else { return Some((host, rest)) };
    let digits = port.bytes().take_while(u8::is_ascii_digit).count();
    (1..=5)
        .contains(&digits)
        .then(|| (host, &port[digits..]))
        .filter(|(_, rest)| rest.is_empty() || rest.starts_with(['/', '?']))
}

/// Whether a secret is the client's, in constant time.
pub fn has_secret(client: &Client, secret: &str) -> bool {
    match &client.auth {
        ClientAuth::Secret(known) => known.matches(&crate::base::id::Fingerprint::of(secret.as_bytes())),
        ClientAuth::Keys(_) | ClientAuth::None => false,
    }
}

/// Where people know an app to be: the host of its address, or the scheme of its own.
pub fn host_of(redirect_uri: &str) -> String {
    let url = Url::parse(redirect_uri).ok();
    let host = url.as_ref().and_then(|url| {
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    });
    host.unwrap_or_else(|| redirect_uri.split(':').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_as_text_but_for_the_port_of_a_native_app() {
        let known = |text: &str| vec![text.to_owned()];
        let web = known("https://app.example.ru/callback");
        assert!(is_registered(&web, "https://app.example.ru/callback"));
        for bad in [
            "https://app.example.ru/callback/",
            "https://app.example.ru/callback?x=1",
            "https://app.example.ru:443/callback",
            "https://APP.example.ru/callback",
            "https://app.example.ru/../callback",
            "https://app.example.ru/callbac%6B",
            "http://app.example.ru/callback",
            "https://app.example.ru.evil/callback",
            "",
        ] {
            assert!(!is_registered(&web, bad), "{bad}");
        }
        for (known, fine) in [
            (known("http://127.0.0.1/cb"), "http://127.0.0.1:51004/cb"),
            (known("http://127.0.0.1:1/cb"), "http://127.0.0.1/cb"),
            (known("http://[::1]/cb"), "http://[::1]:1/cb"),
        ] {
            assert!(is_registered(&known, fine), "{fine}");
        }
        let native = known("http://127.0.0.1/cb");
        for bad in [
            "http://127.0.0.1:51004/other",
            "http://127.0.0.1:51004@evil.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:123456/cb",
            "http://[::1]:1/cb",
            "https://127.0.0.1:1/cb",
            "http://localhost:1/cb",
        ] {
            assert!(!is_registered(&native, bad), "{bad}");
        }
        assert!(!is_registered(&known("http://localhost/cb"), "http://localhost:1/cb"), "a name may lead elsewhere");
    }

    #[test]
    fn an_app_is_where_its_address_is() {
        for (uri, host) in [
            ("https://app.example.ru/x", "app.example.ru"),
            ("http://127.0.0.1:3000/x", "127.0.0.1:3000"),
            ("ru.example.app:/x", "ru.example.app"),
        ] {
            assert_eq!(host_of(uri), host);
        }
    }
}
