//! JSON of agents and task logs (`/agents`, `/tasks/{id}/log`), which Longhaul serves beside A2A.

use crate::write::serialize_millis;
use longhaul_domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An entry of a task's log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogEntryView {
    /// Position in the log, from 1.
    pub seq: i64,
    /// Time of its commit.
    #[serde(serialize_with = "serialize_millis")]
    pub at: Timestamp,
    /// Attempt that wrote the entry; 0 if no executor did.
    #[serde(default)]
    pub attempt: i64,
    /// `message`, `status`, `artifact` or `note`.
    pub kind: String,
    /// The entry as it is stored.
    pub body: Box<RawValue>,
}

/// A page of a task's log. `R` is the run report in JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskLogPage<R = Box<RawValue>> {
    /// Id of the task.
    #[serde(default)]
    pub task_id: String,
    /// Context of the task.
    #[serde(default)]
    pub context_id: String,
    /// Agent that runs the task.
    pub agent: String,
    /// State of the task.
    #[serde(default)]
    pub state: String,
    /// Report of the run: attempt, queue position, deadline.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub run: Option<R>,
    /// The entries, in order.
    pub entries: Vec<LogEntryView>,
    /// Sequence number of the last entry read.
    pub next: i64,
    /// True if further entries follow.
    pub more: bool,
}

/// An agent of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentView {
    /// True if the agent answers requests that name none.
    #[serde(default)]
    pub default: bool,
    /// Description, for people.
    #[serde(default)]
    pub description: String,
    /// Accepted media types.
    #[serde(default)]
    pub input_modes: Vec<String>,
    /// Name of the agent.
    pub name: String,
    /// Produced media types.
    #[serde(default)]
    pub output_modes: Vec<String>,
    /// Version of the agent.
    #[serde(default)]
    pub version: String,
}

/// The agents of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentList {
    /// The agents.
    pub agents: Vec<AgentView>,
}
