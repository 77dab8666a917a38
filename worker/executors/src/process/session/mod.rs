//! One run's conversation with a plugin.

mod end;
mod take;

use super::{
    a2a::{self, MessageOut},
    frames::{Durable, Kind, Resume, TaskFacts, ToPlugin},
    plugin::Plugin,
    routes::{Route, RunEvents},
    shared::RunFate,
    steps::Steps,
};
use longhaul_domain::{ArtifactId, HistoryItem, JsonObject, Message, MessageId, Seq};
use longhaul_executor::{
    ContextError, ExecutorError, Outcome, OutputStopped, TaskContext, TaskIoError,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Outputs that a plugin may send before the first has been accepted.
const WINDOW: u32 = 16;

/// Why a conversation breaks off.
enum Break {
    /// The run shall stop; perhaps it is known why.
    Stopped(Option<OutputStopped>),
    /// The plugin is dead, or dying.
    Died,
    /// The plugin did what the protocol forbids.
    Violation(String),
    /// The store failed.
    Failed(ExecutorError),
}

impl From<ContextError> for Break {
    fn from(error: ContextError) -> Self {
        match error {
            ContextError::Stopped(reason) | ContextError::Io(TaskIoError::Stopped(reason)) => {
                Self::Stopped(Some(reason))
            }
            ContextError::Invalid(invalid) => Self::Violation(invalid.to_string()),
            ContextError::Step(wrong) => Self::Violation(wrong.to_string()),
            error => Self::Failed(error.into()),
        }
    }
}

/// Gives a plugin a run and sees it through to its end. When it is abandoned, the plugin is ended: it would work on.
pub(super) async fn converse(
    ctx: &TaskContext,
    plugin: &Arc<Plugin>,
    run: &str,
    grace: Duration,
) -> Result<Outcome, ExecutorError> {
    let (route, events) = plugin.open(run, ctx.task_id(), WINDOW);
    let mut session = Session {
        ctx,
        plugin,
        run,
        route,
        events,
        begun: false,
        ended: false,
        owed: 0,
        last_artifact: None,
        steps: Steps::default(),
        sent: HashMap::new(),
    };
    match session.talk().await {
        Ok(outcome) => Ok(outcome),
        Err(Break::Stopped(reason)) => session.stop(reason, grace).await,
        Err(Break::Failed(error)) => {
            // The plugin keeps its other runs; to this one it is as if the worker went away.
            let _ = session.stop(Some(OutputStopped::Draining), grace).await;
            Err(error)
        }
        Err(Break::Died) => Err(session.died().await),
        Err(Break::Violation(what)) => {
            plugin.violate(run, what);
            Err(session.died().await)
        }
    }
}

struct Session<'a> {
    ctx: &'a TaskContext,
    plugin: &'a Arc<Plugin>,
    run: &'a str,
    route: Arc<Route>,
    events: RunEvents,
    /// The plugin knows of the run.
    begun: bool,
    /// The plugin has ended the run.
    ended: bool,
    /// Accepted outputs for which no credit has been granted yet.
    owed: u32,
    last_artifact: Option<ArtifactId>,
    /// Under way. What they hold back is dropped with them.
    steps: Steps,
    /// Messages that the plugin was sent and may say to have read.
    sent: HashMap<MessageId, Seq>,
}

impl Session<'_> {
    async fn talk(&mut self) -> Result<Outcome, Break> {
        self.begin().await?;
        loop {
            let said = tokio::select! {
                biased;
                () = self.ctx.cancelled() => return Err(Break::Stopped(None)),
                () = self.route.progress() => {
                    self.ctx.heartbeat();
                    continue;
                }
                said = self.events.recv() => said.ok_or(Break::Died)?,
                item = self.ctx.receive_message() => {
                    self.follow_up(item?).await?;
                    continue;
                }
            };
            if said.kind.is_end() {
                self.ended = true;
                return self.outcome(&said);
            }
            self.take(said).await?;
        }
    }

    /// Tells the plugin of the run.
    async fn begin(&mut self) -> Result<(), Break> {
        let ctx = self.ctx;
        let message = self.inline(ctx.message().clone()).await?;
        let metadata = self.metadata(ctx.request_metadata().cloned()).await?;
        let produced = ctx.produced_artifacts().await?;
        let durable = |there: &longhaul_executor::ProducedArtifact| Durable {
            artifact_id: there.id.to_string(),
            parts: there.parts,
        };
        let facts = ctx.assignment();
        let frame = ToPlugin::Run {
            run: self.run,
            task: Box::new(TaskFacts {
                task_id: ctx.task_id().to_string(),
                context_id: ctx.context_id().as_str(),
                agent: ctx.agent().as_str(),
                created_at: a2a::time(facts.created_at),
                deadline: ctx.deadline().map(a2a::time),
                attempt: ctx.attempt(),
                max_attempts: facts.max_attempts,
                turn: ctx.turn(),
                state: longhaul_wire::v1::state_name(facts.state_before),
            }),
            message: MessageOut::from(&message),
            history: ctx.history().iter().map(|item| MessageOut::from(&item.message)).collect(),
            history_before: ctx.earlier_before().map(|seq| seq.0),
            metadata: metadata.as_ref(),
            accepted_output_modes: ctx.accepted_output_modes(),
            resume: Resume {
                artifacts: produced.iter().map(durable).collect(),
                checkpoints: facts.has_checkpoints,
            },
            credit: WINDOW,
        };
        self.begun = true;
        self.say(&frame).await
    }

    /// The client has said more.
    async fn follow_up(&mut self, item: HistoryItem) -> Result<(), Break> {
        let message = self.inline(item.message).await?;
        self.sent.insert(message.message_id.clone(), item.seq);
        self.say(&ToPlugin::Message { run: self.run, message: MessageOut::from(&message) }).await
    }

    /// Tells the plugin to stop, and ends it when it does not.
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
        self.route.deafen();
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let cancel = ToPlugin::Cancel { run: self.run, reason: reason.name(), grace_ms };
        let plugin = self.plugin;
        let events = &mut self.events;
        let told = async {
            plugin.say(&cancel).await;
            while let Some(said) = events.recv().await {
                if said.kind.is_end() {
                    return Some(said);
                }
            }
            None
        };
        match timeout(grace, told).await {
            Ok(Some(said)) => {
                self.ended = true;
                if reason == OutputStopped::Canceled && said.kind == Kind::Canceled {
                    let message = self.message(&said).ok().flatten();
                    return Ok(Outcome::Canceled(message));
                }
            }
            Ok(None) => {}
            Err(_) => {
                plugin.terminate(self.run);
                plugin.gone().await;
            }
        }
        Err(reason.into())
    }

    /// A message of the client with its large parts in place, up to what the plugin wants inline.
    async fn inline(&self, mut message: Message) -> Result<Message, Break> {
        let limit = self.plugin.inline_parts;
        for part in &mut message.parts {
            if part.blob().is_some_and(|blob| blob.size <= limit) {
                self.ctx.resolve_parts(std::slice::from_mut(part)).await?;
            }
        }
        message.metadata = self.metadata(message.metadata).await?;
        Ok(message)
    }

    /// Metadata in place, up to what the plugin wants inline.
    async fn metadata(&self, metadata: Option<JsonObject>) -> Result<Option<JsonObject>, Break> {
        let limit = self.plugin.inline_parts;
        match metadata {
            Some(object) if object.blob().is_some_and(|blob| blob.size <= limit) => {
                Ok(Some(self.ctx.resolve_metadata(object).await?))
            }
            other => Ok(other),
        }
    }

    async fn say(&self, frame: &ToPlugin<'_>) -> Result<(), Break> {
        tokio::select! {
            () = self.plugin.say(frame) => Ok(()),
            () = self.ctx.cancelled() => Err(Break::Stopped(None)),
        }
    }

    async fn died(&mut self) -> ExecutorError {
        self.plugin.gone().await;
        let (agent, task) = (self.ctx.agent(), self.ctx.task_id());
        match self.plugin.fate_of(self.run) {
            RunFate::Failed { cause, retryable } => {
                let error = if retryable {
                    ExecutorError::retryable(cause)
                } else {
                    ExecutorError::fatal(cause)
                };
                // It shows paths and whatever the program wrote last.
                error.for_operators()
            }
            RunFate::Interrupted(cause) => {
                tracing::warn!(%agent, %task, cause, "plugin ended; the run is repeated alone");
                OutputStopped::Interrupted.into()
            }
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.begun && !self.ended {
            self.plugin.terminate(self.run);
        }
        self.plugin.close_run(self.run);
    }
}
