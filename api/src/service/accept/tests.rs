use super::*;
use crate::testing::{Node, caller, send};
use longhaul_wire::SendOutcome;

fn asking(id: &str, modes: &[&str]) -> SendRequest {
    let accepted_output_modes = modes.iter().map(ToString::to_string).collect();
    SendRequest { accepted_output_modes, ..send(id) }
}

async fn sent(node: &Node, request: SendRequest) -> TaskKey {
    match node.service().send(&caller(), request).await.unwrap().answer {
        SendOutcome::Task(task) => task.key,
        SendOutcome::Message(_) => panic!("not a task"),
    }
}

/// What is said to be wrong, and where.
async fn refused(node: &Node, modes: Vec<String>) -> (String, String) {
    let request = SendRequest { accepted_output_modes: modes, ..send("m") };
    match node.service().send(&caller(), request).await {
        Err(ProtocolError::InvalidParams(violations)) => {
            (violations[0].field.clone(), violations[0].description.clone())
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

#[tokio::test]
async fn what_a_client_can_take_comes_with_the_run_of_its_message() {
    let node = Node::start().await;
    sent(&node, asking("m", &["text/plain", "image/*"])).await;
    assert_eq!(node.claim().await.claimed.accepted_output_modes, ["text/plain", "image/*"]);
}

#[tokio::test]
async fn a_message_is_recognised_whatever_its_client_can_take_now() {
    let node = Node::start().await;
    let key = sent(&node, asking("m", &["text/plain"])).await;
    for modes in [&["image/png"][..], &[]] {
        assert_eq!(sent(&node, asking("m", modes)).await, key);
        let mut more = asking("n", modes);
        more.target = Some(TaskRef::Known(key.task));
        sent(&node, more).await;
    }
    let run = node.claim().await;
    assert_eq!(run.claimed.history.len(), 2, "the second message came twice, too");
    assert_eq!(run.claimed.accepted_output_modes, ["image/png"], "as it came first");
}

#[tokio::test]
async fn more_media_types_than_are_kept_are_refused_by_name() {
    let node = Node::start().await;
    let long = |n: usize| "x".repeat(n);
    let (field, problem) = refused(&node, vec![long(3); 101]).await;
    assert_eq!(field, "configuration.acceptedOutputModes");
    assert!(problem.contains("100"), "{problem}");
    let (field, problem) = refused(&node, vec![long(3), long(257)]).await;
    assert_eq!(field, "configuration.acceptedOutputModes[1]");
    assert!(problem.contains("256"), "{problem}");
    let most = vec![long(256); 100];
    let request = SendRequest { accepted_output_modes: most.clone(), ..send("m") };
    sent(&node, request).await;
    assert_eq!(node.claim().await.claimed.accepted_output_modes, most);
}
