//! Walks at random through a store and through the model of it, side by side: what was explored is what is built.
//!
//! A walk is one task with its workers, its client and its reaper. Writes arrive late, twice, or after somebody else has
//! the run. After every step store and model must have answered alike and stand alike.

use super::kit::{Dice, LONG, REAP, Run, Scene, working};
use crate::{
    Append, CancelRequested, HeartbeatReply, ReapRequest, Reaped, RequestCancel, Settle, Store,
    model::{Cancel, Desk, Due, Entry, Handed, How, Loss, Record, Ticket, Write},
};
use longhaul_domain::{
    CheckpointName, EntryBody, FailureKind, Note, ParkedState, Seq, TaskKey, TaskState,
    TerminalState, WorkerId,
};
use std::{fmt::Debug, sync::Arc, time::Duration};

const WALKS: u64 = 40;
const STEPS: u32 = 48;
const SOON: Duration = Duration::from_millis(1);
const LOSSES: ReapRequest = ReapRequest { max_losses: 3, ..REAP };

pub async fn a_store_and_its_model_agree_on_every_step(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for seed in 0..WALKS {
        let mut walk = Walk::begin(&scene, seed).await;
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

/// A claim, in both worlds.
struct Holder {
    worker: u8,
    ticket: Ticket,
    run: Run,
}

/// A write, in both worlds; it may arrive at any time and more than once.
#[derive(Clone)]
enum Sent {
    Append(Write, Append),
    Settle(Write, How, u8, Settle),
}

struct Walk {
    scene: Scene,
    key: TaskKey,
    dice: Dice,
    record: Record,
    desk: Desk,
    workers: Vec<(WorkerId, bool)>,
    holders: Vec<Holder>,
    sent: Vec<Sent>,
    /// The value of the last checkpoint.
    kept: Option<String>,
    story: Vec<String>,
}

impl Walk {
    async fn begin(scene: &Scene, seed: u64) -> Self {
        let mut desk = Desk::default();
        Self {
            scene: scene.clone(),
            key: scene.accepted().await,
            dice: Dice::new(seed),
            record: Record::accepted(&mut desk),
            desk,
            workers: Vec::new(),
            holders: Vec::new(),
            sent: Vec::new(),
            kept: None,
            story: vec![format!("walk {seed}")],
        }
    }

    /// Checks that both worlds say the same of the last step.
    fn agree<T: PartialEq + Debug>(&self, what: &str, store: &T, model: &T) {
        assert_eq!(store, model, "store and model differ on {what} after {:#?}", self.story);
    }

    fn pick(&mut self, len: usize) -> usize {
        usize::try_from(self.dice.roll(len as u64)).unwrap()
    }

    async fn step(&mut self) {
        match self.dice.roll(20) {
            0 | 1 => self.follow_up().await,
            // What nobody runs would be canceled at once, and the walk over.
            2 if self.record.is_claimed() || self.dice.roll(6) == 0 => self.cancel(LONG).await,
            3 if self.record.is_claimed() && self.dice.roll(3) == 0 => self.cancel(SOON).await,
            3..=7 => self.claim().await,
            8..=13 if !self.holders.is_empty() => self.send().await,
            14 | 15 if !self.sent.is_empty() => {
                let late = self.pick(self.sent.len());
                self.story.push(format!("write {late} arrives again"));
                self.arrive(self.sent[late].clone()).await;
            }
            16 if !self.holders.is_empty() => {
                let at = self.pick(self.holders.len());
                self.holders[at].run.read = Seq(self.record.message_seq.into());
                self.story.push("an executor reads what was said".to_owned());
            }
            17 => self.lose().await,
            18 => self.retire().await,
            _ if self.record.run.is_some_and(|run| run.due == Due::Later) => self.due().await,
            _ => self.claim().await,
        }
    }

    async fn follow_up(&mut self) {
        self.story.push("a message".to_owned());
        let model = self.record.follow_up(&mut self.desk);
        let store = self.scene.follow_up(self.key, "more").await;
        self.agree("a message", &store, &model);
    }

    async fn cancel(&mut self, grace: Duration) {
        self.story.push(format!("a cancel within {grace:?}"));
        let model = self.record.cancel(&mut self.desk);
        let cancel = RequestCancel { key: self.key, grace };
        let store = self.scene.store.request_cancel(cancel).await.unwrap();
        self.agree("a cancel", &store, &model);
        if grace == SOON && matches!(model, CancelRequested::Asked { .. }) {
            if let Some(run) = &mut self.record.run {
                run.cancel = Cancel::Overdue;
            }
            assert!(self.record.force(&mut self.desk));
            let store = self.scene.reaped_as(LOSSES).await;
            self.agree("force", &store, &vec![Reaped::Canceled { key: self.key }]);
        }
    }

    /// A worker that lives, maybe a new one.
    async fn worker(&mut self) -> u8 {
        let living: Vec<usize> = (0..self.workers.len()).filter(|n| self.workers[*n].1).collect();
        let n = if living.is_empty() || self.dice.roll(3) == 0 {
            self.workers.push((self.scene.worker().await, true));
            self.workers.len() - 1
        } else {
            living[self.pick(living.len())]
        };
        u8::try_from(n).unwrap()
    }

    async fn claim(&mut self) {
        let worker = self.worker().await;
        self.story.push(format!("worker {worker} claims"));
        let id = self.workers[usize::from(worker)].0;
        let model = self.record.claim(&self.desk, worker);
        let mut store = self.scene.claim(id, 1).await;
        let store = store.pop().map(|claimed| Run::of(id, claimed));
        self.agree("a claim", &store.is_some(), &model.is_some());
        let (Some(run), Some(handed)) = (store, model) else { return };
        let claimed = &run.claimed;
        let told = (claimed.key, claimed.attempt, claimed.turn, claimed.losses, claimed.cancel);
        let Handed { attempt, turn, losses, .. } = handed;
        let expected = (self.key, attempt.into(), turn.into(), losses.into(), false);
        self.agree("what a claim tells", &told, &expected);
        let told = (claimed.state, claimed.last_seq, run.read, claimed.has_checkpoints);
        let (last, read) = (Seq(handed.last.into()), Seq(handed.read.into()));
        self.agree("what a claim tells", &told, &(handed.state, last, read, self.kept.is_some()));
        for before in &self.holders {
            let (old, new) = (before.run.claimed.fence, claimed.fence);
            assert!(new.epoch > old.epoch && new.token != old.token, "{:#?}", self.story);
        }
        self.holders.push(Holder { worker, ticket: handed.ticket, run });
    }

    /// Some executor writes, mostly the latest one. Others may have lost their run, and do not know it.
    async fn send(&mut self) {
        let last = self.holders.len() - 1;
        let at = if self.dice.roll(4) == 0 { self.pick(last + 1) } else { last };
        let kind = self.dice.roll(16);
        if kind > 4 && self.dice.roll(3) == 0 {
            // A message that comes just before the end.
            self.follow_up().await;
        }
        let holder = &mut self.holders[at];
        let read = u8::try_from(holder.run.read.0).unwrap();
        let run = &mut holder.run;
        let op = u8::try_from(run.op + 1).unwrap();
        let write = Write { ticket: holder.ticket, op, checkpoint: kind == 4 };
        let settle = |how, settle| Sent::Settle(write, how, read, settle);
        let end = |run: &mut Run, state| settle(How::End(state), run.end(state));
        let sent = match kind {
            0..=3 => Sent::Append(write, run.append(vec![working()])),
            4 => Sent::Append(write, run.checkpoint("step", &self.sent.len().to_string(), vec![])),
            5 | 6 => end(run, TerminalState::Completed),
            7 => end(run, TerminalState::Failed),
            8 => end(run, TerminalState::Canceled),
            9..=11 => settle(How::Park, run.park(ParkedState::InputRequired, "which?")),
            12 => settle(How::Retry { later: false }, run.retry(Duration::ZERO)),
            13 => settle(How::Retry { later: true }, run.retry(SOON)),
            _ => settle(How::Release, run.release()),
        };
        self.story.push(format!("write {} of claim {at}: {sent}", self.sent.len()));
        self.sent.push(sent.clone());
        if self.dice.roll(6) > 0 {
            if self.dice.roll(5) == 0 {
                self.story.push("whose answer is lost".to_owned());
                self.arrive(sent.clone()).await;
            }
            self.arrive(sent).await;
        } else {
            self.story.push("which stays on its way".to_owned());
        }
    }

    async fn arrive(&mut self, sent: Sent) {
        match sent {
            Sent::Append(write, append) => {
                let value = append.checkpoints.first().map(|c| c.value.as_str().to_owned());
                let model = self.record.append(&mut self.desk, write);
                let store = self.scene.store.append(append).await.unwrap();
                self.agree("an append", &store, &model);
                if value.is_some() && matches!(store, crate::Appended::Now { .. }) {
                    self.kept = value;
                }
            }
            Sent::Settle(write, how, read, settle) => {
                let model = self.record.settle(&mut self.desk, write, how, read);
                let store = self.scene.store.settle(settle).await.unwrap();
                self.agree("a settle", &store, &model);
            }
        }
    }

    /// The worker that holds the run, if there is one, dies.
    async fn lose(&mut self) {
        let Some((worker, _)) = self.record.run.and_then(|run| run.holder) else { return };
        self.story.push(format!("worker {worker} is lost"));
        let id = self.dies(worker);
        let model = self.record.lose(&mut self.desk, worker, 3);
        self.scene.loses_its_lease(id).await;
        let store = self.scene.reaped_as(LOSSES).await;
        self.agree("a loss", &store, &self.reaped(model));
        let reply = self.scene.store.heartbeat(id, LONG).await.unwrap();
        self.agree("a heartbeat", &reply, &HeartbeatReply::Lost);
    }

    async fn retire(&mut self) {
        let Some(holder) = self.holders.last() else { return };
        let worker = holder.worker;
        if !self.workers[usize::from(worker)].1 {
            return;
        }
        self.story.push(format!("worker {worker} retires"));
        let id = self.dies(worker);
        let model = self.record.retire(&mut self.desk, worker);
        let store = self.scene.store.deregister_worker(id).await.unwrap();
        self.agree("a retirement", &store, &self.reaped(model));
    }

    fn dies(&mut self, worker: u8) -> WorkerId {
        let (id, lives) = &mut self.workers[usize::from(worker)];
        *lives = false;
        *id
    }

    fn reaped(&self, loss: Option<Loss>) -> Vec<Reaped> {
        let (key, agent) = (self.key, self.scene.agent.clone());
        let reaped = loss.map(|loss| match loss {
            Loss::Offered => Reaped::Offered { key, agent },
            Loss::Canceled => Reaped::Canceled { key },
            Loss::Poison => Reaped::Failed { key, because: FailureKind::Poison },
        });
        reaped.into_iter().collect()
    }

    /// The time of the next attempt has come.
    async fn due(&mut self) {
        self.story.push("the next attempt is due".to_owned());
        if let Some(run) = &mut self.record.run {
            run.due = Due::Unseen;
        }
        self.record.promote();
        let store = self.scene.reaped_as(LOSSES).await;
        let due = Reaped::Due { key: self.key, agent: self.scene.agent.clone() };
        self.agree("what is due", &store, &vec![due]);
    }

    /// Checks that both worlds stand alike.
    async fn compare(&self) {
        let task = self.scene.task(self.key).await;
        let model = (self.record.state, self.record.seq());
        self.agree("the state", &(task.status.state, task.last_seq), &model);
        let store = self.scene.facts(self.key).await.queue.map(|q| (q.running, q.losses));
        let model = self.record.run.map(|run| (self.record.is_claimed(), i32::from(run.losses)));
        self.agree("the queue", &store, &model);
    }

    async fn finish(mut self) {
        let log: Vec<Entry> = self.scene.bodies(self.key).await.iter().map(entry).collect();
        self.agree("the log", &log, &self.desk.log);
        let name = CheckpointName::new("step").unwrap();
        let kept = self.scene.store.read_checkpoint(self.key, &name).await.unwrap();
        self.agree("the checkpoint", &kept.map(|kept| kept.as_str().to_owned()), &self.kept);
        let dead = self.scene.store.dead_letter(self.key).await.unwrap().is_some();
        self.agree("the dead letter", &dead, &(self.record.state == TaskState::Failed));
        // Nothing of this walk is left to the next one.
        if !self.record.state.is_terminal() {
            self.cancel(SOON).await;
        }
        for (worker, _) in &self.workers {
            self.scene.store.deregister_worker(*worker).await.unwrap();
        }
    }
}

impl std::fmt::Display for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Append(write, _) => write!(f, "append {write:?}"),
            Self::Settle(write, how, read, _) => write!(f, "{how:?}, read to {read}, {write:?}"),
        }
    }
}

fn entry(body: &EntryBody) -> Entry {
    match body {
        EntryBody::Message(_) => Entry::Message,
        EntryBody::Status(change) => Entry::Status(change.state),
        EntryBody::Note(Note::WorkerLost { .. }) => Entry::WorkerLost,
        EntryBody::Note(Note::CancelRequested) => Entry::CancelRequested,
        other => panic!("nobody wrote this: {other:?}"),
    }
}
