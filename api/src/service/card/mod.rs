//! Agent cards (A2A 4.4.1, 8): what is registered, as a card for everybody, or as the extended one for those who showed who
//! they are (A2A 3.1.11).

mod shape;
#[cfg(test)]
mod tests;

pub use shape::Shape;

use super::{Caller, Result, Service};
use crate::options::ExtendedCards;
use longhaul_domain::{AgentDescriptor, AgentName};
use longhaul_wire::{
    ProtocolError,
    card::{CardSettings, build},
    interfaces::interfaces,
    v1::card::AgentCard,
};
use std::sync::Arc;

/// Whose card is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CardScope {
    /// That of the agent at the root.
    Root,
    /// That of an agent by name.
    Agent(AgentName),
}

/// The address of this deployment that a card names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardAddress {
    /// The URL, without a trailing slash.
    pub url: String,
    /// Who says so.
    pub source: AddressSource,
}

/// Who says which address is that of this deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressSource {
    /// `server.public_url`.
    Configured,
    /// The request, and the host is one of `server.allowed_hosts`.
    Listed,
    /// The request alone: a card that names it is never signed.
    Requested,
}

/// What was found.
pub enum CardFound {
    /// The card.
    Card(Box<AgentCard>),
    /// There is no such agent; these there are.
    None(Vec<AgentName>),
}

impl Service {
    /// The public card of an agent, not signed yet.
    pub async fn card(
        &self,
        scope: &CardScope,
        address: &CardAddress,
    ) -> longhaul_store::Result<CardFound> {
        let (at, found) = match scope {
            CardScope::Agent(name) => (Some(name), self.agents.get(name).await?),
            CardScope::Root => (None, self.root_agent().await?),
        };
        Ok(match found {
            Some(agent) => CardFound::Card(Box::new(self.made(&agent, at, address, false))),
            None => CardFound::None(self.agents.all().await?.keys().cloned().collect()),
        })
    }

    /// The extended card of the agent that a call is for (A2A 3.1.11), signed as the document that it goes out as. Where
    /// there is none the public card says so, and the operation is not supported; 0.3 has an error of its own for that.
    pub async fn extended_card(&self, caller: &Caller, shape: Shape) -> Result<AgentCard> {
        let agent = self.agent(caller).await?;
        if !self.has_extended_card(&agent) {
            return Err(match shape {
                Shape::V1_0 => ProtocolError::UnsupportedOperation(
                    "this agent has no extended card; use the public one".to_owned(),
                ),
                Shape::Any | Shape::V0_3 => ProtocolError::ExtendedAgentCardNotConfigured,
            });
        }
        let address = caller.card_address.clone().unwrap_or_else(|| self.own_address());
        let mut card = self.made(&agent, caller.agent.as_ref(), &address, true);
        self.sign(&mut card, shape, &address);
        Ok(card)
    }

    /// A card of an agent at its own address, or at the root.
    fn made(
        &self,
        agent: &AgentDescriptor,
        at: Option<&AgentName>,
        address: &CardAddress,
        extended: bool,
    ) -> AgentCard {
        let options = &self.options;
        let (url, served) = (&address.url, options.versions);
        let settings = CardSettings {
            interfaces: interfaces(url, at, served, options.grpc_address),
            extensible: self.has_extended_card(agent),
            extended,
            about: options.about.clone(),
            ..CardSettings::json_rpc(url, self.authenticated)
        };
        let mut card = build(agent, &settings);
        card.capabilities.streaming = Some(options.streaming);
        card
    }

    /// The address where nobody knows what a request was sent to.
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

    /// The agent at the root, where there is one.
    async fn root_agent(&self) -> longhaul_store::Result<Option<Arc<AgentDescriptor>>> {
        if let Some(name) = &self.options.default_agent {
            return self.agents.get(name).await;
        }
        let all = self.agents.all().await?;
        Ok(all.values().next().filter(|_| all.len() == 1).cloned())
    }
}
