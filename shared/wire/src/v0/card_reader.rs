//! Reader for agent cards of 0.3 and 0.1. A card with the interfaces of 1.0 is read as 1.0. A card
//! without a version whose authentication has the 0.1 shape is read as 0.1.
//!
//! Authentication in 0.1 is a list of alternative names: each is an HTTP scheme, or a scheme kind
//! as `OpenAPI` names it. The combined document includes the list, so a client of 0.1 learns that
//! it needs a key before its first call fails.

use crate::{
    WireError,
    raw::{
        JsonField, JsonPath, Parsed, RawJson, elements, members, object, read_root, scalar,
        shortened,
    },
    v1::card::{
        self, APIKeySecurityScheme, AgentCard, AgentInterface, HTTPAuthSecurityScheme,
        MutualTlsSecurityScheme, OAuth2SecurityScheme, OpenIdConnectSecurityScheme,
        SecurityRequirement, SecurityScheme, StringList,
    },
    write::ObjectWriter,
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

/// Reads a card from a server of 0.3 or 1.0.
pub fn received_card(raw: &RawValue) -> Result<AgentCard, WireError> {
    let is_v1 = read_root(raw, |raw, at| {
        let [interfaces] = object(raw, at, ["supportedInterfaces"])?;
        Ok(interfaces.present().is_some())
    });
    if is_v1.map_err(WireError::Invalid)? {
        return card::received_card(raw);
    }
    read_root(raw, |raw, at| {
        let card = card::read(raw, at, read_scheme);
        let legacy = read_legacy_members(raw, at);
        let (mut card, legacy) = (card?, legacy?);
        card.supported_interfaces = legacy.interfaces;
        card.security_requirements = legacy.requirements;
        if let Some((schemes, requirements)) = legacy.authentication {
            (card.security_schemes, card.security_requirements) = (schemes, requirements);
        }
        card.capabilities.extended_agent_card = legacy.extended;
        for (skill, security) in card.skills.iter_mut().zip(legacy.skill_requirements) {
            skill.security_requirements = security;
        }
        Ok(card)
    })
    .map_err(WireError::Invalid)
}

/// Members that only 0.3 has.
struct LegacyMembers {
    interfaces: Vec<AgentInterface>,
    requirements: Vec<SecurityRequirement>,
    extended: Option<bool>,
    skill_requirements: Vec<Vec<SecurityRequirement>>,
    /// Authentication of a 0.1 card.
    authentication: Option<SecuritySettings>,
}

fn read_legacy_members(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<LegacyMembers> {
    let [url, transport, version, additional, security, extended, skills] = object(
        raw,
        at,
        [
            "url",
            "preferredTransport",
            "protocolVersion",
            "additionalInterfaces",
            "security",
            "supportsAuthenticatedExtendedCard",
            "skills",
        ],
    )?;
    let [authentication, own_schemes] = object(raw, at, ["authentication", "securitySchemes"])?;
    // Any of these members marks a card of 0.3.
    let is_v0_1 = [version, own_schemes, security].iter().all(|field| field.present().is_none());
    let authentication =
        if is_v0_1 { authentication.optional(at, read_authentication) } else { Ok(None) };
    // Cards of 0.1 state no protocol version.
    let unstated = if authentication.as_ref().is_ok_and(Option::is_some) { "0.1" } else { "0.3" };
    let interfaces = interfaces(at, [url, transport, version, additional], unstated);
    let requirements = security.list(at, read_requirement);
    let extended = extended.optional(at, scalar::boolean);
    let skill_requirements = skills.list(at, |raw, at| {
        let [security] = object(raw, at, ["security"])?;
        security.list(at, read_requirement)
    });
    Ok(LegacyMembers {
        interfaces: interfaces?,
        requirements: requirements?,
        extended: extended?,
        skill_requirements: skill_requirements?,
        authentication: authentication?,
    })
}

fn interfaces(
    at: &JsonPath<'_>,
    fields: [JsonField<'_>; 4],
    unstated: &str,
) -> Parsed<Vec<AgentInterface>> {
    let [url, transport, version, additional] = fields;
    let url = url.required(at, scalar::non_empty_text);
    let transport = transport.optional_text(at);
    let version = version.optional_text(at);
    let additional = additional.list(at, |raw, at| {
        let [url, transport] = object(raw, at, ["url", "transport"])?;
        let url = url.required(at, scalar::non_empty_text);
        let transport = transport.required(at, scalar::non_empty_text);
        Ok((url?, transport?))
    });
    let preferred = (url?, transport?.unwrap_or_else(|| "JSONRPC".to_owned()));
    let version = version?.unwrap_or_else(|| unstated.to_owned());
    // An interface holds Major.Minor only.
    let version = version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    // Every interface gets a copy, and a server may send a long version.
    let version = shortened(&version);
    let all: Vec<(String, String)> = iter::once(preferred).chain(additional?).collect();
    // Cards of 0.3 often repeat the preferred interface among the additional ones.
    let mut known = BTreeSet::new();
    let distinct = all.iter().filter(|interface| known.insert(*interface));
    let interface = |(url, transport): &(String, String)| AgentInterface {
        url: url.clone(),
        protocol_binding: transport.clone(),
        tenant: None,
        protocol_version: version.clone(),
    };
    Ok(distinct.map(interface).collect())
}

fn read_requirement(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<SecurityRequirement> {
    let mut requirement = Ok(SecurityRequirement::default());
    members(raw, at, |name, scopes| {
        match (read_scopes(scopes, &at.field(name)), &mut requirement) {
            (Ok(list), Ok(requirement)) => {
                requirement.schemes.insert(name.to_owned(), StringList { list });
            }
            (Ok(_), Err(_)) => {}
            (Err(bad), requirement) => *requirement = Err(bad),
        }
    })?;
    requirement
}

fn read_scopes(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Vec<String>> {
    let mut scopes = Ok(Vec::new());
    elements(raw, at, |index, scope| match (scalar::text(scope, &at.index(index)), &mut scopes) {
        (Ok(scope), Ok(scopes)) => scopes.push(scope),
        (Ok(_), Err(_)) => {}
        (Err(bad), scopes) => *scopes = Err(bad),
    })?;
    scopes
}

fn read_scheme(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<SecurityScheme> {
    let [kind, description] = object(raw, at, ["type", "description"])?;
    let [location, name, scheme, format, flows, metadata, url] = object(
        raw,
        at,
        ["in", "name", "scheme", "bearerFormat", "flows", "oauth2MetadataUrl", "openIdConnectUrl"],
    )?;
    let description = description.optional_text(at)?;
    match kind.required(at, scalar::text)?.as_str() {
        "apiKey" => Ok(SecurityScheme::ApiKey(APIKeySecurityScheme {
            description,
            location: location.text(at)?,
            name: name.text(at)?,
        })),
        "http" => Ok(SecurityScheme::HttpAuth(HTTPAuthSecurityScheme {
            description,
            scheme: scheme.text(at)?,
            bearer_format: format.optional_text(at)?,
        })),
        "oauth2" => Ok(SecurityScheme::OAuth2(OAuth2SecurityScheme {
            description,
            flows: flows.optional(at, card::read_flows)?.flatten(),
            oauth2_metadata_url: metadata.optional_text(at)?,
        })),
        "openIdConnect" => Ok(SecurityScheme::OpenIdConnect(OpenIdConnectSecurityScheme {
            description,
            open_id_connect_url: url.text(at)?,
        })),
        "mutualTLS" => Ok(SecurityScheme::MutualTls(MutualTlsSecurityScheme { description })),
        _ => {
            at.field(kind.name()).refuse("must be apiKey, http, oauth2, openIdConnect or mutualTLS")
        }
    }
}

const API_KEY: &str = "apiKey";
const OAUTH2: &str = "OAuth2";
const OPEN_ID: &str = "openIdConnect";
const MUTUAL_TLS: &str = "mutualTLS";
/// Names that card authors use for "no authentication".
const NO_AUTHENTICATION: [&str; 3] = ["public", "none", ""];

/// Authentication member for clients of 0.1.
pub(super) struct LegacyAuthentication<'a>(Vec<&'a str>);

impl<'a> LegacyAuthentication<'a> {
    /// Derives the member from a card; `None` if no authentication is required.
    pub fn from_card(card: &'a AgentCard) -> Option<Self> {
        let mut known = BTreeSet::new();
        let needed = card.security_requirements.iter().flat_map(|needed| needed.schemes.keys());
        let names = needed.filter_map(|name| card.security_schemes.get(name)).map(scheme_name);
        let names: Vec<&str> = names.filter(|name| known.insert(*name)).collect();
        (!names.is_empty()).then_some(Self(names))
    }
}

impl Serialize for LegacyAuthentication<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put("schemes", &self.0)?;
        members.close()
    }
}

fn scheme_name(scheme: &SecurityScheme) -> &str {
    match scheme {
        SecurityScheme::HttpAuth(http) => &http.scheme,
        SecurityScheme::ApiKey(_) => API_KEY,
        SecurityScheme::OAuth2(_) => OAUTH2,
        SecurityScheme::OpenIdConnect(_) => OPEN_ID,
        SecurityScheme::MutualTls(_) => MUTUAL_TLS,
    }
}

/// Schemes by name, and the required ones.
type SecuritySettings = (BTreeMap<String, SecurityScheme>, Vec<SecurityRequirement>);

/// Reads the authentication of a 0.1 card; each scheme is named after itself.
fn read_authentication(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<SecuritySettings> {
    let [schemes] = object(raw, at, ["schemes"])?;
    let names: BTreeSet<String> = schemes.list(at, scalar::text)?.into_iter().collect();
    let names = names.into_iter().filter(|name| !NO_AUTHENTICATION.contains(&name.as_str()));
    let schemes: BTreeMap<_, _> = names.map(|name| (name.clone(), scheme_of_name(name))).collect();
    let single_scheme = |name: &String| SecurityRequirement {
        schemes: BTreeMap::from([(name.clone(), StringList::default())]),
    };
    let requirements = schemes.keys().map(single_scheme).collect();
    Ok((schemes, requirements))
}

/// Builds a scheme from its name; unknown members stay empty.
fn scheme_of_name(name: String) -> SecurityScheme {
    let is = |kind: &str| name.eq_ignore_ascii_case(kind);
    if is(API_KEY) {
        return SecurityScheme::ApiKey(APIKeySecurityScheme {
            description: None,
            location: "header".to_owned(),
            name: String::new(),
        });
    }
    if is(OAUTH2) {
        return SecurityScheme::OAuth2(OAuth2SecurityScheme {
            description: None,
            flows: None,
            oauth2_metadata_url: None,
        });
    }
    if is(OPEN_ID) {
        return SecurityScheme::OpenIdConnect(OpenIdConnectSecurityScheme {
            description: None,
            open_id_connect_url: String::new(),
        });
    }
    SecurityScheme::HttpAuth(HTTPAuthSecurityScheme {
        description: None,
        scheme: name,
        bearer_format: None,
    })
}
