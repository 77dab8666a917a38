//! The part of a plan that is done once, however often the task runs; and what can happen to a worker meanwhile.

use super::{
    plan::Step,
    play::{Break, Player},
};
use longhaul_executor::{ArtifactWriter, InvalidOutput, prelude::*};

/// Every step adds its name to it.
const ARTIFACT: &str = "steps";

/// Counts how often a script has ended its worker.
const EXITS: &str = "script-exits";

impl Player<'_> {
    pub async fn steps(&self) -> Result<(), Break> {
        for step in &self.plan.steps {
            self.ctx.step(step.name.as_str(), |ctx| self.work(ctx, step)).await?;
        }
        Ok(())
    }

    /// The work of a step; its result is the attempt that did it.
    async fn work(&self, ctx: TaskContext, step: &Step) -> Result<i32, ExecutorError> {
        let Step { name, delay_ms, say, fail_attempts } = step;
        match self.wait(*delay_ms).await {
            Ok(()) => {}
            Err(Break::Canceled) => return Err(ctx.stopped().await.into()),
            Err(Break::Failed(error)) => return Err(error),
        }
        self.effects.add(&ctx, name).await?;
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
            Some(ms) => error.after(std::time::Duration::from_millis(ms)),
            None => error,
        }
    }

    /// Counts up, from where an earlier attempt was.
    pub async fn cursor(&self) -> Result<(), Break> {
        let Some(cursor) = &self.plan.checkpoint else { return Ok(()) };
        let name = cursor.name.as_str();
        let done: u32 = self.ctx.checkpointed(name).await?.unwrap_or(0);
        for at in done + 1..=cursor.count {
            self.wait(cursor.delay_ms).await?;
            self.effects.add(self.ctx, &format!("{name} {at}")).await?;
            self.ctx.status(format!("{name} {at} of {}", cursor.count)).await?;
            self.ctx.checkpoint(name, &at).await?;
        }
        Ok(())
    }

    /// Ends the worker's process as a crash does. A limited number of times is counted with a checkpoint, which shows the
    /// server that the task gets on; without limit nothing is kept, and the task is quarantined before long.
    pub async fn exit(&self) -> Result<(), Break> {
        match self.plan.exits {
            0 => return Ok(()),
            i32::MAX => {}
            limit => {
                let done: i32 = self.ctx.checkpointed(EXITS).await?.unwrap_or(0);
                if done >= limit {
                    return Ok(());
                }
                self.ctx.checkpoint(EXITS, &(done + 1)).await?;
            }
        }
        tracing::error!(task_id = %self.ctx.task_id(), "a script ends this process as it was asked to");
        std::process::abort();
    }
}

/// The artifact of all steps, begun by whichever is first.
async fn steps_artifact(ctx: &TaskContext) -> Result<ArtifactWriter, ExecutorError> {
    let id = ArtifactId::new(ARTIFACT)?;
    match ctx.continue_artifact(id.clone()).await {
        Err(ContextError::Invalid(InvalidOutput::NoSuchArtifact(_))) => {
            Ok(ctx.stream_artifact(ArtifactSpec::named(ARTIFACT).id(id)))
        }
        continued => Ok(continued?),
    }
}
