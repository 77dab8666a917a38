//! What a worker hands to an executor with a run.

use longhaul_domain::{
    AgentName, ContextId, HistoryItem, JsonObject, Role, Seq, TaskKey, TaskState, Timestamp,
};

/// One run of a task: which task, for which time, and what has been said so far. It is a picture of the moment of the claim
/// and does not change while the run lasts.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// Whose task, and which.
    pub key: TaskKey,
    /// The agent that was asked.
    pub agent: AgentName,
    /// The conversation that the task belongs to.
    pub context: ContextId,
    /// When the task was accepted.
    pub created_at: Timestamp,
    /// Which attempt this is, from 1. A worker that was lost does not raise it, so attempt 1 may find earlier output.
    pub attempt: i32,
    /// After this many attempts a retryable failure is final.
    pub max_attempts: i32,
    /// Which turn this is: 1, and one more each time the task was woken from a park.
    pub turn: i32,
    /// When the task must have ended, if there is such a time.
    pub deadline: Option<Timestamp>,
    /// Messages of both sides in the order of the log, the one that began this turn included: the newest, as many as a run holds.
    /// Large parts and metadata are references.
    pub history: Vec<HistoryItem>,
    /// Where the older messages end that are not in `history`; none when it is whole.
    pub earlier_before: Option<Seq>,
    /// Metadata of the request that carried the last message of the client (A2A 3.2.1).
    pub request_metadata: Option<JsonObject>,
    /// Media types that the client can take in answer to its last message; empty for any (A2A 3.2.2).
    pub accepted_output_modes: Vec<String>,
    /// The state that the task was in before this run. `submitted` in turn 1 says that no executor has written anything.
    pub state_before: TaskState,
    /// Whether a run before this one has stored checkpoints.
    pub has_checkpoints: bool,
}

impl Assignment {
    /// The last message of the client.
    pub fn last_user_message(&self) -> Option<&HistoryItem> {
        self.history.iter().rev().find(|item| item.message.role == Role::User)
    }

    /// Place of the last message of the client; [`Seq::START`] when there is none.
    pub fn read_up_to(&self) -> Seq {
        self.last_user_message().map_or(Seq::START, |item| item.seq)
    }

    /// Whether an earlier run of the task may have left artifacts.
    pub fn may_have_output(&self) -> bool {
        self.turn > 1 || self.attempt > 1 || self.state_before != TaskState::Submitted
    }
}
