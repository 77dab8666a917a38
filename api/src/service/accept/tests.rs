use super::*;
use crate::testing::{Node, agent, caller, send};
use longhaul_domain::{
    BlobSlot, Json, JsonObject, MAX_INLINE_CONTENT_BYTES, Part, bounds::MAX_DATA_DEPTH,
};
use longhaul_wire::{GetRequest, SendOutcome};

fn asking(id: &str, modes: &[&str]) -> SendRequest {
    let accepted_output_modes = modes.iter().map(ToString::to_string).collect();
    SendRequest { accepted_output_modes, ..send(id) }
}

async fn sent(node: &Node, request: SendRequest) -> TaskKey {
    match node.service().send(&caller(), request).await.unwrap().value {
        SendOutcome::Task(task) => task.key,
        SendOutcome::Message(_) => panic!("not a task"),
    }
}

/// The field that is refused, and the reason.
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
async fn accepted_media_types_reach_the_executor() {
    let node = Node::start().await;
    sent(&node, asking("m", &["text/plain", "image/*"])).await;
    assert_eq!(
        node.claim().await.last_message().await.accepted_output_modes,
        ["text/plain", "image/*"]
    );
}

#[tokio::test]
async fn accepted_media_types_do_not_change_a_messages_identity() {
    let node = Node::start().await;
    let key = sent(&node, asking("m", &["text/plain"])).await;
    for modes in [&["image/png"][..], &[]] {
        assert_eq!(sent(&node, asking("m", modes)).await, key);
        let mut more = asking("n", modes);
        more.target = Some(TaskRef::Known(key.task));
        sent(&node, more).await;
    }
    let run = node.claim().await;
    assert_eq!(run.claimed.message_seq, Seq(2), "the second message came twice, too");
    assert_eq!(run.last_message().await.accepted_output_modes, ["image/png"], "as it came first");
}

#[tokio::test]
async fn too_many_or_too_long_media_types_are_refused_by_field() {
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
    assert_eq!(node.claim().await.last_message().await.accepted_output_modes, most);
}

fn to(task: TaskId, id: &str, text: &str) -> SendRequest {
    let mut request = SendRequest { target: Some(TaskRef::Known(task)), ..send(id) };
    request.message.parts = vec![Part::text(text)];
    request
}

#[tokio::test]
async fn a_message_beyond_the_tasks_budget_is_refused_with_advice() {
    let node = Node::start().await;
    let key = sent(&node, send("m")).await;
    let large = "x".repeat(MAX_INLINE_CONTENT_BYTES);
    // The node allows 1 MiB.
    for n in 0..15 {
        sent(&node, to(key.task, &n.to_string(), &large)).await;
    }
    let refused = node.service().send(&caller(), to(key.task, "last", &large)).await;
    let Err(ProtocolError::UnsupportedOperation(why)) = refused else { panic!("accepted") };
    assert!(why.contains("1048576 bytes") && why.contains("without taskId"), "{why}");
    sent(&node, to(key.task, "short", "y")).await;
}

#[tokio::test]
async fn a_follow_up_shows_the_newest_messages_or_as_many_as_asked_for() {
    let node = Node::start().await;
    let key = sent(&node, send("m")).await;
    for n in 0..110 {
        sent(&node, to(key.task, &n.to_string(), &n.to_string())).await;
    }
    for (asked, shown) in [(None, 100), (Some(3), 3), (Some(1_000), 112)] {
        let request =
            SendRequest { history_length: asked, ..to(key.task, "again", "the same each time") };
        let value = node.service().send(&caller(), request).await.unwrap().value;
        let SendOutcome::Task(task) = value else { panic!("not a task") };
        assert_eq!(task.history.len(), shown, "{asked:?}");
        assert_eq!(task.history.last().unwrap().message.text(), "the same each time");
    }
}

#[tokio::test]
async fn large_metadata_is_stored_as_blobs_and_shown_as_sent() {
    let node = Node::start().await;
    let pad = "x".repeat(MAX_INLINE_CONTENT_BYTES);
    let large = |name: &str| JsonObject::parse(&format!(r#"{{"{name}":"{pad}"}}"#)).ok();
    let mut request = send("m");
    request.metadata = large("request");
    request.message.metadata = large("message");
    request.message.parts[0].metadata = large("part");
    let message = request.message.clone();
    let key = sent(&node, request).await;
    let mut stored = node.claim().await.last_message().await;
    let are_blobs: Vec<bool> = stored
        .blob_slots()
        .filter(|slot| matches!(slot, BlobSlot::Metadata(_)))
        .map(|slot| slot.blob().is_some())
        .collect();
    assert_eq!(are_blobs, [true; 3]);
    let request = GetRequest { tenant: None, id: TaskRef::Known(key.task), history_length: None };
    let task = node.service().get(&caller(), request).await.unwrap().value;
    let shown = &task.history[0].message;
    assert_eq!((&shown.metadata, &shown.parts), (&message.metadata, &message.parts));
}

#[tokio::test]
async fn too_deeply_nested_data_is_refused_before_it_is_stored() {
    let node = Node::start().await;
    let nested = |depth: usize| {
        let text = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        Json::parse(&text).unwrap()
    };
    let with = |depth, id: &str| {
        let mut request = send(id);
        request.message.parts = vec![Part::data(nested(depth))];
        request
    };
    sent(&node, with(MAX_DATA_DEPTH, "deepest")).await;
    let refused = node.service().send(&caller(), with(MAX_DATA_DEPTH + 1, "deeper")).await;
    let Err(ProtocolError::InvalidParams(violations)) = refused else { panic!("accepted") };
    assert_eq!(violations[0].field, "message.parts[0].data");
    assert!(violations[0].description.contains("30 levels"), "{violations:?}");
}

#[tokio::test]
async fn a_part_of_a_media_type_that_no_skill_reads_is_refused() {
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
