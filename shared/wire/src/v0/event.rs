//! Events of a stream. Bare in JSON, wrapped in `ProtoJSON`. The last one of a stream says so by `final`: the state
//! alone decides, by the rule that also closes the stream.

use super::{Cx, LegacyForm, artifact, message, status, task};
use crate::{
    WireError,
    cursor::maybe_resume,
    event::{ArtifactEvent, StatusEvent, StreamEvent},
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    received::{ReceivedArtifact, ReceivedEvent, ReceivedStatusUpdate},
    v1::{context_id, received},
    write::Members,
};
use longhaul_domain::{ArtifactUpdate, Message, Seq, TaskState};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// An event as a frame of a stream.
pub(super) struct Frame<'a> {
    pub cx: Cx<'a>,
    pub event: &'a StreamEvent,
    /// Its place in the log, for bindings without event ids.
    pub cursor: Option<Seq>,
    /// The place of its artifact among those of the task; 0.1 alone asks.
    pub index: usize,
}

impl Serialize for Frame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = match self.event {
            StreamEvent::Task(_) => "task",
            StreamEvent::Message(_) => "message",
            StreamEvent::Status(_) => "statusUpdate",
            StreamEvent::Artifact(_) => "artifactUpdate",
        };
        if self.cx.form != LegacyForm::V0_3Proto {
            return Bare(self).serialize(serializer);
        }
        let mut members = Members::open(serializer)?;
        members.put(name, &Bare(self))?;
        members.close()
    }
}

struct Bare<'a>(&'a Frame<'a>);

impl Serialize for Bare<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Frame { cx, event, cursor, index } = *self.0;
        match event {
            StreamEvent::Task(task) => {
                let body = task::TaskBody { cx, task, artifacts: true, cursor };
                if cx.form == LegacyForm::V0_1 {
                    Standing(&body).serialize(serializer)
                } else {
                    body.serialize(serializer)
                }
            }
            StreamEvent::Message(message) if cx.form == LegacyForm::V0_1 => {
                task::Replied { cx, message, is_final: true }.serialize(serializer)
            }
            StreamEvent::Message(said) => Reply(cx, said, cursor).serialize(serializer),
            StreamEvent::Status(event) => Status(cx, event, cursor).serialize(serializer),
            StreamEvent::Artifact(event) => {
                Artifact { cx, event, cursor, index }.serialize(serializer)
            }
        }
    }
}

/// In 0.1 a stream has no snapshots: where the task stands is told by a status event.
struct Standing<'a>(&'a task::TaskBody<'a>);

impl Serialize for Standing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = self.0;
        let mut members = Members::open(serializer)?;
        task::put_id(&mut members, "id", body.cx, body.task.key.task)?;
        members.put("status", &body.status())?;
        members.put("final", &body.cx.form.ends().stream(body.task.status.state))?;
        members.maybe("metadata", maybe_resume(body.task.metadata.as_ref(), body.cursor))?;
        members.close()
    }
}

struct Reply<'a>(Cx<'a>, &'a Message, Option<Seq>);

impl Serialize for Reply<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = maybe_resume(self.1.metadata.as_ref(), self.2);
        let reply = message::Placed::new(self.0, self.1, None, None);
        message::Placed { metadata: metadata.as_deref(), ..reply }.serialize(serializer)
    }
}

struct Status<'a>(Cx<'a>, &'a StatusEvent, Option<Seq>);

impl Serialize for Status<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (cx, event) = (self.0, self.1);
        let mut members = Members::open(serializer)?;
        if cx.form.has_kind() {
            members.put("kind", "status-update")?;
        }
        task::put_id(&mut members, cx.form.event_task_name(), cx, event.task)?;
        if cx.form != LegacyForm::V0_1 {
            members.put("contextId", event.context.as_str())?;
        }
        members.put(
            "status",
            &status::Status {
                cx,
                task: event.task,
                context: &event.context,
                state: event.change.state,
                message: event.change.message.as_ref(),
                at: event.at,
            },
        )?;
        put_final(&mut members, cx.form, event.change.state)?;
        members.maybe("metadata", maybe_resume(event.change.metadata.as_ref(), self.2))?;
        members.close()
    }
}

fn put_final<S: Serializer>(
    members: &mut Members<S>,
    form: LegacyForm,
    state: TaskState,
) -> Result<(), S::Error> {
    let last = form.ends().stream(state);
    match form {
        LegacyForm::V0_3Proto => members.flag("final", last),
        LegacyForm::V0_3 | LegacyForm::V0_1 => members.put("final", &last),
    }
}

struct Artifact<'a> {
    cx: Cx<'a>,
    event: &'a ArtifactEvent,
    cursor: Option<Seq>,
    index: usize,
}

impl Serialize for Artifact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (cx, event, update) = (self.cx, self.event, &self.event.update);
        let mut members = Members::open(serializer)?;
        if cx.form.has_kind() {
            members.put("kind", "artifact-update")?;
        }
        task::put_id(&mut members, cx.form.event_task_name(), cx, event.task)?;
        let artifact = artifact::Placed {
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
            members.flag("append", update.append)?;
            members.flag("lastChunk", update.last_chunk)?;
        }
        members.maybe("metadata", maybe_resume(update.metadata.as_ref(), self.cursor))?;
        members.close()
    }
}

fn read(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedEvent> {
    let [task, said, msg, changed, produced] =
        object(raw, at, ["task", "message", "msg", "statusUpdate", "artifactUpdate"])?;
    if form != LegacyForm::V0_3Proto {
        return read_bare(form, raw, at);
    }
    let said = if said.present().is_some() { said } else { msg };
    if task.present().is_some() {
        return task.required(at, |raw, at| task::read(form, raw, at)).map(of_task);
    }
    if said.present().is_some() {
        return said
            .required(at, |raw, at| message::received(form, raw, at))
            .map(ReceivedEvent::Message);
    }
    if changed.present().is_some() {
        return changed.required(at, |raw, at| read_status(form, raw, at));
    }
    if produced.present().is_some() {
        return produced.required(at, |raw, at| read_artifact(form, raw, at));
    }
    at.refuse("must hold one of task, message, statusUpdate and artifactUpdate")
}

fn of_task(task: crate::received::ReceivedTask) -> ReceivedEvent {
    ReceivedEvent::Task(Box::new(task))
}

/// By `kind`; without one, by what only one of them has.
fn read_bare(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedEvent> {
    let [kind, artifact, status, role, context] =
        object(raw, at, ["kind", "artifact", "status", "role", form.context_name()])?;
    let named = kind.optional(at, scalar::text)?;
    match named.as_deref() {
        Some("artifact-update") => read_artifact(form, raw, at),
        Some("status-update") => read_status(form, raw, at),
        Some("task") => task::read(form, raw, at).map(of_task),
        Some("message") => message::received(form, raw, at).map(ReceivedEvent::Message),
        Some(_) => {
            at.field(kind.name()).refuse("must be task, message, status-update or artifact-update")
        }
        None if artifact.present().is_some() => read_artifact(form, raw, at),
        None if role.present().is_some() => {
            message::received(form, raw, at).map(ReceivedEvent::Message)
        }
        None if status.present().is_some()
            && form == LegacyForm::V0_1
            && context.present().is_none() =>
        {
            read_status(form, raw, at)
        }
        None if status.present().is_some() => task::read(form, raw, at).map(of_task),
        None => at.refuse("must be a task, a message or an event of a task"),
    }
}

fn read_status(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedEvent> {
    let [task, context, status, metadata] =
        object(raw, at, [form.event_task_name(), form.context_name(), "status", "metadata"])?;
    let task = task.required(at, |raw, at| message::task_ref(form, raw, at));
    let context = context.optional(at, context_id).map(Option::flatten);
    let status = status.required(at, |raw, at| status::read(form, raw, at));
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
    let artifact = artifact.required(at, |raw, at| artifact::read(form, raw, at));
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
    received(result, |raw, at| read(form, raw, at))
}
