//! Messages: what clients and agents say to one another (A2A 4.1.4).

use crate::{BlobSlot, ContextId, JsonObject, MessageId, Part, TaskId};
use serde::{Deserialize, Serialize};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The client.
    User,
    /// The agent.
    Agent,
}

/// A message: one turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Named by its author.
    pub message_id: MessageId,
    /// The conversation that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_id: Option<ContextId>,
    /// The task that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// Who speaks.
    pub role: Role,
    /// What is said; never empty.
    pub parts: Vec<Part>,
    /// Anything else about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
    /// URIs of the extensions that contributed to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Other tasks that it refers to, as the client wrote them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_task_ids: Vec<String>,
}

impl Message {
    /// A message of an author with these parts and nothing else.
    pub const fn new(message_id: MessageId, role: Role, parts: Vec<Part>) -> Self {
        Self {
            message_id,
            context_id: None,
            task_id: None,
            role,
            parts,
            metadata: None,
            extensions: Vec::new(),
            reference_task_ids: Vec::new(),
        }
    }

    /// All inline text, joined by line breaks: that of text parts and of text files.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.parts.iter().filter_map(Part::as_text).collect();
        texts.join("\n")
    }

    /// About how many bytes it takes in a stored entry.
    pub(crate) fn stored_len(&self, count: LenOf) -> usize {
        let texts =
            self.extensions.iter().chain(&self.reference_task_ids).map(|text| text.len() + 3);
        let parts = self.parts.iter().map(|part| part.stored_len(count));
        parts.chain(texts).sum::<usize>() + object_len(self.metadata.as_ref(), count)
    }

    /// The contents of the message that may be kept apart.
    pub fn blob_slots(&mut self) -> impl Iterator<Item = BlobSlot<'_>> {
        let metadata = self.metadata.as_mut().map(BlobSlot::Metadata);
        self.parts.iter_mut().flat_map(Part::blob_slots).chain(metadata)
    }

    /// Whether any of its contents is kept apart.
    pub fn has_blobs(&self) -> bool {
        has_blob(self.metadata.as_ref()) || self.parts.iter().any(Part::has_blobs)
    }
}

/// Bytes that a content of so many bytes counts.
pub(crate) type LenOf = fn(usize) -> usize;

/// Bytes that an object counts.
pub(crate) fn object_len(object: Option<&JsonObject>, count: LenOf) -> usize {
    object.map_or(0, |object| count(object.as_str().len()))
}

/// Whether an object is there and kept apart.
pub(crate) fn has_blob(object: Option<&JsonObject>) -> bool {
    object.is_some_and(|object| object.blob().is_some())
}
