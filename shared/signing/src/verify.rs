//! Verification of card signatures (A2A 8.4.3).
//!
//! A signature is valid if a key that the caller trusts signed a form of this card. The caller
//! decides which keys to trust; nothing in the card is trusted.

use crate::{
    Algorithm, CardSignature, ProtectedHeader, SIGNATURES_FIELD, SignError, SignedForm, TrustedKey,
    signature::signing_input, signing_payload,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::Value;

/// Maximum number of signatures verified per card, so that a card with thousands cannot exhaust the
/// CPU.
const MAX_SIGNATURES: usize = 64;

/// The result of verifying a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureVerification {
    /// The protected header, if readable.
    pub header: Option<ProtectedHeader>,
    /// The covered form, or the reason for the rejection.
    pub outcome: Result<SignedForm, SignatureRejection>,
}

/// The reason why a signature is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRejection {
    /// The value is no signature in the form of A2A 4.4.7.
    #[error(
        "it cannot be read: it takes \"protected\" and \"signature\" in base64url without padding"
    )]
    Unreadable,
    /// The algorithm is not accepted.
    #[error("its algorithm {0:?} is not accepted; there are ES256 and EdDSA")]
    Algorithm(String),
    /// The header requires an unknown member.
    #[error("its header has \"crit\", which names what is not understood here")]
    Critical,
    /// No key has this id.
    #[error("none of the keys is named {0:?}")]
    UnknownKey(String),
    /// No key is for this algorithm.
    #[error("none of the keys is an {0} key")]
    NoKey(Algorithm),
    /// The signature covers other content, or another key made it.
    #[error("it does not fit: the card was changed after it was signed, or another key signed it")]
    Mismatch,
}

/// Verifies the first 64 signatures of a card, in order. An empty list means that the card is not
/// signed.
pub fn verify(card: &Value, keys: &[TrustedKey]) -> Result<Vec<SignatureVerification>, SignError> {
    let members = card.as_object().ok_or(SignError::NoObject)?;
    let signatures = members.get(SIGNATURES_FIELD).and_then(Value::as_array);
    if signatures.is_none_or(Vec::is_empty) {
        return Ok(Vec::new());
    }
    // Computed once for all signatures: canonicalization is the expensive part.
    let payloads: Vec<(SignedForm, Vec<u8>)> = SignedForm::applicable(members)
        .iter()
        .map(|form| (*form, signing_payload(members, *form)))
        .collect();
    Ok(signatures
        .into_iter()
        .flatten()
        .take(MAX_SIGNATURES)
        .map(|one| verify_signature(one, &payloads, keys))
        .collect())
}

fn verify_signature(
    signature: &Value,
    payloads: &[(SignedForm, Vec<u8>)],
    keys: &[TrustedKey],
) -> SignatureVerification {
    let read = || serde_json::from_value::<CardSignature>(signature.clone()).ok();
    let Some(signature) = signature.is_object().then(read).flatten() else {
        return SignatureVerification {
            header: None,
            outcome: Err(SignatureRejection::Unreadable),
        };
    };
    let header = signature.protected_header();
    let outcome = match &header {
        Some(header) => matching_form(&signature, header, payloads, keys),
        None => Err(SignatureRejection::Unreadable),
    };
    SignatureVerification { header, outcome }
}

fn matching_form(
    signature: &CardSignature,
    header: &ProtectedHeader,
    payloads: &[(SignedForm, Vec<u8>)],
    keys: &[TrustedKey],
) -> Result<SignedForm, SignatureRejection> {
    // Exact names only: `none` and symmetric algorithms are never looked at.
    let accepted = Algorithm::ALL.into_iter().find(|known| known.name() == header.alg);
    let algorithm = accepted.ok_or_else(|| SignatureRejection::Algorithm(header.alg.clone()))?;
    // RFC 7515 section 4.1.11: reject what must be understood and is not.
    if header.crit.is_some() {
        return Err(SignatureRejection::Critical);
    }
    let bytes = BASE64.decode(&signature.signature).map_err(|_| SignatureRejection::Unreadable)?;
    let named = |key: &&TrustedKey| match (&key.kid, &header.kid) {
        (Some(known), Some(kid)) => known == kid,
        // A key or a signature without id may match any.
        _ => true,
    };
    let named: Vec<&TrustedKey> = keys.iter().filter(named).collect();
    if let (true, Some(kid)) = (named.is_empty(), &header.kid) {
        return Err(SignatureRejection::UnknownKey(kid.clone()));
    }
    let mut fitting = named.into_iter().filter(|key| key.key.algorithm() == algorithm).peekable();
    if fitting.peek().is_none() {
        return Err(SignatureRejection::NoKey(algorithm));
    }
    for key in fitting {
        for (form, payload) in payloads {
            if key.key.verifies(&signing_input(&signature.protected, payload), &bytes) {
                return Ok(*form);
            }
        }
    }
    // No key made this signature over any form of the card.
    Err(SignatureRejection::Mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyRing, PrivateKey, parse_trusted_keys};
    use serde_json::json;

    fn key(algorithm: Algorithm, seed: u8) -> PrivateKey {
        PrivateKey::generate(algorithm, || [seed; 32])
    }

    fn signed(ring: &KeyRing) -> Value {
        let mut card =
            json!({"name": "a", "url": "http://a", "skills": [], "supportedInterfaces": []});
        card[SIGNATURES_FIELD] = serde_json::to_value(ring.sign(&card, None).unwrap()).unwrap();
        card
    }

    fn outcomes(card: &Value, keys: &[TrustedKey]) -> Vec<Result<SignedForm, SignatureRejection>> {
        verify(card, keys).unwrap().into_iter().map(|verdict| verdict.outcome).collect()
    }

    fn keys_of(ring: &KeyRing) -> Vec<TrustedKey> {
        parse_trusted_keys(ring.jwks().to_string().as_bytes()).unwrap()
    }

    #[test]
    fn every_form_verifies_with_the_published_keys() {
        for algorithm in Algorithm::ALL {
            let ring = KeyRing::new(Some(key(algorithm, 1)), []);
            let card = signed(&ring);
            let all = SignedForm::ALL.map(Ok);
            assert_eq!(outcomes(&card, &keys_of(&ring)), all);
        }
    }

    #[test]
    fn a_change_invalidates_the_forms_that_cover_it() {
        let ring = KeyRing::new(Some(key(Algorithm::Es256, 1)), []);
        let mut card = signed(&ring);
        card["url"] = "http://evil".into();
        let one_of_three = [
            Ok(SignedForm::Specification),
            Ok(SignedForm::Compact),
            Err(SignatureRejection::Mismatch),
        ];
        assert_eq!(outcomes(&card, &keys_of(&ring)), one_of_three);
        card["name"] = "b".into();
        assert_eq!(
            outcomes(&card, &keys_of(&ring)),
            [const { Err(SignatureRejection::Mismatch) }; 3]
        );
    }

    #[test]
    fn only_trusted_keys_of_the_named_algorithm_count() {
        let ring = KeyRing::new(Some(key(Algorithm::EdDsa, 1)), []);
        let card = signed(&ring);
        let other = KeyRing::new(Some(key(Algorithm::EdDsa, 2)), []);
        let unknown = SignatureRejection::UnknownKey(ring.kid().unwrap().to_owned());
        assert_eq!(outcomes(&card, &keys_of(&other))[0], Err(unknown));
        let unnamed = |key: PrivateKey| [TrustedKey { kid: None, key: key.public() }];
        let wrong_kind = unnamed(key(Algorithm::Es256, 1));
        assert_eq!(
            outcomes(&card, &wrong_kind)[0],
            Err(SignatureRejection::NoKey(Algorithm::EdDsa))
        );
        assert_eq!(
            outcomes(&card, &unnamed(key(Algorithm::EdDsa, 2)))[0],
            Err(SignatureRejection::Mismatch)
        );
        assert!(outcomes(&card, &unnamed(key(Algorithm::EdDsa, 1)))[0].is_ok());
        assert!(outcomes(&card, &[])[0].is_err());
    }

    #[test]
    fn other_algorithms_are_rejected_with_any_key() {
        let ring = KeyRing::new(Some(key(Algorithm::Es256, 1)), []);
        let header = |header: &str| json!({"name": "a", "signatures": [{"protected": BASE64.encode(header), "signature": ""}]});
        for alg in ["none", "HS256", "RS256", "es256"] {
            let card = header(&format!("{{\"alg\":\"{alg}\"}}"));
            let refused = SignatureRejection::Algorithm(alg.to_owned());
            assert_eq!(outcomes(&card, &keys_of(&ring)), [Err(refused)]);
        }
        let card = header("{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}");
        assert_eq!(outcomes(&card, &keys_of(&ring)), [Err(SignatureRejection::Critical)]);
    }

    #[test]
    fn malformed_signatures_are_rejected_and_not_skipped() {
        for signature in [
            json!(1),
            json!(["e30", ""]),
            json!({}),
            json!({"protected": "e30"}),
            json!({"protected": "%", "signature": ""}),
        ] {
            let card = json!({ "signatures": [signature] });
            assert_eq!(outcomes(&card, &[]), [Err(SignatureRejection::Unreadable)]);
        }
        assert_eq!(outcomes(&json!({"name": "a"}), &[]), []);
        assert_eq!(verify(&json!("a"), &[]), Err(SignError::NoObject));
    }
}
