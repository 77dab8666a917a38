//! What the signatures of a card prove (A2A 8.4.3).
//!
//! A signature counts when it was made with a key that the caller trusts, over some form of this card. Where the keys come
//! from is the caller's decision; nothing that a card says about itself is believed.

use crate::{
    Algorithm, CardSignature, ProtectedHeader, SIGNATURES_FIELD, SignError, SignedForm, TrustedKey,
    payload, sign::signing_input,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::Value;

/// A card has a few signatures. One with thousands could keep whoever verifies it busy, so further ones are not judged.
const MOST: usize = 64;

/// What one signature is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureVerification {
    /// What its header says, where it can be read.
    pub header: Option<ProtectedHeader>,
    /// What it covers, or why it does not count.
    pub outcome: Result<SignedForm, SignatureRejection>,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRejection {
    /// It is no signature as A2A 4.4.7 describes.
    #[error(
        "it cannot be read: it takes \"protected\" and \"signature\" in base64url without padding"
    )]
    Unreadable,
    /// An algorithm that is not accepted.
    #[error("its algorithm {0:?} is not accepted; there are ES256 and EdDSA")]
    Algorithm(String),
    /// It demands something that is not known here.
    #[error("its header has \"crit\", which names what is not understood here")]
    Critical,
    /// None of the keys has its name.
    #[error("none of the keys is named {0:?}")]
    UnknownKey(String),
    /// None of the keys is for its algorithm.
    #[error("none of the keys is an {0} key")]
    NoKey(Algorithm),
    /// It was made over something else, or with another key.
    #[error("it does not fit: the card was changed after it was signed, or another key signed it")]
    Wrong,
}

/// Judges the first 64 signatures of a card, in their order. An empty list: the card is not signed.
pub fn verify(card: &Value, keys: &[TrustedKey]) -> Result<Vec<SignatureVerification>, SignError> {
    let members = card.as_object().ok_or(SignError::NoObject)?;
    let signatures = members.get(SIGNATURES_FIELD).and_then(Value::as_array);
    if signatures.is_none_or(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let payloads: Vec<(SignedForm, Vec<u8>)> =
        SignedForm::of(members).iter().map(|form| (*form, payload(members, *form))).collect();
    Ok(signatures.into_iter().flatten().take(MOST).map(|one| judge(one, &payloads, keys)).collect())
}

fn judge(
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
        Some(header) => fitting(&signature, header, payloads, keys),
        None => Err(SignatureRejection::Unreadable),
    };
    SignatureVerification { header, outcome }
}

fn fitting(
    signature: &CardSignature,
    header: &ProtectedHeader,
    payloads: &[(SignedForm, Vec<u8>)],
    keys: &[TrustedKey],
) -> Result<SignedForm, SignatureRejection> {
    let accepted = Algorithm::ALL.into_iter().find(|known| known.name() == header.alg);
    let algorithm = accepted.ok_or_else(|| SignatureRejection::Algorithm(header.alg.clone()))?;
    if header.crit.is_some() {
        return Err(SignatureRejection::Critical);
    }
    let bytes = BASE64.decode(&signature.signature).map_err(|_| SignatureRejection::Unreadable)?;
    let named = |key: &&TrustedKey| match (&key.kid, &header.kid) {
        (Some(known), Some(kid)) => known == kid,
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
    Err(SignatureRejection::Wrong)
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
    fn a_change_is_noticed_by_the_forms_that_cover_it() {
        let ring = KeyRing::new(Some(key(Algorithm::Es256, 1)), []);
        let mut card = signed(&ring);
        card["url"] = "http://evil".into();
        let one_of_three = [
            Ok(SignedForm::Specification),
            Ok(SignedForm::Compact),
            Err(SignatureRejection::Wrong),
        ];
        assert_eq!(outcomes(&card, &keys_of(&ring)), one_of_three);
        card["name"] = "b".into();
        assert_eq!(outcomes(&card, &keys_of(&ring)), [const { Err(SignatureRejection::Wrong) }; 3]);
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
            Err(SignatureRejection::Wrong)
        );
        assert!(outcomes(&card, &unnamed(key(Algorithm::EdDsa, 1)))[0].is_ok());
        assert!(outcomes(&card, &[])[0].is_err());
    }

    #[test]
    fn an_algorithm_beyond_the_two_is_refused_whatever_the_key() {
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
    fn what_is_no_signature_is_judged_and_not_skipped() {
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
