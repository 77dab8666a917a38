//! Steps: work that is done once.
//!
//! What a step says is held back and committed with its result, in one write. So after a crash at any moment either all of it
//! is in the record and the step is never done again, or none of it is and the next attempt does the step anew.

use super::{
    TaskContext,
    checkpoint::{checked, encode},
    names::Used,
    scope::Scope,
};
use crate::{ContextError, ExecutorError, StepError};
use longhaul_domain::{Checkpoint, CheckpointName, Json};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, sync::Arc};

tokio::task_local! {
    /// The run and the step that the current code belongs to.
    static WITHIN: (usize, CheckpointName);
}

/// What has become of a step that was to begin.
#[derive(Debug)]
pub enum StepStart {
    /// It is done: this is its value.
    Done(Json),
    /// It is to be done.
    Open(OpenStep),
}

/// A step under way, for those who do the work of others. Dropped without [`commit`](Self::commit), nothing of it is kept.
pub struct OpenStep {
    ctx: TaskContext,
    scope: Arc<Scope>,
}

impl TaskContext {
    /// Does some work once, however often the task is run: its result is kept under the name, and later attempts, on any
    /// worker, read it instead of doing the work again.
    ///
    /// The work is given a context of its own. Statuses and artifacts that it sends there are held back until it has ended,
    /// and kept in one write with the result; up to 4,096 of them, with 64 MiB of parts. An error passes through and keeps
    /// nothing. Between the end of the work and that write a crash is possible: the work is done again then, so effects
    /// outside should be idempotent.
    ///
    /// - The name belongs to the task, across attempts and turns (put [`turn`](Self::turn) into it for one a turn), and may be
    ///   used once in an attempt, also when the work failed.
    /// - The result is kept as JSON, at most 1 MiB. What is returned is read from that, the first time as well. A stored result
    ///   that does not fit the type (of another version of the executor) is an error that is not retried.
    /// - Steps may run side by side, but not within each other, and contain no [`flush`](Self::flush) and no
    ///   [`checkpoint`](Self::checkpoint).
    /// - Artifacts without an id are named after the step: `<step>-1`, `<step>-2`, … An artifact that a step wrote is continued
    ///   in steps only, and one begun outside is not written to by steps: a later attempt would lose or double parts of it.
    /// - The context from outside may be used in the work for statuses that shall be seen at once.
    pub async fn step<T, F, Fut>(
        &self,
        name: impl Into<String>,
        work: F,
    ) -> Result<T, ExecutorError>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(Self) -> Fut,
        Fut: Future<Output = Result<T, ExecutorError>>,
    {
        let name = checked(name)?;
        let step = match self.begin_step(name.as_str()).await? {
            StepStart::Done(stored) => return Ok(decode(&name, &stored)?),
            StepStart::Open(step) => step,
        };
        let within = (self.run_address(), name.clone());
        let made = WITHIN.scope(within, work(step.ctx.clone())).await?;
        let value = encode(&name, &made)?;
        drop(made);
        let read_back = serde_json::from_str(value.as_str()).map_err(|error| {
            StepError::NotReadBack { name: name.clone(), problem: error.to_string() }
        })?;
        step.commit(value).await?;
        Ok(read_back)
    }

    /// Begins a step whose end is told later; [`step`](Self::step) is what executors use.
    pub async fn begin_step(&self, name: impl Into<String>) -> Result<StepStart, ContextError> {
        let name = checked(name)?;
        if let Some(outer) = self.surrounding_step() {
            return Err(StepError::Nested { outer, inner: name }.into());
        }
        self.take_step_name(&name)?;
        if let Some(value) = self.stored(&name).await? {
            return Ok(StepStart::Done(value));
        }
        self.note_used(&name, Used::Begun);
        let scope = Arc::new(Scope::new(name));
        let ctx = Self { run: Arc::clone(&self.run), scope: Some(Arc::clone(&scope)) };
        Ok(StepStart::Open(OpenStep { ctx, scope }))
    }

    /// The step that this context, or the code that calls it, belongs to.
    pub(super) fn surrounding_step(&self) -> Option<CheckpointName> {
        let here = self.run_address();
        let around = || WITHIN.try_with(|(run, name)| (*run == here).then(|| name.clone())).ok()?;
        self.scope.as_ref().map(|scope| scope.name.clone()).or_else(around)
    }

    fn run_address(&self) -> usize {
        Arc::as_ptr(&self.run).addr()
    }
}

impl OpenStep {
    /// Its name.
    pub fn name(&self) -> &CheckpointName {
        &self.scope.name
    }

    /// Where its output goes.
    pub const fn context(&self) -> &TaskContext {
        &self.ctx
    }

    /// Ends the step: its output and the value are kept in one write, and durable when this has returned.
    pub async fn commit(self, value: Json) -> Result<(), ContextError> {
        let checkpoint =
            Checkpoint::new(self.scope.name.as_str(), value).map_err(StepError::from)?;
        let held = self.scope.close();
        self.ctx.may_commit(&held.written)?;
        self.ctx.run.io.commit(held.output, checkpoint).await?;
        self.ctx.committed(held.written);
        Ok(())
    }
}

impl Drop for OpenStep {
    fn drop(&mut self) {
        self.scope.close();
    }
}

impl fmt::Debug for OpenStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStep").field("name", &self.scope.name).finish_non_exhaustive()
    }
}

/// A stored value as what the executor wants it to be.
pub(super) fn decode<T: DeserializeOwned>(
    name: &CheckpointName,
    stored: &Json,
) -> Result<T, StepError> {
    serde_json::from_str(stored.as_str())
        .map_err(|error| StepError::Mismatch { name: name.clone(), problem: error.to_string() })
}
