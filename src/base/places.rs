//! Who may have how many connections: all together, and from one address.

use super::address::{Network, is_private, networks};
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The open connections of one listener.
pub struct Places {
    max: usize,
    /// `None`: whoever asks may have them all.
    per_address: Option<usize>,
    /// Proxies: behind each are many people.
    trusted: Vec<IpNet>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    count: usize,
    /// Only networks with open connections, so no more of them than those (three each).
    networks: HashMap<Network, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Full {
    #[error("as many are open as the limit of open files allows (ulimit -n, LimitNOFILE=), or 50 000")]
    Everywhere,
    #[error("as many are open as one address may have; a proxy belongs in server.trusted_proxies")]
    Address,
}

impl Places {
    pub fn new(max: usize, per_address: usize, trusted: Vec<IpNet>) -> Self {
        Self { max, per_address: Some(per_address), trusted, open: Mutex::default() }
    }

    /// For a listener that strangers do not reach.
    pub fn for_anybody(max: usize) -> Self {
        Self { max, per_address: None, trusted: Vec::new(), open: Mutex::default() }
    }

    /// A place for a connection from `peer`.
    pub fn take(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Full> {
        let peer = peer.to_canonical();
        let per_address = self.per_address.filter(|_| !self.trusted.iter().any(|network| network.contains(&peer)));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.count >= self.max {
            return Err(Full::Everywhere);
        }
        if let Some(per_address) = per_address {
            for (network, times) in networks(peer) {
                // A private address may be a proxy that nobody listed, and then the whole site comes from it.
                let limit = match is_private(peer) {
                    true => self.max / 2,
                    false => per_address.saturating_mul(times as usize),
                };
                if open.networks.get(&network).is_some_and(|&count| count >= limit) {
                    return Err(Full::Address);
                }
            }
            for (network, _) in networks(peer) {
                *open.networks.entry(network).or_default() += 1;
            }
        }
        open.count += 1;
        if self.per_address.is_some() {
            metrics::gauge!("max_auth_connections_open").set(open.count as f64);
        }
        Ok(Place { places: Arc::clone(self), peer: per_address.map(|_| peer) })
    }
}

/// The place of one connection, given back when dropped.
pub struct Place {
    places: Arc<Places>,
    /// Where the address is counted.
    peer: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.count -= 1;
        if self.places.per_address.is_some() {
            metrics::gauge!("max_auth_connections_open").set(open.count as f64);
        }
        for (network, _) in self.peer.into_iter().flat_map(networks) {
            if let Some(count) = open.networks.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    open.networks.remove(&network);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(max: usize, per_address: usize) -> Arc<Places> {
        Arc::new(Places::new(max, per_address, vec!["203.0.113.0/24".parse().unwrap()]))
    }

    fn take(places: &Arc<Places>, address: &str) -> Result<Place, Full> {
        places.take(address.parse().unwrap())
    }

    fn many(places: &Arc<Places>, addresses: impl Iterator<Item = String>) -> Vec<Place> {
        addresses.filter_map(|address| take(places, &address).ok()).collect()
    }

    #[test]
    fn one_address_has_its_share_and_gives_it_back() {
        let places = places(1000, 10);
        let held = many(&places, (0..50).map(|_| "192.0.2.1".to_owned()));
        assert_eq!(held.len(), 10);
        assert_eq!(take(&places, "192.0.2.1").err(), Some(Full::Address));
        assert_eq!(take(&places, "::ffff:192.0.2.1").err(), Some(Full::Address));
        assert!(take(&places, "192.0.2.2").is_ok());
        drop(held);
        assert!(take(&places, "192.0.2.1").is_ok());
        let open = places.open.lock().unwrap();
        assert_eq!((open.count, open.networks.len()), (0, 0));
    }

    #[test]
    fn an_ipv6_customer_has_sixteen_times_the_share_of_a_household() {
        let places = places(10_000, 10);
        let household = many(&places, (0..50).map(|n| format!("2001:db8:1:200::{n:x}")));
        let customer = many(&places, (0..5000).map(|n| format!("2001:db8:1:{n:x}::1")));
        assert_eq!((household.len(), customer.len()), (10, 150));
    }

    #[test]
    fn a_trusted_proxy_has_them_all_and_an_unlisted_private_one_half() {
        let places = places(100, 10);
        let private = many(&places, (0..200).map(|_| "172.17.0.1".to_owned()));
        assert_eq!(private.len(), 50);
        let trusted = many(&places, (0..200).map(|_| "203.0.113.7".to_owned()));
        assert_eq!(trusted.len(), 50);
        assert_eq!(take(&places, "198.51.100.1").err(), Some(Full::Everywhere));
    }
}
