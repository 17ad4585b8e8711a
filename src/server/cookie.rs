//! The two cookies: *flow* binds a login to the browser that began it, *session* says who is signed in.

use crate::base::id::{self, Fingerprint};
use crate::base::rng::Rng;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use std::time::Duration;

/// Random bytes of a flow cookie.
const FLOW: usize = 32;

/// Names and attributes, by whether the site is reached over https. `__Host-` needs `Secure`; plain http is for trying
/// things out on one's own machine.
#[derive(Clone, Copy)]
pub struct Cookies {
    pub secure: bool,
}

/// The flow of a request: the one its cookie carries, or a new one.
pub struct Flow {
    pub fingerprint: Fingerprint,
    value: String,
}

impl Cookies {
    pub fn session_name(self) -> &'static str {
        if self.secure { "__Host-maxauth" } else { "maxauth" }
    }

    pub fn flow_name(self) -> &'static str {
        if self.secure { "__Host-maxauth-flow" } else { "maxauth-flow" }
    }

    /// The flow that a browser already has; `None` is "not the browser that began".
    pub fn flow(self, headers: &HeaderMap) -> Option<Flow> {
        let value = value(headers, self.flow_name())?;
        let well_formed = id::decode(value).is_some_and(|bytes| bytes.len() == FLOW);
        well_formed.then(|| Flow { fingerprint: Fingerprint::of(value.as_bytes()), value: value.to_owned() })
    }

    /// For a start: tabs of one browser share a flow.
    pub fn flow_or_new(self, headers: &HeaderMap, rng: &Rng) -> Flow {
        self.flow(headers).unwrap_or_else(|| {
            let value = id::encode(&rng.bytes::<FLOW>());
            Flow { fingerprint: Fingerprint::of(value.as_bytes()), value }
        })
    }

    pub fn session(self, headers: &HeaderMap) -> Option<&str> {
        value(headers, self.session_name())
    }

    pub fn set_flow(self, flow: &Flow, life: Duration) -> Option<HeaderValue> {
        self.set(self.flow_name(), &flow.value, life)
    }

    pub fn set_session(self, sealed: &str, life: Duration) -> Option<HeaderValue> {
        self.set(self.session_name(), sealed, life)
    }

    pub fn clear_session(self) -> Option<HeaderValue> {
        self.set(self.session_name(), "", Duration::ZERO)
    }

    fn set(self, name: &str, value: &str, life: Duration) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}", life.as_secs());
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}
