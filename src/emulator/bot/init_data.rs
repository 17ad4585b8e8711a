//! initData of a mini-app: right, and wrong in every way that a server should tell apart.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::person::Person;
use super::signatures;

/// What a browser's `encodeURIComponent` leaves.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// What the app says of itself beside the data.
const BESIDE: &str = "WebAppPlatform=web&WebAppVersion=26.37.1";

const HOUR: i64 = 3600;

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    #[default]
    Good,
    /// Signed by another bot.
    WrongToken,
    /// `start_param` twice: whoever takes the first sees a good signature, whoever takes the last another login.
    RepeatedKey,
    /// `auth_date` in milliseconds, as one page of MAX shows it.
    Ms,
    /// From ten minutes ahead.
    Future,
    /// Two hours old.
    Old,
    /// As from the button in the list of chats.
    NoChat,
    /// A name with a literal `%25`: whoever decodes twice refuses a real person.
    Percent,
    /// A name with `+` and `&`.
    Plus,
    /// As it stands in the address, with what stands beside it.
    Fragment,
    /// Without `user`.
    NoUser,
    /// One hexadecimal digit of the hash is another.
    BadHash,
}

/// What goes into it.
pub(super) struct Parts<'a> {
    pub(super) person: &'a Person,
    pub(super) start_param: Option<&'a str>,
    pub(super) ip: Option<&'a str>,
    pub(super) query_id: String,
    pub(super) now_ms: i64,
}

pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// `window.WebApp.initData`, or the fragment.
pub(super) fn make(token: &str, kind: Kind, parts: &Parts<'_>) -> String {
    let fields = fields(kind, parts);
    let token = if kind == Kind::WrongToken { format!("{token}-of-another") } else { token.to_owned() };
    let mut hash = signatures::init_data(&token, &fields);
    if kind == Kind::BadHash {
        let last = if hash.ends_with('0') { "1" } else { "0" };
        hash.replace_range(hash.len() - 1.., last);
    }
    let mut pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    pairs.push(format!("hash={hash}"));
    if kind == Kind::RepeatedKey {
        pairs.push("start_param=another-login".to_owned());
    }
    let data = pairs.join("&");
    if kind == Kind::Fragment { fragment(&data) } else { data }
}

/// What follows the `#` of the mini-app's address.
pub(super) fn fragment(init_data: &str) -> String {
    format!("WebAppData={}&{BESIDE}", encoded(init_data))
}

fn fields(kind: Kind, parts: &Parts<'_>) -> Vec<(String, String)> {
    let seconds = parts.now_ms / 1000;
    let auth_date = match kind {
        Kind::Ms => parts.now_ms,
        Kind::Future => seconds + 600,
        Kind::Old => seconds - 2 * HOUR,
        _ => seconds,
    };
    let mut fields = vec![("auth_date", auth_date.to_string()), ("query_id", parts.query_id.clone())];
    if kind != Kind::NoUser {
        fields.push(("user", user(kind, parts.person).to_string()));
    }
    if kind != Kind::NoChat {
        fields.push(("chat", json!({ "id": parts.person.chat_id, "type": "DIALOG" }).to_string()));
    }
    if let Some(ip) = parts.ip {
        fields.push(("ip", ip.to_owned()));
    }
    if let Some(start_param) = parts.start_param.or((kind == Kind::RepeatedKey).then_some("one-login")) {
        fields.push(("start_param", start_param.to_owned()));
    }
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn user(kind: Kind, person: &Person) -> Value {
    let first_name = match kind {
        Kind::Percent => format!("{} 100%25", person.first_name),
        Kind::Plus => format!("{} + Ко & Ко", person.first_name),
        _ => person.first_name.clone(),
    };
    json!({
        "id": person.id,
        "first_name": first_name,
        "last_name": person.last_name.as_deref().unwrap_or_default(),
        "username": person.username,
        "language_code": person.locale.as_deref().unwrap_or("ru"),
        "photo_url": person.photo_url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::bot::person::People;
    use std::collections::BTreeMap;
    use url::form_urlencoded;

    const TOKEN: &str = "t";
    const NOW: i64 = 1_790_000_000_500;

    fn made(kind: Kind) -> String {
        let names = ("Анна+".to_owned(), String::new());
        let mut people = People::new(400, 79_990_000_000, names, None);
        let parts = Parts {
            person: people.known(400).unwrap(),
            start_param: Some("abc"),
            ip: Some("127.0.0.1"),
            query_id: "q".to_owned(),
            now_ms: NOW,
        };
        make(TOKEN, kind, &parts)
    }

    /// As a server reads it: decoded once.
    fn read(data: &str) -> Vec<(String, String)> {
        form_urlencoded::parse(data.as_bytes()).into_owned().collect()
    }

    fn is_signed(data: &str) -> bool {
        let mut fields = read(data);
        let hash = fields.iter().position(|(name, _)| name == "hash").map(|at| fields.remove(at).1);
        hash == Some(signatures::init_data(TOKEN, &fields))
    }

    fn field(data: &str, wanted: &str) -> Option<String> {
        read(data).into_iter().collect::<BTreeMap<_, _>>().remove(wanted)
    }

    #[test]
    fn each_kind_is_wrong_in_its_one_way() {
        use Kind::*;
        for (kind, signed) in [
            (Good, true),
            (WrongToken, false),
            (RepeatedKey, false),
            (Ms, true),
            (Future, true),
            (Old, true),
            (NoChat, true),
            (Percent, true),
            (Plus, true),
            (NoUser, true),
            (BadHash, false),
        ] {
            assert_eq!(is_signed(&made(kind)), signed, "{kind:?}");
        }
        assert_eq!(field(&made(Good), "auth_date").as_deref(), Some("1790000000"));
        assert_eq!(field(&made(Ms), "auth_date").as_deref(), Some("1790000000500"));
        assert_eq!(field(&made(Future), "auth_date").as_deref(), Some("1790000600"));
        assert_eq!(field(&made(Old), "auth_date").as_deref(), Some("1789992800"));
        assert_eq!(field(&made(NoChat), "chat"), None);
        assert_eq!(field(&made(NoUser), "user"), None);
        let name = |kind| {
            let user: Value = serde_json::from_str(&field(&made(kind), "user").unwrap()).unwrap();
            user["first_name"].as_str().unwrap().to_owned()
        };
        assert_eq!([Good, Percent, Plus].map(name), ["Анна+", "Анна+ 100%25", "Анна+ + Ко & Ко"]);
    }

    #[test]
    fn a_repeated_key_is_good_for_whoever_takes_the_first() {
        let data = made(Kind::RepeatedKey);
        let first = data.rsplit_once('&').unwrap().0;
        assert!(is_signed(first));
        let twice: Vec<_> = read(&data).into_iter().filter(|(name, _)| name == "start_param").collect();
        assert_eq!(twice.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["abc", "another-login"]);
    }

    #[test]
    fn a_fragment_carries_the_data_encoded_once_more() {
        let fields = read(&made(Kind::Fragment));
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["WebAppData", "WebAppPlatform", "WebAppVersion"]);
        assert!(is_signed(&fields[0].1));
    }
}
