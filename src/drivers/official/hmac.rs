//! HMAC-SHA-256 (RFC 2104), as MAX signs what it says by way of a phone.

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq as _;

pub fn hmac(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

/// Compares in constant time; capital letters are letters, too.
pub fn matches_hex(key: &[u8], text: &[u8], hex: &str) -> bool {
    let expected: String = hmac(key, text).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    expected.as_bytes().ct_eq(hex.to_ascii_lowercase().as_bytes()).into()
}
