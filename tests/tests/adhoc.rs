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


on_both_modes! { p_held_back_by_priority, q_backlog_of_one_key, r_full_queue_http, s_total_timeout, t_fair_owner_limit }

const KEYED: &str = "name = \"keyed\"\nexecutor = \"script\"\n\n[agent.limits]\nrunning_per_key = 1";
async fn sd(client: &Client, text: &str, options: Value) -> String {
    id(&task_of(client.call("SendMessage", at_once(durable(text, options))).await))
}

async fn p_held_back_by_priority(mode: Mode) {
    let stack = Setup::new(mode).agent(KEYED).start().await;
    let client = stack.client().rpc_path("/agents/keyed");
    let mut tasks = Vec::new();
    let first = sd(&client, "!wait 1500", json!({"concurrencyKey": "k"})).await;
    for p in [0, -5, 10, 3] {
        tasks.push((p, sd(&client, "!wait 100", json!({"concurrencyKey": "k", "priority": p})).await));
    }
    until(&client, &first, "COMPLETED").await;
    let mut ended = Vec::new();
    for (p, t) in &tasks {
        ended.push((until(&client, t, "COMPLETED").await["status"]["timestamp"].to_string(), *p));
    }
    ended.sort();
    println!("ADHOC p {:?} {ended:?}", mode);
    assert_eq!(ended.iter().map(|e| e.1).collect::<Vec<_>>(), [10, 3, 0, -5]);
}

async fn q_backlog_of_one_key(mode: Mode) {
    let stack = Setup::new(mode).agent(KEYED).start().await;
    let client = stack.client().rpc_path("/agents/keyed");
    let sends = (0..600).map(|_| { let c = client.clone(); async move { sd(&c, "!wait 100", json!({"concurrencyKey": "k"})).await } });
    let tasks = join_all(sends).await;
    let begun = Instant::now();
    let mut last = Duration::ZERO;
    for _ in 0..5 {
        let t = Instant::now();
        assert_eq!(state(&send(&client, "no key").await), "COMPLETED");
        last = last.max(t.elapsed());
    }
    println!("ADHOC q {:?} unkeyed took at most {:?}", mode, last);
    let n = eventually(LIMIT, "20 of the key done", async || {
        let n = client.call("ListTasks", json!({"status": "TASK_STATE_COMPLETED", "pageSize": 1})).await["totalSize"].as_u64().unwrap();
        if n >= 45 { Ok(n) } else { Err(n) }
    }).await;
    println!("ADHOC q {:?} {n} done in {:?}", mode, begun.elapsed());
    let t = Instant::now();
    join_all(tasks.iter().map(|t| { let c = client.clone(); async move { c.try_call("CancelTask", json!({"id": t})).await.ok() } })).await;
    println!("ADHOC q {:?} canceled in {:?}", mode, t.elapsed());
    assert!(last < Duration::from_secs(5));
}

async fn r_full_queue_http(mode: Mode) {
    let agent = "name = \"full\"\nexecutor = \"script\"\n\n[agent.limits]\nrunning = 1\nqueued = 3";
    let stack = Setup::new(mode).agent(agent).start().await;
    let client = stack.client().rpc_path("/agents/full");
    for _ in 0..60 {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": at_once(message("!hang"))});
        let answer = client.post("/agents/full", body.to_string()).await;
        if answer.json()["error"].is_object() {
            println!("ADHOC r {} {:?} {}", answer.status, answer.header("retry-after"), answer.text());
            assert_ne!(answer.header("retry-after"), "");
            return;
        }
    }
    panic!("never full");
}

async fn s_total_timeout(mode: Mode) {
    let agent = "name = \"brief\"\nexecutor = \"script\"\ntotal_timeout = \"2s\"\nqueue_timeout=\"1s\"\nconcurrency=1";
    let stack = Setup::new(mode).agent(agent).start().await;
    let client = stack.client().rpc_path("/agents/brief");
    let parked = id(&send(&client, "!ask").await);
    let flaky = id(&start(&client, "!flaky 99; retry-after 100").await);
    let running = id(&start(&client, "!hang").await);
    let waits = id(&start(&client, "x").await);
    for (t, why) in [(&parked, "deadline"), (&running, "deadline"), (&waits, "queue-timeout")] {
        let f = until(&client, t, "FAILED").await;
        assert_eq!(f["status"]["message"]["metadata"]["urn:longhaul:a2a:durability:v1"]["because"], why, "{f}");
    }
    println!("ADHOC s {}", until(&client, &flaky, "FAILED").await["status"]["message"]["metadata"]);
}

async fn t_fair_owner_limit(mode: Mode) {
    let agent = "name = \"per\"\nexecutor = \"script\"\n\n[agent.limits]\nrunning_per_owner = 1";
    let stack = Setup::new(mode).agent(agent).key("many", "read,write").key("few", "read,write").start().await;
    let many = stack.client().rpc_path("/agents/per");
    let few = stack.anonymous().bearer(stack.key(1)).rpc_path("/agents/per");
    for _ in 0..40 { start(&many, "!wait 300").await; }
    let t = Instant::now();
    for _ in 0..3 { assert_eq!(state(&send(&few, "x").await), "COMPLETED"); }
    println!("ADHOC t {mode:?} {:?}", t.elapsed());
    assert!(t.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn u_frozen_node_and_schedule() {
    let stack = Setup::new(Mode::Distributed).nodes(2).start().await;
    let client = stack.client_at(1);
    let body = json!({"agent": "echo", "cron": "* * * * * *", "contextId": "beat", "text": "x", "missed": "all"});
    let first = client.ask(Method::PUT, "/operator/v1/schedules/local/beat", Some(&body)).await.json();
    let first: chrono::DateTime<chrono::Utc> = first["nextAt"].as_str().unwrap().parse().unwrap();
    for _ in 0..6 {
        stack.nodes()[0].running().sigstop();
        tokio::time::sleep(Duration::from_millis(1130)).await;
        stack.nodes()[0].running().sigcont();
        tokio::time::sleep(Duration::from_millis(90)).await;
    }
    post(&client, "/schedules/local/beat/pause").await;
    let s = client.get("/operator/v1/schedules/local/beat").await.json();
    let last: chrono::DateTime<chrono::Utc> = s["last"]["at"].as_str().unwrap().parse().unwrap();
    let n = client.call("ListTasks", json!({"contextId": "beat"})).await["totalSize"].as_i64().unwrap();
    println!("ADHOC u: {n} of {}", (last - first).num_seconds() + 1);
    assert_eq!(n, (last - first).num_seconds() + 1);
}
