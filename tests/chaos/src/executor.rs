//! The agent of the suite: does what an order says, and writes down outside of Longhaul what it did and when.
//!
//! Every run has an id of its own, in the metadata of everything that it says. So the log tells which run wrote what, and the
//! journal when each run began.

use crate::{
    check::step_name,
    journal::{FOLDER, Journal, What, now},
    kind::{Kind, Order},
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

/// What the panics of orders say, to tell them from others.
pub const ORDERED_PANIC: &str = "a panic that was ordered";

/// After so many attempts a failure is final.
const ATTEMPTS: u32 = 5;

/// The executor.
pub struct Chaos {
    journal: Arc<Journal>,
    runs: AtomicU64,
}

impl Chaos {
    /// Writes to the folder that the environment names.
    pub fn from_environment() -> io::Result<Self> {
        let folder =
            env::var_os(FOLDER).ok_or_else(|| io::Error::other(format!("{FOLDER} is not set")))?;
        Ok(Self {
            journal: Arc::new(Journal::create(Path::new(&folder))?),
            runs: AtomicU64::new(1),
        })
    }
}

#[async_trait]
impl Executor for Chaos {
    fn descriptor(&self) -> ExecutorDescriptor {
        let descriptor = ExecutorDescriptor::text("chaos", "1.0.0", "Does what is ordered");
        let mut descriptor = descriptor.expect("a valid agent name");
        descriptor.policy.max_attempts = ATTEMPTS;
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
        let run = Run {
            id: format!("{}-{}-{number}", process::id(), now()),
            task: ctx.task_id().to_string(),
            ctx,
            journal: Arc::clone(&self.journal),
            returned: AtomicBool::new(false),
        };
        run.write(What::Begun { attempt: run.ctx.attempt(), turn: run.ctx.turn() });
        let result = run.work().await;
        let how = match &result {
            Ok(outcome) => outcome.state().to_string(),
            Err(error) => error.stopped().map_or("error", OutputStopped::name).to_owned(),
        };
        run.returned.store(true, Ordering::Relaxed);
        run.write(What::Returned { how });
        result
    }
}

/// One call of the executor.
struct Run {
    id: String,
    task: String,
    ctx: TaskContext,
    journal: Arc<Journal>,
    returned: AtomicBool,
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.returned.load(Ordering::Relaxed) {
            self.write(What::Dropped);
        }
    }
}

impl Run {
    async fn work(&self) -> Result<Outcome, ExecutorError> {
        let order = self.ctx.history().iter().find(|item| item.message.role == Role::User);
        let order = order.and_then(|item| Order::parse(&item.message.text()));
        let Some(order) = order else {
            return Err(ExecutorError::fatal("the first message is no order"));
        };
        match order.kind {
            Kind::Quick | Kind::Polled | Kind::Delayed => self.quick(&order).await,
            Kind::Long => self.long(&order).await,
            Kind::Streaming => self.streaming(&order).await,
            Kind::MultiTurn | Kind::Parked => self.asking(&order).await,
            Kind::Cancelled => self.cancelled(&order).await,
            Kind::Retried => self.retried(&order).await,
            Kind::Failing => self.failing(&order).await,
            Kind::Checkpointed => self.steps(&order).await,
            Kind::Panicking => self.panicking(&order).await,
            Kind::FollowUp => self.following_up(&order).await,
        }
    }

    async fn quick(&self, order: &Order) -> Result<Outcome, ExecutorError> {
        self.pause(order.pause_ms).await?;
        self.artifact("done").await?;
        Ok(self.completed())
    }

    async fn long(&self, order: &Order) -> Result<Outcome, ExecutorError> {
        for number in 1..=order.count {
            self.pause(order.pause_ms).await?;
            self.ctx.progress(format!("{number} of {}", order.count), self.marker()).await?;
        }
        self.artifact("done").await?;
        Ok(self.completed())
    }

    async fn streaming(&self, order: &Order) -> Result<Outcome, ExecutorError> {
        let mut writer = self.ctx.stream_artifact(ArtifactSpec::named("stream"));
        for number in 1..=order.count {
            self.pause(order.pause_ms).await?;
            writer.write_with(vec![Part::text(format!("{number:07} "))], self.marker()).await?;
        }
        Ok(self.completed())
    }

    /// Asks as often as ordered; counts the answers rather than the turns.
    async fn asking(&self, order: &Order) -> Result<Outcome, ExecutorError> {
        self.pause(order.pause_ms).await?;
        let answers = self.said_by_client() - 1;
        if answers < order.count {
            let question = self.ctx.agent_message(format!("question-{}", answers + 1));
            return Ok(Outcome::InputRequired(self.mark(question)));
        }
        self.artifact("answered").await?;
        Ok(self.completed())
    }

    async fn cancelled(&self, order: &Order) -> Result<Outcome, ExecutorError> {
        self.ctx.progress("waiting", self.marker()).await?;
        tokio::select! {
            () = sleep(Duration::from_millis(order.pause_ms)) => Ok(self.completed()),
            reason = self.ctx.stopped() => {
                if reason != OutputStopped::Canceled {
                    return Err(reason.into());
                }
                self.write(What::CancelSeen);
                Ok(Outcome::Canceled(None))
            }
        }
    }

    async fn retried(&self, order: &Order) -> Result<Outcome, ExecutorError> {
        self.artifact("begun").await?;
        self.pause(order.pause_ms).await?;
        if u64::try_from(self.ctx.attempt()).is_ok_and(|attempt| attempt <= order.count) {
            return Ok(Outcome::Failed(ExecutorFailure::retryable("a failure that was ordered")));
        }
        Ok(self.completed())
    }

    async fn failing(&self, order: &Order) -> Result<Outcome, ExecutorError> {
        self.pause(order.pause_ms).await?;
        if order.count == 0 {
            return Err(ExecutorError::fatal(io::Error::other("no attempt can succeed")));
        }
        Ok(Outcome::Failed(ExecutorFailure::retryable("every attempt fails")))
    }

    /// Each step has an effect outside and output inside.
    async fn steps(&self, order: &Order) -> Result<Outcome, ExecutorError> {
        for number in 1..=order.count {
            let name = step_name(number);
            let done: String = self
                .ctx
                .step(name.clone(), async |step| {
                    self.pause(order.pause_ms / 2).await?;
                    self.write(What::Effect { step: name.clone() });
                    let mut writer = step.stream_artifact(ArtifactSpec::default());
                    for part in ["one", "two"] {
                        writer.write_with(vec![Part::text(part)], self.marker()).await?;
                    }
                    self.pause(order.pause_ms / 2).await?;
                    Ok(format!("{name} by {}", self.id))
                })
                .await?;
            self.ctx.progress(done, self.marker()).await?;
        }
        Ok(self.completed())
    }

    async fn panicking(&self, order: &Order) -> Result<Outcome, ExecutorError> {
        self.artifact("begun").await?;
        self.pause(order.pause_ms).await?;
        assert!(self.ctx.attempt() > 1, "{ORDERED_PANIC}");
        Ok(self.completed())
    }

    async fn following_up(&self, order: &Order) -> Result<Outcome, ExecutorError> {
        let mut heard = self.said_by_client() - 1;
        while heard < order.count {
            let said = self.ctx.next_message().await?;
            self.ctx.progress(format!("heard {}", said.text()), self.marker()).await?;
            heard += 1;
        }
        Ok(self.completed())
    }

    fn said_by_client(&self) -> u64 {
        let users = self.ctx.history().iter().filter(|item| item.message.role == Role::User);
        users.count() as u64
    }

    async fn artifact(&self, text: &str) -> Result<(), ExecutorError> {
        let mut artifact = self.ctx.new_artifact(vec![Part::text(text)]);
        artifact.metadata = Some(self.marker());
        Ok(self.ctx.artifact(artifact).await?)
    }

    fn completed(&self) -> Outcome {
        Outcome::Completed(Some(self.mark(self.ctx.agent_message("done"))))
    }

    fn mark(&self, message: Message) -> Message {
        Message { metadata: Some(self.marker()), ..message }
    }

    /// Says which run it was.
    fn marker(&self) -> JsonObject {
        let members = BTreeMap::from([("run".to_owned(), json!(self.id))]);
        let text = serde_json::to_string(&members).expect("texts are JSON");
        JsonObject::parse(&text).expect("a map is an object")
    }

    /// Waits, unless the run shall stop.
    async fn pause(&self, millis: u64) -> Result<(), ExecutorError> {
        tokio::select! {
            () = sleep(Duration::from_millis(millis)) => Ok(()),
            reason = self.ctx.stopped() => Err(reason.into()),
        }
    }

    fn write(&self, what: What) {
        self.journal.write(&self.id, &self.task, what);
    }
}
