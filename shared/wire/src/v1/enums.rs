//! States and roles (A2A 4.1.3, 4.1.5).

use crate::raw::{JsonPath, Parsed, RawJson, scalar::enumeration};
use longhaul_domain::{Role, TaskState};

/// The protocol's name of a state.
pub const fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Submitted => "TASK_STATE_SUBMITTED",
        TaskState::Working => "TASK_STATE_WORKING",
        TaskState::Completed => "TASK_STATE_COMPLETED",
        TaskState::Failed => "TASK_STATE_FAILED",
        TaskState::Canceled => "TASK_STATE_CANCELED",
        TaskState::InputRequired => "TASK_STATE_INPUT_REQUIRED",
        TaskState::Rejected => "TASK_STATE_REJECTED",
        TaskState::AuthRequired => "TASK_STATE_AUTH_REQUIRED",
    }
}

/// The protocol's name of a role.
pub const fn role_name(role: Role) -> &'static str {
    match role {
        Role::User => "ROLE_USER",
        Role::Agent => "ROLE_AGENT",
    }
}

/// By number and by name; the last is how an older dialect spells it.
pub(crate) const STATES: [(TaskState, i64, &str); 9] = [
    (TaskState::Submitted, 1, "SUBMITTED"),
    (TaskState::Working, 2, "WORKING"),
    (TaskState::Completed, 3, "COMPLETED"),
    (TaskState::Failed, 4, "FAILED"),
    (TaskState::Canceled, 5, "CANCELED"),
    (TaskState::InputRequired, 6, "INPUT_REQUIRED"),
    (TaskState::Rejected, 7, "REJECTED"),
    (TaskState::AuthRequired, 8, "AUTH_REQUIRED"),
    (TaskState::Canceled, 5, "CANCELLED"),
];

/// By number and by name.
pub(crate) const ROLES: [(Role, i64, &str); 2] =
    [(Role::User, 1, "USER"), (Role::Agent, 2, "AGENT")];

/// `None` for the unspecified state.
pub(super) fn state(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Option<TaskState>> {
    enumeration(raw, at, "TASK_STATE_", &STATES)
}

/// A state that is specified.
pub(super) fn some_state(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<TaskState> {
    state(raw, at)?.map_or_else(|| at.refuse("must not be unspecified"), Ok)
}

pub(super) fn role(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Role> {
    let role = enumeration(raw, at, "ROLE_", &ROLES)?;
    role.map_or_else(|| at.refuse("must be ROLE_USER or ROLE_AGENT, not unspecified"), Ok)
}
