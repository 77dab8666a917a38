//! The execution of a plan.
//!
//! Steps of a plan are SDK steps, and its cursor is an SDK checkpoint: after a crash the next
//! attempt continues from them.

use crate::{
    effect_log::EffectLog,
    plan::{ChunkPlan, ContentKind, HangMode, Plan, PlanEnding, PlannedArtifact, StepPlan},
};
use longhaul_executor::{ArtifactWriter, InvalidOutput, prelude::*};
use longhaul_runtime::{Clock, SystemClock};
use std::{fmt::Write, time::Duration};
use tokio::time::{Instant, sleep_until};

/// The artifact to which every step adds its name.
const STEPS_ARTIFACT_ID: &str = "steps";

/// The checkpoint that counts how often a script has ended its worker.
const EXIT_COUNT_CHECKPOINT: &str = "script-exits";

/// The early end of a run.
pub(crate) enum PlayError {
    /// The run must stop.
    Canceled,
    Failed(ExecutorError),
}

impl<E: Into<ExecutorError>> From<E> for PlayError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Executes a plan. `answered`: the client has replied to its question.
pub(crate) async fn play(
    ctx: &TaskContext,
    plan: &Plan,
    effect_log: &EffectLog,
    answered: bool,
) -> Result<Outcome, ExecutorError> {
    let player = Player { ctx, plan, effect_log };
    let end = if answered { player.answer().await } else { player.perform().await };
    match end {
        Ok(outcome) => Ok(outcome),
        Err(PlayError::Canceled) => {
            Ok(Outcome::Canceled(Some(ctx.agent_message("stopped as asked"))))
        }
        Err(PlayError::Failed(error)) => Err(error),
    }
}

pub(crate) struct Player<'a> {
    pub ctx: &'a TaskContext,
    pub plan: &'a Plan,
    pub effect_log: &'a EffectLog,
}

impl Player<'_> {
    async fn perform(&self) -> Result<Outcome, PlayError> {
        let Self { ctx, plan, .. } = self;
        self.wait(plan.delay_ms).await?;
        self.progress().await?;
        for _ in 0..plan.heartbeats {
            ctx.heartbeat();
            self.wait(plan.heartbeat_delay_ms).await?;
        }
        if let Some(chunks) = plan.chunks {
            self.chunks(chunks).await?;
        }
        for kind in &plan.artifacts {
            ctx.artifact(ctx.new_artifact(parts(*kind)?)).await?;
        }
        for output in &plan.outputs {
            self.output(output).await?;
        }
        if plan.large_bytes > 0 {
            let part =
                Part::raw(pattern(plan.large_bytes).into_bytes(), "application/octet-stream");
            ctx.artifact(ctx.new_artifact(vec![part])).await?;
        }
        self.steps().await?;
        self.cursor().await?;
        for _ in 0..plan.listen {
            let message = ctx.resolve(ctx.next_message().await?).await?;
            ctx.status(format!("heard: {}", message.text())).await?;
        }
        match plan.hang {
            Some(HangMode::UntilCancel) => {
                ctx.cancelled().await;
                return Err(PlayError::Canceled);
            }
            Some(HangMode::Forever) => std::future::pending().await,
            None => {}
        }
        self.exit().await?;
        assert!(ctx.attempt() > plan.panic_attempts, "the script asked for a panic");
        if ctx.attempt() <= plan.fail_attempts {
            return Ok(self.failure(plan.retryable.unwrap_or(true)));
        }
        self.end().await
    }

    async fn end(&self) -> Result<Outcome, PlayError> {
        let Self { ctx, plan, .. } = self;
        let say = |default: &str| plan.say.clone().unwrap_or_else(|| default.to_owned());
        Ok(match plan.end {
            PlanEnding::Completed => {
                if **plan == Plan::default() {
                    ctx.artifact(ctx.new_artifact(ctx.message().parts.clone())).await?;
                }
                Outcome::Completed(plan.say.as_deref().map(|text| ctx.agent_message(text)))
            }
            PlanEnding::Failed => self.failure(plan.retryable.unwrap_or(false)),
            PlanEnding::Rejected => ctx.rejected(say("rejected as asked")),
            PlanEnding::Canceled => {
                Outcome::Canceled(Some(ctx.agent_message(say("canceled as asked"))))
            }
            PlanEnding::InputRequired => ctx.input_required(say("what next?")),
            PlanEnding::AuthRequired => ctx.auth_required(say("please authorize")),
            PlanEnding::Message => ctx.direct(say("a direct reply")),
        })
    }

    /// Runs the turn after a question.
    async fn answer(&self) -> Result<Outcome, PlayError> {
        let Self { ctx, plan, .. } = self;
        let message = ctx.resolve(ctx.message().clone()).await?;
        let text = message.text();
        match &plan.until {
            Some(until) if text.trim() != until.as_str() => {
                Ok(ctx.input_required(format!("got {text:?}, waiting for {until:?}")))
            }
            _ => {
                ctx.artifact(ctx.new_artifact(message.parts)).await?;
                Ok(Outcome::Completed(None))
            }
        }
    }

    async fn progress(&self) -> Result<(), PlayError> {
        let total = self.plan.progress;
        for step in 1..=total {
            let metadata = JsonObject::parse(&format!(r#"{{"step":{step},"of":{total}}}"#))?;
            self.ctx.progress(format!("step {step} of {total}"), metadata).await?;
            self.wait(self.plan.progress_delay_ms).await?;
        }
        Ok(())
    }

    async fn chunks(&self, chunks: ChunkPlan) -> Result<(), PlayError> {
        let mut writer = self.ctx.stream_artifact(ArtifactSpec::named("chunks"));
        let begun = Instant::now();
        for number in 1..chunks.count {
            writer.write(vec![chunk(number, chunks)]).await?;
            self.wait(chunks.delay_ms).await?;
            self.wait_until(begun + Duration::from_millis(chunks.every_ms) * number).await?;
        }
        if chunks.count > 0 {
            writer.finish(vec![chunk(chunks.count, chunks)]).await?;
        }
        Ok(())
    }

    async fn output(&self, output: &PlannedArtifact) -> Result<(), PlayError> {
        let Some((last, others)) = output.chunks.split_last() else { return Ok(()) };
        let mut writer = self.ctx.stream_artifact(ArtifactSpec::default());
        for part in others {
            writer.write(vec![part.clone()]).await?;
        }
        Ok(writer.finish(vec![last.clone()]).await?)
    }

    fn failure(&self, retryable: bool) -> Outcome {
        let cause = format!("failed as asked in attempt {}", self.ctx.attempt());
        let said = self.plan.say.clone().unwrap_or_else(|| cause.clone());
        let retry_after = self.plan.retry_after_ms.map(Duration::from_millis);
        let message = Some(self.ctx.agent_message(said));
        Outcome::Failed(ExecutorFailure {
            message,
            cause,
            for_operators: false,
            retryable,
            retry_after,
        })
    }

    pub async fn wait(&self, ms: u64) -> Result<(), PlayError> {
        self.wait_until(Instant::now() + Duration::from_millis(ms)).await
    }

    async fn wait_until(&self, moment: Instant) -> Result<(), PlayError> {
        if moment <= Instant::now() {
            return Ok(());
        }
        tokio::select! {
            () = sleep_until(moment) => Ok(()),
            () = self.ctx.cancelled(), if !self.plan.ignore_cancel => Err(PlayError::Canceled),
        }
    }
}

impl Player<'_> {
    pub async fn steps(&self) -> Result<(), PlayError> {
        for step in &self.plan.steps {
            self.ctx.step(step.name.as_str(), |ctx| self.work(ctx, step)).await?;
        }
        Ok(())
    }

    /// Does the work of a step. Its result is the number of the attempt.
    async fn work(&self, ctx: TaskContext, step: &StepPlan) -> Result<i32, ExecutorError> {
        let StepPlan { name, delay_ms, say, fail_attempts } = step;
        match self.wait(*delay_ms).await {
            Ok(()) => {}
            Err(PlayError::Canceled) => return Err(ctx.stopped().await.into()),
            Err(PlayError::Failed(error)) => return Err(error),
        }
        self.effect_log.add(&ctx, name).await?;
        ctx.status(say.clone().unwrap_or_else(|| format!("step {name}"))).await?;
        steps_artifact(&ctx).await?.write(vec![Part::text(format!("{name}\n"))]).await?;
        if ctx.attempt() <= *fail_attempts {
            return Err(self.failed_in(name));
        }
        Ok(ctx.attempt())
    }

    fn failed_in(&self, step: &str) -> ExecutorError {
        let cause = format!("failed as asked in step {step}, attempt {}", self.ctx.attempt());
        let error = match self.plan.retryable {
            Some(false) => ExecutorError::fatal(cause),
            _ => ExecutorError::retryable(cause),
        };
        match self.plan.retry_after_ms {
            Some(ms) => error.retry_after(std::time::Duration::from_millis(ms)),
            None => error,
        }
    }

    /// Counts the cursor up from the position of an earlier attempt.
    pub async fn cursor(&self) -> Result<(), PlayError> {
        let Some(cursor) = &self.plan.checkpoint else { return Ok(()) };
        let name = cursor.name.as_str();
        let done: u32 = self.ctx.load_checkpoint(name).await?.unwrap_or(0);
        for at in done + 1..=cursor.count {
            self.wait(cursor.delay_ms).await?;
            self.effect_log.add(self.ctx, &format!("{name} {at}")).await?;
            self.ctx.status(format!("{name} {at} of {}", cursor.count)).await?;
            self.ctx.checkpoint(name, &at).await?;
        }
        Ok(())
    }

    /// Aborts the worker's process, as a crash does. A limit is counted with a checkpoint, which
    /// the server takes for progress. Without a limit nothing is stored, and the server soon
    /// quarantines the task.
    pub async fn exit(&self) -> Result<(), PlayError> {
        match self.plan.exits {
            0 => return Ok(()),
            i32::MAX => {}
            limit => {
                let done: i32 = self.ctx.load_checkpoint(EXIT_COUNT_CHECKPOINT).await?.unwrap_or(0);
                if done >= limit {
                    return Ok(());
                }
                self.ctx.checkpoint(EXIT_COUNT_CHECKPOINT, &(done + 1)).await?;
            }
        }
        tracing::error!(task_id = %self.ctx.task_id(), "script aborts the process");
        std::process::abort();
    }
}

/// Continues the artifact of all steps, or begins it in the first one.
async fn steps_artifact(ctx: &TaskContext) -> Result<ArtifactWriter, ExecutorError> {
    let id = ArtifactId::new(STEPS_ARTIFACT_ID)?;
    match ctx.continue_artifact(id.clone()).await {
        Err(ContextError::Invalid(InvalidOutput::NoSuchArtifact(_))) => {
            Ok(ctx.stream_artifact(ArtifactSpec::named(STEPS_ARTIFACT_ID).id(id)))
        }
        continued => Ok(continued?),
    }
}

/// Builds a chunk of the planned size: its number, its time if the plan asks for that, and padding.
fn chunk(number: u32, chunks: ChunkPlan) -> Part {
    let ChunkPlan { size, stamped, .. } = chunks;
    let mut text = String::with_capacity(size.max(32));
    // Writing to a String cannot fail.
    let _ = write!(text, "{number:07} ");
    if stamped {
        let _ = write!(text, "{} ", SystemClock.now().timestamp_micros());
    }
    // A truncated time would be another time.
    let size = if stamped { size.max(text.len()) } else { size.max(1) };
    text.push_str(&pattern(size.saturating_sub(text.len())));
    text.truncate(size);
    Part::text(text)
}

fn pattern(size: usize) -> String {
    "0123456789abcdef".chars().cycle().take(size).collect()
}

fn parts(kind: ContentKind) -> Result<Vec<Part>, PlayError> {
    let text = || Part::text("a text");
    let raw = || Part {
        filename: Some("bytes.bin".to_owned()),
        ..Part::raw(vec![0, 1, 2, 0xff], "application/octet-stream")
    };
    let url = || Part {
        media_type: Some("text/plain".to_owned()),
        ..Part::url("https://example.com/file.txt")
    };
    let data = Part::data(Json::parse(r#"{"answer":42,"list":[1,null,"x"]}"#)?);
    Ok(match kind {
        ContentKind::Text => vec![text()],
        ContentKind::Raw => vec![raw()],
        ContentKind::Url => vec![url()],
        ContentKind::Data => vec![data],
        ContentKind::Mixed => vec![text(), raw(), url(), data],
    })
}
