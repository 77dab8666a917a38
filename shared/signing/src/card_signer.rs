//! Signs and caches the cards of a node.
//!
//! Any request for a card can trigger a signature, so signatures are cached: each version of a card
//! is signed once. The cache is lost on restart; the same key makes the same signatures again.

use crate::{CardSignature, KeyRing, SignError, SignedForm, signing_payload};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Maximum number of cards in the cache. When it is full, it is cleared and cards are signed again
/// on demand.
const MAX_CACHED_CARDS: usize = 1_024;

/// The path of the key set below a deployment's address.
const KEY_SET_PATH: &str = "/.well-known/jwks.json";

/// The signatures of a card.
type Signatures = Arc<[CardSignature]>;

/// The card signer of a node.
pub struct CardSigner {
    ring: KeyRing,
    jku: Option<String>,
    cache: Mutex<HashMap<[u8; 32], Signatures>>,
}

impl CardSigner {
    /// Creates a signer. Signatures name `jku` as the URL of the key set, or else the one below the
    /// address of each card.
    pub fn new(ring: KeyRing, jku: Option<String>) -> Self {
        Self { ring, jku, cache: Mutex::default() }
    }

    /// The keys.
    pub const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The signatures of a card at an address, from the cache or by [`KeyRing::sign`].
    pub fn sign(&self, card: &Value, address: &str) -> Result<Signatures, SignError> {
        let members = card.as_object().ok_or(SignError::NoObject)?;
        // The document form covers everything that any other form covers.
        let digest = Sha256::new().chain_update(signing_payload(members, SignedForm::Document));
        let key: [u8; 32] = digest.chain_update(address).finalize().into();
        let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(cached) = cached {
            return Ok(cached);
        }
        // Sign outside of the lock: two requests may sign the same card, and make the same
        // signatures.
        let jku = self.jku.clone().unwrap_or_else(|| format!("{address}{KEY_SET_PATH}"));
        let signatures: Signatures = self.ring.sign(card, Some(&jku))?.into();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        // Clearing is enough: cards change rarely, and hostile addresses must not grow the cache.
        if cache.len() >= MAX_CACHED_CARDS {
            cache.clear();
        }
        cache.insert(key, Arc::clone(&signatures));
        Ok(signatures)
    }
}

impl fmt::Debug for CardSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ring, jku, .. } = self;
        f.debug_struct("CardSigner").field("ring", ring).field("jku", jku).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, PrivateKey};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::json;

    fn signer() -> CardSigner {
        let key = PrivateKey::generate(Algorithm::Es256, || [1; 32]);
        CardSigner::new(KeyRing::new(Some(key), []), Some("http://a/jwks".to_owned()))
    }

    #[test]
    fn a_card_is_signed_once_and_the_same_on_every_node() {
        let (one, two) = (signer(), signer());
        let card = json!({"name": "a"});
        let first = one.sign(&card, "http://a").unwrap();
        assert!(Arc::ptr_eq(&first, &one.sign(&card, "http://a").unwrap()));
        assert_eq!(first, two.sign(&card, "http://a").unwrap());
        assert_ne!(first, one.sign(&json!({"name": "b"}), "http://a").unwrap());
        assert!(one.sign(&json!(1), "http://a").is_err());
    }

    #[test]
    fn the_key_set_is_at_jku_or_below_the_address_of_the_card() {
        let jku = |signer: &CardSigner, address| {
            let signed = signer.sign(&json!({"name": "a"}), address).unwrap();
            let protected = URL_SAFE_NO_PAD.decode(&signed[0].protected).unwrap();
            serde_json::from_slice::<Value>(&protected).unwrap()["jku"].clone()
        };
        let elsewhere = signer();
        let below = CardSigner { jku: None, ..signer() };
        for address in ["http://a", "https://b/base"] {
            assert_eq!(jku(&elsewhere, address), "http://a/jwks");
            assert_eq!(jku(&below, address), format!("{address}/.well-known/jwks.json"));
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        let signer = signer();
        let key = PrivateKey::generate(Algorithm::EdDsa, || [1; 32]);
        let signer = CardSigner { ring: KeyRing::new(Some(key), []), ..signer };
        for number in 0..=MAX_CACHED_CARDS {
            signer.sign(&json!({ "name": number }), "http://a").unwrap();
        }
        assert_eq!(signer.cache.lock().unwrap().len(), 1);
    }
}
