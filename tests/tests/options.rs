//! Options of the durability extension, in both modes.

use std::time::{Duration, Instant};

use futures::future::join_all;
use longhaul_tests::tasks::{
    artifact_texts, durable, get, id, message, return_immediately, send, start, state, task_of,
    timestamp_in, violations, wait_for_state, with,
};
use longhaul_tests::{Client, Mode, StackBuilder, on_both_modes};
use serde_json::{Value, json};

on_both_modes! {
    a_task_is_not_started_before_its_time,
    a_deadline_ends_running_waiting_and_parked_tasks,
    a_task_that_is_not_started_in_time_fails,
    an_attempt_without_progress_is_stopped_and_one_with_progress_is_not,
    a_message_says_how_often_and_how_long_it_is_tried,
    an_idempotency_key_stands_for_the_message,
    sends_with_one_idempotency_key_at_once_are_one_task,
    options_that_cannot_be_understood_are_named,
    a_higher_priority_goes_first,
    tasks_of_one_concurrency_key_run_one_after_the_other,
    one_owners_backlog_does_not_make_another_owner_wait,
    a_full_queue_rejects_new_tasks_and_keeps_the_queued_ones,
    a_client_that_asks_for_it_sees_how_its_task_is_run,
}

const URN: &str = "urn:longhaul:a2a:durability:v1";

fn in_millis(millis: u64) -> String {
    timestamp_in(Duration::from_millis(millis))
}

async fn send_durable(client: &Client, text: &str, options: Value) -> Value {
    task_of(client.call("SendMessage", durable(text, options)).await)
}

async fn start_durable(client: &Client, text: &str, options: Value) -> Value {
    task_of(client.call("SendMessage", return_immediately(durable(text, options))).await)
}

/// Failure details in the status metadata of a failed task.
fn failure(task: &Value) -> Value {
    assert_eq!(state(task), "FAILED", "{task}");
    task["status"]["message"]["metadata"][URN].clone()
}

async fn a_task_is_not_started_before_its_time(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let begun = Instant::now();
    let options = json!({"notBefore": in_millis(2_000)});
    let early = send(&stack.client(), "at once").await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{early}");
    let task = send_durable(&stack.client(), "later", options).await;
    assert_eq!(artifact_texts(&task), ["later"]);
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(1_900), "{waited:?}");
    assert!(waited < Duration::from_secs(6), "{waited:?}");
}

async fn a_deadline_ends_running_waiting_and_parked_tasks(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let soon = || in_millis(1_500);
    let running = start_durable(&client, "!hang", json!({"deadline": soon()})).await;
    let stubborn = start_durable(&client, "!hang forever", json!({"deadline": soon()})).await;
    let parked = start_durable(&client, "!ask", json!({"deadline": soon()})).await;
    let retrying = json!({"deadline": soon(), "maxAttempts": 100});
    let retrying = start_durable(&client, "!flaky 99", retrying).await;
    for task in [running, stubborn, parked, retrying] {
        let failed = wait_for_state(&client, &id(&task), "FAILED").await;
        assert_eq!(failure(&failed)["because"], "deadline", "{failed}");
    }
    let past = json!({"deadline": "2020-01-01T00:00:00Z"});
    let refused = client.call_error("SendMessage", durable("too late", past)).await;
    assert_eq!(refused.code, -32602);
}

async fn a_task_that_is_not_started_in_time_fails(mode: Mode) {
    let agent = "name = \"narrow\"\nexecutor = \"script\"\nconcurrency = 1";
    let stack = StackBuilder::new(mode).agent(agent).start().await;
    let client = stack.client().rpc_path("/agents/narrow");
    let first = id(&longhaul_tests::tasks::start_working(&client, "!wait 20000").await);
    let second = send_durable(&client, "never", json!({"queueTimeout": 1})).await;
    assert_eq!(failure(&second)["because"], "queue-timeout");
    client.call("CancelTask", json!({"id": first})).await;
}

async fn an_attempt_without_progress_is_stopped_and_one_with_progress_is_not(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let (client, options) = (stack.client(), json!({"noProgressTimeout": "1s", "maxAttempts": 1}));
    let (silent, busy, quiet) = tokio::join!(
        send_durable(&client, "!wait 60000", options.clone()),
        send_durable(&client, "!progress 8 300; complete", options.clone()),
        send_durable(&client, "!heartbeat 8 300; complete", options.clone()),
    );
    assert_eq!(failure(&silent)["because"], "no-progress");
    assert_eq!(state(&busy), "COMPLETED");
    assert_eq!(state(&quiet), "COMPLETED", "a sign that says nothing is one");
}

async fn a_message_says_how_often_and_how_long_it_is_tried(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let twice = send_durable(&client, "!flaky 9", json!({"maxAttempts": 2})).await;
    assert_eq!(failure(&twice)["because"], "attempts-used-up");
    assert_eq!(failure(&twice)["attempts"], 2);
    let brief = json!({"timeout": 0.5, "maxAttempts": 1});
    let brief = send_durable(&client, "!wait 60000", brief).await;
    assert_eq!(failure(&brief)["because"], "attempt-timeout");
    assert!(brief["status"].to_string().contains("0.5 s"), "it names the limit: {brief}");
}

async fn an_idempotency_key_stands_for_the_message(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let key = json!({"idempotencyKey": "order-7"});
    let first = send_durable(&client, "book it", key.clone()).await;
    let mut again = durable("book it", key.clone());
    again = with(again, "/message/messageId", json!("another id"));
    let again = task_of(client.call("SendMessage", again).await);
    assert_eq!(id(&again), id(&first));
    let other = client.call_error("SendMessage", durable("book another", key)).await;
    assert_eq!(other.code, -32602);
    assert!(other.message.contains("idempotency key"), "{}", other.message);
}

async fn sends_with_one_idempotency_key_at_once_are_one_task(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    for round in 0..10 {
        let sends = (0..6).map(|node| {
            let options = json!({"idempotencyKey": format!("order-{round}")});
            let client = stack.client_at(node);
            async move { id(&start_durable(&client, "book it", options).await) }
        });
        let tasks = join_all(sends).await;
        assert!(tasks.iter().all(|task| *task == tasks[0]), "{tasks:?}");
    }
}

async fn options_that_cannot_be_understood_are_named(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    for (options, member) in [
        (json!({"maxAttempts": 0}), "maxAttempts"),
        (json!({"priority": "high"}), "priority"),
        (json!({"notBefore": "soon"}), "notBefore"),
        (json!({"timeout": -1}), "timeout"),
    ] {
        let error = client.call_error("SendMessage", durable("x", options)).await;
        assert_eq!(error.code, -32602);
        let named = violations(&error.data);
        assert!(named.iter().any(|path| path.ends_with(member)), "{member}: {named:?}");
    }
    let task = send(&client, "!ask").await;
    let late = durable("answer", json!({"priority": 3}));
    let late = with(late, "/message/taskId", json!(id(&task)));
    let refused = client.call_error("SendMessage", late).await;
    assert_eq!(refused.code, -32602, "what is the task's is not changed by an answer");
}

/// An agent that runs one task at a time on all workers together.
const ONE_AT_A_TIME: &str = "name = \"one\"\nexecutor = \"script\"\n\n[agent.limits]\nrunning = 1";

async fn a_higher_priority_goes_first(mode: Mode) {
    let stack = StackBuilder::new(mode).agent(ONE_AT_A_TIME).start().await;
    let client = stack.client().rpc_path("/agents/one");
    let first = longhaul_tests::tasks::start_working(&client, "!wait 1500").await;
    let mut tasks = Vec::new();
    for priority in [0, -5, 10] {
        let task = start_durable(&client, "!wait 100", json!({"priority": priority})).await;
        tasks.push((priority, id(&task)));
    }
    wait_for_state(&client, &id(&first), "COMPLETED").await;
    let mut ended = Vec::new();
    for (priority, task) in tasks {
        let done = wait_for_state(&client, &task, "COMPLETED").await;
        ended.push((done["status"]["timestamp"].to_string(), priority));
    }
    ended.sort();
    let order: Vec<i32> = ended.into_iter().map(|(_, priority)| priority).collect();
    assert_eq!(order, [10, 0, -5]);
}

async fn tasks_of_one_concurrency_key_run_one_after_the_other(mode: Mode) {
    let agent = "name = \"keyed\"\nexecutor = \"script\"\n\n[agent.limits]\nrunning_per_key = 1";
    let stack = StackBuilder::new(mode).workers(2).agent(agent).start().await;
    let stack = &stack;
    let run = async |key: &'static str, n: usize| {
        let begun = Instant::now();
        let sends = (0..n).map(|_| {
            let client = stack.client().rpc_path("/agents/keyed");
            let options = json!({"concurrencyKey": key});
            async move { send_durable(&client, "!wait 600", options).await }
        });
        for task in join_all(sends).await {
            assert_eq!(state(&task), "COMPLETED");
        }
        begun.elapsed()
    };
    let (a, b) = tokio::join!(run("a", 4), run("b", 1));
    assert!(a >= Duration::from_millis(2_400), "four of 600 ms, one by one: {a:?}");
    assert!(b < a, "another key does not wait: {b:?} and {a:?}");
}

async fn one_owners_backlog_does_not_make_another_owner_wait(mode: Mode) {
    let setup = StackBuilder::new(mode).agent(ONE_AT_A_TIME).key("many", "read,write");
    let stack = setup.key("few", "read,write").start().await;
    let many = stack.client().rpc_path("/agents/one");
    let few = stack.anonymous().bearer(stack.key(1)).rpc_path("/agents/one");
    for _ in 0..60 {
        start(&many, "!wait 100").await;
    }
    let done = send(&few, "!wait 100").await;
    assert_eq!(state(&done), "COMPLETED");
    let open = json!({"status": "TASK_STATE_SUBMITTED", "pageSize": 1});
    let waiting = many.call("ListTasks", open).await["totalSize"].as_u64();
    assert!(waiting > Some(20), "the one did not wait for the sixty: {waiting:?} still wait");
}

async fn a_full_queue_rejects_new_tasks_and_keeps_the_queued_ones(mode: Mode) {
    let agent = "name = \"full\"\nexecutor = \"script\"\n\n[agent.limits]\nrunning = 1\nqueued = 5";
    let stack = StackBuilder::new(mode).agent(agent).start().await;
    let client = stack.client().rpc_path("/agents/full");
    let mut taken = Vec::new();
    let mut refused = None;
    for _ in 0..50 {
        match client.try_call("SendMessage", return_immediately(message("!wait 300"))).await {
            Ok(answer) => taken.push(id(&task_of(answer))),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let refused = refused.expect("the queue is full at some time");
    assert_eq!(refused.code, -32052, "{refused:?}");
    assert!((5..20).contains(&taken.len()), "{}", taken.len());
    for task in &taken {
        wait_for_state(&client, task, "COMPLETED").await;
    }
    assert_eq!(state(&send(&client, "there is room again").await), "COMPLETED");
}

async fn a_client_that_asks_for_it_sees_how_its_task_is_run(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let plain = stack.client();
    let options = json!({"notBefore": in_millis(600_000), "priority": 7});
    let task = id(&start_durable(&plain, "x", options).await);
    assert!(get(&plain, &task).await["metadata"][URN].is_null());
    let client = stack.client().header("a2a-extensions", URN);
    let told = get(&client, &task).await["metadata"][URN].clone();
    assert_eq!((&told["priority"], &told["queue"]), (&json!(7), &json!("scheduled")), "{told}");
    plain.call("CancelTask", json!({"id": task})).await;
    assert_eq!(state(&get(&plain, &task).await), "CANCELED");
}
