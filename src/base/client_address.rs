//! Who is really asking, behind proxies: the rightmost hop that is not a trusted proxy (RFC 7239 §8.1).

use super::address::is_private;
use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// The visitor's address, and whether a proxy that nobody listed stands in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    pub ip: IpAddr,
    /// The peer sent `X-Forwarded-For` or `Forwarded` but is not in `server.trusted_proxies`: `ip` may stand for
    /// everybody behind it.
    pub unlisted_proxy: bool,
}

impl ClientAddress {
    /// Whether many people may come from it: a proxy that nobody listed, at an address that no stranger can have. A
    /// stranger can write the header too.
    pub fn stands_for_many(&self) -> bool {
        self.unlisted_proxy && is_private(self.ip)
    }
}

/// Hops read from the header: a chain is two or three long; more is an attempt to make us work.
const MAX_HOPS: usize = 32;

pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> ClientAddress {
    let peer = peer.to_canonical();
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let forwarded = hops(headers);
    if !is_trusted(&peer) {
        return ClientAddress { ip: peer, unlisted_proxy: !forwarded.is_empty() };
    }
    let mut ip = peer;
    for hop in forwarded.iter().rev().take(MAX_HOPS) {
        // What a trusted proxy could not name (`unknown`, an obfuscated name) ends the chain at that proxy.
        let Some(hop) = hop else { break };
        ip = *hop;
        if !is_trusted(&ip) {
            break;
        }
    }
    ClientAddress { ip, unlisted_proxy: false }
}

/// The hops as sent, leftmost first. `X-Forwarded-For` wins over `Forwarded`: proxies write the former by default.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let list = |name: &str| -> Vec<String> {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect()
    };
    let simple = list("x-forwarded-for");
    if !simple.is_empty() {
        return simple.iter().map(|text| address(text)).collect();
    }
    list(FORWARDED.as_str())
        .iter()
        .map(|element| {
            element.split(';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.trim().eq_ignore_ascii_case("for").then(|| address(value.trim().trim_matches('"')))?
            })
        })
        .collect()
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let ip = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>())
        .ok()?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn seen(peer: &str, header: (&'static str, &'static str), trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        if !header.1.is_empty() {
            headers.insert(header.0, HeaderValue::from_static(header.1));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let found = client_address(peer.parse().unwrap(), &headers, &trusted);
        format!("{}{}", found.ip, if found.unlisted_proxy { " unlisted" } else { "" })
    }

    #[test]
    fn the_rightmost_hop_that_is_not_a_trusted_proxy() {
        const XFF: &str = "x-forwarded-for";
        let trusted = &["127.0.0.0/8", "10.0.0.0/8"][..];
        for (peer, header, expected) in [
            ("198.51.100.7", (XFF, ""), "198.51.100.7"),
            ("198.51.100.7", (XFF, "203.0.113.9"), "198.51.100.7 unlisted"),
            ("127.0.0.1", (XFF, "203.0.113.9"), "203.0.113.9"),
            ("127.0.0.1", (XFF, "6.6.6.6, 203.0.113.9, 10.1.2.3"), "203.0.113.9"),
            ("127.0.0.1", (XFF, "203.0.113.9:4711"), "203.0.113.9"),
            ("127.0.0.1", (XFF, "6.6.6.6, garbage, 10.1.2.3"), "10.1.2.3"),
            ("127.0.0.1", (XFF, "10.0.0.9"), "10.0.0.9"),
            ("127.0.0.1", ("forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:4711\";proto=https"), "2001:db8::1"),
            ("127.0.0.1", ("forwarded", "for=_hidden"), "127.0.0.1"),
            ("::ffff:127.0.0.1", (XFF, "203.0.113.9"), "203.0.113.9"),
        ] {
            assert_eq!(seen(peer, header, trusted), expected, "{peer} {header:?}");
        }
    }

    #[test]
    fn only_a_private_address_stands_for_many() {
        let stands =
            |ip: &str, unlisted_proxy| ClientAddress { ip: ip.parse().unwrap(), unlisted_proxy }.stands_for_many();
        assert!(stands("172.17.0.1", true));
        assert!(!stands("172.17.0.1", false));
        assert!(!stands("198.51.100.7", true), "anybody can send X-Forwarded-For");
    }
}
