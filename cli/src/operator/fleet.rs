//! `longhaul queues` and `longhaul workers`: what waits, what runs, and where.

use super::look::{head, length, short, time};
use crate::{
    args::{ListQueues, ListWorkers},
    client::{Operator, read},
    exit::{Done, Outcome},
    print,
    screen::{Style, clean},
    tasks::view::print_json,
};
use longhaul_domain::Timestamp;
use serde::Deserialize;

/// How much of a list of agents is shown.
const AGENTS: usize = 60;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queue {
    agent: String,
    ready: u64,
    scheduled: u64,
    held_back: u64,
    running: u64,
    #[serde(default)]
    oldest_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Queues {
    queues: Vec<Queue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Worker {
    id: String,
    name: String,
    agents: Vec<String>,
    lease_until: Timestamp,
    running: u64,
}

#[derive(Debug, Deserialize)]
struct Workers {
    workers: Vec<Worker>,
}

/// `longhaul queues`.
pub async fn queues(args: ListQueues) -> Outcome {
    let raw = Operator::new(&args.deployment)?.get(&["queues"], &[]).await?;
    if args.deployment.json {
        print_json(&raw)?;
    } else {
        print::write_out(&queue_table(&read::<Queues>(&raw)?.queues))?;
    }
    Ok(Done::Ok)
}

/// `longhaul workers`.
pub async fn workers(args: ListWorkers) -> Outcome {
    let raw = Operator::new(&args.deployment)?.get(&["workers"], &[]).await?;
    if args.deployment.json {
        print_json(&raw)?;
    } else {
        let workers = read::<Workers>(&raw)?.workers;
        print::write_out(&worker_table(&workers, Style::of_stdout()))?;
    }
    Ok(Done::Ok)
}

fn queue_table(queues: &[Queue]) -> String {
    if queues.is_empty() {
        return "no agents\n".to_owned();
    }
    let names = head(&["AGENT", "READY", "OLDEST", "SCHEDULED", "HELD-BACK", "RUNNING"]);
    let row = |queue: &Queue| {
        vec![
            clean(&queue.agent),
            queue.ready.to_string(),
            queue.oldest_ms.map_or("-".to_owned(), length),
            queue.scheduled.to_string(),
            queue.held_back.to_string(),
            queue.running.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(names).chain(queues.iter().map(row)).collect();
    print::table(&rows)
}

fn worker_table(workers: &[Worker], style: Style) -> String {
    if workers.is_empty() {
        return "no workers\n".to_owned();
    }
    let names = head(&["WORKER", "ID", "RUNNING", "LEASE UNTIL", "AGENTS"]);
    let row = |worker: &Worker| {
        vec![
            short(&worker.name, AGENTS),
            clean(&worker.id),
            worker.running.to_string(),
            time(Some(worker.lease_until), style),
            short(&worker.agents.join(", "), AGENTS),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(names).chain(workers.iter().map(row)).collect();
    print::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Offset, Utc};
    use serde_json::json;

    #[test]
    fn queues_are_a_table() {
        let answer = json!({"queues": [
            {"agent": "echo", "ready": 12, "scheduled": 3, "heldBack": 0, "running": 4, "oldestMs": 61_000},
            {"agent": "idle", "ready": 0, "scheduled": 0, "heldBack": 0, "running": 0},
        ]});
        let queues: Queues = serde_json::from_value(answer).unwrap();
        assert_eq!(
            queue_table(&queues.queues),
            "AGENT  READY  OLDEST  SCHEDULED  HELD-BACK  RUNNING\n\
             echo   12     1m 1s   3          0          4\n\
             idle   0      -       0          0          0\n"
        );
    }

    #[test]
    fn workers_are_a_table() {
        let answer = json!({"workers": [{"id": "w1", "name": "host:7", "agents": ["a", "b"],
            "leaseUntil": "2026-01-02T03:04:05Z", "running": 2}]});
        let workers: Workers = serde_json::from_value(answer).unwrap();
        let style = Style { terminal: false, offset: Utc.fix() };
        assert_eq!(
            worker_table(&workers.workers, style),
            "WORKER  ID  RUNNING  LEASE UNTIL          AGENTS\n\
             host:7  w1  2        2026-01-02 03:04:05  a, b\n"
        );
        assert_eq!(worker_table(&[], style), "no workers\n");
    }
}
