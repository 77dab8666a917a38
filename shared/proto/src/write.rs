//! Scalars as they go out.

use crate::{pb::v1 as pb, value};
use chrono::Timelike;
use longhaul_domain::{
    ContextId, JsonObject, Message, Role, Seq, TaskId, TaskState, Timestamp,
    extension::RESUME_EXTENSION,
};
use longhaul_wire::{WireError, request::Secret};
use prost_types::{Struct, Value, value::Kind};

/// Optional text; absent is empty.
pub(crate) fn text(text: Option<&String>) -> String {
    text.cloned().unwrap_or_default()
}

/// An optional secret; absent is empty.
pub(crate) fn secret(secret: Option<&Secret>) -> String {
    secret.map(|secret| secret.reveal().to_owned()).unwrap_or_default()
}

/// Whole milliseconds, cut and not rounded, as in JSON.
pub(crate) fn time(at: Timestamp) -> prost_types::Timestamp {
    // A leap second is the end of the second before it.
    let millis = (at.nanosecond() / 1_000_000).min(999);
    let nanos = i32::try_from(millis * 1_000_000).unwrap_or_default();
    prost_types::Timestamp { seconds: at.timestamp(), nanos }
}

/// Metadata, if there is any.
pub(crate) fn metadata(metadata: Option<&JsonObject>) -> Option<Struct> {
    metadata.map(value::structure)
}

/// Metadata with the cursor in it, when there is one: in place of an older one.
pub(crate) fn with_cursor(given: Option<&JsonObject>, cursor: Option<Seq>) -> Option<Struct> {
    let Some(Seq(seq)) = cursor else { return metadata(given) };
    let mut metadata = metadata(given).unwrap_or_default();
    let seq = value::of_integer(seq);
    let cursor = Struct { fields: [("seq".to_owned(), seq)].into() };
    let cursor = Value { kind: Some(Kind::StructValue(cursor)) };
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

/// A count as protobuf's `int32`.
pub(crate) fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The task in which a message stands: it takes over ids that it has not itself.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub task: TaskId,
    pub context: &'a ContextId,
}

/// Task and context of a message at a place; what is not known is empty.
pub(crate) fn ids(message: &Message, place: Option<Place<'_>>) -> (String, String) {
    let task = message.task_id.or(place.map(|place| place.task));
    let context = message.context_id.as_ref().or(place.map(|place| place.context));
    (
        task.map(|task| task.to_string()).unwrap_or_default(),
        context.map(|context| context.as_str().to_owned()).unwrap_or_default(),
    )
}

/// A content that is kept apart must have been put back.
pub(crate) fn unresolved(blob: &longhaul_domain::BlobRef) -> WireError {
    WireError::Unresolved(format!("blob {} is kept apart", blob.hash))
}
