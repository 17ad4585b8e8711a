//! Origins as browsers send them (RFC 6454): scheme, host and port, compared exactly.

use std::fmt;
use url::{Position, Url};

/// `https://example.ru` or `http://127.0.0.1:3001`, never with a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin(String);

impl Origin {
    /// From configuration: an http or https address without anything behind the port.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("{text:?} is not an address: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{text:?}: an origin begins with http:// or https://"));
        }
        if !matches!(&url[Position::AfterPort..], "" | "/") || !url.username().is_empty() {
            return Err(format!("{text:?}: an origin is scheme, host and port, with nothing behind"));
        }
        Ok(Self::of(&url))
    }

    pub fn of(url: &Url) -> Self {
        Self(url.origin().ascii_serialization())
    }

    /// The header must be this origin to the letter: no suffix, no prefix, no `null`.
    pub fn is(&self, header: &str) -> bool {
        self.0 == header
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_path_and_drops_a_default_port() {
        assert_eq!(Origin::parse("https://Example.ru:443/").unwrap().to_string(), "https://example.ru");
        for bad in ["example.ru", "https://example.ru/x", "https://u@example.ru", "ftp://example.ru", "null", ""] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }
}
