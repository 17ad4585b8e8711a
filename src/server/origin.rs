//! Who may call: the exact allow-list of `server.allowed_origins`, checked before anything is begun or upgraded.

use crate::base::origin::Origin;
use crate::base::problem::{Problem, ProblemCode};
use crate::base::repeat::OncePerMinute;
use http::HeaderMap;
use http::header::{HeaderName, ORIGIN};
use std::sync::Arc;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins that may open a login.
#[derive(Clone)]
pub struct AllowedOrigins(Arc<Inner>);

struct Inner {
    origins: Vec<Origin>,
    refused: OncePerMinute,
}

impl AllowedOrigins {
    pub fn new(origins: Vec<Origin>) -> Self {
        Self(Arc::new(Inner { origins, refused: OncePerMinute::default() }))
    }

    pub fn contains(&self, origin: &str) -> bool {
        self.0.origins.iter().any(|allowed| allowed.is(origin))
    }

    /// For a WebSocket: every browser sends `Origin` with it, and nothing else keeps other sites out.
    pub fn check_upgrade(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match headers.get(ORIGIN) {
            None => Err(self.refused("no Origin header arrived; browsers send it, so a proxy may have dropped it")),
            Some(origin) => self.check(origin.to_str().unwrap_or("(not text)")),
        }
    }

    /// For other requests that change something: browsers say where they come from in `Origin` or `Sec-Fetch-Site`;
    /// who sends neither is no browser and has no visitor's cookies to abuse.
    pub fn check_request(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if let Some(origin) = headers.get(ORIGIN) {
            return self.check(origin.to_str().unwrap_or("(not text)"));
        }
        match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(_) => Err(self.refused("the request comes from another site (Sec-Fetch-Site) and names no Origin")),
        }
    }

    fn check(&self, origin: &str) -> Result<(), Problem> {
        if self.contains(origin) {
            return Ok(());
        }
        let shown: String = origin.chars().filter(|c| !c.is_control()).take(100).collect();
        Err(self.refused(&format!("the page's origin is {shown:?}")))
    }

    fn refused(&self, why: &str) -> Problem {
        metrics::counter!("max_auth_origin_refused_total").increment(1);
        let listed: Vec<String> = self.0.origins.iter().map(Origin::to_string).collect();
        let detail = format!(
            "{why}. Logins may be opened from {}: set server.public_url to the address that visitors see, or list \
             the origin in server.allowed_origins.",
            listed.join(", ")
        );
        if let Some(times) = self.0.refused.due() {
            tracing::warn!(times, "a request was refused: {detail}");
        }
        Problem::new(ProblemCode::OriginRefused, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_origin_passes() {
        let allowed = AllowedOrigins::new(vec![Origin::parse("https://example.ru").unwrap()]);
        let headers = |origin: &str| HeaderMap::from_iter([(ORIGIN, origin.parse().unwrap())]);
        assert!(allowed.check_upgrade(&headers("https://example.ru")).is_ok());
        for bad in [
            "null",
            "https://example.ru.evil.example",
            "https://evil.example",
            "http://example.ru",
            "https://example.ru:8443",
            "HTTPS://EXAMPLE.RU",
            "https://example.ru/",
            "https://sub.example.ru",
            "",
        ] {
            assert!(allowed.check_upgrade(&headers(bad)).is_err(), "{bad}");
            assert!(allowed.check_request(&headers(bad)).is_err(), "{bad}");
        }
        assert!(allowed.check_upgrade(&HeaderMap::new()).is_err());
        assert!(allowed.check_request(&HeaderMap::new()).is_ok());
        let cross = HeaderMap::from_iter([(SEC_FETCH_SITE, "cross-site".parse().unwrap())]);
        assert!(allowed.check_request(&cross).is_err());
    }
}
