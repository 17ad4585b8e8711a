//! What the judgements of a server share.

use crate::store::ServerLook;
use std::collections::BTreeMap;

/// What the judgement needs beside what was seen.
pub struct Context<'a> {
    pub user: &'a str,
    /// `login.max_active`.
    pub logins: u64,
    pub sentinels: bool,
    pub cluster: bool,
}

/// What a server says, by name.
pub type Words = BTreeMap<String, String>;

/// Whether the write was refused for this reason.
pub fn refused(look: &ServerLook, word: &str) -> bool {
    look.write_failed.as_deref().is_some_and(|said| said.contains(word))
}
