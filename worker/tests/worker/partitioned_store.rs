//! A store behind a network partition: while disconnected, calls of workers are never answered.
//!
//! It records the fence of every write of a run, answered or not.

use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{
    AgentDescriptor, AgentName, BlobHash, CheckpointName, Fence, Json, KeyId, OwnerId, Principal,
    Seq, Task, TaskKey, WorkerId,
};
use longhaul_store::*;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

pub struct PartitionedStore {
    pub inner: Arc<dyn Store>,
    disconnected: watch::Sender<bool>,
    writes: Mutex<Vec<Fence>>,
    registrations: watch::Sender<u32>,
    history_faults: watch::Sender<HashMap<TaskKey, HistoryFault>>,
}

/// A fault of a task's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryFault {
    /// A read of the history hangs.
    Hangs,
    /// The history is corrupt.
    Corrupt,
}

impl PartitionedStore {
    pub fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            disconnected: watch::Sender::new(false),
            writes: Mutex::default(),
            registrations: watch::Sender::new(0),
            history_faults: watch::Sender::default(),
        })
    }

    /// Stops answering, also calls in flight.
    pub fn disconnect(&self) {
        self.disconnected.send_replace(true);
    }

    /// Answers later calls again.
    pub fn reconnect(&self) {
        self.disconnected.send_replace(false);
    }

    /// Sets or clears the fault of a task's history.
    pub fn set_history_fault(&self, key: TaskKey, fault: Option<HistoryFault>) {
        self.history_faults.send_modify(|faults| {
            faults.remove(&key);
            faults.extend(fault.map(|fault| (key, fault)));
        });
    }

    /// The fences of all writes so far, in order.
    pub fn write_fences(&self) -> Vec<Fence> {
        self.writes.lock().unwrap().clone()
    }

    /// Waits until workers have registered `times` times.
    pub async fn wait_registered(&self, times: u32) {
        self.registrations.subscribe().wait_for(|count| *count >= times).await.unwrap();
    }

    /// Awaits a call unless the store is disconnected before it is answered.
    async fn unless_disconnected<T>(&self, call: impl Future<Output = T>) -> T {
        let mut disconnected = self.disconnected.subscribe();
        let disconnects = async { disconnected.wait_for(|is| *is).await.map(drop) };
        tokio::select! {
            biased;
            _ = disconnects => std::future::pending().await,
            answer = call => answer,
        }
    }

    fn record_write(&self, fence: Fence) {
        self.writes.lock().unwrap().push(fence);
    }
}

#[async_trait]
impl WorkerStore for PartitionedStore {
    async fn register_worker(&self, worker: NewWorker) -> Result<()> {
        self.unless_disconnected(self.inner.register_worker(worker)).await?;
        self.registrations.send_modify(|count| *count += 1);
        Ok(())
    }
    async fn heartbeat(&self, worker: WorkerId, lease: Duration) -> Result<HeartbeatReply> {
        self.unless_disconnected(self.inner.heartbeat(worker, lease)).await
    }
    async fn held_runs(&self, worker: WorkerId) -> Result<Vec<(TaskKey, Fence)>> {
        self.unless_disconnected(self.inner.held_runs(worker)).await
    }
    async fn deregister_worker(&self, worker: WorkerId) -> Result<Vec<Reaped>> {
        self.unless_disconnected(self.inner.deregister_worker(worker)).await
    }
    async fn read_history(&self, key: TaskKey, query: HistoryQuery) -> Result<HistoryPage> {
        let mut faults = self.history_faults.subscribe();
        let answers = |faults: &HashMap<TaskKey, HistoryFault>| {
            faults.get(&key) != Some(&HistoryFault::Hangs)
        };
        let fault = faults.wait_for(answers).await.unwrap().get(&key).copied();
        if fault == Some(HistoryFault::Corrupt) {
            let (what, cause) = ("log".to_owned(), "corrupted by the test".to_owned());
            return Err(StoreError::Corrupt { what, cause });
        }
        self.unless_disconnected(self.inner.read_history(key, query)).await
    }
    async fn claim(&self, request: ClaimRequest) -> Result<Vec<ClaimedRun>> {
        self.unless_disconnected(self.inner.claim(request)).await
    }
    async fn append(&self, append: Append) -> Result<Appended> {
        self.record_write(append.fence);
        self.unless_disconnected(self.inner.append(append)).await
    }
    async fn read_checkpoint(&self, key: TaskKey, name: &CheckpointName) -> Result<Option<Json>> {
        self.unless_disconnected(self.inner.read_checkpoint(key, name)).await
    }
    async fn settle(&self, settle: Settle) -> Result<Settled> {
        self.record_write(settle.output.fence);
        self.unless_disconnected(self.inner.settle(settle)).await
    }
    async fn reap(&self, reap: ReapRequest) -> Result<ReapOutcome> {
        self.unless_disconnected(self.inner.reap(reap)).await
    }
}

#[async_trait]
impl IntakeStore for PartitionedStore {
    async fn accept_new(&self, accept: AcceptNew) -> Result<Accepted> {
        self.inner.accept_new(accept).await
    }
    async fn accept_follow_up(&self, accept: AcceptFollowUp) -> Result<FollowedUp> {
        self.inner.accept_follow_up(accept).await
    }
    async fn find_message(&self, owner: OwnerId, dedupe: DedupeKey) -> Result<MessageLookup> {
        self.inner.find_message(owner, dedupe).await
    }
    async fn request_cancel(&self, cancel: RequestCancel) -> Result<CancelRequested> {
        self.inner.request_cancel(cancel).await
    }
}

#[async_trait]
impl ReadStore for PartitionedStore {
    async fn read_task(&self, key: TaskKey, options: SnapshotOptions) -> Result<Option<Task>> {
        self.unless_disconnected(self.inner.read_task(key, options)).await
    }
    async fn read_log(
        &self,
        key: TaskKey,
        after: Seq,
        limit: ReadLimit,
    ) -> Result<Option<LogPage>> {
        self.unless_disconnected(self.inner.read_log(key, after, limit)).await
    }
    async fn read_logs(
        &self,
        cursors: Vec<(TaskKey, Seq)>,
        limit: ReadLimit,
    ) -> Result<Vec<(TaskKey, LogPage)>> {
        self.inner.read_logs(cursors, limit).await
    }
    async fn list_tasks(&self, query: ListQuery) -> Result<TaskPage> {
        self.inner.list_tasks(query).await
    }
    async fn read_blobs(
        &self,
        owner: OwnerId,
        hashes: Vec<BlobHash>,
    ) -> Result<HashMap<BlobHash, Bytes>> {
        self.inner.read_blobs(owner, hashes).await
    }
    async fn run_details(&self, keys: Vec<TaskKey>) -> Result<HashMap<TaskKey, RunDetails>> {
        self.inner.run_details(keys).await
    }
    async fn queue_depth(
        &self,
        agent: &AgentName,
        owner: Option<OwnerId>,
        limit: u32,
    ) -> Result<u32> {
        self.inner.queue_depth(agent, owner, limit).await
    }
}

#[async_trait]
impl OperatorStore for PartitionedStore {
    async fn list_dead_letters(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>> {
        self.inner.list_dead_letters(query).await
    }
    async fn dead_letter(&self, key: TaskKey) -> Result<Option<DeadLetter>> {
        self.inner.dead_letter(key).await
    }
    async fn redrive(&self, redrive: Redrive) -> Result<RedriveOutcome> {
        self.inner.redrive(redrive).await
    }
    async fn dismiss(&self, key: TaskKey) -> Result<bool> {
        self.inner.dismiss(key).await
    }
    async fn queues(&self) -> Result<Vec<QueueRecord>> {
        self.inner.queues().await
    }
    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        self.inner.workers().await
    }
}

#[async_trait]
impl ScheduleStore for PartitionedStore {
    async fn put_schedule(&self, schedule: Schedule) -> Result<bool> {
        self.inner.put_schedule(schedule).await
    }
    async fn schedule(&self, owner: OwnerId, name: &str) -> Result<Option<Schedule>> {
        self.inner.schedule(owner, name).await
    }
    async fn schedules(&self, owner: Option<OwnerId>) -> Result<Vec<Schedule>> {
        self.inner.schedules(owner).await
    }
    async fn delete_schedule(&self, owner: OwnerId, name: &str) -> Result<bool> {
        self.inner.delete_schedule(owner, name).await
    }
    async fn due_schedules(&self, limit: u32) -> Result<DueSchedules> {
        self.inner.due_schedules(limit).await
    }
    async fn fire(&self, fire: FireSchedule) -> Result<FireOutcome> {
        self.inner.fire(fire).await
    }
}

#[async_trait]
impl AgentRegistry for PartitionedStore {
    async fn register_agents(&self, agents: Vec<AgentDescriptor>) -> Result<()> {
        self.unless_disconnected(self.inner.register_agents(agents)).await
    }
    async fn agents(&self) -> Result<Vec<AgentDescriptor>> {
        self.inner.agents().await
    }
}

#[async_trait]
impl KeyStore for PartitionedStore {
    async fn create_key(&self, key: NewKey) -> Result<OwnerId> {
        self.inner.create_key(key).await
    }
    async fn authenticate(&self, hash: [u8; 32]) -> Result<Option<Principal>> {
        self.inner.authenticate(hash).await
    }
    async fn keys(&self, owner: Option<&str>) -> Result<Vec<KeyRecord>> {
        self.inner.keys(owner).await
    }
    async fn revoke_key(&self, id: &KeyId) -> Result<bool> {
        self.inner.revoke_key(id).await
    }
}

#[async_trait]
impl SignalSource for PartitionedStore {
    fn follow_logs(&self, tasks: &[TaskKey]) {
        self.inner.follow_logs(tasks);
    }
    async fn log_signals(&self) -> Result<SignalStream<LogSignal>> {
        self.inner.log_signals().await
    }
    async fn control_signals(&self) -> Result<SignalStream<ControlSignal>> {
        self.inner.control_signals().await
    }
    fn announce(&self, agent: &AgentName, task: TaskKey) {
        self.inner.announce(agent, task);
    }
}

#[async_trait]
impl Store for PartitionedStore {
    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}
