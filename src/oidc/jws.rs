//! Signing (RFC 7515, compact form) with keys that are parsed once, and the keys as the world sees them (RFC 7517).

use crate::base::id;
use crate::config::SigningAlgorithm;
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

enum Pair {
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

/// A key that signs, and its public half.
pub struct SigningKey {
    pair: Pair,
    pub kid: String,
    /// As `/jwks` lists it.
    pub public: Value,
}

pub const fn algorithm_name(algorithm: SigningAlgorithm) -> &'static str {
    match algorithm {
        SigningAlgorithm::Rs256 => "RS256",
        SigningAlgorithm::Es256 => "ES256",
        SigningAlgorithm::EdDsa => "EdDSA",
    }
}

/// A new key, as PKCS #8. RSA takes a tenth of a second.
pub fn generate(algorithm: SigningAlgorithm) -> Option<Zeroizing<Vec<u8>>> {
    let der = match algorithm {
        SigningAlgorithm::Rs256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
            let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().ok()?;
            der.as_ref().to_vec()
        }
        SigningAlgorithm::Es256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
            pair.to_pkcs8v1().ok()?.as_ref().to_vec()
        }
        SigningAlgorithm::EdDsa => Ed25519KeyPair::generate().ok()?.to_pkcs8v1().ok()?.as_ref().to_vec(),
    };
    Some(Zeroizing::new(der))
}

impl SigningKey {
    pub fn parse(algorithm: SigningAlgorithm, pkcs8: &[u8]) -> Option<Self> {
        // The members of a thumbprint in their order (RFC 7638 §3.2).
        let (pair, members) = match algorithm {
            SigningAlgorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
                let public = pair.public_key();
                let exponent = id::encode(public.exponent().big_endian_without_leading_zero());
                let modulus = id::encode(public.modulus().big_endian_without_leading_zero());
                (Pair::Rs256(pair), vec![("e", exponent), ("kty", "RSA".to_owned()), ("n", modulus)])
            }
            SigningAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
                // An uncompressed point: 4, then both coordinates.
                let point = pair.public_key().as_ref().to_vec();
                let (x, y) = point.get(1..65)?.split_at(32);
                let (x, y) = (id::encode(x), id::encode(y));
                (Pair::Es256(pair), vec![("crv", "P-256".to_owned()), ("kty", "EC".to_owned()), ("x", x), ("y", y)])
            }
            SigningAlgorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
                let x = id::encode(pair.public_key().as_ref());
                (Pair::EdDsa(pair), vec![("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", x)])
            }
        };
        let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let text = format!("{{{}}}", members.join(","));
        let thumbprint = id::encode(digest(&SHA256, text.as_bytes()).as_ref());
        let kid = thumbprint.get(..16)?.to_owned();
        let mut public: Value = serde_json::from_str(&text).ok()?;
        public["use"] = json!("sig");
        public["alg"] = json!(algorithm_name(algorithm));
        public["kid"] = json!(kid);
        Some(Self { pair, kid, public })
    }

    pub fn algorithm(&self) -> SigningAlgorithm {
        match self.pair {
            Pair::Rs256(_) => SigningAlgorithm::Rs256,
            Pair::Es256(_) => SigningAlgorithm::Es256,
            Pair::EdDsa(_) => SigningAlgorithm::EdDsa,
        }
    }

    /// A token of these claims; `typ` as RFC 7515 §4.1.9 has it.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Option<String> {
        self.sign_under(&json!({ "alg": algorithm_name(self.algorithm()), "typ": typ, "kid": self.kid }), claims)
    }

    /// Under a header that is given.
    pub fn sign_under(&self, header: &Value, claims: &impl Serialize) -> Option<String> {
        let header = id::encode(&serde_json::to_vec(header).ok()?);
        let mut token = format!("{header}.{}", id::encode(&serde_json::to_vec(claims).ok()?));
        let signature = match &self.pair {
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature).ok()?;
                signature
            }
            Pair::Es256(pair) => pair.sign(&SystemRandom::new(), token.as_bytes()).ok()?.as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.sign(token.as_bytes()).as_ref().to_vec(),
        };
        token.push('.');
        token += &id::encode(&signature);
        Some(token)
    }

    fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.pair {
            Pair::Rs256(pair) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref()).verify(text, signature)
            }
            Pair::Es256(pair) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()).verify(text, signature)
            }
            Pair::EdDsa(pair) => UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref()).verify(text, signature),
        };
        verified.is_ok()
    }

    /// `at_hash` (OpenID Connect Core §3.1.3.6): the left half of the hash that goes with the algorithm.
    pub fn half_hash(&self, token: &str) -> String {
        let algorithm = if matches!(self.pair, Pair::EdDsa(_)) { &SHA512 } else { &SHA256 };
        let hash = digest(algorithm, token.as_bytes());
        id::encode(&hash.as_ref()[..hash.as_ref().len() / 2])
    }
}

/// The claims of a token of that type (`typ`) that one of these keys signed; its time is not looked at.
pub fn verified<'a>(keys: impl Iterator<Item = &'a SigningKey>, typ: &str, token: &str) -> Option<Value> {
    let (text, signature) = token.rsplit_once('.')?;
    let (header, claims) = text.split_once('.')?;
    let header: Value = serde_json::from_slice(&id::decode(header)?).ok()?;
    let signature = id::decode(signature)?;
    (header["typ"] == typ).then_some(())?;
    let named =
        |key: &&SigningKey| header["kid"] == json!(key.kid) && header["alg"] == json!(algorithm_name(key.algorithm()));
    let mut named = keys.filter(named);
    named.any(|key| key.has_signed(text.as_bytes(), &signature)).then_some(())?;
    serde_json::from_slice(&id::decode(claims)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_signed_is_verified_and_nothing_else() {
        for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
            let key = || SigningKey::parse(algorithm, &generate(algorithm).unwrap()).unwrap();
            let (key, other) = (key(), key());
            let token = key.sign("JWT", &json!({ "sub": "1" })).unwrap();
            let claims = verified([&other, &key].into_iter(), "JWT", &token).unwrap();
            assert_eq!(claims, json!({ "sub": "1" }));
            assert_eq!(verified([&other].into_iter(), "JWT", &token), None);
            assert_eq!(verified([&key].into_iter(), "logout+jwt", &token), None, "of another type");
            let parts: Vec<&str> = token.split('.').collect();
            let forged = id::encode(br#"{"sub":"2"}"#);
            let unsigned = id::encode(format!(r#"{{"alg":"none","kid":"{}"}}"#, key.kid).as_bytes());
            for bad in [
                format!("{}.{forged}.{}", parts[0], parts[2]),
                format!("{}.{}.", parts[0], parts[1]),
                format!("{unsigned}.{}.", parts[1]),
                format!("{}.{}", parts[0], parts[1]),
                String::new(),
                "..".to_owned(),
            ] {
                assert_eq!(verified([&key].into_iter(), "JWT", &bad), None, "{bad}");
            }
            assert!(key.public.get("d").is_none() && key.public["kid"] == json!(key.kid));
        }
    }

    /// OpenID Connect Core, Appendix A.3: its access token and `at_hash`.
    #[test]
    fn the_half_hash_is_that_of_the_specification() {
        let key = SigningKey::parse(SigningAlgorithm::Rs256, &generate(SigningAlgorithm::Rs256).unwrap()).unwrap();
        assert_eq!(key.half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
