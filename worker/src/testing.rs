//! A scripted store and other doubles for unit tests.

use crate::settlement::AttemptContext;
use async_trait::async_trait;
use longhaul_dispatch::{WakeHint, Waker};
use longhaul_domain::{
    AgentName, CheckpointName, ContextId, Epoch, Fence, Json, OwnerId, Seq, TaskId, TaskKey,
    TaskState, Timestamp, WorkerId,
};
use longhaul_executor::RunPolicy;
use longhaul_store::{
    Append, Appended, ClaimRequest, ClaimedRun, HeartbeatReply, HistoryPage, HistoryQuery,
    NewWorker, ReapOutcome, ReapRequest, Reaped, Settle, Settled, StoreError, WorkerStore,
};
use std::{
    future::pending,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use uuid::Uuid;

pub fn key(n: u128) -> TaskKey {
    TaskKey { owner: OwnerId(1), task: TaskId::new(Uuid::from_u128(n)) }
}

pub fn fence(n: u128) -> Fence {
    // Both halves of the token differ between fences, as those of random tokens do.
    Fence { epoch: Epoch(1), token: Uuid::from_u128((n << 64) | n) }
}

/// A claimed run with unremarkable facts.
pub fn claimed(n: u128) -> ClaimedRun {
    ClaimedRun {
        key: key(n),
        agent: AgentName::new("agent").unwrap(),
        context: ContextId::new("c").unwrap(),
        created_at: Timestamp::UNIX_EPOCH,
        fence: fence(n),
        attempt: 1,
        turn: 1,
        state: TaskState::Submitted,
        last_seq: Seq(1),
        message_seq: Seq(1),
        opening: None,
        cancel: false,
        waited: Duration::ZERO,
        trace: None,
        deadline: None,
        deadline_in: None,
        has_checkpoints: false,
        losses: 0,
    }
}

/// The context of an unremarkable attempt: the first of three.
pub fn attempt_context(context: &ContextId) -> AttemptContext<'_> {
    AttemptContext {
        task: key(1).task,
        context,
        created_at: Timestamp::UNIX_EPOCH,
        deadline: None,
        attempt: 1,
        policy: RunPolicy::default(),
        direct: false,
        stop_reason: None,
        refusal: None,
        message_id: Uuid::from_u128(2),
        random: 0.5,
    }
}

/// A call of a scripted store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreCall {
    Heartbeat,
    Deregister,
    Register,
    Append(Append),
    Settle(Settle),
    Reap,
}

type ScriptedReply<T> = Box<dyn FnMut() -> longhaul_store::Result<T> + Send>;

/// A store with the replies of a test's script. A call without a script is never answered.
#[derive(Default)]
pub struct ScriptedStore {
    calls: Mutex<Vec<(Instant, StoreCall)>>,
    pub heartbeat: Mutex<Option<ScriptedReply<HeartbeatReply>>>,
    pub append: Mutex<Option<ScriptedReply<Appended>>>,
    pub settle: Mutex<Option<ScriptedReply<Settled>>>,
    pub reap: Mutex<Option<ScriptedReply<ReapOutcome>>>,
    pub held: Mutex<Vec<(TaskKey, Fence)>>,
    pub register_fails: AtomicBool,
}

impl ScriptedStore {
    /// All calls so far.
    pub fn calls(&self) -> Vec<StoreCall> {
        self.calls.lock().unwrap().iter().map(|(_, call)| call.clone()).collect()
    }

    /// The times of all calls of a kind.
    pub fn times(&self, kind: impl Fn(&StoreCall) -> bool) -> Vec<Instant> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(_, call)| kind(call)).map(|(at, _)| *at).collect()
    }

    fn record(&self, call: StoreCall) {
        self.calls.lock().unwrap().push((Instant::now(), call));
    }

    async fn answer<T>(script: &Mutex<Option<ScriptedReply<T>>>) -> longhaul_store::Result<T> {
        let answer = script.lock().unwrap().as_mut().map(|answer| answer());
        match answer {
            Some(answer) => answer,
            None => pending().await,
        }
    }
}

/// Scripts the replies to one method.
pub fn script<T>(
    method: &Mutex<Option<ScriptedReply<T>>>,
    answer: impl FnMut() -> longhaul_store::Result<T> + Send + 'static,
) {
    *method.lock().unwrap() = Some(Box::new(answer));
}

/// The reply of a store that is unavailable.
pub fn unavailable<T>() -> longhaul_store::Result<T> {
    Err(StoreError::unavailable("unavailable"))
}

#[async_trait]
impl WorkerStore for ScriptedStore {
    async fn register_worker(&self, _: NewWorker) -> longhaul_store::Result<()> {
        self.record(StoreCall::Register);
        if self.register_fails.load(Ordering::Relaxed) {
            return Err(StoreError::unavailable("unavailable"));
        }
        Ok(())
    }

    async fn heartbeat(&self, _: WorkerId, _: Duration) -> longhaul_store::Result<HeartbeatReply> {
        self.record(StoreCall::Heartbeat);
        Self::answer(&self.heartbeat).await
    }

    async fn held_runs(&self, _: WorkerId) -> longhaul_store::Result<Vec<(TaskKey, Fence)>> {
        Ok(self.held.lock().unwrap().clone())
    }

    async fn deregister_worker(&self, _: WorkerId) -> longhaul_store::Result<Vec<Reaped>> {
        self.record(StoreCall::Deregister);
        if self.register_fails.load(Ordering::Relaxed) {
            return Err(StoreError::unavailable("unavailable"));
        }
        Ok(Vec::new())
    }

    async fn read_history(
        &self,
        _: TaskKey,
        _: HistoryQuery,
    ) -> longhaul_store::Result<HistoryPage> {
        pending().await
    }

    async fn claim(&self, _: ClaimRequest) -> longhaul_store::Result<Vec<ClaimedRun>> {
        pending().await
    }

    async fn append(&self, append: Append) -> longhaul_store::Result<Appended> {
        self.record(StoreCall::Append(append));
        Self::answer(&self.append).await
    }

    async fn read_checkpoint(
        &self,
        _: TaskKey,
        _: &CheckpointName,
    ) -> longhaul_store::Result<Option<Json>> {
        pending().await
    }

    async fn settle(&self, settle: Settle) -> longhaul_store::Result<Settled> {
        self.record(StoreCall::Settle(settle));
        Self::answer(&self.settle).await
    }

    async fn reap(&self, _: ReapRequest) -> longhaul_store::Result<ReapOutcome> {
        self.record(StoreCall::Reap);
        Self::answer(&self.reap).await
    }
}

/// A waker that records the tasks of its wake-ups.
#[derive(Default)]
pub struct RecordingWaker(pub Mutex<Vec<TaskKey>>);

impl Waker for RecordingWaker {
    fn wake(&self, wake: WakeHint) {
        self.0.lock().unwrap().push(wake.task);
    }
}
