//! Executors that fail to start, or are unavailable for a while.

use crate::fixture::{TEST_TIMEOUT, WorkerFixture, executor, quick};
use async_trait::async_trait;
use longhaul_domain::{AgentName, TaskState};
use longhaul_executor::prelude::*;
use longhaul_runtime::{Readiness, Shutdown, SystemIds};
use longhaul_store::Store;
use longhaul_worker::{FailedStart, Worker};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};
use tokio::{runtime::Handle, sync::oneshot};

/// An executor that starts only when permitted, and is unavailable in its first run.
#[derive(Default)]
struct LateExecutor {
    may_start: AtomicBool,
    runs: AtomicU32,
}

#[async_trait]
impl Executor for LateExecutor {
    fn descriptor(&self) -> ExecutorDescriptor {
        ExecutorDescriptor::text("late", "1.0.0", "for tests").unwrap()
    }

    async fn start(&self) -> Result<(), ExecutorError> {
        if self.may_start.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(ExecutorError::retryable("the model is not here yet"))
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        if self.runs.fetch_add(1, Ordering::SeqCst) == 0 {
            return Err(OutputStopped::Unavailable.into());
        }
        Ok(ctx.completed(format!("attempt {}", ctx.attempt())))
    }
}

#[tokio::test]
async fn tasks_of_an_unavailable_agent_wait_without_using_attempts_while_others_run() {
    let fixture = WorkerFixture::new().await;
    let late = Arc::new(LateExecutor::default());
    let executors: Vec<Arc<dyn Executor>> =
        vec![Arc::<LateExecutor>::clone(&late), executor("quick", |_| {}, quick)];
    let (readiness, shutdown) = (Readiness::new(), Shutdown::new());
    let store: Arc<dyn Store> =
        Arc::<crate::partitioned_store::PartitionedStore>::clone(&fixture.store);
    let worker = Worker {
        store,
        dispatch: Arc::clone(&fixture.dispatch),
        executors,
        executor_runtime: Handle::current(),
        ids: Arc::new(SystemIds),
        readiness: readiness.clone(),
        options: fixture.options.clone(),
    };
    let (start_report, reported) = oneshot::channel();
    let running = worker.run_with_start_report(shutdown.clone(), start_report);
    let running = longhaul_runtime::spawn("worker", async move { running.await.unwrap() });

    let failed = tokio::time::timeout(TEST_TIMEOUT, reported)
        .await
        .expect("failed starts are reported")
        .unwrap();
    let agent = AgentName::new("late").unwrap();
    let cause = "the model is not here yet".to_owned();
    assert_eq!(failed, [FailedStart { agent, cause }]);
    assert_eq!(fixture.wait_for_end(fixture.accept("quick").await).await, TaskState::Completed);
    assert!(readiness.is_ready());
    let agents = readiness.snapshot().components["agents"].clone();
    assert_eq!(agents.reason.as_deref(), Some("not started: late"));

    let waiting = fixture.accept("late").await;
    late.may_start.store(true, Ordering::SeqCst);
    assert_eq!(fixture.wait_for_end(waiting).await, TaskState::Completed);
    let task = fixture.task(waiting).await;
    assert_eq!(task.status.message.unwrap().text(), "attempt 1");
    assert_eq!(late.runs.load(Ordering::SeqCst), 2);
    assert!(readiness.snapshot().components["agents"].ok);
    shutdown.drain();
    crate::fixture::join(running).await;
}
