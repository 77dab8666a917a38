//! List Tasks and Cancel Task.

use std::collections::BTreeSet;

use futures::future::join_all;
use longhaul_tests::tasks::{
    TASK_TIMEOUT, get, id, message, reply_to, return_immediately, send, start, state, task_of,
    wait_for_state, with,
};
use longhaul_tests::{Client, Mode, StackBuilder, eventually, on_both_modes};
use serde_json::{Value, json};

on_both_modes!(
    pages_hold_every_task_once_and_newest_first,
    a_list_is_filtered_by_context_state_and_time,
    a_list_shows_artifacts_and_history_as_asked,
    paging_is_stable_while_tasks_change,
    a_page_token_belongs_to_its_list,
    a_running_task_is_canceled_by_its_executor,
    a_task_that_waits_for_a_worker_is_canceled_at_once,
    a_parked_task_is_canceled,
    an_ended_task_is_not_cancelable,
    an_executor_that_ignores_a_cancel_is_overruled_after_the_grace_period,
    a_cancel_ends_a_waiting_send_and_a_stream,
);

fn ids(page: &Value) -> Vec<String> {
    page["tasks"].as_array().expect("tasks is always there").iter().map(id).collect()
}

/// Reads all pages by following the tokens.
async fn all_pages(client: &Client, params: &Value) -> Vec<Value> {
    let (mut all, mut token) = (Vec::new(), json!(""));
    loop {
        let page = client.call("ListTasks", with(params.clone(), "/pageToken", token)).await;
        token = page["nextPageToken"].clone();
        assert!(token.is_string(), "it is always there: {page}");
        all.push(page);
        if token == "" {
            return all;
        }
    }
}

async fn pages_hold_every_task_once_and_newest_first(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let empty = client.call("ListTasks", json!({})).await;
    assert_eq!(empty, json!({"tasks": [], "nextPageToken": "", "pageSize": 50, "totalSize": 0}));

    let sent = join_all((0..25).map(|_| send(&client, "one of many"))).await;
    let sent: BTreeSet<String> = sent.iter().map(id).collect();
    let found = all_pages(&client, &json!({"pageSize": 10})).await;
    let sizes: Vec<usize> = found.iter().map(|one| ids(one).len()).collect();
    assert_eq!(sizes, [10, 10, 5]);
    for one in &found {
        let (size, total) = (&one["pageSize"], &one["totalSize"]);
        assert_eq!((size, total), (&json!(10), &json!(25)));
    }
    let all: Vec<String> = found.iter().flat_map(ids).collect();
    assert_eq!(all.len(), 25);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), sent);
    let times: Vec<String> = found
        .iter()
        .flat_map(|one| one["tasks"].as_array().cloned().unwrap_or_default())
        .map(|task| task["status"]["timestamp"].to_string())
        .collect();
    assert!(times.is_sorted_by(|earlier, later| earlier >= later), "{times:?}");
}

async fn a_list_is_filtered_by_context_state_and_time(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let failed = send(&client, "!fail").await;
    let asking = task_of(
        client.call("SendMessage", with(message("!ask"), "/message/contextId", json!("c1"))).await,
    );
    let done = send(&client, "done").await;
    for (filter, wanted) in [
        (json!({"status": "TASK_STATE_FAILED"}), vec![&failed]),
        (json!({"status": "TASK_STATE_INPUT_REQUIRED"}), vec![&asking]),
        (json!({"status": "TASK_STATE_REJECTED"}), vec![]),
        (json!({"contextId": "c1"}), vec![&asking]),
        (json!({"contextId": "c1", "status": "TASK_STATE_COMPLETED"}), vec![]),
        (json!({"contextId": "unknown"}), vec![]),
        (json!({"statusTimestampAfter": done["status"]["timestamp"]}), vec![&done]),
        (json!({"statusTimestampAfter": "2100-01-01T00:00:00Z"}), vec![]),
        (
            json!({"statusTimestampAfter": "2000-01-01T00:00:00+02:00"}),
            vec![&done, &asking, &failed],
        ),
    ] {
        let page = client.call("ListTasks", filter.clone()).await;
        let mut wanted: Vec<String> = wanted.into_iter().map(id).collect();
        let mut got = ids(&page);
        wanted.sort();
        got.sort();
        assert_eq!(got, wanted, "{filter}");
        assert_eq!(page["totalSize"], wanted.len(), "{filter}");
    }
}

async fn a_list_shows_artifacts_and_history_as_asked(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let task = send(&client, "!progress 2; chunks 2; large 100000").await;
    let whole = get(&client, &id(&task)).await;
    let listed = |asked: Value| {
        let client = client.clone();
        async move { client.call("ListTasks", asked).await["tasks"][0].clone() }
    };
    let plain = listed(json!({})).await;
    assert!(plain.get("artifacts").is_none(), "{plain}");
    let with_artifacts = listed(json!({"includeArtifacts": true})).await;
    assert_eq!(with_artifacts["artifacts"], whole["artifacts"]);
    assert_eq!(listed(json!({"historyLength": 10})).await["history"], whole["history"]);
    assert!(listed(json!({"historyLength": 0})).await.get("history").is_none());
    let one = listed(json!({"historyLength": 1})).await;
    assert_eq!(one["history"].as_array().map(Vec::len), Some(1));

    send(&client, "!complete nothing to show").await;
    let empty = listed(json!({"includeArtifacts": true})).await;
    assert_eq!(empty["artifacts"], json!([]), "asked for, it is there even when it is empty");
}

async fn paging_is_stable_while_tasks_change(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let parked = send(&client, "!ask").await;
    let settled = join_all((0..9).map(|_| send(&client, "settled"))).await;
    let first = client.call("ListTasks", json!({"pageSize": 4})).await;
    // The oldest task moves ahead of the cursor, and new ones arrive.
    client.call("SendMessage", reply_to(&id(&parked), "answer")).await;
    send(&client, "new").await;
    let mut rest = Vec::new();
    let mut token = first["nextPageToken"].clone();
    while token != "" {
        let page = client.call("ListTasks", json!({"pageSize": 4, "pageToken": token})).await;
        assert_eq!(page["totalSize"], first["totalSize"]);
        rest.extend(ids(&page));
        token = page["nextPageToken"].clone();
    }
    let mut seen = ids(&first);
    seen.extend(rest);
    seen.sort();
    let mut wanted: Vec<String> = settled.iter().map(id).collect();
    wanted.sort();
    assert_eq!(
        seen, wanted,
        "what did not change is seen once; what moved ahead is not seen twice"
    );
    let since = settled.iter().map(|task| task["status"]["timestamp"].to_string()).max();
    let since: Value = serde_json::from_str(&since.expect("there are nine")).expect("it is JSON");
    let moved = client.call("ListTasks", json!({"statusTimestampAfter": since})).await;
    assert!(ids(&moved).contains(&id(&parked)), "{moved}");
}

async fn a_page_token_belongs_to_its_list(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    join_all((0..3).map(|_| send(&client, "x"))).await;
    let first = client.call("ListTasks", json!({"pageSize": 1})).await;
    let token = &first["nextPageToken"];
    for params in [
        json!({"pageToken": "made up"}),
        json!({"pageToken": token, "contextId": "other"}),
        json!({"pageToken": token, "status": "TASK_STATE_FAILED"}),
    ] {
        let error = client.call_error("ListTasks", params.clone()).await;
        assert_eq!(error.code, -32602, "{params}");
        assert_eq!(longhaul_tests::tasks::violations(&error.data), ["pageToken"]);
    }
}

async fn a_running_task_is_canceled_by_its_executor(mode: Mode) {
    let stack = StackBuilder::new(mode).set("server.cancel_grace", "20s").start().await;
    let client = stack.client();
    let task = start(&client, "!hang").await;
    wait_for_state(&client, &id(&task), "WORKING").await;
    let canceled = client.call("CancelTask", json!({"id": task["id"]})).await;
    assert_eq!(state(&canceled), "CANCELED");
    assert!(canceled["status"]["message"].to_string().contains("stopped as asked"), "{canceled}");
    assert_eq!(get(&client, &id(&task)).await, canceled);
}

async fn a_task_that_waits_for_a_worker_is_canceled_at_once(mode: Mode) {
    let stack = StackBuilder::new(mode).set("worker.concurrency", "1").start().await;
    let client = stack.client();
    let running = start(&client, "!hang").await;
    wait_for_state(&client, &id(&running), "WORKING").await;
    let queued = start(&client, "later").await;
    let canceled = client.call("CancelTask", json!({"id": queued["id"]})).await;
    assert_eq!(state(&canceled), "CANCELED");
    client.call("CancelTask", json!({"id": running["id"]})).await;
    wait_for_state(&client, &id(&running), "CANCELED").await;
    assert_eq!(state(&send(&client, "next").await), "COMPLETED");
    assert_eq!(state(&get(&client, &id(&queued)).await), "CANCELED");
}

async fn a_parked_task_is_canceled(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    for text in ["!ask", "!auth"] {
        let task = send(&client, text).await;
        let canceled = client.call("CancelTask", json!({"id": task["id"]})).await;
        assert_eq!(state(&canceled), "CANCELED", "{text}");
    }
}

async fn an_ended_task_is_not_cancelable(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    for text in ["done", "!fail", "!reject", "!cancel"] {
        let task = send(&client, text).await;
        let error = client.call_error("CancelTask", json!({"id": task["id"]})).await;
        assert_eq!(error.code, -32002, "{text}");
        assert_eq!(error.data[0]["reason"], "TASK_NOT_CANCELABLE");
        assert_eq!(get(&client, &id(&task)).await, task, "nothing is written");
    }
}

async fn an_executor_that_ignores_a_cancel_is_overruled_after_the_grace_period(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let task = start(&client, "!ignore-cancel; hang forever").await;
    wait_for_state(&client, &id(&task), "WORKING").await;
    let asked = client.call("CancelTask", json!({"id": task["id"]})).await;
    assert!(["WORKING", "CANCELED"].contains(&state(&asked)), "{asked}");
    wait_for_state(&client, &id(&task), "CANCELED").await;
    assert_eq!(state(&send(&client, "the worker is free again").await), "COMPLETED");
}

async fn a_cancel_ends_a_waiting_send_and_a_stream(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).set("server.cancel_grace", "20s").start().await;
    let client = stack.client();
    let params = message("!hang");
    let task = task_of(client.call("SendMessage", return_immediately(params.clone())).await);
    let waiting = async { task_of(client.call("SendMessage", params.clone()).await) };
    let streaming = async {
        let mut stream = client.stream("SubscribeToTask", json!({"id": task["id"]})).await;
        stream.collect_results(TASK_TIMEOUT).await
    };
    let cancel = async {
        wait_for_state(&client, &id(&task), "WORKING").await;
        stack.client_at(1).call("CancelTask", json!({"id": task["id"]})).await
    };
    let (waited, streamed, canceled) = tokio::join!(waiting, streaming, cancel);
    assert_eq!((state(&waited), state(&canceled)), ("CANCELED", "CANCELED"));
    let last = &streamed.last().expect("the stream had events").1;
    assert_eq!(last["statusUpdate"]["status"]["state"], "TASK_STATE_CANCELED");
    eventually(TASK_TIMEOUT, "the task is off the lists of running tasks", async || {
        let page = client.call("ListTasks", json!({"status": "TASK_STATE_WORKING"})).await;
        if page["totalSize"] == 0 { Ok(()) } else { Err(page) }
    })
    .await;
}
