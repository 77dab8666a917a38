//! One frame of a stream (A2A 3.2.3, 4.2).

use super::{
    message::{artifact, message},
    task,
};
use crate::{
    pb::v1::{self as pb, stream_response::Payload},
    write::{self, Place},
};
use longhaul_domain::{Message, Seq};
use longhaul_wire::{ArtifactEvent, StatusEvent, StreamEvent, WireError};

/// An event, with its cursor in the metadata under the URI of the resume extension. Only a content that is kept apart makes it
/// fail.
pub fn event(event: &StreamEvent, cursor: Option<Seq>) -> Result<pb::StreamResponse, WireError> {
    let payload = match event {
        StreamEvent::Task(shown) => Payload::Task(task::shown(shown, true, cursor)?),
        StreamEvent::Message(said) => Payload::Message(reply(said, cursor)?),
        StreamEvent::Status(event) => Payload::StatusUpdate(changed(event, cursor)?),
        StreamEvent::Artifact(event) => Payload::ArtifactUpdate(produced(event, cursor)?),
    };
    Ok(pb::StreamResponse { payload: Some(payload) })
}

fn reply(said: &Message, cursor: Option<Seq>) -> Result<pb::Message, WireError> {
    let metadata = write::with_cursor(said.metadata.as_ref(), cursor);
    Ok(pb::Message { metadata, ..message(said, None)? })
}

fn changed(
    event: &StatusEvent,
    cursor: Option<Seq>,
) -> Result<pb::TaskStatusUpdateEvent, WireError> {
    let change = &event.change;
    let place = Place { task: event.task, context: &event.context };
    Ok(pb::TaskStatusUpdateEvent {
        task_id: event.task.to_string(),
        context_id: event.context.as_str().to_owned(),
        status: Some(task::status(change.state, change.message.as_ref(), event.at, place)?),
        metadata: write::with_cursor(change.metadata.as_ref(), cursor),
    })
}

fn produced(
    event: &ArtifactEvent,
    cursor: Option<Seq>,
) -> Result<pb::TaskArtifactUpdateEvent, WireError> {
    let update = &event.update;
    Ok(pb::TaskArtifactUpdateEvent {
        task_id: event.task.to_string(),
        context_id: event.context.as_str().to_owned(),
        artifact: Some(artifact(&update.artifact)?),
        append: update.append,
        last_chunk: update.last_chunk,
        metadata: write::with_cursor(update.metadata.as_ref(), cursor),
    })
}
