//! Writers for scalars.

use crate::{pb::v1 as pb, value};
use chrono::Timelike;
use longhaul_domain::{
    ContextId, JsonObject, Message, Role, Seq, TaskId, TaskState, Timestamp,
    extension::RESUME_EXTENSION,
};
use longhaul_wire::{WireError, request::Secret};
use prost_types::{Struct, Value, value::Kind};

/// Text, or empty if absent.
pub(crate) fn text(text: Option<&String>) -> String {
    text.cloned().unwrap_or_default()
}

/// Secret, or empty if absent.
pub(crate) fn secret(secret: Option<&Secret>) -> String {
    secret.map(|secret| secret.reveal().to_owned()).unwrap_or_default()
}

/// Time in whole milliseconds, truncated, as in JSON.
pub(crate) fn time(at: Timestamp) -> prost_types::Timestamp {
    // A leap second becomes the last millisecond of the second before it.
    let millis = (at.nanosecond() / 1_000_000).min(999);
    let nanos = i32::try_from(millis * 1_000_000).unwrap_or_default();
    prost_types::Timestamp { seconds: at.timestamp(), nanos }
}

/// Metadata, if there is any.
pub(crate) fn metadata(metadata: Option<&JsonObject>) -> Option<Struct> {
    metadata.map(value::object_to_struct)
}

/// Metadata with the cursor, if there is one, in place of an older one.
pub(crate) fn with_cursor(given: Option<&JsonObject>, cursor: Option<Seq>) -> Option<Struct> {
    let Some(Seq(seq)) = cursor else { return metadata(given) };
    let mut metadata = metadata(given).unwrap_or_default();
    let seq = value::integer_value(seq);
    let cursor = Struct { fields: [("seq".to_owned(), seq)].into() };
    let cursor = Value { kind: Some(Kind::StructValue(cursor)) };
    // Replaces a cursor that is already there.
    metadata.fields.insert(RESUME_EXTENSION.to_owned(), cursor);
    Some(metadata)
}

pub(crate) const fn role(role: Role) -> i32 {
    match role {
        Role::User => pb::Role::User as i32,
        Role::Agent => pb::Role::Agent as i32,
    }
}

pub(crate) const fn state(state: TaskState) -> i32 {
    let state = match state {
        TaskState::Submitted => pb::TaskState::Submitted,
        TaskState::Working => pb::TaskState::Working,
        TaskState::Completed => pb::TaskState::Completed,
        TaskState::Failed => pb::TaskState::Failed,
        TaskState::Canceled => pb::TaskState::Canceled,
        TaskState::InputRequired => pb::TaskState::InputRequired,
        TaskState::Rejected => pb::TaskState::Rejected,
        TaskState::AuthRequired => pb::TaskState::AuthRequired,
    };
    state as i32
}

/// Count as a protobuf `int32`.
pub(crate) fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Task around a message, which takes missing ids from it.
#[derive(Clone, Copy)]
pub(crate) struct EnclosingTask<'a> {
    pub task: TaskId,
    pub context: &'a ContextId,
}

/// Task and context ids of a message; unknown ones are empty.
pub(crate) fn ids(message: &Message, enclosing: Option<EnclosingTask<'_>>) -> (String, String) {
    let task = message.task_id.or(enclosing.map(|enclosing| enclosing.task));
    let context = message.context_id.as_ref().or(enclosing.map(|enclosing| enclosing.context));
    (
        task.map(|task| task.to_string()).unwrap_or_default(),
        context.map(|context| context.as_str().to_owned()).unwrap_or_default(),
    )
}

/// Error for a content that is still stored apart.
pub(crate) fn unresolved(blob: &longhaul_domain::BlobRef) -> WireError {
    WireError::Unresolved(format!("blob {} is not inline", blob.hash))
}
