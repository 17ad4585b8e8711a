//! Nothing readable leaves this process: AES-256-GCM with a key that all nodes share. What is sealed is bound to its place,
//! so that one record cannot be put where another was.

use crate::base::id::Fingerprint;
use crate::base::rng::Rng;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use bytes::Bytes;

/// One use of the key of `store.key_file`.
pub struct Seal {
    key: LessSafeKey,
    rng: Rng,
}

impl Seal {
    /// Each purpose has a key of its own, made of the shared one (HMAC-SHA-256, as HKDF's expansion, RFC 5869 §2.3).
    pub fn new(shared: &[u8; 32], purpose: &str, rng: Rng) -> Option<Self> {
        let made = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, shared), format!("{purpose}\u{1}").as_bytes());
        let key = UnboundKey::new(&AES_256_GCM, made.as_ref()).ok()?;
        Some(Self { key: LessSafeKey::new(key), rng })
    }

    /// `place`: what is needed to open it again, and cannot be had from it.
    pub fn seal(&self, place: &[u8], text: &[u8]) -> Option<Bytes> {
        let nonce: [u8; NONCE_LEN] = self.rng.bytes();
        let mut sealed = Vec::with_capacity(NONCE_LEN + text.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(text);
        let used = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(used, Aad::from(place), &mut sealed[NONCE_LEN..]).ok()?;
        sealed.extend_from_slice(tag.as_ref());
        Some(sealed.into())
    }

    /// `None` for what is forged, of another key, or of another place.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let length = self.key.open_in_place(nonce, Aad::from(place), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }

    /// A name for something guessable, such as an address: without the key, guessing leads nowhere.
    pub fn hide(shared: &[u8; 32], text: &[u8]) -> Fingerprint {
        Fingerprint::of(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, shared), text).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_in_its_place_and_nowhere_else() {
        let seal = |shared: u8, purpose| Seal::new(&[shared; 32], purpose, Rng::seeded(1)).unwrap();
        let sealed = seal(1, "log").seal(b"here", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(seal(1, "log").open(b"here", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(seal(1, "log").open(b"there", &sealed), None);
        assert_eq!(seal(1, "grant").open(b"here", &sealed), None);
        assert_eq!(seal(2, "log").open(b"here", &sealed), None);
        for at in 0..sealed.len() {
            let mut forged = sealed.to_vec();
            forged[at] ^= 1;
            assert_eq!(seal(1, "log").open(b"here", &forged), None, "byte {at}");
        }
        for short in 0..sealed.len() {
            assert_eq!(seal(1, "log").open(b"here", &sealed[..short]), None, "{short} bytes");
        }
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let seal = Seal::new(&[1; 32], "log", Rng::seeded(1)).unwrap();
        assert_ne!(seal.seal(b"", b"x"), seal.seal(b"", b"x"));
    }
}
