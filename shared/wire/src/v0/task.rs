//! Tasks, their status, and pages of tasks before 1.0. Pages are an addition: none of these
//! versions defines their JSON-RPC shape, so they have the members of 1.0.

use super::{LegacyForm, V0, WriteContext, message};
use crate::{
    TaskRef, WireError,
    event::TaskPage,
    metadata::with_optional_cursor,
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    received::{ReceivedPage, ReceivedStatus, ReceivedTask},
    v1::{context_id, count, read_result},
    write::{DisplayString, ObjectWriter, Rfc3339Millis},
};
use longhaul_domain::{ContextId, Message, Seq, Task, TaskId, TaskState, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Task with its artifact visibility and cursor.
pub(super) struct TaskBody<'a> {
    pub cx: WriteContext<'a>,
    pub task: &'a Task,
    pub artifacts: bool,
    pub cursor: Option<Seq>,
}

impl Serialize for V0<'_, Task> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TaskBody { cx: self.cx, task: self.value, artifacts: true, cursor: None }
            .serialize(serializer)
    }
}

impl TaskBody<'_> {
    pub fn status(&self) -> StatusBody<'_> {
        let task = self.task;
        StatusBody {
            cx: self.cx,
            task: task.key.task,
            context: &task.context,
            state: task.status.state,
            message: task.status.message.as_ref(),
            at: task.status.at,
        }
    }
}

/// Writes the task id as its client knows it.
pub(super) fn put_id<S: Serializer>(
    members: &mut ObjectWriter<S>,
    name: &str,
    cx: WriteContext<'_>,
    task: TaskId,
) -> Result<(), S::Error> {
    match cx.client_task_id {
        Some(id) => members.put(name, id),
        None => members.put(name, &DisplayString(task)),
    }
}

impl Serialize for TaskBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (task, form) = (self.task, self.cx.form);
        let mut members = ObjectWriter::open(serializer)?;
        if form.has_kind() {
            members.put("kind", "task")?;
        }
        put_id(&mut members, "id", self.cx, task.key.task)?;
        members.put(form.context_name(), task.context.as_str())?;
        members.put("status", &self.status())?;
        let shown = self.artifacts && !task.artifacts.is_empty();
        members.put_some("artifacts", shown.then_some(Artifacts(self.cx, task)))?;
        members.put_some(
            "history",
            (!task.history.is_empty()).then_some(HistoryMessages(self.cx, task)),
        )?;
        members.put_some("metadata", with_optional_cursor(task.metadata.as_ref(), self.cursor))?;
        members.close()
    }
}

struct Artifacts<'a>(WriteContext<'a>, &'a Task);

impl Serialize for Artifacts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let indexed = |(index, artifact)| message::IndexedArtifact {
            cx: self.0,
            artifact,
            index,
            chunk: None,
        };
        serializer.collect_seq(self.1.artifacts.iter().enumerate().map(indexed))
    }
}

struct HistoryMessages<'a>(WriteContext<'a>, &'a Task);

impl Serialize for HistoryMessages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let task = self.1;
        serializer.collect_seq(task.history.iter().map(|item| {
            let id = Some(task.key.task.into());
            message::MessageInTask::new(self.0, &item.message, id, Some(&task.context))
        }))
    }
}

/// Direct reply in a dialect whose sends return tasks: a task completed with this message. Its time
/// is unknown.
pub(super) struct DirectReplyTask<'a> {
    pub cx: WriteContext<'a>,
    pub message: &'a Message,
    /// Set for the event of a stream.
    pub is_final: bool,
}

impl Serialize for DirectReplyTask<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A reply without a task is identified by its message id.
        let own = self.message.task_id.map(TaskRef::Known).map(|id| id.to_string());
        let id =
            self.cx.client_task_id.or(own.as_deref()).unwrap_or(self.message.message_id.as_str());
        let mut members = ObjectWriter::open(serializer)?;
        members.put("id", id)?;
        members.put_some(
            self.cx.form.context_name(),
            self.message.context_id.as_ref().filter(|_| !self.is_final).map(ContextId::as_str),
        )?;
        members.put("status", &CompletedStatus(self.cx, self.message))?;
        members.put_flag("final", self.is_final)?;
        members.close()
    }
}

struct CompletedStatus<'a>(WriteContext<'a>, &'a Message);

impl Serialize for CompletedStatus<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put("state", self.0.form.state_name(TaskState::Completed))?;
        members.put("message", &self.0.wrap(self.1))?;
        members.close()
    }
}

pub(super) fn read(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedTask> {
    let [id, context, status, artifacts, history, metadata] =
        object(raw, at, ["id", form.context_name(), "status", "artifacts", "history", "metadata"])?;
    let id = id.required(at, |raw, at| message::task_ref(form, raw, at));
    let context = context.optional(at, context_id).map(Option::flatten);
    let status = status.required(at, |raw, at| read_status(form, raw, at));
    let artifacts = artifacts
        .list(at, |raw, at| message::read_artifact(form, raw, at).map(|read| read.artifact));
    let history = history.list(at, |raw, at| message::read_received(form, raw, at));
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

/// Reads the task of a response or of a webhook body.
pub fn received_task(form: LegacyForm, result: &RawValue) -> Result<ReceivedTask, WireError> {
    read_result(result, |raw, at| read(form, raw, at))
}

/// Status of a task; its message carries the ids of the task.
pub(super) struct StatusBody<'a> {
    pub cx: WriteContext<'a>,
    pub task: TaskId,
    pub context: &'a ContextId,
    pub state: TaskState,
    pub message: Option<&'a Message>,
    pub at: Timestamp,
}

impl Serialize for StatusBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message_in_task = |message| {
            message::MessageInTask::new(
                self.cx,
                message,
                Some(self.task.into()),
                Some(self.context),
            )
        };
        let mut members = ObjectWriter::open(serializer)?;
        members.put("state", self.cx.form.state_name(self.state))?;
        members.put_some("message", self.message.map(message_in_task))?;
        members.put("timestamp", &Rfc3339Millis(self.at))?;
        members.close()
    }
}

pub(super) fn read_status(
    form: LegacyForm,
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
) -> Parsed<ReceivedStatus> {
    let [state, message, update, time] =
        object(raw, at, ["state", "message", "update", "timestamp"])?;
    // The protobuf name of the message is `update`; its readers accept both.
    let message = if message.present().is_some() { message } else { update };
    let state = state.required(at, |raw, at| message::read_required_state(form, raw, at));
    let message = message.optional(at, |raw, at| message::read_received(form, raw, at));
    let time = time.optional(at, scalar::timestamp);
    Ok(ReceivedStatus { state: state?, message: message?, at: time? })
}

impl Serialize for V0<'_, TaskPage> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let page = self.value;
        let mut members = ObjectWriter::open(serializer)?;
        members.put("tasks", &Tasks(self.cx, page))?;
        members.put("nextPageToken", &page.next_page_token)?;
        members.put("pageSize", &page.page_size)?;
        members.put("totalSize", &page.total_size.min(i32::MAX.unsigned_abs()))?;
        members.close()
    }
}

struct Tasks<'a>(WriteContext<'a>, &'a TaskPage);

impl Serialize for Tasks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(cx, page) = *self;
        let artifacts = page.include_artifacts;
        let body = |task| TaskBody { cx, task, artifacts, cursor: None };
        serializer.collect_seq(page.tasks.iter().map(body))
    }
}

/// Reads a page of tasks.
pub fn received_page(form: LegacyForm, result: &RawValue) -> Result<ReceivedPage, WireError> {
    read_result(result, |raw, at| {
        let [tasks, token, size, total] =
            object(raw, at, ["tasks", "nextPageToken", "pageSize", "totalSize"])?;
        let number =
            |raw: RawJson<'_>, at: &JsonPath<'_>| count(raw, at, 0, i32::MAX.unsigned_abs());
        let tasks = tasks.list(at, |raw, at| read(form, raw, at));
        let token = token.text(at);
        let size = size.optional(at, number);
        let total = total.optional(at, number);
        Ok(ReceivedPage {
            tasks: tasks?,
            next_page_token: token?,
            page_size: size?.unwrap_or_default(),
            total_size: total?.unwrap_or_default(),
        })
    })
}
