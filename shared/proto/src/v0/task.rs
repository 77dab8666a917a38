//! Tasks and stream frames. `final` marks the last status event of a stream.

use super::message::{artifact, message};
use crate::{
    pb::v0::{self as pb, stream_response::Payload},
    write::{self, EnclosingTask},
};
use longhaul_domain::{Message, Seq, Task, TaskState, Timestamp};
use longhaul_wire::{ArtifactEvent, Dialect, StatusEvent, StreamEvent, WireError};

/// Response to getting and canceling a task. Fails only on contents that are stored apart.
pub fn task(task: &Task) -> Result<pb::Task, WireError> {
    task_with_cursor(task, None)
}

/// Converts a task, with the cursor in its metadata if there is one.
fn task_with_cursor(task: &Task, cursor: Option<Seq>) -> Result<pb::Task, WireError> {
    let enclosing = EnclosingTask { task: task.key.task, context: &task.context };
    let history = task.history.iter().map(|item| message(&item.message, Some(enclosing)));
    let now = &task.status;
    Ok(pb::Task {
        id: task.key.task.to_string(),
        context_id: task.context.as_str().to_owned(),
        status: Some(status(now.state, now.message.as_ref(), now.at, enclosing)?),
        artifacts: task.artifacts.iter().map(artifact).collect::<Result<_, _>>()?,
        history: history.collect::<Result<_, _>>()?,
        metadata: write::with_cursor(task.metadata.as_ref(), cursor),
    })
}

/// Converts the status of a task.
fn status(
    state: TaskState,
    status_message: Option<&Message>,
    at: Timestamp,
    enclosing: EnclosingTask<'_>,
) -> Result<pb::TaskStatus, WireError> {
    Ok(pb::TaskStatus {
        state: write::state(state),
        update: status_message.map(|own| message(own, Some(enclosing))).transpose()?,
        timestamp: Some(write::time(at)),
    })
}

/// Converts an event, with the cursor in its metadata under the URI of the resume extension. Fails
/// only on contents that are stored apart.
pub fn event(event: &StreamEvent, cursor: Option<Seq>) -> Result<pb::StreamResponse, WireError> {
    let payload = match event {
        StreamEvent::Task(task) => Payload::Task(task_with_cursor(task, cursor)?),
        StreamEvent::Message(message) => Payload::Msg(reply(message, cursor)?),
        StreamEvent::Status(event) => Payload::StatusUpdate(status_update(event, cursor)?),
        StreamEvent::Artifact(event) => Payload::ArtifactUpdate(artifact_update(event, cursor)?),
    };
    Ok(pb::StreamResponse { payload: Some(payload) })
}

fn reply(reply: &Message, cursor: Option<Seq>) -> Result<pb::Message, WireError> {
    let metadata = write::with_cursor(reply.metadata.as_ref(), cursor);
    Ok(pb::Message { metadata, ..message(reply, None)? })
}

fn status_update(
    event: &StatusEvent,
    cursor: Option<Seq>,
) -> Result<pb::TaskStatusUpdateEvent, WireError> {
    let change = &event.change;
    let enclosing = EnclosingTask { task: event.task, context: &event.context };
    Ok(pb::TaskStatusUpdateEvent {
        task_id: event.task.to_string(),
        context_id: event.context.as_str().to_owned(),
        status: Some(status(change.state, change.message.as_ref(), event.at, enclosing)?),
        // The rule that also closes the stream.
        r#final: Dialect::V0_3Proto.wait_end().ends_stream(change.state),
        metadata: write::with_cursor(change.metadata.as_ref(), cursor),
    })
}

fn artifact_update(
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
