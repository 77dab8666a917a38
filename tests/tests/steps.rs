//! A completed step is not repeated, and its output appears once, whichever worker continues the
//! task.

use std::fs;
use std::time::Duration;

use longhaul_tests::follow::follow;
use longhaul_tests::tasks::{
    TASK_TIMEOUT, artifact_texts, durable, fold, get, id, send, start, state, task_of, texts,
    wait_for_parts, wait_for_state,
};
use longhaul_tests::{Client, Mode, Stack, StackBuilder, eventually, on_both_modes, paths};
use serde_json::{Value, json};

on_both_modes! {
    a_step_is_done_once_although_its_worker_is_killed_after_it,
    a_step_of_a_program_is_done_once_and_seen_when_it_ends,
    a_failed_step_leaves_nothing_and_a_repeated_one_is_there_once,
    a_checkpoint_is_resumed_from,
    steps_stay_done_across_turns_and_drains,
    a_step_name_used_twice_fails_the_task_for_good,
}

/// Number of times that a task did `what`, from the effects file.
fn times(stack: &Stack, file: &str, task: &str, what: &str) -> usize {
    let lines = stack.effects(file);
    let of_task = lines.iter().filter(|line| line.starts_with(task));
    of_task.filter(|line| line.splitn(4, ' ').nth(3) == Some(what)).count()
}

/// The texts of all statuses, in order.
fn statuses(events: &[Value]) -> Vec<String> {
    let said = events.iter().map(|event| &event["statusUpdate"]["status"]["message"]["parts"]);
    said.flat_map(texts).collect()
}

fn count(said: &[String], text: &str) -> usize {
    said.iter().filter(|one| *one == text).count()
}

fn clients(stack: &Stack) -> Vec<Client> {
    (0..stack.nodes().len()).map(|node| stack.client_at(node)).collect()
}

/// Asserts that the events seen by a client that followed from the start make exactly the task.
async fn assert_folds(stack: &Stack, events: &[Value], task: &str) {
    let (folded, task) = (fold(events), get(&stack.client(), task).await);
    for member in ["id", "contextId", "status", "artifacts", "history"] {
        assert_eq!(folded[member], task[member], "{member}");
    }
}

async fn a_step_is_done_once_although_its_worker_is_killed_after_it(mode: Mode) {
    let mut stack = StackBuilder::new(mode).short_lease().start().await;
    let client = stack.client();
    let script = "!wait 200; step a 100; step b 100; step c 3000; step d; effects done";
    let task = id(&start(&client, script).await);
    let following = follow(clients(&stack), task.clone());
    let killing = async {
        wait_for_parts(&client, &task, 2).await;
        stack.replace_workers().await;
        wait_for_state(&client, &task, "COMPLETED").await
    };
    let (events, done) = tokio::join!(following, killing);
    assert_eq!(artifact_texts(&done), ["a\n", "b\n", "c\n", "d\n"]);
    for step in ["a", "b"] {
        assert_eq!(times(&stack, "done", &task, step), 1, "{step} was done before");
    }
    for step in ["c", "d"] {
        assert!(times(&stack, "done", &task, step) >= 1, "{step} was not");
    }
    let said = statuses(&events);
    for step in ["a", "b", "c", "d"] {
        assert_eq!(count(&said, &format!("step {step}")), 1, "{step} in {said:?}");
    }
    assert_folds(&stack, &events, &task).await;
}

/// An agent whose program works in steps and waits at gates.
fn program() -> String {
    let script = paths::workspace().join("tests/tests/plugins/steps.py");
    let command = json!([paths::python(), script]);
    format!("name = \"gated\"\nexecutor = \"process\"\n\n[agent.process]\ncommand = {command}")
}

fn open_gate(stack: &Stack, name: &str) {
    fs::write(stack.folder().join(format!("gate-{name}")), "").expect("our folder is writable");
}

async fn until_said(client: &Client, task: &str, text: &str) -> Value {
    eventually(TASK_TIMEOUT, &format!("the task says {text}"), async || {
        let task = get(client, task).await;
        let said = texts(&task["status"]["message"]["parts"]);
        if said == [text] { Ok(task) } else { Err(task) }
    })
    .await
}

async fn a_step_of_a_program_is_done_once_and_seen_when_it_ends(mode: Mode) {
    let mut stack = StackBuilder::new(mode).short_lease().agent(&program()).start().await;
    let client = stack.client().rpc_path("/agents/gated");
    let task = id(&start(&client, "a b c").await);
    let following = follow(vec![client.clone()], task.clone());
    let killing = async {
        let seen = until_said(&client, &task, "at the end of a").await;
        assert!(artifact_texts(&seen).is_empty(), "the step has not ended: {seen}");
        open_gate(&stack, "a");
        let seen = until_said(&client, &task, "at the end of b").await;
        assert_eq!(artifact_texts(&seen), ["a"], "the first step has, the second has not");
        assert!(!seen.to_string().contains("within b"), "{seen}");
        stack.replace_workers().await;
        open_gate(&stack, "b");
        open_gate(&stack, "c");
        wait_for_state(&client, &task, "COMPLETED").await
    };
    let (events, done) = tokio::join!(following, killing);
    assert_eq!(artifact_texts(&done), ["a", "b", "c"]);
    assert_eq!(texts(&done["status"]["message"]["parts"]), ["a b c"], "results are kept, too");
    let done_times = ["a", "b", "c"].map(|step| times(&stack, "process-effects", &task, step));
    assert_eq!(done_times, [1, 2, 1], "only the one that had not ended is done again");
    let said = statuses(&events);
    for step in ["a", "b", "c"] {
        assert_eq!(count(&said, &format!("within {step}")), 1, "{step} in {said:?}");
    }
    assert_folds(&stack, &events, &task).await;
}

async fn a_failed_step_leaves_nothing_and_a_repeated_one_is_there_once(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let script = "!wait 200; step a; step b; fail-in b 2; step c; retry-after 50; effects done";
    let task = id(&start(&client, script).await);
    let events = follow(clients(&stack), task.clone()).await;
    let done = wait_for_state(&client, &task, "COMPLETED").await;
    assert_eq!(artifact_texts(&done), ["a\n", "b\n", "c\n"]);
    let done_times = ["a", "b", "c"].map(|step| times(&stack, "done", &task, step));
    assert_eq!(done_times, [1, 3, 1], "two attempts failed at the end of b");
    let said = statuses(&events);
    assert_eq!(["step a", "step b", "step c"].map(|text| count(&said, text)), [1, 1, 1]);
    assert_folds(&stack, &events, &task).await;
}

async fn a_checkpoint_is_resumed_from(mode: Mode) {
    let mut stack = StackBuilder::new(mode).short_lease().start().await;
    let client = stack.client();
    let task = id(&start(&client, "!wait 200; checkpoint line 30 60; effects done").await);
    let following = follow(clients(&stack), task.clone());
    let killing = async {
        until_said(&client, &task, "line 8 of 30").await;
        stack.replace_workers().await;
        wait_for_state(&client, &task, "COMPLETED").await
    };
    let (events, _) = tokio::join!(following, killing);
    let again: usize =
        (1..=30).map(|line| times(&stack, "done", &task, &format!("line {line}")) - 1).sum();
    assert!(again <= 1, "only the move that was under way is made again, not {again}");
    let said = statuses(&events);
    for line in 1..=30 {
        let times = count(&said, &format!("line {line} of 30"));
        assert!((1..=1 + again).contains(&times), "line {line} in {said:?}");
    }
    assert_folds(&stack, &events, &task).await;
}

async fn steps_stay_done_across_turns_and_drains(mode: Mode) {
    let mut stack = StackBuilder::new(mode).set("worker.drain", "100ms").start().await;
    let client = stack.client();
    let asked = send(&client, "!step a; effects done; ask go on?").await;
    let (task, context) = (id(&asked), asked["contextId"].clone());
    assert_eq!(state(&asked), "INPUT_REQUIRED");
    let reply =
        longhaul_tests::tasks::reply_to(&task, "!step a; step b 2000; step c; effects done");
    let reply = longhaul_tests::tasks::with(reply, "/message/contextId", context);
    client.call("SendMessage", longhaul_tests::tasks::return_immediately(reply)).await;
    wait_for_state(&client, &task, "WORKING").await;
    terminate_workers(&mut stack).await;
    let done = wait_for_state(&stack.client(), &task, "COMPLETED").await;
    assert_eq!(artifact_texts(&done), ["a\n", "b\n", "c\n"]);
    assert_eq!(times(&stack, "done", &task, "a"), 1);
    assert_eq!(times(&stack, "done", &task, "c"), 1);
}

/// Stops the processes that run tasks gracefully, and starts them again.
async fn terminate_workers(stack: &mut Stack) {
    let place = match stack.mode() {
        Mode::Embedded => &stack.nodes()[0],
        Mode::Distributed => &stack.workers()[0],
    };
    place.running().sigterm();
    place.running().wait_exit(Duration::from_secs(30));
    match stack.mode() {
        Mode::Embedded => stack.start_node(0).await,
        Mode::Distributed => stack.start_worker(0).await,
    }
}

async fn a_step_name_used_twice_fails_the_task_for_good(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let params = durable("!step a; step a; effects done", json!({"maxAttempts": 5}));
    let task = task_of(client.call("SendMessage", params).await);
    assert_eq!(state(&task), "FAILED", "{task}");
    let failure = &task["status"]["message"]["metadata"]["urn:longhaul:a2a:durability:v1"];
    assert_eq!((&failure["because"], &failure["attempts"]), (&json!("fatal"), &json!(1)));
    assert!(failure["cause"].to_string().contains('a'), "{failure}");
    assert_eq!(times(&stack, "done", &id(&task), "a"), 1);
    assert_eq!(artifact_texts(&get(&client, &id(&task)).await), ["a\n"], "the first one counts");
}
