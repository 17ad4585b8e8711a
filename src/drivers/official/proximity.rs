//! Whether the phone is where the browser is, as far as addresses tell.

use ipnet::IpNet;
use std::net::IpAddr;

/// The same /24, the same /48 of IPv6, or a country of the table.
pub fn is_near(phone: IpAddr, browser: IpAddr, countries: &[(IpNet, String)]) -> bool {
    let (phone, browser) = (phone.to_canonical(), browser.to_canonical());
    let network = |address: IpAddr| {
        let length = if address.is_ipv4() { 24 } else { 48 };
        IpNet::new(address, length).ok().map(|network| network.trunc())
    };
    if network(phone) == network(browser) {
        return true;
    }
    let country = |address: IpAddr| {
        let around = countries.iter().filter(|(network, _)| network.contains(&address));
        around.max_by_key(|(network, _)| network.prefix_len()).map(|(_, country)| country)
    };
    country(phone).is_some_and(|of_phone| country(browser) == Some(of_phone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_the_same_network_or_country() {
        let table: Vec<(IpNet, String)> =
            [("203.0.113.0/24", "RU"), ("198.51.100.0/24", "RU"), ("198.51.100.128/25", "KZ")]
                .map(|(network, country)| (network.parse().unwrap(), country.to_owned()))
                .into();
        for (phone, browser, countries, near) in [
            ("192.0.2.1", "192.0.2.200", &[][..], true),
            ("192.0.2.1", "192.0.3.1", &[], false),
            ("::ffff:192.0.2.1", "192.0.2.9", &[], true),
            ("2001:db8:1:2::1", "2001:db8:1:ffff::1", &[], true),
            ("2001:db8:1::1", "2001:db8:2::1", &[], false),
            ("192.0.2.1", "2001:db8:2::1", &[], false),
            ("203.0.113.5", "198.51.100.5", &table, true),
            ("203.0.113.5", "198.51.100.200", &table, false),
            ("192.0.2.1", "10.0.0.1", &table, false),
        ] {
            assert_eq!(is_near(phone.parse().unwrap(), browser.parse().unwrap(), countries), near, "{phone} {browser}");
        }
    }
}
