//! Task.

use super::{Cx, LegacyForm, V0, artifact, message, status};
use crate::{
    WireError,
    cursor::maybe_resume,
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    received::ReceivedTask,
    request::TaskRef,
    v1::{context_id, received},
    write::{Members, Shown},
};
use longhaul_domain::{ContextId, Message, Seq, Task, TaskId, TaskState};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A task as one place shows it.
pub(super) struct TaskBody<'a> {
    pub cx: Cx<'a>,
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
    pub fn status(&self) -> status::Status<'_> {
        let task = self.task;
        status::Status {
            cx: self.cx,
            task: task.key.task,
            context: &task.context,
            state: task.status.state,
            message: task.status.message.as_ref(),
            at: task.status.at,
        }
    }
}

/// The id of a task as its client knows it.
pub(super) fn put_id<S: Serializer>(
    members: &mut Members<S>,
    name: &str,
    cx: Cx<'_>,
    task: TaskId,
) -> Result<(), S::Error> {
    match cx.shown {
        Some(shown) => members.put(name, shown),
        None => members.put(name, &Shown(task)),
    }
}

impl Serialize for TaskBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (task, form) = (self.task, self.cx.form);
        let mut members = Members::open(serializer)?;
        if form.has_kind() {
            members.put("kind", "task")?;
        }
        put_id(&mut members, "id", self.cx, task.key.task)?;
        members.put(form.context_name(), task.context.as_str())?;
        members.put("status", &self.status())?;
        let shown = self.artifacts && !task.artifacts.is_empty();
        members.maybe("artifacts", shown.then_some(Artifacts(self.cx, task)))?;
        members.maybe("history", (!task.history.is_empty()).then_some(History(self.cx, task)))?;
        members.maybe("metadata", maybe_resume(task.metadata.as_ref(), self.cursor))?;
        members.close()
    }
}

struct Artifacts<'a>(Cx<'a>, &'a Task);

impl Serialize for Artifacts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let placed =
            |(index, artifact)| artifact::Placed { cx: self.0, artifact, index, chunk: None };
        serializer.collect_seq(self.1.artifacts.iter().enumerate().map(placed))
    }
}

struct History<'a>(Cx<'a>, &'a Task);

impl Serialize for History<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let task = self.1;
        serializer.collect_seq(task.history.iter().map(|item| {
            let id = Some(task.key.task.into());
            message::Placed::new(self.0, &item.message, id, Some(&task.context))
        }))
    }
}

/// A direct reply where only a task can be answered: one that has ended with these words. The time is not known here.
pub(super) struct Replied<'a> {
    pub cx: Cx<'a>,
    pub message: &'a Message,
    /// Set in a stream.
    pub is_final: bool,
}

impl Serialize for Replied<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.message.task_id.map(TaskRef::Known).map(|id| id.to_string());
        let id = self.cx.shown.or(own.as_deref()).unwrap_or(self.message.message_id.as_str());
        let mut members = Members::open(serializer)?;
        members.put("id", id)?;
        members.maybe(
            self.cx.form.context_name(),
            self.message.context_id.as_ref().filter(|_| !self.is_final).map(ContextId::as_str),
        )?;
        members.put("status", &Completed(self.cx, self.message))?;
        members.flag("final", self.is_final)?;
        members.close()
    }
}

struct Completed<'a>(Cx<'a>, &'a Message);

impl Serialize for Completed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        members.put("state", self.0.form.state_name(TaskState::Completed))?;
        members.put("message", &self.0.of(self.1))?;
        members.close()
    }
}

pub(super) fn read(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedTask> {
    let [id, context, status, artifacts, history, metadata] =
        object(raw, at, ["id", form.context_name(), "status", "artifacts", "history", "metadata"])?;
    let id = id.required(at, |raw, at| message::task_ref(form, raw, at));
    let context = context.optional(at, context_id).map(Option::flatten);
    let status = status.required(at, |raw, at| status::read(form, raw, at));
    let artifacts =
        artifacts.list(at, |raw, at| artifact::read(form, raw, at).map(|read| read.artifact));
    let history = history.list(at, |raw, at| message::received(form, raw, at));
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

/// Reads a task of an answer, and the body of a webhook.
pub fn received_task(form: LegacyForm, result: &RawValue) -> Result<ReceivedTask, WireError> {
    received(result, |raw, at| read(form, raw, at))
}
