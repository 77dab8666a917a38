//! What an idle stack costs, with any number of parked tasks.

use crate::stack::Stack;
use futures::future::join_all;
use longhaul_tests::{Client, Database};
use serde_json::{Value, json};
use std::time::Duration;

/// Connections that park tasks.
const CONNECTIONS: usize = 128;

/// How long the stack is left alone before it is measured: sessions publish their counts late.
const SETTLING: Duration = Duration::from_secs(15);

/// Figures of an idle stack.
pub struct Idle {
    pub stack: &'static str,
    pub parked: usize,
    pub seconds: f64,
    /// CPU of Longhaul's own processes, in percent of one core.
    pub cpu_percent: f64,
    /// Transactions a second in the database, those of all processes together.
    pub transactions: Option<f64>,
    /// Resident memory of each process, in MiB.
    pub resident: Vec<f64>,
}

/// Parks tasks, waits, and measures.
pub async fn idle(stack: &Stack, parked: usize, measured: Duration) -> Idle {
    let each = parked.div_ceil(CONNECTIONS);
    join_all((0..CONNECTIONS).map(|lane| park(&stack.base, lane, each.min(parked)))).await;
    tokio::time::sleep(SETTLING).await;
    let transactions = stack.database.as_ref().map(transactions);
    let cpu = stack.cpu_seconds();
    tokio::time::sleep(measured).await;
    let cpu = stack.cpu_seconds() - cpu;
    let seconds = measured.as_secs_f64();
    let after = stack.database.as_ref().map(self::transactions);
    #[expect(clippy::cast_precision_loss, reason = "figures are printed with three digits")]
    let rate = |before: i64, after: i64| (after - before) as f64 / seconds;
    Idle {
        stack: stack.mode.name(),
        parked: each * CONNECTIONS,
        seconds,
        cpu_percent: cpu / seconds * 100.0,
        transactions: transactions.zip(after).map(|(before, after)| rate(before, after)),
        resident: stack.resident_mib(),
    }
}

/// Parks so many tasks over one connection.
async fn park(base: &str, lane: usize, count: usize) {
    let client = Client::new(base).rpc_path("/agents/script");
    for n in 0..count {
        let answer = client.call("SendMessage", question(lane, n)).await;
        let state = answer.pointer("/task/status/state").and_then(Value::as_str);
        assert_eq!(state, Some("TASK_STATE_INPUT_REQUIRED"), "not a parked task: {answer}");
    }
}

fn question(lane: usize, n: usize) -> Value {
    json!({"message": {
        "messageId": format!("park-{lane}-{n}"),
        "role": "ROLE_USER",
        "parts": [{"text": "!ask"}],
    }})
}

/// Transactions so far. Sessions publish their count with a delay of up to a second, which is little in a long measurement.
fn transactions(database: &Database) -> i64 {
    let sql = "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()";
    database.sql(sql).parse().unwrap_or_default()
}

/// Prints the figures.
pub fn print(rows: &[Idle]) {
    for row in rows {
        let resident: Vec<String> = row.resident.iter().map(|mib| format!("{mib:.0}")).collect();
        let transactions =
            row.transactions.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2}"));
        println!(
            "{}, idle for {:.0} s with {} parked tasks: {:.2}% of a core, {transactions} transactions/s, {} MiB resident",
            row.stack,
            row.seconds,
            row.parked,
            row.cpu_percent,
            resident.join(" + "),
        );
    }
}
