//! Agent card of 0.3, and the one document that clients of 0.3 and of 1.0 both read.
//!
//! What both versions know under one name and in one shape is there once. The interfaces, whether there is an extended
//! card, and what a client must authenticate with are there in both shapes; a security scheme has the members of both. A
//! device code flow has no place in 0.3. Clients of 0.1 take `url` from the same document, and how to authenticate from a member
//! that they alone know.

mod first;
mod read;
mod scheme;

pub use read::received_card;

use crate::{
    v1::card::{AgentCapabilities, AgentCard, AgentExtension, AgentInterface, AgentSkill},
    write::Members,
};
use first::Authentication;
use scheme::{Requirement, Scheme};
use serde::{Serialize, Serializer};

/// What 0.3 calls itself on a card.
const VERSION: &str = "0.3.0";

/// A card as 0.3 writes it.
#[derive(Debug, Clone, Copy)]
pub struct LegacyCard<'a>(pub &'a AgentCard);

impl Serialize for LegacyCard<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Document { card: self.0, both: false }.serialize(serializer)
    }
}

/// A card that clients of 0.3 and of 1.0 read. One without an interface of 0.3 is that of 1.0.
#[derive(Debug, Clone, Copy)]
pub struct CombinedCard<'a>(pub &'a AgentCard);

impl Serialize for CombinedCard<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.supported_interfaces.iter().any(is_old) {
            Document { card: self.0, both: true }.serialize(serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

/// Whether an interface is spoken in 0.3.
fn is_old(interface: &AgentInterface) -> bool {
    interface.protocol_version == "0.3" || interface.protocol_version.starts_with("0.3.")
}

struct Document<'a> {
    card: &'a AgentCard,
    /// Whether the members of 1.0 are there as well.
    both: bool,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { card, both } = *self;
        let mut members = Members::open(serializer)?;
        members.put("name", &card.name)?;
        members.put("description", &card.description)?;
        members.put("protocolVersion", VERSION)?;
        self.put_interfaces(&mut members)?;
        members.maybe("provider", card.provider.as_ref())?;
        members.put("version", &card.version)?;
        members.maybe("documentationUrl", card.documentation_url.as_ref())?;
        members.put("capabilities", &Capabilities { of: &card.capabilities, both })?;
        members
            .maybe("supportsAuthenticatedExtendedCard", card.capabilities.extended_agent_card)?;
        self.put_security(&mut members)?;
        members.put("defaultInputModes", &card.default_input_modes)?;
        members.put("defaultOutputModes", &card.default_output_modes)?;
        let skills: Vec<Skill<'_>> =
            card.skills.iter().map(|skill| Skill { skill, both }).collect();
        members.put("skills", &skills)?;
        members.list("signatures", &card.signatures)?;
        members.maybe("iconUrl", card.icon_url.as_ref())?;
        members.close()
    }
}

impl Document<'_> {
    fn put_interfaces<S: Serializer>(&self, members: &mut Members<S>) -> Result<(), S::Error> {
        let all = &self.card.supported_interfaces;
        let old: Vec<Interface<'_>> =
            all.iter().filter(|interface| is_old(interface)).map(Interface).collect();
        if let Some(preferred) = old.first().map(|old| old.0).or(all.first()) {
            members.put("url", &preferred.url)?;
            members.put("preferredTransport", &preferred.protocol_binding)?;
        }
        members.list("additionalInterfaces", &old)?;
        if self.both { members.put("supportedInterfaces", all) } else { Ok(()) }
    }

    fn put_security<S: Serializer>(&self, members: &mut Members<S>) -> Result<(), S::Error> {
        let Self { card, both } = *self;
        let schemes: std::collections::BTreeMap<&str, Scheme<'_>> = card
            .security_schemes
            .iter()
            .map(|(name, scheme)| (name.as_str(), Scheme { scheme, both }))
            .collect();
        members.maybe("securitySchemes", (!schemes.is_empty()).then_some(schemes))?;
        let requirements: Vec<Requirement<'_>> =
            card.security_requirements.iter().map(Requirement).collect();
        members.list("security", &requirements)?;
        members
            .list("securityRequirements", if both { &card.security_requirements } else { &[] })?;
        members.maybe("authentication", Authentication::of(card).filter(|_| both))
    }
}

struct Interface<'a>(&'a AgentInterface);

impl Serialize for Interface<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        members.put("url", &self.0.url)?;
        members.put("transport", &self.0.protocol_binding)?;
        members.close()
    }
}

struct Capabilities<'a> {
    of: &'a AgentCapabilities,
    both: bool,
}

impl Serialize for Capabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        members.maybe("streaming", self.of.streaming)?;
        members.maybe("pushNotifications", self.of.push_notifications)?;
        members.list::<AgentExtension>("extensions", &self.of.extensions)?;
        members.maybe("extendedAgentCard", self.of.extended_agent_card.filter(|_| self.both))?;
        members.close()
    }
}

struct Skill<'a> {
    skill: &'a AgentSkill,
    both: bool,
}

impl Serialize for Skill<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { skill, both } = *self;
        let mut members = Members::open(serializer)?;
        members.put("id", &skill.id)?;
        members.put("name", &skill.name)?;
        members.put("description", &skill.description)?;
        members.put("tags", &skill.tags)?;
        members.list("examples", &skill.examples)?;
        members.list("inputModes", &skill.input_modes)?;
        members.list("outputModes", &skill.output_modes)?;
        let requirements: Vec<Requirement<'_>> =
            skill.security_requirements.iter().map(Requirement).collect();
        members.list("security", &requirements)?;
        members
            .list("securityRequirements", if both { &skill.security_requirements } else { &[] })?;
        members.close()
    }
}
