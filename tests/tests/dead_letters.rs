//! Permanently failed tasks are listed until an operator handles them, and are redriven once.

use std::time::Duration;

use futures::future::join_all;
use longhaul_tests::http::HttpResponse;
use longhaul_tests::stack::expect_success;
use longhaul_tests::tasks::{
    artifact_texts, durable, get, id, return_immediately, send, start_working, state, task_of,
    texts, timestamp_in, wait_for_state,
};
use longhaul_tests::{Client, Mode, Stack, StackBuilder, on_both_modes};
use reqwest::Method;
use serde_json::{Value, json};

on_both_modes! {
    a_failed_task_is_listed_and_shown_with_its_cause_and_attempts,
    a_dead_task_is_redriven_once_by_any_number_of_requests,
    dead_tasks_are_redriven_by_filter,
    a_redriven_task_has_the_whole_message_and_no_expired_options,
    what_was_redriven_survives_the_node_that_did_it,
    a_dismissed_task_is_off_the_list_and_stays_dead,
    dead_letters_of_all_owners_are_for_operators_alone,
    each_way_to_fail_names_itself,
}

const DEAD: &str = "/operator/v1/dead";

/// Dead letters that `GET /dead` lists for this query.
async fn dead(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("{DEAD}{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["dead"].as_array().cloned().expect("a list of letters")
}

fn ids(letters: &[Value]) -> Vec<&str> {
    letters.iter().filter_map(|letter| letter["taskId"].as_str()).collect()
}

async fn post(client: &Client, path: &str) -> HttpResponse {
    client.ask(Method::POST, &format!("{DEAD}{path}"), None).await
}

/// Runs `longhaul dead …` on a stack and returns its output.
fn command(stack: &Stack, arguments: &[&str]) -> String {
    let arguments: Vec<&str> = ["dead"].iter().chain(arguments).copied().collect();
    expect_success(&stack.command(&arguments).env("LONGHAUL_URL", stack.base()).start())
}

async fn send_durable(client: &Client, text: &str, options: Value) -> Value {
    task_of(client.call("SendMessage", durable(text, options)).await)
}

/// A task that fails at its deadline and completes when it is redriven without one.
async fn expired_task(client: &Client) -> String {
    let deadline = timestamp_in(Duration::from_millis(700));
    let params = durable("!wait 1500; complete in the end", json!({"deadline": deadline}));
    let task = id(&task_of(client.call("SendMessage", return_immediately(params)).await));
    wait_for_state(client, &task, "FAILED").await;
    task
}

async fn a_failed_task_is_listed_and_shown_with_its_cause_and_attempts(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    assert_eq!(state(&send(&client, "well").await), "COMPLETED");
    let options = json!({"maxAttempts": 2});
    let task = id(&send_durable(&client, "!chunks 2; flaky 9; retry-after 10", options).await);

    let letters = dead(&client, "").await;
    assert_eq!(ids(&letters), [task.as_str()]);
    let letter = &letters[0];
    assert_eq!(letter["because"], "attempts-used-up");
    assert_eq!(letter["attempts"], 2);
    assert_eq!(letter["cause"], "failed as asked in attempt 2");
    assert_eq!((&letter["owner"], &letter["agent"]), (&json!("local"), &json!("script")));

    let shown = client.get(&format!("{DEAD}/local/{task}")).await.json();
    assert_eq!(shown["letter"], *letter);
    assert_eq!(state(&shown["task"]), "FAILED");
    let log = shown["log"].as_array().cloned().expect("a log");
    let kinds: Vec<&str> = log.iter().filter_map(|entry| entry["kind"].as_str()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("message", "status"), "{kinds:?}");
    let notes = log.iter().filter(|entry| entry["body"]["note"] == "attempt-failed").count();
    assert_eq!(notes, 1, "the attempt that was followed by another: {log:?}");

    let listed = command(&stack, &["list"]);
    for part in [task.as_str(), "attempts-used-up", "failed as asked in attempt 2"] {
        assert!(listed.contains(part), "{part} is not in {listed}");
    }
    let shown = command(&stack, &["show", &task]);
    for part in ["2 attempts", "failed as asked in attempt 2", "attempt-failed", "0000002"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
}

async fn a_dead_task_is_redriven_once_by_any_number_of_requests(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let client = stack.client();
    let task = expired_task(&client).await;
    let path = format!("/local/{task}/redrive");
    let clients: Vec<Client> = (0..6).map(|node| stack.client_at(node)).collect();
    let answers = join_all(clients.iter().map(|client| post(client, &path))).await;
    let answers: Vec<Value> = answers.iter().map(HttpResponse::json).collect();
    let new = answers[0]["taskId"].as_str().expect("the new task").to_owned();
    assert!(answers.iter().all(|answer| answer["taskId"] == new.as_str()), "{answers:?}");
    let first = answers.iter().filter(|answer| answer["already"] == false).count();
    assert_eq!(first, 1, "one of them made it: {answers:?}");
    let printed = command(&stack, &["redrive", &task]);
    assert!(printed.contains(&task) && printed.contains(&new), "{printed}");

    let done = wait_for_state(&client, &new, "COMPLETED").await;
    assert_eq!(texts(&done["status"]["message"]["parts"]), ["in the end"]);
    let old = get(&client, &task).await;
    assert_eq!(state(&old), "FAILED", "the old one stays as it is");
    assert_eq!(done["contextId"], old["contextId"]);
    assert_eq!(done["history"][0]["referenceTaskIds"], json!([task]));
    assert_ne!(done["history"][0]["messageId"], old["history"][0]["messageId"]);
    let in_context = json!({"contextId": old["contextId"]});
    assert_eq!(client.call("ListTasks", in_context).await["totalSize"], 2);
    assert!(dead(&client, "").await.is_empty());
    let handled = dead(&client, "?handled=true").await;
    assert_eq!(handled[0]["redrivenAs"], new.as_str());
}

async fn dead_tasks_are_redriven_by_filter(mode: Mode) {
    let other = "name = \"other\"\nexecutor = \"script\"\n";
    let stack = StackBuilder::new(mode).agent(other).start().await;
    let client = stack.client();
    let late = expired_task(&client).await;
    let fatal = id(&send(&client, "!fail").await);
    let elsewhere = client.clone().rpc_path("/agents/other");
    let (a, b) = (id(&send(&elsewhere, "!fail").await), id(&send(&elsewhere, "!fail").await));

    let filter = json!({"agent": "script", "because": "deadline"});
    let answer = client.ask(Method::POST, &format!("{DEAD}/redrive"), Some(&filter)).await.json();
    assert_eq!(answer["redriven"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!((&answer["redriven"][0]["from"], &answer["more"]), (&json!(late), &json!(false)));
    let new = answer["redriven"][0]["to"].as_str().expect("the new task");
    wait_for_state(&client, new, "COMPLETED").await;
    assert_eq!(ids(&dead(&client, "").await), [b.as_str(), a.as_str(), fatal.as_str()]);

    let printed = command(&stack, &["redrive", "--all", "--agent", "other", "--yes"]);
    assert!(printed.contains(&a) && printed.contains(&b) && !printed.contains(&fatal), "{printed}");
    let none = json!({"cause": "no such cause"});
    let answer = client.ask(Method::POST, &format!("{DEAD}/redrive"), Some(&none)).await.json();
    assert_eq!(answer["redriven"], json!([]));
    let by_cause = dead(&client, "?cause=AS%20ASKED&agent=script").await;
    assert_eq!(ids(&by_cause), [fatal.as_str()], "in whatever case");
}

async fn a_redriven_task_has_the_whole_message_and_no_expired_options(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let deadline = timestamp_in(Duration::from_millis(700));
    let large =
        json!({"raw": "QUJD".repeat(100_000), "filename": "x.bin", "mediaType": "application/x"});
    let mut params = durable("!wait 1500", json!({"deadline": deadline, "priority": 7}));
    params["message"]["parts"] = json!([{"text": "!wait 1500"}, large]);
    params["message"]["metadata"]["mine"] = json!({"n": 1e300});
    let task = id(&task_of(client.call("SendMessage", return_immediately(params)).await));
    let old = wait_for_state(&client, &task, "FAILED").await;
    let new = post(&client, &format!("/local/{task}/redrive")).await.json();
    let done = wait_for_state(&client, new["taskId"].as_str().expect("a task"), "COMPLETED").await;
    let (old, new) = (&old["history"][0], &done["history"][0]);
    assert_eq!(new["parts"], old["parts"]);
    assert_eq!(new["metadata"]["mine"], old["metadata"]["mine"]);
    let options = &new["metadata"]["urn:longhaul:a2a:durability:v1"];
    assert_eq!(*options, json!({"priority": 7}), "the deadline is over");
}

async fn what_was_redriven_survives_the_node_that_did_it(mode: Mode) {
    let mut stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let sends = (0..8).map(|_| send(&client, "!wait 20; fail"));
    let tasks: Vec<String> = join_all(sends).await.iter().map(id).collect();
    let mut redriven = Vec::new();
    for task in &tasks {
        let answer = post(&client, &format!("/local/{task}/redrive")).await.json();
        redriven.push(answer["taskId"].as_str().expect("the new task").to_owned());
    }
    stack.kill_node(0);
    stack.start_node(0).await;
    for (task, new) in tasks.iter().zip(&redriven) {
        wait_for_state(&client, new, "FAILED").await;
        let again = post(&client, &format!("/local/{task}/redrive")).await.json();
        assert_eq!(again, json!({"taskId": new, "already": true}));
    }
}

async fn a_dismissed_task_is_off_the_list_and_stays_dead(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let (one, two) = (id(&send(&client, "!fail").await), id(&send(&client, "!fail").await));
    let dismissed = post(&client, &format!("/local/{one}/dismiss")).await.json();
    assert_eq!(dismissed, json!({"dismissed": true, "already": false}));
    let again = post(&client, &format!("/local/{one}/dismiss")).await.json();
    assert_eq!(again, json!({"dismissed": true, "already": true}));
    assert_eq!(ids(&dead(&client, "").await), [two.as_str()]);
    let refused = post(&client, &format!("/local/{one}/redrive")).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(command(&stack, &["dismiss", &two]).contains("dismissed"));
    assert!(command(&stack, &["list"]).contains("no dead tasks"));
    let handled = dead(&client, "?handled=true").await;
    assert!(handled.iter().all(|letter| letter["dismissed"] == true), "{handled:?}");
    assert_eq!(handled.len(), 2);
    assert_eq!(state(&get(&client, &one).await), "FAILED");
}

async fn dead_letters_of_all_owners_are_for_operators_alone(mode: Mode) {
    let setup =
        StackBuilder::new(mode).key("acme", "admin").key("ops", "operator").key("rival", "admin");
    let stack = setup.start().await;
    let [acme, ops, rival] = [0, 1, 2].map(|key| stack.anonymous().bearer(stack.key(key)));
    let task = id(&send(&acme, "!fail").await);
    let letter = format!("/acme/{task}");
    for path in ["", &letter] {
        let path = format!("{DEAD}{path}");
        assert_eq!(stack.anonymous().get(&path).await.status, 401);
        assert_eq!(acme.get(&path).await.json()["error"]["code"], "PERMISSION_DENIED");
    }
    assert_eq!(post(&acme, &format!("{letter}/redrive")).await.status, 403);
    ops.call_error("SendMessage", longhaul_tests::tasks::message("not for operators")).await;

    assert_eq!(dead(&ops, "").await[0]["owner"], "acme");
    assert!(dead(&ops, "?owner=rival").await.is_empty());
    assert_eq!(post(&ops, &format!("/rival/{task}/redrive")).await.status, 404);
    let redriven = post(&ops, &format!("{letter}/redrive")).await.json();
    let new = redriven["taskId"].as_str().expect("the new task");
    wait_for_state(&acme, new, "FAILED").await;
    let hidden = rival.call_error("GetTask", json!({"id": new})).await;
    assert_eq!(hidden.code, -32001, "it is the owner's of the dead one");
}

async fn each_way_to_fail_names_itself(mode: Mode) {
    let narrow = "name = \"narrow\"\nexecutor = \"script\"\nconcurrency = 1";
    let stack = StackBuilder::new(mode).agent(narrow).start().await;
    let client = stack.client();
    let one_place = client.clone().rpc_path("/agents/narrow");
    let blocking = id(&start_working(&one_place, "!hang").await);
    let (fatal, used_up, slow, silent, queued, late) = tokio::join!(
        send(&client, "!fail"),
        send_durable(&client, "!flaky 9; retry-after 10", json!({"maxAttempts": 2})),
        send_durable(&client, "!hang", json!({"timeout": 0.3, "maxAttempts": 1})),
        send_durable(&client, "!wait 60000", json!({"noProgressTimeout": 0.3, "maxAttempts": 1})),
        send_durable(&one_place, "never", json!({"queueTimeout": 0.3})),
        expired_task(&client),
    );
    one_place.call("CancelTask", json!({"id": blocking})).await;
    for (task, because, attempts) in [
        (id(&fatal), "fatal", 1),
        (id(&used_up), "attempts-used-up", 2),
        (id(&slow), "attempt-timeout", 1),
        (id(&silent), "no-progress", 1),
        (id(&queued), "queue-timeout", 0),
        (late, "deadline", 1),
    ] {
        let letters = dead(&client, &format!("?because={because}")).await;
        assert_eq!(ids(&letters), [task.as_str()], "{because}");
        assert_eq!(letters[0]["attempts"], attempts, "{because}");
        assert_ne!(letters[0]["cause"], "", "{because}");
        let metadata = get(&client, &task).await["status"]["message"]["metadata"].clone();
        assert_eq!(metadata["urn:longhaul:a2a:durability:v1"]["because"], because);
    }
    assert_eq!(client.get(&format!("{DEAD}?because=bad-luck")).await.status, 400);
    assert_eq!(artifact_texts(&send(&client, "well").await), ["well"]);
}
