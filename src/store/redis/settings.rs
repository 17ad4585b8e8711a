//! Where Redis is: one address, in the forms that its users know.

use crate::base::secret::Secret;
use percent_encoding::percent_decode_str;
use std::time::Duration;

/// Why an address cannot be used; never with the password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(String);

impl AddressError {
    pub fn new(what: String) -> Self {
        Self(what)
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, AddressError> {
    Err(AddressError(what.into()))
}

/// How the server that is written to is found.
#[derive(PartialEq, Eq, Debug)]
pub enum Way {
    /// It is the host.
    Direct,
    /// The hosts know the others, and which has which key.
    Cluster,
    /// The hosts know who is the master of this name at present.
    Sentinel { master: String },
}

/// An address, taken apart.
pub struct Address {
    pub way: Way,
    pub tls: bool,
    pub hosts: Vec<(String, u16)>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub database: i64,
}

const FORMS: &str = "redis://[USER:PASSWORD@]HOST:PORT[/DB], rediss:// for TLS, \
                     redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/MASTER[/DB], \
                     redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT";

/// Ports where none is given.
const REDIS: u16 = 6379;
const SENTINEL: u16 = 26379;

impl Address {
    /// `redis://`, `redis+sentinel://` or `redis+cluster://`, each with `rediss` for TLS. Words before `@` may be
    /// percent-encoded; one word alone before it is a user without a password, as everywhere in addresses.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let Some((scheme, rest)) = text.trim().split_once("://") else {
            return wrong(format!("this is no address of a Redis; it looks like {FORMS}"));
        };
        let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match base {
            "redis" => false,
            "rediss" => true,
            _ => return wrong(format!("{scheme}:// is no address of a Redis; it looks like {FORMS}")),
        };
        // The last @: in a password it may stand unencoded.
        let (before, rest) = rest.rsplit_once('@').map_or((None, rest), |(before, rest)| (Some(before), rest));
        if rest.contains(['?', '#']) {
            return wrong("an address of a Redis has no ? or # behind its host (in a password: %3F, %23)");
        }
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (way, database) = match (kind, &path[..]) {
            ("", []) => (Way::Direct, 0),
            ("", [database]) => (Way::Direct, number(database)?),
            ("cluster", []) => (Way::Cluster, 0),
            ("cluster", _) => return wrong("a Redis Cluster has no databases: nothing may stand behind its hosts"),
            ("sentinel", [master]) => (Way::Sentinel { master: decoded(master)? }, 0),
            ("sentinel", [master, database]) => (Way::Sentinel { master: decoded(master)? }, number(database)?),
            ("sentinel", []) => {
                return wrong("the name of the master is missing: redis+sentinel://HOST:PORT/MASTER");
            }
            _ => return wrong(format!("{scheme}:// with this path is no address of a Redis; it looks like {FORMS}")),
        };
        let port = if kind == "sentinel" { SENTINEL } else { REDIS };
        let hosts = hosts.split(',').map(|text| host(text.trim(), port)).collect::<Result<Vec<_>, _>>()?;
        if way == Way::Direct && hosts.len() > 1 {
            return wrong("several hosts are a cluster (redis+cluster://) or sentinels (redis+sentinel://)");
        }
        let (user, password) = match before.map(|before| before.split_once(':').unwrap_or((before, ""))) {
            Some((user, password)) => (given(user)?, given(password)?.map(Secret::new)),
            None => (None, None),
        };
        Ok(Self { way, tls, hosts, user, password, database })
    }
}

fn decoded(text: &str) -> Result<String, AddressError> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(String::from).map_err(|_| AddressError("an address of a Redis is UTF-8".to_owned()))
}

fn given(text: &str) -> Result<Option<String>, AddressError> {
    if text.is_empty() { Ok(None) } else { decoded(text).map(Some) }
}

fn number(text: &str) -> Result<i64, AddressError> {
    match text.parse::<u16>() {
        Ok(number) => Ok(i64::from(number)),
        Err(_) => wrong(format!("{text:?} is no number of a database")),
    }
}

fn host(text: &str, default: u16) -> Result<(String, u16), AddressError> {
    // [IPv6]:port, host:port, or a host alone.
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => (name, None),
        Some((name, rest)) => (name, rest.strip_prefix(':')),
        None => text.rsplit_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let port = port.map_or(Ok(default), str::parse);
    match port {
        Ok(port) if !name.is_empty() && port != 0 => Ok((name.to_owned(), port)),
        // Not its text: who forgot the @ has a password there.
        _ => wrong("a host in the address of the Redis is no HOST:PORT"),
    }
}

/// What may be set beside the address.
#[derive(Clone)]
pub struct Options {
    /// Begins every key and channel, so that several sites can share one Redis.
    pub prefix: String,
    /// Certificates (PEM) that are trusted instead of the system's.
    pub trusted: Option<Vec<u8>>,
    /// Longest time for one command, its way to a connection included.
    pub deadline: Duration,
    /// Between two messages to itself through pub/sub.
    pub probe: Duration,
    /// After so long without its own message a subscription is made anew.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefix: "max-auth:".to_owned(),
            trusted: None,
            deadline: Duration::from_secs(1),
            probe: Duration::from_secs(5),
            patience: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = (Way, bool, Vec<(String, u16)>, Option<String>, Option<String>, i64);

    fn parts(text: &str) -> Parts {
        let address = Address::parse(text).unwrap();
        let password = address.password.map(|password| password.expose().to_owned());
        (address.way, address.tls, address.hosts, address.user, password, address.database)
    }

    fn hosts(list: &[(&str, u16)]) -> Vec<(String, u16)> {
        list.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect()
    }

    #[test]
    fn an_address_has_the_forms_that_people_know() {
        let word = |text: &str| Some(text.to_owned());
        assert_eq!(parts("redis://r"), (Way::Direct, false, hosts(&[("r", 6379)]), None, None, 0));
        assert_eq!(
            parts("rediss://max:p%40ss@[::1]:7000/3"),
            (Way::Direct, true, hosts(&[("::1", 7000)]), word("max"), word("p@ss"), 3)
        );
        assert_eq!(parts("redis://:pw@r:1").4, word("pw"));
        assert_eq!(parts("redis://u:p@w@r:1").4, word("p@w"));
        assert_eq!(
            parts("redis+sentinel://u:p@a,b:5/main/2"),
            (
                Way::Sentinel { master: "main".to_owned() },
                false,
                hosts(&[("a", 26379), ("b", 5)]),
                word("u"),
                word("p"),
                2
            )
        );
        assert_eq!(
            parts("rediss+cluster://a:1,b:2/"),
            (Way::Cluster, true, hosts(&[("a", 1), ("b", 2)]), None, None, 0)
        );
    }

    #[test]
    fn a_wrong_address_is_refused_in_a_sentence_without_the_password() {
        for (text, why) in [
            ("r:6379", "looks like"),
            ("http://r", "looks like"),
            ("redis+ring://r", "looks like"),
            ("redis://u:hush@r:x", "HOST:PORT"),
            ("redis://u:hush@:1", "HOST:PORT"),
            ("redis://u:hush@r:0", "HOST:PORT"),
            ("redis://u:hush@a:1,b:2", "redis+cluster"),
            ("redis://u:hush@r/x", "database"),
            ("redis://u:hush@r/1/2", "looks like"),
            ("redis://u:hush@r?protocol=2", "%3F"),
            ("redis+cluster://u:hush@r/1", "databases"),
            ("redis+sentinel://u:hush@r", "master"),
        ] {
            let error = Address::parse(text).err().unwrap().to_string();
            assert!(error.contains(why) && !error.contains("hush"), "{text}: {error}");
        }
    }
}
