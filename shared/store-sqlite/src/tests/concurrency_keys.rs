//! Concurrency keys under random operations: no key is used above its limit, and no run waits for a
//! free key.

use super::{REAP, asks, open};
use crate::SqliteStore;
use longhaul_domain::{
    ConcurrencyLimits, EntryBody, OwnerId, ParkedState, Seq, TaskKey, TaskState, TerminalState,
    WorkerId, log::StatusChange,
};
use longhaul_runtime::{Clock, IdSource, ManualClock, SystemIds};
use longhaul_store::{
    AcceptFollowUp, AgentSlots, Append, ClaimRequest, ClaimedRun, IntakeStore, NewWorker,
    RequestCancel, Settle, SettleAs, TaskBudget, WorkerStore,
};
use std::{sync::Arc, time::Duration};

const LEASE: Duration = Duration::from_secs(600);

/// A small random number generator that depends on its seed only.
struct SeededRng(u64);

impl SeededRng {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

struct Play {
    store: Arc<SqliteStore>,
    clock: Arc<ManualClock>,
    rng: SeededRng,
    limit: u32,
    worker: WorkerId,
    running: Vec<ClaimedRun>,
    tasks: Vec<TaskKey>,
}

impl Play {
    async fn registers(&mut self) {
        self.worker = WorkerId::new(SystemIds.uuid_v7());
        let (id, name) = (self.worker, "host/1".to_owned());
        let new = NewWorker { id, name, agents: Vec::new(), lease: LEASE };
        self.store.register_worker(new).await.unwrap();
    }

    async fn accepts(&mut self, text: &str) {
        let mut asks = asks(text, text);
        asks.options.concurrency_key = Some(["a", "b"][self.rng.roll(2)].to_owned());
        asks.options.priority = i16::try_from(self.rng.roll(3)).unwrap();
        asks.options.delay = Duration::from_secs([0, 0, 5][self.rng.roll(3)]);
        self.tasks.push(asks.key);
        self.store.accept_new(asks).await.unwrap();
    }

    async fn claim_all(&mut self) {
        let limits = ConcurrencyLimits { per_key: Some(self.limit), ..ConcurrencyLimits::NONE };
        let slots = AgentSlots { limits, ..AgentSlots::new(asks("m", "m").agent, 3) };
        let request = ClaimRequest { worker: self.worker, slots: vec![slots], limit: 3 };
        self.running.extend(self.store.claim(request).await.unwrap());
    }

    async fn settles(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let run = self.running.swap_remove(self.rng.roll(self.running.len()));
        let (how, last) = match self.rng.roll(6) {
            0 | 1 => (SettleAs::End(TerminalState::Completed), Some(TaskState::Completed)),
            2 => (SettleAs::Park(ParkedState::InputRequired), Some(TaskState::InputRequired)),
            3 => (SettleAs::Retry(Duration::ZERO), None),
            4 => (SettleAs::Retry(Duration::from_secs(7)), None),
            _ => (SettleAs::Release, None),
        };
        let states = std::iter::once(TaskState::Working).chain(last);
        let output = Append {
            key: run.key,
            fence: run.fence,
            op: 1,
            attempt: run.attempt,
            entries: states.map(|state| EntryBody::Status(StatusChange::to(state))).collect(),
            blobs: Vec::new(),
            checkpoints: Vec::new(),
        };
        self.store.settle(Settle { how, read_up_to: Seq(i64::MAX), output }).await.unwrap();
    }

    fn some_task(&mut self) -> Option<TaskKey> {
        // Recent tasks are more often still in the queue.
        let latest = &self.tasks[self.tasks.len().saturating_sub(8)..];
        (!latest.is_empty()).then(|| latest[self.rng.roll(latest.len())])
    }

    async fn pending_step(&mut self, n: usize) {
        match self.rng.roll(12) {
            0..=2 => self.accepts(&format!("task {n}")).await,
            3..=5 => self.claim_all().await,
            6 | 7 => self.settles().await,
            8 => {
                if let Some(key) = self.some_task() {
                    let cancel = RequestCancel { key, grace: Duration::from_secs(3) };
                    self.store.request_cancel(cancel).await.unwrap();
                }
            }
            9 => {
                if let Some(key) = self.some_task() {
                    let text = format!("answer {n}");
                    let accept = asks(&text, &text).accept;
                    self.store
                        .accept_follow_up(AcceptFollowUp {
                            key,
                            accept,
                            budget: TaskBudget::UNLIMITED,
                        })
                        .await
                        .unwrap();
                }
            }
            10 => self.clock.advance(chrono::TimeDelta::seconds(2)),
            _ if self.rng.roll(4) == 0 => {
                if self.rng.roll(2) == 0 {
                    self.store.heartbeat(self.worker, Duration::from_millis(1)).await.unwrap();
                } else {
                    self.store.deregister_worker(self.worker).await.unwrap();
                }
                self.registers().await;
            }
            _ => self.limit = [1, 2][self.rng.roll(2)],
        }
        if self.rng.roll(3) == 0 {
            self.store.reap(REAP).await.unwrap();
        }
        self.check(n).await;
    }

    /// Checks every key for which runs wait, and every key in use.
    async fn check(&self, n: usize) {
        let rows = self.store.readers.read(|conn| {
            let sql = "SELECT concurrency_key, sum(worker IS NOT NULL), sum(worker IS NULL AND stage = 0), sum(stage = 2)
                       FROM runs GROUP BY concurrency_key";
            crate::db::all(conn, sql, (), |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, u32>(2)?, row.get::<_, u32>(3)?))
            })
        });
        for (key, running, ready, held_back) in rows.await.unwrap() {
            assert!(running <= 2, "step {n}: {running} runs of {key}");
            assert!(
                held_back == 0 || running + ready > 0,
                "step {n}: {held_back} runs wait for {key}, which no run holds"
            );
        }
    }
}

async fn play(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    clock.advance(chrono::TimeDelta::days(1));
    let store = open(folder.path(), Arc::clone(&clock) as Arc<dyn Clock>).await;
    let worker = WorkerId::new(SystemIds.uuid_v7());
    let (running, tasks) = (Vec::new(), Vec::new());
    let mut play = Play { store, clock, rng: SeededRng(seed), limit: 1, worker, running, tasks };
    play.registers().await;
    for n in 0..300 {
        play.pending_step(n).await;
    }
    let done = play.tasks.len();
    assert!(done > 10, "something was played: {done} tasks of {:?}", OwnerId::LOCAL);
}

#[tokio::test]
async fn keys_are_never_overused_and_never_orphaned() {
    for seed in 0..5 {
        play(seed).await;
    }
}

#[tokio::test]
async fn a_key_passes_on_when_the_next_run_is_canceled() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    clock.advance(chrono::TimeDelta::days(1));
    let store = open(folder.path(), Arc::clone(&clock) as Arc<dyn Clock>).await;
    let worker = WorkerId::new(SystemIds.uuid_v7());
    let (running, tasks) = (Vec::new(), Vec::new());
    let mut play = Play { store, clock, rng: SeededRng(1), limit: 1, worker, running, tasks };
    play.registers().await;
    for text in ["first", "second", "third"] {
        let mut asks = asks(text, text);
        asks.options.concurrency_key = Some("a".to_owned());
        play.tasks.push(asks.key);
        play.store.accept_new(asks).await.unwrap();
    }
    play.claim_all().await;
    assert_eq!(play.running.len(), 1, "two are held back");
    // Both leave the queue: the run in progress and the one that had become ready.
    for key in [play.tasks[0], play.tasks[1]] {
        let cancel = RequestCancel { key, grace: Duration::ZERO };
        play.store.request_cancel(cancel).await.unwrap();
        play.store.reap(REAP).await.unwrap();
        play.check(0).await;
    }
    play.running.clear();
    play.claim_all().await;
    assert_eq!(play.running[0].key, play.tasks[2]);
}
