//! A store, and workers on it whose probe timer never fires within a test.

use crate::partitioned_store::PartitionedStore;
use async_trait::async_trait;
use longhaul_dispatch::{Dispatch, LocalDispatch, WakeHint};
use longhaul_domain::{
    AgentName, ContextId, EntryBody, FailureKind, Message, MessageId, OwnerId, Part, Role, Seq,
    Task, TaskId, TaskKey, TaskState, extension, log::UserMessage,
};
use longhaul_executor::prelude::*;
use longhaul_runtime::{IdSource, Readiness, Shutdown, SystemIds};
use longhaul_store::{
    AcceptFollowUp, AcceptNew, DeadLetter, DedupeKey, FollowedUp, IncomingMessage, ReadLimit,
    RequestCancel, RunOptions, SnapshotOptions, Store, TaskBudget,
};
use longhaul_store_sqlite::testing::temp_store;
use longhaul_worker::{Worker, WorkerOptions};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{runtime::Handle, task::JoinHandle};

/// Time after which a hanging test fails.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// An executor that calls a function.
struct FnExecutor<F> {
    descriptor: ExecutorDescriptor,
    execute: F,
}

/// An executor that calls `execute`; `describe` adjusts its descriptor.
pub fn executor<F, Fut>(
    name: &str,
    describe: impl FnOnce(&mut ExecutorDescriptor),
    execute: F,
) -> Arc<dyn Executor>
where
    F: Fn(TaskContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, ExecutorError>> + Send + 'static,
{
    let mut descriptor = ExecutorDescriptor::text(name, "1.0.0", "for tests").unwrap();
    // Retries must not slow the tests down.
    descriptor.policy.backoff.initial = Duration::from_millis(20);
    describe(&mut descriptor);
    Arc::new(FnExecutor { descriptor, execute })
}

#[async_trait]
impl<F, Fut> Executor for FnExecutor<F>
where
    F: Fn(TaskContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, ExecutorError>> + Send,
{
    fn descriptor(&self) -> ExecutorDescriptor {
        self.descriptor.clone()
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        (self.execute)(ctx).await
    }
}

/// Completes at once.
pub async fn quick(_: TaskContext) -> Result<Outcome, ExecutorError> {
    Ok(Outcome::Completed(None))
}

/// Runs until it is told to stop, and then stops.
pub async fn obedient(ctx: TaskContext) -> Result<Outcome, ExecutorError> {
    ctx.cancelled().await;
    Ok(Outcome::Canceled(None))
}

/// Never returns, even when told to stop.
pub async fn stubborn(_: TaskContext) -> Result<Outcome, ExecutorError> {
    std::future::pending().await
}

pub struct WorkerFixture {
    pub store: Arc<PartitionedStore>,
    pub dispatch: Arc<dyn Dispatch>,
    pub shutdown: Shutdown,
    pub options: WorkerOptions,
    _folder: TempDir,
}

impl WorkerFixture {
    pub async fn new() -> Self {
        let (store, folder) = temp_store().await.unwrap();
        let options = WorkerOptions {
            name: "test".to_owned(),
            concurrency: 16,
            probe_interval: Duration::from_secs(600),
            lease: Duration::from_secs(60),
            max_losses: 5,
            drain: Duration::from_secs(30),
            grace: Duration::from_millis(200),
        };
        Self {
            store: PartitionedStore::new(store),
            dispatch: Arc::new(LocalDispatch::new()),
            shutdown: Shutdown::new(),
            options,
            _folder: folder,
        }
    }

    /// Starts a worker that ends with the fixture's shutdown.
    pub fn start(&self, executors: Vec<Arc<dyn Executor>>) -> JoinHandle<()> {
        self.start_until(self.shutdown.clone(), executors)
    }

    /// Starts a worker that ends with its own shutdown.
    pub fn start_until(
        &self,
        shutdown: Shutdown,
        executors: Vec<Arc<dyn Executor>>,
    ) -> JoinHandle<()> {
        let store: Arc<dyn Store> = Arc::<PartitionedStore>::clone(&self.store);
        let worker = Worker {
            store,
            dispatch: Arc::clone(&self.dispatch),
            executors,
            executor_runtime: Handle::current(),
            ids: Arc::new(SystemIds),
            readiness: Readiness::new(),
            options: self.options.clone(),
        };
        longhaul_runtime::spawn("worker", async move { worker.run(shutdown).await.unwrap() })
    }

    /// Drains the fixture's workers and waits for this one.
    pub async fn drain(&self, worker: JoinHandle<()>) {
        self.shutdown.drain();
        join(worker).await;
    }

    /// Accepts a task and wakes its agent's workers.
    pub async fn accept(&self, agent: &str) -> TaskKey {
        self.accept_with(agent, "null", RunOptions::default()).await
    }

    /// Accepts a task with durability options: as they stand in the message, and as the API reads
    /// them for the store.
    pub async fn accept_with(&self, agent: &str, in_message: &str, options: RunOptions) -> TaskKey {
        let (agent, id) = (AgentName::new(agent).unwrap(), SystemIds.uuid_v7());
        let metadata = format!("{{\"{}\": {in_message}}}", extension::DURABILITY_EXTENSION);
        let message = Message {
            metadata: Some(JsonObject::parse(&metadata).unwrap()),
            ..Message::new(MessageId::from(id), Role::User, vec![Part::text("x")])
        };
        let message = UserMessage::new(message);
        let dedupe = DedupeKey::from_message(&agent, &message);
        let key = TaskKey { owner: OwnerId::LOCAL, task: TaskId::new(id) };
        let accept = IncomingMessage { message, dedupe, blobs: Vec::new(), trace: None };
        let new =
            AcceptNew { key, agent: agent.clone(), context: ContextId::from(id), options, accept };
        self.store.inner.accept_new(new).await.unwrap();
        self.dispatch.waker().wake(WakeHint { agent, task: key, trace: None });
        key
    }

    /// Sends one more client message to a task.
    pub async fn send_message(&self, key: TaskKey, text: &str) {
        let id = MessageId::from(SystemIds.uuid_v7());
        let message = UserMessage::new(Message::new(id, Role::User, vec![Part::text(text)]));
        let dedupe = DedupeKey::from_message(&AgentName::new("any").unwrap(), &message);
        let accept = IncomingMessage { message, dedupe, blobs: Vec::new(), trace: None };
        let budget = TaskBudget::UNLIMITED;
        let sent = self.store.inner.accept_follow_up(AcceptFollowUp { key, accept, budget }).await;
        assert!(matches!(sent, Ok(FollowedUp::Appended { .. })), "{sent:?}");
    }

    /// Requests the cancel of a task.
    pub async fn cancel(&self, key: TaskKey, grace: Duration) {
        self.store.inner.request_cancel(RequestCancel { key, grace }).await.unwrap();
    }

    /// A snapshot of a task.
    pub async fn task(&self, key: TaskKey) -> Task {
        self.store.inner.read_task(key, SnapshotOptions::ALL).await.unwrap().unwrap()
    }

    /// The state of a task.
    pub async fn state(&self, key: TaskKey) -> TaskState {
        self.task(key).await.status.state
    }

    /// Waits until a task is in a state.
    pub async fn wait_for_state(&self, key: TaskKey, wanted: TaskState) {
        self.wait(key, |state| state == wanted).await;
    }

    /// Waits until a task has ended.
    pub async fn wait_for_end(&self, key: TaskKey) -> TaskState {
        self.wait(key, TaskState::is_terminal).await
    }

    async fn wait(&self, key: TaskKey, wanted: impl Fn(TaskState) -> bool) -> TaskState {
        let wait = async {
            loop {
                let state = self.state(key).await;
                if wanted(state) {
                    return state;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(TEST_TIMEOUT, wait).await.expect("the task reaches the state in time")
    }

    /// Waits until a task has failed; returns its dead letter.
    pub async fn dead_letter(&self, key: TaskKey) -> DeadLetter {
        assert_eq!(self.wait_for_end(key).await, TaskState::Failed);
        self.store.inner.dead_letter(key).await.unwrap().expect("a failed task is a dead letter")
    }

    /// Waits until a task has failed; returns the kind of failure and the number of attempts.
    pub async fn failure(&self, key: TaskKey) -> (FailureKind, i32) {
        let dead_letter = self.dead_letter(key).await;
        (dead_letter.because, dead_letter.attempts)
    }

    /// The complete log of a task.
    pub async fn log(&self, key: TaskKey) -> Vec<EntryBody> {
        let limit = ReadLimit::default();
        let page = self.store.inner.read_log(key, Seq::START, limit).await.unwrap().unwrap();
        page.entries.into_iter().map(|entry| entry.body).collect()
    }
}

/// Waits until a worker has ended.
pub async fn join(worker: JoinHandle<()>) {
    tokio::time::timeout(TEST_TIMEOUT, worker).await.expect("the worker ends in time").unwrap();
}
