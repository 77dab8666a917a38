//! Operator views of queues and workers show their real state.

use futures::future::join_all;
use longhaul_tests::stack::expect_success;
use longhaul_tests::tasks::{
    TASK_TIMEOUT, durable, id, return_immediately, send, start, start_working, state, task_of,
    wait_for_state,
};
use longhaul_tests::{Client, Mode, Stack, StackBuilder, eventually, on_both_modes};
use serde_json::{Value, json};

on_both_modes! {
    queues_show_what_waits_and_why,
    workers_tell_what_they_have,
    a_backlog_of_one_key_does_not_make_others_of_its_owner_wait,
    held_back_tasks_run_by_priority,
    held_back_tasks_are_canceled_run_out_of_time_and_let_others_by,
}

/// An agent with every kind of limit.
const LIMITED: &str = "name = \"limited\"\nexecutor = \"script\"\n\n\
    [agent.limits]\nrunning = 2\nrunning_per_key = 1";

async fn start_durable(client: &Client, text: &str, options: Value) -> String {
    id(&task_of(client.call("SendMessage", return_immediately(durable(text, options))).await))
}

/// State of an agent's queue.
async fn queue(client: &Client, agent: &str) -> Value {
    let queues = client.get("/operator/v1/queues").await.json();
    let mut of_agents = queues["queues"].as_array().into_iter().flatten();
    of_agents.find(|queue| queue["agent"] == agent).cloned().unwrap_or_default()
}

fn command(stack: &Stack, name: &str) -> String {
    expect_success(&stack.command(&[name]).env("LONGHAUL_URL", stack.base()).start())
}

async fn queues_show_what_waits_and_why(mode: Mode) {
    let stack = StackBuilder::new(mode).agent(LIMITED).start().await;
    let client = stack.client().rpc_path("/agents/limited");
    let mut tasks = Vec::new();
    for key in ["a", "b", "a", "a", "c"] {
        tasks.push(start_durable(&client, "!hang", json!({"concurrencyKey": key})).await);
    }
    tasks.push(start_durable(&client, "!hang", json!({"notBefore": "2090-01-01T00:00:00Z"})).await);
    // A task that waits for its concurrency key is counted as waiting only once its turn comes;
    // until then it is ready.
    eventually(TASK_TIMEOUT, "two run, three wait, one is for later", async || {
        let queue = queue(&client, "limited").await;
        let count = |name: &str| queue[name].as_u64().unwrap_or_default();
        let waits = count("ready") + count("heldBack");
        let fits = (count("running"), waits, count("scheduled")) == (2, 3, 1);
        if fits { Ok(()) } else { Err(queue) }
    })
    .await;
    let shown = command(&stack, "queues");
    assert!(shown.contains("limited") && shown.contains("HELD-BACK"), "{shown}");
    for task in &tasks {
        client.call("CancelTask", json!({"id": task})).await;
    }
    eventually(TASK_TIMEOUT, "nothing is left", async || {
        let queue = queue(&client, "limited").await;
        let members = ["ready", "heldBack", "running", "scheduled"];
        let empty = members.into_iter().all(|name| queue[name].as_u64().unwrap_or_default() == 0);
        if empty && queue["oldestMs"].is_null() { Ok(()) } else { Err(queue) }
    })
    .await;
}

async fn workers_tell_what_they_have(mode: Mode) {
    let stack = StackBuilder::new(mode).workers(2).start().await;
    let client = stack.client();
    for _ in 0..3 {
        start_working(&client, "!hang").await;
    }
    let workers = client.get("/operator/v1/workers").await.json();
    let workers = workers["workers"].as_array().cloned().expect("a list of workers");
    assert_eq!(workers.len(), if mode == Mode::Embedded { 1 } else { 2 });
    let running: u64 = workers.iter().filter_map(|worker| worker["running"].as_u64()).sum();
    assert_eq!(running, 3);
    let shown = command(&stack, "workers");
    for worker in &workers {
        assert!(worker["agents"].to_string().contains("script"), "{worker}");
        assert!(shown.contains(worker["name"].as_str().expect("a name")), "{shown}");
    }
}

async fn a_backlog_of_one_key_does_not_make_others_of_its_owner_wait(mode: Mode) {
    let stack = StackBuilder::new(mode).agent(LIMITED).start().await;
    let client = stack.client().rpc_path("/agents/limited");
    let backlog =
        (0..400).map(|_| start_durable(&client, "!wait 100", json!({"concurrencyKey": "a"})));
    join_all(backlog).await;
    for n in 0..5 {
        let task = send(&client, &format!("without a key {n}")).await;
        assert_eq!(state(&task), "COMPLETED");
    }
    let done = json!({"status": "TASK_STATE_COMPLETED", "pageSize": 1});
    let done = client.call("ListTasks", done).await["totalSize"].as_u64();
    assert!(done < Some(200), "they did not wait for the others: {done:?} are done");
}

async fn held_back_tasks_run_by_priority(mode: Mode) {
    let stack = StackBuilder::new(mode).agent(LIMITED).start().await;
    let client = stack.client().rpc_path("/agents/limited");
    let mut tasks = Vec::new();
    let first = start_durable(&client, "!wait 1500", json!({"concurrencyKey": "a"})).await;
    for priority in [0, -5, 10, 3] {
        let options = json!({"concurrencyKey": "a", "priority": priority});
        tasks.push((priority, start_durable(&client, "!wait 100", options).await));
    }
    wait_for_state(&client, &first, "COMPLETED").await;
    let mut ended = Vec::new();
    for (priority, task) in &tasks {
        let done = wait_for_state(&client, task, "COMPLETED").await;
        ended.push((done["status"]["timestamp"].to_string(), *priority));
    }
    ended.sort();
    let order: Vec<i32> = ended.into_iter().map(|(_, priority)| priority).collect();
    assert_eq!(order, [10, 3, 0, -5]);
}

async fn held_back_tasks_are_canceled_run_out_of_time_and_let_others_by(mode: Mode) {
    let stack = StackBuilder::new(mode).agent(LIMITED).start().await;
    let client = stack.client().rpc_path("/agents/limited");
    let keyed = |options: Value| {
        let mut options = options;
        options["concurrencyKey"] = json!("a");
        options
    };
    let first = start_durable(&client, "!hang", keyed(json!({}))).await;
    wait_for_state(&client, &first, "WORKING").await;
    let canceled = start_durable(&client, "never", keyed(json!({}))).await;
    let queued = start_durable(&client, "never", keyed(json!({"queueTimeout": 1}))).await;
    let late = longhaul_tests::tasks::timestamp_in(std::time::Duration::from_secs(1));
    let late = start_durable(&client, "never", keyed(json!({"deadline": late}))).await;
    let next = start_durable(&client, "!chunks 1; complete", keyed(json!({}))).await;
    let by = id(&start(&client, "without a key").await);
    wait_for_state(&client, &by, "COMPLETED").await;
    client.call("CancelTask", json!({"id": canceled})).await;
    wait_for_state(&client, &canceled, "CANCELED").await;
    wait_for_state(&client, &queued, "FAILED").await;
    wait_for_state(&client, &late, "FAILED").await;
    client.call("CancelTask", json!({"id": first})).await;
    wait_for_state(&client, &next, "COMPLETED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_over_all_workers() {
    let agent = "name = \"few\"\nexecutor = \"script\"\n\n\
        [agent.limits]\nrunning = 3\nrunning_per_owner = 2";
    let setup = StackBuilder::new(Mode::Distributed).workers(3).agent(agent);
    let stack = setup.key("one", "read,write").key("two", "read,write").start().await;
    let clients =
        [0, 1].map(|key| stack.anonymous().bearer(stack.key(key)).rpc_path("/agents/few"));
    let mut tasks = Vec::new();
    for n in 0..40 {
        tasks.push((n % 2, id(&start(&clients[n % 2], "!wait 100; complete").await)));
    }
    for (owner, task) in &tasks {
        wait_for_state(&clients[*owner], task, "COMPLETED").await;
    }
    // The number of tasks that ran when each of them began, from the stored record: a run begins
    // after its claim and ends before the next claim.
    let most = |per_owner: &str| {
        stack.database().sql(&format!(
            "with work as (select owner_id, task_id, min(at) filter (where state = 'working') as began, \
                 max(at) filter (where state = 'completed') as ended \
                 from task_history where agent = 'few' group by owner_id, task_id) \
             select max((select count(*) from work o where o.began <= w.began and o.ended > w.began {per_owner})) \
             from work w"
        ))
    };
    assert_eq!(most(""), "3", "as many as may, and no more");
    assert_eq!(most("and o.owner_id = w.owner_id"), "2");
}
