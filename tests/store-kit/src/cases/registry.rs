//! The agent registry: workers register agents, the highest version wins, and agents stay.

use crate::kit::agent;
use longhaul_domain::{AgentDescriptor, AgentLimits, JsonObject, Skill, extension::Extension};
use longhaul_store::Store;
use std::sync::Arc;

pub(super) fn descriptor(name: &str, version: &str, description: &str) -> AgentDescriptor {
    AgentDescriptor {
        name: agent(name),
        version: version.to_owned(),
        description: description.to_owned(),
        skills: vec![Skill {
            id: "s".to_owned(),
            name: "S".to_owned(),
            description: "does it".to_owned(),
            tags: vec!["t".to_owned()],
            examples: Vec::new(),
            input_modes: vec!["text/plain".to_owned()],
            output_modes: Vec::new(),
            extended: true,
        }],
        input_modes: vec!["*/*".to_owned()],
        output_modes: vec!["text/plain".to_owned()],
        direct: true,
        extensions: vec![Extension {
            required: true,
            params: JsonObject::parse(r#"{"b":1.0,"a":[12345678901234567890,null]}"#).ok(),
            ..Extension::new("urn:example:v1")
        }],
        limits: AgentLimits::default(),
    }
}

pub async fn registered_agents_are_listed_by_name(store: Arc<dyn Store>) {
    assert!(store.agents().await.unwrap().is_empty());
    let (zeta, alpha) = (descriptor("zeta", "1.0.0", "z"), descriptor("alpha", "1.0.0", "a"));
    store.register_agents(vec![zeta.clone(), alpha.clone()]).await.unwrap();
    assert_eq!(store.agents().await.unwrap(), [alpha, zeta]);
}

pub async fn the_highest_version_of_an_agent_wins(store: Arc<dyn Store>) {
    for (version, shows) in
        [("1.2.0", "1.2.0"), ("1.1.9", "1.2.0"), ("1.10.0", "1.10.0"), ("1.10.0-rc.1", "1.10.0")]
    {
        store.register_agents(vec![descriptor("echo", version, "e")]).await.unwrap();
        assert_eq!(store.agents().await.unwrap()[0].version, shows);
    }
}

pub async fn the_same_version_again_replaces_the_description(store: Arc<dyn Store>) {
    store.register_agents(vec![descriptor("echo", "1.0.0", "old")]).await.unwrap();
    store.register_agents(vec![descriptor("echo", "1.0.0", "new")]).await.unwrap();
    let agents = store.agents().await.unwrap();
    assert_eq!((agents.len(), agents[0].description.as_str()), (1, "new"));
}

pub async fn an_agent_stays_when_its_workers_leave(store: Arc<dyn Store>) {
    let client = crate::kit::TestClient::new(store).await;
    let echo = descriptor("echo", "1.0.0", "e");
    client.store.register_agents(vec![echo.clone()]).await.unwrap();
    let worker = client.worker().await;
    client.store.deregister_worker(worker).await.unwrap();
    assert_eq!(client.store.agents().await.unwrap(), [echo]);
}
