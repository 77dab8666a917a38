//! The shapes that A2A had before 1.0, and where they differ.

use crate::{TaskRef, WaitEnd};
use longhaul_domain::{Role, TaskState};

/// A shape that A2A had before 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegacyForm {
    /// JSON of 0.3, as its JSON-RPC binding has it.
    V0_3,
    /// `ProtoJSON` of the protobuf package `a2a.v1`, as 0.3 has it over HTTP+JSON.
    V0_3Proto,
    /// JSON of 0.1, the first version that was published.
    V0_1,
}

impl LegacyForm {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::V0_3, Self::V0_3Proto, Self::V0_1];

    /// Its name of a state. 0.1 has neither `rejected` nor `auth-required`: the first is a way to fail, and what the
    /// second asks for is there asked for as input.
    pub const fn state_name(self, state: TaskState) -> &'static str {
        use TaskState as S;
        match (self, state) {
            (Self::V0_3Proto, S::Submitted) => "TASK_STATE_SUBMITTED",
            (Self::V0_3Proto, S::Working) => "TASK_STATE_WORKING",
            (Self::V0_3Proto, S::Completed) => "TASK_STATE_COMPLETED",
            (Self::V0_3Proto, S::Failed) => "TASK_STATE_FAILED",
            (Self::V0_3Proto, S::Canceled) => "TASK_STATE_CANCELLED",
            (Self::V0_3Proto, S::InputRequired) => "TASK_STATE_INPUT_REQUIRED",
            (Self::V0_3Proto, S::Rejected) => "TASK_STATE_REJECTED",
            (Self::V0_3Proto, S::AuthRequired) => "TASK_STATE_AUTH_REQUIRED",
            (_, S::Submitted) => "submitted",
            (_, S::Working) => "working",
            (_, S::Completed) => "completed",
            (_, S::Failed) | (Self::V0_1, S::Rejected) => "failed",
            (_, S::Canceled) => "canceled",
            (_, S::InputRequired) | (Self::V0_1, S::AuthRequired) => "input-required",
            (Self::V0_3, S::Rejected) => "rejected",
            (Self::V0_3, S::AuthRequired) => "auth-required",
        }
    }

    /// Its name of a role.
    pub const fn role_name(self, role: Role) -> &'static str {
        match (self, role) {
            (Self::V0_3Proto, Role::User) => "ROLE_USER",
            (Self::V0_3Proto, Role::Agent) => "ROLE_AGENT",
            (Self::V0_3 | Self::V0_1, Role::User) => "user",
            (Self::V0_3 | Self::V0_1, Role::Agent) => "agent",
        }
    }

    /// Its name of what a message holds.
    pub(super) const fn parts_name(self) -> &'static str {
        match self {
            Self::V0_3Proto => "content",
            Self::V0_3 | Self::V0_1 => "parts",
        }
    }

    /// Its name of a conversation.
    pub(super) const fn context_name(self) -> &'static str {
        match self {
            Self::V0_1 => "sessionId",
            Self::V0_3 | Self::V0_3Proto => "contextId",
        }
    }

    /// Its name of the task in an event.
    pub(super) const fn event_task_name(self) -> &'static str {
        match self {
            Self::V0_1 => "id",
            Self::V0_3 | Self::V0_3Proto => "taskId",
        }
    }

    /// Whether an object says by `kind` what it is.
    pub(super) const fn has_kind(self) -> bool {
        matches!(self, Self::V0_3)
    }

    /// When a client is done waiting.
    pub const fn ends(self) -> WaitEnd {
        match self {
            Self::V0_3 | Self::V0_1 => WaitEnd::AtAnyPark,
            Self::V0_3Proto => WaitEnd::AtQuestion,
        }
    }

    /// How many messages are asked for: in `ProtoJSON` 0 is absence, which means all.
    pub(super) fn history(self, asked: Option<u32>) -> Option<u32> {
        asked.filter(|length| *length > 0 || self != Self::V0_3Proto)
    }

    /// The task that a text of a client names. In 0.1 clients choose ids.
    pub(super) fn task_ref(self, text: String) -> TaskRef {
        match self {
            Self::V0_1 => TaskRef::chosen(text),
            Self::V0_3 | Self::V0_3Proto => TaskRef::parse(text),
        }
    }
}
