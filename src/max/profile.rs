//! Who the visitor is, as MAX says it in the answer that also holds the token.
//!
//! Only `id` is relied on. Everything else was seen missing, empty or in two types, and ends up bounded and without
//! characters that could rearrange a page, a header or a log line.

use std::fmt;

use serde_json::Value;

/// The longest name kept, in characters. MAX's own form allows fewer; what others call somebody may be longer.
const MAX_NAME_CHARS: usize = 128;

/// The longest address of a picture, in bytes; those seen have about 60.
const MAX_PHOTO_URL_BYTES: usize = 2048;

/// Digits of an international number: E.164 allows 15; nothing shorter than 5 is one.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 5..=15;

/// The name that people gave themselves; others come from address books.
const OWN_NAME: &str = "ONEME";

/// A visitor.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// MAX's stable number for this person, above 0: the key to store.
    pub id: i64,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// For display; never empty.
    pub name: String,
    /// With `+` and country code.
    pub phone: Option<String>,
    /// Can stop working: copy the picture soon, do not keep the link.
    pub photo_url: Option<String>,
}

/// Name and phone are personal data and stay out of logs.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Profile {
    /// Reads the `profile` of an answer. `None` without a usable `contact.id`.
    pub fn from_payload(profile: &Value) -> Option<Self> {
        let contact = profile.get("contact")?;
        let id = match contact.get("id")? {
            Value::Number(id) => id.as_i64(),
            Value::String(id) => id.parse().ok(),
            _ => None,
        };
        let id = id.filter(|&id| id > 0)?;

        let entry = own_entry(contact);
        let part = |key| entry.and_then(|entry| entry.get(key)).and_then(Value::as_str).and_then(clean_name);
        let (first_name, last_name) = (part("firstName"), part("lastName"));
        let full = [first_name.as_deref(), last_name.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        // MAX's `name` holds the first name alone where both are known, so the parts are the better display name.
        let name =
            Some(full).filter(|full| !full.is_empty()).or_else(|| part("name")).unwrap_or_else(|| id.to_string());

        Some(Self {
            id,
            first_name,
            last_name,
            name,
            phone: contact.get("phone").and_then(phone),
            photo_url: ["baseUrl", "baseRawUrl"].iter().find_map(|key| photo_url(contact.get(*key)?)),
        })
    }
}

fn own_entry(contact: &Value) -> Option<&Value> {
    let names = contact.get("names")?.as_array()?;
    let own = |entry: &&Value| entry.get("type").and_then(Value::as_str) == Some(OWN_NAME);
    names.iter().find(own).or_else(|| names.first())
}

fn clean_name(text: &str) -> Option<String> {
    // Bidirectional marks could make one name look like another.
    let unfit = |char: char| char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let name: String = text.chars().filter(|&char| !unfit(char)).take(MAX_NAME_CHARS).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// MAX sends an integer without the plus; some clients saw text.
fn phone(value: &Value) -> Option<String> {
    let digits: String = match value {
        Value::Number(number) => number.as_u64()?.to_string(),
        Value::String(text) => text.chars().filter(char::is_ascii_digit).collect(),
        _ => return None,
    };
    PHONE_DIGITS.contains(&digits.len()).then(|| format!("+{digits}"))
}

fn photo_url(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| text.len() <= MAX_PHOTO_URL_BYTES)?;
    let url = url::Url::parse(text).ok()?;
    (url.scheme() == "https" && url.username().is_empty() && url.password().is_none()).then(|| url.into())
}
