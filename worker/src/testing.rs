//! What the tests of the parts have in common.

use crate::settlement::Facts;
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
    // Both halves differ from those of other fences, as those of random tokens do.
    Fence { epoch: Epoch(1), token: Uuid::from_u128((n << 64) | n) }
}

/// A run of a task that nobody has said anything about.
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

/// An attempt about which nothing is remarkable: the first of three.
pub fn facts(context: &ContextId) -> Facts<'_> {
    Facts {
        task: key(1).task,
        context,
        created_at: Timestamp::UNIX_EPOCH,
        deadline: None,
        attempt: 1,
        policy: RunPolicy::default(),
        direct: false,
        stopped: None,
        refused: None,
        id: Uuid::from_u128(2),
        random: 0.5,
    }
}

/// What a scripted store is asked, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Heartbeat,
    Retire,
    Register,
    Append(Append),
    Settle(Settle),
    Reap,
}

type Answer<T> = Box<dyn FnMut() -> longhaul_store::Result<T> + Send>;

/// A store whose answers a test has written. Where it says nothing, it never answers.
#[derive(Default)]
pub struct Scripted {
    pub asked: Mutex<Vec<(Instant, Asked)>>,
    pub heartbeat: Mutex<Option<Answer<HeartbeatReply>>>,
    pub append: Mutex<Option<Answer<Appended>>>,
    pub settle: Mutex<Option<Answer<Settled>>>,
    pub reap: Mutex<Option<Answer<ReapOutcome>>>,
    pub held: Mutex<Vec<(TaskKey, Fence)>>,
    pub register_fails: AtomicBool,
}

impl Scripted {
    /// Everything asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().map(|(_, asked)| asked.clone()).collect()
    }

    /// When it was asked for something of a kind.
    pub fn times(&self, kind: impl Fn(&Asked) -> bool) -> Vec<Instant> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(_, asked)| kind(asked)).map(|(at, _)| *at).collect()
    }

    fn note(&self, asked: Asked) {
        self.asked.lock().unwrap().push((Instant::now(), asked));
    }

    async fn answer<T>(script: &Mutex<Option<Answer<T>>>) -> longhaul_store::Result<T> {
        let answer = script.lock().unwrap().as_mut().map(|answer| answer());
        match answer {
            Some(answer) => answer,
            None => pending().await,
        }
    }
}

/// Writes a part of a script.
pub fn script<T>(
    part: &Mutex<Option<Answer<T>>>,
    answer: impl FnMut() -> longhaul_store::Result<T> + Send + 'static,
) {
    *part.lock().unwrap() = Some(Box::new(answer));
}

/// A store that is away.
pub fn away<T>() -> longhaul_store::Result<T> {
    Err(StoreError::unavailable("away"))
}

#[async_trait]
impl WorkerStore for Scripted {
    async fn register_worker(&self, _: NewWorker) -> longhaul_store::Result<()> {
        self.note(Asked::Register);
        if self.register_fails.load(Ordering::Relaxed) {
            return Err(StoreError::unavailable("away"));
        }
        Ok(())
    }

    async fn heartbeat(&self, _: WorkerId, _: Duration) -> longhaul_store::Result<HeartbeatReply> {
        self.note(Asked::Heartbeat);
        Self::answer(&self.heartbeat).await
    }

    async fn held_runs(&self, _: WorkerId) -> longhaul_store::Result<Vec<(TaskKey, Fence)>> {
        Ok(self.held.lock().unwrap().clone())
    }

    async fn deregister_worker(&self, _: WorkerId) -> longhaul_store::Result<Vec<Reaped>> {
        self.note(Asked::Retire);
        if self.register_fails.load(Ordering::Relaxed) {
            return Err(StoreError::unavailable("away"));
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
        self.note(Asked::Append(append));
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
        self.note(Asked::Settle(settle));
        Self::answer(&self.settle).await
    }

    async fn reap(&self, _: ReapRequest) -> longhaul_store::Result<ReapOutcome> {
        self.note(Asked::Reap);
        Self::answer(&self.reap).await
    }
}

/// Remembers who is woken.
#[derive(Default)]
pub struct Woken(pub Mutex<Vec<TaskKey>>);

impl Waker for Woken {
    fn wake(&self, wake: WakeHint) {
        self.0.lock().unwrap().push(wake.task);
    }
}
