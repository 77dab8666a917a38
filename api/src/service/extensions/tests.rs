use crate::{
    Api,
    service::{Caller, Service},
    testing::{Node, agent, caller, send},
};
use longhaul_domain::{Task, extension::Extension};
use longhaul_wire::{Extensions, ProtocolError, SendOutcome, SendRequest, TaskRef};

const PLACE: &str = "urn:example:place:v1";
const UNITS: &str = "urn:example:units:v1";

/// A node whose agent requires one extension and knows another one.
async fn demanding(node: &Node) -> Api {
    let mut described = (*node.service().agents.get(&agent()).await.unwrap().unwrap()).clone();
    described.version = "2.0.0".to_owned();
    let place = Extension { required: true, ..Extension::new(PLACE) };
    described.extensions = vec![Extension::new(UNITS), place];
    node.store.register_agents(vec![described]).await.unwrap();
    node.another()
}

fn naming(header: &str) -> Caller {
    Caller { extensions: Extensions::read([header]), ..caller() }
}

async fn sent(service: &Service, caller: &Caller, request: SendRequest) -> Task {
    match service.send(caller, request).await.unwrap().value {
        SendOutcome::Task(task) => *task,
        SendOutcome::Message(_) => panic!("not a task"),
    }
}

fn refused<T>(result: super::Result<T>) -> String {
    match result {
        Err(ProtocolError::ExtensionSupportRequired { uri }) => uri,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

#[tokio::test]
async fn a_message_without_a_required_extension_is_refused() {
    let node = Node::start().await;
    let api = demanding(&node).await;
    let service = api.service();
    assert_eq!(refused(service.send(&naming(UNITS), send("a")).await), PLACE);
    assert_eq!(refused(service.stream(&caller(), send("a")).await), PLACE);
    // Another version is another extension (A2A 4.6.3).
    let older = naming("urn:example:place:v0");
    assert_eq!(refused(service.send(&older, send("a")).await), PLACE);

    let task = sent(&service, &naming(PLACE), send("a")).await;
    let more = || SendRequest { target: Some(TaskRef::Known(task.key.task)), ..send("b") };
    assert_eq!(refused(service.send(&caller(), more()).await), PLACE);
    let mut on_the_message = more();
    on_the_message.message.extensions = vec![PLACE.to_owned()];
    assert_eq!(sent(&service, &caller(), on_the_message).await.key, task.key);
}

#[tokio::test]
async fn the_executor_finds_active_extensions_on_the_message() {
    let node = Node::start().await;
    let api = demanding(&node).await;
    let mut request = send("a");
    request.message.extensions = vec![PLACE.to_owned(), "urn:example:unknown".to_owned()];
    let asking = naming(&format!("urn:example:nobodys, {UNITS}, {PLACE}"));
    sent(&api.service(), &asking, request).await;
    let run = node.claim().await;
    let said = run.last_message().await.message;
    assert_eq!(said.extensions, [PLACE, "urn:example:unknown", UNITS]);
    assert_eq!(asking.extensions.value().unwrap(), format!("{UNITS}, {PLACE}"));
}

#[tokio::test]
async fn the_extension_header_does_not_change_a_messages_identity() {
    let node = Node::start().await;
    let api = demanding(&node).await;
    let service = api.service();
    let first = sent(&service, &naming(PLACE), send("a")).await;
    let again = sent(&service, &naming(&format!("{UNITS},{PLACE}")), send("a")).await;
    assert_eq!(first.key, again.key);
}
