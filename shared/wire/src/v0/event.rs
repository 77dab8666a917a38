//! Stream events before 1.0: bare objects in JSON, wrapped in `ProtoJSON`. `final` marks the last
//! event of a stream. It depends on the state alone, by the same rule that closes the stream.

use super::{LegacyForm, WriteContext, message, task};
use crate::{
    WireError,
    event::{ArtifactEvent, StatusEvent, StreamEvent},
    metadata::with_optional_cursor,
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    received::{ReceivedArtifact, ReceivedEvent, ReceivedStatusUpdate, ReceivedTask},
    v1::{context_id, read_result},
    write::ObjectWriter,
};
use longhaul_domain::{ArtifactUpdate, Message, Seq, TaskState};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Event as a stream frame.
pub(crate) struct LegacyFrame<'a> {
    pub cx: WriteContext<'a>,
    pub event: &'a StreamEvent,
    /// Log position, for bindings without event ids.
    pub cursor: Option<Seq>,
    /// Index of the artifact within its task; only 0.1 uses it.
    pub index: usize,
}

impl Serialize for LegacyFrame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = match self.event {
            StreamEvent::Task(_) => "task",
            StreamEvent::Message(_) => "message",
            StreamEvent::Status(_) => "statusUpdate",
            StreamEvent::Artifact(_) => "artifactUpdate",
        };
        if self.cx.form != LegacyForm::V0_3Proto {
            return EventBody(self).serialize(serializer);
        }
        let mut members = ObjectWriter::open(serializer)?;
        members.put(name, &EventBody(self))?;
        members.close()
    }
}

struct EventBody<'a>(&'a LegacyFrame<'a>);

impl Serialize for EventBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let LegacyFrame { cx, event, cursor, index } = *self.0;
        match event {
            StreamEvent::Task(task) => {
                let body = task::TaskBody { cx, task, artifacts: true, cursor };
                if cx.form == LegacyForm::V0_1 {
                    StatusSnapshot(&body).serialize(serializer)
                } else {
                    body.serialize(serializer)
                }
            }
            StreamEvent::Message(message) if cx.form == LegacyForm::V0_1 => {
                task::DirectReplyTask { cx, message, is_final: true }.serialize(serializer)
            }
            StreamEvent::Message(message) => ReplyFrame(cx, message, cursor).serialize(serializer),
            StreamEvent::Status(event) => StatusFrame(cx, event, cursor).serialize(serializer),
            StreamEvent::Artifact(event) => {
                ArtifactFrame { cx, event, cursor, index }.serialize(serializer)
            }
        }
    }
}

/// Status event that replaces a snapshot: streams of 0.1 have no snapshots.
struct StatusSnapshot<'a>(&'a task::TaskBody<'a>);

impl Serialize for StatusSnapshot<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = self.0;
        let mut members = ObjectWriter::open(serializer)?;
        task::put_id(&mut members, "id", body.cx, body.task.key.task)?;
        members.put("status", &body.status())?;
        members.put("final", &body.cx.form.wait_end().ends_stream(body.task.status.state))?;
        members
            .put_some("metadata", with_optional_cursor(body.task.metadata.as_ref(), body.cursor))?;
        members.close()
    }
}

struct ReplyFrame<'a>(WriteContext<'a>, &'a Message, Option<Seq>);

impl Serialize for ReplyFrame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = with_optional_cursor(self.1.metadata.as_ref(), self.2);
        let reply = message::MessageInTask::new(self.0, self.1, None, None);
        message::MessageInTask { metadata: metadata.as_deref(), ..reply }.serialize(serializer)
    }
}

struct StatusFrame<'a>(WriteContext<'a>, &'a StatusEvent, Option<Seq>);

impl Serialize for StatusFrame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (cx, event) = (self.0, self.1);
        let mut members = ObjectWriter::open(serializer)?;
        if cx.form.has_kind() {
            members.put("kind", "status-update")?;
        }
        task::put_id(&mut members, cx.form.event_task_name(), cx, event.task)?;
        if cx.form != LegacyForm::V0_1 {
            members.put("contextId", event.context.as_str())?;
        }
        members.put(
            "status",
            &task::StatusBody {
                cx,
                task: event.task,
                context: &event.context,
                state: event.change.state,
                message: event.change.message.as_ref(),
                at: event.at,
            },
        )?;
        put_final(&mut members, cx.form, event.change.state)?;
        members
            .put_some("metadata", with_optional_cursor(event.change.metadata.as_ref(), self.2))?;
        members.close()
    }
}

fn put_final<S: Serializer>(
    members: &mut ObjectWriter<S>,
    form: LegacyForm,
    state: TaskState,
) -> Result<(), S::Error> {
    let last = form.wait_end().ends_stream(state);
    match form {
        // `ProtoJSON` omits false; JSON always includes the member.
        LegacyForm::V0_3Proto => members.put_flag("final", last),
        LegacyForm::V0_3 | LegacyForm::V0_1 => members.put("final", &last),
    }
}

struct ArtifactFrame<'a> {
    cx: WriteContext<'a>,
    event: &'a ArtifactEvent,
    cursor: Option<Seq>,
    index: usize,
}

impl Serialize for ArtifactFrame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (cx, event, update) = (self.cx, self.event, &self.event.update);
        let mut members = ObjectWriter::open(serializer)?;
        if cx.form.has_kind() {
            members.put("kind", "artifact-update")?;
        }
        task::put_id(&mut members, cx.form.event_task_name(), cx, event.task)?;
        let artifact = message::IndexedArtifact {
            cx,
            artifact: &update.artifact,
            index: self.index,
            chunk: Some(update),
        };
        if cx.form == LegacyForm::V0_1 {
            members.put("artifact", &artifact)?;
        } else {
            members.put("contextId", event.context.as_str())?;
            members.put("artifact", &artifact)?;
            members.put_flag("append", update.append)?;
            members.put_flag("lastChunk", update.last_chunk)?;
        }
        members
            .put_some("metadata", with_optional_cursor(update.metadata.as_ref(), self.cursor))?;
        members.close()
    }
}

fn read(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedEvent> {
    let [task, message, msg, status_update, artifact_update] =
        object(raw, at, ["task", "message", "msg", "statusUpdate", "artifactUpdate"])?;
    if form != LegacyForm::V0_3Proto {
        return read_bare(form, raw, at);
    }
    let message = if message.present().is_some() { message } else { msg };
    if task.present().is_some() {
        return task.required(at, |raw, at| task::read(form, raw, at)).map(task_event);
    }
    if message.present().is_some() {
        return message
            .required(at, |raw, at| message::read_received(form, raw, at))
            .map(ReceivedEvent::Message);
    }
    if status_update.present().is_some() {
        return status_update.required(at, |raw, at| read_status(form, raw, at));
    }
    if artifact_update.present().is_some() {
        return artifact_update.required(at, |raw, at| read_artifact(form, raw, at));
    }
    at.refuse("must hold one of task, message, statusUpdate and artifactUpdate")
}

fn task_event(task: ReceivedTask) -> ReceivedEvent {
    ReceivedEvent::Task(Box::new(task))
}

/// Identifies an event by `kind`, or by a member that only one kind has.
fn read_bare(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedEvent> {
    let [kind, artifact, status, role, context] =
        object(raw, at, ["kind", "artifact", "status", "role", form.context_name()])?;
    let named = kind.optional(at, scalar::text)?;
    match named.as_deref() {
        Some("artifact-update") => read_artifact(form, raw, at),
        Some("status-update") => read_status(form, raw, at),
        Some("task") => task::read(form, raw, at).map(task_event),
        Some("message") => message::read_received(form, raw, at).map(ReceivedEvent::Message),
        Some(_) => {
            at.field(kind.name()).refuse("must be task, message, status-update or artifact-update")
        }
        None if artifact.present().is_some() => read_artifact(form, raw, at),
        None if role.present().is_some() => {
            message::read_received(form, raw, at).map(ReceivedEvent::Message)
        }
        // In 0.1 events and tasks both have `id` and `status`; only a task has a session.
        None if status.present().is_some()
            && form == LegacyForm::V0_1
            && context.present().is_none() =>
        {
            read_status(form, raw, at)
        }
        None if status.present().is_some() => task::read(form, raw, at).map(task_event),
        None => at.refuse("must be a task, a message or an event of a task"),
    }
}

fn read_status(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedEvent> {
    let [task, context, status, metadata] =
        object(raw, at, [form.event_task_name(), form.context_name(), "status", "metadata"])?;
    let task = task.required(at, |raw, at| message::task_ref(form, raw, at));
    let context = context.optional(at, context_id).map(Option::flatten);
    let status = status.required(at, |raw, at| task::read_status(form, raw, at));
    let metadata = metadata.optional(at, scalar::json_object);
    Ok(ReceivedEvent::Status(ReceivedStatusUpdate {
        task: task?,
        context: context?,
        status: status?,
        metadata: metadata?,
    }))
}

fn read_artifact(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedEvent> {
    let [task, context, artifact, append, last_chunk, metadata] = object(
        raw,
        at,
        [
            form.event_task_name(),
            form.context_name(),
            "artifact",
            "append",
            "lastChunk",
            "metadata",
        ],
    )?;
    let task = task.required(at, |raw, at| message::task_ref(form, raw, at));
    let context = context.optional(at, context_id).map(Option::flatten);
    let artifact = artifact.required(at, |raw, at| message::read_artifact(form, raw, at));
    let append = append.flag(at);
    let last_chunk = last_chunk.flag(at);
    let metadata = metadata.optional(at, scalar::json_object);
    let artifact = artifact?;
    Ok(ReceivedEvent::Artifact(ReceivedArtifact {
        task: task?,
        context: context?,
        update: ArtifactUpdate {
            append: append? || artifact.append,
            last_chunk: last_chunk? || artifact.last_chunk,
            artifact: artifact.artifact,
            metadata: metadata?,
        },
    }))
}

/// Reads one frame of a stream.
pub fn received_event(form: LegacyForm, result: &RawValue) -> Result<ReceivedEvent, WireError> {
    read_result(result, |raw, at| read(form, raw, at))
}
