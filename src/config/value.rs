//! Readers for single values; each error says what was expected.

use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use toml::{Table, Value};

/// A string as it stands.
pub fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{value} is not a text"))
}

/// An empty text is "not set".
pub fn optional_text(value: &Value) -> Result<Option<String>, String> {
    text(value).map(|text| (!text.is_empty()).then_some(text))
}

/// True or false.
pub fn flag(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{value} is neither true nor false"))
}

/// From 0 to 4294967295.
pub fn number(value: &Value) -> Result<u32, String> {
    value
        .as_integer()
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| format!("{value} is not a number from 0"))
}

/// An IP address and a port.
pub fn socket(value: &Value) -> Result<SocketAddr, String> {
    let text = text(value)?;
    text.parse().map_err(|_| format!("{text:?} is not an address with a port, such as \"127.0.0.1:3001\""))
}

/// A whole number with a unit: ms, s, m, h or d.
pub fn duration(value: &Value) -> Result<Duration, String> {
    let wrong = || format!("{value} is not a duration such as \"500ms\", \"10s\", \"5m\", \"12h\" or \"7d\"");
    let text = value.as_str().ok_or_else(wrong)?;
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let amount: u64 = text[..split].parse().map_err(|_| wrong())?;
    let unit = match &text[split..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    amount.checked_mul(unit).map(Duration::from_millis).ok_or_else(wrong)
}

/// At least one millisecond, at most a year: a timer of zero would spin, a longer one is a slip.
pub fn positive_duration(value: &Value) -> Result<Duration, String> {
    match duration(value)? {
        Duration::ZERO => Err("must be longer than 0".to_owned()),
        long if long > Duration::from_secs(366 * 86_400) => Err("is longer than a year".to_owned()),
        fine => Ok(fine),
    }
}

/// Each value by `one`; the first error ends it.
pub fn list<T>(value: &Value, one: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    value.as_array().ok_or_else(|| format!("{value} is not a list"))?.iter().map(one).collect()
}

/// A network, or one address.
pub fn network(value: &Value) -> Result<IpNet, String> {
    let text = text(value)?;
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{text:?} is neither an address nor a network such as \"10.0.0.0/8\""))
}

/// One of a few words.
pub fn choice<T: Copy>(value: &Value, words: &[(&str, T)]) -> Result<T, String> {
    let text = text(value)?;
    words.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice).ok_or_else(|| {
        let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        format!("{text:?} is none of {}", known.join(", "))
    })
}
/// The keys of one table of a list.
pub struct Keys<'a>(pub &'a Table);

impl Keys<'_> {
    /// An error names the key.
    pub fn optional<T>(&self, key: &str, parse: impl FnOnce(&Value) -> Result<T, String>) -> Result<Option<T>, String> {
        self.0.get(key).map(parse).transpose().map_err(|why| format!("`{key}`: {why}"))
    }

    /// The same for one that must be there.
    pub fn needed<T>(&self, key: &str, parse: impl FnOnce(&Value) -> Result<T, String>) -> Result<T, String> {
        self.optional(key, parse)?.ok_or_else(|| format!("`{key}` is missing"))
    }
}
