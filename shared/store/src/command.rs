//! Commands: the arguments of a store's writes.

use longhaul_domain::{
    AgentDescriptor, AgentName, Blob, Checkpoint, ConcurrencyLimits, ContextId, EntryBody, Fence,
    KeyId, ParkedState, Scopes, Seq, TaskKey, TerminalState, Timestamp, WorkerId, log::UserMessage,
};
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::Uuid;

/// The deduplication key of a message, which is recognised for 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupeKey {
    /// Identifies the message: a digest of owner, agent and message id (with its content), or of
    /// the client's idempotency key.
    pub key: [u8; 32],
    /// A digest of the content.
    pub content: [u8; 32],
}

impl DedupeKey {
    /// Derives the key from a message. The content is part of it, because the same id with other
    /// content is another message.
    pub fn from_message(agent: &AgentName, message: &UserMessage) -> Self {
        let content: [u8; 32] = Sha256::digest(message.encode()).into();
        let id = message.message.message_id.as_str();
        Self {
            key: digest(&[b"message", agent.as_str().as_bytes(), id.as_bytes(), &content]),
            content,
        }
    }

    /// Derives the key from the client's idempotency key. The same key with other content is a
    /// mistake of the client.
    pub fn from_idempotency_key(agent: &AgentName, key: &str, message: &UserMessage) -> Self {
        Self {
            key: digest(&[b"idempotency", agent.as_str().as_bytes(), key.as_bytes()]),
            content: Sha256::digest(message.encode()).into(),
        }
    }

    /// Makes a key for a message that is new however often it was sent before. `id` must be unique.
    pub fn unique(id: Uuid, message: &UserMessage) -> Self {
        Self {
            key: digest(&[b"no other", id.as_bytes()]),
            content: Sha256::digest(message.encode()).into(),
        }
    }
}

/// Hashes fields, each preceded by its length, so that no two lists of fields share a hash.
fn digest(fields: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for field in fields {
        // Fixed width and byte order, as the keys of all nodes and releases must agree.
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

/// Options for running a task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunOptions {
    /// Priority among the tasks of one owner and agent; higher runs first, 0 by default.
    pub priority: i16,
    /// Delay from now before the task may be claimed.
    pub delay: Duration,
    /// Earliest time at which the task may be claimed, in addition to `delay`.
    pub not_before: Option<Timestamp>,
    /// Deadline for the end of the task. [`WorkerStore::reap`](crate::WorkerStore::reap) fails the
    /// task then, even if it is parked.
    pub deadline: Option<Timestamp>,
    /// Maximum time that the task may be runnable without being claimed, counted at its start and
    /// at every wake.
    pub queue_timeout: Option<Duration>,
    /// Tasks with the same owner, agent and key share one concurrency limit.
    pub concurrency_key: Option<String>,
}

/// Fields that new tasks and follow-ups share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingMessage {
    /// The message, with task and context filled in and large contents taken out.
    pub message: UserMessage,
    /// Deduplication key of the message.
    pub dedupe: DedupeKey,
    /// The contents that were taken out.
    pub blobs: Vec<Blob>,
    /// W3C `traceparent` of the request, for the worker.
    pub trace: Option<String>,
}

/// A message that creates a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptNew {
    /// The task. The caller makes its id before the first try.
    pub key: TaskKey,
    /// The agent that runs the task.
    pub agent: AgentName,
    /// The context (conversation).
    pub context: ContextId,
    /// Options for running it.
    pub options: RunOptions,
    /// The message.
    pub accept: IncomingMessage,
}

/// A message to an existing task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptFollowUp {
    /// The task.
    pub key: TaskKey,
    /// The message.
    pub accept: IncomingMessage,
    /// Limits of the task, including this message.
    pub budget: TaskBudget,
}

/// Limits on what a client may send to one task after its first message. The store counts as it
/// appends, so the check costs the same on a long task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskBudget {
    /// Maximum number of messages.
    pub messages: u32,
    /// Maximum bytes of their stored bodies. Large contents are stored apart and do not count.
    pub bytes: u64,
}

impl TaskBudget {
    /// No limit.
    pub const UNLIMITED: Self = Self { messages: u32::MAX, bytes: u64::MAX };

    /// Returns whether one more message of `bytes` fits after those that were counted.
    pub fn allows(self, counted: TaskUsage, bytes: u64) -> bool {
        // Strictly less: the message in question is not counted yet.
        counted.messages < self.messages && counted.bytes.saturating_add(bytes) <= self.bytes
    }
}

/// Messages that a client has sent to a task after its first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskUsage {
    /// Number of messages.
    pub messages: u32,
    /// Bytes of their stored bodies.
    pub bytes: u64,
}

impl TaskUsage {
    /// Counts one more message.
    #[must_use]
    pub const fn with(self, bytes: u64) -> Self {
        // Saturates, so that a counter at its end stays over the budget instead of below it.
        Self { messages: self.messages.saturating_add(1), bytes: self.bytes.saturating_add(bytes) }
    }
}

/// A request to cancel a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestCancel {
    /// The task.
    pub key: TaskKey,
    /// Time that a running executor has to stop by itself.
    pub grace: Duration,
}

/// A worker that registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWorker {
    /// Id of this incarnation.
    pub id: WorkerId,
    /// Name for people: host and process id.
    pub name: String,
    /// Agents that it runs.
    pub agents: Vec<AgentDescriptor>,
    /// Its first lease.
    pub lease: Duration,
}

/// Capacity of a worker for the runs of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSlots {
    /// The agent.
    pub agent: AgentName,
    /// Free slots, at least 1.
    pub free: u32,
    /// Limits on the runs of the agent on all workers together.
    pub limits: ConcurrencyLimits,
    /// The version of the executor, if tasks stay with the version that ran them first. Then only
    /// runs that are not pinned, or pinned to this version, are handed out, and they are pinned to
    /// it.
    pub pinned: Option<String>,
}

impl AgentSlots {
    /// Returns `free` slots without limits, for runs of any version.
    pub const fn new(agent: AgentName, free: u32) -> Self {
        Self { agent, free, limits: ConcurrencyLimits::NONE, pinned: None }
    }
}

/// A request for runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The worker that claims.
    pub worker: WorkerId,
    /// Its free capacity, by agent.
    pub slots: Vec<AgentSlots>,
    /// Maximum number of runs in all.
    pub limit: u32,
}

/// Output of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The task.
    pub key: TaskKey,
    /// The right to write.
    pub fence: Fence,
    /// Number of this operation within the run, from 1; each append or settle increments it.
    pub op: i32,
    /// The attempt that wrote the output.
    pub attempt: i32,
    /// The entries; empty only if there are checkpoints. Every status is `working`, and their order
    /// is legal.
    pub entries: Vec<EntryBody>,
    /// Large contents of the entries.
    pub blobs: Vec<Blob>,
    /// Checkpoints, committed together with the entries. A checkpoint is progress: it resets the
    /// losses of the run.
    pub checkpoints: Vec<Checkpoint>,
}

/// The end that a run asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettleAs {
    /// The task ends; the last entry is its final status.
    End(TerminalState),
    /// The task waits for input or authorization; the last entry is that status.
    Park(ParkedState),
    /// The attempt failed; the next one may start after the delay. Counts an attempt.
    Retry(Duration),
    /// The run is released at once, as if it had not been claimed (drain). Counts no attempt.
    Release,
}

/// A request to process overdue tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReapRequest {
    /// Maximum number of tasks to process.
    pub limit: u32,
    /// Number of workers that may be lost in a row while running a task before the task is a
    /// suspect. See [`decide_poison`](crate::decide_poison) for what follows.
    pub max_losses: u32,
    /// Time after which a running task past its deadline is ended by force.
    pub grace: Duration,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// The end that is asked for.
    pub how: SettleAs,
    /// The last client message that the executor has read. If there is a later one, a park becomes
    /// an immediate re-run, and an end is handed back once.
    pub read_up_to: Seq,
    /// The fence and the remaining output. Entries may be empty for [`SettleAs::Release`].
    pub output: Append,
}

/// A new API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Its public id.
    pub id: KeyId,
    /// Name of the owner.
    pub owner: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// Scopes that it grants.
    pub scopes: Scopes,
    /// Label for people.
    pub label: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{Message, MessageId, Part, Role};

    fn said(id: &str, text: &str) -> UserMessage {
        let message = Message::new(MessageId::new(id).unwrap(), Role::User, vec![Part::text(text)]);
        UserMessage::new(message)
    }

    #[test]
    fn the_same_id_with_other_content_is_another_message() {
        let agent = AgentName::new("echo").unwrap();
        let first = DedupeKey::from_message(&agent, &said("m", "a"));
        assert_eq!(first, DedupeKey::from_message(&agent, &said("m", "a")));
        assert_ne!(first.key, DedupeKey::from_message(&agent, &said("m", "b")).key);
        assert_ne!(first.key, DedupeKey::from_message(&agent, &said("n", "a")).key);
    }

    #[test]
    fn an_idempotency_key_stays_the_same_with_other_content() {
        let agent = AgentName::new("echo").unwrap();
        let one = DedupeKey::from_idempotency_key(&agent, "k", &said("m", "a"));
        let two = DedupeKey::from_idempotency_key(&agent, "k", &said("m", "b"));
        assert_eq!(one.key, two.key);
        assert_ne!(one.content, two.content);
    }
}
