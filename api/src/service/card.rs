//! Agent cards (A2A 4.4.1, 8): what is registered, as a card.

use super::Service;
use longhaul_domain::{AgentDescriptor, AgentName};
use longhaul_store::Result;
use longhaul_wire::{
    card::{CardSettings, build},
    v1::card::AgentCard,
};
use std::sync::Arc;

/// Whose card is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardScope {
    /// That of the agent at the root.
    Root,
    /// That of an agent by name.
    Agent(AgentName),
}

/// What was found.
pub enum CardFound {
    /// The card.
    Card(Box<AgentCard>),
    /// There is no such agent; these there are.
    None(Vec<AgentName>),
}

impl Service {
    /// The card of an agent.
    pub async fn card(&self, scope: &CardScope) -> Result<CardFound> {
        let all = self.agents.all().await?;
        let found: Option<(Arc<AgentDescriptor>, String)> = match scope {
            CardScope::Agent(name) => self
                .agents
                .get(name)
                .await?
                .map(|agent| (agent, format!("{}/agents/{name}", self.options.public_url))),
            CardScope::Root => {
                let only = if all.len() == 1 { all.keys().next() } else { None };
                let root = self.options.default_agent.as_ref().or(only);
                let agent = match root {
                    Some(name) => self.agents.get(name).await?,
                    None => None,
                };
                agent.map(|agent| (agent, format!("{}/", self.options.public_url)))
            }
        };
        Ok(match found {
            Some((agent, url)) => {
                let settings = CardSettings::json_rpc(url, self.authenticated);
                CardFound::Card(Box::new(build(&agent, &settings)))
            }
            None => CardFound::None(all.keys().cloned().collect()),
        })
    }
}
