//! Streams: every event once, in order, on every node and from every cursor.

use futures::future::join_all;
use longhaul_tests::sse::EventStream;
use longhaul_tests::tasks::{
    TASK_TIMEOUT, fold, get, id, message, reply_to, return_immediately, send, start, stream,
    task_of, wait_for_parts, wait_for_state,
};
use longhaul_tests::{Mode, Stack, StackBuilder, on_both_modes};
use serde_json::{Value, json};

on_both_modes!(
    a_stream_begins_with_the_task_and_its_ids_ascend,
    five_hundred_chunks_arrive_in_order,
    folding_a_stream_gives_the_task,
    a_subscriber_of_another_node_sees_the_same_events,
    a_stream_is_resumed_behind_its_cursor,
    a_cursor_at_the_end_of_an_ended_task_ends_at_once,
    a_cursor_past_the_end_waits,
    an_ended_task_cannot_be_subscribed_to_without_a_cursor,
    a_silent_stream_sends_keep_alives,
    a_streaming_send_ends_with_a_question_and_stays_for_an_authorization,
    a_subscription_stays_open_on_a_parked_task,
    a_stream_that_is_sent_again_follows_the_same_task,
);

type Events = Vec<(Option<String>, Value)>;

fn cursors(events: &Events) -> Vec<i64> {
    let number = |id: &Option<String>| {
        id.as_deref()
            .and_then(|id| id.parse().ok())
            .unwrap_or_else(|| panic!("no event id: {id:?}"))
    };
    events.iter().map(|(id, _)| number(id)).collect()
}

fn values(events: &Events) -> Vec<Value> {
    events.iter().map(|(_, value)| value.clone()).collect()
}

async fn subscribe(stack: &Stack, node: usize, task: &str, cursor: Option<&str>) -> EventStream {
    let client = stack.client_at(node);
    let client = match cursor {
        Some(cursor) => client.header("last-event-id", cursor),
        None => client,
    };
    client.stream("SubscribeToTask", json!({"id": task})).await
}

fn chunks(events: &[Value]) -> Vec<String> {
    let updates =
        events.iter().map(|event| &event["artifactUpdate"]["artifact"]["parts"][0]["text"]);
    updates.filter_map(|text| text.as_str()).map(|text| text[..7].to_owned()).collect()
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|number| format!("{number:07}")).collect()
}

async fn a_stream_begins_with_the_task_and_its_ids_ascend(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let mut stream = stream(&stack.client(), "!progress 3; chunks 3; artifact mixed").await;
    assert!(
        stream.headers["content-type"]
            .to_str()
            .is_ok_and(|kind| kind.starts_with("text/event-stream"))
    );
    assert_eq!(stream.headers["cache-control"], "no-cache");
    let events = stream.collect_results(TASK_TIMEOUT).await;
    let first = &events[0].1["task"];
    assert_eq!(first["status"]["state"], "TASK_STATE_SUBMITTED");
    assert_eq!(first["history"][0]["parts"][0]["text"], "!progress 3; chunks 3; artifact mixed");
    let ids = cursors(&events);
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    for event in values(&events).iter().skip(1) {
        let update =
            if event["statusUpdate"].is_object() { "statusUpdate" } else { "artifactUpdate" };
        assert_eq!(
            (&event[update]["taskId"], &event[update]["contextId"]),
            (&first["id"], &first["contextId"])
        );
    }
    let states: Vec<&str> =
        events.iter().filter_map(|(_, e)| e["statusUpdate"]["status"]["state"].as_str()).collect();
    assert_eq!(states.first().copied(), Some("TASK_STATE_WORKING"));
    assert_eq!(states.last().copied(), Some("TASK_STATE_COMPLETED"));
    assert_eq!(
        events.last().map(|(_, e)| e["statusUpdate"].is_object()),
        Some(true),
        "the end is last"
    );
}

async fn five_hundred_chunks_arrive_in_order(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let events =
        stream(&stack.client(), "!chunks 500 200").await.collect_results(TASK_TIMEOUT).await;
    assert_eq!(chunks(&values(&events)), numbers(1..=500));
    let updates: Vec<Value> = values(&events)
        .iter()
        .map(|e| e["artifactUpdate"].clone())
        .filter(Value::is_object)
        .collect();
    assert_ne!(updates[0]["append"], true);
    assert!(updates[1..].iter().all(|update| update["append"] == true));
    assert!(updates[..499].iter().all(|update| update["lastChunk"] != true));
    assert_eq!(updates[499]["lastChunk"], true);
    stack.assert_no_errors_logged();
}

async fn folding_a_stream_gives_the_task(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    for text in [
        "hello",
        "!progress 5; chunks 20; artifact mixed; artifact data; complete done",
        "!fail no",
        "!progress 1; reject no",
    ] {
        let events = stream(&client, text).await.collect_results(TASK_TIMEOUT).await;
        let folded = fold(&values(&events));
        let task = get(&client, &id(&folded)).await;
        for member in ["id", "contextId", "status", "artifacts", "history"] {
            assert_eq!(folded[member], task[member], "{member} of {text}");
        }
    }
}

async fn a_subscriber_of_another_node_sees_the_same_events(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let client = stack.client();
    let task = id(&send(&client, "!ask").await);
    let streams: Vec<EventStream> =
        join_all((0..4).map(|node| subscribe(&stack, node, &task, None))).await;
    client
        .call("SendMessage", return_immediately(reply_to(&task, "!chunks 100 50 2; progress 2")))
        .await;
    let seen = join_all(
        streams
            .into_iter()
            .map(|mut stream| async move { stream.collect_results(TASK_TIMEOUT).await }),
    )
    .await;
    let wanted = get(&client, &task).await;
    for events in &seen {
        assert_eq!(chunks(&values(events)), numbers(1..=100));
        assert_eq!(fold(&values(events))["artifacts"], wanted["artifacts"]);
        let tail = |events: &Events| events[events.len() - 100..].to_vec();
        assert_eq!(tail(events), tail(&seen[0]), "the same events under the same ids");
    }
}

async fn a_stream_is_resumed_behind_its_cursor(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let client = stack.client();
    let events =
        stream(&client, "!chunks 50; progress 3").await.collect_results(TASK_TIMEOUT).await;
    let task = id(&events[0].1["task"]);
    for at in [0, 1, 10, events.len() - 2] {
        let cursor = events[at].0.as_deref();
        let resumed =
            subscribe(&stack, at, &task, cursor).await.collect_results(TASK_TIMEOUT).await;
        assert_eq!(resumed, events[at + 1..], "behind event {at} of an ended task");
    }
    let all = subscribe(&stack, 1, &task, Some("0")).await.collect_results(TASK_TIMEOUT).await;
    assert_eq!(all, events[1..], "everything that is an event, without the snapshot");

    let task = id(&start(&client, "!chunks 400 20 5").await);
    wait_for_parts(&client, &task, 5).await;
    let mut first = subscribe(&stack, 0, &task, Some("0")).await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        seen.push(first.next_result(TASK_TIMEOUT).await.expect("the task still runs"));
    }
    drop(first);
    let cursor = seen.last().and_then(|(id, _)| id.clone());
    let mut second = subscribe(&stack, 1, &task, cursor.as_deref()).await;
    seen.extend(second.collect_results(TASK_TIMEOUT).await);
    assert_eq!(chunks(&values(&seen)), numbers(1..=400), "nothing is missed or seen twice");
}

async fn a_cursor_at_the_end_of_an_ended_task_ends_at_once(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let events = stream(&stack.client(), "!chunks 3").await.collect_results(TASK_TIMEOUT).await;
    let task = id(&events[0].1["task"]);
    let last = events.last().and_then(|(id, _)| id.clone());
    for cursor in [last.as_deref(), Some("100000")] {
        let rest = subscribe(&stack, 0, &task, cursor).await.collect_results(TASK_TIMEOUT).await;
        assert_eq!(rest, []);
    }
}

async fn a_cursor_past_the_end_waits(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let task = send(&client, "!ask").await;
    let all = async {
        let mut stream = subscribe(&stack, 0, &id(&task), Some("0")).await;
        let mut events = Vec::new();
        while let Some(event) = stream.next_result(TASK_TIMEOUT).await {
            let asks = event.1["statusUpdate"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED";
            events.push(event);
            if asks {
                break;
            }
        }
        events
    };
    let last = cursors(&all.await).pop().expect("there were events");
    let (at, past) = (last.to_string(), (last + 3).to_string());
    let mut at_end = subscribe(&stack, 0, &id(&task), Some(&at)).await;
    let mut past_end = subscribe(&stack, 0, &id(&task), Some(&past)).await;
    client.call("SendMessage", reply_to(&id(&task), "go")).await;
    let (at_end, past_end) =
        (at_end.collect_results(TASK_TIMEOUT).await, past_end.collect_results(TASK_TIMEOUT).await);
    assert!(!at_end.is_empty() && cursors(&at_end).iter().all(|cursor| *cursor > last));
    let later: Events = at_end
        .into_iter()
        .filter(|(id, _)| id.as_ref().and_then(|id| id.parse::<i64>().ok()) > Some(last + 3))
        .collect();
    assert_eq!(past_end, later, "only what is behind the cursor");
}

async fn an_ended_task_cannot_be_subscribed_to_without_a_cursor(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    for text in ["done", "!fail", "!cancel", "!reject"] {
        let task = send(&client, text).await;
        let error = client.call_error("SubscribeToTask", json!({"id": task["id"]})).await;
        assert_eq!(error.code, -32004, "{text}");
    }
}

async fn a_silent_stream_sends_keep_alives(mode: Mode) {
    let stack = StackBuilder::new(mode).set("server.keep_alive", "200ms").start().await;
    let mut stream = stream(&stack.client(), "!wait 2000; chunks 2").await;
    let events = stream.collect_results(TASK_TIMEOUT).await;
    assert!(stream.comments() >= 5, "{} comments in two seconds", stream.comments());
    assert!(stream.comments() <= 30, "{} comments in two seconds", stream.comments());
    assert_eq!(chunks(&values(&events)), numbers(1..=2));
}

async fn a_streaming_send_ends_with_a_question_and_stays_for_an_authorization(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let events = stream(&client, "!chunks 2; ask more?").await.collect_results(TASK_TIMEOUT).await;
    let last = &events.last().expect("there are events").1["statusUpdate"]["status"];
    assert_eq!(last["state"], "TASK_STATE_INPUT_REQUIRED");
    let task = id(&events[0].1["task"]);
    let mut answer = client.stream("SendStreamingMessage", reply_to(&task, "more")).await;
    let answer = answer.collect_results(TASK_TIMEOUT).await;
    assert_eq!(answer[0].1["task"]["id"], json!(task));
    assert_eq!(fold(&values(&answer))["artifacts"], get(&client, &task).await["artifacts"]);

    let mut waits = stream(&client, "!auth log in").await;
    let task = id(&waits.next_result(TASK_TIMEOUT).await.expect("a snapshot").1["task"]);
    wait_for_state(&client, &task, "AUTH_REQUIRED").await;
    client.call("CancelTask", json!({"id": task})).await;
    let states: Vec<Value> = values(&waits.collect_results(TASK_TIMEOUT).await)
        .iter()
        .map(|e| e["statusUpdate"]["status"]["state"].clone())
        .collect();
    assert_eq!(states, ["TASK_STATE_WORKING", "TASK_STATE_AUTH_REQUIRED", "TASK_STATE_CANCELED"]);
}

async fn a_subscription_stays_open_on_a_parked_task(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let client = stack.client();
    let task = send(&client, "!ask-until yes").await;
    let mut stream = subscribe(&stack, 1, &id(&task), None).await;
    let snapshot = stream.next_result(TASK_TIMEOUT).await.expect("a snapshot").1;
    assert_eq!(snapshot["task"], task);
    for answer in ["no", "yes"] {
        client.call("SendMessage", reply_to(&id(&task), answer)).await;
    }
    let states: Vec<Value> = values(&stream.collect_results(TASK_TIMEOUT).await)
        .iter()
        .map(|e| e["statusUpdate"]["status"]["state"].clone())
        .filter(Value::is_string)
        .collect();
    let turn = ["TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"];
    let (asks, ends) = (
        [turn[0], turn[1], "TASK_STATE_INPUT_REQUIRED"],
        [turn[0], turn[1], "TASK_STATE_COMPLETED"],
    );
    assert_eq!(states, [asks, ends].concat());
}

async fn a_stream_that_is_sent_again_follows_the_same_task(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let client = stack.client();
    let params = message("!wait 1500; chunks 20");
    let task = id(&task_of(client.call("SendMessage", return_immediately(params.clone())).await));
    let mut again = stack.client_at(1).stream("SendStreamingMessage", params).await;
    let first = again.next_result(TASK_TIMEOUT).await.expect("a snapshot").1;
    assert_eq!(first["task"]["id"], json!(task));
    let events = again.collect_results(TASK_TIMEOUT).await;
    assert_eq!(chunks(&values(&events)), numbers(1..=20));
}
