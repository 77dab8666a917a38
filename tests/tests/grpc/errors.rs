//! Errors are statuses with details, and are returned before anything is done.

use super::{cancel, channel, get, new, old, reply_to, saying, sent};
use longhaul_proto::pb::{
    rpc,
    v0::{self, a2a_service_client::A2aServiceClient as OldClient},
    v1::{self, a2a_service_client::A2aServiceClient as NewClient},
};
use longhaul_tests::{Mode, StackBuilder, on_both_modes};
use prost::Message;
use tonic::{Code, Request, Status};

on_both_modes!(
    errors_have_the_code_and_the_reason_of_the_specification,
    invalid_parts_of_a_message_are_named,
    a_version_that_is_not_that_of_the_service_is_refused,
    a_body_over_the_limit_is_refused,
    keys_and_scopes_are_required,
);

const UNKNOWN: &str = "018f2f6e-7b7a-7000-8000-000000000001";

/// The status detail of this type.
fn detail<T: Message + Default>(status: &Status, name: &str) -> T {
    let details = rpc::Status::decode(status.details()).expect("it is a google.rpc.Status").details;
    let name = format!("type.googleapis.com/{name}");
    let found = details.iter().find(|detail| detail.type_url == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {status:?}"));
    T::decode(found.value.as_slice()).expect("it is what it says")
}

/// Asserts a status's code and the reason in its details.
pub fn assert_is(status: &Status, code: Code, reason: &str) {
    let info: rpc::ErrorInfo = detail(status, "google.rpc.ErrorInfo");
    assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{}", status.message());
    assert!(!info.domain.is_empty(), "{info:?}");
}

/// The paths that a status reports as invalid.
fn violations(status: &Status) -> Vec<String> {
    assert_is(status, Code::InvalidArgument, "INVALID_PARAMS");
    let wrong: rpc::BadRequest = detail(status, "google.rpc.BadRequest");
    wrong.field_violations.into_iter().map(|violation| violation.field).collect()
}

async fn errors_have_the_code_and_the_reason_of_the_specification(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let (mut new, mut old) = (new(&stack), old(&stack));
    let ended = sent(&stack, saying("done")).await;
    let mut image = saying("x");
    image.message.get_or_insert_default().parts[0] = v1::Part {
        content: Some(v1::part::Content::Raw(vec![0].into())),
        media_type: "image/png".to_owned(),
        ..v1::Part::default()
    };
    let mut elsewhere = saying("x");
    UNKNOWN.clone_into(&mut elsewhere.message.get_or_insert_default().task_id);
    let hook = v1::TaskPushNotificationConfig {
        task_id: ended.id.clone(),
        url: "https://example.com/hook".to_owned(),
        ..v1::TaskPushNotificationConfig::default()
    };
    let unknown = v1::SubscribeToTaskRequest { id: UNKNOWN.to_owned(), ..Default::default() };
    let name = format!("tasks/{UNKNOWN}");
    let old_get = v0::GetTaskRequest { name: name.clone(), history_length: 0 };
    let hooks = v0::ListTaskPushNotificationConfigRequest { parent: name, ..Default::default() };
    let (missing, over) = ("TASK_NOT_FOUND", "UNSUPPORTED_OPERATION");
    let (push, precondition) = ("PUSH_NOTIFICATION_NOT_SUPPORTED", Code::FailedPrecondition);
    for (status, code, reason) in [
        (new.get_task(get(UNKNOWN)).await.err(), Code::NotFound, missing),
        (new.get_task(get("no id of ours")).await.err(), Code::NotFound, missing),
        (new.cancel_task(cancel(UNKNOWN)).await.err(), Code::NotFound, missing),
        (new.subscribe_to_task(unknown).await.err(), Code::NotFound, missing),
        (new.send_message(elsewhere).await.err(), Code::NotFound, missing),
        (new.send_message(reply_to(&ended, "more")).await.err(), precondition, over),
        (new.send_streaming_message(reply_to(&ended, "more")).await.err(), precondition, over),
        (new.send_message(image).await.err(), Code::InvalidArgument, "CONTENT_TYPE_NOT_SUPPORTED"),
        (new.create_task_push_notification_config(hook).await.err(), precondition, push),
        (old.get_task(old_get).await.err(), Code::NotFound, missing),
        (old.list_task_push_notification_config(hooks).await.err(), precondition, push),
    ] {
        assert_is(&status.unwrap_or_else(|| panic!("{reason} is expected")), code, reason);
    }
    stack.assert_no_errors_logged();
}

async fn invalid_parts_of_a_message_are_named(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let mut client = new(&stack);
    let mut empty = saying("x");
    let message = empty.message.get_or_insert_default();
    message.parts.clear();
    message.message_id.clear();
    message.role = 0;
    let status = client.send_message(empty.clone()).await.expect_err("it is nothing");
    let mut paths = violations(&status);
    paths.sort();
    assert_eq!(paths, ["message.messageId", "message.parts", "message.role"]);
    let status = client.send_streaming_message(empty).await.expect_err("it is nothing");
    assert_eq!(violations(&status).len(), 3, "also before a stream");
    let page = v1::ListTasksRequest { page_size: Some(0), ..Default::default() };
    let status = client.list_tasks(page).await.expect_err("a page has a task");
    assert_eq!(violations(&status), ["pageSize"]);
    let status = old(&stack).get_task(v0::GetTaskRequest::default()).await;
    assert_eq!(violations(&status.expect_err("it names none")), ["name"]);
}

async fn a_version_that_is_not_that_of_the_service_is_refused(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    for (version, is_served) in [("1.0", true), ("1.0.1", true), ("0.3", false), ("7.0", false)] {
        let mut request = Request::new(v1::ListTasksRequest::default());
        request.metadata_mut().insert("a2a-version", version.parse().expect("metadata"));
        match new(&stack).list_tasks(request).await {
            Ok(_) => assert!(is_served, "{version}"),
            Err(status) => {
                assert!(!is_served, "{version}");
                assert_is(&status, Code::FailedPrecondition, "VERSION_NOT_SUPPORTED");
            }
        }
    }
}

async fn a_body_over_the_limit_is_refused(mode: Mode) {
    let stack = StackBuilder::new(mode).set("server.max_body_bytes", "100000").start().await;
    let status = new(&stack).send_message(saying(&"x".repeat(200_000))).await;
    let status = status.expect_err("it is too large");
    assert_is(&status, Code::ResourceExhausted, "REQUEST_TOO_LARGE");
    assert!(status.message().contains("100000"), "it names the limit: {}", status.message());
    sent(&stack, saying(&"x".repeat(90_000))).await;
}

async fn keys_and_scopes_are_required(mode: Mode) {
    let stack = StackBuilder::new(mode).key("alice", "read").key("bob", "read,write").start().await;
    let with = |name: &'static str, value: String| {
        move |mut request: Request<()>| {
            request.metadata_mut().insert(name, value.parse().expect("metadata"));
            Ok(request)
        }
    };
    let bearer = |key: usize| with("authorization", format!("Bearer {}", stack.key(key)));
    let list = v1::ListTasksRequest::default;
    let status = new(&stack).list_tasks(list()).await.expect_err("nobody asks");
    assert_is(&status, Code::Unauthenticated, "UNAUTHENTICATED");
    let stranger = with("authorization", "Bearer lh_nobody_nothing".to_owned());
    let mut stranger = NewClient::with_interceptor(channel(&stack, 0), stranger);
    let status = stranger.list_tasks(list()).await.expect_err("nobody we know");
    assert_is(&status, Code::Unauthenticated, "UNAUTHENTICATED");
    let status = old(&stack).send_streaming_message(v0::SendMessageRequest::default()).await;
    assert_is(&status.expect_err("nobody asks"), Code::Unauthenticated, "UNAUTHENTICATED");

    let mut alice = NewClient::with_interceptor(channel(&stack, 0), bearer(0));
    alice.list_tasks(list()).await.expect("she may read");
    let status = alice.send_message(saying("x")).await.expect_err("she may not write");
    assert_is(&status, Code::PermissionDenied, "PERMISSION_DENIED");
    let bob = with("x-api-key", stack.key(1).to_owned());
    let mut bob = NewClient::with_interceptor(channel(&stack, 0), bob);
    let answer = bob.send_message(saying("x")).await.expect("he may").into_inner();
    let Some(v1::send_message_response::Payload::Task(task)) = answer.payload else {
        panic!("{answer:?}")
    };
    let status = alice.get_task(get(&task.id)).await.expect_err("it belongs to somebody else");
    assert_is(&status, Code::NotFound, "TASK_NOT_FOUND");
    let name = format!("tasks/{}", task.id);
    let mut bob = OldClient::with_interceptor(channel(&stack, 0), bearer(1));
    let read = bob.get_task(v0::GetTaskRequest { name, history_length: 0 }).await;
    assert_eq!(read.expect("it is his").get_ref().id, task.id);
}
