//! Brings together what is known of every task, a batch at a time: the database over a connection of its own, and replay and
//! snapshot from the API nodes.

use crate::{
    client::{Api, Connection, Next, Trouble},
    journal::Sign,
    random::Random,
    records::{Entry, Event, Stored, TaskRecord, Told},
    stack::Stack,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::{collections::HashMap, time::Duration};
use tokio::time::sleep;

/// Tasks of a batch.
const BATCH: usize = 500;

/// Tasks that are read at once.
const AT_ONCE: usize = 16;

/// How often a read is tried.
const TRIES: u32 = 20;

/// A call's longest time.
const CALL: Duration = Duration::from_secs(10);

/// All tasks, one batch after the other.
pub struct Collector<'a> {
    stack: &'a Stack,
    api: Api,
    told: HashMap<String, Told>,
    signs: HashMap<String, Vec<Sign>>,
    after: String,
    over: bool,
}

impl<'a> Collector<'a> {
    /// Of what clients and executors have noted.
    pub fn new(stack: &'a Stack, api: Api, told: HashMap<String, Told>, signs: Vec<Sign>) -> Self {
        let mut by_task: HashMap<String, Vec<Sign>> = HashMap::new();
        for sign in signs {
            by_task.entry(sign.task.clone()).or_default().push(sign);
        }
        let after = "00000000-0000-0000-0000-000000000000".to_owned();
        Self { stack, api, told, signs: by_task, after, over: false }
    }

    /// The next tasks; none when all have been given. The last batch holds those that the database lacks.
    pub async fn next(&mut self) -> Result<Vec<TaskRecord>, String> {
        if self.over {
            return Ok(Vec::new());
        }
        let rows = self.rows()?;
        if rows.is_empty() {
            self.over = true;
            let lost = std::mem::take(&mut self.told).into_iter();
            return Ok(lost
                .map(|(task, told)| TaskRecord { task, told: Some(told), ..TaskRecord::default() })
                .collect());
        }
        let mut records = Vec::new();
        for (task, stored) in rows {
            self.after.clone_from(&task);
            let (told, signs) = (self.told.remove(&task), self.signs.remove(&task));
            let signs = signs.unwrap_or_default();
            let stored = Some(stored);
            records.push(TaskRecord { task, told, stored, signs, ..TaskRecord::default() });
        }
        let api = &self.api;
        let read = stream::iter(records).map(|record| complete(api, record));
        Ok(read.buffer_unordered(AT_ONCE).collect().await)
    }

    fn rows(&self) -> Result<Vec<(String, Stored)>, String> {
        let sql = QUERY.replace("{after}", &self.after).replace("{limit}", &BATCH.to_string());
        let text = self.stack.sql(&sql)?;
        text.lines().map(|line| row(line).ok_or_else(|| format!("not a row: {line}"))).collect()
    }
}

/// A row a task, as JSON on one line. Moments are microseconds since 1970.
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

fn row(line: &str) -> Option<(String, Stored)> {
    let row: Value = serde_json::from_str(line).ok()?;
    let log = row["log"].as_array()?.iter().map(entry).collect::<Option<Vec<_>>>()?;
    let checkpoint = |item: &Value| Some((item[0].as_str()?.to_owned(), item[1].as_i64()?));
    let checkpoints = row["checkpoints"].as_array()?.iter().map(checkpoint);
    let stored = Stored {
        state: row["state"].as_str()?.to_owned(),
        last_seq: row["last"].as_i64()?,
        runs: row["runs"].as_i64()?,
        dead_letters: row["dead"].as_i64()?,
        log,
        checkpoints: checkpoints.collect::<Option<Vec<_>>>()?,
    };
    Some((row["task"].as_str()?.to_owned(), stored))
}

fn entry(item: &Value) -> Option<Entry> {
    Some(Entry {
        seq: item[0].as_i64()?,
        at: item[1].as_i64()?,
        kind: item[2].as_str()?.to_owned(),
        body: item[3].clone(),
    })
}

/// Adds what the API nodes say. What they do not say stays empty, which the checker finds.
async fn complete(api: &Api, mut record: TaskRecord) -> TaskRecord {
    let mut random = Random::new(record.task.len() as u64);
    let last = record.stored.as_ref().and_then(|stored| {
        stored.log.iter().filter(|entry| entry.is_event()).map(|entry| entry.seq).next_back()
    });
    for _ in 0..TRIES {
        let node = api.any(&mut random);
        let params = json!({"id": record.task});
        let snapshot = api.call(node, "GetTask", &params, CALL).await;
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

/// Every event behind cursor 0: up to the end of an ended task, else up to the last that there is.
async fn replay(
    api: &Api,
    node: usize,
    task: &str,
    last: Option<i64>,
) -> Result<Vec<Event>, Trouble> {
    let Some(last) = last else { return Ok(Vec::new()) };
    let response = api.stream(node, "SubscribeToTask", &json!({"id": task}), Some(0)).await?;
    let mut connection = Connection::new(response);
    let mut events = Vec::new();
    loop {
        match connection.next().await {
            Next::Event(seq, event) => {
                events.push(Event { seq, text: event.to_string() });
                if seq >= last {
                    return Ok(events);
                }
            }
            Next::End => return Ok(events),
            Next::Broken(trouble) => return Err(trouble),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn a_row_is_read() {
        let line = r#"{"task":"t","state":"completed","last":2,"runs":0,"dead":1,"checkpoints":[["step-1",5]],
            "log":[[1,3,"message",{"message":{}}],[2,4,"status",{"state":"completed"}]]}"#;
        let (task, stored) = row(line).expect("a row");
        assert_eq!((task.as_str(), stored.dead_letters), ("t", 1));
        assert_eq!(stored.checkpoints, [("step-1".to_owned(), 5)]);
        assert_eq!(stored.log[1].state(), Some("completed"));
        assert!(row("{}").is_none());
    }
}
