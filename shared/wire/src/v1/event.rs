//! `StreamResponse` and the events in it (A2A 3.2.3, 4.2).

use super::{V1, artifact, message, received, status, task};
use crate::{
    WireError,
    cursor::maybe_resume,
    event::{ArtifactEvent, StatusEvent, StreamEvent},
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    received::{ReceivedArtifact, ReceivedEvent, ReceivedStatusUpdate},
    write::Members,
};
use longhaul_domain::{ArtifactUpdate, Message, Seq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// An event with the resume cursor in its metadata, for bindings without event ids.
#[derive(Debug, Clone, Copy)]
pub struct Cursored<'a> {
    /// The event.
    pub event: &'a StreamEvent,
    /// Its place in the log; `None` leaves the metadata as it is.
    pub cursor: Option<Seq>,
}

impl Serialize for V1<'_, StreamEvent> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        V1(&Cursored { event: self.0, cursor: None }).serialize(serializer)
    }
}

impl Serialize for V1<'_, Cursored<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cursor = self.0.cursor;
        let mut members = Members::open(serializer)?;
        match self.0.event {
            StreamEvent::Task(task) => {
                let artifacts = task::Artifacts::Some;
                members.put("task", &task::TaskBody { task, artifacts, cursor })?;
            }
            StreamEvent::Message(said) => members.put("message", &Reply(said, cursor))?,
            StreamEvent::Status(event) => members.put("statusUpdate", &Status(event, cursor))?,
            StreamEvent::Artifact(event) => {
                members.put("artifactUpdate", &Artifact(event, cursor))?;
            }
        }
        members.close()
    }
}

struct Reply<'a>(&'a Message, Option<Seq>);

impl Serialize for Reply<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = maybe_resume(self.0.metadata.as_ref(), self.1);
        let reply = message::Placed::new(self.0, None, None);
        message::Placed { metadata: metadata.as_deref(), ..reply }.serialize(serializer)
    }
}

struct Status<'a>(&'a StatusEvent, Option<Seq>);

impl Serialize for Status<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.0;
        let mut members = Members::open(serializer)?;
        members.put("taskId", &event.task)?;
        members.put("contextId", event.context.as_str())?;
        members.put(
            "status",
            &status::Status {
                task: event.task,
                context: &event.context,
                state: event.change.state,
                message: event.change.message.as_ref(),
                at: event.at,
            },
        )?;
        members.maybe("metadata", maybe_resume(event.change.metadata.as_ref(), self.1))?;
        members.close()
    }
}

struct Artifact<'a>(&'a ArtifactEvent, Option<Seq>);

impl Serialize for Artifact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (event, update) = (self.0, &self.0.update);
        let mut members = Members::open(serializer)?;
        members.put("taskId", &event.task)?;
        members.put("contextId", event.context.as_str())?;
        members.put("artifact", &V1(&update.artifact))?;
        members.flag("append", update.append)?;
        members.flag("lastChunk", update.last_chunk)?;
        members.maybe("metadata", maybe_resume(update.metadata.as_ref(), self.1))?;
        members.close()
    }
}

fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedEvent> {
    let fields = object(raw, at, ["task", "message", "statusUpdate", "artifactUpdate"])?;
    if fields.iter().filter(|field| field.present().is_some()).count() != 1 {
        return at.refuse("must hold one of task, message, statusUpdate and artifactUpdate");
    }
    let [task, said, changed, produced] = fields;
    if task.present().is_some() {
        return Ok(ReceivedEvent::Task(Box::new(task.required(at, task::read)?)));
    }
    if said.present().is_some() {
        return said.required(at, message::received).map(ReceivedEvent::Message);
    }
    if changed.present().is_some() {
        return changed.required(at, read_status).map(ReceivedEvent::Status);
    }
    produced.required(at, read_artifact).map(ReceivedEvent::Artifact)
}

fn read_status(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedStatusUpdate> {
    let [task, context, status, metadata] =
        object(raw, at, ["taskId", "contextId", "status", "metadata"])?;
    let task = task.required(at, message::task_ref);
    let context = context.optional(at, message::context_id).map(Option::flatten);
    let status = status.required(at, status::read);
    let metadata = metadata.optional(at, scalar::json_object);
    Ok(ReceivedStatusUpdate {
        task: task?,
        context: context?,
        status: status?,
        metadata: metadata?,
    })
}

fn read_artifact(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedArtifact> {
    let [task, context, artifact, append, last_chunk, metadata] =
        object(raw, at, ["taskId", "contextId", "artifact", "append", "lastChunk", "metadata"])?;
    let task = task.required(at, message::task_ref);
    let context = context.optional(at, message::context_id).map(Option::flatten);
    let artifact = artifact.required(at, artifact::read);
    let append = append.flag(at);
    let last_chunk = last_chunk.flag(at);
    let metadata = metadata.optional(at, scalar::json_object);
    Ok(ReceivedArtifact {
        task: task?,
        context: context?,
        update: ArtifactUpdate {
            artifact: artifact?,
            append: append?,
            last_chunk: last_chunk?,
            metadata: metadata?,
        },
    })
}

/// Reads one frame of a stream.
pub fn received_event(result: &RawValue) -> Result<ReceivedEvent, WireError> {
    received(result, read)
}
