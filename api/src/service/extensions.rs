//! Extensions that agents declare (A2A 4.6): which of them a request activates, and what happens without a required one.
//!
//! A message takes along what was activated for it, so the executor finds it in the record, whenever and wherever it runs.

use super::{Caller, Result, Service};
use longhaul_domain::{AgentDescriptor, Message};
use longhaul_wire::ProtocolError;

impl Service {
    /// Notes what a request that brings no message activates of the agent that it is addressed to. Where that cannot be found
    /// the use case says so, if it minds.
    pub async fn activate(&self, caller: &Caller) {
        if caller.extensions.names_agent_extensions()
            && let Ok(agent) = self.agent(caller).await
        {
            caller.extensions.activate(&agent.extensions);
        }
    }
}

/// Notes what a message activates of the agent that it is for, and refuses it where the client does not declare an extension
/// that this agent requires (A2A 3.3.4): in the header, or on the message itself.
pub(super) fn agree(caller: &Caller, agent: &AgentDescriptor, message: &Message) -> Result<()> {
    let declared = |uri: &String| caller.extensions.names(uri) || message.extensions.contains(uri);
    let missing = agent.extensions.iter().find(|known| known.required && !declared(&known.uri));
    if let Some(missing) = missing {
        return Err(ProtocolError::ExtensionSupportRequired { uri: missing.uri.clone() });
    }
    caller.extensions.activate(&agent.extensions);
    Ok(())
}

/// Puts what the header has activated of the agent beside what the message itself names.
pub(super) fn take_along(caller: &Caller, message: &mut Message) {
    for uri in caller.extensions.agent_extensions() {
        if !message.extensions.contains(uri) {
            message.extensions.push(uri.clone());
        }
    }
}

#[cfg(test)]
mod tests;
