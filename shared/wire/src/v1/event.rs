//! Stream frames: `StreamResponse` and its events (A2A 3.2.3, 4.2).

use super::{V1, message, read_result, task};
use crate::{
    WireError,
    event::{ArtifactEvent, StatusEvent, StreamEvent},
    metadata::with_optional_cursor,
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    received::{ReceivedArtifact, ReceivedEvent, ReceivedStatusUpdate},
    write::ObjectWriter,
};
use longhaul_domain::{ArtifactUpdate, Message, Seq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Event with the resume cursor in its metadata, for bindings without event ids.
#[derive(Debug, Clone, Copy)]
pub struct EventWithCursor<'a> {
    /// The event.
    pub event: &'a StreamEvent,
    /// Log position; `None` leaves the metadata unchanged.
    pub cursor: Option<Seq>,
}

impl Serialize for V1<'_, StreamEvent> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        V1(&EventWithCursor { event: self.0, cursor: None }).serialize(serializer)
    }
}

impl Serialize for V1<'_, EventWithCursor<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cursor = self.0.cursor;
        let mut members = ObjectWriter::open(serializer)?;
        match self.0.event {
            StreamEvent::Task(task) => {
                let artifacts = task::ArtifactVisibility::IfAny;
                members.put("task", &task::TaskBody { task, artifacts, cursor })?;
            }
            StreamEvent::Message(message) => {
                members.put("message", &ReplyFrame(message, cursor))?;
            }
            StreamEvent::Status(event) => {
                members.put("statusUpdate", &StatusFrame(event, cursor))?;
            }
            StreamEvent::Artifact(event) => {
                members.put("artifactUpdate", &ArtifactFrame(event, cursor))?;
            }
        }
        members.close()
    }
}

struct ReplyFrame<'a>(&'a Message, Option<Seq>);

impl Serialize for ReplyFrame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = with_optional_cursor(self.0.metadata.as_ref(), self.1);
        let reply = message::MessageInTask::new(self.0, None, None);
        message::MessageInTask { metadata: metadata.as_deref(), ..reply }.serialize(serializer)
    }
}

struct StatusFrame<'a>(&'a StatusEvent, Option<Seq>);

impl Serialize for StatusFrame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.0;
        let mut members = ObjectWriter::open(serializer)?;
        members.put("taskId", &event.task)?;
        members.put("contextId", event.context.as_str())?;
        members.put(
            "status",
            &task::StatusBody {
                task: event.task,
                context: &event.context,
                state: event.change.state,
                message: event.change.message.as_ref(),
                at: event.at,
            },
        )?;
        members
            .put_some("metadata", with_optional_cursor(event.change.metadata.as_ref(), self.1))?;
        members.close()
    }
}

struct ArtifactFrame<'a>(&'a ArtifactEvent, Option<Seq>);

impl Serialize for ArtifactFrame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (event, update) = (self.0, &self.0.update);
        let mut members = ObjectWriter::open(serializer)?;
        members.put("taskId", &event.task)?;
        members.put("contextId", event.context.as_str())?;
        members.put("artifact", &V1(&update.artifact))?;
        members.put_flag("append", update.append)?;
        members.put_flag("lastChunk", update.last_chunk)?;
        members.put_some("metadata", with_optional_cursor(update.metadata.as_ref(), self.1))?;
        members.close()
    }
}

fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedEvent> {
    let fields = object(raw, at, ["task", "message", "statusUpdate", "artifactUpdate"])?;
    // The frame is a protobuf `oneof`.
    if fields.iter().filter(|field| field.present().is_some()).count() != 1 {
        return at.refuse("must hold one of task, message, statusUpdate and artifactUpdate");
    }
    let [task, message, status_update, artifact_update] = fields;
    if task.present().is_some() {
        return Ok(ReceivedEvent::Task(Box::new(task.required(at, task::read)?)));
    }
    if message.present().is_some() {
        return message.required(at, message::read_received).map(ReceivedEvent::Message);
    }
    if status_update.present().is_some() {
        return status_update.required(at, read_status).map(ReceivedEvent::Status);
    }
    artifact_update.required(at, read_artifact).map(ReceivedEvent::Artifact)
}

fn read_status(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedStatusUpdate> {
    let [task, context, status, metadata] =
        object(raw, at, ["taskId", "contextId", "status", "metadata"])?;
    let task = task.required(at, message::task_ref);
    let context = context.optional(at, message::context_id).map(Option::flatten);
    let status = status.required(at, task::read_status);
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
    let artifact = artifact.required(at, message::read_artifact);
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
    read_result(result, read)
}
