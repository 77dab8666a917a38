//! Requests for tasks and for the card, and the resource names in them: `tasks/{id}` and
//! `tasks/{id}/pushNotificationConfigs/{id}`.

use crate::{
    pb::v0 as pb,
    read::{history_length, read_request, required_text},
};
use longhaul_wire::{
    CancelRequest, ExtendedCardRequest, GetRequest, ProtocolError, SubscribeRequest, TaskRef,
    raw::{JsonPath, Parsed},
};
use std::fmt::Display;

/// Reads a request to get a task.
pub fn read_get(request: pb::GetTaskRequest) -> Result<GetRequest, ProtocolError> {
    read_request(|at| {
        let id = task_from_name(request.name, &at.field("name"));
        let history = history_length(request.history_length, &at.field("historyLength"));
        // Protobuf cannot distinguish 0 from absent, and absent means all.
        let history_length = Some(history?).filter(|length| *length > 0);
        Ok(GetRequest { tenant: None, id: id?, history_length })
    })
}

/// Reads a request to cancel a task.
pub fn read_cancel(request: pb::CancelTaskRequest) -> Result<CancelRequest, ProtocolError> {
    read_request(|at| {
        let id = task_from_name(request.name, &at.field("name"))?;
        Ok(CancelRequest { tenant: None, id, metadata: None })
    })
}

/// Reads a request to follow a task.
pub fn read_subscribe(
    request: pb::TaskSubscriptionRequest,
) -> Result<SubscribeRequest, ProtocolError> {
    read_request(|at| {
        Ok(SubscribeRequest { tenant: None, id: task_from_name(request.name, &at.field("name"))? })
    })
}

/// Reads a request for the card, which has no members.
pub fn read_extended_card(
    _: pb::GetAgentCardRequest,
) -> Result<ExtendedCardRequest, ProtocolError> {
    Ok(ExtendedCardRequest { tenant: None })
}

const TASKS_PREFIX: &str = "tasks/";
const CONFIGS_SEGMENT: &str = "/pushNotificationConfigs/";

/// Reads the task of a resource name; a bare id is accepted.
pub(super) fn task_from_name(name: String, at: &JsonPath<'_>) -> Parsed<TaskRef> {
    let name = required_text(name, at)?;
    match name.strip_prefix(TASKS_PREFIX).unwrap_or(&name) {
        "" => at.refuse("must be tasks/{id}"),
        id => Ok(TaskRef::parse(id)),
    }
}

/// Splits a resource name into task and config; the config may be empty.
pub(super) fn split_config_name(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(TASKS_PREFIX)?
        .split_once(CONFIGS_SEGMENT)
        .filter(|(task, _)| !task.is_empty())
}

/// Reads a resource name that must hold both task and config.
pub(super) fn config_from_name(name: String, at: &JsonPath<'_>) -> Parsed<(TaskRef, String)> {
    let name = required_text(name, at)?;
    match split_config_name(&name) {
        Some((task, id)) if !id.is_empty() => Ok((TaskRef::parse(task), id.to_owned())),
        _ => at.refuse("must be tasks/{id}/pushNotificationConfigs/{id}"),
    }
}

/// Formats the resource name of a config.
pub(super) fn config_name(task: impl Display, id: &str) -> String {
    format!("{TASKS_PREFIX}{task}{CONFIGS_SEGMENT}{id}")
}
