//! Cost of an idle stack, with any number of parked tasks.
//!
//! Each process has its own role in Postgres, so that `pg_stat_statements` attributes each query to
//! a process. Without the module only the transactions of all processes together are known.

use crate::{
    bench::Bench,
    figure::{Figure, FigureValue},
    http::{HttpConnection, message_id},
    load::next_number,
    meter::{PostgresProbe, STATS_DELAY, cpu, memory, statements},
    stack::{BenchStack, StackMode, StackProcess},
};
use futures::future::join_all;
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

/// Connections that park tasks.
const PARK_CONNECTIONS: usize = 64;

/// Measures each stack.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    for mode in bench.modes() {
        let plan = bench.plan(*mode);
        let stack =
            if *mode == StackMode::Distributed { plan.statements() } else { plan }.start().await;
        bench.record_stack(&stack);
        park(&stack, bench.options.parked).await;
        let quick = Duration::from_secs(1);
        sleep(if bench.options.quick { quick } else { STATS_DELAY }).await;
        figures.extend(measure(bench, &stack).await);
    }
    figures
}

async fn measure(bench: &Bench, stack: &BenchStack) -> Vec<Figure> {
    let profiled = stack.probe.as_ref().filter(|_| stack.profiled);
    if let Some(probe) = profiled {
        statements::reset(probe).await;
    }
    let transactions = commits(stack.probe.as_ref()).await;
    let used = |stack: &BenchStack| -> Vec<f64> {
        stack.processes.iter().map(|one| cpu::tree_seconds(one.pid())).collect()
    };
    let before = used(stack);
    sleep(bench.row_duration()).await;
    let seconds = bench.row_duration().as_secs_f64();
    let after = used(stack);
    let queries = match profiled {
        Some(probe) => Some(statements::read(probe).await),
        None => None,
    };
    let transactions_after = commits(stack.probe.as_ref()).await;
    if let Some(queries) = queries.as_ref().filter(|_| bench.options.statements) {
        statements::print("an idle stack, a task being a second", queries, seconds);
    }
    let parked = bench.options.parked;
    let mut figures: Vec<_> = stack
        .processes
        .iter()
        .zip(before.iter().zip(after))
        .map(|(process, (before, after))| Figure {
            stack: stack.mode.name(),
            part: "idle",
            what: format!("{}, {parked} parked tasks", process.name),
            values: values(process, (after - before) / seconds, queries.as_deref(), seconds),
        })
        .collect();
    if let Some((before, after)) = transactions.zip(transactions_after) {
        figures.push(Figure {
            stack: stack.mode.name(),
            part: "idle",
            what: format!("all processes, {parked} parked tasks"),
            values: vec![FigureValue::less("transactions", (after - before) / seconds, "/s")],
        });
    }
    figures
}

fn values(
    process: &StackProcess,
    cpu: f64,
    queries: Option<&[statements::StatementStats]>,
    seconds: f64,
) -> Vec<FigureValue> {
    let mut values = vec![
        FigureValue::less("CPU", cpu * 100.0, "% core"),
        FigureValue::less("memory", memory::resident_mib(process.pid()), "MiB"),
    ];
    if let Some(queries) = queries {
        let rate = |wanted: fn(&statements::StatementStats) -> bool| {
            let mine = queries.iter().filter(|one| one.user == process.user && wanted(one));
            #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
            let calls = mine.map(|one| one.calls).sum::<i64>() as f64;
            calls / seconds
        };
        values.push(FigureValue::less("queries", rate(|one| !one.is_control()), "/s"));
        values.push(FigureValue::less("with control", rate(|_| true), "/s"));
    }
    values
}

/// Transactions of all processes so far. Sessions report late, equally at both ends of a
/// measurement.
async fn commits(probe: Option<&PostgresProbe>) -> Option<f64> {
    let probe = probe?;
    #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
    let commits = probe.commits().await as f64;
    Some(commits)
}

/// Parks tasks: each asks a question that nobody answers.
async fn park(stack: &BenchStack, parked: usize) {
    let each = parked.div_ceil(PARK_CONNECTIONS);
    let parking = (0..PARK_CONNECTIONS).map(|number| {
        park_on_one_connection(stack.base(), each.min(parked.saturating_sub(number * each)))
    });
    let done: usize = join_all(parking).await.into_iter().sum();
    assert_eq!(done, parked, "not all tasks are parked");
}

async fn park_on_one_connection(base: &str, tasks: usize) -> usize {
    if tasks == 0 {
        return 0;
    }
    let mut connection = HttpConnection::open(base).await.expect("the server takes connections");
    for _ in 0..tasks {
        let params = json!({"message": {
            "messageId": message_id(next_number()),
            "role": "ROLE_USER",
            "parts": [{"text": "!ask"}],
        }});
        let answer = connection.call("/agents/script", "SendMessage", &params).await;
        let answer = answer.expect("the server answers");
        assert!(
            answer.text().contains("TASK_STATE_INPUT_REQUIRED"),
            "not parked: {}",
            answer.text()
        );
    }
    tasks
}
