//! Parameters of a query or a form (RFC 6749 §3.1): empty ones count as left out, none may come twice, unknown ones are passed
//! over.

use super::error::{ErrorCode, OAuthError, error};
use std::collections::BTreeMap;

/// Parameters of one request.
const PARAMETERS: usize = 64;

pub struct Params(Vec<(String, String)>);

impl Params {
    pub fn parse(encoded: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(encoded).into_owned().take(PARAMETERS).collect())
    }

    /// Out of an object of JSON whose values are texts; `None` where it is anything else.
    pub fn of_json(text: &[u8]) -> Option<Self> {
        let fields: BTreeMap<String, String> = serde_json::from_slice(text).ok()?;
        Some(Self(fields.into_iter().take(PARAMETERS).collect()))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, value)| found == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// `resource` is the one that may come more than once (RFC 8707 §2).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, value)| found == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    pub fn none_twice(&self) -> Result<(), OAuthError> {
        let twice = |at: usize| self.0[..at].iter().any(|(name, _)| *name == self.0[at].0);
        match (0..self.0.len()).find(|at| self.0[*at].0 != "resource" && twice(*at)) {
            None => Ok(()),
            Some(_) => Err(error(ErrorCode::InvalidRequest, "A parameter was sent twice (RFC 6749, 3.1).")),
        }
    }

    pub fn without(&self, names: &[&str]) -> Self {
        Self(self.0.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect())
    }

    /// In place of what it was.
    pub fn with(self, name: &str, value: &str) -> Self {
        let mut params = self.without(&[name]);
        params.0.push((name.to_owned(), value.to_owned()));
        params
    }

    pub fn encoded(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

/// Words between spaces, each once.
pub fn words(text: Option<&str>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.unwrap_or_default().split(' ').filter(|word| !word.is_empty()) {
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    words
}
