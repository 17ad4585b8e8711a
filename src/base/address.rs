//! Addresses as subscribers: what one person is given, and what one customer can reach.

use std::net::{IpAddr, Ipv6Addr};

/// A network of one subscriber: an IPv4 address, or an IPv6 prefix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Its first address and its length, as text: no two networks have the same.
    pub fn bytes(&self) -> Vec<u8> {
        format!("{}/{}", self.address, self.prefix).into_bytes()
    }
}

/// IPv6 prefixes that providers hand out, and how many times the share of one subscriber each may have: whoever holds
/// a /48 has 65 536 of the /64 of one household.
const IPV6: [(u8, u32); 3] = [(64, 1), (56, 4), (48, 16)];

/// The network of one subscriber.
pub fn subscriber(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(v4) => Network { address: v4.into(), prefix: 32 },
        IpAddr::V6(v6) => prefix_of(v6, IPV6[0].0),
    }
}

fn prefix_of(address: Ipv6Addr, prefix: u8) -> Network {
    let kept = u128::from(address) & (u128::MAX << (128 - prefix));
    Network { address: IpAddr::V6(Ipv6Addr::from(kept)), prefix }
}

/// The networks that an address belongs to, the smallest first, each with its multiple of one subscriber's share.
pub fn networks(address: IpAddr) -> impl Iterator<Item = (Network, u32)> {
    let wider = match address.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => Some(v6),
    };
    let wider =
        wider.into_iter().flat_map(|v6| IPV6[1..].iter().map(move |&(prefix, times)| (prefix_of(v6, prefix), times)));
    std::iter::once((subscriber(address), 1)).chain(wider)
}

/// Whether no stranger of the internet can have it: this machine, or a network behind it.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(Network, u32)> {
        networks(text.parse().unwrap()).collect()
    }

    #[test]
    fn an_ipv6_subscriber_is_a_64_within_a_56_within_a_48_and_a_mapped_address_is_ipv4() {
        let shared = |a: &str, b: &str| of(a).iter().zip(&of(b)).filter(|(a, b)| a == b).count();
        assert_eq!(shared("2001:db8:1:2:3::4", "2001:db8:1:2:ffff::1"), 3);
        assert_eq!(shared("2001:db8:1:2::1", "2001:db8:1:3::1"), 2, "/56 and /48");
        assert_eq!(shared("2001:db8:1:2::1", "2001:db8:1:f02::1"), 1, "/48");
        assert_eq!(shared("2001:db8:1:2::1", "2001:db8:2:2::1"), 0);
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_eq!(of("192.0.2.1").len(), 1);
        // A /48 and the /64 of zeros in it are two entries.
        assert_eq!(of("2001:db8:1::").iter().collect::<std::collections::HashSet<_>>().len(), 3);
    }

    #[test]
    fn private_is_what_no_stranger_has() {
        for private in
            ["127.0.0.1", "10.1.2.3", "172.17.0.1", "192.168.1.1", "169.254.1.1", "::1", "fd00::1", "fe80::1"]
        {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["192.0.2.1", "172.32.0.1", "100.64.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_network_is_told_by_its_first_address_and_its_length() {
        let text = |address: &str| {
            let bytes = of(address).into_iter().map(|(network, times)| (network.bytes(), times));
            bytes.map(|(bytes, times)| format!("{} {times}", String::from_utf8(bytes).unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(text("192.0.2.1"), ["192.0.2.1/32 1"]);
        assert_eq!(text("::ffff:192.0.2.1"), ["192.0.2.1/32 1"]);
        assert_eq!(
            text("2001:db8:1:2ff:3::4"),
            ["2001:db8:1:2ff::/64 1", "2001:db8:1:200::/56 4", "2001:db8:1::/48 16"]
        );
    }
}
