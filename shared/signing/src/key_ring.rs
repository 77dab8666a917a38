//! The keys of a deployment: the first one signs, all are published.
//!
//! Rotation never leaves a signature without a published key: the new key is published first, then
//! signs, and the old one stays published until no cached card bears its signature. Nodes share
//! only the key files.

use crate::{
    CardSignature, PrivateKey, PublicKey, SignedForm,
    jwk::jwk,
    signature::{SignError, sign_payload},
    signing_payload,
};
use serde_json::{Value, json};

/// The keys of a deployment.
#[derive(Debug, Clone)]
pub struct KeyRing {
    active: Option<(String, PrivateKey)>,
    published: Vec<(String, PublicKey)>,
}

impl KeyRing {
    /// Creates a key ring. `active` signs; without it, nothing is signed. It and `others` are
    /// published, without duplicates.
    pub fn new(active: Option<PrivateKey>, others: impl IntoIterator<Item = PublicKey>) -> Self {
        let mut published: Vec<(String, PublicKey)> = Vec::new();
        for key in active.iter().map(PrivateKey::public).chain(others) {
            // Compare keys, not ids: the same key may stand in two files.
            if published.iter().all(|(_, known)| *known != key) {
                published.push((key.thumbprint(), key));
            }
        }
        Self { active: active.map(|key| (key.public().thumbprint(), key)), published }
    }

    /// The key id of the signing key, if there is one.
    pub fn kid(&self) -> Option<&str> {
        self.active.as_ref().map(|(kid, _)| kid.as_str())
    }

    /// The published keys with their ids, beginning with the signing key.
    pub fn published(&self) -> &[(String, PublicKey)] {
        &self.published
    }

    /// The key set (RFC 7517) for `/.well-known/jwks.json`, without private parts.
    pub fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.published.iter().map(|(kid, key)| jwk(kid, key)).collect();
        json!({ "keys": keys })
    }

    /// Signs a card, with `jku` as the URL of the key set: one signature over the 1.0 card, and one
    /// over each other form that differs. A pure 0.3 card has a single form, the document.
    /// Deterministic; existing `signatures` are ignored.
    pub fn sign(&self, card: &Value, jku: Option<&str>) -> Result<Vec<CardSignature>, SignError> {
        let members = card.as_object().ok_or(SignError::NoObject)?;
        let Some((kid, key)) = &self.active else { return Ok(Vec::new()) };
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        for form in SignedForm::applicable(members) {
            let bytes = signing_payload(members, *form);
            // Forms of an ordinary card are identical, and one signature serves them all.
            if !payloads.contains(&bytes) {
                payloads.push(bytes);
            }
        }
        let sign = |bytes: &Vec<u8>| sign_payload(key, kid, jku, bytes);
        Ok(payloads.iter().map(sign).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, parse_trusted_keys, verify};
    use proptest::prelude::*;
    use serde_json::{Map, json};

    fn key(algorithm: Algorithm, seed: u8) -> PrivateKey {
        PrivateKey::generate(algorithm, || [seed; 32])
    }

    fn card() -> Value {
        json!({
            "name": "a", "description": "b", "version": "1",
            "supportedInterfaces": [{"url": "http://a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            "capabilities": {"streaming": true, "pushNotifications": false},
            "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "skills": [{"id": "s", "name": "s", "description": "s", "tags": ["s"]}]})
    }

    #[test]
    fn the_first_key_signs_and_all_are_published_once() {
        let (one, two) = (key(Algorithm::Es256, 1), key(Algorithm::EdDsa, 2));
        let ring = KeyRing::new(Some(one.clone()), [two.public(), one.public()]);
        assert_eq!(ring.kid(), Some(one.public().thumbprint().as_str()));
        let jwks = ring.jwks();
        let kids: Vec<&str> = jwks["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["kid"].as_str().unwrap())
            .collect();
        assert_eq!(kids, [one.public().thumbprint(), two.public().thumbprint()]);
        assert!(!jwks.to_string().contains("\"d\""));
    }

    #[test]
    fn an_ordinary_card_has_one_signature_that_is_deterministic() {
        for algorithm in Algorithm::ALL {
            let ring = KeyRing::new(Some(key(algorithm, 3)), []);
            let jku = Some("https://a/.well-known/jwks.json");
            let signatures = ring.sign(&card(), jku).unwrap();
            assert_eq!(signatures.len(), 1);
            assert_eq!(signatures, ring.sign(&card(), jku).unwrap());
        }
    }

    #[test]
    fn without_a_signing_key_the_others_are_still_published() {
        let ring = KeyRing::new(None, [key(Algorithm::EdDsa, 3).public()]);
        assert_eq!((ring.kid(), ring.published().len()), (None, 1));
        assert_eq!(ring.sign(&card(), None), Ok(Vec::new()));
    }

    #[test]
    fn each_differing_form_is_signed() {
        let ring = KeyRing::new(Some(key(Algorithm::EdDsa, 3)), []);
        let mut both_versions = card();
        both_versions["url"] = "http://a".into();
        assert_eq!(ring.sign(&both_versions, None).unwrap().len(), 2);
        both_versions["securityRequirements"] = json!([{"schemes": {"bearer": {}}}]);
        assert_eq!(ring.sign(&both_versions, None).unwrap().len(), 3);
        assert_eq!(ring.sign(&json!([]), None), Err(SignError::NoObject));
    }

    #[test]
    fn a_pure_0_3_card_is_signed_as_document() {
        let ring = KeyRing::new(Some(key(Algorithm::EdDsa, 3)), []);
        let mut old = json!({"name": "a", "url": "http://a", "protocolVersion": "0.3.0"});
        old["signatures"] = serde_json::to_value(ring.sign(&old, None).unwrap()).unwrap();
        let keys = parse_trusted_keys(ring.jwks().to_string().as_bytes()).unwrap();
        let verdicts = verify(&old, &keys).unwrap();
        assert_eq!(verdicts.len(), 1);
        assert_eq!(verdicts[0].outcome, Ok(SignedForm::Document));
    }

    #[test]
    fn a_card_signed_before_a_key_rotation_still_verifies() {
        let (old, new) = (key(Algorithm::Es256, 4), key(Algorithm::Es256, 5));
        let mut cached = card();
        let before = KeyRing::new(Some(old.clone()), [new.public()]);
        cached["signatures"] = serde_json::to_value(before.sign(&cached, None).unwrap()).unwrap();
        let after = KeyRing::new(Some(new), [old.public()]);
        let keys = parse_trusted_keys(after.jwks().to_string().as_bytes()).unwrap();
        assert!(verify(&cached, &keys).unwrap()[0].outcome.is_ok());
    }

    /// Generates an object with fields of cards and arbitrary values.
    fn any_card() -> impl Strategy<Value = Value> {
        let fields = prop::sample::select(vec![
            "name",
            "supportedInterfaces",
            "capabilities",
            "securitySchemes",
            "securityRequirements",
            "skills",
            "provider",
            "signatures",
            "url",
            "\u{1f600}",
        ]);
        let members =
            prop::collection::hash_map(fields, crate::canonical::tests::any_value(), 0..8);
        members.prop_map(|members| {
            let named = members.into_iter().map(|(name, value)| (name.to_owned(), value));
            Value::Object(named.collect::<Map<String, Value>>())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_signed_card_verifies_after_a_round_trip(mut card in any_card()) {
            let ring = KeyRing::new(Some(key(Algorithm::EdDsa, 6)), []);
            let keys = parse_trusted_keys(ring.jwks().to_string().as_bytes()).unwrap();
            // Arbitrary content of `signatures` must not panic.
            verify(&card, &keys).unwrap();
            card["signatures"] = serde_json::to_value(ring.sign(&card, None).unwrap()).unwrap();
            let read = crate::parse_unambiguous(card.to_string().as_bytes()).unwrap();
            let verdicts = verify(&read, &keys).unwrap();
            prop_assert!(!verdicts.is_empty());
            prop_assert!(verdicts.iter().all(|verdict| verdict.outcome.is_ok()), "{:?}", verdicts);
        }
    }
}
