//! Large contents, and clients that do not read.

use std::io::Write;
use std::net::TcpStream;

use longhaul_tests::tasks::{
    TASK_TIMEOUT, fold, get, id, message, message_of, reply_to, return_immediately, send, state,
    task_of, wait_for_state, with,
};
use longhaul_tests::{Mode, StackBuilder, on_both_modes};
use serde_json::{Value, json};

on_both_modes!(
    large_parts_come_back_as_they_were_sent,
    large_artifacts_and_statuses_come_back_whole,
    numbers_and_nesting_of_data_survive,
    a_client_that_never_reads_delays_no_other,
    a_slow_reader_still_gets_everything,
    disconnected_clients_leave_nothing_behind,
);

/// Bytes of a part that is stored outside the log.
const LARGE_PART_BYTES: usize = 200_000;

fn base64(bytes: usize) -> String {
    // Base64 turns three bytes into four letters.
    "QUJD".repeat(bytes / 3)
}

async fn large_parts_come_back_as_they_were_sent(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let echo = stack.client().rpc_path("/agents/echo");
    let list: Vec<u32> = (0..40_000).collect();
    let parts = json!([
        {"text": "é".repeat(LARGE_PART_BYTES)},
        {"raw": base64(LARGE_PART_BYTES), "filename": "x.bin", "mediaType": "text/plain", "metadata": {"k": [1, null]}},
        {"data": {"list": list, "text": "x".repeat(LARGE_PART_BYTES)}},
        {"text": "small"},
        {"text": "é".repeat(LARGE_PART_BYTES)},
    ]);
    let params = message_of(parts.clone());
    let task = task_of(echo.call("SendMessage", params.clone()).await);
    assert_eq!(state(&task), "COMPLETED");
    assert!(task["artifacts"][0]["parts"] == parts, "the send shows other parts");
    assert!(task["history"][0]["parts"] == parts, "the history shows other parts");
    assert!(get(&echo, &id(&task)).await == task, "GetTask shows another task");
    let listed = echo.call("ListTasks", json!({"includeArtifacts": true})).await;
    assert!(listed["tasks"][0]["artifacts"] == task["artifacts"], "the list shows other artifacts");
    let mut stream = echo.stream("SendStreamingMessage", message_of(parts.clone())).await;
    let events: Vec<Value> =
        stream.collect_results(TASK_TIMEOUT).await.into_iter().map(|(_, e)| e).collect();
    let folded = fold(&events);
    assert!(folded["artifacts"][0]["parts"] == parts, "the stream shows other parts");
    assert!(folded["history"][0]["parts"] == parts, "the snapshot shows other parts");
    let again = task_of(echo.call("SendMessage", params).await);
    assert_eq!(again["id"], task["id"], "a large message again finds its task");
    stack.assert_no_errors_logged();
}

async fn large_artifacts_and_statuses_come_back_whole(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let says = "word ".repeat(LARGE_PART_BYTES / 5);
    let plan = json!({"largeBytes": 300_000, "chunks": {"count": 3, "size": 100_000}, "say": says});
    let params = with(message("by metadata"), "/message/metadata/script", plan);
    let mut stream = client.stream("SendStreamingMessage", params).await;
    let events: Vec<Value> =
        stream.collect_results(TASK_TIMEOUT).await.into_iter().map(|(_, e)| e).collect();
    let task = get(&client, &id(&events[0]["task"])).await;
    assert_eq!(
        task["status"]["message"]["parts"][0]["text"].as_str().map(str::len),
        Some(says.len())
    );
    let sizes: Vec<usize> = task["artifacts"][0]["parts"]
        .as_array()
        .expect("the chunks are parts")
        .iter()
        .map(|part| part["text"].as_str().map_or(0, str::len))
        .collect();
    assert_eq!(sizes, [100_000; 3]);
    assert_eq!(task["artifacts"][1]["parts"][0]["raw"].as_str().map(str::len), Some(400_000));
    let folded = fold(&events);
    for member in ["status", "artifacts", "history"] {
        assert!(folded[member] == task[member], "{member} differs between stream and snapshot");
    }
}

async fn numbers_and_nesting_of_data_survive(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let data = r#"{"big":9007199254740993,"one":1.0,"tiny":1e-400,"huge":1e999999,"null":null,"z":[[],{},[null]],"a":-0.0,"u":"\u00e9"}"#;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{{"message":{{"messageId":"n1","role":"ROLE_USER","parts":[{{"data":{data}}}]}}}}}}"#
    );
    let answer = stack.client().post("/agents/echo", body).await.text();
    for kept in [
        "9007199254740993",
        "\"one\":1.0",
        "1e-400",
        "1e999999",
        "\"null\":null",
        "[[],{},[null]]",
        "-0.0",
    ] {
        assert_eq!(
            answer.matches(kept).count(),
            2,
            "{kept} is in the artifact and the history: {answer}"
        );
    }
}

/// A connection that requests a stream and never reads.
fn dead_reader(address: &str, method: &str, params: &Value) -> TcpStream {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let mut socket = TcpStream::connect(address).expect("the node listens");
    write!(
        socket,
        "POST / HTTP/1.1\r\nhost: localhost\r\na2a-version: 1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("the node takes a request");
    socket
}

async fn a_client_that_never_reads_delays_no_other(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let address = stack.nodes()[0].address();
    let task = id(&send(&client, "!ask").await);
    let dead: Vec<TcpStream> =
        (0..20).map(|_| dead_reader(&address, "SubscribeToTask", &json!({"id": task}))).collect();
    let mut alive = client.stream("SubscribeToTask", json!({"id": task})).await;
    alive.next_result(TASK_TIMEOUT).await.expect("a snapshot");
    client.call("SendMessage", return_immediately(reply_to(&task, "!chunks 300 60000"))).await;
    let events = alive.collect_results(TASK_TIMEOUT).await;
    let chunks = events.iter().filter(|(_, e)| e["artifactUpdate"].is_object()).count();
    assert_eq!(chunks, 300, "a living reader gets everything meanwhile");
    assert_eq!(state(&send(&client, "others work").await), "COMPLETED");
    drop(dead);
    stack.assert_healthy().await;
    stack.assert_no_errors_logged();
}

async fn a_slow_reader_still_gets_everything(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let task = id(&send(&client, "!ask").await);
    let mut slow = client.stream("SubscribeToTask", json!({"id": task})).await;
    slow.next_result(TASK_TIMEOUT).await.expect("a snapshot");
    client.call("SendMessage", return_immediately(reply_to(&task, "!chunks 2000 4000"))).await;
    // The client reads nothing until the task has long ended.
    wait_for_state(&client, &task, "COMPLETED").await;
    let events = slow.collect_results(TASK_TIMEOUT).await;
    let numbers: Vec<u32> = events
        .iter()
        .filter_map(|(_, e)| e["artifactUpdate"]["artifact"]["parts"][0]["text"].as_str())
        .filter_map(|text| text[..7].parse().ok())
        .collect();
    assert_eq!(numbers, (1..=2000).collect::<Vec<u32>>());
}

async fn disconnected_clients_leave_nothing_behind(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let address = stack.nodes()[0].address();
    for _ in 0..100 {
        drop(dead_reader(&address, "SendStreamingMessage", &message("!wait 200; chunks 3")));
    }
    let done = longhaul_tests::eventually(
        TASK_TIMEOUT,
        "every task ended without its reader",
        async || {
            let page = client.call("ListTasks", json!({"status": "TASK_STATE_COMPLETED"})).await;
            let open = client.call("ListTasks", json!({"status": "TASK_STATE_WORKING"})).await;
            if open["totalSize"] == 0 {
                Ok(page["totalSize"].clone())
            } else {
                Err(open["totalSize"].clone())
            }
        },
    );
    done.await;
    assert_eq!(state(&send(&client, "x").await), "COMPLETED");
}
