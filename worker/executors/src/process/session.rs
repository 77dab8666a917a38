//! The session of a run with a plugin.
//!
//! A plugin may send a bounded number of outputs ahead; credit is granted as the record accepts
//! them. Output of an open step is dropped with the step. When the worker dies, the plugin sees the
//! end of its input; the next attempt starts anew.

use super::{
    a2a::{self, MessageOut},
    frames::{DurableArtifact, FrameKind, PluginFrame, ResumeState, TaskInfo, WorkerFrame},
    outcome,
    plugin::Plugin,
    plugin_state::RunFate,
    requests::{self, OpenSteps, RequestError},
    routes::{RunEvents, RunRoute},
};
use longhaul_domain::{
    ArtifactId, ArtifactUpdate, HistoryItem, JsonObject, Message, MessageId, Seq,
};
use longhaul_executor::{
    ContextError, ExecutorError, Outcome, OutputStopped, TaskContext, TaskIoError,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Number of outputs that a plugin may send before the first has been accepted.
const CREDIT_WINDOW: u32 = 16;

/// The cause for ending a session early.
enum SessionError {
    /// The run must stop. The reason may not be known yet.
    Stopped(Option<OutputStopped>),
    /// The plugin is dead or dying.
    Died,
    /// The plugin violated the protocol.
    Violation(String),
    /// The store failed.
    Failed(ExecutorError),
}

impl From<ContextError> for SessionError {
    fn from(error: ContextError) -> Self {
        match error {
            ContextError::Stopped(reason) | ContextError::Io(TaskIoError::Stopped(reason)) => {
                Self::Stopped(Some(reason))
            }
            ContextError::Invalid(invalid) => Self::Violation(invalid.to_string()),
            ContextError::Step(error) => Self::Violation(error.to_string()),
            error => Self::Failed(error.into()),
        }
    }
}

/// Runs a task in a plugin. Dropping the future terminates the plugin, which would continue
/// otherwise.
pub(super) async fn run_session(
    ctx: &TaskContext,
    plugin: &Arc<Plugin>,
    run: &str,
    grace: Duration,
) -> Result<Outcome, ExecutorError> {
    let (route, events) = plugin.open_run(run, ctx.task_id(), CREDIT_WINDOW);
    let mut session = PluginSession {
        ctx,
        plugin,
        run,
        route,
        events,
        begun: false,
        ended: false,
        ungranted: 0,
        last_artifact: None,
        steps: OpenSteps::default(),
        sent: HashMap::new(),
    };
    match session.exchange_frames().await {
        Ok(outcome) => Ok(outcome),
        Err(SessionError::Stopped(reason)) => session.stop(reason, grace).await,
        Err(SessionError::Failed(error)) => {
            // The plugin keeps its other runs. For this run it looks as if the worker drained.
            let _ = session.stop(Some(OutputStopped::Draining), grace).await;
            Err(error)
        }
        Err(SessionError::Died) => Err(session.plugin_error().await),
        Err(SessionError::Violation(violation)) => {
            plugin.kill_for_violation(run, violation);
            Err(session.plugin_error().await)
        }
    }
}

struct PluginSession<'a> {
    ctx: &'a TaskContext,
    plugin: &'a Arc<Plugin>,
    run: &'a str,
    route: Arc<RunRoute>,
    events: RunEvents,
    /// Set once the plugin knows of the run.
    begun: bool,
    /// Set once the plugin has ended the run.
    ended: bool,
    /// Number of accepted outputs without new credit.
    ungranted: u32,
    last_artifact: Option<ArtifactId>,
    /// Open steps. Dropping them discards the output they hold back.
    steps: OpenSteps,
    /// Messages that were sent to the plugin and not yet read by it.
    sent: HashMap<MessageId, Seq>,
}

impl PluginSession<'_> {
    async fn exchange_frames(&mut self) -> Result<Outcome, SessionError> {
        self.begin().await?;
        loop {
            let frame = tokio::select! {
                // A stop wins over frames that are already queued.
                biased;
                () = self.ctx.cancelled() => return Err(SessionError::Stopped(None)),
                () = self.route.progress() => {
                    self.ctx.heartbeat();
                    continue;
                }
                frame = self.events.recv() => frame.ok_or(SessionError::Died)?,
                item = self.ctx.receive_message() => {
                    self.follow_up(item?).await?;
                    continue;
                }
            };
            if frame.kind.is_end() {
                self.ended = true;
                return outcome::outcome(self.ctx, &frame, self.steps.first())
                    .map_err(SessionError::Violation);
            }
            self.handle(frame).await?;
        }
    }

    /// Sends the run to the plugin.
    async fn begin(&mut self) -> Result<(), SessionError> {
        let ctx = self.ctx;
        let message = self.inline(ctx.message().clone()).await?;
        let metadata = self.metadata(ctx.request_metadata().cloned()).await?;
        let produced = ctx.produced_artifacts().await?;
        let durable = |artifact: &longhaul_executor::ProducedArtifact| DurableArtifact {
            artifact_id: artifact.id.to_string(),
            parts: artifact.parts,
        };
        let assignment = ctx.assignment();
        let frame = WorkerFrame::Run {
            run: self.run,
            task: Box::new(TaskInfo {
                task_id: ctx.task_id().to_string(),
                context_id: ctx.context_id().as_str(),
                agent: ctx.agent().as_str(),
                created_at: a2a::format_time(assignment.created_at),
                deadline: ctx.deadline().map(a2a::format_time),
                attempt: ctx.attempt(),
                max_attempts: assignment.max_attempts,
                turn: ctx.turn(),
                state: longhaul_wire::v1::state_name(assignment.state_before),
            }),
            message: MessageOut::from(&message),
            history: ctx.history().iter().map(|item| MessageOut::from(&item.message)).collect(),
            history_before: ctx.earlier_before().map(|seq| seq.0),
            metadata: metadata.as_ref(),
            accepted_output_modes: ctx.accepted_output_modes(),
            resume: ResumeState {
                artifacts: produced.iter().map(durable).collect(),
                checkpoints: assignment.has_checkpoints,
            },
            credit: CREDIT_WINDOW,
        };
        // Before the send: from now on the plugin may work on the run, and must be told of a stop.
        self.begun = true;
        self.send(&frame).await
    }

    /// Sends a further message of the client to the plugin.
    async fn follow_up(&mut self, item: HistoryItem) -> Result<(), SessionError> {
        let message = self.inline(item.message).await?;
        // Before the send, so that a quick acknowledgement finds the message.
        self.sent.insert(message.message_id.clone(), item.seq);
        self.send(&WorkerFrame::Message { run: self.run, message: MessageOut::from(&message) })
            .await
    }

    /// Cancels the run in the plugin, and terminates the plugin if the run does not end.
    async fn stop(
        &mut self,
        reason: Option<OutputStopped>,
        grace: Duration,
    ) -> Result<Outcome, ExecutorError> {
        let reason = match reason {
            Some(reason) => reason,
            None => self.ctx.stopped().await,
        };
        if !self.begun {
            return Err(reason.into());
        }
        // Output after the cancellation does not count, and must not exhaust the credit.
        self.route.only_end();
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let cancel = WorkerFrame::Cancel { run: self.run, reason: reason.name(), grace_ms };
        let plugin = self.plugin;
        let events = &mut self.events;
        let ended = async {
            plugin.send(&cancel).await;
            while let Some(frame) = events.recv().await {
                if frame.kind.is_end() {
                    return Some(frame);
                }
            }
            None
        };
        match timeout(grace, ended).await {
            Ok(Some(frame)) => {
                self.ended = true;
                if reason == OutputStopped::Canceled && frame.kind == FrameKind::Canceled {
                    let message = outcome::message(self.ctx, &frame).ok().flatten();
                    return Ok(Outcome::Canceled(message));
                }
            }
            Ok(None) => {}
            Err(_) => {
                plugin.terminate(self.run);
                plugin.wait_dead().await;
            }
        }
        Err(reason.into())
    }

    /// Handles a frame that does not end the run.
    async fn handle(&mut self, frame: PluginFrame) -> Result<(), SessionError> {
        match frame.kind {
            FrameKind::Status => {
                let message =
                    outcome::message(self.ctx, &frame).map_err(SessionError::Violation)?;
                let (ctx, _) = self.output_target(frame.step.as_deref())?;
                ctx.status_update(message, frame.metadata).await?;
                self.grant().await
            }
            FrameKind::Artifact => {
                self.artifact(frame).await?;
                self.grant().await
            }
            FrameKind::Request => self.request(&frame).await,
            FrameKind::Read => self.read(&frame),
            // Routes and the reader handle the others.
            _ => Ok(()),
        }
    }

    async fn artifact(&mut self, frame: PluginFrame) -> Result<(), SessionError> {
        let violation = |problem: &str| SessionError::Violation(problem.to_owned());
        let artifact = frame.artifact.ok_or_else(|| violation("`artifact` without an artifact"))?;
        let append = frame.append.unwrap_or(false);
        let (ctx, last_artifact) = self.output_target(frame.step.as_deref())?;
        let id = match &artifact.artifact_id {
            Some(id) => ArtifactId::new(id.as_str())
                .map_err(|error| SessionError::Violation(format!("artifactId {error}")))?,
            None if append => {
                let last = last_artifact.clone();
                last.ok_or_else(|| violation("`append` without an artifactId before any artifact"))?
            }
            None => ctx.new_artifact(Vec::new()).artifact_id,
        };
        let new_here = last_artifact.as_ref() != Some(&id);
        *last_artifact = Some(id.clone());
        if append && new_here {
            // Begun by this run or left by an earlier one; the SDK refuses any other.
            ctx.continue_artifact(id.clone()).await?;
        }
        let update = ArtifactUpdate {
            artifact: artifact.into_artifact(id),
            append,
            last_chunk: frame.last_chunk.unwrap_or(false),
            metadata: frame.metadata,
        };
        Ok(ctx.artifact_update(update).await?)
    }

    /// The context for output of a step (or of none), and the artifact that was written there last.
    fn output_target(
        &mut self,
        step: Option<&str>,
    ) -> Result<(TaskContext, &mut Option<ArtifactId>), SessionError> {
        let Some(name) = step else { return Ok((self.ctx.clone(), &mut self.last_artifact)) };
        let under_way = self.steps.get(name);
        under_way.ok_or_else(|| SessionError::Violation(format!("step {name:?} is not under way")))
    }

    async fn request(&mut self, frame: &PluginFrame) -> Result<(), SessionError> {
        let id = frame.id.as_deref();
        let id = id.ok_or_else(|| SessionError::Violation("`request` without an id".to_owned()))?;
        let answer = match frame.params() {
            Ok(params) => {
                let method = frame.method.as_deref().unwrap_or_default();
                requests::answer(self.ctx, &mut self.steps, method, params).await
            }
            Err(problem) => Err(RequestError::Rejected(problem)),
        };
        self.route.answered();
        let run = self.run;
        match answer {
            Ok(answer) => {
                let result = Some(answer.reply());
                self.send(&WorkerFrame::Reply { run, id, result, error: None }).await
            }
            Err(RequestError::Rejected(problem)) => {
                let error = Some(problem.as_str());
                self.send(&WorkerFrame::Reply { run, id, result: None, error }).await
            }
            Err(RequestError::Context(error)) => Err(error.into()),
        }
    }

    fn read(&mut self, frame: &PluginFrame) -> Result<(), SessionError> {
        let id = frame.message_id.clone().and_then(|id| MessageId::new(id).ok());
        let seq = id.and_then(|id| self.sent.remove(&id));
        let seq = seq.ok_or_else(|| {
            SessionError::Violation(
                "`read` of a message that was not sent, or read before".to_owned(),
            )
        })?;
        self.ctx.mark_read(seq);
        Ok(())
    }

    /// Grants credit for an accepted output, in batches of half a window.
    async fn grant(&mut self) -> Result<(), SessionError> {
        self.ungranted += 1;
        if self.ungranted < CREDIT_WINDOW / 2 {
            return Ok(());
        }
        let credit = std::mem::take(&mut self.ungranted);
        self.route.grant(credit);
        self.send(&WorkerFrame::Credit { run: self.run, credit }).await
    }

    /// Puts large parts of a client's message in place, up to the size that the plugin takes
    /// inline.
    async fn inline(&self, mut message: Message) -> Result<Message, SessionError> {
        let limit = self.plugin.inline_part_bytes;
        for part in &mut message.parts {
            if part.blob().is_some_and(|blob| blob.size <= limit) {
                self.ctx.resolve_parts(std::slice::from_mut(part)).await?;
            }
        }
        message.metadata = self.metadata(message.metadata).await?;
        Ok(message)
    }

    /// Puts large metadata in place, up to the size that the plugin takes inline.
    async fn metadata(
        &self,
        metadata: Option<JsonObject>,
    ) -> Result<Option<JsonObject>, SessionError> {
        let limit = self.plugin.inline_part_bytes;
        match metadata {
            Some(object) if object.blob().is_some_and(|blob| blob.size <= limit) => {
                Ok(Some(self.ctx.resolve_metadata(object).await?))
            }
            other => Ok(other),
        }
    }

    async fn send(&self, frame: &WorkerFrame<'_>) -> Result<(), SessionError> {
        tokio::select! {
            () = self.plugin.send(frame) => Ok(()),
            () = self.ctx.cancelled() => Err(SessionError::Stopped(None)),
        }
    }

    async fn plugin_error(&mut self) -> ExecutorError {
        self.plugin.wait_dead().await;
        let (agent, task) = (self.ctx.agent(), self.ctx.task_id());
        match self.plugin.run_fate(self.run) {
            RunFate::Failed { cause, retryable } => {
                let error = if retryable {
                    ExecutorError::retryable(cause)
                } else {
                    ExecutorError::fatal(cause)
                };
                // The cause holds paths and the last lines of standard error.
                error.for_operators()
            }
            RunFate::Interrupted(cause) => {
                tracing::warn!(%agent, %task, cause, "plugin died: the run is repeated alone");
                OutputStopped::Interrupted.into()
            }
        }
    }
}

impl Drop for PluginSession<'_> {
    fn drop(&mut self) {
        if self.begun && !self.ended {
            self.plugin.terminate(self.run);
        }
        self.plugin.close_run(self.run);
    }
}
