//! Task, and a page of a list of tasks (A2A 4.1.1, 3.1.4).

use super::message::{artifact, message};
use crate::{
    pb::v1 as pb,
    write::{self, Place},
};
use longhaul_domain::{Message, Seq, Task, TaskState, Timestamp};
use longhaul_wire::{TaskPage, WireError};

/// Answer of Get Task and Cancel Task. Only a content that is kept apart makes it fail.
pub fn task(task: &Task) -> Result<pb::Task, WireError> {
    shown(task, true, None)
}

/// A task as one place shows it.
pub(super) fn shown(
    task: &Task,
    artifacts: bool,
    cursor: Option<Seq>,
) -> Result<pb::Task, WireError> {
    let place = Place { task: task.key.task, context: &task.context };
    let artifacts = if artifacts { task.artifacts.as_slice() } else { &[] };
    let history = task.history.iter().map(|item| message(&item.message, Some(place)));
    let now = &task.status;
    Ok(pb::Task {
        id: task.key.task.to_string(),
        context_id: task.context.as_str().to_owned(),
        status: Some(status(now.state, now.message.as_ref(), now.at, place)?),
        artifacts: artifacts.iter().map(artifact).collect::<Result<_, _>>()?,
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
        message: said.map(|said| message(said, Some(place))).transpose()?,
        timestamp: Some(write::time(at)),
    })
}

/// Answer of List Tasks. Only a content that is kept apart makes it fail.
pub fn page(page: &TaskPage) -> Result<pb::ListTasksResponse, WireError> {
    let tasks = page.tasks.iter().map(|task| shown(task, page.include_artifacts, None));
    Ok(pb::ListTasksResponse {
        tasks: tasks.collect::<Result<_, _>>()?,
        next_page_token: page.next_page_token.clone(),
        page_size: write::count(page.page_size),
        total_size: write::count(page.total_size),
    })
}
