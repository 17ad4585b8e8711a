//! The request as it arrived at the server, as the server tells it.

use serde::Deserialize;

/// The request as it arrived at the server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Echo {
    /// Timers that ended earlier visitors' streams on this way.
    #[serde(default)]
    pub timers: Vec<Timers>,
    pub http_version: String,
    pub host: Option<String>,
    pub connection: Option<String>,
    pub upgrade: Option<String>,
    pub sec_web_socket_key: bool,
    pub via: Option<String>,
    /// Names of headers that proxies add.
    #[serde(default)]
    pub marks: Vec<String>,
    pub forwarded: Option<String>,
    pub x_forwarded_for: Option<String>,
    pub x_forwarded_host: Option<String>,
    pub origin: Option<String>,
    pub origin_allowed: Option<bool>,
    /// The address that max-auth takes for the visitor's is the one that asked; and it is one of the inside.
    pub client_is_asker: Option<bool>,
    #[serde(default)]
    pub client_is_inner: bool,
    pub proxy_unlisted: bool,
    pub direct: Option<bool>,
}

impl Echo {
    /// Hops that forwarding headers list.
    pub fn hops(&self) -> usize {
        let listed = self.x_forwarded_for.as_ref().or(self.forwarded.as_ref());
        listed.and_then(|hops| hops.split(' ').next()?.parse().ok()).unwrap_or(0)
    }

    pub fn has_mark(&self, name: &str) -> bool {
        self.marks.iter().any(|mark| mark == name)
    }
}

/// What the server remembers of how streams ended: "37 of 41 ended at 60.0 s".
#[derive(Clone, Debug, Deserialize)]
pub struct Timers {
    pub transport: String,
    pub cut: u64,
    pub timer: Timer,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Timer {
    pub seconds: f64,
    pub count: u64,
    pub idle: bool,
}
