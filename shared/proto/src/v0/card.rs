//! Agent cards of 0.3. They list only interfaces that serve 0.3. Shared messages may include
//! members of 1.0, which readers of 0.3 skip.

use crate::{
    pb::v0 as pb,
    v1::{capabilities, provider, requirements, schemes, signatures, skills},
    write,
};
use longhaul_wire::v1::card::{AgentCard, AgentInterface};

/// Protocol version on a card of 0.3.
const CARD_PROTOCOL_VERSION: &str = "0.3.0";

/// Response of Get Agent Card.
pub fn card(card: &AgentCard) -> pb::AgentCard {
    let all = &card.supported_interfaces;
    let old: Vec<&AgentInterface> = all.iter().filter(|interface| speaks_v0_3(interface)).collect();
    // `url` is required, so a card without a 0.3 interface repeats its first address.
    let preferred = old.first().copied().or(all.first());
    pb::AgentCard {
        name: card.name.clone(),
        description: card.description.clone(),
        url: preferred.map(|interface| interface.url.clone()).unwrap_or_default(),
        preferred_transport: preferred.map(|i| i.protocol_binding.clone()).unwrap_or_default(),
        additional_interfaces: old.iter().map(|interface| legacy_interface(interface)).collect(),
        protocol_version: CARD_PROTOCOL_VERSION.to_owned(),
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

fn legacy_interface(interface: &AgentInterface) -> pb::AgentInterface {
    pb::AgentInterface { url: interface.url.clone(), transport: interface.protocol_binding.clone() }
}

fn speaks_v0_3(interface: &AgentInterface) -> bool {
    interface.protocol_version == "0.3" || interface.protocol_version.starts_with("0.3.")
}
