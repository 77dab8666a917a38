//! Signed cards (A2A 8.4): whatever form a card takes on its way out, it is signed as the last thing.
//!
//! Nodes that share their keys give the same card the same signatures, so a client that goes from one to another finds the
//! card that it knows.

use super::{Service, Shape};
use longhaul_signing::SIGNATURES;
use longhaul_wire::v1::card::{AgentCard, AgentCardSignature};
use serde_json::Value;

impl Service {
    /// A card, of 1.0 or with the fields of other versions beside, with its signatures. Without keys, the card as it is.
    pub fn signed(&self, mut document: Value) -> Value {
        let Some(signer) = &self.options.card_signer else { return document };
        // What is no object is no card of ours.
        if let (Ok(signatures), Some(members)) = (signer.sign(&document), document.as_object_mut())
        {
            let signatures = signatures.iter().filter_map(|one| serde_json::to_value(one).ok());
            let signatures: Vec<Value> = signatures.collect();
            if !signatures.is_empty() {
                members.insert(SIGNATURES.to_owned(), signatures.into());
            }
        }
        document
    }

    /// The same for a card that others write as a document of this shape.
    pub fn sign(&self, card: &mut AgentCard, shape: Shape) {
        let Some(signer) = &self.options.card_signer else { return };
        let signatures = shape.document(card).map(|document| signer.sign(&document));
        if let Ok(Ok(signatures)) = signatures {
            let of_wire = |one: &longhaul_signing::CardSignature| AgentCardSignature {
                protected: one.protected.clone(),
                signature: one.signature.clone(),
                header: None,
            };
            card.signatures = signatures.iter().map(of_wire).collect();
        }
    }

    /// The key set of this deployment, if it has keys.
    pub fn jwks(&self) -> Option<Value> {
        self.options.card_signer.as_ref().map(|signer| signer.ring().jwks())
    }
}
