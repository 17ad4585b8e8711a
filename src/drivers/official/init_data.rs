//! What MAX says to a mini-app about who opened it, signed by the bot's token. Pure.

use super::hmac::{hmac, matches_hex};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use url::form_urlencoded;

/// Longest text that is looked at, in bytes: MAX's has some 700.
const LONGEST: usize = 8 * 1024;

/// Fields that are looked at: MAX's has nine.
const FIELDS: usize = 32;

/// How old it may be: from the scan to the page's first request.
pub const MAX_AGE: Duration = Duration::from_secs(300);

/// How far MAX's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(30);

/// A number above it counts milliseconds: as seconds it would be the year 5138.
const MILLISECONDS: i64 = 100_000_000_000;

/// Beside the data in an address that MAX opens, and not signed.
const UNSIGNED: [&str; 2] = ["WebAppPlatform", "WebAppVersion"];

/// Who opened the mini-app, and by what.
#[derive(Debug, PartialEq)]
pub struct InitData {
    pub user: InitUser,
    pub start_param: Option<String>,
    /// Of the phone, as MAX saw it.
    pub ip: Option<IpAddr>,
    /// Names this opening: another one has another.
    pub hash: String,
}

/// As MAX says it.
#[derive(Debug, PartialEq, Deserialize)]
pub struct InitUser {
    pub id: i64,
    #[serde(default)]
    pub first_name: Option<String>,
    #[serde(default)]
    pub last_name: Option<String>,
    #[serde(default)]
    pub language_code: Option<String>,
    #[serde(default)]
    pub photo_url: Option<String>,
}

/// Why it is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distrust {
    /// Not of the shape that MAX gives.
    Shape,
    /// A key that comes twice.
    Repeated,
    /// Not signed by this bot's token. MAX had a defect of this kind itself (a launch from the list of chats): not always an attack.
    Signature,
    /// Older than [`MAX_AGE`].
    Old,
    /// From a clock that is ahead of ours.
    Future,
}

impl InitData {
    /// Of `window.WebApp.initData`, or of the whole fragment of an address that MAX opened.
    pub fn read(text: &str, token: &str, unix_ms: i64) -> Result<Self, Distrust> {
        if text.len() > LONGEST {
            return Err(Distrust::Shape);
        }
        let text = text.trim_start_matches('#');
        // A fragment has the data as the value of a field, which is encoded once more.
        let inner = fields(text)?.remove("WebAppData");
        let mut fields = fields(inner.as_deref().unwrap_or(text))?;
        for unsigned in UNSIGNED {
            fields.remove(unsigned);
        }
        let hash = fields.remove("hash").ok_or(Distrust::Shape)?;
        let lines: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let secret = hmac(b"WebAppData", token.as_bytes());
        if !matches_hex(secret.as_ref(), lines.join("\n").as_bytes(), &hash) {
            return Err(Distrust::Signature);
        }
        let date: i64 = fields.get("auth_date").and_then(|date| date.parse().ok()).ok_or(Distrust::Shape)?;
        let date = if date > MILLISECONDS { date } else { date.saturating_mul(1000) };
        let age = unix_ms.saturating_sub(date);
        if age > millis(MAX_AGE) {
            return Err(Distrust::Old);
        }
        if age < -millis(AHEAD) {
            return Err(Distrust::Future);
        }
        let user = fields.get("user").ok_or(Distrust::Shape)?;
        let user: InitUser = serde_json::from_str(user).map_err(|_| Distrust::Shape)?;
        if user.id <= 0 {
            return Err(Distrust::Shape);
        }
        let start_param = fields.remove("start_param").filter(|code| !code.is_empty());
        let ip = fields.get("ip").and_then(|ip| ip.parse().ok());
        Ok(Self { user, start_param, ip, hash: hash.to_ascii_lowercase() })
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Decoded once, as a form: nobody's encoding leaves a `+` that means itself.
fn fields(text: &str) -> Result<BTreeMap<String, String>, Distrust> {
    let mut fields = BTreeMap::new();
    if text.split('&').any(|pair| !pair.is_empty() && !pair.contains('=')) {
        return Err(Distrust::Shape);
    }
    for (key, value) in form_urlencoded::parse(text.as_bytes()) {
        if fields.len() == FIELDS {
            return Err(Distrust::Shape);
        }
        if fields.insert(key.into_owned(), value.into_owned()).is_some() {
            return Err(Distrust::Repeated);
        }
    }
    Ok(fields)
}

/// Whether MAX signed this number for this person: what `WebApp.requestContact()` gives. `phone` without a plus.
pub fn is_their_phone(token: &str, user: i64, phone: &str, auth_date: &Value, hash: &str) -> bool {
    let date = match auth_date {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return false,
    };
    let text = format!("auth_date={date}\nphone={phone}\nuser_id={user}");
    matches_hex(token.as_bytes(), text.as_bytes(), hash)
}
