//! A configuration file, for the fuzzer.

use super::{Config, Flags};
use std::path::Path;

/// A file, and behind a line of `---` an environment. Either a configuration comes of it, or reasons why not.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (file, environment) = text.split_once("\n---\n").unwrap_or((text, ""));
    let variables = environment.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let flags = Flags { config: None, listen: None };
    if let Err(invalid) = Config::from_sources(Some((Path::new("fuzz.toml"), file)), variables, &flags) {
        assert!(!invalid.to_string().is_empty());
    }
}
