//! States and roles, read in every spelling and named in that of the form.

use super::LegacyForm;
use crate::{
    raw::{JsonPath, Parsed, RawJson, Violations, scalar::enumeration},
    v1::{ROLES, STATES},
};
use longhaul_domain::{Role, TaskState};

/// `None` for the unspecified state. That which is called `unknown` is none that a task can be in.
pub(super) fn state(
    form: LegacyForm,
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
) -> Parsed<Option<TaskState>> {
    let aside = Violations::default();
    enumeration(raw, &JsonPath::root(&aside), "TASK_STATE_", &STATES).or_else(|_| {
        let mut names: Vec<&str> = TaskState::ALL.map(|state| form.state_name(state)).to_vec();
        names.sort_unstable();
        names.dedup();
        at.refuse(format!("must be one of {}", names.join(", ")))
    })
}

/// A state that is specified.
pub(super) fn some_state(
    form: LegacyForm,
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
) -> Parsed<TaskState> {
    state(form, raw, at)?.map_or_else(|| at.refuse("must be a state that is known"), Ok)
}

pub(super) fn role(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Role> {
    let aside = Violations::default();
    let read = enumeration(raw, &JsonPath::root(&aside), "ROLE_", &ROLES).ok().flatten();
    read.map_or_else(
        || {
            let [user, agent] = [Role::User, Role::Agent].map(|role| form.role_name(role));
            at.refuse(format!("must be {user} or {agent}"))
        },
        Ok,
    )
}
