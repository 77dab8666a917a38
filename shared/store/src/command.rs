//! What can be asked of a store, as values.

use longhaul_domain::{
    AgentDescriptor, AgentName, Blob, Checkpoint, ConcurrencyLimits, ContextId, EntryBody, Fence,
    KeyId, ParkedState, Scopes, Seq, TaskKey, TerminalState, Timestamp, WorkerId, log::UserMessage,
};
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::Uuid;

/// By what a repeated message is recognised, for 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupeKey {
    /// What names the message: a digest of owner, agent and message id (with its content), or of the client's
    /// idempotency key.
    pub key: [u8; 32],
    /// A digest of the content.
    pub content: [u8; 32],
}

impl DedupeKey {
    /// The key of a message: the same id with other content is another message, so the content is part of the key.
    pub fn from_message(agent: &AgentName, message: &UserMessage) -> Self {
        let content: [u8; 32] = Sha256::digest(message.encode()).into();
        let id = message.message.message_id.as_str();
        Self {
            key: digest(&[b"message", agent.as_str().as_bytes(), id.as_bytes(), &content]),
            content,
        }
    }

    /// The key of an idempotency key chosen by the client: the same key with other content is a mistake.
    pub fn from_idempotency_key(agent: &AgentName, key: &str, message: &UserMessage) -> Self {
        Self {
            key: digest(&[b"idempotency", agent.as_str().as_bytes(), key.as_bytes()]),
            content: Sha256::digest(message.encode()).into(),
        }
    }

    /// The key of a message that is new, however often it was sent before. Nothing else may have the id.
    pub fn unique(id: Uuid, message: &UserMessage) -> Self {
        Self {
            key: digest(&[b"no other", id.as_bytes()]),
            content: Sha256::digest(message.encode()).into(),
        }
    }
}

/// Hashes fields so that no two lists of fields share a hash: each is preceded by its length.
fn digest(fields: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

/// How a task is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunOptions {
    /// Higher goes first among the tasks of one owner and agent; 0 by default.
    pub priority: i16,
    /// Not to be claimed before this long from now.
    pub delay: Duration,
    /// Not to be claimed before this time either.
    pub not_before: Option<Timestamp>,
    /// By when the task must have ended: [`WorkerStore::reap`](crate::Work::reap) fails it then, also a parked one.
    pub deadline: Option<Timestamp>,
    /// How long it may be runnable without having been claimed, at its beginning and whenever it is woken.
    pub queue_timeout: Option<Duration>,
    /// Tasks of the same owner, agent and key are limited together.
    pub concurrency_key: Option<String>,
}

/// What both kinds of messages have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingMessage {
    /// The message, with task and context filled in and large contents taken out.
    pub message: UserMessage,
    /// By what it is recognised when it is repeated.
    pub dedupe: DedupeKey,
    /// The contents that were taken out.
    pub blobs: Vec<Blob>,
    /// W3C `traceparent` of the request, for the worker.
    pub trace: Option<String>,
}

/// A message that makes a new task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptNew {
    /// The task, its id made by the caller before the first try.
    pub key: TaskKey,
    /// Who is to do it.
    pub agent: AgentName,
    /// The conversation.
    pub context: ContextId,
    /// How to run it.
    pub options: RunOptions,
    /// The message.
    pub accept: IncomingMessage,
}

/// A message to a task that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptFollowUp {
    /// The task.
    pub key: TaskKey,
    /// The message.
    pub accept: IncomingMessage,
    /// What the task may hold with it.
    pub budget: TaskBudget,
}

/// Bounds of what a client may say to one task after its first message. The store counts as it appends, so checking costs the
/// same on a long task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskBudget {
    /// Most messages.
    pub messages: u32,
    /// Most bytes of their stored bodies; large contents, which are kept apart, do not count.
    pub bytes: u64,
}

impl TaskBudget {
    /// No bound.
    pub const UNLIMITED: Self = Self { messages: u32::MAX, bytes: u64::MAX };

    /// Whether one more message of so many bytes is allowed after those that were counted.
    pub fn allows(self, counted: TaskUsage, bytes: u64) -> bool {
        counted.messages < self.messages && counted.bytes.saturating_add(bytes) <= self.bytes
    }
}

/// What a client has said to a task after its first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskUsage {
    /// Messages.
    pub messages: u32,
    /// Bytes of their stored bodies.
    pub bytes: u64,
}

impl TaskUsage {
    /// Counts one more message.
    #[must_use]
    pub const fn with(self, bytes: u64) -> Self {
        Self { messages: self.messages.saturating_add(1), bytes: self.bytes.saturating_add(bytes) }
    }
}

/// A wish to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestCancel {
    /// The task.
    pub key: TaskKey,
    /// How long a running executor has to stop by itself.
    pub grace: Duration,
}

/// A worker, as it makes itself known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWorker {
    /// This incarnation.
    pub id: WorkerId,
    /// For people: host and process id.
    pub name: String,
    /// What it runs.
    pub agents: Vec<AgentDescriptor>,
    /// Its first lease.
    pub lease: Duration,
}

/// How many runs of an agent a worker can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSlots {
    /// The agent.
    pub agent: AgentName,
    /// Free slots, at least 1.
    pub free: u32,
    /// How many runs of the agent may be under way on all workers.
    pub limits: ConcurrencyLimits,
    /// The version of the executor, where a task is to stay with the version that ran it first: then only runs of
    /// tasks that no version or this one has run are handed out, and those are marked with it.
    pub pinned: Option<String>,
}

impl AgentSlots {
    /// So many, without limits, for runs of any version.
    pub const fn new(agent: AgentName, free: u32) -> Self {
        Self { agent, free, limits: ConcurrencyLimits::NONE, pinned: None }
    }
}

/// A wish for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Who asks.
    pub worker: WorkerId,
    /// What it can take.
    pub slots: Vec<AgentSlots>,
    /// At most this many in all.
    pub limit: u32,
}

/// Output of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The task.
    pub key: TaskKey,
    /// The right to write.
    pub fence: Fence,
    /// Number of this operation within the run, from 1, rising by 1 with each append or settle.
    pub op: i32,
    /// The attempt that wrote it.
    pub attempt: i32,
    /// The entries, never empty unless there are checkpoints; statuses are `working` and legal in this order.
    pub entries: Vec<EntryBody>,
    /// Large contents of the entries.
    pub blobs: Vec<Blob>,
    /// What is kept by name, together with the entries or not at all. A worker that commits a checkpoint has made
    /// progress: the losses of its run count from here.
    pub checkpoints: Vec<Checkpoint>,
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettleAs {
    /// The task ends; the last entry is its final status.
    End(TerminalState),
    /// The task waits for somebody outside; the last entry is that status.
    Park(ParkedState),
    /// The attempt failed; the next one may start after the delay. Counts an attempt.
    Retry(Duration),
    /// The run is given back at once, as if it had not been claimed (drain). Counts no attempt.
    Release,
}

/// A look for what is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReapRequest {
    /// At most this many tasks are dealt with.
    pub limit: u32,
    /// When as many workers in a row as this were lost while they ran a task, it is suspected of it (see
    /// [`verdict`](crate::verdict())): one that is alone in that fails.
    pub max_losses: u32,
    /// A task whose deadline has passed while a worker runs it is ended by force after this long.
    pub grace: Duration,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// How it ends.
    pub how: SettleAs,
    /// The last client message that the executor has read: when there is a later one, a park becomes an immediate
    /// re-run, and an end is handed back once.
    pub read_up_to: Seq,
    /// What is still to be appended, and the fence. Entries may be empty for [`SettleAs::Release`].
    pub output: Append,
}

/// A new API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Its public name.
    pub id: KeyId,
    /// Name of the owner.
    pub owner: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// What it may do.
    pub scopes: Scopes,
    /// For people.
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
