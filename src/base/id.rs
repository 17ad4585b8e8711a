//! Identifiers and one-time secrets as text: base64url without padding (RFC 4648 §5).

use super::rng::Rng;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The name of one login in URLs: 128 random bits, 22 characters. Not a secret by itself: the flow cookie is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoginId([u8; 16]);

impl LoginId {
    pub fn new(rng: &Rng) -> Self {
        Self(rng.bytes())
    }

    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 22 {
            return None;
        }
        decode(text)?.try_into().ok().map(Self)
    }

    pub fn text(self) -> String {
        encode(&self.0)
    }

    /// A place between 0 and 1, as even as ids are: for what is done to each of them in turn.
    pub fn phase(self) -> f64 {
        f64::from(u16::from_be_bytes([self.0[14], self.0[15]])) / 65_536.0
    }

    /// Six characters for logs: enough to follow one login, useless to resume it.
    pub fn short(self) -> String {
        encode(&self.0[..6])
    }
}

/// SHA-256 of a secret: what the server keeps of cookies and one-time tokens, so that memory holds nothing usable.
#[derive(Clone, Copy)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(secret: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
        Self(bytes)
    }

    /// Back from [`encode`].
    pub fn from_text(text: &str) -> Option<Self> {
        decode(text)?.try_into().ok().map(Self)
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_id_survives_its_text_and_nothing_else_parses() {
        let id = LoginId::new(&Rng::seeded(1));
        assert!(LoginId::parse(&id.text()) == Some(id));
        for bad in ["", "abc", "!!!!!!!!!!!!!!!!!!!!!!", "AAAAAAAAAAAAAAAAAAAAAAA", "ААААААААААА"] {
            assert!(LoginId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_log_shows_the_beginning_of_an_id_and_its_end_says_when_its_turn_is() {
        let id = LoginId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0x40, 0x80]);
        assert_eq!((id.short().as_str(), id.text().starts_with(&id.short())), ("AQIDBAUG", true));
        assert!((id.phase() - f64::from(0x4080) / 65_536.0).abs() < f64::EPSILON, "{}", id.phase());
        let ids = (0..1000).map(|seed| LoginId::new(&Rng::seeded(seed)).phase());
        let early = ids.filter(|phase| *phase < 0.5).count();
        assert!((400..600).contains(&early), "{early} of 1000 in the first half");
    }

    #[test]
    fn a_fingerprint_survives_its_text_and_matches_itself_alone() {
        let (one, other) = (Fingerprint::of(b"one"), Fingerprint::of(b"other"));
        assert!(one.matches(&Fingerprint::of(b"one")) && !one.matches(&other));
        assert!(Fingerprint::from_text(&encode(one.bytes())).unwrap().matches(&one));
        assert!(Fingerprint::from_text("AAAA").is_none() && Fingerprint::from_text("!").is_none());
        // FIPS 180-4, SHA-256 of "abc".
        assert_eq!(Fingerprint::of(b"abc").bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
