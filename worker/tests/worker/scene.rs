//! A store, and workers on it that are never woken by the clock.

use crate::veil::Veil;
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

/// A test that hangs fails by this.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Does what a function says.
pub struct Does<F> {
    descriptor: ExecutorDescriptor,
    work: F,
}

/// An executor that does what a function says, and is described by another.
pub fn does<F, Fut>(
    name: &str,
    describe: impl FnOnce(&mut ExecutorDescriptor),
    work: F,
) -> Arc<dyn Executor>
where
    F: Fn(TaskContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, ExecutorError>> + Send + 'static,
{
    let mut descriptor = ExecutorDescriptor::text(name, "1.0.0", "for tests").unwrap();
    // Tests have no time to wait between attempts.
    descriptor.policy.backoff.initial = Duration::from_millis(20);
    describe(&mut descriptor);
    Arc::new(Does { descriptor, work })
}

#[async_trait]
impl<F, Fut> Executor for Does<F>
where
    F: Fn(TaskContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, ExecutorError>> + Send,
{
    fn descriptor(&self) -> ExecutorDescriptor {
        self.descriptor.clone()
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        (self.work)(ctx).await
    }
}

pub async fn quick(_: TaskContext) -> Result<Outcome, ExecutorError> {
    Ok(Outcome::Completed(None))
}

/// Goes on until it is told to stop, and then stops.
pub async fn obedient(ctx: TaskContext) -> Result<Outcome, ExecutorError> {
    ctx.cancelled().await;
    Ok(Outcome::Canceled(None))
}

/// Goes on for ever, whatever it is told.
pub async fn stubborn(_: TaskContext) -> Result<Outcome, ExecutorError> {
    std::future::pending().await
}

pub struct Scene {
    pub store: Arc<Veil>,
    pub dispatch: Arc<dyn Dispatch>,
    pub shutdown: Shutdown,
    pub options: WorkerOptions,
    _folder: TempDir,
}

impl Scene {
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
            store: Veil::over(store),
            dispatch: Arc::new(LocalDispatch::new()),
            shutdown: Shutdown::new(),
            options,
            _folder: folder,
        }
    }

    /// A worker that ends with the scene's shutdown.
    pub fn start(&self, executors: Vec<Arc<dyn Executor>>) -> JoinHandle<()> {
        self.start_until(self.shutdown.clone(), executors)
    }

    pub fn start_until(
        &self,
        shutdown: Shutdown,
        executors: Vec<Arc<dyn Executor>>,
    ) -> JoinHandle<()> {
        let store: Arc<dyn Store> = Arc::<Veil>::clone(&self.store);
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

    /// Drains the scene's workers and waits for this one.
    pub async fn end(&self, worker: JoinHandle<()>) {
        self.shutdown.drain();
        joined(worker).await;
    }

    pub async fn accept(&self, agent: &str) -> TaskKey {
        self.accept_with(agent, "null", RunOptions::default()).await
    }

    /// A task with durability options, as they stand in the message and as the API reads them for the store.
    pub async fn accept_with(&self, agent: &str, said: &str, options: RunOptions) -> TaskKey {
        let (agent, id) = (AgentName::new(agent).unwrap(), SystemIds.uuid_v7());
        let metadata = format!("{{\"{}\": {said}}}", extension::DURABILITY_EXTENSION);
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

    /// One more message of the client.
    pub async fn say(&self, key: TaskKey, text: &str) {
        let id = MessageId::from(SystemIds.uuid_v7());
        let message = UserMessage::new(Message::new(id, Role::User, vec![Part::text(text)]));
        let dedupe = DedupeKey::from_message(&AgentName::new("any").unwrap(), &message);
        let accept = IncomingMessage { message, dedupe, blobs: Vec::new(), trace: None };
        let budget = TaskBudget::UNLIMITED;
        let said = self.store.inner.accept_follow_up(AcceptFollowUp { key, accept, budget }).await;
        assert!(matches!(said, Ok(FollowedUp::Appended { .. })), "{said:?}");
    }

    pub async fn cancel(&self, key: TaskKey, grace: Duration) {
        self.store.inner.request_cancel(RequestCancel { key, grace }).await.unwrap();
    }

    pub async fn task(&self, key: TaskKey) -> Task {
        self.store.inner.read_task(key, SnapshotOptions::ALL).await.unwrap().unwrap()
    }

    pub async fn state(&self, key: TaskKey) -> TaskState {
        self.task(key).await.status.state
    }

    /// Waits until a task is in a state.
    pub async fn reached(&self, key: TaskKey, wanted: TaskState) {
        self.wait(key, |state| state == wanted).await;
    }

    /// Waits until a task has ended.
    pub async fn ended(&self, key: TaskKey) -> TaskState {
        self.wait(key, TaskState::is_terminal).await
    }

    async fn wait(&self, key: TaskKey, good: impl Fn(TaskState) -> bool) -> TaskState {
        let wait = async {
            loop {
                let state = self.state(key).await;
                if good(state) {
                    return state;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.expect("the task gets there in time")
    }

    /// What is known of a task that has failed.
    pub async fn dead(&self, key: TaskKey) -> DeadLetter {
        assert_eq!(self.ended(key).await, TaskState::Failed);
        self.store.inner.dead_letter(key).await.unwrap().expect("a failed task is a dead letter")
    }

    /// Why a task failed, and after how many attempts.
    pub async fn why(&self, key: TaskKey) -> (FailureKind, i32) {
        let letter = self.dead(key).await;
        (letter.because, letter.attempts)
    }

    /// The whole log of a task.
    pub async fn log(&self, key: TaskKey) -> Vec<EntryBody> {
        let limit = ReadLimit::default();
        let page = self.store.inner.read_log(key, Seq::START, limit).await.unwrap().unwrap();
        page.entries.into_iter().map(|entry| entry.body).collect()
    }
}

/// Waits for a worker's end.
pub async fn joined(worker: JoinHandle<()>) {
    tokio::time::timeout(LIMIT, worker).await.expect("the worker ends in time").unwrap();
}
