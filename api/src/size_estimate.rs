//! Estimated sizes of values, close enough to bound what a node holds and sends.

use longhaul_domain::{Artifact, EntryBody, JsonObject, LogEntry, Message, Part, Task};

/// Bytes of a value beside its contents.
const OVERHEAD_BYTES: u64 = 128;

/// Contents that an estimate includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeEstimate {
    /// Contents in memory.
    InMemory,
    /// Contents in memory and those stored as blobs: the size of a response that includes them.
    WithBlobs,
}

impl SizeEstimate {
    /// Size of a log entry, in bytes.
    pub fn entry(self, entry: &LogEntry) -> u64 {
        let body = match &entry.body {
            EntryBody::Message(user) => {
                let modes: usize = user.accepted_output_modes.iter().map(String::len).sum();
                self.message(&user.message)
                    + self.object(user.request_metadata.as_ref())
                    + modes as u64
            }
            EntryBody::Status(change) => {
                let message = change.message.as_ref().map_or(0, |message| self.message(message));
                message + self.object(change.metadata.as_ref())
            }
            EntryBody::Artifact(update) => {
                self.artifact(&update.artifact) + self.object(update.metadata.as_ref())
            }
            EntryBody::Note(_) => 0,
        };
        OVERHEAD_BYTES + body
    }

    /// Size of a message, in bytes.
    pub fn message(self, message: &Message) -> u64 {
        OVERHEAD_BYTES + self.parts(&message.parts) + self.object(message.metadata.as_ref())
    }

    /// Size of a task without its history, in bytes.
    pub fn without_history(self, task: &Task) -> u64 {
        let status = task.status.message.as_ref().map_or(0, |message| self.message(message));
        let artifacts: u64 = task.artifacts.iter().map(|artifact| self.artifact(artifact)).sum();
        OVERHEAD_BYTES + status + artifacts + self.object(task.metadata.as_ref())
    }

    /// Size of a task, in bytes.
    pub fn task(self, task: &Task) -> u64 {
        let history: u64 = task.history.iter().map(|item| self.message(&item.message)).sum();
        self.without_history(task) + history
    }

    fn artifact(self, artifact: &Artifact) -> u64 {
        OVERHEAD_BYTES + self.parts(&artifact.parts) + self.object(artifact.metadata.as_ref())
    }

    fn parts(self, parts: &[Part]) -> u64 {
        parts.iter().map(|part| self.part(part)).sum()
    }

    fn part(self, part: &Part) -> u64 {
        let blob_bytes = match self {
            Self::InMemory => 0,
            Self::WithBlobs => part.blob().map_or(0, |blob| blob.size),
        };
        OVERHEAD_BYTES + part.inline_len() as u64 + blob_bytes + self.object(part.metadata.as_ref())
    }
}

impl SizeEstimate {
    fn object(self, object: Option<&JsonObject>) -> u64 {
        let Some(object) = object else { return 0 };
        let blob_bytes = match self {
            Self::InMemory => 0,
            Self::WithBlobs => object.blob().map_or(0, |blob| blob.size),
        };
        object.as_str().len() as u64 + blob_bytes
    }
}
