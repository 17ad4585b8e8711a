//! Chance as an argument: the operating system's in the product, a seeded sequence in tests.

use std::sync::Arc;

/// A source of random bytes.
#[derive(Clone)]
pub struct Rng(Arc<Fill>);

/// Fills with random bytes.
type Fill = dyn Fn(&mut [u8]) + Send + Sync;

impl Rng {
    /// The generator of aws-lc, seeded by the operating system.
    #[expect(clippy::panic, reason = "a server without randomness would hand out guessable secrets: it must not go on")]
    pub fn system() -> Self {
        Self(Arc::new(|bytes| {
            if aws_lc_rs::rand::fill(bytes).is_err() {
                panic!("the operating system gives no random bytes");
            }
        }))
    }

    /// A reproducible sequence for tests (SplitMix64).
    #[cfg(test)]
    pub fn seeded(seed: u64) -> Self {
        let state = std::sync::Mutex::new(seed);
        Self(Arc::new(move |bytes| {
            let mut state = state.lock().unwrap();
            for byte in bytes {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = *state;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                *byte = (mixed ^ (mixed >> 31)) as u8;
            }
        }))
    }

    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }

    /// A number in `0.0..1.0`, for jitter.
    pub fn unit(&self) -> f64 {
        f64::from(u32::from_le_bytes(self.bytes())) / (f64::from(u32::MAX) + 1.0)
    }

    /// A UUID version 4 (RFC 9562), as text.
    pub fn uuid(&self) -> String {
        use std::fmt::Write;
        let mut bytes: [u8; 16] = self.bytes();
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_version_and_variant() {
        let uuid = Rng::seeded(7).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]));
    }
}
