//! Who signed in, and in which browser.

use crate::base::driver_name::DriverName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who signed in. All but `id` is for display: it can change, be missing, or be anything the person typed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// MAX's number of the account, above 0, never given to another: the key to store.
    pub id: i64,
    /// Never empty; at most 128 characters, no control characters.
    pub name: String,
    /// As in `name`.
    pub first_name: Option<String>,
    /// As in `name`.
    pub last_name: Option<String>,
    /// E.164 with `+`.
    pub phone: Option<String>,
    /// `https`; can stop working.
    pub photo_url: Option<String>,
    /// Who found it out.
    #[serde(default)]
    pub driver: DriverName,
    /// Whose numbers these are, where they are kept apart: nobody knows whether another one's is the same person's.
    #[serde(default)]
    pub apart: Option<DriverName>,
}

impl Identity {
    /// The key to store: the number, and whose it is where it is kept apart.
    pub fn subject(&self) -> String {
        match self.apart {
            Some(driver) => format!("{}:{}", driver.name(), self.id),
            None => self.id.to_string(),
        }
    }
}

/// Names and phone are personal data and stay out of logs.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the browser says of itself, for MAX to show on the phone: the allow-listed fields of `userAgent`, each of
/// printable ASCII and with a bound on its length. `None` where it did not say, or said something odd.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrowserInfo {
    /// The `User-Agent` header.
    pub header_user_agent: Option<String>,
    /// The browser's name, for example `Firefox`.
    pub device_name: Option<String>,
    /// For example `Windows 11`.
    pub os_version: Option<String>,
    /// For example `1080x1920 1.0x`.
    pub screen: Option<String>,
    /// An IANA name, for example `Europe/Moscow`.
    pub timezone: Option<String>,
    /// For example `ru`.
    pub locale: Option<String>,
    /// Installed as an app.
    pub is_pwa: bool,
}
