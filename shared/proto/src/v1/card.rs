//! Agent card (A2A 4.4).

use super::security::{requirements, schemes};
use crate::{pb::v1 as pb, write};
use longhaul_wire::v1::card::{
    AgentCapabilities, AgentCard, AgentCardSignature, AgentInterface, AgentProvider, AgentSkill,
};

/// Answer of Get Extended Agent Card.
pub fn card(card: &AgentCard) -> pb::AgentCard {
    pb::AgentCard {
        name: card.name.clone(),
        description: card.description.clone(),
        supported_interfaces: card.supported_interfaces.iter().map(interface).collect(),
        provider: card.provider.as_ref().map(provider),
        version: card.version.clone(),
        documentation_url: card.documentation_url.clone(),
        capabilities: Some(capabilities(&card.capabilities)),
        security_schemes: schemes(&card.security_schemes),
        security_requirements: requirements(&card.security_requirements),
        default_input_modes: card.default_input_modes.clone(),
        default_output_modes: card.default_output_modes.clone(),
        skills: skills(&card.skills),
        signatures: signatures(&card.signatures),
        icon_url: card.icon_url.clone(),
    }
}

fn interface(interface: &AgentInterface) -> pb::AgentInterface {
    pb::AgentInterface {
        url: interface.url.clone(),
        protocol_binding: interface.protocol_binding.clone(),
        tenant: write::text(interface.tenant.as_ref()),
        protocol_version: interface.protocol_version.clone(),
    }
}

pub(crate) fn provider(provider: &AgentProvider) -> pb::AgentProvider {
    pb::AgentProvider { url: provider.url.clone(), organization: provider.organization.clone() }
}

pub(crate) fn capabilities(of: &AgentCapabilities) -> pb::AgentCapabilities {
    let extensions = of.extensions.iter().map(|extension| pb::AgentExtension {
        uri: extension.uri.clone(),
        description: write::text(extension.description.as_ref()),
        required: extension.required,
        params: write::metadata(extension.params.as_ref()),
    });
    pb::AgentCapabilities {
        streaming: of.streaming,
        push_notifications: of.push_notifications,
        extensions: extensions.collect(),
        extended_agent_card: of.extended_agent_card,
    }
}

pub(crate) fn skills(skills: &[AgentSkill]) -> Vec<pb::AgentSkill> {
    let one = |skill: &AgentSkill| pb::AgentSkill {
        id: skill.id.clone(),
        name: skill.name.clone(),
        description: skill.description.clone(),
        tags: skill.tags.clone(),
        examples: skill.examples.clone(),
        input_modes: skill.input_modes.clone(),
        output_modes: skill.output_modes.clone(),
        security_requirements: requirements(&skill.security_requirements),
    };
    skills.iter().map(one).collect()
}

pub(crate) fn signatures(signatures: &[AgentCardSignature]) -> Vec<pb::AgentCardSignature> {
    let one = |signature: &AgentCardSignature| pb::AgentCardSignature {
        protected: signature.protected.clone(),
        signature: signature.signature.clone(),
        header: write::metadata(signature.header.as_ref()),
    };
    signatures.iter().map(one).collect()
}
