//! What the provider reads of strangers, for the fuzzer.

use super::clients::is_registered;
use super::params::Params;
use super::request::Refusal;
use super::{assertion, documents, dpop, email, request, token};
use crate::base::jwk;
use crate::config::{AllowList, Client, ClientDocuments};
use std::sync::OnceLock;
use url::Url;

const DOCUMENT: &str = "https://app.example.ru/client.json";
const REDIRECTS: [&str; 2] = ["https://app.example.ru/cb", "http://127.0.0.1/cb"];

/// A public client, as of a document.
fn client() -> &'static (Url, Client) {
    static CLIENT: OnceLock<(Url, Client)> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let id = Url::parse(DOCUMENT).unwrap_or_else(|_| unreachable!("an address"));
        let settings = ClientDocuments { allow: AllowList::default(), resources: Vec::new(), networks: Vec::new() };
        let client = documents::made(&id, REDIRECTS.map(str::to_owned).to_vec(), &settings);
        (id, client)
    })
}

/// A query or form of OAuth, read as a request for a code. No answer leads to where the client is not registered.
pub fn oauth_request(data: &[u8]) {
    let params = Params::parse(data);
    assert_eq!(Params::parse(params.encoded().as_bytes()).encoded(), params.encoded());
    let (_, client) = client();
    let back = match request::read(&params, client, |_, _| None) {
        Ok(request) => {
            assert!(request.challenge.is_some(), "a public client without PKCE");
            request.back
        }
        Err(Refusal::Client(back, _)) => back,
        Err(Refusal::Page(_)) => return,
    };
    assert!(is_registered(&client.redirect_uris, &back.redirect_uri), "{}", back.redirect_uri);
}

/// What clients prove by: `Authorization: Basic`, assertions, proofs of a key. What is signed by a key that nobody has is refused.
pub fn oauth_proof(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = (token::basic(text), assertion::unverified(text));
    if let Some(key) = dpop::own_key(text) {
        assert_eq!(key.thumbprint().len(), 43);
        let _ = jwk::verified(std::slice::from_ref(&key), text);
    }
    assert!(jwk::verified(&[], text).is_none());
}

/// A document of an app about itself. What may be led to is of its own origin, or of this machine.
pub fn client_document(data: &[u8]) {
    let (id, _) = client();
    for uri in documents::read(id, data).unwrap_or_default() {
        let url = Url::parse(&uri).unwrap_or_else(|_| unreachable!("it was read as an address"));
        let local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        assert!(url.origin() == id.origin() || local && url.scheme() == "http", "{uri}");
    }
}

/// An e-mail address as typed. What was read is read again as it is.
pub fn email_address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(Some(address)) = email::read(text) {
        assert!(address.len() <= email::LONGEST && address.bytes().all(|byte| byte.is_ascii_graphic()), "{address}");
        assert!(email::read(&address).is_ok_and(|again| again.as_ref() == Some(&address)), "{address}");
    }
}
