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

/// Bytes, not text: a cookie of another part of the site may hold anything. Only spaces and tabs are cut off: browsers
/// keep other spaces in a name, so cutting those would let `\u{a0}__Host-maxauth` in, which any page of a sibling site may
/// set.
fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| header.as_bytes().split(|&byte| byte == b';'))
        .find_map(|pair| trimmed(pair).strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .and_then(|value| std::str::from_utf8(value).ok())
}

fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(header: &[u8]) -> Option<String> {
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_bytes(header).unwrap())]);
        Cookies { secure: true }.session(&headers).map(str::to_owned)
    }

    #[test]
    fn cookies_of_others_may_hold_anything() {
        let ours = "__Host-maxauth=abc";
        for others in ["city=Москва".as_bytes(), b"\xff\xfe", b"", b"=", b"x", b"a=b=c", b"\t a=\"; \""] {
            let before = [others, b"; ", ours.as_bytes()].concat();
            let after = [ours.as_bytes(), b";", others].concat();
            for header in [before, after] {
                assert_eq!(found(&header).as_deref(), Some("abc"), "{}", String::from_utf8_lossy(&header));
            }
        }
        assert_eq!(found(b"a=b;\t __Host-maxauth=abc \t;c").as_deref(), Some("abc"));
    }

    #[test]
    fn a_name_is_ours_only_to_the_byte() {
        for other in
            ["\u{a0}__Host-maxauth=x", "\u{2003}__Host-maxauth=x", "__Host-maxauth\u{a0}=x", "__host-maxauth=x"]
        {
            assert_eq!(found(other.as_bytes()), None, "{other:?}");
        }
        for other in ["__Host-maxauth-flow=x", "__Host-maxauth", "=__Host-maxauth=x"] {
            assert_eq!(found(other.as_bytes()), None, "{other:?}");
        }
        assert_eq!(found(b"__Host-maxauth=\xff"), None);
    }
}
