//! Records of a task after the load, from four sources: its client, the database, a replay of its
//! stream, and the journals of the executors. The checks need nothing else.

use crate::{journal::JournalEntry, scenario::Scenario};
use serde_json::Value;

/// All records of a task.
#[derive(Debug, Clone, Default)]
pub struct TaskRecord {
    /// The task's id.
    pub task: String,
    /// The client's view; `None` when no client learned of the task.
    pub client_view: Option<ClientView>,
    /// The rows of the database; `None` when there are none.
    pub stored: Option<StoredTask>,
    /// The events after cursor 0, as an API node replays them.
    pub replayed: Vec<StreamEvent>,
    /// The answer of `GetTask`.
    pub snapshot: Value,
    /// Journal entries of executors, ordered by time.
    pub journal_entries: Vec<JournalEntry>,
}

/// A client's view of its task.
#[derive(Debug, Clone)]
pub struct ClientView {
    /// The requested scenario.
    pub scenario: Scenario,
    /// Earliest start of the task, in microseconds since 1970.
    pub not_before: Option<i64>,
    /// Subscriptions, each over all its connections.
    pub subscriptions: Vec<Subscription>,
    /// Cancel requests.
    pub cancels: Vec<Cancel>,
    /// Ids of further tasks with which the same message was acknowledged.
    pub other_tasks: Vec<String>,
    /// Invalid answers.
    pub complaints: Vec<String>,
    /// True when the client has followed its task to the end.
    pub done: bool,
}

/// One reader of a task's stream. When its connection breaks, it resumes after the last event that
/// it has seen, often at another node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subscription {
    /// Name for reports.
    pub name: String,
    /// The first snapshot of the stream, and its cursor.
    pub snapshot: Option<(i64, Value)>,
    /// Events in order of arrival.
    pub events: Vec<StreamEvent>,
    /// True once the task's last event was received.
    pub complete: bool,
    /// Number of connections used.
    pub connections: u32,
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEvent {
    /// The cursor.
    pub seq: i64,
    /// The JSON as received.
    pub text: String,
}

impl StreamEvent {
    /// The parsed event; null when it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// A cancel request.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    /// Time of the first attempt, in microseconds since 1970.
    pub sent_at: i64,
    /// True when the first attempt was answered.
    pub at_first_try: bool,
    /// The state in the answer; empty when the task had already ended.
    pub state: String,
}

/// The rows of a task in the database.
#[derive(Debug, Clone, Default)]
pub struct StoredTask {
    /// State, such as `completed` or `input-required`.
    pub state: String,
    /// Sequence number of the last log entry.
    pub last_seq: i64,
    /// Number of rows in `runs`.
    pub runs: i64,
    /// Number of rows in `dead_letters`.
    pub dead_letters: i64,
    /// Log entries by sequence number.
    pub log: Vec<LogEntry>,
    /// Names and commit times of checkpoints, in microseconds since 1970.
    pub checkpoints: Vec<(String, i64)>,
}

/// A log entry.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// The sequence number.
    pub seq: i64,
    /// Time of the write, in microseconds since 1970.
    pub at: i64,
    /// Kind: `message`, `status`, `artifact` or `note`.
    pub kind: String,
    /// The stored body.
    pub body: Value,
}

impl LogEntry {
    /// True when streams carry the entry.
    pub fn is_event(&self) -> bool {
        self.kind == "status" || self.kind == "artifact"
    }

    /// The state that the entry sets.
    pub fn state(&self) -> Option<&str> {
        if self.kind == "status" { self.body["state"].as_str() } else { None }
    }

    /// The run that wrote the entry, when an executor did.
    pub fn run(&self) -> Option<&str> {
        ["/metadata/run", "/message/metadata/run", "/artifact/metadata/run"]
            .iter()
            .find_map(|path| self.body.pointer(path).and_then(Value::as_str))
    }
}

impl TaskRecord {
    /// The scenario, from the client's view or else from the first message of the log.
    pub fn scenario(&self) -> Option<Scenario> {
        if let Some(client_view) = &self.client_view {
            return Some(client_view.scenario.clone());
        }
        let first = self.stored.as_ref()?.log.first()?;
        Scenario::parse(first.body.pointer("/message/parts/0/text")?.as_str()?)
    }
}

/// True for a terminal state.
pub fn is_terminal(state: &str) -> bool {
    matches!(state, "completed" | "failed" | "canceled" | "rejected")
}

/// Converts `TASK_STATE_INPUT_REQUIRED` to `input-required`.
pub fn state_name(wire: &str) -> String {
    wire.strip_prefix("TASK_STATE_").unwrap_or(wire).to_lowercase().replace('_', "-")
}

/// The state of a task or an event, such as `input-required`; empty when there is none.
pub fn state_of(json: &Value) -> String {
    let state = ["/status/state", "/statusUpdate/status/state", "/task/status/state"]
        .iter()
        .find_map(|path| json.pointer(path).and_then(Value::as_str));
    state.map(state_name).unwrap_or_default()
}
