//! What the pages of a login say of its driver: what happens on the phone, and the other ways.

use crate::login::{Drawing, Kind, Login};
use crate::texts::Words;
use serde_json::Value;

/// Its code has steps of its own, and a page says them where nothing is said.
const ACCOUNT_QR: &str = "account_qr";

/// Of one login, as a template reads it.
#[derive(Default)]
pub struct Ways<'a> {
    /// What happens on the phone; `None`: the steps say it.
    pub line: Option<&'a str>,
    pub others: Vec<Other<'a>>,
}

/// Another driver of this server.
pub struct Other<'a> {
    pub name: &'a str,
    /// Where it begins.
    pub address: String,
}

impl<'a> Ways<'a> {
    /// `again`: where such a login begins.
    pub fn of(words: &'a Words, status: &Value, again: &str) -> Self {
        let driver = status["driver"].as_str().unwrap_or(ACCOUNT_QR);
        let ways = &words.shared.ways;
        let line = ways.get(driver).filter(|_| driver != ACCOUNT_QR).map(|[_, line]| line.as_str());
        let others = status["drivers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let others = others.iter().filter_map(Value::as_str).filter(|other| *other != driver);
        let others = others.filter_map(|other| {
            let [name, _] = ways.get(other)?;
            Some(Other { name, address: by(again, other) })
        });
        Self { line, others: others.collect() }
    }
}

/// What the login said first, which alone tells of drivers.
pub fn first_status(login: &Login) -> Value {
    let first = login.log.read(None).ok().and_then(|page| page.events.into_iter().next());
    let status = first.filter(|event| event.kind == Kind::Status);
    status.and_then(|event| serde_json::from_str(&event.data(Drawing::Png)).ok()).unwrap_or_default()
}

/// The same beginning by that driver.
pub fn by(again: &str, driver: &str) -> String {
    let mark = if again.contains('?') { '&' } else { '?' };
    let driver: String = url::form_urlencoded::byte_serialize(driver.as_bytes()).collect();
    format!("{again}{mark}driver={driver}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::{Locale, Texts};
    use serde_json::json;

    #[test]
    fn what_happens_is_said_of_each_driver_and_the_others_are_offered() {
        let texts = Texts::ours();
        let drivers = json!(["mini_app", "bot", "account_qr", "unheard of"]);
        for (status, line, others) in [
            (json!({}), "", vec![]),
            (json!({"driver": "bot"}), "A chat with the site's bot opens", vec![]),
            (json!({"driver": "unheard of"}), "", vec![]),
            (json!({"driver": "mini_app", "drivers": drivers}), "The site's mini-app opens", vec!["bot", "account_qr"]),
            (json!({"driver": "account_qr", "drivers": drivers}), "", vec!["mini_app", "bot"]),
        ] {
            let ways = Ways::of(texts.of(Locale::En), &status, "/b/login?locale=en");
            assert!(ways.line.unwrap_or_default().starts_with(line), "{status}");
            assert_eq!(ways.line.is_some(), !line.is_empty(), "{status}");
            let addresses: Vec<_> = ways.others.iter().map(|other| other.address.as_str()).collect();
            let expected: Vec<_> = others.iter().map(|name| format!("/b/login?locale=en&driver={name}")).collect();
            assert_eq!(addresses, expected, "{status}");
            assert!(ways.others.iter().all(|other| other.name.len() > 3));
        }
        assert_eq!(by("/b/login", "a&b"), "/b/login?driver=a%26b");
    }

    #[test]
    fn each_driver_has_words_in_both_languages() {
        let texts = Texts::ours();
        for locale in Locale::ALL {
            let names: Vec<_> = texts.of(locale).shared.ways.keys().map(String::as_str).collect();
            assert_eq!(names, ["account_qr", "bot", "mini_app"]);
        }
    }
}
