//! Task.

use super::message::{artifact, message};
use crate::{
    pb::v0 as pb,
    write::{self, Place},
};
use longhaul_domain::{Message, Seq, Task, TaskState, Timestamp};
use longhaul_wire::WireError;

/// Answer of getting and canceling a task. Only a content that is kept apart makes it fail.
pub fn task(task: &Task) -> Result<pb::Task, WireError> {
    shown(task, None)
}

/// A task, with a cursor in its metadata when there is one.
pub(super) fn shown(task: &Task, cursor: Option<Seq>) -> Result<pb::Task, WireError> {
    let place = Place { task: task.key.task, context: &task.context };
    let history = task.history.iter().map(|item| message(&item.message, Some(place)));
    let now = &task.status;
    Ok(pb::Task {
        id: task.key.task.to_string(),
        context_id: task.context.as_str().to_owned(),
        status: Some(status(now.state, now.message.as_ref(), now.at, place)?),
        artifacts: task.artifacts.iter().map(artifact).collect::<Result<_, _>>()?,
        history: history.collect::<Result<_, _>>()?,
        metadata: write::with_cursor(task.metadata.as_ref(), cursor),
    })
}

/// A status inside of its task.
pub(super) fn status(
    state: TaskState,
    said: Option<&Message>,
    at: Timestamp,
    place: Place<'_>,
) -> Result<pb::TaskStatus, WireError> {
    Ok(pb::TaskStatus {
        state: write::state(state),
        update: said.map(|said| message(said, Some(place))).transpose()?,
        timestamp: Some(write::time(at)),
    })
}
