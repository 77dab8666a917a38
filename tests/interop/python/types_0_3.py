"""Conversion between the scenarios' values and the types of the Python SDK before 1.0, which are the same in 0.2 and 0.3."""

import base64
import uuid

from a2a.types import (
    DataPart, FilePart, FileWithBytes, FileWithUri, Message, Part, Role, TaskArtifactUpdateEvent, TaskStatusUpdateEvent, TextPart,
)

import scenarios


def part_to_sdk(part):
    kind, content, *rest = ("text", part) if isinstance(part, str) else part
    match kind:
        case "text":
            return Part(TextPart(text=content))
        case "data":
            return Part(DataPart(data=content))
        case "raw":
            name, media_type = rest
            return Part(FilePart(file=FileWithBytes(bytes=base64.b64encode(content).decode(), name=name, mime_type=media_type)))
        case "url":
            name, media_type = rest
            return Part(FilePart(file=FileWithUri(uri=content, name=name, mime_type=media_type)))


def part_from_sdk(part):
    match part.root:
        case TextPart() as text:
            return "text", text.text
        case DataPart() as data:
            return "data", data.data
        case FilePart(file=FileWithBytes() as file):
            return "raw", base64.b64decode(file.bytes, validate=True), file.name or "", file.mime_type or ""
        case FilePart(file=file):
            return "url", file.uri, file.name or "", file.mime_type or ""


def said(message):
    parts = message.parts if message else []
    return "".join(part.root.text for part in parts if isinstance(part.root, TextPart))


def state_from_sdk(status):
    return status.state.value.upper().replace("-", "_")


def artifact_from_sdk(artifact):
    return scenarios.Artifact(artifact.artifact_id, artifact.name or "", [part_from_sdk(part) for part in artifact.parts])


def task_from_sdk(task):
    return scenarios.Task(
        task.id, task.context_id, state_from_sdk(task.status), said(task.status.message),
        [artifact_from_sdk(artifact) for artifact in task.artifacts or []],
        [said(message) for message in task.history or [] if message.role == Role.user],
    )


def update_from_sdk(update):
    match update:
        case TaskStatusUpdateEvent(status=status):
            return scenarios.Status(state_from_sdk(status), said(status.message))
        case TaskArtifactUpdateEvent():
            return scenarios.Chunk(artifact_from_sdk(update.artifact), bool(update.append), bool(update.last_chunk))
        case _:
            return task_from_sdk(update)


def message_to_sdk(parts, task, context):
    return Message(
        message_id=str(uuid.uuid4()), role=Role.user, parts=[part_to_sdk(part) for part in parts],
        task_id=task.id if task else None, context_id=(task.context or None) if task else context,
    )
