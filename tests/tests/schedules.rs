//! A schedule creates one task for each time, however many nodes run and fail.

use std::time::Duration;

use chrono::{DateTime, Timelike, Utc};
use longhaul_tests::child::ProcessExit;
use longhaul_tests::stack::expect_success;
use longhaul_tests::tasks::{TASK_TIMEOUT, id, timestamp_in, wait_for_state};
use longhaul_tests::{Client, Mode, Stack, StackBuilder, eventually, on_both_modes};
use reqwest::Method;
use serde_json::{Value, json};

on_both_modes! {
    each_second_makes_one_task_while_nodes_are_killed_frozen_and_started,
    a_paused_schedule_creates_no_tasks_until_it_is_resumed,
    a_deleted_schedule_makes_no_more_tasks_and_leaves_those_it_made,
    invalid_schedules_are_rejected_by_name,
    schedules_are_managed_on_the_command_line,
}

const SCHEDULES: &str = "/operator/v1/schedules";
const EVERY_SECOND: &str = "* * * * * *";

async fn put(client: &Client, name: &str, body: Value) -> Value {
    let answer = client.ask(Method::PUT, &format!("{SCHEDULES}/local/{name}"), Some(&body)).await;
    assert!([200, 201].contains(&answer.status), "{}", answer.text());
    answer.json()
}

/// A schedule for every second, whose tasks have this context.
async fn put_every_second(client: &Client, name: &str) -> Value {
    let body = json!({"agent": "echo", "cron": EVERY_SECOND, "text": "tick", "missed": "all",
        "contextId": name});
    put(client, name, body).await
}

async fn post(client: &Client, name: &str, action: &str) -> Value {
    let path = format!("{SCHEDULES}/local/{name}/{action}");
    let answer = client.ask(Method::POST, &path, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn schedule(client: &Client, name: &str) -> Value {
    client.get(&format!("{SCHEDULES}/local/{name}")).await.json()
}

/// Number of tasks that a schedule has created; their context is its name.
async fn made(client: &Client, name: &str) -> u64 {
    let page = client.call("ListTasks", json!({"contextId": name, "pageSize": 1})).await;
    page["totalSize"].as_u64().expect("a number of tasks")
}

async fn until_made(client: &Client, name: &str, wanted: u64) {
    eventually(TASK_TIMEOUT, &format!("{name} has made {wanted} tasks"), async || {
        let made = made(client, name).await;
        if made >= wanted { Ok(()) } else { Err(made) }
    })
    .await;
}

fn moment(json: &Value) -> DateTime<Utc> {
    let text = json.as_str().unwrap_or_else(|| panic!("no moment but {json}"));
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn now() -> DateTime<Utc> {
    moment(&json!(timestamp_in(Duration::ZERO)))
}

async fn each_second_makes_one_task_while_nodes_are_killed_frozen_and_started(mode: Mode) {
    let mut stack = StackBuilder::new(mode).nodes(2).start().await;
    let nodes = stack.nodes().len();
    let first = moment(&put_every_second(&stack.client(), "beat").await["nextAt"]);
    for round in 0..3 {
        let before = made(&stack.client(), "beat").await;
        until_made(&stack.client(), "beat", before + 2).await;
        stack.kill_node(round % nodes);
        let others = stack.client_at(round + 1);
        if nodes > 1 {
            let before = made(&others, "beat").await;
            until_made(&others, "beat", before + 1).await;
        }
        stack.start_node(round % nodes).await;
        if nodes > 1 {
            // A frozen node resumes in the middle of whatever it was doing.
            stack.nodes()[0].running().sigstop();
            let before = made(&stack.client_at(1), "beat").await;
            until_made(&stack.client_at(1), "beat", before + 1).await;
            stack.nodes()[0].running().sigcont();
        }
    }
    let client = stack.client();
    post(&client, "beat", "pause").await;
    let last = moment(&schedule(&client, "beat").await["last"]["at"]);
    let seconds = u64::try_from((last - first).num_seconds() + 1).expect("it went on");
    assert_eq!(made(&client, "beat").await, seconds, "a task for each second, and one alone");
    let until_now = (now() - last).num_seconds();
    assert!(until_now < 5, "it kept up with the clock: {until_now} s behind");
    let open = json!({"contextId": "beat", "status": "TASK_STATE_COMPLETED", "pageSize": 1});
    eventually(TASK_TIMEOUT, "all of them have completed", async || {
        let completed = client.call("ListTasks", open.clone()).await["totalSize"].as_u64();
        if completed == Some(seconds) { Ok(()) } else { Err(completed) }
    })
    .await;
}

async fn a_paused_schedule_creates_no_tasks_until_it_is_resumed(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let (client, other) = (stack.client(), stack.client_at(1));
    put_every_second(&client, "work").await;
    put_every_second(&client, "control").await;
    until_made(&client, "work", 1).await;
    let paused = post(&other, "work", "pause").await;
    assert_eq!((&paused["paused"], &paused["nextAt"]), (&json!(true), &json!(null)));
    let count = made(&client, "work").await;
    let control = made(&client, "control").await;
    until_made(&client, "control", control + 3).await;
    assert_eq!(made(&client, "work").await, count);

    let resumed_at = now();
    let resumed = post(&client, "work", "resume").await;
    assert!(moment(&resumed["nextAt"]) > resumed_at, "what went by is not made up for");
    until_made(&client, "work", count + 1).await;

    put(
        &client,
        "work",
        json!({"agent": "echo", "cron": EVERY_SECOND, "text": "x", "paused": true}),
    )
    .await;
    let fired = post(&other, "work", "fire").await;
    let task = fired["taskId"].as_str().expect("a task is made besides the times");
    wait_for_state(&client, task, "COMPLETED").await;
    assert_eq!(schedule(&client, "work").await["paused"], true);
}

async fn a_deleted_schedule_makes_no_more_tasks_and_leaves_those_it_made(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let client = stack.client();
    put_every_second(&client, "gone").await;
    put_every_second(&client, "control").await;
    until_made(&client, "gone", 1).await;
    let path = format!("{SCHEDULES}/local/gone");
    let deleted = stack.client_at(1).ask(Method::DELETE, &path, None).await;
    assert!([200, 204].contains(&deleted.status), "{}", deleted.text());
    let count = made(&client, "gone").await;
    let control = made(&client, "control").await;
    until_made(&client, "control", control + 3).await;
    assert_eq!(made(&client, "gone").await, count);
    assert_eq!(client.get(&path).await.status, 404);
    assert_eq!(client.ask(Method::DELETE, &path, None).await.status, 404);
    let listed = client.get(SCHEDULES).await.json();
    assert_eq!(listed["schedules"].as_array().map(Vec::len), Some(1), "{listed}");
}

async fn invalid_schedules_are_rejected_by_name(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let good = json!({"agent": "echo", "cron": "0 3 * * *", "text": "x"});
    for (member, value, named) in [
        ("cron", json!("every day"), "cron"),
        ("cron", json!("61 * * * *"), "cron"),
        ("cron", json!("0 0 30 2 *"), "cron"),
        ("cron", json!(""), "cron"),
        ("timeZone", json!("Europe/Atlantis"), "Europe/Atlantis"),
        ("agent", json!("nobody"), "nobody"),
        ("missed", json!("sometimes"), "sometimes"),
        ("text", json!(""), "text"),
        ("when", json!("now"), "when"),
    ] {
        let mut bad = good.clone();
        bad[member] = value.clone();
        let path = format!("{SCHEDULES}/local/bad");
        let answer = client.ask(Method::PUT, &path, Some(&bad)).await;
        assert!([400, 404].contains(&answer.status), "{member} {value}: {}", answer.text());
        let message = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(named), "{member} {value}: {message}");
        assert_eq!(client.get(&path).await.status, 404, "nothing is left of it");
    }
    stack.assert_no_errors_logged();
}

/// Runs `longhaul schedule …` on a stack.
fn command(stack: &Stack, arguments: &[&str]) -> longhaul_tests::TestProcess {
    let arguments: Vec<&str> = ["schedule"].iter().chain(arguments).copied().collect();
    stack.command(&arguments).env("LONGHAUL_URL", stack.base()).start()
}

async fn schedules_are_managed_on_the_command_line(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let put = ["put", "nightly", "--agent", "echo", "--text", "go on"];
    let good = [&put[..], &["--cron", "0 3 * * *", "--time-zone", "Europe/Berlin"]].concat();
    assert!(expect_success(&command(&stack, &good)).contains("nightly"));
    let shown = expect_success(&command(&stack, &["show", "nightly", "--json"]));
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert!([1, 2].contains(&moment(&shown["nextAt"]).hour()), "3 o'clock in Berlin: {shown}");
    assert!(expect_success(&command(&stack, &["list"])).contains("nightly"));
    expect_success(&command(&stack, &["pause", "nightly"]));
    expect_success(&command(&stack, &["fire", "nightly"]));
    let listed = stack.client().call("ListTasks", json!({})).await;
    wait_for_state(&stack.client(), &id(&listed["tasks"][0]), "COMPLETED").await;
    expect_success(&command(&stack, &["resume", "nightly"]));
    expect_success(&command(&stack, &["delete", "nightly"]));

    let refused = command(&stack, &[&put[..], &["--cron", "every day"]].concat());
    assert_eq!(refused.wait_exit(TASK_TIMEOUT), ProcessExit::Code(1));
    assert!(refused.stderr().contains("cron"), "{}", refused.stderr());
    let unknown = command(&stack, &["pause", "nightly"]);
    assert_eq!(unknown.wait_exit(TASK_TIMEOUT), ProcessExit::Code(1), "{}", unknown.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_times_are_caught_up_after_a_downtime_as_each_schedule_says() {
    let mut stack = StackBuilder::new(Mode::Distributed).nodes(2).start().await;
    // Once an hour: neither the last time nor the next one is near.
    let minute = (now().minute() + 30) % 60;
    let mut next = json!(null);
    for policy in ["skip", "once", "all"] {
        let body = json!({"agent": "echo", "cron": format!("{minute} * * * *"), "text": "x",
            "missed": policy, "contextId": policy});
        next = put(&stack.client(), policy, body).await["nextAt"].clone();
    }
    stack.kill_node(0);
    stack.kill_node(1);
    // Simulates five hours of downtime.
    stack.database().sql("update schedules set next_at = next_at - interval '5 hours'");
    stack.start_node(0).await;
    stack.start_node(1).await;

    let client = stack.client();
    for (policy, tasks) in [("all", 5), ("once", 1), ("skip", 0)] {
        eventually(TASK_TIMEOUT, &format!("{policy} is up to date"), async || {
            let schedule = schedule(&client, policy).await;
            if schedule["nextAt"] == next { Ok(()) } else { Err(schedule) }
        })
        .await;
        assert_eq!(made(&client, policy).await, tasks, "{policy}");
    }
    let last = moment(&schedule(&client, "once").await["last"]["at"]);
    let next = moment(&next);
    assert_eq!(next - last, chrono::TimeDelta::hours(1), "one task stands for the latest of them");
}
