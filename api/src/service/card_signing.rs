//! Signed cards (A2A 8.4): in whatever format a card goes out, it is signed last.
//!
//! Nodes that share their keys give a card the same signatures, so a client that moves between them
//! finds the card that it knows.

use super::{AddressSource, CardAddress, Service};
use longhaul_signing::{CardSigner, SIGNATURES_FIELD};
use longhaul_wire::card::{AgentCard, AgentCardSignature};
use serde_json::Value;

impl Service {
    /// Adds signatures to a card's document. Without keys the document stays as it is.
    pub fn signed(&self, mut document: Value, address: &CardAddress) -> Value {
        let Some(signer) = self.signer(address) else { return document };
        // A card is always an object.
        if let (Ok(signatures), Some(members)) =
            (signer.sign(&document, &address.url), document.as_object_mut())
        {
            let signatures = signatures.iter().filter_map(|one| serde_json::to_value(one).ok());
            let signatures: Vec<Value> = signatures.collect();
            if !signatures.is_empty() {
                members.insert(SIGNATURES_FIELD.to_owned(), signatures.into());
            }
        }
        document
    }

    /// Signs a card that another encoder writes as this document.
    pub fn sign(&self, card: &mut AgentCard, document: &Value, address: &CardAddress) {
        let Some(signer) = self.signer(address) else { return };
        if let Ok(signatures) = signer.sign(document, &address.url) {
            let convert = |signature: &longhaul_signing::CardSignature| AgentCardSignature {
                protected: signature.protected.clone(),
                signature: signature.signature.clone(),
                header: None,
            };
            card.signatures = signatures.iter().map(convert).collect();
        }
    }

    /// The signer of cards with this address. A client may name any host, so a card for such an
    /// address is not signed: it could be shown to others.
    fn signer(&self, address: &CardAddress) -> Option<&CardSigner> {
        match address.source {
            AddressSource::Configured | AddressSource::Listed => {
                self.options.card_signer.as_deref()
            }
            AddressSource::Requested => None,
        }
    }

    /// The key set of this deployment, if it has keys.
    pub fn jwks(&self) -> Option<Value> {
        self.options.card_signer.as_ref().map(|signer| signer.ring().jwks())
    }
}
