use super::*;
use crate::{
    options::ExtendedCards,
    service::{Caller, CardLookup, CardScope},
    testing::{Node, agent, caller},
};
use longhaul_domain::Skill;
use longhaul_signing::{
    Algorithm, CardSigner, KeyRing, PrivateKey, SignedForm, parse_trusted_keys, verify,
};
use longhaul_wire::{
    card::{AgentProvider, DeploymentInfo},
    v0::card::received_card,
};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Gives the agent one public skill and one for authenticated callers.
async fn with_two_skills(node: &Node) {
    let mut described = (*node.service().agents.get(&agent()).await.unwrap().unwrap()).clone();
    let skill = |id: &str, extended| Skill {
        id: id.to_owned(),
        name: id.to_owned(),
        description: id.to_owned(),
        tags: Vec::new(),
        examples: Vec::new(),
        input_modes: Vec::new(),
        output_modes: Vec::new(),
        extended,
    };
    described.version = "2.0.0".to_owned();
    described.skills = vec![skill("open", false), skill("hidden", true)];
    node.store.register_agents(vec![described]).await.unwrap();
}

async fn public(service: &Service, scope: &CardScope) -> AgentCard {
    match service.card(scope, &service.own_address()).await.unwrap() {
        CardLookup::Found(card) => *card,
        CardLookup::NotFound(_) => panic!("there is an agent"),
    }
}

async fn extended(
    service: &Service,
    caller: &Caller,
    format: CardFormat,
) -> std::result::Result<AgentCard, ProtocolError> {
    service.extended_card(caller).await.map_err(|error| format.card_error(error))
}

fn skills(card: &AgentCard) -> Vec<&str> {
    card.skills.iter().map(|skill| skill.id.as_str()).collect()
}

#[tokio::test]
async fn only_authenticated_callers_see_extended_skills() {
    let node = Node::with_keys().await;
    with_two_skills(&node).await;
    let service = node.another().service();
    let card = public(&service, &CardScope::Root).await;
    assert_eq!((skills(&card), card.capabilities.extended_agent_card), (vec!["open"], Some(true)));
    let card = extended(&service, &caller(), CardFormat::V1_0).await.unwrap();
    assert_eq!(skills(&card), ["open", "hidden"]);
    assert_eq!(card.supported_interfaces[0].url, "http://test/");
    let addressed = Caller { agent: Some(agent()), ..caller() };
    let card = extended(&service, &addressed, CardFormat::V1_0).await.unwrap();
    assert_eq!(card.supported_interfaces[0].url, "http://test/agents/echo");
}

#[tokio::test]
async fn an_extended_card_that_is_not_declared_is_not_supported() {
    // An agent without an extended part, and a node without authentication.
    for node in [Node::with_keys().await, Node::start().await] {
        let service = node.service();
        let card = public(&service, &CardScope::Agent(agent())).await;
        assert_eq!(card.capabilities.extended_agent_card, Some(false));
        let refused = extended(&service, &caller(), CardFormat::V1_0).await;
        assert!(matches!(refused, Err(ProtocolError::UnsupportedOperation(_))));
        for format in [CardFormat::V0_3, CardFormat::Any] {
            let refused = extended(&service, &caller(), format).await;
            assert_eq!(refused, Err(ProtocolError::ExtendedAgentCardNotConfigured));
        }
    }
}

#[tokio::test]
async fn a_setting_gives_every_agent_an_extended_card() {
    let node = Node::start().await;
    let service = node.configured(|options| options.extended_cards = ExtendedCards::Always);
    let service = service.service();
    let card = public(&service, &CardScope::Root).await;
    assert_eq!(card.capabilities.extended_agent_card, Some(true));
    assert_eq!(extended(&service, &caller(), CardFormat::V1_0).await.unwrap(), card);
}

#[tokio::test]
async fn each_format_is_read_by_its_clients() {
    let node = Node::start().await;
    let card = public(&node.service(), &CardScope::Root).await;
    let names = |format: CardFormat| {
        let Value::Object(document) = format.document(&card).unwrap() else { panic!("an object") };
        (document.contains_key("supportedInterfaces"), document.contains_key("url"))
    };
    assert_eq!(names(CardFormat::V1_0), (true, false));
    assert_eq!(names(CardFormat::Any), (true, true));
    assert_eq!(names(CardFormat::V0_3), (false, true));
    for format in [CardFormat::V1_0, CardFormat::Any] {
        let text = format.document(&card).unwrap().to_string();
        assert_eq!(received_card(&RawValue::from_string(text).unwrap()).unwrap(), card);
    }
    let any = CardFormat::Any.document(&card).unwrap();
    assert_eq!(
        (&any["url"], &any["preferredTransport"]),
        (&"http://test/".into(), &"JSONRPC".into())
    );
    let others: Vec<&Value> = any["additionalInterfaces"].as_array().unwrap().iter().collect();
    assert_eq!(others.len(), 3, "{others:?}");
}

#[tokio::test]
async fn every_format_names_the_provider() {
    let node = Node::start().await;
    let about = DeploymentInfo {
        provider: Some(AgentProvider {
            url: "https://us.example".to_owned(),
            organization: "Us".to_owned(),
        }),
        documentation_url: Some("https://us.example/docs".to_owned()),
        icon_url: Some("https://us.example/icon.svg".to_owned()),
    };
    let service = node.configured(|options| options.about = about).service();
    for scope in [CardScope::Root, CardScope::Agent(agent())] {
        let card = public(&service, &scope).await;
        for format in [CardFormat::V1_0, CardFormat::Any, CardFormat::V0_3] {
            let document = format.document(&card).unwrap();
            let provider = &document["provider"];
            assert_eq!(
                (&provider["organization"], &provider["url"]),
                (&"Us".into(), &"https://us.example".into())
            );
            assert_eq!(document["documentationUrl"], "https://us.example/docs");
            assert_eq!(document["iconUrl"], "https://us.example/icon.svg");
        }
    }
}

fn signer() -> Arc<CardSigner> {
    let key = PrivateKey::generate(Algorithm::EdDsa, || [1; 32]);
    Arc::new(CardSigner::new(KeyRing::new(Some(key), []), None))
}

/// Forms of a document that its signatures cover.
fn covered(service: &Service, document: &Value) -> Vec<SignedForm> {
    let keys = parse_trusted_keys(service.jwks().unwrap().to_string().as_bytes()).unwrap();
    let verdicts = verify(document, &keys).unwrap();
    verdicts.into_iter().map(|verdict| verdict.outcome.unwrap()).collect()
}

#[tokio::test]
async fn documents_and_encoded_cards_get_the_same_signatures() {
    let node = Node::start().await;
    let service = node.configured(|options| options.card_signer = Some(signer())).service();
    for (format, covers) in [
        (CardFormat::V1_0, &[SignedForm::Specification][..]),
        (CardFormat::Any, &[SignedForm::Specification, SignedForm::Document]),
        (CardFormat::V0_3, &[SignedForm::Document]),
    ] {
        let mut card = public(&service, &CardScope::Root).await;
        let address = service.own_address();
        let signed = service.signed(format.document(&card).unwrap(), &address);
        assert_eq!(covered(&service, &signed), covers, "{format:?}");
        format.sign(&service, &mut card, &address);
        assert_eq!(format.document(&card).unwrap(), signed, "{format:?}");
    }
}

#[tokio::test]
async fn documents_are_written_in_canonical_form() {
    // With a scheme without scopes: the only empty value on our cards.
    let node = Node::with_keys().await;
    let service = node.configured(|options| options.card_signer = Some(signer())).service();
    let document = CardFormat::V1_0.document(&public(&service, &CardScope::Root).await).unwrap();
    let signed = service.signed(document, &service.own_address());
    assert_eq!(covered(&service, &signed), [SignedForm::Specification, SignedForm::Compact]);
}

#[tokio::test]
async fn without_keys_a_card_is_not_signed() {
    let node = Node::start().await;
    let service = node.service();
    let mut card = public(&service, &CardScope::Root).await;
    let document = CardFormat::Any.document(&card).unwrap();
    let address = service.own_address();
    assert_eq!(service.signed(document.clone(), &address), document);
    CardFormat::V1_0.sign(&service, &mut card, &address);
    assert_eq!((card.signatures.len(), service.jwks()), (0, None));
}
