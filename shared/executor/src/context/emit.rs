//! Output: statuses and artifacts. Nothing is changed by this crate once it is handed on; large parts are taken out by the worker.

use super::{MessageContent, TaskContext};
use crate::{ArtifactSpec, ArtifactWriter, ContextError, InvalidOutput, StepError, check};
use longhaul_domain::{
    Artifact, ArtifactId, ArtifactUpdate, EntryBody, Json, JsonObject, Message, Part, TaskState,
    log::StatusChange,
};
use serde::Serialize;
use std::sync::atomic::Ordering;

impl TaskContext {
    /// Says how it goes; the task stays `working`.
    pub async fn status(&self, said: impl Into<MessageContent>) -> Result<(), ContextError> {
        self.status_update(Some(self.agent_message(said)), None).await
    }

    /// Says how it goes, with metadata for programs (of the event, not of the message: A2A 4.2.1): anything that is a JSON
    /// object when it is serialized, such as `serde_json::json!({"page": 3})` or a struct.
    pub async fn progress(
        &self,
        said: impl Into<MessageContent>,
        metadata: impl Serialize,
    ) -> Result<(), ContextError> {
        let metadata = Json::from_serialize(&metadata).and_then(JsonObject::new);
        let metadata = metadata.map_err(|error| InvalidOutput::Metadata(error.to_string()))?;
        self.status_update(Some(self.agent_message(said)), Some(metadata)).await
    }

    /// Says how it goes in a message of the executor's own making. It becomes the agent's, in this task.
    pub async fn status_message(&self, message: Message) -> Result<(), ContextError> {
        self.status_update(Some(message), None).await
    }

    /// A status `working` with whatever goes with it.
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
        let change = StatusChange { metadata, ..StatusChange::with(TaskState::Working, message) };
        self.put(EntryBody::Status(change)).await
    }

    /// An artifact of these parts under the next ordinal id, to be described further and then sent.
    pub fn new_artifact(&self, parts: Vec<Part>) -> Artifact {
        Artifact::new(self.next_artifact_id(), parts)
    }

    /// Sends an artifact whole, in place of one with the same id.
    pub async fn artifact(&self, artifact: Artifact) -> Result<(), ContextError> {
        self.artifact_update(ArtifactUpdate::whole(artifact)).await
    }

    /// Begins an artifact that is sent in chunks, in place of one with the same id.
    pub fn stream_artifact(&self, spec: ArtifactSpec) -> ArtifactWriter {
        let ArtifactSpec { id, name, description, metadata, extensions } = spec;
        let artifact_id = id.unwrap_or_else(|| self.next_artifact_id());
        let parts = Vec::new();
        let head = Artifact { artifact_id, name, description, parts, metadata, extensions };
        ArtifactWriter::new(self.clone(), head, false)
    }

    /// Goes on with an artifact that an earlier attempt, turn or step has left: chunks go behind those that are there (see
    /// [`produced_artifacts`](Self::produced_artifacts) for how many parts that are). Fails when the task has no such artifact. What steps of
    /// this attempt wrote can be continued in steps only, and what was written outside of them, outside only.
    pub async fn continue_artifact(&self, id: ArtifactId) -> Result<ArtifactWriter, ContextError> {
        self.may_continue(&id)?;
        if !self.knows(&id) && !self.produced_artifacts().await?.iter().any(|there| there.id == id)
        {
            return Err(InvalidOutput::NoSuchArtifact(id).into());
        }
        self.note_written(&id);
        Ok(ArtifactWriter::new(self.clone(), Artifact::new(id, Vec::new()), true))
    }

    /// Sends one chunk as it is. One to be appended must belong to an artifact that this attempt (in a step: this step) has
    /// begun or continues; when it has no parts it is left out.
    pub async fn artifact_update(&self, update: ArtifactUpdate) -> Result<(), ContextError> {
        check::update(&update)?;
        self.may_write(&update.artifact.artifact_id, update.append)?;
        if update.artifact.parts.is_empty() {
            return Ok(());
        }
        if !update.append {
            self.note_written(&update.artifact.artifact_id);
        }
        self.put(EntryBody::Artifact(update)).await
    }

    /// Waits until everything said so far is durable: it survives any crash from then on. Not in a step, whose output becomes
    /// durable when it is done.
    pub async fn flush(&self) -> Result<(), ContextError> {
        if let Some(scope) = &self.scope {
            let step = scope.name.clone();
            return Err(StepError::ForbiddenInStep { what: "flush", step }.into());
        }
        Ok(self.run.io.flush().await?)
    }

    /// Hands output on, or keeps it until the step is done.
    async fn put(&self, body: EntryBody) -> Result<(), ContextError> {
        let Some(scope) = &self.scope else {
            return Ok(self.run.io.emit(vec![body]).await?);
        };
        if self.is_cancelled() {
            // A stopped run refuses to flush, and says why.
            self.run.io.flush().await?;
        }
        scope.hold(body)?;
        // What is held back is a sign of progress all the same.
        self.run.io.progress();
        Ok(())
    }

    /// In a step `<step>-1`, `<step>-2`, …: the same whether or not earlier steps are skipped. Outside of steps
    /// `artifact-1`, `artifact-2`, …; from the second turn on `artifact-2-1`, so that an earlier turn's stay. Not random: the
    /// next attempt names its artifacts alike and so replaces what this one had sent.
    fn next_artifact_id(&self) -> ArtifactId {
        let counter = self.scope.as_ref().map_or(&self.run.artifacts_named, |scope| &scope.named);
        let n = counter.fetch_add(1, Ordering::Relaxed) + 1;
        let name = match (&self.scope, self.turn()) {
            (Some(scope), _) => format!("{}-{n}", scope.name),
            (None, turn) if turn > 1 => format!("artifact-{turn}-{n}"),
            (None, _) => format!("artifact-{n}"),
        };
        ArtifactId::new(name).expect("a short text without U+0000 is an id")
    }
}
