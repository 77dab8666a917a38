//! JSON Web Keys and key sets (RFC 7517).

use crate::{Algorithm, JsonReadError, PublicKey, parse_unambiguous};
use serde_json::{Map, Value, json};

/// A trusted key for verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key id that a signature must name; absent: any.
    pub kid: Option<String>,
    /// The key.
    pub key: PublicKey,
}

/// The error of an unusable key set.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The text is not JSON.
    #[error(transparent)]
    Unreadable(#[from] JsonReadError),
    /// The JSON is no key set.
    #[error("it is no key set: it has no list \"keys\" (RFC 7517)")]
    NoKeys,
    /// None of the keys is usable.
    #[error(
        "none of its {0} keys can verify a card; it takes P-256 (ES256) or Ed25519 (EdDSA) keys"
    )]
    NoneUsable(usize),
}

/// The JWK of a public key with this key id.
pub fn jwk(kid: &str, key: &PublicKey) -> Value {
    let coordinates = key.coordinates();
    let mut members: Map<String, Value> =
        coordinates.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    members.insert("kid".to_owned(), kid.into());
    members.insert("alg".to_owned(), key.algorithm().name().into());
    members.insert("use".to_owned(), "sig".into());
    members.into()
}

/// Parses a key set or a single JWK. Keys of other types or uses are skipped, because a set may
/// hold them for others.
pub fn parse_trusted_keys(bytes: &[u8]) -> Result<Vec<TrustedKey>, JwksError> {
    let mut value = parse_unambiguous(bytes)?;
    // A single JWK is a set of one.
    if value.get("kty").is_some() {
        value = json!({"keys": [value]});
    }
    let keys = value.get("keys").and_then(Value::as_array).ok_or(JwksError::NoKeys)?;
    let usable: Vec<TrustedKey> = keys.iter().filter_map(parse_trusted_key).collect();
    if usable.is_empty() { Err(JwksError::NoneUsable(keys.len())) } else { Ok(usable) }
}

fn parse_trusted_key(jwk: &Value) -> Option<TrustedKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let key = PublicKey::from_coordinates(text("kty")?, text("crv")?, text("x")?, text("y"))?;
    // Absent `use`, `key_ops` and `alg` allow everything (RFC 7517 section 4).
    let for_signatures = text("use").is_none_or(|purpose| purpose == "sig");
    let verifies = match jwk.get("key_ops").and_then(Value::as_array) {
        Some(operations) => operations.iter().any(|operation| operation == "verify"),
        None => true,
    };
    let algorithm = text("alg").map(str::parse::<Algorithm>);
    // `alg` binds the key to one algorithm; it must be the one that the key type has here.
    let fits = algorithm.is_none_or(|algorithm| algorithm == Ok(key.algorithm()));
    let kid = text("kid").map(str::to_owned);
    (for_signatures && verifies && fits).then_some(TrustedKey { kid, key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrivateKey;

    fn key(algorithm: Algorithm) -> PublicKey {
        PrivateKey::generate(algorithm, || [9; 32]).public()
    }

    #[test]
    fn a_key_survives_its_jwk() {
        for algorithm in Algorithm::ALL {
            let key = key(algorithm);
            let set = json!({"keys": [jwk("k", &key)]}).to_string();
            let read = parse_trusted_keys(set.as_bytes()).unwrap();
            assert_eq!(read, [TrustedKey { kid: Some("k".to_owned()), key: key.clone() }]);
            let alone = jwk("k", &key).to_string();
            assert_eq!(parse_trusted_keys(alone.as_bytes()).unwrap(), read);
        }
    }

    #[test]
    fn keys_for_other_uses_are_skipped() {
        let change = |name: &str, value: Value| {
            let mut jwk = jwk("k", &key(Algorithm::Es256));
            jwk[name] = value;
            jwk
        };
        for jwk in [
            change("use", "enc".into()),
            change("alg", "EdDSA".into()),
            change("alg", "RS256".into()),
            change("key_ops", json!(["sign"])),
            change("crv", "P-384".into()),
            change("x", "AA".into()),
        ] {
            let set = json!({"keys": [jwk]}).to_string();
            let error = parse_trusted_keys(set.as_bytes()).unwrap_err();
            assert!(matches!(error, JwksError::NoneUsable(1)), "{set}");
        }
        assert!(
            parse_trusted_keys(change("key_ops", json!(["verify"])).to_string().as_bytes()).is_ok()
        );
    }

    #[test]
    fn other_json_and_other_text_are_rejected() {
        assert!(matches!(parse_trusted_keys(b"{}"), Err(JwksError::NoKeys)));
        assert!(matches!(parse_trusted_keys(b"<html>"), Err(JwksError::Unreadable(_))));
    }
}
