//! Who wants updates by webhook. Subscriptions add up; each gets a copy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

use super::schedule::REMOVED_AFTER;

/// Subscriptions of one bot.
const MOST: usize = 32;

const SECRET: std::ops::RangeInclusive<usize> = 5..=256;

/// A number that tells a subscription from a later one of the same address.
pub(super) type Id = u64;

pub(super) struct Subscription {
    pub(super) id: Id,
    pub(super) url: Url,
    /// As it was given.
    text: String,
    pub(super) secret: Option<String>,
    types: Option<Vec<String>>,
    /// Unix ms.
    time: i64,
    /// Since when nothing was answered with 200, on the bot's time.
    failing_since: Option<Duration>,
    /// By person: ends when the last update of theirs had its first try. It keeps a dialogue in order.
    lanes: HashMap<i64, CancellationToken>,
}

#[derive(Default)]
pub(super) struct Subscriptions {
    list: Vec<Subscription>,
    next: Id,
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) url: Url,
    pub(super) text: String,
    pub(super) secret: Option<String>,
    pub(super) types: Option<Vec<String>>,
}

/// Why there is no subscription.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not what the API takes: 400.
    Malformed(String),
    /// An address that MAX does not call: 200 with `success: false`.
    Address(String),
}

impl Wanted {
    pub(super) fn read(body: &Value) -> Result<Self, Refused> {
        let wrong = |why: &str| Err(Refused::Malformed(why.to_owned()));
        let Some(text) = body["url"].as_str() else { return wrong("url: is required") };
        let secret = match &body["secret"] {
            Value::Null => None,
            Value::String(secret) if is_secret(secret) => Some(secret.clone()),
            _ => return wrong("secret: does not match ^[a-zA-Z0-9_-]{5,256}$"),
        };
        let types = match &body["update_types"] {
            Value::Null => None,
            Value::Array(list) => {
                let names = list.iter().map(|kind| kind.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
                let Some(names) = names else { return wrong("update_types: must be a list of names") };
                // An empty list is no filter: the SDK of TypeScript sends it where nothing was chosen.
                Some(names).filter(|names| !names.is_empty())
            }
            _ => return wrong("update_types: must be a list of names"),
        };
        let url = address(text).map_err(Refused::Address)?;
        Ok(Self { url, text: text.to_owned(), secret, types })
    }
}

fn is_secret(text: &str) -> bool {
    SECRET.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// https, without a port; on this machine any scheme and any port.
fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("url: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !url.username().is_empty() {
        return Err("url: must be a web address".to_owned());
    }
    if is_here(&url) {
        return Ok(url);
    }
    if url.scheme() != "https" {
        return Err("url: must start with https://".to_owned());
    }
    // `Url` forgets a port that is the usual one; MAX wants none written.
    let authority = text.trim().split("://").nth(1).unwrap_or_default();
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.rsplit(']').next().unwrap_or_default().contains(':') {
        return Err("url: only port 443, and not written in the address".to_owned());
    }
    Ok(url)
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(v4)) => v4.is_loopback(),
        Some(Host::Ipv6(v6)) => IpAddr::from(v6).to_canonical().is_loopback(),
        None => false,
    }
}

impl Subscriptions {
    /// A second one of the same address takes the place of the first. False: there are too many.
    pub(super) fn add(&mut self, wanted: Wanted, now_ms: i64) -> bool {
        let Wanted { url, text, secret, types } = wanted;
        if let Some(old) = self.list.iter_mut().find(|old| old.text == text) {
            (old.secret, old.types, old.time, old.failing_since) = (secret, types, now_ms, None);
            return true;
        }
        if self.list.len() >= MOST {
            return false;
        }
        self.next += 1;
        let (id, lanes) = (self.next, HashMap::new());
        self.list.push(Subscription { id, url, text, secret, types, time: now_ms, failing_since: None, lanes });
        true
    }

    pub(super) fn remove(&mut self, text: &str) -> bool {
        let before = self.list.len();
        self.list.retain(|subscription| subscription.text != text);
        self.list.len() < before
    }

    /// Somebody else with the token did that.
    pub(super) fn forget(&mut self) {
        self.list.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn get(&self, id: Id) -> Option<&Subscription> {
        self.list.iter().find(|subscription| subscription.id == id)
    }

    /// Those that want this kind.
    pub(super) fn wanting(&mut self, kind: &str) -> impl Iterator<Item = &mut Subscription> {
        self.list.iter_mut().filter(move |subscription| {
            subscription.types.as_ref().is_none_or(|types| types.iter().any(|wanted| wanted == kind))
        })
    }

    pub(super) fn succeeded(&mut self, id: Id) {
        if let Some(subscription) = self.list.iter_mut().find(|subscription| subscription.id == id) {
            subscription.failing_since = None;
        }
    }

    /// When it will be removed if nothing succeeds.
    pub(super) fn failed(&mut self, id: Id, now: Duration) -> Option<Duration> {
        let subscription = self.list.iter_mut().find(|subscription| subscription.id == id)?;
        Some(*subscription.failing_since.get_or_insert(now) + REMOVED_AFTER)
    }

    /// Removes it if nothing succeeded for 8 h; whether it did.
    pub(super) fn give_up(&mut self, id: Id, now: Duration) -> bool {
        let over = |subscription: &Subscription| {
            subscription.id == id && subscription.failing_since.is_some_and(|since| since + REMOVED_AFTER <= now)
        };
        let before = self.list.len();
        self.list.retain(|subscription| !over(subscription));
        self.list.len() < before
    }

    pub(super) fn told(&self) -> Vec<Value> {
        let told = |one: &Subscription| json!({ "url": one.text, "time": one.time, "update_types": one.types });
        self.list.iter().map(told).collect()
    }
}

impl Subscription {
    /// The lane of a person: what to wait for, and what to end.
    pub(super) fn line_up(&mut self, person: i64) -> (Option<CancellationToken>, CancellationToken) {
        let done = CancellationToken::new();
        (self.lanes.insert(person, done.clone()), done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(url: &str) -> Wanted {
        Wanted::read(&json!({ "url": url })).unwrap()
    }

    #[test]
    fn an_address_is_https_without_a_port_or_of_this_machine() {
        for fine in [
            "https://site.example/hook?x=1:2",
            "http://127.0.0.1:3001/hook",
            "https://localhost:8443/hook",
            "http://[::1]:80/",
            "https://[2a00:1450::1]/",
        ] {
            assert!(address(fine).is_ok(), "{fine}");
        }
        for bad in [
            "http://site.example/hook",
            "https://site.example:443/hook",
            "https://site.example:8443/hook",
            "https://[2a00:1450::1]:443/",
            "http://127.0.0.1.site.example/",
            "ftp://127.0.0.1/",
            "https://who:what@127.0.0.1/",
            "/hook",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_request_is_told_apart_from_an_address_that_is_not_called() {
        let read = |body: Value| Wanted::read(&body);
        let fine =
            read(json!({ "url": "https://a.example", "secret": "aB3_-", "update_types": ["bot_started"] })).unwrap();
        assert_eq!((fine.secret.as_deref(), fine.types), (Some("aB3_-"), Some(vec!["bot_started".to_owned()])));
        assert_eq!(read(json!({ "url": "https://a.example", "update_types": [] })).unwrap().types, None);
        for bad in [
            json!({}),
            json!({ "url": "https://a.example", "secret": "four" }),
            json!({ "url": "https://a.example", "secret": "x".repeat(257) }),
            json!({ "url": "https://a.example", "secret": "with space" }),
            json!({ "url": "https://a.example", "update_types": "all" }),
            json!({ "url": "https://a.example", "update_types": [7] }),
        ] {
            assert!(matches!(read(bad.clone()), Err(Refused::Malformed(_))), "{bad}");
        }
        assert!(matches!(read(json!({ "url": "http://a.example" })), Err(Refused::Address(_))));
    }

    #[test]
    fn subscriptions_add_up_and_go_after_eight_hours_without_a_success() {
        let (mut all, hour) = (Subscriptions::default(), Duration::from_secs(3600));
        assert!(all.add(wanted("https://a.example"), 1) && all.add(wanted("https://b.example"), 2));
        let again = Wanted { types: Some(vec!["bot_started".to_owned()]), ..wanted("https://b.example") };
        assert!(all.add(again, 3));
        let ids = |all: &mut Subscriptions, kind| all.wanting(kind).map(|one| one.id).collect::<Vec<_>>();
        assert_eq!((ids(&mut all, "bot_started"), ids(&mut all, "message_created")), (vec![1, 2], vec![1]));
        assert_eq!(all.told()[1]["time"], 3);
        assert_eq!(all.failed(1, hour), Some(hour * 9));
        assert_eq!(all.failed(1, hour * 2), Some(hour * 9), "counted from the first");
        assert!(!all.give_up(1, hour * 8));
        all.succeeded(1);
        assert!(!all.give_up(1, hour * 10), "one success begins it anew");
        assert_eq!(all.failed(1, hour * 10), Some(hour * 18));
        assert!(all.give_up(1, hour * 18) && all.get(1).is_none() && all.get(2).is_some());
        assert_eq!(all.failed(1, hour), None);
        assert!(all.remove("https://b.example") && !all.remove("https://b.example") && all.is_empty());
        for number in 0..MOST {
            assert!(all.add(wanted(&format!("https://a{number}.example")), 1));
        }
        assert!(!all.add(wanted("https://b.example"), 1));
        all.forget();
        assert!(all.is_empty());
    }

    #[test]
    fn a_dialogue_lines_up_and_others_do_not_wait_for_it() {
        let mut all = Subscriptions::default();
        all.add(wanted("https://a.example"), 1);
        let one = all.wanting("x").next().unwrap();
        let (before, done) = one.line_up(400);
        assert!(before.is_none());
        assert!(one.line_up(500).0.is_none());
        let (before, _) = one.line_up(400);
        done.cancel();
        assert!(before.unwrap().is_cancelled());
    }
}
