//! What an executor sees of its task, and what it can say about it.

mod artifacts;
mod checkpoint;
mod emit;
mod names;
mod read;
mod said;
mod scope;
mod step;

pub use read::ProducedArtifact;
pub use said::MessageContent;
pub use step::{OpenStep, StepStart};

use crate::{Assignment, ContextError, Outcome, OutputStopped, TaskIo};
use artifacts::Written;
use longhaul_domain::{
    AgentName, ContextId, HistoryItem, JsonObject, Message, MessageId, Role, Seq, TaskId,
    Timestamp, agent::media_type_matches,
};
use names::Names;
use scope::Scope;
use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// One run of a task. Clones are the same run. The one that a [step](Self::step) is given says what it says when the step is
/// done.
#[derive(Clone)]
pub struct TaskContext {
    run: Arc<Inner>,
    /// The step that output belongs to, if it belongs to one.
    scope: Option<Arc<Scope>>,
}

struct Inner {
    assignment: Assignment,
    /// Last message of the client; made up and empty should an assignment have none.
    message: Message,
    io: Arc<dyn TaskIo>,
    cancel: CancellationToken,
    ids: Arc<dyn Fn() -> Uuid + Send + Sync>,
    artifacts_named: AtomicU32,
    written: Mutex<Written>,
    names: Mutex<Names>,
    read_up_to: AtomicI64,
    unread: tokio::sync::Mutex<Unread>,
}

/// Messages that were fetched and not yet handed out.
struct Unread {
    fetched_up_to: Seq,
    waiting: VecDeque<HistoryItem>,
}

impl TaskContext {
    /// Made by whoever runs executors. `cancel` is cancelled when the run shall stop, for whatever reason; `ids` makes ids for
    /// messages.
    pub fn new(
        assignment: Assignment,
        io: Arc<dyn TaskIo>,
        cancel: CancellationToken,
        ids: Arc<dyn Fn() -> Uuid + Send + Sync>,
    ) -> Self {
        let message = assignment.last_user_message().map_or_else(
            || Message::new(MessageId::from(ids()), Role::User, Vec::new()),
            |item| item.message.clone(),
        );
        let read_up_to = assignment.read_up_to();
        let run = Inner {
            message,
            io,
            cancel,
            ids,
            artifacts_named: AtomicU32::new(0),
            written: Mutex::default(),
            names: Mutex::default(),
            read_up_to: AtomicI64::new(read_up_to.0),
            unread: tokio::sync::Mutex::new(Unread {
                fetched_up_to: read_up_to,
                waiting: VecDeque::new(),
            }),
            assignment,
        };
        Self { run: Arc::new(run), scope: None }
    }

    /// Everything that came with the run.
    pub fn assignment(&self) -> &Assignment {
        &self.run.assignment
    }

    /// The last message of the client: what this turn is about.
    pub fn message(&self) -> &Message {
        &self.run.message
    }

    /// Messages of both sides so far, the last one included: the newest 1,000, and no more than 1 MiB of them. Where there are
    /// older ones, [`earlier_messages`](Self::earlier_messages) reads them.
    pub fn history(&self) -> &[HistoryItem] {
        &self.run.assignment.history
    }

    /// Where the messages end that are older than [`history`](Self::history); none when that is whole.
    pub fn earlier_before(&self) -> Option<Seq> {
        self.run.assignment.earlier_before
    }

    /// Metadata of the request that carried the last message. Large metadata is a reference: see
    /// [`resolve_metadata`](Self::resolve_metadata).
    pub fn request_metadata(&self) -> Option<&JsonObject> {
        self.run.assignment.request_metadata.as_ref()
    }

    /// Media types that the client can take in answer to its last message, such as `text/plain` or `image/*`; empty for any
    /// (A2A 3.2.2). It is a wish: what does not fit is not refused.
    pub fn accepted_output_modes(&self) -> &[String] {
        &self.run.assignment.accepted_output_modes
    }

    /// Whether the client can take this media type in answer to its last message: it named it, `*/*` or the like of `image/*`,
    /// or nothing at all.
    pub fn accepts(&self, media_type: &str) -> bool {
        let modes = self.accepted_output_modes();
        modes.is_empty() || modes.iter().any(|mode| media_type_matches(mode, media_type))
    }

    /// Whether the client activated this extension for its last message. One that the agent does not declare is active only
    /// where the message itself names it.
    pub fn activated(&self, extension: &str) -> bool {
        self.run.message.extensions.iter().any(|uri| uri == extension)
    }

    /// Which task.
    pub fn task_id(&self) -> TaskId {
        self.run.assignment.key.task
    }

    /// Which conversation.
    pub fn context_id(&self) -> &ContextId {
        &self.run.assignment.context
    }

    /// The agent that was asked.
    pub fn agent(&self) -> &AgentName {
        &self.run.assignment.agent
    }

    /// Which attempt, from 1.
    pub fn attempt(&self) -> i32 {
        self.run.assignment.attempt
    }

    /// Which turn: 1, and one more each time the task was woken from a park.
    pub fn turn(&self) -> i32 {
        self.run.assignment.turn
    }

    /// When the task must have ended, if there is such a time.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.run.assignment.deadline
    }

    /// Resolves when the run shall stop: the client cancelled, time is over, or the worker may or will not go on.
    pub async fn cancelled(&self) {
        self.run.cancel.cancelled().await;
    }

    /// Whether the run shall stop.
    pub fn is_cancelled(&self) -> bool {
        self.run.cancel.is_cancelled()
    }

    /// A token that is cancelled when the run shall stop; for work that is handed on.
    pub fn cancel_token(&self) -> CancellationToken {
        self.run.cancel.child_token()
    }

    /// Waits until the run shall stop, and says why.
    pub async fn stopped(&self) -> OutputStopped {
        self.cancelled().await;
        // A stopped run refuses to flush and says why. One that still flushes was only asked to end.
        self.run.io.flush().await.err().unwrap_or(OutputStopped::Canceled)
    }

    /// The highest message of the client that the executor has been given.
    pub fn read_up_to(&self) -> Seq {
        Seq(self.run.read_up_to.load(Ordering::Acquire))
    }

    /// Waits for the next thing that the client says while the run lasts, and counts it as read: the run is not repeated for
    /// it. Safe to abandon: no message is lost.
    pub async fn next_message(&self) -> Result<Message, ContextError> {
        let item = self.receive_message().await?;
        self.mark_read(item.seq);
        Ok(item.message)
    }

    /// Like [`next_message`](Self::next_message), but the message counts as unread until [`mark_read`](Self::mark_read). Each
    /// message is given once.
    pub async fn receive_message(&self) -> Result<HistoryItem, ContextError> {
        let mut unread = self.run.unread.lock().await;
        loop {
            if let Some(item) = unread.waiting.pop_front() {
                return Ok(item);
            }
            let items = self.run.io.messages_after(unread.fetched_up_to).await?;
            if let Some(last) = items.last() {
                unread.fetched_up_to = unread.fetched_up_to.max(last.seq);
            }
            let of_client = |item: &HistoryItem| item.message.role == Role::User;
            unread.waiting.extend(items.into_iter().filter(of_client));
        }
    }

    /// Counts everything that the client has said up to here as read.
    pub fn mark_read(&self, up_to: Seq) {
        self.run.read_up_to.fetch_max(up_to.0, Ordering::AcqRel);
    }

    /// A message of the agent, with ids, task and context.
    pub fn agent_message(&self, said: impl Into<MessageContent>) -> Message {
        let id = MessageId::from((self.run.ids)());
        self.addressed(Message::new(id, Role::Agent, said.into().into_parts()))
    }

    /// [`Outcome::Completed`] with a word to the client.
    pub fn completed(&self, said: impl Into<MessageContent>) -> Outcome {
        Outcome::Completed(Some(self.agent_message(said)))
    }

    /// [`Outcome::Rejected`] with the reason.
    pub fn rejected(&self, said: impl Into<MessageContent>) -> Outcome {
        Outcome::Rejected(Some(self.agent_message(said)))
    }

    /// [`Outcome::InputRequired`] with a question.
    pub fn input_required(&self, said: impl Into<MessageContent>) -> Outcome {
        Outcome::InputRequired(self.agent_message(said))
    }

    /// [`Outcome::AuthRequired`] with what is needed.
    pub fn auth_required(&self, said: impl Into<MessageContent>) -> Outcome {
        Outcome::AuthRequired(self.agent_message(said))
    }

    /// [`Outcome::Direct`] with the answer.
    pub fn direct(&self, said: impl Into<MessageContent>) -> Outcome {
        Outcome::Direct(self.agent_message(said))
    }

    /// A message as the agent's own, in this task.
    fn addressed(&self, message: Message) -> Message {
        Message {
            role: Role::Agent,
            task_id: Some(self.task_id()),
            context_id: Some(self.context_id().clone()),
            ..message
        }
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext")
            .field("assignment", &self.run.assignment)
            .finish_non_exhaustive()
    }
}
