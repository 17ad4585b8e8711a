//! Which network a visitor comes from, for what is learned of networks that freeze connections.

use super::extract::is_phone;
use super::logins::Logins;
use super::proxy_fingerprint::proxy_fingerprint;
use crate::base::id::LoginId;
use crate::transport::stream_stats::StreamSource;
use crate::transport::visitor_networks::network_of;
use axum::extract::ConnectInfo;
use http::Request;
use std::net::{IpAddr, SocketAddr};

impl Logins {
    /// Where the stream of this request comes from. Nothing is learned of a network by phones: their pages sleep while
    /// MAX is in front, which looks the same.
    pub fn source<B>(&self, request: &Request<B>) -> StreamSource {
        let network = self.address(request).filter(|_| !is_phone(request.headers())).map(network_of);
        StreamSource { hop: proxy_fingerprint(request), network }
    }

    /// What a browser says in `failed=`. Phones, too: a page that slept knows it.
    pub fn hear_of_frozen<B>(&self, login: LoginId, failed: &str, request: &Request<B>) {
        if let Some(address) = self.address(request).filter(|_| !failed.is_empty()) {
            self.ends.networks.browser_reported(address, login, failed);
        }
    }

    fn address<B>(&self, request: &Request<B>) -> Option<IpAddr> {
        let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
        Some(self.who(request.headers(), *peer).ip)
    }
}
