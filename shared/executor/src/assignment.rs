//! The data that a worker hands to an executor with a run.

use longhaul_domain::{
    AgentName, ContextId, HistoryItem, JsonObject, Role, Seq, TaskKey, TaskState, Timestamp,
};

/// One run of a task: the task, the attempt, and the conversation so far. A snapshot from the
/// moment of the claim, and does not change during the run.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The task and its owner.
    pub key: TaskKey,
    /// The agent that was asked.
    pub agent: AgentName,
    /// The conversation that the task belongs to.
    pub context: ContextId,
    /// The time at which the task was accepted.
    pub created_at: Timestamp,
    /// The number of the attempt, from 1. Losing a worker does not raise it, so attempt 1 may find
    /// earlier output.
    pub attempt: i32,
    /// The number of attempts after which a retryable failure is final.
    pub max_attempts: i32,
    /// The number of the turn: 1, plus one for each time the task was woken from a park.
    pub turn: i32,
    /// The time by which the task must have ended, if there is one.
    pub deadline: Option<Timestamp>,
    /// The newest messages of both sides in the order of the log, as many as a run holds. The
    /// message that began this turn is included. Large parts and metadata are references.
    pub history: Vec<HistoryItem>,
    /// The position before which older messages exist that `history` leaves out. `None` when
    /// `history` is complete.
    pub earlier_before: Option<Seq>,
    /// Metadata of the request that carried the client's last message (A2A 3.2.1).
    pub request_metadata: Option<JsonObject>,
    /// Media types that the client accepts in answer to its last message. Empty for any (A2A
    /// 3.2.2).
    pub accepted_output_modes: Vec<String>,
    /// The state of the task before this run. `submitted` in turn 1 means that no executor has
    /// written anything.
    pub state_before: TaskState,
    /// True when an earlier run has stored checkpoints.
    pub has_checkpoints: bool,
}

impl Assignment {
    /// The client's last message.
    pub fn last_user_message(&self) -> Option<&HistoryItem> {
        self.history.iter().rev().find(|item| item.message.role == Role::User)
    }

    /// The log position of the client's last message; [`Seq::START`] when there is none.
    pub fn read_up_to(&self) -> Seq {
        self.last_user_message().map_or(Seq::START, |item| item.seq)
    }

    /// Returns true when an earlier run of the task may have left artifacts.
    pub fn may_have_output(&self) -> bool {
        self.turn > 1 || self.attempt > 1 || self.state_before != TaskState::Submitted
    }
}
