//! Agent cards and the security on them (A2A 4.4, 4.5).

use crate::{
    pb::v1::{self as pb, o_auth_flows::Flow, security_scheme::Scheme},
    write,
};
use longhaul_wire::v1::card::{
    AgentCapabilities, AgentCard, AgentCardSignature, AgentInterface, AgentProvider, AgentSkill,
    OAuthFlows, SecurityRequirement, SecurityScheme,
};
use std::collections::BTreeMap;

/// Response of Get Extended Agent Card.
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

pub(crate) fn requirements(requirements: &[SecurityRequirement]) -> Vec<pb::SecurityRequirement> {
    let one = |requirement: &SecurityRequirement| {
        let schemes = requirement.schemes.iter();
        let schemes = schemes
            .map(|(name, scopes)| (name.clone(), pb::StringList { list: scopes.list.clone() }));
        pb::SecurityRequirement { schemes: schemes.collect() }
    };
    requirements.iter().map(one).collect()
}

pub(crate) fn schemes(
    schemes: &BTreeMap<String, SecurityScheme>,
) -> BTreeMap<String, pb::SecurityScheme> {
    // Every scheme has exactly one kind.
    let one = |scheme| pb::SecurityScheme { scheme: Some(kind(scheme)) };
    schemes.iter().map(|(name, scheme)| (name.clone(), one(scheme))).collect()
}

fn kind(scheme: &SecurityScheme) -> Scheme {
    match scheme {
        SecurityScheme::ApiKey(key) => Scheme::ApiKeySecurityScheme(pb::ApiKeySecurityScheme {
            description: write::text(key.description.as_ref()),
            location: key.location.clone(),
            name: key.name.clone(),
        }),
        SecurityScheme::HttpAuth(http) => {
            Scheme::HttpAuthSecurityScheme(pb::HttpAuthSecurityScheme {
                description: write::text(http.description.as_ref()),
                scheme: http.scheme.clone(),
                bearer_format: write::text(http.bearer_format.as_ref()),
            })
        }
        SecurityScheme::OAuth2(oauth2) => Scheme::Oauth2SecurityScheme(pb::OAuth2SecurityScheme {
            description: write::text(oauth2.description.as_ref()),
            flows: oauth2.flows.as_ref().map(|f| pb::OAuthFlows { flow: Some(flow(f)) }),
            oauth2_metadata_url: write::text(oauth2.oauth2_metadata_url.as_ref()),
        }),
        SecurityScheme::OpenIdConnect(oidc) => {
            Scheme::OpenIdConnectSecurityScheme(pb::OpenIdConnectSecurityScheme {
                description: write::text(oidc.description.as_ref()),
                open_id_connect_url: oidc.open_id_connect_url.clone(),
            })
        }
        SecurityScheme::MutualTls(mtls) => {
            let description = write::text(mtls.description.as_ref());
            Scheme::MtlsSecurityScheme(pb::MutualTlsSecurityScheme { description })
        }
    }
}

#[expect(deprecated, reason = "cards may hold flows that the protocol advises against")]
fn flow(flow: &OAuthFlows) -> Flow {
    match flow {
        OAuthFlows::AuthorizationCode(flow) => {
            Flow::AuthorizationCode(pb::AuthorizationCodeOAuthFlow {
                authorization_url: flow.authorization_url.clone(),
                token_url: flow.token_url.clone(),
                refresh_url: write::text(flow.refresh_url.as_ref()),
                scopes: flow.scopes.clone(),
                pkce_required: flow.pkce_required,
            })
        }
        OAuthFlows::ClientCredentials(flow) => {
            Flow::ClientCredentials(pb::ClientCredentialsOAuthFlow {
                token_url: flow.token_url.clone(),
                refresh_url: write::text(flow.refresh_url.as_ref()),
                scopes: flow.scopes.clone(),
            })
        }
        OAuthFlows::Implicit(flow) => Flow::Implicit(pb::ImplicitOAuthFlow {
            authorization_url: flow.authorization_url.clone(),
            refresh_url: write::text(flow.refresh_url.as_ref()),
            scopes: flow.scopes.clone(),
        }),
        OAuthFlows::Password(flow) => Flow::Password(pb::PasswordOAuthFlow {
            token_url: flow.token_url.clone(),
            refresh_url: write::text(flow.refresh_url.as_ref()),
            scopes: flow.scopes.clone(),
        }),
        OAuthFlows::DeviceCode(flow) => Flow::DeviceCode(pb::DeviceCodeOAuthFlow {
            device_authorization_url: flow.device_authorization_url.clone(),
            token_url: flow.token_url.clone(),
            refresh_url: write::text(flow.refresh_url.as_ref()),
            scopes: flow.scopes.clone(),
        }),
    }
}
