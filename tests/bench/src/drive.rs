//! Waiting sends in a closed loop.

use crate::{
    report::{Row, percentile},
    stack::Stack,
    wal::Counters,
};
use futures::future::join_all;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Drives waiting sends of `echo` over so many connections.
pub async fn waiting_sends(stack: &Stack, connections: usize, measured: Duration) -> Row {
    load(&stack.base, connections, measured / 5).await;
    let before = stack.database.as_ref().map(Counters::read);
    let cpu = stack.cpu_seconds();
    let begun = Instant::now();
    let mut latencies = load(&stack.base, connections, measured).await;
    let took = begun.elapsed();
    let cpu = stack.cpu_seconds() - cpu;
    let tasks = latencies.len().max(1);
    latencies.sort_unstable();
    let written = stack.database.as_ref().zip(before);
    let written = written.map(|(database, before)| Counters::read(database).since(before));
    #[expect(clippy::cast_precision_loss, reason = "figures are printed with three digits")]
    let per_task = |n: i64| n as f64 / tasks as f64;
    #[expect(clippy::cast_precision_loss, reason = "figures are printed with three digits")]
    Row {
        stack: stack.mode.name(),
        what: format!("waiting SendMessage, {connections} connections"),
        rate: tasks as f64 / took.as_secs_f64(),
        unit: "tasks/s",
        p50: Some(percentile(&latencies, 50)),
        p99: Some(percentile(&latencies, 99)),
        wal_bytes: written.map(|(wal, _)| per_task(wal)),
        commits: written.map(|(_, commits)| per_task(commits)),
        cpu_per_thousand: Some(cpu / tasks as f64 * 1000.0),
    }
}

/// Runs all connections for a while; gives the latency of every task.
async fn load(base: &str, connections: usize, time: Duration) -> Vec<Duration> {
    let over = Arc::new(AtomicBool::new(false));
    let loops = (0..connections).map(|_| {
        let (base, over) = (base.to_owned(), Arc::clone(&over));
        #[expect(clippy::disallowed_methods, reason = "every connection is waited for below")]
        tokio::spawn(connection(base, over))
    });
    let loops: Vec<_> = loops.collect();
    tokio::time::sleep(time).await;
    over.store(true, Ordering::Relaxed);
    let all = join_all(loops).await;
    all.into_iter().flat_map(|done| done.expect("a connection panicked")).collect()
}

/// One connection: send, wait, check, again.
async fn connection(base: String, over: Arc<AtomicBool>) -> Vec<Duration> {
    let client = reqwest::Client::builder().build().expect("a client without TLS can be built");
    let mut latencies = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let body = send_body();
        let begun = Instant::now();
        let answer = client
            .post(&base)
            .header("content-type", "application/json")
            .header("a2a-version", "1.0")
            .body(body)
            .send()
            .await
            .expect("the server answers");
        let text = answer.text().await.expect("the answer is text");
        latencies.push(begun.elapsed());
        assert!(text.contains("TASK_STATE_COMPLETED"), "not the finished task: {text}");
    }
    latencies
}

#[expect(
    clippy::disallowed_methods,
    reason = "each message needs an id of its own, and nothing repeats it"
)]
fn send_body() -> String {
    let message = json!({
        "messageId": Uuid::new_v4().to_string(),
        "role": "ROLE_USER",
        "parts": [{"text": "How fast is it?"}],
    });
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message},
    });
    call.to_string()
}
