//! Random walks through a store and its model side by side: they show that the store behaves like
//! the explored model.
//!
//! A walk is one task with its workers, its client and its reaper. Writes arrive late, twice, or
//! after another worker has the run. After every step the store and the model must have given the
//! same answer and be in the same state.

use crate::{
    kit::{LONG_LEASE, REAP_ALL, RunWriter, SeededRng, TestClient, working},
    model::{
        CancelState, DueState, LossOutcome, ModelClaim, ModelEntry, ModelFence, ModelLog,
        ModelWrite, SettleKind, TaskModel,
    },
};
use longhaul_domain::{
    CheckpointName, EntryBody, FailureKind, Note, ParkedState, Seq, TaskKey, TaskState,
    TerminalState, WorkerId,
};
use longhaul_store::{
    Append, CancelRequested, HeartbeatReply, ReapRequest, Reaped, RequestCancel, Settle, Store,
};
use std::{fmt::Debug, sync::Arc, time::Duration};

const WALKS: u64 = 40;
const STEPS: u32 = 48;
const SOON: Duration = Duration::from_millis(1);
const LOSSES: ReapRequest = ReapRequest { max_losses: 3, ..REAP_ALL };

pub async fn a_store_and_its_model_agree_on_every_step(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for seed in 0..WALKS {
        let mut walk = Walk::begin(&client, seed).await;
        let mut after_the_end = 0;
        for _ in 0..STEPS {
            walk.step().await;
            walk.compare().await;
            after_the_end += u32::from(walk.record.state.is_terminal());
            if after_the_end > 6 {
                break;
            }
        }
        walk.finish().await;
    }
}

/// A claim, in the store and in the model.
struct Holder {
    worker: u8,
    fence: ModelFence,
    run: RunWriter,
}

/// A write, in the store and in the model. It may arrive at any time and more than once.
#[derive(Clone)]
enum SentWrite {
    Append(ModelWrite, Append),
    Settle(ModelWrite, SettleKind, u8, Settle),
}

struct Walk {
    client: TestClient,
    key: TaskKey,
    rng: SeededRng,
    record: TaskModel,
    log: ModelLog,
    workers: Vec<(WorkerId, bool)>,
    holders: Vec<Holder>,
    sent: Vec<SentWrite>,
    /// Value of the last checkpoint.
    kept: Option<String>,
    trace: Vec<String>,
}

impl Walk {
    async fn begin(client: &TestClient, seed: u64) -> Self {
        let mut log = ModelLog::default();
        Self {
            client: client.clone(),
            key: client.accepted().await,
            rng: SeededRng::new(seed),
            record: TaskModel::accepted(&mut log),
            log,
            workers: Vec::new(),
            holders: Vec::new(),
            sent: Vec::new(),
            kept: None,
            trace: vec![format!("walk {seed}")],
        }
    }

    /// Checks that store and model gave the same result.
    fn agree<T: PartialEq + Debug>(&self, what: &str, store: &T, model: &T) {
        assert_eq!(store, model, "store and model differ on {what} after {:#?}", self.trace);
    }

    fn pick(&mut self, len: usize) -> usize {
        usize::try_from(self.rng.roll(len as u64)).unwrap()
    }

    async fn step(&mut self) {
        match self.rng.roll(20) {
            0 | 1 => self.follow_up().await,
            // A task that no worker runs would be canceled at once, which ends the walk.
            2 if self.record.is_claimed() || self.rng.roll(6) == 0 => self.cancel(LONG_LEASE).await,
            3 if self.record.is_claimed() && self.rng.roll(3) == 0 => self.cancel(SOON).await,
            3..=7 => self.claim().await,
            8..=13 if !self.holders.is_empty() => self.send().await,
            14 | 15 if !self.sent.is_empty() => {
                let late = self.pick(self.sent.len());
                self.trace.push(format!("write {late} arrives again"));
                self.arrive(self.sent[late].clone()).await;
            }
            16 if !self.holders.is_empty() => {
                let at = self.pick(self.holders.len());
                self.holders[at].run.read = Seq(self.record.message_seq.into());
                self.trace.push("an executor reads its messages".to_owned());
            }
            17 => self.lose().await,
            18 => self.retire().await,
            _ if self.record.run.is_some_and(|run| run.due == DueState::Later) => self.due().await,
            _ => self.claim().await,
        }
    }

    async fn follow_up(&mut self) {
        self.trace.push("a message".to_owned());
        let model = self.record.follow_up(&mut self.log);
        let store = self.client.follow_up(self.key, "more").await;
        self.agree("a message", &store, &model);
    }

    async fn cancel(&mut self, grace: Duration) {
        self.trace.push(format!("a cancel within {grace:?}"));
        let model = self.record.cancel(&mut self.log);
        let cancel = RequestCancel { key: self.key, grace };
        let store = self.client.store.request_cancel(cancel).await.unwrap();
        self.agree("a cancel", &store, &model);
        if grace == SOON && matches!(model, CancelRequested::Asked { .. }) {
            if let Some(run) = &mut self.record.run {
                run.cancel = CancelState::Overdue;
            }
            assert!(self.record.force(&mut self.log));
            let store = self.client.reap_until_done_as(LOSSES).await;
            self.agree("force", &store, &vec![Reaped::Canceled { key: self.key }]);
        }
    }

    /// Returns a live worker, perhaps a new one.
    async fn worker(&mut self) -> u8 {
        let living: Vec<usize> = (0..self.workers.len()).filter(|n| self.workers[*n].1).collect();
        let n = if living.is_empty() || self.rng.roll(3) == 0 {
            self.workers.push((self.client.worker().await, true));
            self.workers.len() - 1
        } else {
            living[self.pick(living.len())]
        };
        u8::try_from(n).unwrap()
    }

    async fn claim(&mut self) {
        let worker = self.worker().await;
        self.trace.push(format!("worker {worker} claims"));
        let id = self.workers[usize::from(worker)].0;
        let model = self.record.claim(&self.log, worker);
        let mut store = self.client.claim(id, 1).await;
        let store = store.pop().map(|claimed| RunWriter::new(id, claimed));
        self.agree("a claim", &store.is_some(), &model.is_some());
        let (Some(run), Some(handed)) = (store, model) else { return };
        let claimed = &run.claimed;
        let told = (claimed.key, claimed.attempt, claimed.turn, claimed.losses, claimed.cancel);
        let ModelClaim { attempt, turn, losses, .. } = handed;
        let expected = (self.key, attempt.into(), turn.into(), losses.into(), false);
        self.agree("a claimed run", &told, &expected);
        let told = (claimed.state, claimed.last_seq, run.read, claimed.has_checkpoints);
        let (last, read) = (Seq(handed.last.into()), Seq(handed.read.into()));
        self.agree("a claimed run", &told, &(handed.state, last, read, self.kept.is_some()));
        for before in &self.holders {
            let (old, new) = (before.run.claimed.fence, claimed.fence);
            assert!(new.epoch > old.epoch && new.token != old.token, "{:#?}", self.trace);
        }
        self.holders.push(Holder { worker, fence: handed.fence, run });
    }

    /// Lets an executor write, mostly the latest one. The others may have lost their run without
    /// knowing it.
    async fn send(&mut self) {
        let last = self.holders.len() - 1;
        let at = if self.rng.roll(4) == 0 { self.pick(last + 1) } else { last };
        let kind = self.rng.roll(16);
        if kind > 4 && self.rng.roll(3) == 0 {
            // A message just before the end.
            self.follow_up().await;
        }
        let holder = &mut self.holders[at];
        let read = u8::try_from(holder.run.read.0).unwrap();
        let run = &mut holder.run;
        let op = u8::try_from(run.op + 1).unwrap();
        let write = ModelWrite { fence: holder.fence, op, checkpoint: kind == 4 };
        let settle = |how, settle| SentWrite::Settle(write, how, read, settle);
        let end = |run: &mut RunWriter, state| settle(SettleKind::End(state), run.end(state));
        let sent = match kind {
            0..=3 => SentWrite::Append(write, run.append(vec![working()])),
            4 => SentWrite::Append(
                write,
                run.checkpoint("step", &self.sent.len().to_string(), vec![]),
            ),
            5 | 6 => end(run, TerminalState::Completed),
            7 => end(run, TerminalState::Failed),
            8 => end(run, TerminalState::Canceled),
            9..=11 => settle(SettleKind::Park, run.park(ParkedState::InputRequired, "which?")),
            12 => settle(SettleKind::Retry { later: false }, run.retry(Duration::ZERO)),
            13 => settle(SettleKind::Retry { later: true }, run.retry(SOON)),
            _ => settle(SettleKind::Release, run.release()),
        };
        self.trace.push(format!("write {} of claim {at}: {sent}", self.sent.len()));
        self.sent.push(sent.clone());
        if self.rng.roll(6) > 0 {
            if self.rng.roll(5) == 0 {
                self.trace.push("whose answer is lost".to_owned());
                self.arrive(sent.clone()).await;
            }
            self.arrive(sent).await;
        } else {
            self.trace.push("which stays on its way".to_owned());
        }
    }

    async fn arrive(&mut self, sent: SentWrite) {
        match sent {
            SentWrite::Append(write, append) => {
                let value = append.checkpoints.first().map(|c| c.value.as_str().to_owned());
                let model = self.record.append(&mut self.log, write);
                let store = self.client.store.append(append).await.unwrap();
                self.agree("an append", &store, &model);
                if value.is_some() && matches!(store, longhaul_store::Appended::Now { .. }) {
                    self.kept = value;
                }
            }
            SentWrite::Settle(write, how, read, settle) => {
                let model = self.record.settle(&mut self.log, write, how, read);
                let store = self.client.store.settle(settle).await.unwrap();
                self.agree("a settle", &store, &model);
            }
        }
    }

    /// Kills the worker that holds the run, if there is one.
    async fn lose(&mut self) {
        let Some((worker, _)) = self.record.run.and_then(|run| run.holder) else { return };
        self.trace.push(format!("worker {worker} is lost"));
        let id = self.dies(worker);
        let model = self.record.lose(&mut self.log, worker, 3);
        self.client.expire_lease(id).await;
        let store = self.client.reap_until_done_as(LOSSES).await;
        self.agree("a loss", &store, &self.reaped(model));
        let reply = self.client.store.heartbeat(id, LONG_LEASE).await.unwrap();
        self.agree("a heartbeat", &reply, &HeartbeatReply::Lost);
    }

    async fn retire(&mut self) {
        let Some(holder) = self.holders.last() else { return };
        let worker = holder.worker;
        if !self.workers[usize::from(worker)].1 {
            return;
        }
        self.trace.push(format!("worker {worker} retires"));
        let id = self.dies(worker);
        let model = self.record.retire(&mut self.log, worker);
        let store = self.client.store.deregister_worker(id).await.unwrap();
        self.agree("a retirement", &store, &self.reaped(model));
    }

    fn dies(&mut self, worker: u8) -> WorkerId {
        let (id, lives) = &mut self.workers[usize::from(worker)];
        *lives = false;
        *id
    }

    fn reaped(&self, loss: Option<LossOutcome>) -> Vec<Reaped> {
        let (key, agent) = (self.key, self.client.agent.clone());
        let reaped = loss.map(|loss| match loss {
            LossOutcome::Offered => Reaped::Offered { key, agent },
            LossOutcome::Canceled => Reaped::Canceled { key },
            LossOutcome::Poison => Reaped::Failed { key, because: FailureKind::Poison },
        });
        reaped.into_iter().collect()
    }

    /// Makes the next attempt due.
    async fn due(&mut self) {
        self.trace.push("the next attempt is due".to_owned());
        if let Some(run) = &mut self.record.run {
            run.due = DueState::Unseen;
        }
        self.record.promote();
        let store = self.client.reap_until_done_as(LOSSES).await;
        let due = Reaped::Due { key: self.key, agent: self.client.agent.clone() };
        self.agree("a due run", &store, &vec![due]);
    }

    /// Checks that store and model are in the same state.
    async fn compare(&self) {
        let task = self.client.task(self.key).await;
        let model = (self.record.state, self.record.seq());
        self.agree("the state", &(task.status.state, task.last_seq), &model);
        let store = self.client.details(self.key).await.queue.map(|q| (q.running, q.losses));
        let model = self.record.run.map(|run| (self.record.is_claimed(), i32::from(run.losses)));
        self.agree("the queue", &store, &model);
    }

    async fn finish(mut self) {
        let entries: Vec<ModelEntry> =
            self.client.bodies(self.key).await.iter().map(entry).collect();
        self.agree("the log", &entries, &self.log.entries);
        let name = CheckpointName::new("step").unwrap();
        let kept = self.client.store.read_checkpoint(self.key, &name).await.unwrap();
        self.agree("the checkpoint", &kept.map(|kept| kept.as_str().to_owned()), &self.kept);
        let dead = self.client.store.dead_letter(self.key).await.unwrap().is_some();
        self.agree("the dead letter", &dead, &(self.record.state == TaskState::Failed));
        // Leave nothing of this walk to the next one.
        if !self.record.state.is_terminal() {
            self.cancel(SOON).await;
        }
        for (worker, _) in &self.workers {
            self.client.store.deregister_worker(*worker).await.unwrap();
        }
    }
}

impl std::fmt::Display for SentWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Append(write, _) => write!(f, "append {write:?}"),
            Self::Settle(write, how, read, _) => write!(f, "{how:?}, read to {read}, {write:?}"),
        }
    }
}

fn entry(body: &EntryBody) -> ModelEntry {
    match body {
        EntryBody::Message(_) => ModelEntry::Message,
        EntryBody::Status(change) => ModelEntry::Status(change.state),
        EntryBody::Note(Note::WorkerLost { .. }) => ModelEntry::WorkerLost,
        EntryBody::Note(Note::CancelRequested) => ModelEntry::CancelRequested,
        other => panic!("unexpected entry: {other:?}"),
    }
}
