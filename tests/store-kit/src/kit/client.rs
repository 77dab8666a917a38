//! A client of a store: one owner that uses one agent.

use super::{LONG_LEASE, REAP_ALL, RunWriter, agent, eventually, owner, said, uuid};
use longhaul_domain::{
    AgentName, ConcurrencyLimits, ContextId, EntryBody, HistoryItem, LogEntry, OwnerId,
    ParkedState, Seq, Task, TaskId, TaskKey, TaskState, Timestamp, WorkerId,
};
use longhaul_store::{
    AcceptFollowUp, AcceptNew, Accepted, AgentSlots, ClaimRequest, ClaimedRun, DedupeKey,
    FollowedUp, HistoryQuery, IncomingMessage, NewWorker, ReadLimit, ReapRequest, Reaped,
    RunDetails, RunOptions, Settled, SnapshotOptions, Store, TaskBudget,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

/// An owner that uses one agent of a store.
#[derive(Clone)]
pub struct TestClient {
    pub store: Arc<dyn Store>,
    pub owner: OwnerId,
    pub agent: AgentName,
}

impl TestClient {
    pub async fn new(store: Arc<dyn Store>) -> Self {
        let owner = owner(&store, "first").await;
        Self { store, owner, agent: agent("echo") }
    }

    /// Returns a client of the same store with another owner.
    pub async fn other_owner(&self) -> Self {
        Self { owner: owner(&self.store, "second").await, ..self.clone() }
    }

    pub fn for_agent(&self, name: &str) -> Self {
        Self { agent: agent(name), ..self.clone() }
    }

    /// Returns a new message that asks for a new task.
    pub fn new_request(&self, text: &str) -> AcceptNew {
        let id = uuid();
        AcceptNew {
            key: TaskKey { owner: self.owner, task: TaskId::new(id) },
            agent: self.agent.clone(),
            context: ContextId::from(id),
            options: RunOptions::default(),
            accept: self.accept(&uuid().to_string(), text),
        }
    }

    pub fn new_follow_up(&self, key: TaskKey, text: &str) -> AcceptFollowUp {
        AcceptFollowUp {
            key,
            accept: self.accept(&uuid().to_string(), text),
            budget: TaskBudget::UNLIMITED,
        }
    }

    pub fn accept(&self, id: &str, text: &str) -> IncomingMessage {
        let message = said(id, text);
        let dedupe = DedupeKey::from_message(&self.agent, &message);
        IncomingMessage { message, dedupe, blobs: Vec::new(), trace: None }
    }

    pub async fn accepted(&self) -> TaskKey {
        let new_request = self.new_request("hello");
        let key = new_request.key;
        self.create(new_request).await;
        key
    }

    pub async fn create(&self, new_request: AcceptNew) {
        let outcome = self.store.accept_new(new_request).await.unwrap();
        assert!(matches!(outcome, Accepted::Created { seq: Seq(1), .. }), "{outcome:?}");
    }

    /// Creates a task with these options.
    pub async fn queued(&self, text: &str, options: RunOptions) -> TaskKey {
        let new_request = AcceptNew { options, ..self.new_request(text) };
        let key = new_request.key;
        self.create(new_request).await;
        key
    }

    pub async fn follow_up(&self, key: TaskKey, text: &str) -> FollowedUp {
        self.store.accept_follow_up(self.new_follow_up(key, text)).await.unwrap()
    }

    /// Registers a worker with a long lease.
    pub async fn worker(&self) -> WorkerId {
        let id = WorkerId::new(uuid());
        let name = "host/1".to_owned();
        let worker = NewWorker { id, name, agents: Vec::new(), lease: LONG_LEASE };
        self.store.register_worker(worker).await.unwrap();
        id
    }

    /// Lets the lease of a worker expire.
    pub async fn expire_lease(&self, worker: WorkerId) {
        self.store.heartbeat(worker, Duration::from_millis(1)).await.unwrap();
    }

    pub async fn reap(&self) -> Vec<Reaped> {
        self.store.reap(REAP_ALL).await.unwrap().done
    }

    /// Reaps until something was done.
    pub async fn reap_until_done(&self) -> Vec<Reaped> {
        self.reap_until_done_as(REAP_ALL).await
    }

    pub async fn reap_until_done_as(&self, reap: ReapRequest) -> Vec<Reaped> {
        let found = Mutex::new(Vec::new());
        eventually("something is reaped", || async {
            let done = self.store.reap(reap).await.unwrap().done;
            let some = !done.is_empty();
            found.lock().unwrap().extend(done);
            some
        })
        .await;
        found.into_inner().unwrap()
    }

    /// Returns the store's time.
    pub async fn now(&self) -> Timestamp {
        match self
            .store
            .accept_new(self.for_agent("clock").new_request("what time is it?"))
            .await
            .unwrap()
        {
            Accepted::Created { at, .. } => at,
            other => panic!("a new message makes a task: {other:?}"),
        }
    }

    pub async fn details(&self, key: TaskKey) -> RunDetails {
        let details = self.store.run_details(vec![key]).await.unwrap().remove(&key);
        details.expect("the task exists")
    }

    pub async fn claim(&self, worker: WorkerId, limit: u32) -> Vec<ClaimedRun> {
        self.claim_slots(worker, AgentSlots::new(self.agent.clone(), limit)).await
    }

    pub async fn claim_slots(&self, worker: WorkerId, slots: AgentSlots) -> Vec<ClaimedRun> {
        let limit = slots.free;
        self.store.claim(ClaimRequest { worker, slots: vec![slots], limit }).await.unwrap()
    }

    /// Returns slots for the client's agent, with limits.
    pub fn slots(&self, free: u32, limits: ConcurrencyLimits) -> AgentSlots {
        AgentSlots { limits, ..AgentSlots::new(self.agent.clone(), free) }
    }

    /// Claims the only due run.
    pub async fn claim_one(&self) -> RunWriter {
        let worker = self.worker().await;
        let mut claimed = self.claim(worker, 10).await;
        assert_eq!(claimed.len(), 1, "exactly one run is due");
        RunWriter::new(worker, claimed.remove(0))
    }

    /// Creates a task and claims it.
    pub async fn running(&self) -> RunWriter {
        let key = self.accepted().await;
        let run = self.claim_one().await;
        assert_eq!(run.claimed.key, key);
        run
    }

    /// Creates a task that waits for an answer.
    pub async fn parked(&self) -> (TaskKey, RunWriter) {
        let mut run = self.running().await;
        let settle = run.park(ParkedState::InputRequired, "which?");
        let outcome = self.store.settle(settle).await.unwrap();
        assert_eq!(outcome, Settled::Now { last: Seq(3) });
        (run.claimed.key, run)
    }

    pub async fn task(&self, key: TaskKey) -> Task {
        let task = self.store.read_task(key, SnapshotOptions::ALL).await.unwrap();
        task.expect("the task exists")
    }

    pub async fn state(&self, key: TaskKey) -> TaskState {
        self.task(key).await.status.state
    }

    /// Reads all messages page by page from the end, and checks that the pages are contiguous.
    pub async fn history(&self, key: TaskKey) -> Vec<HistoryItem> {
        let mut history = VecDeque::new();
        let mut before = Seq(i64::MAX);
        loop {
            let query = HistoryQuery { before, rows: 7, bytes: 4 << 20 };
            let page = self.store.read_history(key, query).await.unwrap();
            assert!(page.entries.windows(2).all(|pair| pair[0].0 < pair[1].0));
            assert!(page.entries.iter().all(|(seq, _)| *seq < before));
            before = page.entries.first().map_or(before, |(seq, _)| *seq);
            for (seq, body) in page.entries.into_iter().rev() {
                let message = body.message().expect("an entry with a message").clone();
                history.push_front(HistoryItem { seq, message });
            }
            if !page.more {
                return history.into();
            }
        }
    }

    /// Returns the texts of all messages.
    pub async fn texts(&self, key: TaskKey) -> Vec<String> {
        self.history(key).await.iter().map(|item| item.message.text()).collect()
    }

    /// Reads the whole log page by page, and checks that it has no gaps.
    pub async fn log(&self, key: TaskKey) -> Vec<LogEntry> {
        let mut entries: Vec<LogEntry> = Vec::new();
        loop {
            let after = entries.last().map_or(Seq::START, |e| e.seq);
            let limit = ReadLimit { rows: 7, ..ReadLimit::default() };
            let page = self.store.read_log(key, after, limit).await.unwrap();
            let page = page.expect("the task exists");
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
