//! Public keys of others as JSON (RFC 7517), and the signatures they made (RFC 7515): of clients that prove by a key who they are.

use super::id;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::Value;

/// Keys of one client.
pub const KEYS: usize = 10;

/// Longest token that is looked at, in bytes.
pub const TOKEN: usize = 8 * 1024;

/// A key that can verify.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey {
    kid: Option<String>,
    material: Material,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A token whose signature is right. Nothing else of it was looked at.
#[derive(Debug, PartialEq)]
pub struct Verified {
    pub header: Value,
    pub claims: Value,
}

impl PublicKey {
    /// One of `keys`; an error says what is wrong with it.
    pub fn parse(jwk: &Value) -> Result<Self, String> {
        let bytes = |name: &str| jwk[name].as_str().and_then(id::decode).ok_or_else(|| format!("{name} is missing"));
        if jwk.get("d").is_some() || jwk["kty"] == "oct" {
            return Err("it is a private key; the app keeps that for itself".to_owned());
        }
        let material = match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
            (Some("RSA"), _) => Material::Rsa { modulus: bytes("n")?, exponent: bytes("e")? },
            (Some("EC"), Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != 32 || y.len() != 32 {
                    return Err("x and y of P-256 have 32 bytes".to_owned());
                }
                // An uncompressed point (SEC 1, 2.3.3).
                Material::P256([&[4], &x[..], &y[..]].concat())
            }
            (Some("OKP"), Some("Ed25519")) => Material::Ed25519(bytes("x")?),
            _ => return Err("kty must be RSA, EC with crv P-256, or OKP with crv Ed25519".to_owned()),
        };
        if matches!(&material, Material::Rsa { modulus, .. } if modulus.len() < 256) {
            return Err("RSA has fewer than 2048 bits".to_owned());
        }
        Ok(Self { kid: jwk["kid"].as_str().map(str::to_owned), material })
    }

    /// What the key is known by (RFC 7638): the same for the same key, however its JSON was written.
    pub fn thumbprint(&self) -> String {
        let text = match &self.material {
            Material::Rsa { modulus, exponent } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, id::encode(exponent), id::encode(modulus))
            }
            Material::P256(point) => {
                let (x, y) = (id::encode(&point[1..33]), id::encode(&point[33..]));
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Material::Ed25519(point) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, id::encode(point)),
        };
        id::encode(id::Fingerprint::of(text.as_bytes()).bytes())
    }

    /// Whether this key made the signature by that algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
    fn has_signed(&self, algorithm: &str, text: &[u8], signature: &[u8]) -> bool {
        match (&self.material, algorithm) {
            (Material::Rsa { modulus, exponent }, "RS256" | "PS256") => {
                let scheme = if algorithm == "PS256" { &RSA_PSS_2048_8192_SHA256 } else { &RSA_PKCS1_2048_8192_SHA256 };
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(scheme, text, signature).is_ok()
            }
            (Material::P256(point), "ES256") => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(text, signature).is_ok()
            }
            (Material::Ed25519(point), "EdDSA" | "Ed25519") => {
                UnparsedPublicKey::new(&ED25519, point).verify(text, signature).is_ok()
            }
            _ => false,
        }
    }
}

/// The token, if one of the keys signed it.
pub fn verified(keys: &[PublicKey], token: &str) -> Option<Verified> {
    if token.len() > TOKEN {
        return None;
    }
    let (text, signature) = token.rsplit_once('.')?;
    let (header, claims) = text.split_once('.')?;
    let header: Value = serde_json::from_slice(&id::decode(header)?).ok()?;
    // What must be understood and is not (RFC 7515 §4.1.11).
    header.get("crit").is_none().then_some(())?;
    let algorithm = header["alg"].as_str()?;
    let signature = id::decode(signature)?;
    let named = header["kid"].as_str();
    let fits = |key: &&PublicKey| named.is_none() || key.kid.is_none() || key.kid.as_deref() == named;
    keys.iter().filter(fits).any(|key| key.has_signed(algorithm, text.as_bytes(), &signature)).then_some(())?;
    let claims = serde_json::from_slice(&id::decode(claims)?).ok()?;
    Some(Verified { header, claims })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::slice::from_ref;

    /// RFC 7515, Appendix A.3: an ES256 key and what it signed.
    const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    fn joe() -> Value {
        json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        })
    }

    /// RFC 8037, Appendix A.4.
    const ED25519_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    #[test]
    fn the_examples_of_the_specifications_are_verified() {
        let key = PublicKey::parse(&joe()).unwrap();
        assert_eq!(verified(from_ref(&key), ES256).unwrap().claims["iss"], "joe");
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let ed = PublicKey::parse(&ed).unwrap();
        // Its payload is a text and no JSON.
        assert!(verified(from_ref(&ed), ED25519_TOKEN).is_none());
        let (text, signature) = ED25519_TOKEN.rsplit_once('.').unwrap();
        assert!(ed.has_signed("EdDSA", text.as_bytes(), &id::decode(signature).unwrap()));
        for algorithm in ["ES256", "RS256", "none", "HS256", ""] {
            assert!(!ed.has_signed(algorithm, text.as_bytes(), &id::decode(signature).unwrap()), "{algorithm}");
        }
        assert!(verified(&[ed], ES256).is_none() && verified(&[], ES256).is_none());
        let parts: Vec<&str> = ES256.split('.').collect();
        for bad in [
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}.{}", id::encode(br#"{"alg":"none"}"#), parts[1], parts[2]),
            format!("{}.{}.{}", parts[0], id::encode(b"{}"), parts[2]),
            format!("{}.{}.{}", id::encode(br#"{"alg":"ES256","crit":["x"]}"#), parts[1], parts[2]),
            format!("{ES256}{}", "A".repeat(TOKEN)),
            String::new(),
        ] {
            assert!(verified(from_ref(&key), &bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_key_that_is_named_is_the_one_that_counts() {
        let named = |kid: &str| {
            let mut jwk = joe();
            jwk["kid"] = kid.into();
            PublicKey::parse(&jwk).unwrap()
        };
        assert!(verified(&[named("1"), named("2")], ES256).is_some(), "the token names none");
        assert_eq!(named("1").kid.as_deref(), Some("1"));
    }

    /// RFC 8037, Appendix A.3.
    #[test]
    fn a_thumbprint_is_that_of_the_specification() {
        let key = |jwk: Value| PublicKey::parse(&jwk).unwrap().thumbprint();
        let ed =
            json!({"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "crv": "Ed25519", "kid": "x", "kty": "OKP"});
        assert_eq!(key(ed), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(key(joe()).len(), 43);
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let with = |change: &dyn Fn(&mut Value)| {
            let mut jwk = joe();
            change(&mut jwk);
            PublicKey::parse(&jwk).unwrap_err()
        };
        assert!(with(&|jwk| jwk["d"] = "AA".into()).contains("private"));
        assert!(with(&|jwk| jwk["kty"] = "oct".into()).contains("private"));
        assert!(with(&|jwk| jwk["crv"] = "P-384".into()).contains("P-256"));
        assert!(with(&|jwk| jwk["x"] = "AA".into()).contains("32 bytes"));
        assert!(with(&|jwk| jwk["y"] = Value::Null).contains("y is missing"));
        let small = json!({"kty": "RSA", "n": id::encode(&[1; 128]), "e": "AQAB"});
        assert!(PublicKey::parse(&small).unwrap_err().contains("2048"));
    }
}
