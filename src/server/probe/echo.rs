//! A probe's request as it arrived, told to who sent it, and nothing of the inside with it.

use crate::base::client_address::{ClientAddress, client_address};
use crate::probe::{FROM_HEADER, RequestEcho, hops_text};
use crate::server::origin::AllowedOrigins;
use crate::server::proxy_fingerprint::{marks, proxy_fingerprint};
use crate::transport::stream_stats::StreamStats;
use http::Request;
use http::header::{ACCEPT_ENCODING, CONNECTION, FORWARDED, HOST, HeaderName, ORIGIN, SEC_WEBSOCKET_KEY, UPGRADE, VIA};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A header is echoed up to here, in characters.
const ECHOED: usize = 300;

/// `x-forwarded-for` and its kin, which have no constants.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What an echo is made with.
pub struct Echoes {
    pub origins: AllowedOrigins,
    pub trusted_proxies: Vec<IpNet>,
    pub ends: Arc<StreamStats>,
}

impl Echoes {
    pub fn of<B>(&self, request: &Request<B>, peer: SocketAddr) -> RequestEcho {
        let headers = request.headers();
        let text = |name: HeaderName| {
            let values: Vec<String> = headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).chars().take(ECHOED).collect())
                .collect();
            (!values.is_empty()).then(|| values.join(", "))
        };
        let origin = text(ORIGIN);
        let who = client_address(peer.ip(), headers, &self.trusted_proxies);
        let from = text(HeaderName::from_static(FROM_HEADER)).and_then(|from| from.parse::<SocketAddr>().ok());
        let direct =
            from.is_some_and(|from| from.port() == peer.port() && from.ip().to_canonical() == peer.ip().to_canonical());
        RequestEcho {
            // What a visitor who stays long enough sees: the timer that ends streams of this way.
            timers: self.ends.timers(&proxy_fingerprint(request)),
            method: request.method().to_string(),
            http_version: format!("{:?}", request.version()),
            // HTTP/2 names the host in its own place.
            host: text(HOST).or_else(|| request.uri().authority().map(ToString::to_string)),
            connection: text(CONNECTION),
            upgrade: text(UPGRADE),
            sec_web_socket_key: headers.contains_key(SEC_WEBSOCKET_KEY),
            accept_encoding: text(ACCEPT_ENCODING),
            via: text(VIA),
            marks: marks(headers).map(str::to_owned).collect(),
            forwarded: text(FORWARDED).map(|chain| hops_text(&chain)),
            x_forwarded_for: text(FORWARDED_FOR).map(|chain| hops_text(&chain)),
            x_forwarded_proto: text(FORWARDED_PROTO),
            x_forwarded_host: text(FORWARDED_HOST),
            origin_allowed: origin.as_deref().map(|origin| self.origins.contains(origin)),
            origin,
            client_address: told(who, direct),
            client_is_asker: from.map(|from| from.ip().to_canonical() == who.ip),
            client_is_inner: is_inner(who.ip),
            proxy_unlisted: who.unlisted_proxy,
            direct: from.map(|_| direct),
        }
    }
}

/// The visitor's address as it was understood, unless that is one of the inside, which is nobody's business outside.
fn told(who: ClientAddress, direct: bool) -> Option<String> {
    (direct || (!who.unlisted_proxy && !is_inner(who.ip))).then(|| who.ip.to_string())
}

/// Not an address that a visitor out there has.
fn is_inner(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_address_of_the_inside() {
        for inner in ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "0.0.0.0", "100.64.0.1", "100.127.255.1"] {
            assert!(is_inner(inner.parse().unwrap()), "{inner}");
        }
        for inner in ["::1", "fd00::1", "fe80::1", "::"] {
            assert!(is_inner(inner.parse().unwrap()), "{inner}");
        }
        for outer in ["203.0.113.9", "100.63.255.255", "100.128.0.1", "101.64.0.1", "2001:db8::1"] {
            assert!(!is_inner(outer.parse().unwrap()), "{outer}");
        }
    }

    #[test]
    fn an_address_of_the_inside_is_told_to_who_sits_there() {
        let who = |ip: &str, unlisted_proxy| ClientAddress { ip: ip.parse().unwrap(), unlisted_proxy };
        assert_eq!(told(who("10.0.0.1", false), true).as_deref(), Some("10.0.0.1"));
        assert_eq!(told(who("10.0.0.1", false), false), None);
        assert_eq!(told(who("203.0.113.9", false), false).as_deref(), Some("203.0.113.9"));
        assert_eq!(told(who("203.0.113.9", true), false), None, "it is the proxy's");
    }
}
