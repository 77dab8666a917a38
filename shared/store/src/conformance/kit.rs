//! What the cases share: owners, messages, workers and runs, made in one line each.

use crate::{
    Accept, AcceptFollowUp, AcceptNew, Accepted, AgentSlots, Append, ClaimRequest, Claimed,
    DedupeKey, FollowedUp, NewKey, NewWorker, ReadLimit, RunOptions, Settle, SettleAs,
    SnapshotOptions, Store,
};
use longhaul_domain::{
    AgentName, Artifact, ArtifactId, ArtifactUpdate, ContextId, EntryBody, KeyId, LogEntry,
    Message, MessageId, OwnerId, ParkedState, Part, Role, Scopes, Seq, Task, TaskId, TaskKey,
    TaskState, TerminalState, WorkerId,
    log::{StatusChange, UserMessage},
};
use longhaul_runtime::{Ids, SystemIds};
use std::{any::Any, future::Future, sync::Arc, time::Duration};

/// A lease that does not end while a case runs.
pub const LONG: Duration = Duration::from_secs(600);

/// A store of its own for one case, and what must live as long as it.
pub struct Fixture {
    /// The store, migrated and empty.
    pub store: Arc<dyn Store>,
    /// Dropped after the case: a temporary folder or database.
    pub keep: Box<dyn Any + Send>,
}

/// An owner with an agent on a store.
#[derive(Clone)]
pub struct Scene {
    pub store: Arc<dyn Store>,
    pub owner: OwnerId,
    pub agent: AgentName,
}

impl Scene {
    pub async fn new(store: Arc<dyn Store>) -> Self {
        let owner = owner(&store, "first").await;
        Self { store, owner, agent: agent("echo") }
    }

    /// The same store seen by somebody else.
    pub async fn stranger(&self) -> Self {
        Self { owner: owner(&self.store, "second").await, ..self.clone() }
    }

    pub fn for_agent(&self, name: &str) -> Self {
        Self { agent: agent(name), ..self.clone() }
    }

    /// A message that asks for a new task; each call makes another one.
    pub fn asks(&self, text: &str) -> AcceptNew {
        let id = uuid();
        AcceptNew {
            key: TaskKey { owner: self.owner, task: TaskId::new(id) },
            agent: self.agent.clone(),
            context: ContextId::from(id),
            options: RunOptions::default(),
            accept: self.accept(&uuid().to_string(), text),
        }
    }

    pub fn says(&self, key: TaskKey, text: &str) -> AcceptFollowUp {
        AcceptFollowUp { key, accept: self.accept(&uuid().to_string(), text) }
    }

    pub fn accept(&self, id: &str, text: &str) -> Accept {
        let message = said(id, text);
        let dedupe = DedupeKey::of_message(&self.agent, &message);
        Accept { message, dedupe, blobs: Vec::new(), trace: None }
    }

    pub async fn accepted(&self) -> TaskKey {
        let asks = self.asks("hello");
        let key = asks.key;
        self.create(asks).await;
        key
    }

    pub async fn create(&self, asks: AcceptNew) {
        let outcome = self.store.accept_new(asks).await.unwrap();
        assert!(matches!(outcome, Accepted::Created { seq: Seq(1), .. }), "{outcome:?}");
    }

    pub async fn follow_up(&self, key: TaskKey, text: &str) -> FollowedUp {
        self.store.accept_follow_up(self.says(key, text)).await.unwrap()
    }

    /// A worker that stays.
    pub async fn worker(&self) -> WorkerId {
        let id = WorkerId::new(uuid());
        let name = "host/1".to_owned();
        let worker = NewWorker { id, name, agents: Vec::new(), lease: LONG };
        self.store.register_worker(worker).await.unwrap();
        id
    }

    /// Lets the lease of a worker run out.
    pub async fn loses_its_lease(&self, worker: WorkerId) {
        self.store.heartbeat(worker, Duration::from_millis(1)).await.unwrap();
    }

    pub async fn claim(&self, worker: WorkerId, limit: u32) -> Vec<Claimed> {
        let slots = vec![AgentSlots { agent: self.agent.clone(), free: limit }];
        self.store.claim(ClaimRequest { worker, slots, limit }).await.unwrap()
    }

    /// Claims one run; there must be exactly one.
    pub async fn claim_one(&self) -> Run {
        let worker = self.worker().await;
        let mut claimed = self.claim(worker, 10).await;
        assert_eq!(claimed.len(), 1, "exactly one run is due");
        Run::of(worker, claimed.remove(0))
    }

    /// A new task, claimed.
    pub async fn running(&self) -> Run {
        let key = self.accepted().await;
        let run = self.claim_one().await;
        assert_eq!(run.claimed.key, key);
        run
    }

    /// A new task that waits for an answer.
    pub async fn parked(&self) -> (TaskKey, Run) {
        let mut run = self.running().await;
        let settle = run.park(ParkedState::InputRequired, "which?");
        let outcome = self.store.settle(settle).await.unwrap();
        assert_eq!(outcome, crate::Settled::Now { last: Seq(3) });
        (run.claimed.key, run)
    }

    pub async fn task(&self, key: TaskKey) -> Task {
        let task = self.store.read_task(key, SnapshotOptions::ALL).await.unwrap();
        task.expect("the task is there")
    }

    pub async fn state(&self, key: TaskKey) -> TaskState {
        self.task(key).await.status.state
    }

    /// The whole log, page by page; checks that it has no gaps.
    pub async fn log(&self, key: TaskKey) -> Vec<LogEntry> {
        let mut entries: Vec<LogEntry> = Vec::new();
        loop {
            let after = entries.last().map_or(Seq::START, |e| e.seq);
            let limit = ReadLimit { rows: 7, ..ReadLimit::default() };
            let page = self.store.read_log(key, after, limit).await.unwrap();
            let page = page.expect("the task is there");
            entries.extend(page.entries);
            if entries.last().is_none_or(|e| e.seq >= page.last_seq) {
                break;
            }
        }
        for (i, entry) in (1i64..).zip(&entries) {
            assert_eq!(entry.seq, Seq(i), "the log has no gaps");
        }
        entries
    }

    pub async fn bodies(&self, key: TaskKey) -> Vec<EntryBody> {
        self.log(key).await.into_iter().map(|entry| entry.body).collect()
    }
}

/// A claimed run and the number of its next operation.
#[derive(Clone)]
pub struct Run {
    pub worker: WorkerId,
    pub claimed: Claimed,
    pub op: i32,
    /// The last client message that its executor has read.
    pub read: Seq,
}

impl Run {
    pub fn of(worker: WorkerId, claimed: Claimed) -> Self {
        let users = claimed.history.iter().filter(|item| item.message.role == Role::User);
        let read = users.map(|item| item.seq).max().unwrap_or(Seq::START);
        Self { worker, claimed, op: 0, read }
    }

    pub const fn key(&self) -> TaskKey {
        self.claimed.key
    }

    pub fn append(&mut self, entries: Vec<EntryBody>) -> Append {
        self.op += 1;
        Append {
            key: self.claimed.key,
            fence: self.claimed.fence,
            op: self.op,
            attempt: self.claimed.attempt,
            entries,
            blobs: Vec::new(),
        }
    }

    pub fn settle(&mut self, how: SettleAs, entries: Vec<EntryBody>) -> Settle {
        Settle { how, read_up_to: self.read, output: self.append(entries) }
    }

    pub fn end(&mut self, state: TerminalState) -> Settle {
        self.settle(SettleAs::End(state), vec![working(), status(state.state(), "done")])
    }

    pub fn park(&mut self, state: ParkedState, question: &str) -> Settle {
        self.settle(SettleAs::Park(state), vec![working(), status(state.state(), question)])
    }

    pub fn retry(&mut self, delay: Duration) -> Settle {
        self.settle(SettleAs::Retry(delay), vec![working()])
    }

    pub fn release(&mut self) -> Settle {
        self.settle(SettleAs::Release, Vec::new())
    }
}

pub fn uuid() -> uuid::Uuid {
    SystemIds.uuid_v7()
}

pub fn agent(name: &str) -> AgentName {
    AgentName::new(name).unwrap()
}

pub async fn owner(store: &Arc<dyn Store>, name: &str) -> OwnerId {
    let key = NewKey {
        id: KeyId(uuid().to_string()),
        owner: name.to_owned(),
        hash: hash(),
        scopes: Scopes::all(),
        label: String::new(),
    };
    store.create_key(key).await.unwrap()
}

/// A hash that no other call gives.
pub fn hash() -> [u8; 32] {
    let mut hash = [7; 32];
    hash[..16].copy_from_slice(uuid().as_bytes());
    hash
}

pub fn said(id: &str, text: &str) -> UserMessage {
    UserMessage { message: message(Role::User, id, text), request_metadata: None }
}

pub fn message(role: Role, id: &str, text: &str) -> Message {
    Message::new(MessageId::new(id).unwrap(), role, vec![Part::text(text)])
}

pub fn working() -> EntryBody {
    EntryBody::Status(StatusChange::to(TaskState::Working))
}

/// A status with a message of the agent.
pub fn status(state: TaskState, text: &str) -> EntryBody {
    let message = message(Role::Agent, &uuid().to_string(), text);
    EntryBody::Status(StatusChange::with(state, Some(message)))
}

/// A chunk of an artifact.
pub fn chunk(id: &str, text: &str, append: bool) -> EntryBody {
    let artifact = Artifact::new(ArtifactId::new(id).unwrap(), vec![Part::text(text)]);
    EntryBody::Artifact(ArtifactUpdate { artifact, append, last_chunk: false, metadata: None })
}

/// Polls until a condition holds: the only way in which a case waits for time to pass.
pub async fn eventually<F, Fut>(what: &str, mut holds: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    for _ in 0..4_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("did not happen in time: {what}");
}

/// Runs futures at once, each as a task of its own, and gives their outputs in order.
pub async fn at_once<T: Send + 'static>(
    futures: impl IntoIterator<Item: Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> =
        futures.into_iter().map(|future| longhaul_runtime::spawn("case", future)).collect();
    let mut outputs = Vec::new();
    for task in tasks {
        outputs.push(task.await.unwrap());
    }
    outputs
}

/// Small numbers that depend on the seed only.
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub const fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}
