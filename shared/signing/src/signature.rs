//! Signatures of cards: JWS with detached payload (A2A 4.4.7, 8.4.2; RFC 7515 appendix F).

use crate::{Algorithm, PrivateKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The field of a card that holds its signatures.
pub const SIGNATURES_FIELD: &str = "signatures";

/// The error of a value that cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The value is no JSON object.
    #[error("it is no agent card: a card is a JSON object")]
    NoObject,
}

/// A signature on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardSignature {
    /// The protected header: JSON in base64url without padding.
    pub protected: String,
    /// The signature in base64url without padding.
    pub signature: String,
    /// An unprotected header. Longhaul writes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Map<String, Value>>,
}

/// The protected header of a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedHeader {
    /// The algorithm.
    pub alg: String,
    /// The type, `JOSE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    /// The key id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The URL of the key set. Written by the author of the card, so it proves nothing by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jku: Option<String>,
    /// The names of members that a verifier must understand (RFC 7515 section 4.1.11). Longhaul
    /// writes and knows none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crit: Option<Value>,
}

impl ProtectedHeader {
    fn new(algorithm: Algorithm, kid: &str, jku: Option<&str>) -> Self {
        Self {
            alg: algorithm.name().to_owned(),
            typ: Some("JOSE".to_owned()),
            kid: Some(kid.to_owned()),
            jku: jku.map(str::to_owned),
            crit: None,
        }
    }
}

impl CardSignature {
    /// The protected header; `None` if it cannot be decoded.
    pub fn protected_header(&self) -> Option<ProtectedHeader> {
        let bytes = BASE64.decode(&self.protected).ok()?;
        // Duplicate members in a header could hide another algorithm.
        let header = crate::parse_unambiguous(&bytes).ok().filter(Value::is_object)?;
        serde_json::from_value(header).ok()
    }
}

/// Signs a payload.
pub(crate) fn sign_payload(
    key: &PrivateKey,
    kid: &str,
    jku: Option<&str>,
    payload: &[u8],
) -> CardSignature {
    let header = ProtectedHeader::new(key.public().algorithm(), kid, jku);
    // Serializing a struct of texts cannot fail.
    let protected = BASE64.encode(serde_json::to_vec(&header).unwrap_or_default());
    let signature = BASE64.encode(key.sign(&signing_input(&protected, payload)));
    CardSignature { protected, signature, header: None }
}

/// The JWS signing input (RFC 7515 section 5.1).
pub(crate) fn signing_input(protected: &str, payload: &[u8]) -> Vec<u8> {
    format!("{protected}.{}", BASE64.encode(payload)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_algorithm_type_key_and_key_set() {
        let key = PrivateKey::generate(Algorithm::Es256, || [1; 32]);
        let signed = sign_payload(&key, "key-1", Some("https://a/jwks.json"), b"{}");
        let header = String::from_utf8(BASE64.decode(&signed.protected).unwrap()).unwrap();
        let expected = r#"{"alg":"ES256","typ":"JOSE","kid":"key-1","jku":"https://a/jwks.json"}"#;
        assert_eq!(header, expected);
        assert_eq!(signed.protected_header().unwrap().kid.as_deref(), Some("key-1"));
        assert!(!signed.signature.contains('='));
    }

    #[test]
    fn an_unreadable_header_is_none() {
        for protected in ["", "%", "e30=", "e30", "W10", "WyJFUzI1NiJd", "eyJhbGciOjF9"] {
            let protected = protected.to_owned();
            let broken = CardSignature { protected, signature: String::new(), header: None };
            assert_eq!(broken.protected_header(), None);
        }
    }
}
