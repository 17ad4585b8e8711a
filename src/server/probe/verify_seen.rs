//! How a proxy's question arrived at `/verify`, kept for a moment for whoever put a nonce into the request that it was about:
//! behind some proxies an answer of `/verify` reaches no visitor. It changes no answer, and holds nothing of a session.

use crate::base::clock::Clock;
use crate::base::rate::RateLimiter;
use crate::probe::{
    IDENTITY_HEADERS, NONCE_MAX, VERIFY_HEADER, VERIFY_KEPT, VERIFY_PARAMETER, VerifySeen, is_nonce, spellings,
};
use crate::store::{Key, Space, Unavailable, Vault};
use http::HeaderMap;
use std::net::IpAddr;

/// Kept for one address in a minute: a doctor asks for three.
const KEPT_PER_MINUTE: u32 = 60;

/// Longest address that is kept, in bytes.
const PATH_MAX: usize = 2000;

pub struct VerifyProbes {
    vault: Vault,
    clock: Clock,
    kept: RateLimiter,
}

/// The nonce of a request: in the header, or where the headers are not shown, in what the visitor asked for.
pub struct Marked<'a> {
    nonce: &'a str,
    by_header: bool,
}

impl<'a> Marked<'a> {
    pub fn of(headers: &'a HeaderMap, addresses: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let header = headers.get(VERIFY_HEADER).and_then(|value| value.to_str().ok());
        if let Some(nonce) = header.filter(|nonce| is_nonce(nonce)) {
            return Some(Self { nonce, by_header: true });
        }
        let in_query = |address: &'a str| {
            let (_, query) = address.split_once('?')?;
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == VERIFY_PARAMETER).map(|(_, nonce)| nonce)
        };
        let nonce = addresses.into_iter().find_map(in_query).filter(|nonce| is_nonce(nonce))?;
        Some(Self { nonce, by_header: false })
    }
}

impl VerifyProbes {
    pub fn new(vault: Vault, clock: Clock) -> Self {
        Self { vault, clock, kept: RateLimiter::new(KEPT_PER_MINUTE) }
    }

    /// One too many is not kept, and whoever asked hears that nothing came.
    pub async fn keep(&self, marked: &Marked<'_>, headers: &HeaderMap, who: IpAddr, seen: VerifySeen) {
        if seen.path.len() > PATH_MAX || self.kept.check(who, 1, self.clock.monotonic()).is_err() {
            return;
        }
        let forged = |name: &String| headers.get(name.as_str()).is_some_and(|value| value == marked.nonce);
        let forged = IDENTITY_HEADERS.iter().flat_map(|name| spellings(name)).filter(forged).collect();
        let seen = VerifySeen { by_header: marked.by_header, forged, ..seen };
        if let Err(error) = self.vault.put(key(marked.nonce), &seen, VERIFY_KEPT).await {
            tracing::debug!(%error, "what /verify saw of a probe is not kept");
        }
    }

    pub async fn seen(&self, nonce: &str) -> Result<Option<VerifySeen>, Unavailable> {
        self.vault.get(key(nonce)).await
    }
}

fn key(nonce: &str) -> Key {
    debug_assert!(nonce.len() <= NONCE_MAX, "a nonce was looked at");
    Vault::key(Space::Request, &["verify-probe", nonce])
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        of.iter().map(pair).collect()
    }

    #[test]
    fn a_nonce_is_in_the_header_or_in_the_query_of_what_was_wanted() {
        let of = |header: Option<&str>, addresses: &[&'static str]| {
            let headers = header.map_or_else(HeaderMap::new, |nonce| headers(&[(VERIFY_HEADER, nonce)]));
            Marked::of(&headers, addresses.iter().copied())
                .map(|marked| format!("{} {}", marked.nonce, marked.by_header))
        };
        assert_eq!(of(Some("n-1"), &["/a?max-auth-probe=u"]).as_deref(), Some("n-1 true"));
        assert_eq!(of(None, &["/a", "/a?x=1&max-auth-probe=u_2&y"]).as_deref(), Some("u_2 false"));
        assert_eq!(of(Some("no nonce"), &["/a?max-auth-probe=u"]).as_deref(), Some("u false"));
        for nothing in
            ["", "/max-auth-probe=u", "/a?xmax-auth-probe=u", "/a?max-auth-probe=", "/a?max-auth-probe=a%20b"]
        {
            assert_eq!(of(None, &[nothing]), None, "{nothing}");
        }
        let long = "n".repeat(NONCE_MAX + 1);
        assert_eq!(of(Some(&long), &[]), None);
    }
}
