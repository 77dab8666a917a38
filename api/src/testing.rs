//! A node on its own store, for tests, which play the worker.

use crate::{
    Api, ApiOptions, ApiParts, Authentication, ExtendedCards,
    bindings::client_rules,
    service::{Caller, Service},
};
use longhaul_dispatch::{WakeHint, Waker};
use longhaul_domain::{
    AgentDescriptor, AgentLimits, AgentName, Artifact, ArtifactId, ArtifactUpdate, EntryBody,
    FailureKind, JsonObject, Message, MessageId, Part, Principal, Role, Seq, TaskFailure,
    TaskState, TerminalState, WorkerId,
    extension::DURABILITY_EXTENSION,
    log::{StatusChange, UserMessage},
};
use longhaul_runtime::{
    Clock, IdSource, ManualClock, Readiness, Shutdown, SystemClock, SystemIds, TraceContext,
};
use longhaul_store::{
    AgentSlots, Append, ClaimRequest, ClaimedRun, HistoryQuery, NewWorker, Settle, SettleAs, Store,
    TaskBudget,
};
use longhaul_wire::{
    Dialect, Extensions, Negotiation, SendRequest, card::DeploymentInfo, card::GrpcAddress,
};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Longer than any step of a test takes.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(20);

struct RecordingWaker(mpsc::UnboundedSender<WakeHint>);

impl Waker for RecordingWaker {
    fn wake(&self, wake: WakeHint) {
        let _ = self.0.send(wake);
    }
}

/// A node with one agent.
pub struct Node {
    pub store: Arc<dyn Store>,
    pub api: Api,
    pub shutdown: Shutdown,
    /// Clock of the node, moved by hand.
    pub clock: Arc<ManualClock>,
    /// Wake-ups that the node has sent.
    pub wakes: mpsc::UnboundedReceiver<WakeHint>,
    _folder: TempDir,
}

pub fn agent() -> AgentName {
    AgentName::new("echo").unwrap()
}

/// Options of the nodes in tests.
pub fn options() -> ApiOptions {
    ApiOptions {
        public_url: Some("http://test".to_owned()),
        listen_url: "http://127.0.0.1:8080".to_owned(),
        trusted_proxies: Vec::new(),
        allowed_hosts: Vec::new(),
        cors_origins: Vec::new(),
        default_agent: None,
        card_signer: None,
        authentication: Authentication::None,
        max_body_bytes: 10 << 20,
        max_answer_bytes: 64 << 20,
        max_connections: 100,
        task_budget: TaskBudget { messages: 1_000, bytes: 1 << 20 },
        max_requests_per_connection: 4_096,
        max_queued: 1_000,
        max_queued_per_owner: 1_000,
        max_queue_delay: Duration::from_secs(1),
        longest_wait: None,
        attach_repeats: true,
        cancel_grace: Duration::from_secs(5),
        streaming: true,
        keep_alive: Duration::from_secs(15),
        drain: Duration::from_secs(30),
        versions: Negotiation::default(),
        grpc_address: GrpcAddress::HostPort,
        extended_cards: ExtendedCards::Authenticated,
        about: DeploymentInfo::default(),
    }
}

impl Node {
    pub async fn start() -> Self {
        Self::with_answers(64 << 20).await
    }

    /// Starts a node with another limit on response sizes.
    pub async fn with_answers(max_answer_bytes: u64) -> Self {
        Self::with_options(|options| options.max_answer_bytes = max_answer_bytes).await
    }

    /// Starts a node whose agent has limits.
    pub async fn with_limits(limits: AgentLimits) -> Self {
        Self::with(limits, |_| {}).await
    }

    /// Starts a node that requires API keys.
    pub async fn with_keys() -> Self {
        Self::with_options(|options| options.authentication = Authentication::Keys).await
    }

    /// Starts a node with changed options.
    pub async fn with_options(change: impl FnOnce(&mut ApiOptions)) -> Self {
        Self::with(AgentLimits::default(), change).await
    }

    async fn with(limits: AgentLimits, change: impl FnOnce(&mut ApiOptions)) -> Self {
        let (store, folder) = longhaul_store_sqlite::testing::temp_store().await.unwrap();
        let store: Arc<dyn Store> = store;
        let described = AgentDescriptor {
            name: agent(),
            version: "1.0.0".to_owned(),
            description: String::new(),
            skills: Vec::new(),
            input_modes: vec!["*/*".to_owned()],
            output_modes: vec!["*/*".to_owned()],
            direct: true,
            extensions: Vec::new(),
            limits,
        };
        store.register_agents(vec![described]).await.unwrap();
        let (sender, wakes) = mpsc::unbounded_channel();
        let shutdown = Shutdown::new();
        let parts = ApiParts {
            store: Arc::clone(&store),
            waker: Arc::new(RecordingWaker(sender)),
            ids: Arc::new(SystemIds),
            readiness: Readiness::new(),
            shutdown: shutdown.clone(),
        };
        let mut options = options();
        change(&mut options);
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let shown: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let api = Api::with_clock(parts, options, shown);
        Self { store, api, shutdown, clock, wakes, _folder: folder }
    }

    /// Starts another node on the same store; its wake-ups go nowhere.
    pub fn another(&self) -> Api {
        self.configured(|_| {})
    }

    /// Starts another node on the same store, with changed options.
    pub fn configured(&self, change: impl FnOnce(&mut ApiOptions)) -> Api {
        let mut options = self.api.service().options.clone();
        change(&mut options);
        let parts = ApiParts {
            store: Arc::clone(&self.store),
            waker: Arc::new(RecordingWaker(mpsc::unbounded_channel().0)),
            ids: Arc::new(SystemIds),
            readiness: Readiness::new(),
            shutdown: self.shutdown.clone(),
        };
        Api::start(parts, options)
    }

    pub fn service(&self) -> Arc<Service> {
        self.api.service()
    }

    /// Claims the one task that is ready to run.
    pub async fn claim(&self) -> RunHandle {
        let worker = WorkerId::new(SystemIds.uuid_v7());
        let lease = Duration::from_secs(600);
        let new = NewWorker { id: worker, name: "test".to_owned(), agents: Vec::new(), lease };
        self.store.register_worker(new).await.unwrap();
        let slots = vec![AgentSlots::new(agent(), 1)];
        let request = ClaimRequest { worker, slots, limit: 1 };
        let claimed = self.store.claim(request).await.unwrap().pop().expect("there is a run");
        RunHandle { store: Arc::clone(&self.store), claimed, op: 0 }
    }
}

/// A claimed run.
pub struct RunHandle {
    store: Arc<dyn Store>,
    pub claimed: ClaimedRun,
    op: i32,
}

impl RunHandle {
    fn output(&mut self, entries: Vec<EntryBody>) -> Append {
        self.op += 1;
        let ClaimedRun { key, fence, attempt, .. } = self.claimed;
        Append {
            key,
            fence,
            op: self.op,
            attempt,
            entries,
            blobs: Vec::new(),
            checkpoints: Vec::new(),
        }
    }

    /// The client's last message.
    pub async fn last_message(&self) -> UserMessage {
        let query = HistoryQuery { before: self.claimed.message_seq.next(), rows: 1, bytes: 1 };
        let page = self.store.read_history(self.claimed.key, query).await.unwrap();
        match page.entries.into_iter().next() {
            Some((_, EntryBody::Message(said))) => said,
            other => panic!("the client has said something: {other:?}"),
        }
    }

    pub async fn append(&mut self, entries: Vec<EntryBody>) {
        let output = self.output(entries);
        self.store.append(output).await.unwrap();
    }

    pub async fn end(&mut self, last: StatusChange) {
        self.settle(TerminalState::Completed, EntryBody::Status(last)).await;
    }

    /// Fails the task for good.
    pub async fn fail(&mut self, cause: &str) {
        self.append(vec![working()]).await;
        let ClaimedRun { key, ref context, attempt, .. } = self.claimed;
        let id = || MessageId::from(SystemIds.uuid_v7());
        let failed = TaskFailure::new(FailureKind::Fatal, cause, attempt);
        let last = failed.status(key.task, context, None, id);
        self.settle(TerminalState::Failed, last).await;
    }

    async fn settle(&mut self, end: TerminalState, last: EntryBody) {
        let output = self.output(vec![last]);
        let settle = Settle { how: SettleAs::End(end), read_up_to: Seq(i64::MAX), output };
        self.store.settle(settle).await.unwrap();
    }
}

pub fn working() -> EntryBody {
    EntryBody::Status(StatusChange::to(TaskState::Working))
}

/// An artifact entry with one part.
pub fn artifact_entry(part: Part) -> EntryBody {
    let artifact = Artifact::new(ArtifactId::new("a").unwrap(), vec![part]);
    EntryBody::Artifact(ArtifactUpdate {
        artifact,
        append: false,
        last_chunk: true,
        metadata: None,
    })
}

pub fn caller() -> Caller {
    Caller {
        principal: Principal::local(),
        agent: None,
        request_id: "test".to_owned(),
        trace: TraceContext::new_root(&SystemIds),
        extensions: Extensions::NONE,
        rules: client_rules(Dialect::V1_0),
        card_address: None,
    }
}

/// A message whose sender does not wait for the task.
pub fn send(id: &str) -> SendRequest {
    let id = MessageId::new(id).unwrap();
    let message = Message::new(id, Role::User, vec![Part::text("hello")]);
    SendRequest { return_immediately: true, ..SendRequest::new(message) }
}

/// The same with durability options.
pub fn send_with(id: &str, options: &str) -> SendRequest {
    let mut request = send(id);
    let metadata = format!("{{\"{DURABILITY_EXTENSION}\":{options}}}");
    request.message.metadata = Some(JsonObject::parse(&metadata).unwrap());
    request
}

/// A JSON-RPC call that sends a message and does not wait for the task.
pub fn sending(method: &str, id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{
            "message":{{"messageId":"{id}","role":"ROLE_USER","parts":[{{"text":"hi"}}]}},
            "configuration":{{"returnImmediately":true}}}}}}"#
    )
}
