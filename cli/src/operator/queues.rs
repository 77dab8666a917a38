//! `longhaul queues` and `longhaul workers`.

use crate::{
    args::{ListQueuesArgs, ListWorkersArgs},
    client::operator_client,
    exit::{CommandResult, Completion},
    print,
    screen::{Style, clean},
    table::{duration, local_time, table, truncated},
    tasks::output::print_json,
};
use longhaul_client::operator_json::{QueueView, WorkerView};

/// Longest worker name or list of agents in a table, in characters.
const MAX_NAME_CHARS: usize = 60;

/// `longhaul queues`.
pub async fn queues(args: ListQueuesArgs) -> CommandResult {
    let list = operator_client(&args.deployment)?.queues().await?;
    if args.deployment.json {
        print_json(&list.raw)?;
    } else {
        print::write_out(&queue_table(&list.value.queues))?;
    }
    Ok(Completion::Ok)
}

/// `longhaul workers`.
pub async fn workers(args: ListWorkersArgs) -> CommandResult {
    let list = operator_client(&args.deployment)?.workers().await?;
    if args.deployment.json {
        print_json(&list.raw)?;
    } else {
        print::write_out(&worker_table(&list.value.workers, Style::of_stdout()))?;
    }
    Ok(Completion::Ok)
}

fn queue_table(queues: &[QueueView]) -> String {
    if queues.is_empty() {
        return "no agents\n".to_owned();
    }
    let row = |queue: &QueueView| {
        vec![
            clean(&queue.agent),
            queue.ready.to_string(),
            queue.oldest_ms.map_or("-".to_owned(), duration),
            queue.scheduled.to_string(),
            queue.held_back.to_string(),
            queue.running.to_string(),
        ]
    };
    let header = ["AGENT", "READY", "OLDEST", "SCHEDULED", "HELD-BACK", "RUNNING"];
    table(&header, queues.iter().map(row))
}

fn worker_table(workers: &[WorkerView], style: Style) -> String {
    if workers.is_empty() {
        return "no workers\n".to_owned();
    }
    let row = |worker: &WorkerView| {
        vec![
            truncated(&worker.name, MAX_NAME_CHARS),
            clean(&worker.id),
            worker.running.to_string(),
            local_time(Some(worker.lease_until), style),
            truncated(&worker.agents.join(", "), MAX_NAME_CHARS),
        ]
    };
    table(&["WORKER", "ID", "RUNNING", "LEASE UNTIL", "AGENTS"], workers.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Offset, Utc};
    use longhaul_client::operator_json::{QueueList, WorkerList};
    use serde_json::json;

    #[test]
    fn queues_are_a_table() {
        let list = json!({"queues": [
            {"agent": "echo", "ready": 12, "scheduled": 3, "heldBack": 0, "running": 4, "oldestMs": 61_000},
            {"agent": "idle", "ready": 0, "scheduled": 0, "heldBack": 0, "running": 0},
        ]});
        let list: QueueList = serde_json::from_value(list).unwrap();
        assert_eq!(
            queue_table(&list.queues),
            "AGENT  READY  OLDEST  SCHEDULED  HELD-BACK  RUNNING\n\
             echo   12     1m 1s   3          0          4\n\
             idle   0      -       0          0          0\n"
        );
    }

    #[test]
    fn workers_are_a_table() {
        let list = json!({"workers": [{"id": "w1", "name": "host:7", "agents": ["a", "b"],
            "leaseUntil": "2026-01-02T03:04:05Z", "running": 2}]});
        let list: WorkerList = serde_json::from_value(list).unwrap();
        let style = Style { terminal: false, offset: Utc.fix() };
        assert_eq!(
            worker_table(&list.workers, style),
            "WORKER  ID  RUNNING  LEASE UNTIL          AGENTS\n\
             host:7  w1  2        2026-01-02 03:04:05  a, b\n"
        );
        assert_eq!(worker_table(&[], style), "no workers\n");
    }
}
