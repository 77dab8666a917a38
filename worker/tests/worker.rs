//! A whole worker on a real store, in process: what it promises about slots, drains and runs that are over.

#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]

use async_trait::async_trait;
use longhaul_dispatch::{Dispatch, LocalDispatch};
use longhaul_domain::{
    AgentName, ContextId, Message, MessageId, OwnerId, Part, Role, TaskId, TaskKey, TaskState,
    log::UserMessage,
};
use longhaul_executor::prelude::*;
use longhaul_runtime::{Ids, Readiness, Shutdown, SystemIds};
use longhaul_store::{Accept, AcceptNew, DedupeKey, RunOptions, SnapshotOptions, Store};
use longhaul_store_sqlite::testing::temp;
use longhaul_worker::{Worker, WorkerOptions};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{runtime::Handle, task::JoinHandle};

/// Does what a function says.
struct Does<F> {
    name: &'static str,
    concurrency: Option<u32>,
    work: F,
}

#[async_trait]
impl<F, Fut> Executor for Does<F>
where
    F: Fn(TaskContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, ExecutorError>> + Send,
{
    fn descriptor(&self) -> ExecutorDescriptor {
        let descriptor = ExecutorDescriptor::text(self.name, "1.0.0", "for tests").unwrap();
        ExecutorDescriptor { concurrency: self.concurrency, ..descriptor }
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        (self.work)(ctx).await
    }
}

async fn quick(_: TaskContext) -> Result<Outcome, ExecutorError> {
    Ok(Outcome::Completed(None))
}

/// A store, and a worker on it that is never woken by the clock.
struct Scene {
    store: Arc<dyn Store>,
    dispatch: Arc<dyn Dispatch>,
    shutdown: Shutdown,
    _folder: TempDir,
}

impl Scene {
    async fn new(dispatch: impl Dispatch + 'static) -> Self {
        let (store, folder) = temp().await.unwrap();
        Self { store, dispatch: Arc::new(dispatch), shutdown: Shutdown::new(), _folder: folder }
    }

    fn start(&self, executors: Vec<Arc<dyn Executor>>) -> JoinHandle<()> {
        let worker = Worker {
            store: Arc::clone(&self.store),
            dispatch: Arc::clone(&self.dispatch),
            executors,
            executor_runtime: Handle::current(),
            ids: Arc::new(SystemIds),
            readiness: Readiness::new(),
            options: WorkerOptions {
                name: "test".to_owned(),
                concurrency: 16,
                probe_interval: Duration::from_secs(600),
                lease: Duration::from_secs(60),
                drain: Duration::from_secs(30),
                grace: Duration::from_millis(200),
            },
        };
        let shutdown = self.shutdown.clone();
        longhaul_runtime::spawn("worker", async move { worker.run(shutdown).await.unwrap() })
    }

    async fn accept(&self, agent: &str) -> TaskKey {
        let (agent, id) = (AgentName::new(agent).unwrap(), SystemIds.uuid_v7());
        let message = Message::new(MessageId::from(id), Role::User, vec![Part::text("x")]);
        let message = UserMessage { message, request_metadata: None };
        let dedupe = DedupeKey::of_message(&agent, &message);
        let key = TaskKey { owner: OwnerId::LOCAL, task: TaskId::new(id) };
        let accept = Accept { message, dedupe, blobs: Vec::new(), trace: None };
        let (context, options) = (ContextId::from(id), RunOptions::default());
        self.store.accept_new(AcceptNew { key, agent, context, options, accept }).await.unwrap();
        key
    }

    async fn state(&self, key: TaskKey) -> TaskState {
        let task = self.store.read_task(key, SnapshotOptions::STATUS).await.unwrap();
        task.unwrap().status.state
    }

    /// Waits until a task has ended. A test that hangs here fails by its runner's limit, or by this one.
    async fn ended(&self, key: TaskKey) -> TaskState {
        let wait = async {
            loop {
                let state = self.state(key).await;
                if state.is_terminal() {
                    return state;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the task ends")
    }
}

#[tokio::test]
async fn an_agent_at_its_own_limit_goes_on_when_a_slot_of_it_is_freed() {
    let scene = Scene::new(LocalDispatch::new()).await;
    let mut keys = Vec::new();
    for _ in 0..10 {
        keys.push(scene.accept("narrow").await);
    }
    let worker = scene.start(vec![
        Arc::new(Does { name: "narrow", concurrency: Some(1), work: quick }),
        Arc::new(Does { name: "wide", concurrency: None, work: quick }),
    ]);
    for key in keys {
        assert_eq!(scene.ended(key).await, TaskState::Completed);
    }
    scene.shutdown.drain();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_drain_begins_although_there_is_a_backlog() {
    let scene = Scene::new(LocalDispatch::new()).await;
    let mut keys = Vec::new();
    for _ in 0..300 {
        keys.push(scene.accept("quick").await);
    }
    let shutdown = scene.shutdown.clone();
    let drains = move |_: TaskContext| {
        // From within the first run: whatever follows it is backlog.
        shutdown.drain();
        async { Ok(Outcome::Completed(None)) }
    };
    let worker =
        scene.start(vec![Arc::new(Does { name: "quick", concurrency: None, work: drains })]);
    tokio::time::timeout(Duration::from_secs(30), worker).await.expect("the drain ends").unwrap();
    let mut waiting = 0;
    for key in keys {
        waiting += u32::from(!scene.state(key).await.is_terminal());
    }
    assert!(waiting > 0, "everything was worked off before the drain");
}

#[tokio::test]
async fn what_an_executor_leaves_behind_is_told_that_the_run_is_over() {
    let scene = Scene::new(LocalDispatch::new()).await;
    let left: Arc<Mutex<Option<TaskContext>>> = Arc::default();
    let keep = Arc::clone(&left);
    let leaves = move |ctx: TaskContext| {
        *keep.lock().unwrap() = Some(ctx);
        async { Ok(Outcome::Completed(None)) }
    };
    let key = scene.accept("leaves").await;
    let worker =
        scene.start(vec![Arc::new(Does { name: "leaves", concurrency: None, work: leaves })]);
    scene.ended(key).await;
    scene.shutdown.drain();
    worker.await.unwrap();
    let ctx = left.lock().unwrap().take().unwrap();
    assert!(ctx.flush().await.is_err());
    assert!(ctx.next_message().await.is_err());
}
