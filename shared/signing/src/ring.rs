//! The keys of a deployment: the first one signs, all of them are published.
//!
//! A key is renewed without a moment at which a signature has no published key: the new key is published first, then it
//! signs, and the old one stays published until no cached card bears its signature. Nodes share nothing but the files.

use crate::{
    CardSignature, PrivateKey, PublicKey, SignedForm,
    jwk::jwk,
    payload,
    sign::{SignError, signature},
};
use serde_json::{Value, json};

/// The keys of a deployment.
#[derive(Debug, Clone)]
pub struct KeyRing {
    active: Option<(String, PrivateKey)>,
    published: Vec<(String, PublicKey)>,
}

impl KeyRing {
    /// A ring in which `active` signs; without it nothing is signed any more. It is published, and so are the others; a key
    /// that is named twice, once.
    pub fn new(active: Option<PrivateKey>, others: impl IntoIterator<Item = PublicKey>) -> Self {
        let mut published: Vec<(String, PublicKey)> = Vec::new();
        for key in active.iter().map(PrivateKey::public).chain(others) {
            if published.iter().all(|(_, known)| *known != key) {
                published.push((key.thumbprint(), key));
            }
        }
        Self { active: active.map(|key| (key.public().thumbprint(), key)), published }
    }

    /// The name of the key that signs, if one does.
    pub fn kid(&self) -> Option<&str> {
        self.active.as_ref().map(|(kid, _)| kid.as_str())
    }

    /// The names and keys that are published, the one that signs first.
    pub fn published(&self) -> &[(String, PublicKey)] {
        &self.published
    }

    /// The key set (RFC 7517) for `/.well-known/jwks.json`. No private part is in it.
    pub fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.published.iter().map(|(kid, key)| jwk(kid, key)).collect();
        json!({ "keys": keys })
    }

    /// The signatures of a card, which name `jku` as the place of the key set: one over the 1.0 card, and one over every
    /// other form that differs from it; a card of 0.3 alone has one form, the whole document. The same card gives the same
    /// signatures. `signatures` of the card do not count.
    pub fn sign(&self, card: &Value, jku: Option<&str>) -> Result<Vec<CardSignature>, SignError> {
        let members = card.as_object().ok_or(SignError::NoObject)?;
        let Some((kid, key)) = &self.active else { return Ok(Vec::new()) };
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        for form in SignedForm::of(members) {
            let bytes = payload(members, *form);
            if !payloads.contains(&bytes) {
                payloads.push(bytes);
            }
        }
        let sign = |bytes: &Vec<u8>| signature(key, kid, jku, bytes);
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
    fn an_ordinary_card_bears_one_signature_and_the_same_one_each_time() {
        for algorithm in Algorithm::ALL {
            let ring = KeyRing::new(Some(key(algorithm, 3)), []);
            let jku = Some("https://a/.well-known/jwks.json");
            let signatures = ring.sign(&card(), jku).unwrap();
            assert_eq!(signatures.len(), 1);
            assert_eq!(signatures, ring.sign(&card(), jku).unwrap());
        }
    }

    #[test]
    fn without_a_key_that_signs_the_others_are_still_published() {
        let ring = KeyRing::new(None, [key(Algorithm::EdDsa, 3).public()]);
        assert_eq!((ring.kid(), ring.published().len()), (None, 1));
        assert_eq!(ring.sign(&card(), None), Ok(Vec::new()));
    }

    #[test]
    fn forms_that_differ_are_signed_each() {
        let ring = KeyRing::new(Some(key(Algorithm::EdDsa, 3)), []);
        let mut both_versions = card();
        both_versions["url"] = "http://a".into();
        assert_eq!(ring.sign(&both_versions, None).unwrap().len(), 2);
        both_versions["securityRequirements"] = json!([{"schemes": {"bearer": {}}}]);
        assert_eq!(ring.sign(&both_versions, None).unwrap().len(), 3);
        assert_eq!(ring.sign(&json!([]), None), Err(SignError::NoObject));
    }

    #[test]
    fn a_card_of_0_3_alone_is_signed_as_the_document_that_it_is() {
        let ring = KeyRing::new(Some(key(Algorithm::EdDsa, 3)), []);
        let mut old = json!({"name": "a", "url": "http://a", "protocolVersion": "0.3.0"});
        old["signatures"] = serde_json::to_value(ring.sign(&old, None).unwrap()).unwrap();
        let keys = parse_trusted_keys(ring.jwks().to_string().as_bytes()).unwrap();
        let verdicts = verify(&old, &keys).unwrap();
        assert_eq!(verdicts.len(), 1);
        assert_eq!(verdicts[0].outcome, Ok(SignedForm::Document));
    }

    #[test]
    fn a_card_signed_before_a_key_was_renewed_still_verifies() {
        let (old, new) = (key(Algorithm::Es256, 4), key(Algorithm::Es256, 5));
        let mut cached = card();
        let before = KeyRing::new(Some(old.clone()), [new.public()]);
        cached["signatures"] = serde_json::to_value(before.sign(&cached, None).unwrap()).unwrap();
        let after = KeyRing::new(Some(new), [old.public()]);
        let keys = parse_trusted_keys(after.jwks().to_string().as_bytes()).unwrap();
        assert!(verify(&cached, &keys).unwrap()[0].outcome.is_ok());
    }

    /// An object with fields of cards, and whatever in them.
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
        fn whatever_is_signed_verifies_also_after_it_was_written_and_read(mut card in any_card()) {
            let ring = KeyRing::new(Some(key(Algorithm::EdDsa, 6)), []);
            let keys = parse_trusted_keys(ring.jwks().to_string().as_bytes()).unwrap();
            // What stands there before it is signed is judged, and no reason to panic.
            verify(&card, &keys).unwrap();
            card["signatures"] = serde_json::to_value(ring.sign(&card, None).unwrap()).unwrap();
            let read = crate::read(card.to_string().as_bytes()).unwrap();
            let verdicts = verify(&read, &keys).unwrap();
            prop_assert!(!verdicts.is_empty());
            prop_assert!(verdicts.iter().all(|verdict| verdict.outcome.is_ok()), "{:?}", verdicts);
        }
    }
}
