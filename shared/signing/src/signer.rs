//! Signs the cards of a node.
//!
//! Whoever asks for a card can make a node sign, so signatures are kept: a card is signed once as long as it does not
//! change. What is kept is no more than what the same key makes again after a restart.

use crate::{CardSignature, KeyRing, SignError, SignedForm, payload};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// So many cards are kept; beyond that all are forgotten, and signed again when they are asked for.
const KEPT: usize = 1_024;

/// The place of a deployment's key set, below its address.
const KEY_SET: &str = "/.well-known/jwks.json";

/// The signatures of a card.
type Signatures = Arc<[CardSignature]>;

/// Signs the cards of a node.
pub struct CardSigner {
    ring: KeyRing,
    jku: Option<String>,
    made: Mutex<HashMap<[u8; 32], Signatures>>,
}

impl CardSigner {
    /// Makes signatures that name `jku` as the place of the key set; without it, the place below the address of each card.
    pub fn new(ring: KeyRing, jku: Option<String>) -> Self {
        Self { ring, jku, made: Mutex::default() }
    }

    /// Its keys.
    pub const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The signatures of a card that names an address, those of [`KeyRing::sign`].
    pub fn sign(&self, card: &Value, address: &str) -> Result<Signatures, SignError> {
        let members = card.as_object().ok_or(SignError::NoObject)?;
        let digest = Sha256::new().chain_update(payload(members, SignedForm::Document));
        let name: [u8; 32] = digest.chain_update(address).finalize().into();
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some(made) = made {
            return Ok(made);
        }
        let jku = self.jku.clone().unwrap_or_else(|| format!("{address}{KEY_SET}"));
        let signatures: Signatures = self.ring.sign(card, Some(&jku))?.into();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() >= KEPT {
            made.clear();
        }
        made.insert(name, Arc::clone(&signatures));
        Ok(signatures)
    }
}

impl fmt::Debug for CardSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ring, jku, .. } = self;
        f.debug_struct("Signer").field("ring", ring).field("jku", jku).finish_non_exhaustive()
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
    fn a_card_is_signed_once_and_as_another_node_does() {
        let (one, two) = (signer(), signer());
        let card = json!({"name": "a"});
        let first = one.sign(&card, "http://a").unwrap();
        assert!(Arc::ptr_eq(&first, &one.sign(&card, "http://a").unwrap()));
        assert_eq!(first, two.sign(&card, "http://a").unwrap());
        assert_ne!(first, one.sign(&json!({"name": "b"}), "http://a").unwrap());
        assert!(one.sign(&json!(1), "http://a").is_err());
    }

    #[test]
    fn the_key_set_is_below_the_address_of_the_card_unless_it_is_elsewhere() {
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
    fn what_is_kept_is_bounded() {
        let signer = signer();
        let key = PrivateKey::generate(Algorithm::EdDsa, || [1; 32]);
        let signer = CardSigner { ring: KeyRing::new(Some(key), []), ..signer };
        for number in 0..=KEPT {
            signer.sign(&json!({ "name": number }), "http://a").unwrap();
        }
        assert_eq!(signer.made.lock().unwrap().len(), 1);
    }
}
