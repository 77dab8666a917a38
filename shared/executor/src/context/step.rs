//! Steps and checkpoints: work that is done once, and positions that survive a crash.
//!
//! The output of a step is held back and committed with its result in one write. After a crash at
//! any moment, either all of it is in the record and the step is never repeated, or none of it is
//! and the next attempt runs the step again. A checkpoint is committed alone, after all output
//! before it.

use super::{TaskContext, step_names::NameUse};
use crate::{ContextError, ExecutorError, StepError};
use longhaul_domain::{ArtifactId, Checkpoint, CheckpointError, CheckpointName, EntryBody, Json};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU32},
};

tokio::task_local! {
    /// The run (by address) and the step that the current code belongs to.
    static CURRENT_STEP: (usize, CheckpointName);
}

/// The beginning of a step.
#[derive(Debug)]
pub enum StepStart {
    /// The step is done already, with this value.
    Done(Json),
    /// The step has to be done.
    Open(OpenStep),
}

/// A step in progress, for hosts that run the work elsewhere. Dropping it without
/// [`commit`](Self::commit) discards the step.
pub struct OpenStep {
    ctx: TaskContext,
    scope: Arc<StepScope>,
}

/// The output of a step in progress. It stays in memory until the step commits, and is dropped with
/// the step.
pub(super) struct StepScope {
    pub name: CheckpointName,
    /// Number of artifacts with a default id.
    pub named: AtomicU32,
    pending: Mutex<PendingOutput>,
}

#[derive(Default)]
pub(super) struct PendingOutput {
    output: Vec<EntryBody>,
    bytes: usize,
    /// Artifacts that the step has begun or continues.
    pub written: HashSet<ArtifactId>,
    ended: bool,
}

impl TaskContext {
    /// Does some work once, no matter how often the task runs. The result is stored under the name;
    /// later attempts, on any worker, read it instead of repeating the work.
    ///
    /// The work gets its own context. Statuses and artifacts that it sends there are held back
    /// until the work ends, and stored with the result in one write: up to 4,096 of them, with 64
    /// MiB of parts. An error passes through and stores nothing. A crash between the end of the
    /// work and that write repeats the work, so external effects should be idempotent.
    ///
    /// - The name belongs to the task, across attempts and turns; put [`turn`](Self::turn) into it
    ///   for one step a turn. Each attempt may use it once, even if the work fails.
    /// - The result is stored as JSON, at most 1 MiB. The returned value is read from that JSON,
    ///   the first time as well. A stored result that does not fit the type (from another version
    ///   of the executor) is an error that is not retried.
    /// - Steps may run concurrently, but cannot be nested, and contain no [`flush`](Self::flush)
    ///   and no [`checkpoint`](Self::checkpoint).
    /// - Artifacts without an id are named after the step: `<step>-1`, `<step>-2`, … Only steps
    ///   continue an artifact that a step wrote, and a step cannot write to an artifact begun
    ///   outside: a later attempt would lose or duplicate parts of it.
    /// - The work may use the outer context for statuses that should be visible at once.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     let pages: u32 = ctx
    ///         .step("download", async |step| {
    ///             step.status("downloaded").await?;
    ///             Ok(12)
    ///         })
    ///         .await?;
    ///     Ok(ctx.completed(format!("{pages} pages")))
    /// });
    /// // The worker dies after the step: the next attempt skips it.
    /// let crashed = TestRun::new(executor).text("go").crash_after_write(1).run().await;
    /// let report = crashed.after_worker_loss().run().await;
    /// assert!(report.steps_begun().is_empty());
    /// assert_eq!(report.status_text(), "12 pages");
    /// # }
    /// ```
    ///
    /// # Errors
    /// The work failed, the run was stopped, the step was misused, or its result cannot be stored
    /// or read back.
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
        let name = valid_name(name)?;
        // The name is claimed even if the work fails: a second use in this attempt would read nothing.
        let step = match self.begin_step(name.as_str()).await? {
            StepStart::Done(stored) => return Ok(decode(&name, &stored)?),
            StepStart::Open(step) => step,
        };
        // The task-local catches nested steps through the outer context, which carries no scope.
        let current = (self.run_address(), name.clone());
        let made = CURRENT_STEP.scope(current, work(step.ctx.clone())).await?;
        let value = encode(&name, &made)?;
        // The value may be large, and the caller gets the one read back from JSON.
        drop(made);
        // Before the commit: a value that a later attempt could not read must not be stored.
        let read_back = serde_json::from_str(value.as_str()).map_err(|error| {
            StepError::NotReadBack { name: name.clone(), problem: error.to_string() }
        })?;
        step.commit(value).await?;
        Ok(read_back)
    }

    /// Begins a step whose end is reported later. Executors use [`step`](Self::step).
    ///
    /// # Errors
    /// The run was stopped, the step was misused, or the store is not available.
    pub async fn begin_step(&self, name: impl Into<String>) -> Result<StepStart, ContextError> {
        let name = valid_name(name)?;
        if let Some(outer) = self.surrounding_step() {
            return Err(StepError::Nested { outer, inner: name }.into());
        }
        // Before the read, so that two concurrent steps of one name cannot both find nothing.
        self.claim_step_name(&name)?;
        if let Some(value) = self.stored(&name).await? {
            return Ok(StepStart::Done(value));
        }
        // From here on the store may hold a value of this name, written by this attempt.
        self.note_name_use(&name, NameUse::Begun);
        let scope = Arc::new(StepScope::new(name));
        let ctx = Self { run: Arc::clone(&self.run), scope: Some(Arc::clone(&scope)) };
        Ok(StepStart::Open(OpenStep { ctx, scope }))
    }

    /// Stores a value under a name, after all output so far. When this returns, both survive any
    /// crash. The same name again moves the checkpoint.
    ///
    /// The name must not be that of a step. The value is stored as JSON, at most 1 MiB, and belongs
    /// to the task, in later turns too.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     let done: u32 = ctx.load_checkpoint("line").await?.unwrap_or(0);
    ///     for line in done + 1..=3 {
    ///         ctx.status(format!("line {line}")).await?;
    ///         ctx.checkpoint("line", &line).await?;
    ///     }
    ///     Ok(Outcome::Completed(None))
    /// });
    /// // Writes 3 and 4 are the status and the checkpoint of line 2.
    /// let crashed = TestRun::new(executor).text("go").crash_after_write(4).run().await;
    /// let report = crashed.after_worker_loss().run().await;
    /// assert_eq!(report.status_texts(), ["line 3"]);
    /// # }
    /// ```
    ///
    /// # Errors
    /// The run was stopped, the value cannot be stored, the name is that of a step, or the call
    /// stands within a step.
    pub async fn checkpoint<T: Serialize + ?Sized>(
        &self,
        name: impl Into<String>,
        value: &T,
    ) -> Result<(), ContextError> {
        let name = valid_name(name)?;
        if let Some(step) = self.surrounding_step() {
            return Err(StepError::ForbiddenInStep { what: "a checkpoint", step }.into());
        }
        let value = encode(&name, value)?;
        let checkpoint = Checkpoint::new(name.as_str(), value.clone()).map_err(StepError::from)?;
        // After the value was encoded: a value that cannot be stored does not use up the name.
        self.claim_checkpoint_name(&name)?;
        self.run.io.commit(Vec::new(), checkpoint).await?;
        // Remembered, so that reading the checkpoint back needs no round trip.
        self.note_name_use(&name, NameUse::Checkpoint(Some(value)));
        Ok(())
    }

    /// Reads the value of a checkpoint or step that this attempt or an earlier one has stored, in
    /// this turn or an earlier one. See [`checkpoint`](Self::checkpoint) for an example.
    ///
    /// # Errors
    /// The stored value does not fit the type, which is not retried; the run was stopped, or the
    /// store is not available.
    pub async fn load_checkpoint<T: DeserializeOwned>(
        &self,
        name: impl Into<String>,
    ) -> Result<Option<T>, ContextError> {
        let name = valid_name(name)?;
        let value = match self.checkpoint_set_here(&name) {
            Some(value) => Some(value),
            None => self.stored(&name).await?,
        };
        Ok(value.map(|value| decode(&name, &value)).transpose()?)
    }

    /// Restarts the time limit for attempts without progress. Output, steps and checkpoints do so
    /// as well. Costs nothing; call it whenever there is progress.
    ///
    /// ```
    /// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = executor_fn(|ctx| async move {
    ///     for _token in 0..5 {
    ///         ctx.heartbeat();
    ///     }
    ///     Ok(Outcome::Completed(None))
    /// });
    /// assert_eq!(TestRun::new(executor).text("go").run().await.heartbeats(), 5);
    /// # }
    /// ```
    pub fn heartbeat(&self) {
        self.run.io.progress();
    }

    /// The step that this context, or the calling code, belongs to.
    pub(super) fn surrounding_step(&self) -> Option<CheckpointName> {
        // Other runs share the thread's task-local, so the address tells whether the step is of this run.
        let here = self.run_address();
        let current =
            || CURRENT_STEP.try_with(|(run, name)| (*run == here).then(|| name.clone())).ok()?;
        self.scope.as_ref().map(|scope| scope.name.clone()).or_else(current)
    }

    /// Reads the stored value of a name. Asks the store only if there can be one.
    async fn stored(&self, name: &CheckpointName) -> Result<Option<Json>, ContextError> {
        // The claim says whether any checkpoint exists. Most tasks have none, and so never read one.
        if !self.assignment().has_checkpoints && !self.has_begun_step(name) {
            return Ok(None);
        }
        Ok(self.run.io.read_checkpoint(name).await?)
    }

    fn run_address(&self) -> usize {
        Arc::as_ptr(&self.run).addr()
    }
}

impl OpenStep {
    /// The name of the step.
    pub fn name(&self) -> &CheckpointName {
        &self.scope.name
    }

    /// The context for the output of the step.
    pub const fn context(&self) -> &TaskContext {
        &self.ctx
    }

    /// Ends the step. Its output and the value are stored in one write, and are durable when this
    /// returns.
    ///
    /// # Errors
    /// The run was stopped, the value cannot be stored, or an artifact of the step was begun
    /// outside meanwhile.
    pub async fn commit(self, value: Json) -> Result<(), ContextError> {
        let checkpoint =
            Checkpoint::new(self.scope.name.as_str(), value).map_err(StepError::from)?;
        // Ends the scope first: a clone of the step's context must not add output to a commit under way.
        let pending = self.scope.end();
        // Code outside may have begun one of the artifacts since the step wrote it.
        self.ctx.check_commit(&pending.written)?;
        self.ctx.run.io.commit(pending.output, checkpoint).await?;
        // Only after the commit: a step that failed leaves its artifacts to either side.
        self.ctx.note_committed(pending.written);
        Ok(())
    }
}

impl Drop for OpenStep {
    fn drop(&mut self) {
        self.scope.end();
    }
}

impl fmt::Debug for OpenStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStep").field("name", &self.scope.name).finish_non_exhaustive()
    }
}

impl StepScope {
    fn new(name: CheckpointName) -> Self {
        Self { name, named: AtomicU32::new(0), pending: Mutex::default() }
    }

    /// Holds output back until the step ends.
    pub fn hold(&self, body: EntryBody) -> Result<(), StepError> {
        let bytes = body.stored_len();
        let mut pending = self.pending();
        if pending.ended {
            return Err(StepError::Ended { step: self.name.clone() });
        }
        // Output of a step stays in memory, so both the number of entries and their size are bounded.
        let full = pending.output.len() >= StepError::MAX_STEP_ENTRIES
            || pending.bytes.saturating_add(bytes) > StepError::MAX_STEP_BYTES;
        if full {
            return Err(StepError::TooMuchOutput { step: self.name.clone() });
        }
        pending.bytes += bytes;
        pending.output.push(body);
        Ok(())
    }

    pub fn pending(&self) -> MutexGuard<'_, PendingOutput> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the step, and takes its output. Output after this is an error; a second call finds
    /// nothing.
    fn end(&self) -> PendingOutput {
        let ended = PendingOutput { ended: true, ..PendingOutput::default() };
        std::mem::replace(&mut *self.pending(), ended)
    }
}

fn valid_name(name: impl Into<String>) -> Result<CheckpointName, StepError> {
    CheckpointName::new(name).map_err(|error| CheckpointError::Name(error).into())
}

fn encode<T: Serialize + ?Sized>(name: &CheckpointName, value: &T) -> Result<Json, StepError> {
    Json::from_serialize(&value)
        .map_err(|error| StepError::Value { name: name.clone(), problem: error.to_string() })
}

fn decode<T: DeserializeOwned>(name: &CheckpointName, stored: &Json) -> Result<T, StepError> {
    serde_json::from_str(stored.as_str())
        .map_err(|error| StepError::Mismatch { name: name.clone(), problem: error.to_string() })
}
