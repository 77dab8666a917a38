//! A store that can stop answering workers, as one that is cut off does: what is asked meanwhile is never answered.
//!
//! It remembers every write of a run that was sent to it, answered or not.

use async_trait::async_trait;
use bytes::Bytes;
use longhaul_domain::{
    AgentDescriptor, AgentName, BlobHash, CheckpointName, Fence, Json, KeyId, OwnerId, Principal,
    Seq, Task, TaskId, TaskKey, WorkerId,
};
use longhaul_store::*;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

pub struct Veil {
    pub inner: Arc<dyn Store>,
    down: watch::Sender<bool>,
    writes: Mutex<Vec<Fence>>,
    registered: watch::Sender<u32>,
    histories: watch::Sender<HashMap<TaskKey, Trouble>>,
}

/// What is wrong with the history of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Reading it never ends.
    Endless,
    /// It cannot be understood.
    Corrupt,
}

impl Veil {
    pub fn over(inner: Arc<dyn Store>) -> Arc<Self> {
        let (down, registered) = (watch::Sender::new(false), watch::Sender::new(0));
        let histories = watch::Sender::default();
        Arc::new(Self { inner, down, writes: Mutex::default(), registered, histories })
    }

    /// From now on nothing is answered.
    pub fn go_down(&self) {
        self.down.send_replace(true);
    }

    /// What is asked from now on is answered again.
    pub fn come_up(&self) {
        self.down.send_replace(false);
    }

    /// From now on the history of this task is hard to read, or again as easy as any.
    pub fn trouble(&self, key: TaskKey, trouble: Option<Trouble>) {
        self.histories.send_modify(|histories| {
            histories.remove(&key);
            histories.extend(trouble.map(|trouble| (key, trouble)));
        });
    }

    /// The fences of all writes so far.
    pub fn writes(&self) -> Vec<Fence> {
        self.writes.lock().unwrap().clone()
    }

    /// Waits until workers have registered so often.
    pub async fn registered(&self, times: u32) {
        self.registered.subscribe().wait_for(|count| *count >= times).await.unwrap();
    }

    /// Never ends for what is asked while it is down, nor for what is under way when it goes down.
    async fn through<T>(&self, call: impl Future<Output = T>) -> T {
        let mut down = self.down.subscribe();
        let goes_down = async { down.wait_for(|down| *down).await.map(drop) };
        tokio::select! {
            biased;
            _ = goes_down => std::future::pending().await,
            answer = call => answer,
        }
    }

    fn wrote(&self, fence: Fence) {
        self.writes.lock().unwrap().push(fence);
    }
}

#[async_trait]
impl WorkerStore for Veil {
    async fn register_worker(&self, worker: NewWorker) -> Result<()> {
        self.through(self.inner.register_worker(worker)).await?;
        self.registered.send_modify(|count| *count += 1);
        Ok(())
    }
    async fn heartbeat(&self, worker: WorkerId, lease: Duration) -> Result<HeartbeatReply> {
        self.through(self.inner.heartbeat(worker, lease)).await
    }
    async fn held_runs(&self, worker: WorkerId) -> Result<Vec<(TaskKey, Fence)>> {
        self.through(self.inner.held_runs(worker)).await
    }
    async fn deregister_worker(&self, worker: WorkerId) -> Result<Vec<Reaped>> {
        self.through(self.inner.deregister_worker(worker)).await
    }
    async fn read_history(&self, key: TaskKey, query: HistoryQuery) -> Result<HistoryPage> {
        let mut histories = self.histories.subscribe();
        let is_over = |all: &HashMap<TaskKey, Trouble>| all.get(&key) != Some(&Trouble::Endless);
        let trouble = histories.wait_for(is_over).await.unwrap().get(&key).copied();
        if trouble == Some(Trouble::Corrupt) {
            let (what, cause) = ("log".to_owned(), "not what it was".to_owned());
            return Err(StoreError::Corrupt { what, cause });
        }
        self.through(self.inner.read_history(key, query)).await
    }
    async fn claim(&self, request: ClaimRequest) -> Result<Vec<ClaimedRun>> {
        self.through(self.inner.claim(request)).await
    }
    async fn append(&self, append: Append) -> Result<Appended> {
        self.wrote(append.fence);
        self.through(self.inner.append(append)).await
    }
    async fn read_checkpoint(&self, key: TaskKey, name: &CheckpointName) -> Result<Option<Json>> {
        self.through(self.inner.read_checkpoint(key, name)).await
    }
    async fn settle(&self, settle: Settle) -> Result<Settled> {
        self.wrote(settle.output.fence);
        self.through(self.inner.settle(settle)).await
    }
    async fn reap(&self, reap: ReapRequest) -> Result<ReapOutcome> {
        self.through(self.inner.reap(reap)).await
    }
}

#[async_trait]
impl IntakeStore for Veil {
    async fn accept_new(&self, accept: AcceptNew) -> Result<Accepted> {
        self.inner.accept_new(accept).await
    }
    async fn accept_follow_up(&self, accept: AcceptFollowUp) -> Result<FollowedUp> {
        self.inner.accept_follow_up(accept).await
    }
    async fn request_cancel(&self, cancel: RequestCancel) -> Result<CancelRequested> {
        self.inner.request_cancel(cancel).await
    }
}

#[async_trait]
impl ReadStore for Veil {
    async fn read_task(&self, key: TaskKey, options: SnapshotOptions) -> Result<Option<Task>> {
        self.through(self.inner.read_task(key, options)).await
    }
    async fn read_log(
        &self,
        key: TaskKey,
        after: Seq,
        limit: ReadLimit,
    ) -> Result<Option<LogPage>> {
        self.through(self.inner.read_log(key, after, limit)).await
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
    async fn agent_of(&self, owner: OwnerId, task: TaskId) -> Result<Option<AgentName>> {
        self.inner.agent_of(owner, task).await
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
impl OperatorStore for Veil {
    async fn dead(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>> {
        self.inner.dead(query).await
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
impl ScheduleStore for Veil {
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
impl AgentRegistry for Veil {
    async fn register_agents(&self, agents: Vec<AgentDescriptor>) -> Result<()> {
        self.through(self.inner.register_agents(agents)).await
    }
    async fn agents(&self) -> Result<Vec<AgentDescriptor>> {
        self.inner.agents().await
    }
}

#[async_trait]
impl KeyStore for Veil {
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
impl SignalSource for Veil {
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
impl Store for Veil {
    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}
