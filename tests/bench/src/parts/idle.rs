//! What a stack costs that has nothing to do, with any number of parked tasks.
//!
//! Each process connects to Postgres with a role of its own, so the module `pg_stat_statements` tells exactly which process asked
//! what. Without the module only the transactions of all processes together are known.

use crate::{
    bench::Bench,
    figure::{Figure, Value},
    http::{Connection, message_id},
    load::next_number,
    meter::{SETTLING, Watch, cpu, memory, statements},
    stack::{Mode, Process, Stack},
};
use futures::future::join_all;
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

/// Connections that park tasks.
const LANES: usize = 64;

/// Measures each stack.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    for mode in bench.modes() {
        let plan = bench.plan(*mode);
        let stack = if *mode == Mode::Distributed { plan.statements() } else { plan }.start().await;
        bench.note_stack(&stack);
        park(&stack, bench.options.parked).await;
        let quick = Duration::from_secs(1);
        sleep(if bench.options.quick { quick } else { SETTLING }).await;
        figures.extend(measure(bench, &stack).await);
    }
    figures
}

async fn measure(bench: &Bench, stack: &Stack) -> Vec<Figure> {
    let profiled = stack.watch.as_ref().filter(|_| stack.profiled);
    if let Some(watch) = profiled {
        statements::reset(watch).await;
    }
    let transactions = commits(stack.watch.as_ref()).await;
    let used = |stack: &Stack| -> Vec<f64> {
        stack.processes.iter().map(|one| cpu::tree_seconds(one.pid())).collect()
    };
    let before = used(stack);
    sleep(bench.measured()).await;
    let seconds = bench.measured().as_secs_f64();
    let after = used(stack);
    let asked = match profiled {
        Some(watch) => Some(statements::read(watch).await),
        None => None,
    };
    let settled = commits(stack.watch.as_ref()).await;
    if let Some(asked) = asked.as_ref().filter(|_| bench.options.statements) {
        statements::print("an idle stack, a task being a second", asked, seconds);
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
            values: values(process, (after - before) / seconds, asked.as_deref(), seconds),
        })
        .collect();
    if let Some((before, after)) = transactions.zip(settled) {
        figures.push(Figure {
            stack: stack.mode.name(),
            part: "idle",
            what: format!("all processes, {parked} parked tasks"),
            values: vec![Value::less("transactions", (after - before) / seconds, "/s")],
        });
    }
    figures
}

fn values(
    process: &Process,
    cpu: f64,
    asked: Option<&[statements::Statement]>,
    seconds: f64,
) -> Vec<Value> {
    let mut values = vec![
        Value::less("CPU", cpu * 100.0, "% core"),
        Value::less("memory", memory::resident_mib(process.pid()), "MiB"),
    ];
    if let Some(asked) = asked {
        let of = |wanted: fn(&statements::Statement) -> bool| {
            let mine = asked.iter().filter(|one| one.user == process.user && wanted(one));
            #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
            let calls = mine.map(|one| one.calls).sum::<i64>() as f64;
            calls / seconds
        };
        values.push(Value::less("queries", of(|one| !one.is_control()), "/s"));
        values.push(Value::less("with control", of(|_| true), "/s"));
    }
    values
}

/// Transactions of all processes until now. Sessions tell late, which is the same at both ends of a long measurement.
async fn commits(watch: Option<&Watch>) -> Option<f64> {
    let watch = watch?;
    #[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
    let commits = watch.commits().await as f64;
    Some(commits)
}

/// Parks tasks: each asks and waits for an answer that does not come.
async fn park(stack: &Stack, parked: usize) {
    let each = parked.div_ceil(LANES);
    let lanes =
        (0..LANES).map(|lane| lane_of(stack.base(), each.min(parked.saturating_sub(lane * each))));
    let done: usize = join_all(lanes).await.into_iter().sum();
    assert_eq!(done, parked, "not all tasks are parked");
}

async fn lane_of(base: &str, tasks: usize) -> usize {
    if tasks == 0 {
        return 0;
    }
    let mut connection = Connection::open(base).await.expect("the server takes connections");
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
