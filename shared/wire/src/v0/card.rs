//! Agent cards of 0.3, and one document for clients of both 0.3 and 1.0.
//!
//! Members that both versions share appear once. Interfaces, the extended-card flag and security
//! requirements appear in both shapes; a security scheme has the members of both. 0.3 has no device
//! code flow. Clients of 0.1 read `url` from the same document, and `authentication`, a member that
//! only they know.

use super::card_reader::LegacyAuthentication;
pub use super::card_reader::received_card;
use crate::{
    v1::card::{
        AgentCapabilities, AgentCard, AgentExtension, AgentInterface, AgentSkill, OAuthFlows,
        SecurityRequirement, SecurityScheme,
    },
    write::ObjectWriter,
};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Protocol version on a card of 0.3.
const CARD_PROTOCOL_VERSION: &str = "0.3.0";

/// Card in the shape of 0.3.
#[derive(Debug, Clone, Copy)]
pub struct LegacyCard<'a>(pub &'a AgentCard);

impl Serialize for LegacyCard<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CardDocument { card: self.0, combined: false }.serialize(serializer)
    }
}

/// Card for clients of 0.3 and 1.0. Without a 0.3 interface it is the card of 1.0.
#[derive(Debug, Clone, Copy)]
pub struct CombinedCard<'a>(pub &'a AgentCard);

impl Serialize for CombinedCard<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.supported_interfaces.iter().any(speaks_v0_3) {
            CardDocument { card: self.0, combined: true }.serialize(serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

/// Tells if an interface serves 0.3.
fn speaks_v0_3(interface: &AgentInterface) -> bool {
    interface.protocol_version == "0.3" || interface.protocol_version.starts_with("0.3.")
}

struct CardDocument<'a> {
    card: &'a AgentCard,
    /// Set to add the members of 1.0.
    combined: bool,
}

impl Serialize for CardDocument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { card, combined } = *self;
        let mut members = ObjectWriter::open(serializer)?;
        members.put("name", &card.name)?;
        members.put("description", &card.description)?;
        // Clients of 1.0 ignore this member and read the versions of the interfaces.
        members.put("protocolVersion", CARD_PROTOCOL_VERSION)?;
        self.put_interfaces(&mut members)?;
        members.put_some("provider", card.provider.as_ref())?;
        members.put("version", &card.version)?;
        members.put_some("documentationUrl", card.documentation_url.as_ref())?;
        members.put(
            "capabilities",
            &LegacyCapabilities { capabilities: &card.capabilities, combined },
        )?;
        members
            .put_some("supportsAuthenticatedExtendedCard", card.capabilities.extended_agent_card)?;
        self.put_security(&mut members)?;
        members.put("defaultInputModes", &card.default_input_modes)?;
        members.put("defaultOutputModes", &card.default_output_modes)?;
        let skills: Vec<LegacySkill<'_>> =
            card.skills.iter().map(|skill| LegacySkill { skill, combined }).collect();
        members.put("skills", &skills)?;
        members.put_list("signatures", &card.signatures)?;
        members.put_some("iconUrl", card.icon_url.as_ref())?;
        members.close()
    }
}

impl CardDocument<'_> {
    fn put_interfaces<S: Serializer>(&self, members: &mut ObjectWriter<S>) -> Result<(), S::Error> {
        let all = &self.card.supported_interfaces;
        let old: Vec<LegacyInterface<'_>> =
            all.iter().filter(|interface| speaks_v0_3(interface)).map(LegacyInterface).collect();
        // 0.3 requires `url`, so a card without a 0.3 interface repeats its first address.
        if let Some(preferred) = old.first().map(|old| old.0).or(all.first()) {
            members.put("url", &preferred.url)?;
            members.put("preferredTransport", &preferred.protocol_binding)?;
        }
        members.put_list("additionalInterfaces", &old)?;
        if self.combined { members.put("supportedInterfaces", all) } else { Ok(()) }
    }

    fn put_security<S: Serializer>(&self, members: &mut ObjectWriter<S>) -> Result<(), S::Error> {
        let Self { card, combined } = *self;
        let schemes: BTreeMap<&str, LegacyScheme<'_>> = card
            .security_schemes
            .iter()
            .map(|(name, scheme)| (name.as_str(), LegacyScheme { scheme, combined }))
            .collect();
        members.put_some("securitySchemes", (!schemes.is_empty()).then_some(schemes))?;
        let requirements: Vec<LegacyRequirement<'_>> =
            card.security_requirements.iter().map(LegacyRequirement).collect();
        members.put_list("security", &requirements)?;
        members.put_list(
            "securityRequirements",
            if combined { &card.security_requirements } else { &[] },
        )?;
        // Only the combined document serves clients of 0.1.
        members
            .put_some("authentication", LegacyAuthentication::from_card(card).filter(|_| combined))
    }
}

struct LegacyInterface<'a>(&'a AgentInterface);

impl Serialize for LegacyInterface<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put("url", &self.0.url)?;
        members.put("transport", &self.0.protocol_binding)?;
        members.close()
    }
}

struct LegacyCapabilities<'a> {
    capabilities: &'a AgentCapabilities,
    combined: bool,
}

impl Serialize for LegacyCapabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put_some("streaming", self.capabilities.streaming)?;
        members.put_some("pushNotifications", self.capabilities.push_notifications)?;
        members.put_list::<AgentExtension>("extensions", &self.capabilities.extensions)?;
        members.put_some(
            "extendedAgentCard",
            self.capabilities.extended_agent_card.filter(|_| self.combined),
        )?;
        members.close()
    }
}

struct LegacySkill<'a> {
    skill: &'a AgentSkill,
    combined: bool,
}

impl Serialize for LegacySkill<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { skill, combined } = *self;
        let mut members = ObjectWriter::open(serializer)?;
        members.put("id", &skill.id)?;
        members.put("name", &skill.name)?;
        members.put("description", &skill.description)?;
        members.put("tags", &skill.tags)?;
        members.put_list("examples", &skill.examples)?;
        members.put_list("inputModes", &skill.input_modes)?;
        members.put_list("outputModes", &skill.output_modes)?;
        let requirements: Vec<LegacyRequirement<'_>> =
            skill.security_requirements.iter().map(LegacyRequirement).collect();
        members.put_list("security", &requirements)?;
        members.put_list(
            "securityRequirements",
            if combined { &skill.security_requirements } else { &[] },
        )?;
        members.close()
    }
}

/// Set of required schemes: scopes by scheme name.
struct LegacyRequirement<'a>(&'a SecurityRequirement);

impl Serialize for LegacyRequirement<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.schemes.iter().map(|(name, scopes)| (name, &scopes.list)))
    }
}

/// Security scheme in the shape of `OpenAPI`, which 0.3 adopted.
struct LegacyScheme<'a> {
    scheme: &'a SecurityScheme,
    /// Set to add the member of 1.0.
    combined: bool,
}

impl Serialize for LegacyScheme<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let combined = self.combined;
        let mut members = ObjectWriter::open(serializer)?;
        match self.scheme {
            SecurityScheme::ApiKey(key) => {
                members.put("type", "apiKey")?;
                members.put_some("description", key.description.as_ref())?;
                members.put("in", &key.location)?;
                members.put("name", &key.name)?;
                members.put_some("apiKeySecurityScheme", combined.then_some(key))?;
            }
            SecurityScheme::HttpAuth(http) => {
                members.put("type", "http")?;
                members.put_some("description", http.description.as_ref())?;
                members.put("scheme", &http.scheme)?;
                members.put_some("bearerFormat", http.bearer_format.as_ref())?;
                members.put_some("httpAuthSecurityScheme", combined.then_some(http))?;
            }
            SecurityScheme::OAuth2(oauth2) => {
                members.put("type", "oauth2")?;
                members.put_some("description", oauth2.description.as_ref())?;
                // A flow of 1.0 is a flow of 0.3 plus members that 0.3 ignores.
                match &oauth2.flows {
                    Some(flow) if combined => members.put("flows", flow)?,
                    flow => members.put("flows", &LegacyFlows(flow.as_ref()))?,
                }
                members.put_some("oauth2MetadataUrl", oauth2.oauth2_metadata_url.as_ref())?;
                members.put_some("oauth2SecurityScheme", combined.then_some(oauth2))?;
            }
            SecurityScheme::OpenIdConnect(oidc) => {
                members.put("type", "openIdConnect")?;
                members.put_some("description", oidc.description.as_ref())?;
                members.put("openIdConnectUrl", &oidc.open_id_connect_url)?;
                members.put_some("openIdConnectSecurityScheme", combined.then_some(oidc))?;
            }
            SecurityScheme::MutualTls(mtls) => {
                members.put("type", "mutualTLS")?;
                members.put_some("description", mtls.description.as_ref())?;
                members.put_some("mtlsSecurityScheme", combined.then_some(mtls))?;
            }
        }
        members.close()
    }
}

/// OAuth flow, by its name.
struct LegacyFlows<'a>(Option<&'a OAuthFlows>);

impl Serialize for LegacyFlows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        match self.0 {
            Some(OAuthFlows::AuthorizationCode(flow)) => {
                let shown = CodeFlow {
                    authorization_url: &flow.authorization_url,
                    token_url: &flow.token_url,
                    refresh_url: flow.refresh_url.as_deref(),
                    scopes: &flow.scopes,
                };
                members.put("authorizationCode", &shown)?;
            }
            Some(OAuthFlows::ClientCredentials(flow)) => {
                members.put("clientCredentials", flow)?;
            }
            Some(OAuthFlows::Implicit(flow)) => members.put("implicit", flow)?,
            Some(OAuthFlows::Password(flow)) => members.put("password", flow)?,
            Some(OAuthFlows::DeviceCode(_)) | None => {}
        }
        members.close()
    }
}

/// Authorization code flow without the members of 1.0.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CodeFlow<'a> {
    authorization_url: &'a str,
    token_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_url: Option<&'a str>,
    scopes: &'a BTreeMap<String, String>,
}
