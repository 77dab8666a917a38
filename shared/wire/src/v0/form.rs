//! JSON shapes of A2A before 1.0 and the names in which they differ.

use crate::{TaskRef, WaitEnd};
use longhaul_domain::{Role, TaskState};

/// JSON shape of A2A before 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegacyForm {
    /// JSON of 0.3, as used by JSON-RPC.
    V0_3,
    /// `ProtoJSON` of the protobuf package `a2a.v1`, as used by HTTP+JSON in 0.3.
    V0_3Proto,
    /// JSON of 0.1, the first published version.
    V0_1,
}

impl LegacyForm {
    /// All forms.
    pub const ALL: [Self; 3] = [Self::V0_3, Self::V0_3Proto, Self::V0_1];

    /// Name of a state. 0.1 lacks `rejected` and `auth-required`: a rejected task failed, and a
    /// pending authorization is a request for input.
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

    /// Name of a role.
    pub const fn role_name(self, role: Role) -> &'static str {
        match (self, role) {
            (Self::V0_3Proto, Role::User) => "ROLE_USER",
            (Self::V0_3Proto, Role::Agent) => "ROLE_AGENT",
            (Self::V0_3 | Self::V0_1, Role::User) => "user",
            (Self::V0_3 | Self::V0_1, Role::Agent) => "agent",
        }
    }

    /// Name of a message's parts member.
    pub(super) const fn parts_name(self) -> &'static str {
        match self {
            Self::V0_3Proto => "content",
            Self::V0_3 | Self::V0_1 => "parts",
        }
    }

    /// Name of the context id member.
    pub(super) const fn context_name(self) -> &'static str {
        match self {
            Self::V0_1 => "sessionId",
            Self::V0_3 | Self::V0_3Proto => "contextId",
        }
    }

    /// Name of an event's task id member.
    pub(super) const fn event_task_name(self) -> &'static str {
        match self {
            Self::V0_1 => "id",
            Self::V0_3 | Self::V0_3Proto => "taskId",
        }
    }

    /// Tells if objects carry a `kind` member.
    pub(super) const fn has_kind(self) -> bool {
        matches!(self, Self::V0_3)
    }

    /// Rule that ends waits and streams.
    pub const fn wait_end(self) -> WaitEnd {
        match self {
            Self::V0_3 | Self::V0_1 => WaitEnd::AtAnyPark,
            Self::V0_3Proto => WaitEnd::AtQuestion,
        }
    }

    /// History length as requested: 0 means absent in `ProtoJSON`, and absent means all.
    pub(super) fn history(self, requested: Option<u32>) -> Option<u32> {
        requested.filter(|length| *length > 0 || self != Self::V0_3Proto)
    }

    /// Parses a task id; clients of 0.1 choose theirs.
    pub(super) fn task_ref(self, text: String) -> TaskRef {
        match self {
            Self::V0_1 => TaskRef::parse_client_id(text),
            Self::V0_3 | Self::V0_3Proto => TaskRef::parse(text),
        }
    }
}
