//! Cancel ends a task in any state and on any node.

use std::time::{Duration, Instant};

use longhaul_tests::tasks::{
    TASK_TIMEOUT, durable, get, id, message, return_immediately, send, start, start_working, state,
    task_of, wait_for_parts, wait_for_state,
};
use longhaul_tests::{Client, Mode, Stack, StackBuilder, on_both_modes};
use serde_json::{Value, json};

on_both_modes! {
    a_parked_a_scheduled_and_a_retrying_task_are_canceled_at_once,
    either_a_cancel_or_a_completion_wins,
    a_cancel_within_a_step_arrives_at_once_and_leaves_nothing_of_the_step,
}

/// Cancels a task and returns the response and its latency.
async fn cancel(client: &Client, task: &str) -> (Value, Duration) {
    let begun = Instant::now();
    let answer = client.call("CancelTask", json!({"id": task})).await;
    (answer, begun.elapsed())
}

/// Asserts from the database that the task has exactly one terminal status.
fn assert_one_end(stack: &Stack, task: &str) {
    let ends = stack.database().sql(&format!(
        "select count(*) from task_history where task_id = '{task}' \
         and state in ('completed', 'failed', 'canceled', 'rejected')"
    ));
    assert_eq!(ends, "1", "task {task}");
}

async fn a_parked_a_scheduled_and_a_retrying_task_are_canceled_at_once(mode: Mode) {
    let agent = "name = \"patient\"\nexecutor = \"script\"\n\n[agent.retry]\ninitial = \"1h\"\nmax = \"1h\"";
    let stack = StackBuilder::new(mode).agent(agent).start().await;
    let client = stack.client();
    let patient = stack.client().rpc_path("/agents/patient");
    let parked = id(&send(&client, "!ask").await);
    let later = durable("x", json!({"notBefore": "2090-01-01T00:00:00Z"}));
    let scheduled = id(&task_of(client.call("SendMessage", return_immediately(later)).await));
    let retrying = id(&start(&patient, "!progress 1; flaky 9").await);
    wait_for_state(&patient, &retrying, "WORKING").await;
    longhaul_tests::eventually(TASK_TIMEOUT, "the first attempt has failed", async || {
        let asked = client.clone().header("a2a-extensions", "urn:longhaul:a2a:durability:v1");
        let told = get(&asked, &retrying).await["metadata"].to_string();
        if told.contains("\"scheduled\"") { Ok(()) } else { Err(told) }
    })
    .await;
    for task in [&parked, &scheduled, &retrying] {
        let (answer, took) = cancel(&client, task).await;
        assert_eq!(state(&answer), "CANCELED");
        assert!(took < Duration::from_millis(800), "nobody has to be waited for: {took:?}");
    }
    let again = client.call_error("CancelTask", json!({"id": parked})).await;
    assert_eq!(again.code, -32002);
}

async fn either_a_cancel_or_a_completion_wins(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    for wait in (0..200).step_by(10) {
        let task = id(&start(&client, &format!("!wait {wait}; complete")).await);
        let answer = client.try_call("CancelTask", json!({"id": task})).await;
        let ended = longhaul_tests::eventually(TASK_TIMEOUT, "it has ended", async || {
            let task = get(&client, &task).await;
            if ["COMPLETED", "CANCELED"].contains(&state(&task)) { Ok(task) } else { Err(task) }
        });
        let ended = ended.await;
        match answer {
            Ok(answer) if state(&answer) == "CANCELED" => assert_eq!(state(&ended), "CANCELED"),
            Ok(_) => {}
            Err(error) => assert_eq!((error.code, state(&ended)), (-32002, "COMPLETED")),
        }
        if mode == Mode::Distributed {
            assert_one_end(&stack, &task);
        }
    }
}

async fn a_cancel_within_a_step_arrives_at_once_and_leaves_nothing_of_the_step(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let task = id(&start(&client, "!step a; step b 60000; step c; effects done").await);
    wait_for_parts(&client, &task, 1).await;
    let (answer, took) = cancel(&client, &task).await;
    assert_eq!(state(&answer), "CANCELED");
    assert!(took < Duration::from_millis(900), "{took:?}");
    let texts = longhaul_tests::tasks::artifact_texts(&get(&client, &task).await);
    assert_eq!(texts, ["a\n"], "what was done stays");
    assert_eq!(stack.effects("done").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_task_is_canceled_while_no_worker_is_there() {
    let mut stack = StackBuilder::new(Mode::Distributed).start().await;
    let client = stack.client();
    send(&client, "warm").await;
    stack.kill_workers();
    let task = id(&start(&client, "never run").await);
    let (answer, took) = cancel(&client, &task).await;
    assert_eq!(state(&answer), "CANCELED");
    assert!(took < Duration::from_millis(800), "{took:?}");
    stack.add_worker().await;
    assert_eq!(state(&send(&client, "others run").await), "COMPLETED");
    assert_eq!(state(&get(&client, &task).await), "CANCELED");
    assert_one_end(&stack, &task);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_worker_is_dead_is_canceled_although_no_worker_runs_it() {
    let mut stack = StackBuilder::new(Mode::Distributed).workers(1).start().await;
    let client = stack.client();
    let task = id(&start_working(&client, "!hang forever").await);
    stack.kill_workers();
    client.call("CancelTask", json!({"id": task})).await;
    // Any worker cleans up after the dead worker's tasks.
    stack.add_worker().await;
    wait_for_state(&client, &task, "CANCELED").await;
    assert_one_end(&stack, &task);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_executor_on_any_worker_hears_of_a_cancel_in_under_a_second() {
    let stack = StackBuilder::new(Mode::Distributed).nodes(2).workers(2).start().await;
    let mut took = Vec::new();
    for round in 0..20 {
        let client = stack.client_at(round);
        let task = id(&start(&client, "!chunks 100000 10 20").await);
        wait_for_parts(&client, &task, 1).await;
        let (answer, time) = cancel(&stack.client_at(round + 1), &task).await;
        assert_eq!(state(&answer), "CANCELED", "the executor has stopped by itself");
        took.push(time);
    }
    took.sort();
    assert!(took[18] < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_after_a_cancel_wakes_no_run() {
    let stack = StackBuilder::new(Mode::Distributed).start().await;
    let client = stack.client();
    let parked = id(&send(&client, "!ask").await);
    cancel(&client, &parked).await;
    let answer = longhaul_tests::tasks::reply_to(&parked, "too late");
    let refused = client.call_error("SendMessage", return_immediately(answer)).await;
    assert_eq!(refused.code, -32004);
    let fresh = client.call("SendMessage", message("a new one")).await;
    assert_eq!(state(&task_of(fresh)), "COMPLETED");
}
