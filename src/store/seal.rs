//! Nothing readable leaves this process: AES-256-GCM with a key that all nodes share. What is sealed is bound to its place,
//! so that one record cannot be put where another was.

use crate::base::id::Fingerprint;
use crate::base::rng::Rng;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use bytes::Bytes;
use std::sync::Arc;

/// One use of the key that all nodes share.
#[derive(Clone)]
pub struct Seal {
    key: Arc<LessSafeKey>,
    /// For names of what could be guessed.
    names: Arc<hmac::Key>,
    rng: Rng,
}

/// The uses of the key.
pub struct Seals {
    /// Cookies of signed-in browsers: with the key as it is, as ever.
    pub session: Seal,
    /// What is in the store. Each use has a key of its own, made of the shared one (HMAC-SHA-256, as HKDF's expansion, RFC
    /// 5869 §2.3).
    pub store: Seal,
}

impl Seals {
    /// `None` if the library takes no such key, which it does not say of any key of 32 bytes.
    pub fn new(shared: &[u8; 32], rng: &Rng) -> Option<Self> {
        let store = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, shared), b"max-auth store 1\x01");
        Some(Self { session: Seal::new(shared, rng)?, store: Seal::new(store.as_ref(), rng)? })
    }
}

impl Seal {
    fn new(secret: &[u8], rng: &Rng) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).ok()?);
        let names = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret));
        Some(Self { key: Arc::new(key), names, rng: rng.clone() })
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

    /// A name for something guessable, such as an address: without the key, guessing leads nowhere.
    pub fn name(&self, text: &[u8]) -> Fingerprint {
        Fingerprint::of(hmac::sign(&self.names, text).as_ref())
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_in_its_place_and_nowhere_else() {
        let seals = |shared: u8| Seals::new(&[shared; 32], &Rng::seeded(1)).unwrap();
        let seal = seals(1).store;
        let sealed = seal.seal(b"here", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(seal.open(b"here", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(seal.open(b"there", &sealed), None);
        assert_eq!(seals(1).session.open(b"here", &sealed), None);
        assert_eq!(seals(2).store.open(b"here", &sealed), None);
        for at in 0..sealed.len() {
            let mut forged = sealed.to_vec();
            forged[at] ^= 1;
            assert_eq!(seal.open(b"here", &forged), None, "byte {at}");
        }
        for short in 0..sealed.len() {
            assert_eq!(seal.open(b"here", &sealed[..short]), None, "{short} bytes");
        }
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let seal = Seals::new(&[1; 32], &Rng::seeded(1)).unwrap().store;
        assert_ne!(seal.seal(b"", b"x"), seal.seal(b"", b"x"));
    }
}
