//! Agent cards (A2A 4.4.1, 8): the public card of a registered agent, the extended one for
//! authenticated callers (A2A 3.1.11), and their signatures (A2A 8.4).
//!
//! In whatever format a card goes out, it is signed last. Nodes that share their keys give a card the
//! same signatures, so a client that moves between them finds the card that it knows.

use super::{AddressSource, Caller, CardAddress, Result, Service};
use crate::options::ExtendedCards;
use longhaul_domain::{AgentDescriptor, AgentName};
use longhaul_signing::{CardSigner, SIGNATURES_FIELD};
use longhaul_wire::{
    ProtocolError,
    card::{AgentCard, AgentCardSignature, CardSettings, agent_interfaces, build},
};
use serde_json::Value;
use std::sync::Arc;

/// The agent whose card is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CardScope {
    /// The agent at the root address.
    Root,
    /// An agent by name.
    Agent(AgentName),
}

/// Result of looking up a card.
pub enum CardLookup {
    /// The card.
    Found(Box<AgentCard>),
    /// No such agent; these are registered.
    NotFound(Vec<AgentName>),
}

impl Service {
    /// The public card of an agent, unsigned.
    pub async fn card(
        &self,
        scope: &CardScope,
        address: &CardAddress,
    ) -> longhaul_store::Result<CardLookup> {
        let (at, found) = match scope {
            CardScope::Agent(name) => (Some(name), self.agents.get(name).await?),
            CardScope::Root => (None, self.root_agent().await?),
        };
        Ok(match found {
            Some(agent) => CardLookup::Found(Box::new(self.make_card(&agent, at, address, false))),
            None => CardLookup::NotFound(self.agents.all().await?.keys().cloned().collect()),
        })
    }

    /// The extended card of the agent that a call is for (A2A 3.1.11), unsigned.
    pub async fn extended_card(&self, caller: &Caller) -> Result<AgentCard> {
        let agent = self.agent(caller).await?;
        if !self.has_extended_card(&agent) {
            return Err(ProtocolError::ExtendedAgentCardNotConfigured);
        }
        Ok(self.make_card(&agent, caller.agent.as_ref(), &self.card_address(caller), true))
    }

    /// The address that a card for this caller names.
    pub fn card_address(&self, caller: &Caller) -> CardAddress {
        caller.card_address.clone().unwrap_or_else(|| self.own_address())
    }

    /// A card of an agent at its own address, or at the root.
    fn make_card(
        &self,
        agent: &AgentDescriptor,
        at: Option<&AgentName>,
        address: &CardAddress,
        extended: bool,
    ) -> AgentCard {
        let options = &self.options;
        let (url, served) = (&address.url, options.versions);
        let settings = CardSettings {
            interfaces: agent_interfaces(url, at, served, options.grpc_address),
            extensible: self.has_extended_card(agent),
            extended,
            about: options.about.clone(),
            ..CardSettings::json_rpc(url, self.authenticated)
        };
        let mut card = build(agent, &settings);
        card.capabilities.streaming = Some(options.streaming);
        card
    }

    /// The address when no request names one.
    pub fn own_address(&self) -> CardAddress {
        let options = &self.options;
        let (url, source) = match options.public_url.clone() {
            Some(url) => (url, AddressSource::Configured),
            None => (options.listen_url.clone(), AddressSource::Requested),
        };
        CardAddress { url, source }
    }

    fn has_extended_card(&self, agent: &AgentDescriptor) -> bool {
        match self.options.extended_cards {
            ExtendedCards::Off => false,
            ExtendedCards::Always => true,
            ExtendedCards::Authenticated => self.authenticated && agent.has_extended_skills(),
        }
    }

    /// The agent at the root address, if there is one.
    async fn root_agent(&self) -> longhaul_store::Result<Option<Arc<AgentDescriptor>>> {
        if let Some(name) = &self.options.default_agent {
            return self.agents.get(name).await;
        }
        let all = self.agents.all().await?;
        Ok(all.values().next().filter(|_| all.len() == 1).cloned())
    }
}

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
