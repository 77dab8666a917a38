//! Everything that is known of a task when the load is over, from four sides: the client, the database, a replay of its
//! stream, and the journals of the executors. The checker needs nothing else.

use crate::{journal::Sign, kind::Order};
use serde_json::Value;

/// A task from all sides.
#[derive(Debug, Clone, Default)]
pub struct TaskRecord {
    /// Its id.
    pub task: String,
    /// What its client has seen; none: no client ever heard of it.
    pub told: Option<Told>,
    /// What the database holds; none: nothing.
    pub stored: Option<Stored>,
    /// Every event behind cursor 0, as an API node gives them now.
    pub replayed: Vec<Event>,
    /// `GetTask`, now.
    pub snapshot: Value,
    /// What executors did, in the order of time.
    pub signs: Vec<Sign>,
}

/// What a client has seen of its task.
#[derive(Debug, Clone)]
pub struct Told {
    /// What it had asked for.
    pub order: Order,
    /// When the task may start at the earliest, in microseconds since 1970.
    pub not_before: Option<i64>,
    /// Its subscriptions, each over all its connections.
    pub subscriptions: Vec<Subscription>,
    /// Its cancels.
    pub cancels: Vec<Cancel>,
    /// Ids of tasks with which the same message was acknowledged, besides the first.
    pub other_tasks: Vec<String>,
    /// Answers that make no sense.
    pub complaints: Vec<String>,
    /// Whether it has seen its task through.
    pub done: bool,
}

/// One reader of a task's stream. When its connection broke it went on behind the last event that it had seen, often
/// at another node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subscription {
    /// For people: who.
    pub name: String,
    /// The snapshot that the stream began with, and its cursor.
    pub snapshot: Option<(i64, Value)>,
    /// The events, in the order of arrival.
    pub events: Vec<Event>,
    /// Whether the server has ended it behind the last event of the task.
    pub complete: bool,
    /// How many connections it took.
    pub connections: u32,
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its cursor.
    pub seq: i64,
    /// Its JSON, as it came.
    pub text: String,
}

impl Event {
    /// The event; null when it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// A cancel.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    /// When the request that was answered at last was sent first, in microseconds since 1970.
    pub sent_at: i64,
    /// Whether the first request was the one that was answered.
    pub at_first_try: bool,
    /// The state in the answer; empty: the task had ended before.
    pub state: String,
}

/// What the database holds of a task.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// `completed`, `input-required`, …
    pub state: String,
    /// Place of the last entry.
    pub last_seq: i64,
    /// Rows in the queue.
    pub runs: i64,
    /// Rows among the dead letters.
    pub dead_letters: i64,
    /// The log by place.
    pub log: Vec<Entry>,
    /// Names of checkpoints, and when each was committed in microseconds since 1970.
    pub checkpoints: Vec<(String, i64)>,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place.
    pub seq: i64,
    /// When it was written, in microseconds since 1970.
    pub at: i64,
    /// `message`, `status`, `artifact`, `note`.
    pub kind: String,
    /// What is stored.
    pub body: Value,
}

impl Entry {
    /// Whether readers of the stream see it.
    pub fn is_event(&self) -> bool {
        self.kind == "status" || self.kind == "artifact"
    }

    /// The state that it changes the task to.
    pub fn state(&self) -> Option<&str> {
        if self.kind == "status" { self.body["state"].as_str() } else { None }
    }

    /// The run that wrote it, where an executor did.
    pub fn run(&self) -> Option<&str> {
        ["/metadata/run", "/message/metadata/run", "/artifact/metadata/run"]
            .iter()
            .find_map(|place| self.body.pointer(place).and_then(Value::as_str))
    }
}

impl TaskRecord {
    /// What was asked for: by its client's word, else by the first message of the log.
    pub fn order(&self) -> Option<Order> {
        if let Some(told) = &self.told {
            return Some(told.order.clone());
        }
        let first = self.stored.as_ref()?.log.first()?;
        Order::parse(first.body.pointer("/message/parts/0/text")?.as_str()?)
    }
}

/// Whether a state is one that nothing follows.
pub fn is_terminal(state: &str) -> bool {
    matches!(state, "completed" | "failed" | "canceled" | "rejected")
}

/// `TASK_STATE_INPUT_REQUIRED` as `input-required`.
pub fn state_name(wire: &str) -> String {
    wire.strip_prefix("TASK_STATE_").unwrap_or(wire).to_lowercase().replace('_', "-")
}

/// The state of a task or an event, as `input-required`; empty where there is none.
pub fn state_of(json: &Value) -> String {
    let state = ["/status/state", "/statusUpdate/status/state", "/task/status/state"]
        .iter()
        .find_map(|place| json.pointer(place).and_then(Value::as_str));
    state.map(state_name).unwrap_or_default()
}
