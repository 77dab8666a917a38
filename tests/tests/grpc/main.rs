//! gRPC over a real socket: both services work like the other bindings, on the same port and tasks.
//!
//! Resuming streams is tested in `resume_everywhere.rs`, clients of other vendors in `interop`.

mod about;
mod errors;
mod requests;

use futures::future::join_all;
use longhaul_proto::pb::{
    v0::{self, a2a_service_client::A2aServiceClient as OldClient},
    v1::{self, a2a_service_client::A2aServiceClient as NewClient},
};
use longhaul_tests::tasks::{self, TASK_TIMEOUT};
use longhaul_tests::{Mode, Stack, StackBuilder, on_both_modes, unique};
use requests::{channel, new_message, old_message, resuming, seq};
use serde_json::json;
use tokio::time::timeout;
use tonic::{Streaming, transport::Channel};

on_both_modes!(
    a_task_is_the_same_as_over_json_rpc,
    tasks_are_listed_page_by_page,
    a_running_task_is_canceled_once,
    a_task_that_asks_is_answered,
    a_stream_has_every_event_once_and_in_order,
    a_stream_that_is_sent_again_follows_the_same_task,
    a_subscription_begins_with_the_task_as_it_is,
    clients_of_0_3_have_a_service_of_their_own,
    a_stream_of_0_3_marks_its_last_event,
    a_reply_without_a_task_is_a_message,
    many_streams_share_a_connection,
    agents_are_found_by_tenant,
);

fn new(stack: &Stack) -> NewClient<Channel> {
    NewClient::new(channel(stack, 0))
}

fn old(stack: &Stack) -> OldClient<Channel> {
    OldClient::new(channel(stack, 0))
}

fn saying(text: &str) -> v1::SendMessageRequest {
    new_message(unique::name("m"), text)
}

fn reply_to(task: &v1::Task, text: &str) -> v1::SendMessageRequest {
    let mut request = saying(text);
    if let Some(message) = &mut request.message {
        message.task_id.clone_from(&task.id);
    }
    request
}

fn return_immediately(mut request: v1::SendMessageRequest) -> v1::SendMessageRequest {
    let configuration =
        v1::SendMessageConfiguration { return_immediately: true, ..Default::default() };
    request.configuration = Some(configuration);
    request
}

async fn sent(stack: &Stack, request: v1::SendMessageRequest) -> v1::Task {
    let answer = new(stack).send_message(request).await.expect("it is accepted").into_inner();
    match answer.payload {
        Some(v1::send_message_response::Payload::Task(task)) => task,
        other => panic!("{other:?}"),
    }
}

async fn old_sent(stack: &Stack, request: v0::SendMessageRequest) -> v0::Task {
    let answer = old(stack).send_message(request).await.expect("it is accepted").into_inner();
    match answer.payload {
        Some(v0::send_message_response::Payload::Task(task)) => task,
        other => panic!("{other:?}"),
    }
}

fn get(id: &str) -> v1::GetTaskRequest {
    v1::GetTaskRequest { id: id.to_owned(), ..Default::default() }
}

fn cancel(id: &str) -> v1::CancelTaskRequest {
    v1::CancelTaskRequest { id: id.to_owned(), ..Default::default() }
}

fn state(task: &v1::Task) -> v1::TaskState {
    task.status.as_ref().expect("a task has a status").state()
}

fn old_state(task: &v0::Task) -> v1::TaskState {
    task.status.as_ref().expect("a task has a status").state()
}

fn texts(parts: &[v1::Part]) -> Vec<&str> {
    let texts = parts.iter().filter_map(|part| match &part.content {
        Some(v1::part::Content::Text(text)) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

async fn next<T>(stream: &mut Streaming<T>) -> Option<T> {
    let event = timeout(TASK_TIMEOUT, stream.message()).await.expect("an event in time");
    event.expect("the stream does not fail")
}

async fn rest<T>(mut stream: Streaming<T>) -> Vec<T> {
    let mut events = Vec::new();
    while let Some(event) = next(&mut stream).await {
        events.push(event);
    }
    events
}

async fn a_task_is_the_same_as_over_json_rpc(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let task = sent(&stack, saying("!chunks 3 10; artifact data; complete well done")).await;
    assert_eq!(state(&task), v1::TaskState::Completed);
    let read = new(&stack).get_task(get(&task.id)).await.expect("it is there").into_inner();
    assert_eq!(read, task);
    let same = tasks::get(&stack.client(), &task.id).await;
    assert_eq!((tasks::state(&same), &same["contextId"]), ("COMPLETED", &json!(task.context_id)));
    assert_eq!(tasks::artifact_texts(&same), texts(&task.artifacts[0].parts));
    assert_eq!(same["artifacts"].as_array().map(Vec::len), Some(task.artifacts.len()));
    let history = v1::GetTaskRequest { history_length: Some(0), ..get(&task.id) };
    let short = new(&stack).get_task(history).await.expect("it is there").into_inner();
    assert_eq!((short.history.len(), task.history.len()), (0, 1));
    stack.assert_no_errors_logged();
}

async fn tasks_are_listed_page_by_page(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let mut sent_ids = Vec::new();
    for text in ["one", "two", "!fail three"] {
        sent_ids.insert(0, sent(&stack, saying(text)).await.id);
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    for _ in 0..2 {
        let page = v1::ListTasksRequest {
            page_size: Some(2),
            page_token: token,
            ..v1::ListTasksRequest::default()
        };
        let page = new(&stack).list_tasks(page).await.expect("there is a page").into_inner();
        assert_eq!((page.total_size, page.page_size), (3, 2));
        seen.extend(page.tasks.into_iter().map(|task| task.id));
        token = page.next_page_token;
    }
    assert_eq!((seen, token.as_str()), (sent_ids, ""));
    let failed =
        v1::ListTasksRequest { status: v1::TaskState::Failed.into(), ..Default::default() };
    let failed = new(&stack).list_tasks(failed).await.expect("there is a page").into_inner();
    assert_eq!(failed.total_size, 1);
}

async fn a_running_task_is_canceled_once(mode: Mode) {
    let stack = StackBuilder::new(mode).set("server.cancel_grace", "20s").start().await;
    let task = sent(&stack, return_immediately(saying("!hang"))).await;
    tasks::wait_for_state(&stack.client(), &task.id, "WORKING").await;
    let canceled = new(&stack).cancel_task(cancel(&task.id)).await.expect("it runs").into_inner();
    assert_eq!(state(&canceled), v1::TaskState::Canceled);
    let again = new(&stack).cancel_task(cancel(&task.id)).await.expect_err("it has ended");
    errors::assert_is(&again, tonic::Code::FailedPrecondition, "TASK_NOT_CANCELABLE");
}

async fn a_task_that_asks_is_answered(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let asked = sent(&stack, saying("!ask-until yes")).await;
    assert_eq!(state(&asked), v1::TaskState::InputRequired);
    let again = sent(&stack, reply_to(&asked, "no")).await;
    assert_eq!((state(&again), &again.id), (v1::TaskState::InputRequired, &asked.id));
    let done = sent(&stack, reply_to(&asked, "yes")).await;
    assert_eq!((state(&done), &done.id), (v1::TaskState::Completed, &asked.id));
    assert_eq!(done.context_id, asked.context_id);
}

async fn a_stream_has_every_event_once_and_in_order(mode: Mode) {
    use v1::stream_response::Payload;
    let stack = StackBuilder::new(mode).start().await;
    let asked = saying("!progress 2; chunks 50 10; complete done");
    let stream = new(&stack).send_streaming_message(asked).await.expect("it is accepted");
    let (mut states, mut chunks, mut cursors, mut task) =
        (Vec::new(), Vec::new(), Vec::new(), String::new());
    for event in rest(stream.into_inner()).await {
        match event.payload.expect("an event says something") {
            Payload::Task(first) => {
                states.push(state(&first));
                cursors.push(seq(first.metadata));
                task = first.id;
            }
            Payload::StatusUpdate(event) => {
                states.push(event.status.expect("it has one").state());
                cursors.push(seq(event.metadata));
            }
            Payload::ArtifactUpdate(event) => {
                let artifact = event.artifact.expect("it has one");
                chunks.extend(texts(&artifact.parts).into_iter().map(str::to_owned));
                cursors.push(seq(event.metadata));
            }
            Payload::Message(message) => panic!("{message:?}"),
        }
    }
    let read = new(&stack).get_task(get(&task)).await.expect("it is there").into_inner();
    assert_eq!(chunks, texts(&read.artifacts[0].parts));
    assert_eq!(chunks.len(), 50);
    assert!(cursors.is_sorted_by(|one, next| one < next), "{cursors:?}");
    assert_eq!(states.first(), Some(&v1::TaskState::Submitted));
    assert_eq!(states.last(), Some(&v1::TaskState::Completed));
    stack.assert_no_errors_logged();
}

async fn a_stream_that_is_sent_again_follows_the_same_task(mode: Mode) {
    use v1::stream_response::Payload;
    let stack = StackBuilder::new(mode).start().await;
    let request = saying("!ask");
    let task = sent(&stack, request.clone()).await;
    let again = new(&stack).send_streaming_message(request).await.expect("it is accepted");
    let first = next(&mut again.into_inner()).await.and_then(|event| event.payload);
    let Some(Payload::Task(first)) = first else { panic!("{first:?}") };
    assert_eq!(first.id, task.id);
}

async fn a_subscription_begins_with_the_task_as_it_is(mode: Mode) {
    use v1::stream_response::Payload;
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let asked = sent(&stack, saying("!ask-until yes")).await;
    let subscribe = v1::SubscribeToTaskRequest { id: asked.id.clone(), ..Default::default() };
    let mut other = NewClient::new(channel(&stack, 1));
    let stream = other.subscribe_to_task(subscribe.clone()).await.expect("it has not ended");
    let mut stream = stream.into_inner();
    let first = next(&mut stream).await.and_then(|event| event.payload);
    let Some(Payload::Task(first)) = first else { panic!("{first:?}") };
    assert_eq!((first.status, first.history), (asked.status.clone(), asked.history.clone()));
    sent(&stack, reply_to(&asked, "yes")).await;
    let last = rest(stream).await.pop().and_then(|event| event.payload);
    let Some(Payload::StatusUpdate(last)) = last else { panic!("{last:?}") };
    assert_eq!(last.status.expect("it has one").state(), v1::TaskState::Completed);
    let behind = resuming(subscribe.clone(), seq(last.metadata));
    let over = other.subscribe_to_task(behind).await.expect("who has a cursor may come again");
    assert_eq!(rest(over.into_inner()).await, []);
    let ended = other.subscribe_to_task(subscribe).await.expect_err("it has ended");
    errors::assert_is(&ended, tonic::Code::FailedPrecondition, "UNSUPPORTED_OPERATION");
}

async fn clients_of_0_3_have_a_service_of_their_own(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let asked = old_sent(&stack, old_message(unique::name("m"), "!ask which one?")).await;
    assert_eq!(old_state(&asked), v1::TaskState::InputRequired, "who does not configure waits");
    let mut reply = old_message(unique::name("m"), "the red one");
    reply.request.get_or_insert_default().task_id.clone_from(&asked.id);
    let done = old_sent(&stack, reply).await;
    assert_eq!((old_state(&done), &done.id), (v1::TaskState::Completed, &asked.id));
    let name = format!("tasks/{}", asked.id);
    let read = v0::GetTaskRequest { name: name.clone(), history_length: 0 };
    let read = old(&stack).get_task(read).await.expect("it is there").into_inner();
    assert_eq!(read, done);
    let same = new(&stack).get_task(get(&asked.id)).await.expect("it is there").into_inner();
    assert_eq!(state(&same), v1::TaskState::Completed);
    let again = old(&stack).cancel_task(v0::CancelTaskRequest { name }).await;
    let again = again.expect_err("it has ended");
    errors::assert_is(&again, tonic::Code::FailedPrecondition, "TASK_NOT_CANCELABLE");

    let mut hangs = old_message(unique::name("m"), "!hang");
    hangs.configuration = Some(v0::SendMessageConfiguration::default());
    let begun = old_sent(&stack, hangs).await;
    assert!(old_state(&begun) != v1::TaskState::Completed, "it does not wait");
    let name = format!("tasks/{}", begun.id);
    let canceled = old(&stack).cancel_task(v0::CancelTaskRequest { name }).await;
    assert_eq!(old_state(canceled.expect("it runs").get_ref()), v1::TaskState::Canceled);
    let card = old(&stack).get_agent_card(v0::GetAgentCardRequest {}).await;
    assert_eq!(card.expect("there is a card").get_ref().name, "script");
    stack.assert_no_errors_logged();
}

async fn a_stream_of_0_3_marks_its_last_event(mode: Mode) {
    use v0::stream_response::Payload;
    let stack = StackBuilder::new(mode).start().await;
    let asked = old_message(unique::name("m"), "!chunks 5 10; ask more?");
    let stream = old(&stack).send_streaming_message(asked).await.expect("it is accepted");
    let events: Vec<_> =
        rest(stream.into_inner()).await.into_iter().filter_map(|event| event.payload).collect();
    assert!(matches!(events[0], Payload::Task(_)), "{:?}", events[0]);
    let chunks = events.iter().filter(|event| matches!(event, Payload::ArtifactUpdate(_))).count();
    assert_eq!(chunks, 5);
    let finals: Vec<bool> = events
        .iter()
        .filter_map(|event| match event {
            Payload::StatusUpdate(event) => Some(event.r#final),
            _ => None,
        })
        .collect();
    assert_eq!(finals, [false, true], "working, and the question");
}

async fn a_reply_without_a_task_is_a_message(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let mut request = saying("!direct just so");
    "direct".clone_into(&mut request.tenant);
    let answer = new(&stack).send_message(request).await.expect("it is accepted").into_inner();
    let Some(v1::send_message_response::Payload::Message(said)) = answer.payload else {
        panic!("{answer:?}")
    };
    assert_eq!(texts(&said.parts), ["just so"]);
}

async fn many_streams_share_a_connection(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = new(&stack);
    let seen = join_all((0..40).map(|_| {
        let mut client = client.clone();
        async move {
            let stream = client.send_streaming_message(saying("!chunks 20 10 2")).await;
            rest(stream.expect("it is accepted").into_inner()).await.len()
        }
    }));
    assert_eq!(seen.await, [23; 40], "the task, working, the chunks and the end");
}

async fn agents_are_found_by_tenant(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let mut request = saying("!ask");
    "echo".clone_into(&mut request.tenant);
    let echoed = sent(&stack, request).await;
    assert_eq!(state(&echoed), v1::TaskState::Completed, "the echo asks nothing");
    let here = v1::GetTaskRequest { tenant: "echo".to_owned(), ..get(&echoed.id) };
    assert_eq!(new(&stack).get_task(here).await.expect("it is there").into_inner(), echoed);
    let asked = sent(&stack, saying("!ask")).await;
    assert_eq!(state(&asked), v1::TaskState::InputRequired, "the agent at the root does");
    let mut request = saying("x");
    "nobody".clone_into(&mut request.tenant);
    let refused = new(&stack).send_message(request).await.expect_err("there is no such agent");
    errors::assert_is(&refused, tonic::Code::FailedPrecondition, "UNSUPPORTED_OPERATION");
}
