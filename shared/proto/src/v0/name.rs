//! Resource names: `tasks/{id}` and `tasks/{id}/pushNotificationConfigs/{id}`.

use crate::read::filled;
use longhaul_wire::{
    TaskRef,
    raw::{JsonPath, Parsed},
};
use std::fmt::Display;

const TASKS: &str = "tasks/";
const CONFIGS: &str = "/pushNotificationConfigs/";

/// The task of a resource name; the id alone will do.
pub(super) fn task(name: String, at: &JsonPath<'_>) -> Parsed<TaskRef> {
    let name = filled(name, at)?;
    match name.strip_prefix(TASKS).unwrap_or(&name) {
        "" => at.refuse("must be tasks/{id}"),
        id => Ok(TaskRef::parse(id)),
    }
}

/// Task and config of a resource name; the config may be empty.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(TASKS)?.split_once(CONFIGS).filter(|(task, _)| !task.is_empty())
}

/// Task and config of a resource name that must hold both.
pub(super) fn config(name: String, at: &JsonPath<'_>) -> Parsed<(TaskRef, String)> {
    let name = filled(name, at)?;
    match split(&name) {
        Some((task, id)) if !id.is_empty() => Ok((TaskRef::parse(task), id.to_owned())),
        _ => at.refuse("must be tasks/{id}/pushNotificationConfigs/{id}"),
    }
}

/// The resource name of a config.
pub(super) fn of_config(task: impl Display, id: &str) -> String {
    format!("{TASKS}{task}{CONFIGS}{id}")
}
