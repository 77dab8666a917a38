//! The call of the executor, and what goes on beside it.

use super::{
    Run,
    limits::{Limits, overrun},
};
use crate::settlement::Ended;
use futures::future::{FusedFuture, FutureExt};
use longhaul_executor::{ExecutorError, Outcome, TaskContext};
use longhaul_runtime::spawn::panic_message;
use std::{future::pending, pin::pin, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tracing::Instrument;

/// How long the `working` status of a run waits for company.
const OPENING_DELAY: Duration = Duration::from_millis(20);

impl Run<'_> {
    /// Calls the executor and writes what it emits, until it ends or is given up.
    pub(super) async fn execute(&self, ctx: TaskContext) -> Ended {
        let (executor, output) = (Arc::clone(&self.agent.executor), Arc::clone(&self.output));
        let call = async move { output.polled.watch(executor.execute(ctx)).await };
        let call = call.in_current_span();
        let mut job = Job(self.env.executors.spawn(call));
        let limits = Limits::new(self.terms, self.claimed.deadline_in);
        let mut writing = pin!(self.output.keep_writing(&self.pending).fuse());
        let opening = async {
            tokio::time::sleep(OPENING_DELAY).await;
            self.output.hurry();
            pending::<()>().await;
        };
        let stays = async {
            writing.as_mut().await;
            pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = job.ended() => ended,
            () = overrun(self.env, &self.signals, limits) => {
                tracing::warn!("the executor did not stop when told to; it is given up");
                Ended::Abandoned
            }
            () = stays => Ended::Abandoned,
            () = opening => Ended::Abandoned,
        };
        // What is under way is waited for and not sent twice; what is still buffered goes with the end.
        self.output.close();
        if !writing.is_terminated() {
            writing.await;
        }
        ended
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
