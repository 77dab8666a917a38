//! Sizes of messages, artifacts and entries as a store keeps them, in bytes and approximate.
//!
//! Limits on requests and budgets of answers use them, so they cost one pass over the values and
//! encode nothing.

use crate::{
    Artifact, Content, EntryBody, JsonObject, Message, Part, log::UserMessage,
    offload::MIN_BLOB_BYTES,
};

/// Approximate bytes of a blob reference in a stored entry.
const REFERENCE_BYTES: usize = 128;

/// Approximate bytes of a stored part besides its contents.
const PART_OVERHEAD_BYTES: usize = 16;

/// Bytes of JSON around each text of a list: quotes and comma.
const TEXT_OVERHEAD_BYTES: usize = 3;

/// The weight of a content: maps its length to the bytes that it counts as.
pub(crate) type ContentWeight = fn(usize) -> usize;

/// Weighs a content as if it was moved to a blob whenever it can be.
pub(crate) const fn after_offload(len: usize) -> usize {
    if len > MIN_BLOB_BYTES { REFERENCE_BYTES } else { len }
}

fn object_len(object: Option<&JsonObject>, weight: ContentWeight) -> usize {
    object.map_or(0, |object| weight(object.as_str().len()))
}

fn texts_len<'a>(texts: impl IntoIterator<Item = &'a String>) -> usize {
    texts.into_iter().map(|text| text.len() + TEXT_OVERHEAD_BYTES).sum()
}

impl Part {
    fn stored_len(&self, weight: ContentWeight) -> usize {
        let texts = [&self.filename, &self.media_type].into_iter().flatten().map(String::len);
        let content = match &self.content {
            // URLs are never offloaded, so the weight does not apply.
            Content::Url(url) => url.len(),
            Content::Blob(_) => REFERENCE_BYTES,
            other => weight(other.inline_len()),
        };
        let metadata = object_len(self.metadata.as_ref(), weight);
        PART_OVERHEAD_BYTES + content + metadata + texts.sum::<usize>()
    }
}

impl Message {
    /// Approximate bytes of the message in a stored entry.
    pub(crate) fn stored_len(&self, weight: ContentWeight) -> usize {
        let parts: usize = self.parts.iter().map(|part| part.stored_len(weight)).sum();
        let texts = texts_len(self.extensions.iter().chain(&self.reference_task_ids));
        parts + texts + object_len(self.metadata.as_ref(), weight)
    }
}

impl Artifact {
    /// Approximate bytes of the artifact in a stored entry.
    pub(crate) fn stored_len(&self, weight: ContentWeight) -> usize {
        let parts: usize = self.parts.iter().map(|part| part.stored_len(weight)).sum();
        let named = [&self.name, &self.description].into_iter().flatten();
        let texts = texts_len(named.chain(&self.extensions));
        parts + texts + object_len(self.metadata.as_ref(), weight)
    }
}

impl UserMessage {
    /// Approximate bytes of the message and its request when stored as they are.
    pub fn stored_len(&self) -> usize {
        self.weighed(|len| len)
    }

    /// Approximate bytes once every content that can be is moved to a blob.
    pub fn min_stored_len(&self) -> usize {
        self.weighed(after_offload)
    }

    fn weighed(&self, weight: ContentWeight) -> usize {
        let metadata = object_len(self.request_metadata.as_ref(), weight);
        self.message.stored_len(weight) + texts_len(&self.accepted_output_modes) + metadata
    }
}

impl EntryBody {
    /// Approximate bytes of the entry when stored as it is.
    pub fn stored_len(&self) -> usize {
        match self {
            Self::Message(user) => user.stored_len(),
            Self::Status(change) => {
                change.message.as_ref().map_or(0, |message| message.stored_len(|len| len))
                    + object_len(change.metadata.as_ref(), |len| len)
            }
            Self::Artifact(update) => {
                update.artifact.stored_len(|len| len)
                    + object_len(update.metadata.as_ref(), |len| len)
            }
            Self::Note(_) => 0,
        }
    }
}
