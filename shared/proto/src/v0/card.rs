//! Agent card. Only the interfaces that are spoken in 0.3 are on it. Members of shared messages that only 1.0 has go along: a
//! reader of 0.3 passes over them.

use crate::{
    pb::v0 as pb,
    v1::{capabilities, provider, requirements, schemes, signatures, skills},
    write,
};
use longhaul_wire::v1::card::{AgentCard, AgentInterface};

/// What 0.3 calls itself on a card.
const VERSION: &str = "0.3.0";

/// Answer of Get Agent Card.
pub fn card(card: &AgentCard) -> pb::AgentCard {
    let all = &card.supported_interfaces;
    let old: Vec<&AgentInterface> = all.iter().filter(|interface| is_old(interface)).collect();
    let preferred = old.first().copied().or(all.first());
    pb::AgentCard {
        name: card.name.clone(),
        description: card.description.clone(),
        url: preferred.map(|interface| interface.url.clone()).unwrap_or_default(),
        preferred_transport: preferred.map(|i| i.protocol_binding.clone()).unwrap_or_default(),
        additional_interfaces: old.iter().map(|interface| one(interface)).collect(),
        protocol_version: VERSION.to_owned(),
        provider: card.provider.as_ref().map(provider),
        version: card.version.clone(),
        documentation_url: write::text(card.documentation_url.as_ref()),
        capabilities: Some(capabilities(&card.capabilities)),
        supports_authenticated_extended_card: card
            .capabilities
            .extended_agent_card
            .unwrap_or_default(),
        security_schemes: schemes(&card.security_schemes),
        security: requirements(&card.security_requirements),
        default_input_modes: card.default_input_modes.clone(),
        default_output_modes: card.default_output_modes.clone(),
        skills: skills(&card.skills),
        signatures: signatures(&card.signatures),
        icon_url: write::text(card.icon_url.as_ref()),
    }
}

fn one(interface: &AgentInterface) -> pb::AgentInterface {
    pb::AgentInterface { url: interface.url.clone(), transport: interface.protocol_binding.clone() }
}

fn is_old(interface: &AgentInterface) -> bool {
    interface.protocol_version == "0.3" || interface.protocol_version.starts_with("0.3.")
}
