//! Collects the records of all tasks in batches: rows from the database, replay and snapshot from
//! the API nodes, views of the clients, and journals of the executors.

use crate::{
    client::{ApiNodes, CallError, EventConnection, StreamItem},
    journal::JournalEntry,
    random::Random,
    records::{ClientView, LogEntry, StoredTask, StreamEvent, TaskRecord},
    stack::ChaosStack,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::{collections::HashMap, time::Duration};
use tokio::time::sleep;

/// Tasks in a batch.
const MAX_TASKS_PER_BATCH: usize = 500;

/// Tasks read concurrently from the API nodes.
const MAX_CONCURRENT_READS: usize = 16;

/// Attempts to read one task from the API nodes.
const MAX_READ_ATTEMPTS: u32 = 20;

/// Longest time for a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Collects the records of all tasks, one batch after the other.
pub struct RecordCollector<'a> {
    stack: &'a ChaosStack,
    api: ApiNodes,
    client_view: HashMap<String, ClientView>,
    journal_entries: HashMap<String, Vec<JournalEntry>>,
    after: String,
    finished: bool,
}

impl<'a> RecordCollector<'a> {
    /// A collector of these client views and journals.
    pub fn new(
        stack: &'a ChaosStack,
        api: ApiNodes,
        client_view: HashMap<String, ClientView>,
        journal_entries: Vec<JournalEntry>,
    ) -> Self {
        let mut by_task: HashMap<String, Vec<JournalEntry>> = HashMap::new();
        for action in journal_entries {
            by_task.entry(action.task.clone()).or_default().push(action);
        }
        let after = "00000000-0000-0000-0000-000000000000".to_owned();
        Self { stack, api, client_view, journal_entries: by_task, after, finished: false }
    }

    /// The next batch; empty after the last one. The last batch holds the tasks that the database
    /// lacks.
    pub async fn next(&mut self) -> Result<Vec<TaskRecord>, String> {
        if self.finished {
            return Ok(Vec::new());
        }
        let rows = self.rows()?;
        if rows.is_empty() {
            self.finished = true;
            let lost = std::mem::take(&mut self.client_view).into_iter();
            return Ok(lost
                .map(|(task, client_view)| TaskRecord {
                    task,
                    client_view: Some(client_view),
                    ..TaskRecord::default()
                })
                .collect());
        }
        let mut records = Vec::new();
        for (task, stored) in rows {
            self.after.clone_from(&task);
            let (client_view, journal_entries) =
                (self.client_view.remove(&task), self.journal_entries.remove(&task));
            let journal_entries = journal_entries.unwrap_or_default();
            let stored = Some(stored);
            records.push(TaskRecord {
                task,
                client_view,
                stored,
                journal_entries,
                ..TaskRecord::default()
            });
        }
        let api = &self.api;
        let read = stream::iter(records).map(|record| read_from_api(api, record));
        Ok(read.buffer_unordered(MAX_CONCURRENT_READS).collect().await)
    }

    fn rows(&self) -> Result<Vec<(String, StoredTask)>, String> {
        let sql = QUERY
            .replace("{after}", &self.after)
            .replace("{limit}", &MAX_TASKS_PER_BATCH.to_string());
        let text = self.stack.sql(&sql)?;
        text.lines().map(|line| row(line).ok_or_else(|| format!("not a row: {line}"))).collect()
    }
}

/// One row per task, as JSON on one line. Times are microseconds since 1970.
const QUERY: &str = "
select replace(json_build_object(
    'task', t.task_id,
    'state', task_state_name(s.state),
    'last', s.last_seq,
    'runs', (select count(*) from runs r where r.owner_id = t.owner_id and r.task_id = t.task_id),
    'dead', (select count(*) from dead_letters d where d.owner_id = t.owner_id and d.task_id = t.task_id),
    'checkpoints', (
        select coalesce(json_agg(json_build_array(c.name, (extract(epoch from c.at) * 1000000)::int8)), '[]')
        from checkpoints c where c.owner_id = t.owner_id and c.task_id = t.task_id
    ),
    'log', (
        select coalesce(json_agg(json_build_array(
            l.seq, (extract(epoch from l.at) * 1000000)::int8, log_kind_name(l.kind), l.body) order by l.seq), '[]')
        from log l where l.owner_id = t.owner_id and l.task_id = t.task_id
    )
)::text, E'\\n', ' ')
from tasks t join task_state s using (owner_id, task_id)
where t.task_id > '{after}' order by t.task_id limit {limit}";

fn row(line: &str) -> Option<(String, StoredTask)> {
    let row: Value = serde_json::from_str(line).ok()?;
    let log = row["log"].as_array()?.iter().map(entry).collect::<Option<Vec<_>>>()?;
    let checkpoint = |item: &Value| Some((item[0].as_str()?.to_owned(), item[1].as_i64()?));
    let checkpoints = row["checkpoints"].as_array()?.iter().map(checkpoint);
    let stored = StoredTask {
        state: row["state"].as_str()?.to_owned(),
        last_seq: row["last"].as_i64()?,
        runs: row["runs"].as_i64()?,
        dead_letters: row["dead"].as_i64()?,
        log,
        checkpoints: checkpoints.collect::<Option<Vec<_>>>()?,
    };
    Some((row["task"].as_str()?.to_owned(), stored))
}

fn entry(item: &Value) -> Option<LogEntry> {
    Some(LogEntry {
        seq: item[0].as_i64()?,
        at: item[1].as_i64()?,
        kind: item[2].as_str()?.to_owned(),
        body: item[3].clone(),
    })
}

/// Adds snapshot and replay from the API nodes. Missing ones stay empty, which the checks report.
async fn read_from_api(api: &ApiNodes, mut record: TaskRecord) -> TaskRecord {
    let mut random = Random::new(record.task.len() as u64);
    let last = record.stored.as_ref().and_then(|stored| {
        stored.log.iter().filter(|entry| entry.is_event()).map(|entry| entry.seq).next_back()
    });
    for _ in 0..MAX_READ_ATTEMPTS {
        let node = api.random_node(&mut random);
        let params = json!({"id": record.task});
        let snapshot = api.call(node, "GetTask", &params, CALL_TIMEOUT).await;
        let replayed = replay(api, node, &record.task, last).await;
        match (snapshot, replayed) {
            (Ok(snapshot), Ok(replayed)) => {
                record.snapshot = snapshot;
                record.replayed = replayed;
                break;
            }
            _ => sleep(Duration::from_millis(250)).await,
        }
    }
    record
}

/// Replays the events after cursor 0, up to `last`.
async fn replay(
    api: &ApiNodes,
    node: usize,
    task: &str,
    last: Option<i64>,
) -> Result<Vec<StreamEvent>, CallError> {
    let Some(last) = last else { return Ok(Vec::new()) };
    let response = api.stream(node, "SubscribeToTask", &json!({"id": task}), Some(0)).await?;
    let mut connection = EventConnection::new(response);
    let mut events = Vec::new();
    loop {
        match connection.next().await {
            StreamItem::Event(seq, event) => {
                events.push(StreamEvent { seq, text: event.to_string() });
                if seq >= last {
                    return Ok(events);
                }
            }
            StreamItem::End => return Ok(events),
            StreamItem::Broken(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn a_row_is_parsed() {
        let line = r#"{"task":"t","state":"completed","last":2,"runs":0,"dead":1,"checkpoints":[["step-1",5]],
            "log":[[1,3,"message",{"message":{}}],[2,4,"status",{"state":"completed"}]]}"#;
        let (task, stored) = row(line).expect("a row");
        assert_eq!((task.as_str(), stored.dead_letters), ("t", 1));
        assert_eq!(stored.checkpoints, [("step-1".to_owned(), 5)]);
        assert_eq!(stored.log[1].state(), Some("completed"));
        assert!(row("{}").is_none());
    }
}
