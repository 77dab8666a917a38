//! Looking for trouble.
#![expect(clippy::disallowed_methods, reason = "adhoc")]
use std::time::{Duration, Instant};

use futures::future::join_all;
use longhaul_tests::talk::*;
use longhaul_tests::{
    Broker, Client, Database, Mode, Postgres, Setup, Stack, eventually, on_both_modes,
};
use reqwest::Method;
use serde_json::{Value, json};

const MOVES: &str = "!checkpoint place 160 50; effects moves";
fn moves(stack: &Stack, task: &str) -> usize {
    stack.effects("moves").iter().filter(|line| line.starts_with(task)).count()
}
async fn until_moves(stack: &Stack, task: &str, wanted: usize) {
    eventually(LIMIT, &format!("{task} has moved {wanted} times"), async || {
        let moves = moves(stack, task);
        if moves >= wanted { Ok(()) } else { Err(moves) }
    })
    .await;
}
async fn post(client: &Client, path: &str) -> Value {
    client.ask(Method::POST, &format!("/operator/v1{path}"), None).await.json()
}

on_both_modes! { e_same_key_on_two_nodes, l_redrive_of_a_large_message, m_large_schedule, c_cancel_in_step, f_redrive_then_kill }

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_neighbours_are_not_blamed() {
    let mut stack = Setup::new(Mode::Distributed).set("worker.max_losses", "2").start().await;
    let innocent = id(&start(&stack.client(), "!wait 8000; complete").await);
    let killer = id(&start(&stack.client(), "!wait 1000; exit").await);
    for _ in 0..2 {
        stack.workers()[0].running().wait_exit(LIMIT);
        stack.start_worker(0).await;
    }
    until(&stack.client(), &killer, "FAILED").await;
    until(&stack.client(), &innocent, "COMPLETED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b_database_away_longer_than_the_lease() {
    let mut postgres = Postgres::private();
    let database = Database::create_on(&postgres);
    let stack = Setup::new(Mode::Distributed)
        .workers(2)
        .set("worker.lease", "3s")
        .database(database)
        .start()
        .await;
    let mut tasks = Vec::new();
    for _ in 0..6 {
        tasks.push(id(&start(&stack.client(), MOVES).await));
    }
    for task in &tasks {
        until_moves(&stack, task, 2).await;
    }
    postgres.stop_fast();
    tokio::time::sleep(Duration::from_secs(7)).await;
    let before: Vec<usize> = tasks.iter().map(|t| moves(&stack, t)).collect();
    postgres.start();
    let begun = Instant::now();
    for (task, before) in tasks.iter().zip(before) {
        until_moves(&stack, task, before + 2).await;
    }
    println!("ADHOC b: after the restart, moving again within {:?}", begun.elapsed());
    for task in &tasks {
        until(&stack.client(), task, "COMPLETED").await;
    }
    println!(
        "ADHOC b losses {}",
        stack
            .database()
            .sql("select count(*) from task_history where body ->> 'note' = 'worker-lost'")
    );
    println!("ADHOC b attempts {}", stack.database().sql("select max(attempt) from task_history"));
    println!(
        "{}",
        stack.logs().lines().filter(|l| l.contains("ERROR")).collect::<Vec<_>>().join("\n")
    );
}

async fn e_same_key_on_two_nodes(mode: Mode) {
    let stack = Setup::new(mode).nodes(2).start().await;
    for round in 0..10 {
        let sends = (0..6).map(|n| {
            let client = stack.client_at(n);
            let params = at_once(durable("same", json!({"idempotencyKey": format!("k{round}")})));
            async move { id(&task_of(client.call("SendMessage", params).await)) }
        });
        let ids = join_all(sends).await;
        assert!(ids.iter().all(|i| *i == ids[0]), "{ids:?}");
    }
}

async fn l_redrive_of_a_large_message(mode: Mode) {
    let stack = Setup::new(mode).start().await;
    let client = stack.client();
    let late = moment_in(Duration::from_millis(700));
    let big = "QUJD".repeat(100_000);
    let mut params = message_of(
        json!([{"text": "!wait 1500; complete"}, {"raw": big, "filename": "x.bin", "mediaType": "application/x"}]),
    );
    params = with(
        params,
        "/message/metadata",
        json!({"urn:longhaul:a2a:durability:v1": {"deadline": late}, "more": {"n": 1e300}}),
    );
    let task = id(&task_of(client.call("SendMessage", at_once(params)).await));
    until(&client, &task, "FAILED").await;
    let new = post(&client, &format!("/dead/local/{task}/redrive")).await;
    let new = new["taskId"].as_str().unwrap_or_else(|| panic!("{new}")).to_owned();
    let done = until(&client, &new, "COMPLETED").await;
    assert_eq!(done["history"][0]["parts"][1]["raw"].as_str().map(str::len), Some(400_000));
    println!("ADHOC l metadata {}", done["history"][0]["metadata"]);
    assert_eq!(done["history"][0]["parts"], get(&client, &task).await["history"][0]["parts"]);
}

async fn m_large_schedule(mode: Mode) {
    let stack = Setup::new(mode).start().await;
    let client = stack.client();
    let big = "x".repeat(200_000);
    let body = json!({"agent": "echo", "cron": "* * * * * *", "contextId": "big", "message": {"parts": [{"text": big}], "metadata": {"urn:longhaul:a2a:durability:v1": {"priority": 5}}}});
    let answer = client.ask(Method::PUT, "/operator/v1/schedules/local/big", Some(&body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let task = eventually(LIMIT, "made", async || {
        let page = client.call("ListTasks", json!({"contextId": "big"})).await;
        page["tasks"][0]["id"].as_str().map(str::to_owned).ok_or(page)
    })
    .await;
    let done = until(&client, &task, "COMPLETED").await;
    assert_eq!(artifact_texts(&done)[0].len(), 200_000);
    let too = json!({"agent": "echo", "cron": "* * * * * *", "text": "x".repeat(300_000)});
    let answer = client.ask(Method::PUT, "/operator/v1/schedules/local/too", Some(&too)).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let asked = client.clone().header("a2a-extensions", "urn:longhaul:a2a:durability:v1");
    assert_eq!(
        get(&asked, &task).await["metadata"]["urn:longhaul:a2a:durability:v1"]["priority"],
        5
    );
}

async fn c_cancel_in_step(mode: Mode) {
    let stack = Setup::new(mode).start().await;
    let client = stack.client();
    let task = id(&start(&client, "!step a; step b 60000; step c; effects moves").await);
    until_parts(&client, &task, 1).await;
    let begun = Instant::now();
    let answer = client.call("CancelTask", json!({"id": task})).await;
    println!("ADHOC c {:?}", begun.elapsed());
    assert_eq!(state(&answer), "CANCELED");
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(artifact_texts(&get(&client, &task).await), ["a\n"]);
}

async fn f_redrive_then_kill(mode: Mode) {
    let mut stack = Setup::new(mode).start().await;
    let client = stack.client();
    let mut tasks = Vec::new();
    for _ in 0..10 {
        tasks.push(id(&send(&client, "!wait 20; fail").await));
    }
    let mut new = Vec::new();
    for task in &tasks {
        new.push(
            post(&client, &format!("/dead/local/{task}/redrive")).await["taskId"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    stack.kill_node(0);
    stack.start_node(0).await;
    for task in &new {
        until(&stack.client(), task, "FAILED").await;
    }
    for (task, new) in tasks.iter().zip(&new) {
        assert_eq!(
            post(&stack.client(), &format!("/dead/local/{task}/redrive")).await["taskId"],
            new.as_str()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i_dev_killed_runs_at_once() {
    let mut stack = Setup::new(Mode::Embedded).start().await;
    let task = id(&start(&stack.client(), MOVES).await);
    until_moves(&stack, &task, 3).await;
    stack.kill_node(0);
    let (before, begun) = (moves(&stack, &task), Instant::now());
    stack.start_node(0).await;
    until_moves(&stack, &task, before + 1).await;
    println!("ADHOC i: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn d_schedule_over_rolling_restarts() {
    let mut stack = Setup::new(Mode::Distributed).nodes(2).start().await;
    let body = json!({"agent": "echo", "cron": "* * * * * *", "contextId": "beat", "text": "x", "missed": "skip"});
    let first = stack
        .client()
        .ask(Method::PUT, "/operator/v1/schedules/local/beat", Some(&body))
        .await
        .json();
    let first: chrono::DateTime<chrono::Utc> = first["nextAt"].as_str().unwrap().parse().unwrap();
    for n in 0..4 {
        stack.nodes()[n % 2].running().sigterm();
        stack.nodes()[n % 2].running().wait_exit(LIMIT);
        stack.start_node(n % 2).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    post(&stack.client(), "/schedules/local/beat/pause").await;
    let s = stack.client().get("/operator/v1/schedules/local/beat").await.json();
    let last: chrono::DateTime<chrono::Utc> = s["last"]["at"].as_str().unwrap().parse().unwrap();
    let n = stack.client().call("ListTasks", json!({"contextId": "beat"})).await["totalSize"]
        .as_i64()
        .unwrap();
    println!("ADHOC d: {n} of {}", (last - first).num_seconds() + 1);
    assert_eq!(n, (last - first).num_seconds() + 1);
    println!("ADHOC d lateness: {}", stack.database().sql("select max(extract(milliseconds from created_at)::int % 1000), avg(extract(milliseconds from created_at)::int % 1000) from tasks"));
    let _ = Broker::shared;
}
