//! The call of the executor, and what goes on beside it.

use super::{
    Run,
    limits::{Limits, overrun},
};
use crate::settlement::Ended;
use longhaul_executor::{ExecutorError, Outcome, TaskContext};
use longhaul_runtime::spawn::panic_message;
use std::{future::pending, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tracing::Instrument;

/// How long the `working` status of a run waits for company.
const OPENING_DELAY: Duration = Duration::from_millis(20);

impl Run<'_> {
    /// Calls the executor and writes what it emits, until it ends or is given up.
    pub(super) async fn execute(&self, ctx: TaskContext) -> Ended {
        let executor = Arc::clone(&self.agent.executor);
        let call = async move { executor.execute(ctx).await }.in_current_span();
        let mut job = Job(self.env.executors.spawn(call));
        let limits = Limits::new(self.terms, self.claimed.deadline, self.env.clock.now());
        let writing = async {
            self.output.keep_writing(&self.pending).await;
            pending::<()>().await;
        };
        let opening = async {
            tokio::time::sleep(OPENING_DELAY).await;
            self.output.hurry();
            pending::<()>().await;
        };
        tokio::select! {
            ended = job.ended() => ended,
            () = overrun(self.env, &self.signals, limits) => {
                tracing::warn!("the executor did not stop when told to; it is given up");
                Ended::Abandoned
            }
            () = writing => Ended::Abandoned,
            () = opening => Ended::Abandoned,
        }
    }
}

/// The call of an executor; given up when it is dropped.
struct Job(JoinHandle<Result<Outcome, ExecutorError>>);

impl Job {
    async fn ended(&mut self) -> Ended {
        match (&mut self.0).await {
            Ok(result) => Ended::Returned(Outcome::of(result)),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => Ended::Panicked(panic_message(&*panic).to_owned()),
                Err(_) => Ended::Abandoned,
            },
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.0.abort();
    }
}
