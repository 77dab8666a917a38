//! Task (A2A 4.1.1).

use super::{Each, V1, artifact, message, received, status};
use crate::{
    WireError,
    cursor::maybe_resume,
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    received::ReceivedTask,
    write::Members,
};
use longhaul_domain::{Seq, Task};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Whether the artifacts of a task are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Artifacts {
    /// When there are any.
    Some,
    /// Not at all.
    Never,
    /// Also when there are none.
    Always,
}

/// A task as one place shows it.
pub(super) struct TaskBody<'a> {
    pub task: &'a Task,
    pub artifacts: Artifacts,
    pub cursor: Option<Seq>,
}

impl Serialize for V1<'_, Task> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TaskBody { task: self.0, artifacts: Artifacts::Some, cursor: None }.serialize(serializer)
    }
}

impl Serialize for TaskBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let task = self.task;
        let mut members = Members::open(serializer)?;
        members.put("id", &task.key.task)?;
        members.put("contextId", task.context.as_str())?;
        members.put(
            "status",
            &status::Status {
                task: task.key.task,
                context: &task.context,
                state: task.status.state,
                message: task.status.message.as_ref(),
                at: task.status.at,
            },
        )?;
        let shown = match self.artifacts {
            Artifacts::Some => !task.artifacts.is_empty(),
            Artifacts::Never => false,
            Artifacts::Always => true,
        };
        members.maybe("artifacts", shown.then_some(Each(&task.artifacts)))?;
        members.maybe("history", (!task.history.is_empty()).then_some(History(task)))?;
        members.maybe("metadata", maybe_resume(task.metadata.as_ref(), self.cursor))?;
        members.close()
    }
}

struct History<'a>(&'a Task);

impl Serialize for History<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let task = self.0;
        serializer.collect_seq(task.history.iter().map(|item| {
            message::Placed::new(&item.message, Some(task.key.task.into()), Some(&task.context))
        }))
    }
}

pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedTask> {
    let [id, context, status, artifacts, history, metadata] =
        object(raw, at, ["id", "contextId", "status", "artifacts", "history", "metadata"])?;
    let id = id.required(at, message::task_ref);
    let context = context.optional(at, message::context_id).map(Option::flatten);
    let status = status.required(at, status::read);
    let artifacts = artifacts.list(at, artifact::read);
    let history = history.list(at, message::received);
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
    received(result, read)
}
