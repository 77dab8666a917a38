//! Signed cards (A2A 8.4): whatever form a card takes on its way out, it is signed as the last thing.
//!
//! Nodes that share their keys give the same card the same signatures, so a client that goes from one to another finds the
//! card that it knows.

use super::{AddressSource, CardAddress, Service, Shape};
use longhaul_signing::{CardSigner, SIGNATURES_FIELD};
use longhaul_wire::v1::card::{AgentCard, AgentCardSignature};
use serde_json::Value;

impl Service {
    /// A card, of 1.0 or with the fields of other versions beside, with its signatures. Without keys, the card as it is.
    pub fn signed(&self, mut document: Value, address: &CardAddress) -> Value {
        let Some(signer) = self.signer(address) else { return document };
        // What is no object is no card of ours.
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

    /// The same for a card that others write as a document of this shape.
    pub fn sign(&self, card: &mut AgentCard, shape: Shape, address: &CardAddress) {
        let Some(signer) = self.signer(address) else { return };
        let document = shape.document(card);
        let signatures = document.map(|document| signer.sign(&document, &address.url));
        if let Ok(Ok(signatures)) = signatures {
            let of_wire = |one: &longhaul_signing::CardSignature| AgentCardSignature {
                protected: one.protected.clone(),
                signature: one.signature.clone(),
                header: None,
            };
            card.signatures = signatures.iter().map(of_wire).collect();
        }
    }

    /// The signer of cards with this address. One that only a request names may be anybody's: signed, it could be shown to others.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        service::{CardFound, CardScope},
        testing::Node,
    };
    use longhaul_signing::{
        Algorithm, CardSigner, KeyRing, PrivateKey, SignedForm, parse_trusted_keys, verify,
    };
    use std::sync::Arc;

    fn signer() -> Arc<CardSigner> {
        let key = PrivateKey::generate(Algorithm::EdDsa, || [1; 32]);
        Arc::new(CardSigner::new(KeyRing::new(Some(key), []), None))
    }

    async fn card(service: &Service) -> AgentCard {
        match service.card(&CardScope::Root, &service.own_address()).await.unwrap() {
            CardFound::Card(card) => *card,
            CardFound::None(_) => panic!("there is an agent"),
        }
    }

    /// What the signatures of a document cover.
    fn covered(service: &Service, document: &Value) -> Vec<SignedForm> {
        let keys = parse_trusted_keys(service.jwks().unwrap().to_string().as_bytes()).unwrap();
        let verdicts = verify(document, &keys).unwrap();
        verdicts.into_iter().map(|verdict| verdict.outcome.unwrap()).collect()
    }

    #[tokio::test]
    async fn a_document_and_a_card_that_others_write_are_signed_alike() {
        let node = Node::start().await;
        let service = node.configured(|options| options.card_signer = Some(signer())).service();
        for (shape, covers) in [
            (Shape::V1_0, &[SignedForm::Specification][..]),
            (Shape::Any, &[SignedForm::Specification, SignedForm::Document]),
            (Shape::V0_3, &[SignedForm::Document]),
        ] {
            let mut card = card(&service).await;
            let address = service.own_address();
            let signed = service.signed(shape.document(&card).unwrap(), &address);
            assert_eq!(covered(&service, &signed), covers, "{shape:?}");
            service.sign(&mut card, shape, &address);
            assert_eq!(shape.document(&card).unwrap(), signed, "{shape:?}");
        }
    }

    #[tokio::test]
    async fn what_is_written_is_as_the_canonical_form_wants_it() {
        // With a scheme without scopes: the one thing of ours that is empty.
        let node = Node::with_keys().await;
        let service = node.configured(|options| options.card_signer = Some(signer())).service();
        let document = Shape::V1_0.document(&card(&service).await).unwrap();
        let signed = service.signed(document, &service.own_address());
        assert_eq!(covered(&service, &signed), [SignedForm::Specification, SignedForm::Compact]);
    }

    #[tokio::test]
    async fn without_keys_a_card_stays_as_it_is() {
        let node = Node::start().await;
        let service = node.service();
        let mut card = card(&service).await;
        let document = Shape::Any.document(&card).unwrap();
        let address = service.own_address();
        assert_eq!(service.signed(document.clone(), &address), document);
        service.sign(&mut card, Shape::V1_0, &address);
        assert_eq!((card.signatures.len(), service.jwks()), (0, None));
    }
}
