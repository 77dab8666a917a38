//! Tasks, pages of tasks, and stream frames (A2A 4.1.1, 3.1.4, 3.2.3, 4.2).

use super::message::{artifact, message};
use crate::{
    pb::v1::{self as pb, stream_response::Payload},
    write::{self, EnclosingTask},
};
use longhaul_domain::{Message, Seq, Task, TaskState, Timestamp};
use longhaul_wire::{ArtifactEvent, StatusEvent, StreamEvent, TaskPage, WireError};

/// Response of Get Task and Cancel Task. Fails only on contents that are stored apart.
pub fn task(task: &Task) -> Result<pb::Task, WireError> {
    task_with_cursor(task, true, None)
}

/// Converts a task, with or without artifacts, and with the cursor if there is one.
fn task_with_cursor(
    task: &Task,
    artifacts: bool,
    cursor: Option<Seq>,
) -> Result<pb::Task, WireError> {
    let enclosing = EnclosingTask { task: task.key.task, context: &task.context };
    let artifacts = if artifacts { task.artifacts.as_slice() } else { &[] };
    let history = task.history.iter().map(|item| message(&item.message, Some(enclosing)));
    let now = &task.status;
    Ok(pb::Task {
        id: task.key.task.to_string(),
        context_id: task.context.as_str().to_owned(),
        status: Some(status(now.state, now.message.as_ref(), now.at, enclosing)?),
        artifacts: artifacts.iter().map(artifact).collect::<Result<_, _>>()?,
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
        message: status_message.map(|own| message(own, Some(enclosing))).transpose()?,
        timestamp: Some(write::time(at)),
    })
}

/// Response of List Tasks. Fails only on contents that are stored apart.
pub fn page(page: &TaskPage) -> Result<pb::ListTasksResponse, WireError> {
    let tasks = page.tasks.iter().map(|task| task_with_cursor(task, page.include_artifacts, None));
    Ok(pb::ListTasksResponse {
        tasks: tasks.collect::<Result<_, _>>()?,
        next_page_token: page.next_page_token.clone(),
        page_size: write::count(page.page_size),
        total_size: write::count(page.total_size),
    })
}

/// Converts an event, with the cursor in its metadata under the URI of the resume extension. Fails
/// only on contents that are stored apart.
pub fn event(event: &StreamEvent, cursor: Option<Seq>) -> Result<pb::StreamResponse, WireError> {
    let payload = match event {
        StreamEvent::Task(task) => Payload::Task(task_with_cursor(task, true, cursor)?),
        StreamEvent::Message(message) => Payload::Message(reply(message, cursor)?),
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
