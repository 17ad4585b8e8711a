//! How sign-ins go for the visitors of each network. Some networks in Russia let some 25 packets, or 16 KB, of a connection to
//! a host abroad through and drop the rest in silence; nothing of that shows in one connection, only in how many of one
//! network share the fate. Kept are counts of networks as large as providers, for a day, and nothing of persons.
//!
//! An address is the peer's or what a trusted proxy said, so nobody can invent one; those who come from many places at once
//! take places of networks that were not seen for longest.

use crate::base::address::is_private;
use crate::base::id::LoginId;
use crate::probe::{FREEZE_KB, NetworkCounts, NetworkSeen, NetworksAnswer, SilentStreams};
use ipnet::IpNet;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Prefixes of what one provider has: shorter ones mix providers, longer ones have too few visitors to tell anything.
const IPV4_PREFIX: u8 = 16;
const IPV6_PREFIX: u8 = 32;

/// Networks that are remembered, 0.8 KB each: there are some 700 of this size in Russia.
const NETWORKS_KEPT: usize = 1024;

/// Networks that are listed, 0.3 KB of JSON each.
const LISTED: usize = 100;

/// Sign-ins of a network whose browser has reported a frozen line, so that none is counted twice.
const REPORTED_KEPT: usize = 32;

/// An hour is six slots, a day 24. The oldest is dropped whole, so that "an hour" is 50 to 60 minutes.
const HOUR_SLOT: Duration = Duration::from_secs(600);
const DAY_SLOT: Duration = Duration::from_secs(3600);

/// Of an address.
pub fn network_of(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let prefix = if address.is_ipv4() { IPV4_PREFIX } else { IPV6_PREFIX };
    IpNet::new(address, prefix).unwrap_or_else(|_| IpNet::from(address)).trunc()
}

/// By network of visitors, how sign-ins and their streams went lately.
pub struct VisitorNetworks {
    began: Instant,
    table: Mutex<HashMap<IpNet, Network>>,
    /// Of ids of logins; with a key of its own.
    hash: RandomState,
}

impl Default for VisitorNetworks {
    fn default() -> Self {
        Self { began: Instant::now(), table: Mutex::default(), hash: RandomState::new() }
    }
}

/// Times are since the table began.
struct Network {
    used: Duration,
    hour: Window<6>,
    day: Window<24>,
    reported: VecDeque<u64>,
}

/// What happened while one slot was the newest.
#[derive(Clone, Copy, Default)]
struct Slot {
    logins: u16,
    frozen: u16,
    streams: u16,
    /// Below, between, above.
    silent: [u16; 3],
    /// Of those between, in all.
    bytes: u32,
}

struct Window<const SLOTS: usize> {
    slots: [Slot; SLOTS],
    /// The number of the newest, from the beginning of time on.
    newest: u64,
}

impl Slot {
    fn went_silent(&mut self, bytes: u64) {
        let bucket = bucket(bytes);
        self.silent[bucket] = self.silent[bucket].saturating_add(1);
        if bucket == BETWEEN {
            self.bytes = self.bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }
}

const BETWEEN: usize = 1;

/// Below, between or above.
fn bucket(bytes: u64) -> usize {
    match bytes {
        few if few < FREEZE_KB.0 * 1024 => 0,
        some if some <= FREEZE_KB.1 * 1024 => BETWEEN,
        _ => 2,
    }
}

impl<const SLOTS: usize> Window<SLOTS> {
    fn new(now: u64) -> Self {
        Self { slots: [Slot::default(); SLOTS], newest: now }
    }

    fn at(&mut self, now: u64) -> &mut Slot {
        let passed = now.saturating_sub(self.newest).min(SLOTS as u64);
        for slot in now + 1 - passed..=now {
            self.slots[slot as usize % SLOTS] = Slot::default();
        }
        self.newest = self.newest.max(now);
        &mut self.slots[self.newest as usize % SLOTS]
    }

    fn counts(&mut self, now: u64) -> NetworkCounts {
        self.at(now);
        let sum = |of: fn(&Slot) -> u64| self.slots.iter().map(of).sum();
        let (between, bytes): (u64, u64) = (sum(|slot| slot.silent[BETWEEN].into()), sum(|slot| slot.bytes.into()));
        let silent = SilentStreams {
            below: sum(|slot| slot.silent[0].into()),
            between,
            above: sum(|slot| slot.silent[2].into()),
            mean_bytes: bytes.checked_div(between),
        };
        let (logins, frozen) = (sum(|slot| slot.logins.into()), sum(|slot| slot.frozen.into()));
        NetworkCounts { logins, frozen, streams: sum(|slot| slot.streams.into()), silent }
    }
}

impl Network {
    fn new(now: Duration) -> Self {
        let (hour, day) = slots(now);
        Self { used: now, hour: Window::new(hour), day: Window::new(day), reported: VecDeque::new() }
    }

    fn count(&mut self, now: Duration, change: impl Fn(&mut Slot)) {
        let (hour, day) = slots(now);
        change(self.hour.at(hour));
        change(self.day.at(day));
    }

    fn is_first_report(&mut self, login: u64) -> bool {
        if self.reported.contains(&login) {
            return false;
        }
        if self.reported.len() >= REPORTED_KEPT {
            self.reported.pop_front();
        }
        self.reported.push_back(login);
        true
    }

    fn seen(&mut self, network: IpNet, now: Duration) -> NetworkSeen {
        let (hour, day) = slots(now);
        NetworkSeen {
            network: network.to_string(),
            inside: is_private(network.addr()),
            hour: self.hour.counts(hour),
            day: self.day.counts(day),
        }
    }
}

fn together(counts: impl Iterator<Item = NetworkCounts>) -> NetworkCounts {
    let mut all = NetworkCounts::default();
    let mut bytes = 0;
    for NetworkCounts { logins, frozen, streams, silent } in counts {
        all.logins += logins;
        all.frozen += frozen;
        all.streams += streams;
        all.silent.below += silent.below;
        all.silent.between += silent.between;
        all.silent.above += silent.above;
        bytes += silent.mean_bytes.unwrap_or_default() * silent.between;
    }
    all.silent.mean_bytes = bytes.checked_div(all.silent.between);
    all
}

/// The numbers of the newest slots.
fn slots(now: Duration) -> (u64, u64) {
    (now.as_secs() / HOUR_SLOT.as_secs(), now.as_secs() / DAY_SLOT.as_secs())
}

impl VisitorNetworks {
    /// A login was begun there.
    pub fn login_began(&self, address: IpAddr) {
        self.with(network_of(address), |network, now| {
            network.count(now, |slot| slot.logins = slot.logins.saturating_add(1));
        });
    }

    /// What a browser there says with a request of its login: `ws.frozen,page.frozen,poll.failed`.
    pub fn browser_reported(&self, address: IpAddr, login: LoginId, failed: &str) {
        let frozen = |one: &str| one.split_once('.').is_some_and(|(_, why)| why.starts_with("frozen"));
        if !failed.split(',').take(20).any(frozen) {
            return;
        }
        let login = self.hash.hash_one(login);
        self.with(network_of(address), |network, now| {
            if network.is_first_report(login) {
                metrics::counter!("max_auth_logins_frozen_total").increment(1);
                network.count(now, |slot| slot.frozen = slot.frozen.saturating_add(1));
            }
        });
    }

    /// A stream there ended; `silent_after`: so many bytes had been sent over it when its other end went silent.
    pub fn stream_ended(&self, network: IpNet, silent_after: Option<u64>) {
        self.with(network, |network, now| {
            network.count(now, |slot| {
                slot.streams = slot.streams.saturating_add(1);
                if let Some(bytes) = silent_after {
                    slot.went_silent(bytes);
                }
            });
        });
        if let Some(bytes) = silent_after {
            let bytes = ["below-8k", "8k-40k", "above-40k"][bucket(bytes)];
            metrics::counter!("max_auth_streams_frozen_total", "bytes" => bytes).increment(1);
        }
    }

    /// Those with trouble first, then those with most logins.
    pub fn answer(&self) -> NetworksAnswer {
        let now = self.began.elapsed();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut networks: Vec<NetworkSeen> =
            table.iter_mut().map(|(network, counts)| counts.seen(*network, now)).collect();
        drop(table);
        networks.retain(|seen| seen.day != NetworkCounts::default());
        let (seen, all) = (networks.len() as u64, together(networks.iter().map(|seen| seen.day)));
        let order =
            |NetworkSeen { day, .. }: &NetworkSeen| (day.frozen + day.silent.between, day.silent.all(), day.logins);
        networks.sort_by(|a, b| order(b).cmp(&order(a)).then_with(|| a.network.cmp(&b.network)));
        networks.truncate(LISTED);
        NetworksAnswer { seen, all, networks }
    }

    /// A newcomer takes the place of the one that was not seen for longest.
    fn with(&self, network: IpNet, change: impl FnOnce(&mut Network, Duration)) {
        let now = self.began.elapsed();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= NETWORKS_KEPT
            && !table.contains_key(&network)
            && let Some(oldest) = table.iter().min_by_key(|(_, network)| network.used).map(|(oldest, _)| *oldest)
        {
            table.remove(&oldest);
        }
        let network = table.entry(network).or_insert_with(|| Network::new(now));
        network.used = now;
        change(network, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::observe::Counted;
    use tokio::time::advance;

    const MINUTE: Duration = Duration::from_secs(60);
    const HERE: &str = "198.51.100.7";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn seen(networks: &VisitorNetworks, of: &str) -> NetworkSeen {
        let of = network_of(ip(of)).to_string();
        networks.answer().networks.into_iter().find(|seen| seen.network == of).unwrap_or_default()
    }

    #[test]
    fn a_network_is_a_providers_and_no_persons() {
        for (address, network) in [
            ("198.51.100.7", "198.51.0.0/16"),
            ("::ffff:198.51.100.7", "198.51.0.0/16"),
            ("2001:db8:1:2:3::4", "2001:db8::/32"),
            ("127.0.0.1", "127.0.0.0/16"),
        ] {
            assert_eq!(network_of(ip(address)).to_string(), network);
        }
        let networks = VisitorNetworks::default();
        ["198.51.100.7", "198.51.3.4", "10.1.2.3"].iter().for_each(|address| networks.login_began(ip(address)));
        assert_eq!((seen(&networks, HERE).day.logins, seen(&networks, HERE).inside), (2, false));
        assert!(seen(&networks, "10.1.9.9").inside, "a proxy that nobody listed");
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_and_a_day_are_remembered_and_not_more() {
        let networks = VisitorNetworks::default();
        let logins = || (seen(&networks, HERE).hour.logins, seen(&networks, HERE).day.logins);
        networks.login_began(ip(HERE));
        advance(30 * MINUTE).await;
        networks.login_began(ip(HERE));
        assert_eq!(logins(), (2, 2));
        advance(29 * MINUTE).await;
        assert_eq!(logins(), (2, 2));
        advance(MINUTE).await;
        assert_eq!(logins(), (1, 2), "after an hour the first is no more of it");
        advance(30 * MINUTE).await;
        assert_eq!(logins(), (0, 2));
        advance(22 * 60 * MINUTE).await;
        assert_eq!(logins(), (0, 2), "after 23.5 hours");
        networks.login_began(ip(HERE));
        advance(30 * MINUTE).await;
        assert_eq!(logins(), (1, 1), "after a day");
        advance(1000 * 60 * MINUTE).await;
        assert_eq!((networks.answer(), logins()), (NetworksAnswer::default(), (0, 0)));
        networks.login_began(ip(HERE));
        assert_eq!(logins(), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_network_that_was_not_seen_for_longest_makes_place() {
        let networks = VisitorNetworks::default();
        for n in 0..NETWORKS_KEPT {
            networks.login_began([20 + (n / 256) as u8, (n % 256) as u8, 0, 1].into());
            advance(Duration::from_millis(1)).await;
        }
        networks.login_began(ip("20.0.9.9"));
        advance(Duration::from_millis(1)).await;
        networks.login_began(ip(HERE));
        let answer = networks.answer();
        assert_eq!((answer.seen, answer.networks.len()), (NETWORKS_KEPT as u64, LISTED));
        let known = |address: &str| networks.table.lock().unwrap().contains_key(&network_of(ip(address)));
        assert!(known(HERE) && known("20.0.1.1") && !known("20.1.1.1") && known("20.2.1.1"));
        assert!(serde_json::to_vec(&answer).unwrap().len() < 40 * 1024);
    }

    #[test]
    fn a_login_is_frozen_once_however_often_its_browser_says_so() {
        let (networks, rng, counted) = (VisitorNetworks::default(), Rng::seeded(1), Counted::listen());
        let frozen = || (seen(&networks, HERE).day.frozen, counted.of("max_auth_logins_frozen_total"));
        let logins: Vec<LoginId> = (0..=REPORTED_KEPT).map(|_| LoginId::new(&rng)).collect();
        let report = |login: usize, failed: &str| networks.browser_reported(ip(HERE), logins[login], failed);
        for nothing in ["", "ws.hang,poll.failed", "frozen", "ws", ".", "frozen.ws"] {
            report(0, nothing);
        }
        assert_eq!((frozen(), networks.answer().seen), ((0, 0), 0));
        ["ws.frozen", "poll.failed,page.frozen", "ws.frozen,ws.frozen"].iter().for_each(|failed| report(0, failed));
        assert_eq!(frozen(), (1, 1));
        report(1, &("x,".repeat(20) + "ws.frozen"));
        assert_eq!(frozen(), (1, 1), "whoever sends many is not heard out");
        (0..logins.len()).for_each(|login| report(login, "ws.frozen"));
        assert_eq!(frozen().0, logins.len() as u64);
        assert_eq!(networks.table.lock().unwrap()[&network_of(ip(HERE))].reported.len(), REPORTED_KEPT);
    }

    #[test]
    fn what_went_silent_is_told_by_how_much_had_been_sent() {
        let (networks, counted) = (VisitorNetworks::default(), Counted::listen());
        let end = |silent_after| networks.stream_ended(network_of(ip(HERE)), silent_after);
        for bytes in [0, 8 * 1024 - 1, 8 * 1024, 14_000, 40 * 1024, 40 * 1024 + 1, u64::MAX] {
            end(Some(bytes));
        }
        (0..3).for_each(|_| end(None));
        let mean_bytes = Some((8 * 1024 + 14_000 + 40 * 1024) / 3);
        let counts = seen(&networks, HERE).day;
        assert_eq!(counts.silent, SilentStreams { below: 2, between: 3, above: 2, mean_bytes });
        assert_eq!((counts.streams, counts.silent.all(), counts), (10, 7, seen(&networks, HERE).hour));
        let of = |bytes: &str| counted.of(&format!("max_auth_streams_frozen_total{{bytes=\"{bytes}\"}}"));
        assert_eq!((of("below-8k"), of("8k-40k"), of("above-40k")), (2, 3, 2));
    }

    #[test]
    fn networks_with_trouble_come_first() {
        let (networks, rng) = (VisitorNetworks::default(), Rng::seeded(1));
        for (address, logins) in [("20.1.1.1", 9), ("20.2.1.1", 2), ("20.3.1.1", 5), ("20.4.1.1", 5)] {
            (0..logins).for_each(|_| networks.login_began(ip(address)));
        }
        networks.browser_reported(ip("20.2.1.1"), LoginId::new(&rng), "ws.frozen");
        let ends = [("20.4.1.1", 10), ("20.2.1.1", 9_000), ("20.3.1.1", 10_000), ("20.3.1.1", 90_000)];
        ends.iter().for_each(|(address, bytes)| networks.stream_ended(network_of(ip(address)), Some(*bytes)));
        networks.stream_ended(network_of(ip("20.1.1.1")), None);
        let NetworksAnswer { all, networks, .. } = networks.answer();
        let order: Vec<String> = networks.into_iter().map(|seen| seen.network).collect();
        assert_eq!(order, ["20.2.0.0/16", "20.3.0.0/16", "20.4.0.0/16", "20.1.0.0/16"]);
        let silent = SilentStreams { below: 1, between: 2, above: 1, mean_bytes: Some(9_500) };
        assert_eq!(all, NetworkCounts { logins: 21, frozen: 1, streams: 5, silent });
    }
}
