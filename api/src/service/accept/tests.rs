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
    assert_eq!(node.claim().await.said().await.accepted_output_modes, ["text/plain", "image/*"]);
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
    assert_eq!(run.claimed.message_seq, Seq(2), "the second message came twice, too");
    assert_eq!(run.said().await.accepted_output_modes, ["image/png"], "as it came first");
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
    assert_eq!(node.claim().await.said().await.accepted_output_modes, most);
}

fn to(task: TaskId, id: &str, text: &str) -> SendRequest {
    let mut request = SendRequest { target: Some(TaskRef::Known(task)), ..send(id) };
    request.message.parts = vec![Part::text(text)];
    request
}

#[tokio::test]
async fn a_message_beyond_the_budget_of_its_task_is_refused_with_advice() {
    let node = Node::start().await;
    let key = sent(&node, send("m")).await;
    let large = "x".repeat(MAX_INLINE_CONTENT_BYTES);
    // The node allows a mebibyte.
    for n in 0..15 {
        sent(&node, to(key.task, &n.to_string(), &large)).await;
    }
    let refused = node.service().send(&caller(), to(key.task, "last", &large)).await;
    let Err(ProtocolError::UnsupportedOperation(why)) = refused else { panic!("accepted") };
    assert!(why.contains("1048576 bytes") && why.contains("without taskId"), "{why}");
    sent(&node, to(key.task, "short", "y")).await;
}

#[tokio::test]
async fn an_answer_to_a_follow_up_shows_the_newest_messages_and_all_where_they_are_asked_for() {
    let node = Node::start().await;
    let key = sent(&node, send("m")).await;
    for n in 0..110 {
        sent(&node, to(key.task, &n.to_string(), &n.to_string())).await;
    }
    for (asked, shown) in [(None, 100), (Some(3), 3), (Some(1_000), 112)] {
        let request =
            SendRequest { history_length: asked, ..to(key.task, "again", "the same each time") };
        let answer = node.service().send(&caller(), request).await.unwrap().answer;
        let SendOutcome::Task(task) = answer else { panic!("not a task") };
        assert_eq!(task.history.len(), shown, "{asked:?}");
        assert_eq!(task.history.last().unwrap().message.text(), "the same each time");
    }
}

#[tokio::test]
async fn large_metadata_is_kept_apart_and_shown_as_it_was_sent() {
    let node = Node::start().await;
    let pad = "x".repeat(MAX_INLINE_CONTENT_BYTES);
    let large = |name: &str| JsonObject::parse(&format!(r#"{{"{name}":"{pad}"}}"#)).ok();
    let mut request = send("m");
    request.metadata = large("request");
    request.message.metadata = large("message");
    request.message.parts[0].metadata = large("part");
    let message = request.message.clone();
    let key = sent(&node, request).await;
    let mut stored = node.claim().await.said().await;
    let apart: Vec<bool> = stored
        .blob_slots()
        .filter(|slot| matches!(slot, BlobSlot::Metadata(_)))
        .map(|slot| slot.blob().is_some())
        .collect();
    assert_eq!(apart, [true; 3]);
    let request = GetRequest { tenant: None, id: TaskRef::Known(key.task), history_length: None };
    let task = node.service().get(&caller(), request).await.unwrap().answer;
    let shown = &task.history[0].message;
    assert_eq!((&shown.metadata, &shown.parts), (&message.metadata, &message.parts));
}

#[tokio::test]
async fn data_that_some_client_could_not_read_is_refused_before_anything_is_stored() {
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
