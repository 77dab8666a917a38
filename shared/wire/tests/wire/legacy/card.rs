//! One document serves clients of 0.3 and 1.0; each reads its own card.

use super::raw;
use crate::card;
use longhaul_wire::{
    Dialect, ResultPayload,
    v0::card::{CombinedCard, LegacyCard, received_card},
    v1::card::{self as v1_card, AgentCard, AgentInterface, OAuthFlows, SecurityScheme},
    write::to_vec,
};
use serde_json::Value;

pub fn with_old_interfaces(mut card: AgentCard) -> AgentCard {
    for (url, binding) in [("http://h/a2a", "JSONRPC"), ("http://h", "HTTP+JSON")] {
        card.supported_interfaces.push(AgentInterface {
            url: url.to_owned(),
            protocol_binding: binding.to_owned(),
            tenant: None,
            protocol_version: "0.3".to_owned(),
        });
    }
    card
}

fn value(value: &impl serde::Serialize) -> Value {
    serde_json::from_slice(&to_vec(value).unwrap()).unwrap()
}

/// Card without the members that 0.3 lacks.
fn known_to_v0_3(mut card: AgentCard) -> AgentCard {
    card.supported_interfaces.retain(|interface| interface.protocol_version == "0.3");
    for scheme in card.security_schemes.values_mut() {
        if let SecurityScheme::OAuth2(oauth2) = scheme {
            match &mut oauth2.flows {
                Some(OAuthFlows::AuthorizationCode(flow)) => flow.pkce_required = false,
                Some(OAuthFlows::DeviceCode(_)) => oauth2.flows = None,
                _ => {}
            }
        }
    }
    card
}

#[test]
fn a_client_of_1_0_reads_the_document_as_the_card_of_1_0() {
    for card in [card::built(), card::full()].map(with_old_interfaces) {
        assert_eq!(v1_card::received_card(&raw(&CombinedCard(&card))).unwrap(), card);
        assert_eq!(received_card(&raw(&CombinedCard(&card))).unwrap(), card);
    }
}

#[test]
fn a_client_of_0_3_reads_the_document_as_the_card_of_0_3() {
    let all = |value: &Value, old: &Value| {
        // Every member of the 0.3 card is present, in objects that may hold more.
        fn holds(value: &Value, old: &Value) -> bool {
            match (value, old) {
                (Value::Object(value), Value::Object(old)) => old
                    .iter()
                    .all(|(name, old)| value.get(name).is_some_and(|value| holds(value, old))),
                (Value::Array(value), Value::Array(old)) => {
                    value.len() == old.len() && value.iter().zip(old).all(|(v, o)| holds(v, o))
                }
                (value, old) => value == old,
            }
        }
        holds(value, old)
    };
    for card in [card::built(), card::full()].map(with_old_interfaces) {
        let (document, old) = (value(&CombinedCard(&card)), value(&LegacyCard(&card)));
        assert!(all(&document, &old), "{document}\n{old}");
        assert_eq!(received_card(&raw(&LegacyCard(&card))).unwrap(), known_to_v0_3(card));
    }
}

#[test]
fn the_preferred_interface_of_0_3_is_its_first_one() {
    let card = value(&CombinedCard(&with_old_interfaces(card::built())));
    assert_eq!(card["url"], "http://h/a2a");
    assert_eq!(card["preferredTransport"], "JSONRPC");
    assert_eq!(card["protocolVersion"], "0.3.0");
    assert_eq!(card["additionalInterfaces"].as_array().unwrap().len(), 2);
    assert_eq!(card["supportedInterfaces"].as_array().unwrap().len(), 3);
}

#[test]
fn without_an_interface_of_0_3_the_document_is_the_card_of_1_0() {
    let card = card::full();
    assert_eq!(raw(&CombinedCard(&card)).get(), raw(&card).get());
}

#[test]
fn an_extended_card_is_in_the_shape_of_0_3_for_its_clients() {
    let card = with_old_interfaces(card::full());
    let shown = |dialect: Dialect| raw(&dialect.view(ResultPayload::Card(&card))).get().to_owned();
    for dialect in [Dialect::V0_3, Dialect::V0_1] {
        assert_eq!(shown(dialect), raw(&LegacyCard(&card)).get());
    }
    // Some clients read `ProtoJSON` there, others the JSON-RPC shape.
    assert_eq!(shown(Dialect::V0_3Proto), raw(&CombinedCard(&card)).get());
}

#[test]
fn an_invalid_card_of_0_3_is_refused_with_paths() {
    for (text, field) in [
        (r#"{"name":"n"}"#, "url"),
        (r#"{"name":"n","url":"h","additionalInterfaces":[{}]}"#, "additionalInterfaces[0].url"),
        (
            r#"{"name":"n","url":"h","securitySchemes":{"k":{"type":"x"}}}"#,
            "securitySchemes.k.type",
        ),
        (r#"{"name":"n","url":"h","security":[{"k":[1]}]}"#, "security[0].k[0]"),
    ] {
        let error = received_card(&super::text(text)).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
}

#[test]
fn a_client_of_0_1_finds_the_url_and_the_required_key_in_the_document() {
    let document = value(&CombinedCard(&with_old_interfaces(card::built())));
    assert_eq!(document["url"], "http://h/a2a");
    assert_eq!(document["authentication"], serde_json::json!({"schemes": ["Bearer", "apiKey"]}));
    let mut open = with_old_interfaces(card::built());
    open.security_requirements.clear();
    assert_eq!(value(&CombinedCard(&open)).get("authentication"), None);
    // The plain 0.3 card has no members of other versions.
    let old = value(&LegacyCard(&with_old_interfaces(card::built())));
    assert_eq!(old.get("authentication"), None);
}

#[test]
fn a_card_of_0_1_keeps_its_authentication() {
    let read = |members: &str| {
        let card = format!(
            r#"{{"name":"n","url":"http://h","version":"1","capabilities":{{}},"skills":[]{members}}}"#
        );
        received_card(&super::text(&card)).unwrap()
    };
    let card = read(
        r#","authentication":{"schemes":["Bearer","OAuth2","public","apiKey"],"credentials":null}"#,
    );
    assert_eq!(card.supported_interfaces[0].protocol_version, "0.1");
    let names: Vec<&str> = card.security_schemes.keys().map(String::as_str).collect();
    assert_eq!(names, ["Bearer", "OAuth2", "apiKey"]);
    assert_eq!(card.security_requirements.len(), 3);
    assert!(
        matches!(&card.security_schemes["Bearer"], SecurityScheme::HttpAuth(http) if http.scheme == "Bearer")
    );
    assert!(matches!(&card.security_schemes["OAuth2"], SecurityScheme::OAuth2(_)));
    assert!(matches!(&card.security_schemes["apiKey"], SecurityScheme::ApiKey(_)));
    // A card without authentication, or with that of 0.3, counts as 0.3.
    assert_eq!(read("").supported_interfaces[0].protocol_version, "0.3");
    let both =
        read(r#","authentication":{"schemes":["Bearer"]},"protocolVersion":"0.3.0","security":[]"#);
    assert_eq!(both.supported_interfaces[0].protocol_version, "0.3");
    assert!(both.security_schemes.is_empty());
}
