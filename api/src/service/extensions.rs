//! Extensions that agents declare (A2A 4.6): activation by requests, and refusal when a required
//! one is missing.
//!
//! A message records what was activated for it, so the executor finds it whenever and wherever it
//! runs.

use super::{Caller, Result, Service};
use longhaul_domain::{AgentDescriptor, Message};
use longhaul_wire::ProtocolError;

impl Service {
    /// Activates the extensions of the addressed agent for a request without a message. An unknown
    /// agent is left to the use case.
    pub async fn activate(&self, caller: &Caller) {
        if caller.extensions.names_agent_extensions()
            && let Ok(agent) = self.agent(caller).await
        {
            caller.extensions.activate(&agent.extensions);
        }
    }
}

/// Activates the agent's extensions for a message. Refuses it when the client declares a required
/// one neither in the header nor on the message (A2A 3.3.4).
pub(super) fn agree(caller: &Caller, agent: &AgentDescriptor, message: &Message) -> Result<()> {
    let declared = |uri: &String| caller.extensions.names(uri) || message.extensions.contains(uri);
    let missing = agent.extensions.iter().find(|known| known.required && !declared(&known.uri));
    if let Some(missing) = missing {
        return Err(ProtocolError::ExtensionSupportRequired { uri: missing.uri.clone() });
    }
    caller.extensions.activate(&agent.extensions);
    Ok(())
}

/// Adds the extensions activated by the header to those that the message names.
pub(super) fn take_along(caller: &Caller, message: &mut Message) {
    for uri in caller.extensions.agent_extensions() {
        // Named in the header and on the message, it is recorded once.
        if !message.extensions.contains(uri) {
            message.extensions.push(uri.clone());
        }
    }
}

#[cfg(test)]
mod tests;
