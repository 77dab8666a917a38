//! How many bytes values take, near enough to bound what a node holds and answers.

use longhaul_domain::{Artifact, EntryBody, JsonObject, LogEntry, Message, Part, Task};

/// What a value takes beside its contents.
const OVERHEAD: u64 = 128;

/// Which contents count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Those that are in memory now.
    Held,
    /// Large ones that are kept apart, too: what an answer will take once they are put back.
    Shown,
}

impl Count {
    /// Bytes of a log entry.
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
        OVERHEAD + body
    }

    /// Bytes of a message.
    pub fn message(self, message: &Message) -> u64 {
        OVERHEAD + self.parts(&message.parts) + self.object(message.metadata.as_ref())
    }

    /// Bytes of a task without its history.
    pub fn without_history(self, task: &Task) -> u64 {
        let status = task.status.message.as_ref().map_or(0, |message| self.message(message));
        let artifacts: u64 = task.artifacts.iter().map(|artifact| self.artifact(artifact)).sum();
        OVERHEAD + status + artifacts + self.object(task.metadata.as_ref())
    }

    /// Bytes of a task.
    pub fn task(self, task: &Task) -> u64 {
        let history: u64 = task.history.iter().map(|item| self.message(&item.message)).sum();
        self.without_history(task) + history
    }

    fn artifact(self, artifact: &Artifact) -> u64 {
        OVERHEAD + self.parts(&artifact.parts) + self.object(artifact.metadata.as_ref())
    }

    fn parts(self, parts: &[Part]) -> u64 {
        parts.iter().map(|part| self.part(part)).sum()
    }

    fn part(self, part: &Part) -> u64 {
        let apart = match self {
            Self::Held => 0,
            Self::Shown => part.blob().map_or(0, |blob| blob.size),
        };
        OVERHEAD + part.inline_len() as u64 + apart + self.object(part.metadata.as_ref())
    }
}

impl Count {
    fn object(self, object: Option<&JsonObject>) -> u64 {
        let Some(object) = object else { return 0 };
        let apart = match self {
            Self::Held => 0,
            Self::Shown => object.blob().map_or(0, |blob| blob.size),
        };
        object.as_str().len() as u64 + apart
    }
}
