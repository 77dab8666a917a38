//! No acknowledged write is lost, whichever process dies at any time.

use std::time::Duration;

use futures::future::join_all;
use longhaul_tests::child::ProcessExit;
use longhaul_tests::tasks::{
    TASK_TIMEOUT, artifact_texts, get, id, message, reply_to, return_immediately, send, start,
    start_working, state, stream, task_of, texts, wait_for_parts, wait_for_state,
};
use longhaul_tests::{Mode, Stack, StackBuilder, on_both_modes};
use serde_json::{Value, json};

on_both_modes!(
    a_task_whose_worker_is_killed_runs_again_and_completes,
    every_task_of_a_killed_worker_completes,
    a_task_acknowledged_before_its_node_is_killed_completes,
    a_retryable_failure_is_tried_again_and_completes,
    attempts_that_are_used_up_fail_the_task_with_its_cause,
    a_panic_of_an_executor_counts_as_a_failed_attempt,
    an_attempt_that_takes_too_long_is_stopped,
    a_stream_is_resumed_on_what_is_left_after_a_kill,
);

fn chunk_numbers(task: &Value) -> Vec<String> {
    texts(&task["artifacts"][0]["parts"]).iter().map(|text| text[..7].to_owned()).collect()
}

fn numbers(last: u32) -> Vec<String> {
    (1..=last).map(|number| format!("{number:07}")).collect()
}

/// A task's whole log, as events.
async fn replay(stack: &Stack, task: &str) -> Vec<Value> {
    let client = stack.client().header("last-event-id", "0");
    let mut stream = client.stream("SubscribeToTask", json!({"id": task})).await;
    stream.collect_results(TASK_TIMEOUT).await.into_iter().map(|(_, event)| event).collect()
}

fn assert_gapless(stack: &Stack, task: &str) {
    if stack.mode() == Mode::Distributed {
        let sql = format!(
            "select count(*) = max(seq) and min(seq) = 1 from log where task_id = '{task}'"
        );
        assert_eq!(stack.database().sql(&sql), "t", "the log of {task} has gaps");
    }
}

async fn a_task_whose_worker_is_killed_runs_again_and_completes(mode: Mode) {
    let mut stack = StackBuilder::new(mode).short_lease().start().await;
    let task = id(&start(&stack.client(), "!chunks 40 20 50").await);
    wait_for_parts(&stack.client(), &task, 5).await;
    stack.replace_workers().await;
    let done = wait_for_state(&stack.client(), &task, "COMPLETED").await;
    assert_eq!(
        chunk_numbers(&done),
        numbers(40),
        "the second attempt replaces what the first left"
    );
    assert_gapless(&stack, &task);
    let firsts = replay(&stack, &task)
        .await
        .iter()
        .map(|event| event["artifactUpdate"].clone())
        .filter(|update| update.is_object() && update["append"] != true)
        .count();
    assert!(firsts >= 2, "each attempt begins the artifact anew");
}

async fn every_task_of_a_killed_worker_completes(mode: Mode) {
    let mut stack =
        StackBuilder::new(mode).short_lease().set("worker.concurrency", "8").start().await;
    let client = stack.client();
    let tasks =
        join_all((0..30).map(|n| {
            let client = client.clone();
            async move {
                id(&start(&client, &format!("!wait 300; chunks {} 20 10; complete", n + 1)).await)
            }
        }))
        .await;
    wait_for_state(&client, &tasks[0], "WORKING").await;
    stack.replace_workers().await;
    for (n, task) in tasks.iter().enumerate() {
        let done = wait_for_state(&stack.client(), task, "COMPLETED").await;
        assert_eq!(chunk_numbers(&done).len(), n + 1);
        assert_gapless(&stack, task);
    }
}

async fn a_task_acknowledged_before_its_node_is_killed_completes(mode: Mode) {
    let mut stack = StackBuilder::new(mode).short_lease().start().await;
    let client = stack.client();
    let tasks = join_all((0..20).map(|_| {
        let client = client.clone();
        async move { id(&start(&client, "!wait 200; complete survived").await) }
    }))
    .await;
    stack.kill_node(0);
    stack.start_node(0).await;
    for task in tasks {
        let done = wait_for_state(&stack.client(), &task, "COMPLETED").await;
        assert_eq!(texts(&done["status"]["message"]["parts"]), ["survived"]);
    }
}

async fn a_retryable_failure_is_tried_again_and_completes(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let task = send(&stack.client(), "!chunks 2; flaky 1; complete at last").await;
    assert_eq!(state(&task), "COMPLETED");
    assert_eq!(chunk_numbers(&task), numbers(2), "the second attempt replaces the first's");
    assert_eq!(texts(&task["status"]["message"]["parts"]), ["at last"]);
    assert_gapless(&stack, &id(&task));
}

async fn attempts_that_are_used_up_fail_the_task_with_its_cause(mode: Mode) {
    let agent = "name = \"twice\"\nexecutor = \"script\"\nmax_attempts = 2";
    let stack = StackBuilder::new(mode).agent(agent).start().await;
    let client = stack.client().rpc_path("/agents/twice");
    let task = send(&client, "!flaky 5").await;
    assert_eq!(state(&task), "FAILED");
    let status = task["status"].to_string();
    assert!(status.contains("failed as asked in attempt 2"), "{status}");
    let fatal = send(&client, "!fail for good").await;
    assert!(
        fatal["status"].to_string().contains("attempt 1"),
        "what is not retryable is not tried again: {fatal}"
    );
}

async fn a_panic_of_an_executor_counts_as_a_failed_attempt(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let task = send(&stack.client(), "!panic 1; complete").await;
    assert_eq!(state(&task), "COMPLETED");
    assert_eq!(state(&send(&stack.client(), "the worker lives").await), "COMPLETED");
    stack.assert_healthy().await;
}

async fn an_attempt_that_takes_too_long_is_stopped(mode: Mode) {
    let agent = "name = \"brief\"\nexecutor = \"script\"\ntimeout = \"1s\"\nmax_attempts = 1";
    let stack = StackBuilder::new(mode).agent(agent).start().await;
    let client = stack.client().rpc_path("/agents/brief");
    for text in ["!hang", "!hang forever", "!wait 60000"] {
        let task = send(&client, text).await;
        assert_eq!(state(&task), "FAILED", "{text}");
        assert!(task["status"].to_string().contains("timed out"), "{text}: {task}");
    }
}

async fn a_stream_is_resumed_on_what_is_left_after_a_kill(mode: Mode) {
    let mut stack = StackBuilder::new(mode).short_lease().nodes(2).start().await;
    let mut stream = stream(&stack.client(), "!chunks 60 20 50").await;
    let mut seen = Vec::new();
    for _ in 0..10 {
        seen.push(stream.next_result(TASK_TIMEOUT).await.expect("the task still runs"));
    }
    let task = id(&seen[0].1["task"]);
    stack.kill_node(0);
    while let Some(event) = stream.next_result(TASK_TIMEOUT).await {
        seen.push(event);
    }
    let cursor = seen.last().and_then(|(id, _)| id.clone()).expect("events have ids");
    if mode == Mode::Embedded {
        stack.start_node(0).await;
    }
    let client = stack.client_at(1).header("last-event-id", &cursor);
    let mut rest = client.stream("SubscribeToTask", json!({"id": task})).await;
    seen.extend(rest.collect_results(TASK_TIMEOUT).await);
    let events: Vec<Value> = seen.into_iter().map(|(_, event)| event).collect();
    let folded = longhaul_tests::tasks::fold(&events);
    let task = get(&stack.client_at(1), &task).await;
    assert_eq!(folded["artifacts"], task["artifacts"]);
    assert_eq!(chunk_numbers(&task), numbers(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_worker_releases_its_task_for_another() {
    let mut stack = StackBuilder::new(Mode::Distributed).start().await;
    let task = id(&start(&stack.client(), "!chunks 400 20 20; hang").await);
    wait_for_parts(&stack.client(), &task, 3).await;
    stack.add_worker().await;
    stack.workers()[0].running().sigterm();
    assert_eq!(stack.workers()[0].running().wait_exit(TASK_TIMEOUT), ProcessExit::Code(0));
    let sql = format!("select attempt from runs where task_id = '{task}'");
    assert_eq!(stack.database().sql(&sql), "1", "giving back burns no attempt");
    let canceled = async {
        longhaul_tests::eventually(TASK_TIMEOUT, "the other worker runs it", async || {
            let sql = format!("select worker is not null from runs where task_id = '{task}'");
            let running = stack.database().sql(&sql);
            if running == "t" { Ok(()) } else { Err(running) }
        })
        .await;
        stack.client().call("CancelTask", json!({"id": task})).await
    };
    canceled.await;
    wait_for_state(&stack.client(), &task, "CANCELED").await;
    assert_gapless(&stack, &task);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_given_back_by_one_worker_completes_on_another() {
    let mut stack = StackBuilder::new(Mode::Distributed).start().await;
    let task = id(&start(&stack.client(), "!chunks 60 20 50").await);
    wait_for_parts(&stack.client(), &task, 3).await;
    stack.add_worker().await;
    stack.workers()[0].running().sigterm();
    let done = wait_for_state(&stack.client(), &task, "COMPLETED").await;
    assert_eq!(chunk_numbers(&done), numbers(60));
    let sql = format!("select max(attempt) from log where task_id = '{task}'");
    assert_eq!(stack.database().sql(&sql), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_node_closes_its_streams_and_clients_resume_on_another() {
    let stack = StackBuilder::new(Mode::Distributed).nodes(2).start().await;
    let mut first = stream(&stack.client(), "!chunks 100 20 30").await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(first.next_result(TASK_TIMEOUT).await.expect("the task still runs"));
    }
    let task = id(&seen[0].1["task"]);
    let waits = {
        let client = stack.client();
        async move { task_of(client.call("SendMessage", message("!wait 30000")).await) }
    };
    let drain = async {
        longhaul_tests::eventually(TASK_TIMEOUT, "the waiting send was accepted", async || {
            let page = stack.client_at(1).call("ListTasks", json!({})).await;
            if page["totalSize"] == 2 { Ok(()) } else { Err(page) }
        })
        .await;
        stack.nodes()[0].running().sigterm();
        seen.extend(first.collect_results(Duration::from_secs(10)).await);
    };
    let (waited, ()) = tokio::join!(waits, drain);
    assert!(
        ["SUBMITTED", "WORKING"].contains(&state(&waited)),
        "a waiting send answers with the task as it is: {waited}"
    );
    assert_eq!(stack.nodes()[0].running().wait_exit(TASK_TIMEOUT), ProcessExit::Code(0));
    let cursor = seen.last().and_then(|(id, _)| id.clone()).expect("events have ids");
    let client = stack.client_at(1).header("last-event-id", &cursor);
    let mut rest = client.stream("SubscribeToTask", json!({"id": task})).await;
    seen.extend(rest.collect_results(TASK_TIMEOUT).await);
    let chunks: Vec<String> = seen
        .iter()
        .filter_map(|(_, e)| e["artifactUpdate"]["artifact"]["parts"][0]["text"].as_str())
        .map(|text| text[..7].to_owned())
        .collect();
    assert_eq!(chunks, numbers(100), "nothing is missed or seen twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_writes_nothing_after_its_lease() {
    let mut stack = StackBuilder::new(Mode::Distributed).short_lease().start().await;
    let task = id(&start(&stack.client(), "!chunks 60 20 50").await);
    wait_for_parts(&stack.client(), &task, 3).await;
    stack.workers()[0].running().sigstop();
    stack.add_worker().await;
    let done = wait_for_state(&stack.client(), &task, "COMPLETED").await;
    stack.workers()[0].running().sigcont();
    assert_eq!(chunk_numbers(&done), numbers(60));
    let after = send(&stack.client(), "more work").await;
    assert_eq!(artifact_texts(&after), ["more work"]);
    stack.workers()[0].running().sigterm();
    stack.workers()[0].running().wait_exit(TASK_TIMEOUT);
    assert_eq!(get(&stack.client(), &task).await, done);
    assert_gapless(&stack, &task);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_dev_keeps_its_tasks_for_the_next_start() {
    let mut stack = StackBuilder::new(Mode::Embedded).short_lease().start().await;
    let task = id(&start_working(&stack.client(), "!listen 1; complete").await);
    wait_for_state(&stack.client(), &task, "WORKING").await;
    stack.nodes()[0].running().sigterm();
    assert_eq!(stack.nodes()[0].running().wait_exit(TASK_TIMEOUT), ProcessExit::Code(0));
    stack.start_node(0).await;
    stack.client().call("SendMessage", return_immediately(reply_to(&task, "go"))).await;
    wait_for_state(&stack.client(), &task, "COMPLETED").await;
}
