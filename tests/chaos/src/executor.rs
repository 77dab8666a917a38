//! The agent of the suite: plays a scenario, and records its actions in a journal outside of
//! Longhaul.
//!
//! Every run has a unique id, in the metadata of all its output. So the log shows which run wrote
//! what, and the journal shows when each run started.

use crate::{
    check::step_name,
    journal::{ExecutorAction, JOURNAL_FOLDER_VAR, Journal, now},
    scenario::{Scenario, ScenarioKind},
};
use async_trait::async_trait;
use longhaul_executor::prelude::*;
use serde_json::json;
use std::{
    collections::BTreeMap,
    env, io,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// Message of panics that a scenario asks for, to tell them from others.
pub const SCRIPTED_PANIC_MESSAGE: &str = "a scripted panic";

/// Attempts after which a failure is final.
const MAX_ATTEMPTS: u32 = 5;

/// The executor of the chaos agent.
pub struct ChaosExecutor {
    journal: Arc<Journal>,
    runs: AtomicU64,
}

impl ChaosExecutor {
    /// An executor with a journal in the folder that the environment names.
    pub fn from_environment() -> io::Result<Self> {
        let folder = env::var_os(JOURNAL_FOLDER_VAR)
            .ok_or_else(|| io::Error::other(format!("{JOURNAL_FOLDER_VAR} is not set")))?;
        Ok(Self {
            journal: Arc::new(Journal::create(Path::new(&folder))?),
            runs: AtomicU64::new(1),
        })
    }
}

#[async_trait]
impl Executor for ChaosExecutor {
    fn descriptor(&self) -> ExecutorDescriptor {
        let descriptor = ExecutorDescriptor::text("chaos", "1.0.0", "Plays a scenario");
        let mut descriptor = descriptor.expect("a valid agent name");
        descriptor.policy.max_attempts = MAX_ATTEMPTS;
        descriptor.policy.timeout = Duration::from_secs(300);
        descriptor.policy.backoff = RetryBackoff {
            initial: Duration::from_millis(200),
            factor: 1.5,
            max: Duration::from_secs(1),
        };
        descriptor
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let run = ChaosRun {
            id: format!("{}-{}-{number}", process::id(), now()),
            task: ctx.task_id().to_string(),
            ctx,
            journal: Arc::clone(&self.journal),
            returned: AtomicBool::new(false),
        };
        run.record(ExecutorAction::Started { attempt: run.ctx.attempt(), turn: run.ctx.turn() });
        let result = run.play().await;
        let how = match &result {
            Ok(outcome) => outcome.state().to_string(),
            Err(error) => error.stopped().map_or("error", OutputStopped::name).to_owned(),
        };
        run.returned.store(true, Ordering::Relaxed);
        run.record(ExecutorAction::Returned { how });
        result
    }
}

/// One run: a call of the executor.
struct ChaosRun {
    id: String,
    task: String,
    ctx: TaskContext,
    journal: Arc<Journal>,
    returned: AtomicBool,
}

impl Drop for ChaosRun {
    fn drop(&mut self) {
        if !self.returned.load(Ordering::Relaxed) {
            self.record(ExecutorAction::Dropped);
        }
    }
}

impl ChaosRun {
    async fn play(&self) -> Result<Outcome, ExecutorError> {
        let scenario = self.ctx.history().iter().find(|item| item.message.role == Role::User);
        let scenario = scenario.and_then(|item| Scenario::parse(&item.message.text()));
        let Some(scenario) = scenario else {
            return Err(ExecutorError::fatal("the first message is no scenario"));
        };
        match scenario.kind {
            ScenarioKind::Quick | ScenarioKind::Polled | ScenarioKind::Delayed => {
                self.quick(&scenario).await
            }
            ScenarioKind::Long => self.long(&scenario).await,
            ScenarioKind::Streaming => self.streaming(&scenario).await,
            ScenarioKind::MultiTurn | ScenarioKind::Parked => self.ask(&scenario).await,
            ScenarioKind::Cancelled => self.cancelled(&scenario).await,
            ScenarioKind::Retried => self.retried(&scenario).await,
            ScenarioKind::Failing => self.failing(&scenario).await,
            ScenarioKind::Checkpointed => self.steps(&scenario).await,
            ScenarioKind::Panicking => self.panicking(&scenario).await,
            ScenarioKind::FollowUp => self.follow_ups(&scenario).await,
        }
    }

    async fn quick(&self, scenario: &Scenario) -> Result<Outcome, ExecutorError> {
        self.pause(scenario.pause_ms).await?;
        self.artifact("done").await?;
        Ok(self.completed())
    }

    async fn long(&self, scenario: &Scenario) -> Result<Outcome, ExecutorError> {
        for number in 1..=scenario.count {
            self.pause(scenario.pause_ms).await?;
            self.ctx
                .progress(format!("{number} of {}", scenario.count), self.run_metadata())
                .await?;
        }
        self.artifact("done").await?;
        Ok(self.completed())
    }

    async fn streaming(&self, scenario: &Scenario) -> Result<Outcome, ExecutorError> {
        let mut writer = self.ctx.stream_artifact(ArtifactSpec::named("stream"));
        for number in 1..=scenario.count {
            self.pause(scenario.pause_ms).await?;
            writer
                .write_with(vec![Part::text(format!("{number:07} "))], self.run_metadata())
                .await?;
        }
        Ok(self.completed())
    }

    /// Asks questions; counts the answers rather than the turns, which a lost run repeats.
    async fn ask(&self, scenario: &Scenario) -> Result<Outcome, ExecutorError> {
        self.pause(scenario.pause_ms).await?;
        let answers = self.client_messages() - 1;
        if answers < scenario.count {
            let question = self.ctx.agent_message(format!("question-{}", answers + 1));
            return Ok(Outcome::InputRequired(self.with_run_metadata(question)));
        }
        self.artifact("answered").await?;
        Ok(self.completed())
    }

    async fn cancelled(&self, scenario: &Scenario) -> Result<Outcome, ExecutorError> {
        self.ctx.progress("waiting", self.run_metadata()).await?;
        tokio::select! {
            () = sleep(Duration::from_millis(scenario.pause_ms)) => Ok(self.completed()),
            reason = self.ctx.stopped() => {
                if reason != OutputStopped::Canceled {
                    return Err(reason.into());
                }
                self.record(ExecutorAction::CancelSeen);
                Ok(Outcome::Canceled(None))
            }
        }
    }

    async fn retried(&self, scenario: &Scenario) -> Result<Outcome, ExecutorError> {
        self.artifact("begun").await?;
        self.pause(scenario.pause_ms).await?;
        if u64::try_from(self.ctx.attempt()).is_ok_and(|attempt| attempt <= scenario.count) {
            return Ok(Outcome::Failed(ExecutorFailure::retryable("a scripted failure")));
        }
        Ok(self.completed())
    }

    async fn failing(&self, scenario: &Scenario) -> Result<Outcome, ExecutorError> {
        self.pause(scenario.pause_ms).await?;
        if scenario.count == 0 {
            return Err(ExecutorError::fatal(io::Error::other("no attempt can succeed")));
        }
        Ok(Outcome::Failed(ExecutorFailure::retryable("every attempt fails")))
    }

    /// Steps, each with an effect in the journal and output in the log.
    async fn steps(&self, scenario: &Scenario) -> Result<Outcome, ExecutorError> {
        for number in 1..=scenario.count {
            let name = step_name(number);
            let done: String = self
                .ctx
                .step(name.clone(), async |step| {
                    self.pause(scenario.pause_ms / 2).await?;
                    self.record(ExecutorAction::Effect { step: name.clone() });
                    let mut writer = step.stream_artifact(ArtifactSpec::default());
                    for part in ["one", "two"] {
                        writer.write_with(vec![Part::text(part)], self.run_metadata()).await?;
                    }
                    self.pause(scenario.pause_ms / 2).await?;
                    Ok(format!("{name} by {}", self.id))
                })
                .await?;
            self.ctx.progress(done, self.run_metadata()).await?;
        }
        Ok(self.completed())
    }

    async fn panicking(&self, scenario: &Scenario) -> Result<Outcome, ExecutorError> {
        self.artifact("begun").await?;
        self.pause(scenario.pause_ms).await?;
        assert!(self.ctx.attempt() > 1, "{SCRIPTED_PANIC_MESSAGE}");
        Ok(self.completed())
    }

    async fn follow_ups(&self, scenario: &Scenario) -> Result<Outcome, ExecutorError> {
        let mut received = self.client_messages() - 1;
        while received < scenario.count {
            let message = self.ctx.next_message().await?;
            self.ctx.progress(format!("heard {}", message.text()), self.run_metadata()).await?;
            received += 1;
        }
        Ok(self.completed())
    }

    fn client_messages(&self) -> u64 {
        let users = self.ctx.history().iter().filter(|item| item.message.role == Role::User);
        users.count() as u64
    }

    async fn artifact(&self, text: &str) -> Result<(), ExecutorError> {
        let mut artifact = self.ctx.new_artifact(vec![Part::text(text)]);
        artifact.metadata = Some(self.run_metadata());
        Ok(self.ctx.artifact(artifact).await?)
    }

    fn completed(&self) -> Outcome {
        Outcome::Completed(Some(self.with_run_metadata(self.ctx.agent_message("done"))))
    }

    fn with_run_metadata(&self, message: Message) -> Message {
        Message { metadata: Some(self.run_metadata()), ..message }
    }

    /// Metadata with the id of the run.
    fn run_metadata(&self) -> JsonObject {
        let members = BTreeMap::from([("run".to_owned(), json!(self.id))]);
        let text = serde_json::to_string(&members).expect("texts are JSON");
        JsonObject::parse(&text).expect("a map is an object")
    }

    /// Pauses unless the run is stopped.
    async fn pause(&self, millis: u64) -> Result<(), ExecutorError> {
        tokio::select! {
            () = sleep(Duration::from_millis(millis)) => Ok(()),
            reason = self.ctx.stopped() => Err(reason.into()),
        }
    }

    fn record(&self, what: ExecutorAction) {
        self.journal.write(&self.id, &self.task, what);
    }
}
