//! Signs the cards of a node.
//!
//! Whoever asks for a card can make a node sign, so signatures are kept: a card is signed once as long as it does not
//! change. What is kept is no more than what the same key makes again after a restart.

use crate::{CardSignature, Form, KeyRing, SignError, payload};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// So many cards are kept; beyond that all are forgotten, and signed again when they are asked for.
const KEPT: usize = 1_024;

/// The signatures of a card.
type Signatures = Arc<[CardSignature]>;

/// Signs the cards of a node.
pub struct Signer {
    ring: KeyRing,
    jku: Option<String>,
    made: Mutex<HashMap<[u8; 32], Signatures>>,
}

impl Signer {
    /// One whose signatures name `jku` as the place of the key set.
    pub fn new(ring: KeyRing, jku: Option<String>) -> Self {
        Self { ring, jku, made: Mutex::default() }
    }

    /// Its keys.
    pub const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The signatures of a card, those of [`KeyRing::sign`].
    pub fn sign(&self, card: &Value) -> Result<Signatures, SignError> {
        let members = card.as_object().ok_or(SignError::NoObject)?;
        let name: [u8; 32] = Sha256::digest(payload(members, Form::Document)).into();
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some(made) = made {
            return Ok(made);
        }
        let signatures: Signatures = self.ring.sign(card, self.jku.as_deref())?.into();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() >= KEPT {
            made.clear();
        }
        made.insert(name, Arc::clone(&signatures));
        Ok(signatures)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ring, jku, .. } = self;
        f.debug_struct("Signer").field("ring", ring).field("jku", jku).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, PrivateKey};
    use serde_json::json;

    fn signer() -> Signer {
        let key = PrivateKey::generate(Algorithm::Es256, || [1; 32]);
        Signer::new(KeyRing::new(Some(key), []), Some("http://a/jwks".to_owned()))
    }

    #[test]
    fn a_card_is_signed_once_and_as_another_node_does() {
        let (one, two) = (signer(), signer());
        let card = json!({"name": "a"});
        let first = one.sign(&card).unwrap();
        assert!(Arc::ptr_eq(&first, &one.sign(&card).unwrap()));
        assert_eq!(first, two.sign(&card).unwrap());
        assert_ne!(first, one.sign(&json!({"name": "b"})).unwrap());
        assert!(one.sign(&json!(1)).is_err());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let signer = signer();
        let key = PrivateKey::generate(Algorithm::EdDsa, || [1; 32]);
        let signer = Signer { ring: KeyRing::new(Some(key), []), ..signer };
        for number in 0..=KEPT {
            signer.sign(&json!({ "name": number })).unwrap();
        }
        assert_eq!(signer.made.lock().unwrap().len(), 1);
    }
}
