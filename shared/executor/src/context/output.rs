//! Output: statuses, artifacts, and the messages of outcomes.
//!
//! Output is passed on unchanged; the worker moves large parts to blobs. Output of a step is held
//! back until the step ends.

use super::TaskContext;
use crate::{ArtifactSpec, ArtifactWriter, ContextError, InvalidOutput, Outcome, StepError, check};
use longhaul_domain::{
    Artifact, ArtifactId, ArtifactUpdate, EntryBody, Json, JsonObject, Message, MessageId, Part,
    Role, TaskState, log::StatusChange,
};
use serde::Serialize;
use std::sync::atomic::Ordering;

/// The content of a message of the agent. Converts from a text, a part or several parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageContent(Vec<Part>);

impl From<&str> for MessageContent {
    fn from(text: &str) -> Self {
        Self(vec![Part::text(text)])
    }
}

impl From<String> for MessageContent {
    fn from(text: String) -> Self {
        Self(vec![Part::text(text)])
    }
}

impl From<Part> for MessageContent {
    fn from(part: Part) -> Self {
        Self(vec![part])
    }
}

impl From<Vec<Part>> for MessageContent {
    fn from(parts: Vec<Part>) -> Self {
        Self(parts)
    }
}

/// Statuses and artifacts.
impl TaskContext {
    /// Reports progress to people. The task stays `working`.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     ctx.status("Reading the report").await?;
    ///     Ok(ctx.completed("It says that all is well."))
    /// });
    /// let report = TestRun::new(executor).text("summarize").run().await;
    /// assert_eq!(report.status_texts(), ["Reading the report"]);
    /// # }
    /// ```
    ///
    /// # Errors
    /// The run was stopped, or the message cannot be stored.
    pub async fn status(&self, content: impl Into<MessageContent>) -> Result<(), ContextError> {
        self.status_update(Some(self.agent_message(content)), None).await
    }

    /// Reports progress to people and programs. The metadata belongs to the event, not to the
    /// message (A2A 4.2.1). It may be anything that serializes to a JSON object.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     ctx.progress("Page 3", serde_json::json!({"page": 3, "of": 10})).await?;
    ///     Ok(Outcome::Completed(None))
    /// });
    /// let report = TestRun::new(executor).text("go").run().await;
    /// assert!(report.statuses()[0].metadata.is_some());
    /// # }
    /// ```
    ///
    /// # Errors
    /// The run was stopped, or message or metadata cannot be stored.
    pub async fn progress(
        &self,
        content: impl Into<MessageContent>,
        metadata: impl Serialize,
    ) -> Result<(), ContextError> {
        // Checked here rather than by the caller's types, so that any serializable value is accepted.
        let metadata = Json::from_serialize(&metadata).and_then(JsonObject::new);
        let metadata = metadata.map_err(|error| InvalidOutput::Metadata(error.to_string()))?;
        self.status_update(Some(self.agent_message(content)), Some(metadata)).await
    }

    /// Reports progress in a message that the executor has built. The message becomes the agent's,
    /// in this task.
    ///
    /// # Errors
    /// Fails like [`status`](Self::status).
    pub async fn status_message(&self, message: Message) -> Result<(), ContextError> {
        self.status_update(Some(message), None).await
    }

    /// Sends the status `working` with an optional message and metadata.
    ///
    /// # Errors
    /// Fails like [`progress`](Self::progress).
    pub async fn status_update(
        &self,
        message: Option<Message>,
        metadata: Option<JsonObject>,
    ) -> Result<(), ContextError> {
        let message = message.map(|message| self.addressed(message));
        if let Some(message) = &message {
            check::message(message)?;
        }
        check::metadata(metadata.as_ref())?;
        // Executors never send another state: the outcome of the run does.
        let change = StatusChange { metadata, ..StatusChange::with(TaskState::Working, message) };
        self.emit(EntryBody::Status(change)).await
    }

    /// Builds an artifact from parts, under the next ordinal id. [`artifact`](Self::artifact) sends
    /// it.
    pub fn new_artifact(&self, parts: Vec<Part>) -> Artifact {
        Artifact::new(self.next_artifact_id(), parts)
    }

    /// Sends a complete artifact. It replaces one with the same id.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     let mut artifact = ctx.new_artifact(vec![Part::text("a,b\n1,2\n")]);
    ///     artifact.name = Some("table.csv".to_owned());
    ///     ctx.artifact(artifact).await?;
    ///     Ok(Outcome::Completed(None))
    /// });
    /// let report = TestRun::new(executor).text("go").run().await;
    /// assert_eq!(report.artifact_text("artifact-1"), "a,b\n1,2\n");
    /// # }
    /// ```
    ///
    /// # Errors
    /// The run was stopped, or the artifact cannot be stored or belongs to steps.
    pub async fn artifact(&self, artifact: Artifact) -> Result<(), ContextError> {
        self.artifact_update(ArtifactUpdate::complete(artifact)).await
    }

    /// Begins an artifact that is sent in chunks. It replaces one with the same id.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     let mut lines = ctx.stream_artifact(ArtifactSpec::named("lines.txt"));
    ///     for number in 1..=3 {
    ///         lines.write(vec![Part::text(format!("line {number}\n"))]).await?;
    ///     }
    ///     lines.finish(vec![Part::text("the end")]).await?;
    ///     Ok(Outcome::Completed(None))
    /// });
    /// let report = TestRun::new(executor).text("go").run().await;
    /// assert_eq!(report.chunks().len(), 4);
    /// assert!(report.artifact_text("artifact-1").ends_with("the end"));
    /// # }
    /// ```
    pub fn stream_artifact(&self, spec: ArtifactSpec) -> ArtifactWriter {
        let ArtifactSpec { id, name, description, metadata, extensions } = spec;
        // The id is chosen now, so that ids follow the order of these calls and not of the first chunks.
        let artifact_id = id.unwrap_or_else(|| self.next_artifact_id());
        let parts = Vec::new();
        let head = Artifact { artifact_id, name, description, parts, metadata, extensions };
        ArtifactWriter::new(self.clone(), head, false)
    }

    /// Continues an artifact of an earlier attempt, turn or step: chunks are appended to the
    /// existing ones (see [`produced_artifacts`](Self::produced_artifacts) for their number). An
    /// artifact that steps of this attempt wrote can be continued in steps only, and one written
    /// outside of steps, outside only.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     let written = ctx.produced_artifacts().await?;
    ///     let (mut writer, next) = match written.first() {
    ///         // A lost attempt has sent some of the lines.
    ///         Some(found) => (ctx.continue_artifact(found.id.clone()).await?, found.parts + 1),
    ///         None => (ctx.stream_artifact(ArtifactSpec::default()), 1),
    ///     };
    ///     for number in next..=3 {
    ///         writer.write(vec![Part::text(format!("{number} "))]).await?;
    ///     }
    ///     Ok(Outcome::Completed(None))
    /// });
    /// let crashed = TestRun::new(executor).text("go").crash_after_write(2).run().await;
    /// let report = crashed.after_worker_loss().run().await;
    /// assert_eq!(report.artifact_text("artifact-1"), "1 2 3 ");
    /// # }
    /// ```
    ///
    /// # Errors
    /// The task has no such artifact, or it belongs to the other side. The run was stopped, or the
    /// store is not available.
    pub async fn continue_artifact(&self, id: ArtifactId) -> Result<ArtifactWriter, ContextError> {
        self.check_side(&id)?;
        // Reads the record only if this attempt has not written the artifact itself.
        if !self.is_known_artifact(&id)
            && !self.produced_artifacts().await?.iter().any(|found| found.id == id)
        {
            return Err(InvalidOutput::NoSuchArtifact(id).into());
        }
        self.note_written(&id);
        Ok(ArtifactWriter::new(self.clone(), Artifact::new(id, Vec::new()), true))
    }

    /// Sends one chunk as it is. An appended chunk must belong to an artifact that this attempt (in
    /// a step: this step) has begun or continues. An appended chunk without parts is left out.
    ///
    /// # Errors
    /// The run was stopped, or the chunk cannot be stored or appended.
    pub async fn artifact_update(&self, update: ArtifactUpdate) -> Result<(), ContextError> {
        check::update(&update)?;
        // Before the early return below: an empty chunk for a wrong artifact is a mistake too.
        self.check_chunk(&update.artifact.artifact_id, update.append)?;
        if update.artifact.parts.is_empty() {
            return Ok(());
        }
        // Noted before the output is sent, so that concurrent code sees the claim on the id.
        if !update.append {
            self.note_written(&update.artifact.artifact_id);
        }
        self.emit(EntryBody::Artifact(update)).await
    }

    /// Waits until all output so far is durable: it survives any crash from then on. Not available
    /// in a step, whose output becomes durable when the step ends.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     ctx.status("about to call the bank").await?;
    ///     // The client sees the status even if the worker dies during the call.
    ///     ctx.flush().await?;
    ///     Ok(ctx.completed("paid"))
    /// });
    /// assert_eq!(TestRun::new(executor).text("pay").run().await.status_text(), "paid");
    /// # }
    /// ```
    ///
    /// # Errors
    /// The run was stopped, or the call stands within a step.
    pub async fn flush(&self) -> Result<(), ContextError> {
        if let Some(scope) = &self.scope {
            let step = scope.name.clone();
            return Err(StepError::ForbiddenInStep { what: "flush", step }.into());
        }
        Ok(self.run.io.flush().await?)
    }

    /// Passes output on, or holds it back until the step ends.
    async fn emit(&self, body: EntryBody) -> Result<(), ContextError> {
        let Some(scope) = &self.scope else {
            return Ok(self.run.io.emit(vec![body]).await?);
        };
        if self.is_cancelled() {
            // A stopped run refuses to flush, and the error says why it was stopped.
            self.run.io.flush().await?;
        }
        // Dropped with the step if the step fails; the commit writes all of it.
        scope.hold(body)?;
        // Output that is held back still counts as progress.
        self.run.io.progress();
        Ok(())
    }

    /// Chooses the next artifact id. Ids are ordinal rather than random, so that the next attempt
    /// gives the same ids and replaces what this one had sent.
    fn next_artifact_id(&self) -> ArtifactId {
        let counter = self.scope.as_ref().map_or(&self.run.artifacts_named, |scope| &scope.named);
        // Relaxed: only the uniqueness of the number matters.
        let n = counter.fetch_add(1, Ordering::Relaxed) + 1;
        let name = match (&self.scope, self.turn()) {
            // Counted per step: the same id whether or not earlier steps are skipped.
            (Some(scope), _) => format!("{}-{n}", scope.name),
            // The turn keeps apart what an earlier turn has left.
            (None, turn) if turn > 1 => format!("artifact-{turn}-{n}"),
            (None, _) => format!("artifact-{n}"),
        };
        ArtifactId::new(name).expect("a short text without U+0000 is an id")
    }
}

/// Messages and outcomes.
impl TaskContext {
    /// Builds a message of the agent, with ids, task and context.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     let message = ctx.agent_message("The model is overloaded, please try again later.");
    ///     Ok(ExecutorFailure::fatal("429 from the model").with_message(message).into())
    /// });
    /// let report = TestRun::new(executor).text("go").run().await;
    /// assert!(report.status_text().starts_with("The model"));
    /// # }
    /// ```
    pub fn agent_message(&self, content: impl Into<MessageContent>) -> Message {
        let id = MessageId::from((self.run.ids)());
        self.addressed(Message::new(id, Role::Agent, content.into().0))
    }

    /// Returns [`Outcome::Completed`] with a message to the client.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move { Ok(ctx.completed("3 pages read")) });
    /// assert_eq!(TestRun::new(executor).text("go").run().await.status_text(), "3 pages read");
    /// # }
    /// ```
    pub fn completed(&self, content: impl Into<MessageContent>) -> Outcome {
        Outcome::Completed(Some(self.agent_message(content)))
    }

    /// Returns [`Outcome::Rejected`] with the reason.
    pub fn rejected(&self, content: impl Into<MessageContent>) -> Outcome {
        Outcome::Rejected(Some(self.agent_message(content)))
    }

    /// Returns [`Outcome::InputRequired`] with a question. The answer begins the next turn.
    ///
    /// ```
    /// # use longhaul_executor::{domain::TaskState, prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     match ctx.turn() {
    ///         1 => Ok(ctx.input_required("Which city?")),
    ///         _ => Ok(ctx.completed(format!("Off to {}!", ctx.message().text()))),
    ///     }
    /// });
    /// let asked = TestRun::new(executor).text("book a flight").run().await;
    /// assert_eq!(asked.state(), TaskState::InputRequired);
    /// assert_eq!(asked.answer("Oslo").run().await.status_text(), "Off to Oslo!");
    /// # }
    /// ```
    pub fn input_required(&self, content: impl Into<MessageContent>) -> Outcome {
        Outcome::InputRequired(self.agent_message(content))
    }

    /// Returns [`Outcome::AuthRequired`] with the needed authorization.
    pub fn auth_required(&self, content: impl Into<MessageContent>) -> Outcome {
        Outcome::AuthRequired(self.agent_message(content))
    }

    /// Returns [`Outcome::Direct`] with the answer.
    pub fn direct(&self, content: impl Into<MessageContent>) -> Outcome {
        Outcome::Direct(self.agent_message(content))
    }

    /// Makes a message the agent's own, in this task.
    fn addressed(&self, message: Message) -> Message {
        Message {
            role: Role::Agent,
            task_id: Some(self.task_id()),
            context_id: Some(self.context_id().clone()),
            ..message
        }
    }
}
