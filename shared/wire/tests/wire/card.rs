//! Cards are complete, strict, and survive a round trip.

use longhaul_domain::{
    AgentDescriptor, AgentLimits, AgentName, Skill,
    extension::{DURABILITY_EXTENSION, Extension, RESUME_EXTENSION},
};
use longhaul_wire::{
    Dialect,
    card::{CardInterface, CardSettings, ProtocolBinding, build},
    v1::card::{
        APIKeySecurityScheme, AgentCard, AgentCardSignature, AgentExtension, AgentProvider,
        AuthorizationCodeOAuthFlow, ClientCredentialsOAuthFlow, DeviceCodeOAuthFlow,
        HTTPAuthSecurityScheme, ImplicitOAuthFlow, MutualTlsSecurityScheme, OAuth2SecurityScheme,
        OAuthFlows, OpenIdConnectSecurityScheme, PasswordOAuthFlow, SecurityRequirement,
        SecurityScheme, StringList, received_card,
    },
    write::to_vec,
};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

pub fn descriptor() -> AgentDescriptor {
    AgentDescriptor {
        name: AgentName::new("documents").unwrap(),
        version: "1.2.0".to_owned(),
        description: "Extracts text".to_owned(),
        skills: vec![Skill {
            id: "extract".to_owned(),
            name: "Extract".to_owned(),
            description: "Text of a PDF, by page".to_owned(),
            tags: vec!["pdf".to_owned()],
            examples: vec!["Extract this".to_owned()],
            input_modes: vec!["application/pdf".to_owned()],
            output_modes: vec!["text/plain".to_owned()],
            extended: false,
        }],
        input_modes: vec!["application/pdf".to_owned(), "text/plain".to_owned()],
        output_modes: vec!["text/plain".to_owned()],
        direct: false,
        extensions: Vec::new(),
        limits: AgentLimits::default(),
    }
}

pub fn built() -> AgentCard {
    build(&descriptor(), &CardSettings::json_rpc("http://127.0.0.1:8080/a2a", true))
}

fn scopes() -> BTreeMap<String, String> {
    BTreeMap::from([("read".to_owned(), "Read".to_owned())])
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where optional members are set")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub fn all_flows() -> Vec<OAuthFlows> {
    let (url, refresh_url) = ("https://a.example/x".to_owned(), some("https://a.example/r"));
    vec![
        OAuthFlows::AuthorizationCode(AuthorizationCodeOAuthFlow {
            authorization_url: url.clone(),
            token_url: url.clone(),
            refresh_url: refresh_url.clone(),
            scopes: scopes(),
            pkce_required: true,
        }),
        OAuthFlows::ClientCredentials(ClientCredentialsOAuthFlow {
            token_url: url.clone(),
            refresh_url: refresh_url.clone(),
            scopes: scopes(),
        }),
        OAuthFlows::Implicit(ImplicitOAuthFlow {
            authorization_url: url.clone(),
            refresh_url: refresh_url.clone(),
            scopes: scopes(),
        }),
        OAuthFlows::Password(PasswordOAuthFlow {
            token_url: url.clone(),
            refresh_url: refresh_url.clone(),
            scopes: scopes(),
        }),
        OAuthFlows::DeviceCode(DeviceCodeOAuthFlow {
            device_authorization_url: url.clone(),
            token_url: url,
            refresh_url,
            scopes: scopes(),
        }),
    ]
}

/// Card with every member of every object set.
pub fn full() -> AgentCard {
    let requirement = SecurityRequirement {
        schemes: BTreeMap::from([("key".to_owned(), StringList { list: vec!["read".to_owned()] })]),
    };
    let description = some("how");
    let mut schemes: BTreeMap<String, SecurityScheme> = all_flows()
        .into_iter()
        .enumerate()
        .map(|(at, flow)| {
            let scheme = OAuth2SecurityScheme {
                description: description.clone(),
                flows: Some(flow),
                oauth2_metadata_url: some("https://a.example/m"),
            };
            (format!("oauth{at}"), SecurityScheme::OAuth2(scheme))
        })
        .collect();
    let others = [
        SecurityScheme::ApiKey(APIKeySecurityScheme {
            description: description.clone(),
            location: "header".to_owned(),
            name: "X-API-Key".to_owned(),
        }),
        SecurityScheme::HttpAuth(HTTPAuthSecurityScheme {
            description: description.clone(),
            scheme: "Bearer".to_owned(),
            bearer_format: some("JWT"),
        }),
        SecurityScheme::OpenIdConnect(OpenIdConnectSecurityScheme {
            description: description.clone(),
            open_id_connect_url: "https://a.example/o".to_owned(),
        }),
        SecurityScheme::MutualTls(MutualTlsSecurityScheme { description }),
    ];
    schemes.extend(others.into_iter().enumerate().map(|(at, s)| (format!("other{at}"), s)));
    let mut card = built();
    card.security_schemes = schemes;
    card.security_requirements = vec![requirement.clone()];
    card.skills[0].security_requirements = vec![requirement];
    card.provider = Some(AgentProvider {
        url: "https://example.com".to_owned(),
        organization: "Example".to_owned(),
    });
    card.documentation_url = some("https://example.com/docs");
    card.icon_url = some("https://example.com/icon.png");
    card.supported_interfaces[0].tenant = some("docs");
    card.capabilities.extensions.push(AgentExtension {
        uri: "urn:x".to_owned(),
        description: None,
        required: true,
        params: Some(crate::samples::object(r#"{"a":1.0}"#)),
    });
    card.signatures = vec![AgentCardSignature {
        protected: "e30".to_owned(),
        signature: "c2ln".to_owned(),
        header: Some(crate::samples::object("{}")),
    }];
    card
}

pub fn read_back(card: &AgentCard) -> AgentCard {
    let text = String::from_utf8(to_vec(card).unwrap()).unwrap();
    let raw = RawValue::from_string(text).unwrap();
    received_card(&raw).unwrap()
}

#[test]
fn every_member_of_a_card_survives() {
    for card in [built(), full()] {
        assert_eq!(read_back(&card), card);
    }
}

#[test]
fn a_card_declares_what_is_served_and_no_more() {
    let card = built();
    assert_eq!(card.capabilities.streaming, Some(true));
    assert_eq!(card.capabilities.push_notifications, Some(false));
    assert_eq!(card.capabilities.extended_agent_card, Some(false));
    let extensions: Vec<(&str, bool)> =
        card.capabilities.extensions.iter().map(|e| (e.uri.as_str(), e.required)).collect();
    assert_eq!(extensions, [(RESUME_EXTENSION, false), (DURABILITY_EXTENSION, false)]);
}

#[test]
fn without_authentication_a_card_names_no_scheme() {
    let card = build(&descriptor(), &CardSettings::json_rpc("http://127.0.0.1:1", false));
    let text = String::from_utf8(to_vec(&card).unwrap()).unwrap();
    assert!(!text.contains("security"), "{text}");
}

#[test]
fn required_lists_are_never_empty() {
    let mut agent = descriptor();
    agent.skills.clear();
    agent.input_modes.clear();
    agent.output_modes.clear();
    agent.description.clear();
    let card = build(&agent, &CardSettings::json_rpc("http://127.0.0.1:1", false));
    assert!(!card.skills.is_empty() && !card.skills[0].tags.is_empty());
    assert!(!card.default_input_modes.is_empty() && !card.default_output_modes.is_empty());
    assert_eq!(card.description, "documents");
}

#[test]
fn an_agents_own_extensions_follow_the_common_ones() {
    let mut agent = descriptor();
    let params = Some(crate::samples::object(r#"{"units":["m",1.0]}"#));
    let description = "Where it is".to_owned();
    let place = Extension { description, required: true, params, ..Extension::new("urn:place:v1") };
    agent.extensions =
        vec![Extension::new(RESUME_EXTENSION), place, Extension::new("urn:plain:v1")];
    let card = build(&agent, &CardSettings::json_rpc("http://127.0.0.1:1", false));
    let shown: Vec<String> = card.capabilities.extensions[2..]
        .iter()
        .map(|extension| String::from_utf8(to_vec(extension).unwrap()).unwrap())
        .collect();
    assert_eq!(
        shown,
        [
            r#"{"uri":"urn:place:v1","description":"Where it is","required":true,"params":{"units":["m",1.0]}}"#,
            r#"{"uri":"urn:plain:v1"}"#,
        ]
    );
    assert_eq!(
        card.capabilities.extensions.iter().filter(|e| e.uri == RESUME_EXTENSION).count(),
        1
    );
    assert_eq!(read_back(&card), card);
}

#[test]
fn only_the_extended_card_shows_extended_skills() {
    let mut agent = descriptor();
    agent.skills[0].extended = true;
    let skills = |extended| {
        let settings = CardSettings {
            extensible: true,
            extended,
            ..CardSettings::json_rpc("http://127.0.0.1:1", true)
        };
        let card = build(&agent, &settings);
        assert_eq!(card.capabilities.extended_agent_card, Some(true));
        card.skills.into_iter().map(|skill| skill.id).collect::<Vec<_>>()
    };
    // The agent itself is listed as a skill, since a card needs one.
    assert_eq!(skills(false), ["documents"]);
    assert_eq!(skills(true), ["extract"]);
}

#[test]
fn interfaces_keep_their_order_and_their_tenant() {
    let interface = |binding, tenant: Option<&str>| CardInterface {
        url: "https://a.example".to_owned(),
        binding,
        dialect: Dialect::V1_0,
        tenant: tenant.map(str::to_owned),
    };
    let mut settings = CardSettings::json_rpc("", false);
    settings.interfaces = vec![
        interface(ProtocolBinding::HttpJson, Some("docs")),
        interface(ProtocolBinding::Grpc, None),
    ];
    let card = build(&descriptor(), &settings);
    let shown: Vec<(&str, Option<&str>, &str)> = card
        .supported_interfaces
        .iter()
        .map(|i| (i.protocol_binding.as_str(), i.tenant.as_deref(), i.protocol_version.as_str()))
        .collect();
    assert_eq!(shown, [("HTTP+JSON", Some("docs"), "1.0"), ("GRPC", None, "1.0")]);
}
