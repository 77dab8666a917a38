//! Shared helpers: a store on its own database, with tasks and runs in one line each.

use crate::proxy::Proxy;
use futures::StreamExt;
use longhaul_domain::{
    AgentName, Artifact, ArtifactId, ArtifactUpdate, ContextId, EntryBody, Message, MessageId,
    OwnerId, Part, Role, Seq, SignalChannel, TaskId, TaskKey, TaskState, TerminalState, WorkerId,
    log::{StatusChange, UserMessage},
};
use longhaul_runtime::{IdSource, SystemIds};
use longhaul_store::{
    AcceptNew, Accepted, AgentSlots, Append, ClaimRequest, ClaimedRun, DedupeKey, IncomingMessage,
    IntakeStore, LogSignal, NewWorker, ReapRequest, RunOptions, Settle, SettleAs, SignalSource,
    SignalStream, WorkerStore,
};
use longhaul_store_postgres::{PostgresOptions, PostgresStore};
use longhaul_tests::{Database, Postgres};
use std::{sync::Arc, time::Duration};

/// Timeout that is long enough on a loaded machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A store with its database, and optionally its own server.
pub struct TestStore {
    pub store: Arc<PostgresStore>,
    pub worker: WorkerId,
    pub database: Database,
    pub server: Option<Postgres>,
}

impl TestStore {
    /// Creates a store on the shared server.
    pub async fn new() -> Self {
        Self::on(Database::create(), None).await
    }

    /// Creates a store on its own server with these settings.
    pub async fn private(settings: &[(&str, &str)]) -> Self {
        let server = Postgres::private_with(settings);
        Self::on(Database::create_on(&server), Some(server)).await
    }

    /// Creates a store whose database is behind a proxy.
    pub async fn behind_a_proxy(
        database: Database,
        server: Option<Postgres>,
        max_connections: u32,
    ) -> (Self, Proxy) {
        let proxy = Proxy::before(&database.url()).await;
        let url = proxy.url(&database.url());
        let options = PostgresOptions { max_connections, ..PostgresOptions::new(url) };
        (Self::with(options, database, server).await, proxy)
    }

    /// Creates a store on this database.
    pub async fn of(database: Database, server: Option<Postgres>) -> Self {
        Self::on(database, server).await
    }

    async fn on(database: Database, server: Option<Postgres>) -> Self {
        Self::with(PostgresOptions::new(database.url()), database, server).await
    }

    async fn with(options: PostgresOptions, database: Database, server: Option<Postgres>) -> Self {
        PostgresStore::migrate(database.url(), LIMIT).await.unwrap();
        let store = open_with(options).await;
        let worker = register_worker(&store, Duration::from_secs(3_600)).await;
        Self { store, worker, database, server }
    }

    pub async fn accept_task(&self) -> TaskKey {
        let new = new_task_request();
        let key = new.key;
        let accepted = self.store.accept_new(new).await.unwrap();
        assert!(matches!(accepted, Accepted::Created { .. }), "{accepted:?}");
        key
    }

    /// Accepts a new task with these options.
    pub async fn accept_with(&self, owner: OwnerId, options: RunOptions) -> TaskKey {
        let mut new = new_task_request();
        new.key.owner = owner;
        new.options = options;
        let key = new.key;
        self.store.accept_new(new).await.unwrap();
        key
    }

    pub fn request(&self, limit: u32) -> ClaimRequest {
        let slots = vec![AgentSlots::new(echo_agent(), limit)];
        ClaimRequest { worker: self.worker, slots, limit }
    }

    pub async fn claim_one(&self) -> ClaimedRun {
        self.store.claim(self.request(1)).await.unwrap().pop().unwrap()
    }
}

/// Registers a new worker.
pub async fn register_worker(store: &PostgresStore, lease: Duration) -> WorkerId {
    let id = WorkerId::new(SystemIds.uuid_v7());
    let new = NewWorker { id, name: "test".to_owned(), agents: vec![], lease };
    store.register_worker(new).await.unwrap();
    id
}

/// Default reap request.
pub const REAP_REQUEST: ReapRequest =
    ReapRequest { limit: 1_000, max_losses: 5, grace: Duration::from_secs(10) };

/// Builds an append of a run's output.
pub fn append(run: &ClaimedRun, op: i32, entries: Vec<EntryBody>) -> Append {
    let (key, fence, attempt) = (run.key, run.fence, run.attempt);
    Append { key, fence, op, attempt, entries, blobs: vec![], checkpoints: vec![] }
}

/// Builds the completion of a run that has read only the first message.
pub fn complete(run: &ClaimedRun, op: i32) -> Settle {
    let entries = vec![status(TaskState::Working), status(TaskState::Completed)];
    Settle {
        how: SettleAs::End(TerminalState::Completed),
        read_up_to: Seq(1),
        output: append(run, op, entries),
    }
}

/// Opens another store on the same database, as another process would.
pub async fn open(database: &Database) -> Arc<PostgresStore> {
    let options = PostgresOptions {
        max_connections: 8,
        start_timeout: LIMIT,
        ..PostgresOptions::new(database.url())
    };
    PostgresStore::connect(options, Arc::new(SystemIds)).await.unwrap()
}

/// Opens a store with these options.
pub async fn open_with(options: PostgresOptions) -> Arc<PostgresStore> {
    PostgresStore::connect(options, Arc::new(SystemIds)).await.unwrap()
}

/// Follows a task and waits until its channel is joined.
pub async fn follow(store: &PostgresStore, signals: &mut SignalStream<LogSignal>, key: TaskKey) {
    store.follow_logs(&[key]);
    wait_until_joined(signals, key).await;
}

/// Waits until the channel of a followed task is joined.
pub async fn wait_until_joined(signals: &mut SignalStream<LogSignal>, key: TaskKey) {
    let channel = LogSignal::Joined(SignalChannel::for_task(key.task));
    let heard = async { while signals.next().await.expect("the stream goes on") != channel {} };
    tokio::time::timeout(LIMIT, heard).await.expect("its channel is joined");
}

pub fn echo_agent() -> AgentName {
    AgentName::new("echo").unwrap()
}

/// Builds a request for a new task, a different one per call.
pub fn new_task_request() -> AcceptNew {
    let (task, id) = (SystemIds.uuid_v7(), SystemIds.uuid_v7());
    let said = Message::new(MessageId::from(id), Role::User, vec![Part::text("hello")]);
    let message = UserMessage::new(said);
    let dedupe = DedupeKey::from_message(&echo_agent(), &message);
    AcceptNew {
        key: TaskKey { owner: OwnerId::LOCAL, task: TaskId::new(task) },
        agent: echo_agent(),
        context: ContextId::from(task),
        options: RunOptions::default(),
        accept: IncomingMessage { message, dedupe, blobs: vec![], trace: None },
    }
}

pub fn status(state: TaskState) -> EntryBody {
    EntryBody::Status(StatusChange::to(state))
}

/// Builds an artifact chunk of a hundred bytes.
pub fn chunk(id: &str, append: bool) -> EntryBody {
    let artifact = Artifact::new(ArtifactId::new(id).unwrap(), vec![Part::text("x".repeat(100))]);
    EntryBody::Artifact(ArtifactUpdate {
        append,
        last_chunk: false,
        ..ArtifactUpdate::complete(artifact)
    })
}
