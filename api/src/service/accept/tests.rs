use super::*;
use crate::testing::{Node, agent, caller, send};
use longhaul_domain::{Json, Part};
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

#[tokio::test]
async fn a_part_of_a_media_type_that_no_skill_reads_is_refused_whatever_it_holds() {
    let node = Node::start().await;
    let mut described = (*node.service().agents.get(&agent()).await.unwrap().unwrap()).clone();
    described.version = "2.0.0".to_owned();
    described.input_modes = vec!["text/*".to_owned(), "application/json".to_owned()];
    node.store.register_agents(vec![described]).await.unwrap();
    let service = node.another().service();
    let data = || Part::data(Json::parse("{}").unwrap());
    let mut number = 0;
    let mut send_part = async |part: Part, media_type: Option<&str>| {
        number += 1;
        let mut request = send(&format!("m{number}"));
        let media_type = media_type.map(str::to_owned);
        request.message.parts = vec![Part { media_type, ..part }];
        service.send(&caller(), request).await.map(drop)
    };
    for part in [Part::text("x"), data(), Part::raw(&b"x"[..], "x/y"), Part::url("http://a/b")] {
        for taken in ["text/markdown", "application/json; charset=utf-8"] {
            assert_eq!(send_part(part.clone(), Some(taken)).await, Ok(()), "{part:?} as {taken}");
        }
        let refused = send_part(part.clone(), Some("application/x-unsupported")).await;
        let accepted = vec!["application/json".to_owned(), "text/*".to_owned()];
        let media_type = "application/x-unsupported".to_owned();
        let wanted = Err(ProtocolError::ContentTypeNotSupported { media_type, accepted });
        assert_eq!(refused, wanted, "{part:?}");
        assert_eq!(send_part(part, None).await, Ok(()), "without a type");
    }
}
