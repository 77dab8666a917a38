use super::*;
use crate::testing::{Node, agent, caller};
use longhaul_domain::Skill;
use longhaul_wire::{card::DeploymentInfo, v0::card::received_card, v1::card::AgentProvider};
use serde_json::{Value, value::RawValue};

/// An agent with a skill for everybody and one for those who showed who they are.
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
        CardFound::Card(card) => *card,
        CardFound::None(_) => panic!("there is an agent"),
    }
}

fn skills(card: &AgentCard) -> Vec<&str> {
    card.skills.iter().map(|skill| skill.id.as_str()).collect()
}

#[tokio::test]
async fn only_who_showed_who_they_are_sees_what_is_for_them() {
    let node = Node::with_keys().await;
    with_two_skills(&node).await;
    let service = node.another().service();
    let card = public(&service, &CardScope::Root).await;
    assert_eq!((skills(&card), card.capabilities.extended_agent_card), (vec!["open"], Some(true)));
    let card = service.extended_card(&caller(), Shape::V1_0).await.unwrap();
    assert_eq!(skills(&card), ["open", "hidden"]);
    assert_eq!(card.supported_interfaces[0].url, "http://test/");
    let addressed = Caller { agent: Some(agent()), ..caller() };
    let card = service.extended_card(&addressed, Shape::V1_0).await.unwrap();
    assert_eq!(card.supported_interfaces[0].url, "http://test/agents/echo");
}

#[tokio::test]
async fn what_is_not_declared_is_not_supported() {
    // Nothing to show to anybody alone; nobody who could show who they are.
    for node in [Node::with_keys().await, Node::start().await] {
        let service = node.service();
        let card = public(&service, &CardScope::Agent(agent())).await;
        assert_eq!(card.capabilities.extended_agent_card, Some(false));
        let refused = service.extended_card(&caller(), Shape::V1_0).await;
        assert!(matches!(refused, Err(ProtocolError::UnsupportedOperation(_))));
        for shape in [Shape::V0_3, Shape::Any] {
            let refused = service.extended_card(&caller(), shape).await;
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
    assert_eq!(service.extended_card(&caller(), Shape::V1_0).await.unwrap(), card);
}

#[tokio::test]
async fn each_document_is_read_by_the_clients_that_it_is_for() {
    let node = Node::start().await;
    let card = public(&node.service(), &CardScope::Root).await;
    let names = |shape: Shape| {
        let Value::Object(document) = shape.document(&card).unwrap() else { panic!("an object") };
        (document.contains_key("supportedInterfaces"), document.contains_key("url"))
    };
    assert_eq!(names(Shape::V1_0), (true, false));
    assert_eq!(names(Shape::Any), (true, true));
    assert_eq!(names(Shape::V0_3), (false, true));
    for shape in [Shape::V1_0, Shape::Any] {
        let text = shape.document(&card).unwrap().to_string();
        assert_eq!(received_card(&RawValue::from_string(text).unwrap()).unwrap(), card);
    }
    let any = Shape::Any.document(&card).unwrap();
    assert_eq!(
        (&any["url"], &any["preferredTransport"]),
        (&"http://test/".into(), &"JSONRPC".into())
    );
    let others: Vec<&Value> = any["additionalInterfaces"].as_array().unwrap().iter().collect();
    assert_eq!(others.len(), 3, "{others:?}");
}

#[tokio::test]
async fn every_document_says_who_runs_the_deployment() {
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
        for shape in [Shape::V1_0, Shape::Any, Shape::V0_3] {
            let document = shape.document(&card).unwrap();
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
