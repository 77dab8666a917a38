//! Tasks, their status, and pages of tasks (A2A 4.1.1, 4.1.2, 3.1.4). A page always has all four
//! members.

use super::{Each, V1, message, message::state_name, read_result, request::count};
use crate::{
    WireError,
    event::TaskPage,
    metadata::with_optional_cursor,
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    received::{ReceivedPage, ReceivedStatus, ReceivedTask},
    write::{ObjectWriter, Rfc3339Millis},
};
use longhaul_domain::{ContextId, Message, Seq, Task, TaskId, TaskState, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Visibility of a task's artifacts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ArtifactVisibility {
    /// Shown if there are any.
    IfAny,
    /// Never shown.
    Never,
    /// Shown even if empty.
    Always,
}

/// Task with its artifact visibility and cursor.
pub(super) struct TaskBody<'a> {
    pub task: &'a Task,
    pub artifacts: ArtifactVisibility,
    pub cursor: Option<Seq>,
}

impl Serialize for V1<'_, Task> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TaskBody { task: self.0, artifacts: ArtifactVisibility::IfAny, cursor: None }
            .serialize(serializer)
    }
}

impl Serialize for TaskBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let task = self.task;
        let mut members = ObjectWriter::open(serializer)?;
        members.put("id", &task.key.task)?;
        members.put("contextId", task.context.as_str())?;
        members.put(
            "status",
            &StatusBody {
                task: task.key.task,
                context: &task.context,
                state: task.status.state,
                message: task.status.message.as_ref(),
                at: task.status.at,
            },
        )?;
        let shown = match self.artifacts {
            ArtifactVisibility::IfAny => !task.artifacts.is_empty(),
            ArtifactVisibility::Never => false,
            ArtifactVisibility::Always => true,
        };
        members.put_some("artifacts", shown.then_some(Each(&task.artifacts)))?;
        members.put_some("history", (!task.history.is_empty()).then_some(HistoryMessages(task)))?;
        members.put_some("metadata", with_optional_cursor(task.metadata.as_ref(), self.cursor))?;
        members.close()
    }
}

struct HistoryMessages<'a>(&'a Task);

impl Serialize for HistoryMessages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let task = self.0;
        serializer.collect_seq(task.history.iter().map(|item| {
            message::MessageInTask::new(
                &item.message,
                Some(task.key.task.into()),
                Some(&task.context),
            )
        }))
    }
}

pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedTask> {
    let [id, context, status, artifacts, history, metadata] =
        object(raw, at, ["id", "contextId", "status", "artifacts", "history", "metadata"])?;
    let id = id.required(at, message::task_ref);
    let context = context.optional(at, message::context_id).map(Option::flatten);
    let status = status.required(at, read_status);
    let artifacts = artifacts.list(at, message::read_artifact);
    let history = history.list(at, message::read_received);
    let metadata = metadata.optional(at, scalar::json_object);
    Ok(ReceivedTask {
        id: id?,
        context: context?,
        status: status?,
        artifacts: artifacts?,
        history: history?,
        metadata: metadata?,
    })
}

/// Reads the result of Get Task and Cancel Task.
pub fn received_task(result: &RawValue) -> Result<ReceivedTask, WireError> {
    read_result(result, read)
}

/// Status of a task; its message carries the ids of the task.
pub(super) struct StatusBody<'a> {
    pub task: TaskId,
    pub context: &'a ContextId,
    pub state: TaskState,
    pub message: Option<&'a Message>,
    pub at: Timestamp,
}

impl Serialize for StatusBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message_in_task = |message| {
            message::MessageInTask::new(message, Some(self.task.into()), Some(self.context))
        };
        let mut members = ObjectWriter::open(serializer)?;
        members.put("state", state_name(self.state))?;
        members.put_some("message", self.message.map(message_in_task))?;
        members.put("timestamp", &Rfc3339Millis(self.at))?;
        members.close()
    }
}

pub(super) fn read_status(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedStatus> {
    let [state, message, time] = object(raw, at, ["state", "message", "timestamp"])?;
    let state = state.required(at, message::read_required_state);
    let message = message.optional(at, message::read_received);
    let time = time.optional(at, scalar::timestamp);
    Ok(ReceivedStatus { state: state?, message: message?, at: time? })
}

impl Serialize for V1<'_, TaskPage> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let page = self.0;
        // The member is an `int32` in protobuf.
        let total = page.total_size.min(i32::MAX.unsigned_abs());
        let mut members = ObjectWriter::open(serializer)?;
        members.put("tasks", &Tasks(page))?;
        members.put("nextPageToken", &page.next_page_token)?;
        members.put("pageSize", &page.page_size)?;
        members.put("totalSize", &total)?;
        members.close()
    }
}

struct Tasks<'a>(&'a TaskPage);

impl Serialize for Tasks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let artifacts = if self.0.include_artifacts {
            ArtifactVisibility::Always
        } else {
            ArtifactVisibility::Never
        };
        let body = |task| TaskBody { task, artifacts, cursor: None };
        serializer.collect_seq(self.0.tasks.iter().map(body))
    }
}

fn read_count(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<u32> {
    count(raw, at, 0, i32::MAX.unsigned_abs())
}

/// Reads the result of List Tasks.
pub fn received_page(result: &RawValue) -> Result<ReceivedPage, WireError> {
    read_result(result, |raw, at| {
        let [tasks, token, size, total] =
            object(raw, at, ["tasks", "nextPageToken", "pageSize", "totalSize"])?;
        let tasks = tasks.list(at, read);
        let token = token.text(at);
        let size = size.optional(at, read_count);
        let total = total.optional(at, read_count);
        Ok(ReceivedPage {
            tasks: tasks?,
            next_page_token: token?,
            page_size: size?.unwrap_or_default(),
            total_size: total?.unwrap_or_default(),
        })
    })
}
