//! Reading a card of 0.3 that a server gave. One that holds the interfaces of 1.0 as well is read as a card of 1.0; one that says
//! how to authenticate as only 0.1 does, and names no version, is one of 0.1.

use super::first;
use crate::{
    WireError,
    dialect::shortened,
    raw::{Field, JsonPath, Parsed, RawJson, elements, members, object, read_root, scalar},
    v1::card::{
        self, APIKeySecurityScheme, AgentCard, AgentInterface, HTTPAuthSecurityScheme,
        MutualTlsSecurityScheme, OAuth2SecurityScheme, OpenIdConnectSecurityScheme,
        SecurityRequirement, SecurityScheme, StringList,
    },
};
use serde_json::value::RawValue;
use std::{collections::BTreeSet, iter};

/// Reads a card that a server gave, of 0.3 or of 1.0.
pub fn received_card(raw: &RawValue) -> Result<AgentCard, WireError> {
    let of_v1 = read_root(raw, |raw, at| {
        let [interfaces] = object(raw, at, ["supportedInterfaces"])?;
        Ok(interfaces.present().is_some())
    });
    if of_v1.map_err(WireError::Invalid)? {
        return card::received_card(raw);
    }
    read_root(raw, |raw, at| {
        let card = card::read(raw, at, read_scheme);
        let old = read_old(raw, at);
        let (mut card, old) = (card?, old?);
        card.supported_interfaces = old.interfaces;
        card.security_requirements = old.requirements;
        if let Some((schemes, requirements)) = old.first {
            (card.security_schemes, card.security_requirements) = (schemes, requirements);
        }
        card.capabilities.extended_agent_card = old.extended;
        for (skill, security) in card.skills.iter_mut().zip(old.of_skills) {
            skill.security_requirements = security;
        }
        Ok(card)
    })
    .map_err(WireError::Invalid)
}

/// What only 0.3 has.
struct Old {
    interfaces: Vec<AgentInterface>,
    requirements: Vec<SecurityRequirement>,
    extended: Option<bool>,
    of_skills: Vec<Vec<SecurityRequirement>>,
    /// What a card of 0.1 says about authentication.
    first: Option<first::Security>,
}

fn read_old(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Old> {
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
    let is_first = [version, own_schemes, security].iter().all(|field| field.present().is_none());
    let first = if is_first { authentication.optional(at, first::read) } else { Ok(None) };
    let unstated = if first.as_ref().is_ok_and(Option::is_some) { "0.1" } else { "0.3" };
    let interfaces = interfaces(at, [url, transport, version, additional], unstated);
    let requirements = security.list(at, read_requirement);
    let extended = extended.optional(at, scalar::boolean);
    let of_skills = skills.list(at, |raw, at| {
        let [security] = object(raw, at, ["security"])?;
        security.list(at, read_requirement)
    });
    Ok(Old {
        interfaces: interfaces?,
        requirements: requirements?,
        extended: extended?,
        of_skills: of_skills?,
        first: first?,
    })
}

fn interfaces(
    at: &JsonPath<'_>,
    fields: [Field<'_>; 4],
    unstated: &str,
) -> Parsed<Vec<AgentInterface>> {
    let [url, transport, version, additional] = fields;
    let url = url.required(at, scalar::filled_text);
    let transport = transport.some_text(at);
    let version = version.some_text(at);
    let additional = additional.list(at, |raw, at| {
        let [url, transport] = object(raw, at, ["url", "transport"])?;
        let url = url.required(at, scalar::filled_text);
        let transport = transport.required(at, scalar::filled_text);
        Ok((url?, transport?))
    });
    let preferred = (url?, transport?.unwrap_or_else(|| "JSONRPC".to_owned()));
    let version = version?.unwrap_or_else(|| unstated.to_owned());
    // On an interface only Major.Minor stands.
    let version = version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    // Every interface gets a copy, and a server may send a long one.
    let version = shortened(&version);
    let all: Vec<(String, String)> = iter::once(preferred).chain(additional?).collect();
    let mut known = BTreeSet::new();
    let first = all.iter().filter(|interface| known.insert(*interface));
    let of = |(url, transport): &(String, String)| AgentInterface {
        url: url.clone(),
        protocol_binding: transport.clone(),
        tenant: None,
        protocol_version: version.clone(),
    };
    Ok(first.map(of).collect())
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
    let description = description.some_text(at)?;
    match kind.required(at, scalar::text)?.as_str() {
        "apiKey" => Ok(SecurityScheme::ApiKey(APIKeySecurityScheme {
            description,
            location: location.text(at)?,
            name: name.text(at)?,
        })),
        "http" => Ok(SecurityScheme::HttpAuth(HTTPAuthSecurityScheme {
            description,
            scheme: scheme.text(at)?,
            bearer_format: format.some_text(at)?,
        })),
        "oauth2" => Ok(SecurityScheme::OAuth2(OAuth2SecurityScheme {
            description,
            flows: flows.optional(at, card::read_flows)?.flatten(),
            oauth2_metadata_url: metadata.some_text(at)?,
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
