//! Executors that do not start, and those that cannot work for a while.

use crate::scene::{LIMIT, Scene, does, quick};
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

/// Starts only when it may; the first run finds that it cannot work.
#[derive(Default)]
struct Late {
    may_start: AtomicBool,
    runs: AtomicU32,
}

#[async_trait]
impl Executor for Late {
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
async fn tasks_of_an_agent_that_cannot_work_wait_and_lose_no_attempt_while_others_run() {
    let scene = Scene::new().await;
    let late = Arc::new(Late::default());
    let executors: Vec<Arc<dyn Executor>> =
        vec![Arc::<Late>::clone(&late), does("quick", |_| {}, quick)];
    let (readiness, shutdown) = (Readiness::new(), Shutdown::new());
    let store: Arc<dyn Store> = Arc::<crate::veil::Veil>::clone(&scene.store);
    let worker = Worker {
        store,
        dispatch: Arc::clone(&scene.dispatch),
        executors,
        executor_runtime: Handle::current(),
        ids: Arc::new(SystemIds),
        readiness: readiness.clone(),
        options: scene.options.clone(),
    };
    let (settled, started) = oneshot::channel();
    let running = worker.run_with_start_report(shutdown.clone(), settled);
    let running = longhaul_runtime::spawn("worker", async move { running.await.unwrap() });

    let failed = tokio::time::timeout(LIMIT, started).await.expect("it is told").unwrap();
    let agent = AgentName::new("late").unwrap();
    let cause = "the model is not here yet".to_owned();
    assert_eq!(failed, [FailedStart { agent, cause }]);
    assert_eq!(scene.ended(scene.accept("quick").await).await, TaskState::Completed);
    assert!(readiness.is_ready());
    let agents = readiness.snapshot().components["agents"].clone();
    assert_eq!(agents.reason.as_deref(), Some("not started: late"));

    let waiting = scene.accept("late").await;
    late.may_start.store(true, Ordering::SeqCst);
    assert_eq!(scene.ended(waiting).await, TaskState::Completed);
    let task = scene.task(waiting).await;
    assert_eq!(task.status.message.unwrap().text(), "attempt 1");
    assert_eq!(late.runs.load(Ordering::SeqCst), 2);
    assert!(readiness.snapshot().components["agents"].ok);
    shutdown.drain();
    crate::scene::joined(running).await;
}
