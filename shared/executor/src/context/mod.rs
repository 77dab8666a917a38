//! The view that an executor has of its task, and its output.

mod artifact_rules;
mod output;
mod read;
mod step;
mod step_names;

pub use output::MessageContent;
pub use read::ProducedArtifact;
pub use step::{OpenStep, StepStart};

use crate::{Assignment, ContextError, OutputStopped, TaskIo};
use artifact_rules::WrittenArtifacts;
use longhaul_domain::{
    AgentName, ContextId, HistoryItem, JsonObject, Message, MessageId, Role, Seq, TaskId,
    Timestamp, agent::media_type_matches,
};
use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
};
use step::StepScope;
use step_names::UsedNames;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// One run of a task. Clones share the run. The context that a [step](Self::step) receives holds
/// its output back until the step ends.
#[derive(Clone)]
pub struct TaskContext {
    run: Arc<RunState>,
    /// The step that output belongs to, if any.
    scope: Option<Arc<StepScope>>,
}

struct RunState {
    assignment: Assignment,
    /// The client's last message. Empty if the assignment has none.
    message: Message,
    io: Arc<dyn TaskIo>,
    cancel: CancellationToken,
    ids: Arc<dyn Fn() -> Uuid + Send + Sync>,
    /// Number of artifacts with a default id outside of steps.
    artifacts_named: AtomicU32,
    written: Mutex<WrittenArtifacts>,
    names: Mutex<UsedNames>,
    read_up_to: AtomicI64,
    inbox: tokio::sync::Mutex<MessageInbox>,
}

/// Messages of the client that were fetched and not yet handed out.
struct MessageInbox {
    fetched_up_to: Seq,
    waiting: VecDeque<HistoryItem>,
}

impl TaskContext {
    /// Builds a context, for hosts that run executors. `cancel` is cancelled when the run must
    /// stop, for whatever reason; `ids` makes message ids.
    pub fn new(
        assignment: Assignment,
        io: Arc<dyn TaskIo>,
        cancel: CancellationToken,
        ids: Arc<dyn Fn() -> Uuid + Send + Sync>,
    ) -> Self {
        // A claim always brings a message of the client. Without one, executors see an empty message
        // rather than a panic.
        let message = assignment.last_user_message().map_or_else(
            || Message::new(MessageId::from(ids()), Role::User, Vec::new()),
            |item| item.message.clone(),
        );
        // The executor has read everything that came with the claim.
        let read_up_to = assignment.read_up_to();
        let run = RunState {
            message,
            io,
            cancel,
            ids,
            artifacts_named: AtomicU32::new(0),
            written: Mutex::default(),
            names: Mutex::default(),
            read_up_to: AtomicI64::new(read_up_to.0),
            inbox: tokio::sync::Mutex::new(MessageInbox {
                fetched_up_to: read_up_to,
                waiting: VecDeque::new(),
            }),
            assignment,
        };
        Self { run: Arc::new(run), scope: None }
    }

    /// The data that came with the run.
    pub fn assignment(&self) -> &Assignment {
        &self.run.assignment
    }

    /// The client's last message, which began this turn. Large parts are references until
    /// [`resolve`](Self::resolve) reads them.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     let text = ctx.resolve(ctx.message().clone()).await?.text();
    ///     Ok(ctx.completed(text.to_uppercase()))
    /// });
    /// assert_eq!(TestRun::new(executor).text("hi").run().await.status_text(), "HI");
    /// # }
    /// ```
    pub fn message(&self) -> &Message {
        &self.run.message
    }

    /// The newest messages of both sides, the last one included: at most 1,000, and at most 1 MiB
    /// of them. [`earlier_messages`](Self::earlier_messages) reads older ones.
    pub fn history(&self) -> &[HistoryItem] {
        &self.run.assignment.history
    }

    /// The position before which messages exist that [`history`](Self::history) leaves out. `None`
    /// when it is complete.
    pub fn earlier_before(&self) -> Option<Seq> {
        self.run.assignment.earlier_before
    }

    /// Metadata of the request that carried the last message. Large metadata is a reference: see
    /// [`resolve_metadata`](Self::resolve_metadata).
    pub fn request_metadata(&self) -> Option<&JsonObject> {
        self.run.assignment.request_metadata.as_ref()
    }

    /// Media types that the client accepts in answer to its last message, such as `text/plain` or
    /// `image/*`. Empty for any (A2A 3.2.2). This is a wish: output of other types is not rejected.
    pub fn accepted_output_modes(&self) -> &[String] {
        &self.run.assignment.accepted_output_modes
    }

    /// Returns true when the client accepts this media type in answer to its last message: it named
    /// the type, a range such as `image/*` or `*/*`, or nothing at all.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     let table = if ctx.accepts("text/csv") { "a,b" } else { "a | b" };
    ///     Ok(ctx.completed(table))
    /// });
    /// let run = TestRun::new(executor).accepted_output_modes(&["text/*"]).text("go");
    /// assert_eq!(run.run().await.status_text(), "a,b");
    /// # }
    /// ```
    pub fn accepts(&self, media_type: &str) -> bool {
        let modes = self.accepted_output_modes();
        modes.is_empty() || modes.iter().any(|mode| media_type_matches(mode, media_type))
    }

    /// Returns true when the client activated this extension for its last message. An extension
    /// that the agent does not declare is active only where the message itself names it.
    pub fn activated(&self, extension: &str) -> bool {
        self.run.message.extensions.iter().any(|uri| uri == extension)
    }

    /// The id of the task.
    pub fn task_id(&self) -> TaskId {
        self.run.assignment.key.task
    }

    /// The id of the conversation.
    pub fn context_id(&self) -> &ContextId {
        &self.run.assignment.context
    }

    /// The agent that was asked.
    pub fn agent(&self) -> &AgentName {
        &self.run.assignment.agent
    }

    /// The number of the attempt, from 1.
    pub fn attempt(&self) -> i32 {
        self.run.assignment.attempt
    }

    /// The number of the turn: 1, plus one for each time the task was woken from a park.
    pub fn turn(&self) -> i32 {
        self.run.assignment.turn
    }

    /// The time by which the task must have ended, if there is one.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.run.assignment.deadline
    }

    /// Resolves when the run must stop: the client canceled, time is up, or the worker cannot
    /// continue.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     tokio::select! {
    ///         () = tokio::time::sleep(Duration::from_secs(3600)) => Ok(ctx.completed("done")),
    ///         () = ctx.cancelled() => Err(ctx.stopped().await.into()),
    ///     }
    /// });
    /// let report = TestRun::new(executor).text("go").cancel_after_events(0).run().await;
    /// # use longhaul_executor::testkit::TestRunEnd;
    /// assert_eq!(report.end(), &TestRunEnd::Stopped(OutputStopped::Canceled));
    /// # }
    /// ```
    pub async fn cancelled(&self) {
        self.run.cancel.cancelled().await;
    }

    /// Returns true when the run must stop.
    pub fn is_cancelled(&self) -> bool {
        self.run.cancel.is_cancelled()
    }

    /// A token that is cancelled when the run must stop, for work that is handed to others.
    pub fn cancel_token(&self) -> CancellationToken {
        self.run.cancel.child_token()
    }

    /// Waits until the run must stop, and returns the reason.
    pub async fn stopped(&self) -> OutputStopped {
        self.cancelled().await;
        // A stopped run refuses to flush with the reason. One that still flushes was only asked to
        // end.
        self.run.io.flush().await.err().unwrap_or(OutputStopped::Canceled)
    }

    /// The highest position of a client's message that the executor has read.
    pub fn read_up_to(&self) -> Seq {
        Seq(self.run.read_up_to.load(Ordering::Acquire))
    }

    /// Waits for the client's next message during the run, and marks it as read, so that the run is
    /// not repeated for it. Cancel safe.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     ctx.status("counting until you say stop").await?;
    ///     let message = ctx.next_message().await?;
    ///     Ok(ctx.completed(format!("stopped by {:?}", message.text())))
    /// });
    /// let report = TestRun::new(executor).text("count").follow_up("stop").run().await;
    /// assert_eq!(report.status_text(), "stopped by \"stop\"");
    /// # }
    /// ```
    ///
    /// # Errors
    /// The run was stopped.
    pub async fn next_message(&self) -> Result<Message, ContextError> {
        let item = self.receive_message().await?;
        self.mark_read(item.seq);
        Ok(item.message)
    }

    /// Waits for the client's next message like [`next_message`](Self::next_message), but leaves it
    /// unread until [`mark_read`](Self::mark_read): a run that ends before is repeated for the
    /// message. Each message is returned once. Cancel safe.
    ///
    /// # Errors
    /// The run was stopped.
    pub async fn receive_message(&self) -> Result<HistoryItem, ContextError> {
        // Held across the wait, so that concurrent callers get distinct messages in the order of the log.
        let mut inbox = self.run.inbox.lock().await;
        loop {
            if let Some(item) = inbox.waiting.pop_front() {
                return Ok(item);
            }
            let items = self.run.io.messages_after(inbox.fetched_up_to).await?;
            if let Some(last) = items.last() {
                // Noted before the messages are handed out: a caller that is dropped now leaves them in the inbox.
                inbox.fetched_up_to = inbox.fetched_up_to.max(last.seq);
            }
            let of_client = |item: &HistoryItem| item.message.role == Role::User;
            inbox.waiting.extend(items.into_iter().filter(of_client));
        }
    }

    /// Marks the client's messages up to this position as read.
    pub fn mark_read(&self, up_to: Seq) {
        // Monotonic: marking an earlier message later must not make the newer ones unread.
        self.run.read_up_to.fetch_max(up_to.0, Ordering::AcqRel);
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext")
            .field("assignment", &self.run.assignment)
            .finish_non_exhaustive()
    }
}
