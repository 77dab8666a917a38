//! Messages, parts, artifacts and tasks as plugins see them: the JSON of A2A 1.0, with `large` in
//! place of contents that are stored as blobs. Plugins may leave out most members.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::SecondsFormat;
use longhaul_domain::{
    Artifact, BlobKind, Content, Json, JsonObject, Message, Part, Task, Timestamp,
};
use longhaul_wire::v1::{role_name, state_name};
use serde::{Deserialize, Serialize};

/// A message for a plugin.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageOut<'a> {
    message_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<String>,
    role: &'static str,
    parts: Vec<PartOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a JsonObject>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    extensions: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    reference_task_ids: &'a [String],
}

impl<'a> From<&'a Message> for MessageOut<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            message_id: message.message_id.as_str(),
            context_id: message.context_id.as_ref().map(longhaul_domain::ContextId::as_str),
            task_id: message.task_id.map(|id| id.to_string()),
            role: role_name(message.role),
            parts: message.parts.iter().map(PartOut::from).collect(),
            metadata: message.metadata.as_ref(),
            extensions: &message.extensions,
            reference_task_ids: &message.reference_task_ids,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PartOut<'a> {
    #[serde(flatten)]
    content: ContentOut<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a JsonObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum ContentOut<'a> {
    Text(&'a str),
    Raw(String),
    Url(&'a str),
    Data(&'a Json),
    Large { id: String, size: u64, kind: BlobKind },
}

impl<'a> From<&'a Part> for PartOut<'a> {
    fn from(part: &'a Part) -> Self {
        let content = match &part.content {
            Content::Text(text) => ContentOut::Text(text),
            Content::Raw(bytes) => ContentOut::Raw(STANDARD.encode(bytes)),
            Content::Url(url) => ContentOut::Url(url),
            Content::Data(json) => ContentOut::Data(json),
            Content::Blob(blob) => {
                ContentOut::Large { id: blob.hash.to_string(), size: blob.size, kind: blob.kind }
            }
        };
        Self {
            content,
            metadata: part.metadata.as_ref(),
            filename: part.filename.as_deref(),
            media_type: part.media_type.as_deref(),
        }
    }
}

/// A task for a plugin.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskOut<'a> {
    id: String,
    context_id: &'a str,
    status: StatusOut<'a>,
    history: Vec<MessageOut<'a>>,
    artifacts: Vec<ArtifactOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a JsonObject>,
}

#[derive(Serialize)]
struct StatusOut<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageOut<'a>>,
    timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactOut<'a> {
    artifact_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parts: Vec<PartOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a JsonObject>,
}

impl<'a> From<&'a Task> for TaskOut<'a> {
    fn from(task: &'a Task) -> Self {
        let artifacts = task.artifacts.iter().map(|artifact| ArtifactOut {
            artifact_id: artifact.artifact_id.as_str(),
            name: artifact.name.as_deref(),
            description: artifact.description.as_deref(),
            parts: artifact.parts.iter().map(PartOut::from).collect(),
            metadata: artifact.metadata.as_ref(),
        });
        Self {
            id: task.key.task.to_string(),
            context_id: task.context.as_str(),
            status: StatusOut {
                state: state_name(task.status.state),
                message: task.status.message.as_ref().map(MessageOut::from),
                timestamp: format_time(task.status.at),
            },
            history: task.history.iter().map(|item| MessageOut::from(&item.message)).collect(),
            artifacts: artifacts.collect(),
            metadata: task.metadata.as_ref(),
        }
    }
}

pub(super) fn format_time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A message from a plugin. The worker fills in missing ids.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageIn {
    #[serde(default)]
    pub message_id: Option<String>,
    pub parts: Vec<PartIn>,
    #[serde(default)]
    pub metadata: Option<JsonObject>,
    #[serde(default)]
    pub extensions: Option<Vec<String>>,
    #[serde(default)]
    pub reference_task_ids: Option<Vec<String>>,
}

/// An artifact from a plugin.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ArtifactIn {
    #[serde(default)]
    pub artifact_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parts: Vec<PartIn>,
    #[serde(default)]
    metadata: Option<JsonObject>,
    #[serde(default)]
    extensions: Option<Vec<String>>,
}

impl ArtifactIn {
    pub fn into_artifact(self, artifact_id: longhaul_domain::ArtifactId) -> Artifact {
        Artifact {
            artifact_id,
            name: self.name,
            description: self.description,
            parts: into_parts(self.parts),
            metadata: self.metadata,
            extensions: self.extensions.unwrap_or_default(),
        }
    }
}

pub(super) fn into_parts(parts: Vec<PartIn>) -> Vec<Part> {
    parts.into_iter().map(|part| part.0).collect()
}

/// A part from a plugin.
#[derive(Debug, Deserialize)]
#[serde(try_from = "PartFields")]
pub(super) struct PartIn(pub Part);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct PartFields {
    text: Option<String>,
    raw: Option<String>,
    url: Option<String>,
    #[serde(deserialize_with = "deserialize_present")]
    data: Option<Json>,
    metadata: Option<JsonObject>,
    filename: Option<String>,
    media_type: Option<String>,
}

/// Deserializes a member whose `null` is a value, such as `data: null`.
pub(super) fn deserialize_present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

impl TryFrom<PartFields> for PartIn {
    type Error = String;
    fn try_from(part: PartFields) -> Result<Self, String> {
        let content = match (part.text, part.raw, part.url, part.data) {
            (Some(text), None, None, None) => Content::Text(text),
            (None, Some(mut raw), None, None) => {
                // Python's `base64.encodebytes` writes it in lines.
                raw.retain(|c| !c.is_ascii_whitespace());
                let bytes = STANDARD.decode(raw);
                Content::Raw(
                    bytes.map_err(|e| format!("a part's `raw` is not base64: {e}"))?.into(),
                )
            }
            (None, None, Some(url), None) => Content::Url(url),
            (None, None, None, Some(data)) => Content::Data(data),
            _ => return Err("a part needs exactly one of text, raw, url and data".to_owned()),
        };
        let PartFields { metadata, filename, media_type, .. } = part;
        Ok(Self(Part { content, metadata, filename, media_type }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{BlobHash, BlobRef, MessageId, Role};

    #[test]
    fn a_message_is_written_as_the_protocol_says() {
        let mut message = Message::new(
            MessageId::new("m").unwrap(),
            Role::User,
            vec![
                Part::text("hi"),
                Part::raw(vec![0, 255], "image/png"),
                Part::data(Json::parse("[12345678901234567890,1.0,null]").unwrap()),
            ],
        );
        let blob = BlobRef { hash: BlobHash([0; 32]), size: 7, kind: BlobKind::Raw };
        message.parts.push(Part::new(Content::Blob(blob)));
        let text = serde_json::to_string(&MessageOut::from(&message)).unwrap();
        let zeros = "0".repeat(64);
        assert_eq!(
            text,
            format!(
                r#"{{"messageId":"m","role":"ROLE_USER","parts":[{{"text":"hi"}},{{"raw":"AP8=","mediaType":"image/png"}},{{"data":[12345678901234567890,1.0,null]}},{{"large":{{"id":"{zeros}","size":7,"kind":"raw"}}}}]}}"#
            )
        );
    }

    #[test]
    fn a_part_has_exactly_one_content_and_cannot_refer_to_a_blob() {
        let read = |text: &str| serde_json::from_str::<PartIn>(text).map(|part| part.0.content);
        assert_eq!(read(r#"{"data":null}"#).unwrap(), Content::Data(Json::parse("null").unwrap()));
        assert_eq!(read(r#"{"raw":"AP8="}"#).unwrap(), Content::Raw(vec![0, 255].into()));
        for bad in [r#"{"text":"a","url":"b"}"#, "{}", r#"{"raw":"?"}"#, r#"{"large":{"id":"0"}}"#]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
