//! The login token: full power over the visitor's account, in our hands for the second between LOGIN_BY_QR and LOGOUT.
//!
//! The type has no Debug, Display, Clone, Serialize or comparison, so it can neither be printed nor copied nor stored
//! by accident. It moves from the decoded payload to here, and from here to at most one frame.

use serde_json::Value;
use zeroize::Zeroizing;

/// The longest token that is kept, in bytes. Those seen have a few hundred.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A MAX login token; wiped when dropped.
pub struct MaxToken(Zeroizing<String>);

impl MaxToken {
    /// Takes the text out of a payload, leaving null behind: no second copy is made.
    pub fn take(value: &mut Value) -> Option<Self> {
        match value {
            Value::String(text) if !text.is_empty() && text.len() <= MAX_TOKEN_BYTES => {
                Some(Self(Zeroizing::new(std::mem::take(text))))
            }
            _ => None,
        }
    }

    /// The text, for the LOGIN frame and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
