//! The one law of the record: a snapshot is the fold of the log, at every place, whatever happened.

use super::kit::{Dice, LONG, Run, Scene, chunk, status, working};
use crate::{RequestCancel, SettleAs, SnapshotOptions, Store};
use longhaul_domain::{EntryBody, ParkedState, Seq, Task, TaskKey, TaskState, TerminalState};
use std::{sync::Arc, time::Duration};

/// Tasks that live through random operations.
struct Life {
    scene: Scene,
    dice: Dice,
    keys: Vec<TaskKey>,
    runs: Vec<Run>,
    /// Snapshots as they were read, to be compared with the log at the end.
    seen: Vec<Task>,
}

pub async fn a_snapshot_is_the_fold_of_the_log_at_every_place(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for seed in 0..6 {
        let mut life = Life {
            scene: scene.clone(),
            dice: Dice::new(seed),
            keys: vec![],
            runs: vec![],
            seen: vec![],
        };
        for _ in 0..3 {
            life.keys.push(scene.accepted().await);
        }
        for _ in 0..60 {
            life.step().await;
            life.look().await;
        }
        for seen in &life.seen {
            assert_eq!(*seen, folded(&scene, seen.key, seen.last_seq).await, "seed {seed}");
        }
    }
}

/// The task as its log makes it, up to a place.
async fn folded(scene: &Scene, key: TaskKey, last: Seq) -> Task {
    let entries = scene.log(key).await;
    let now = scene.task(key).await;
    let mut task = Task::begin(key, now.agent, now.context, now.created_at);
    for entry in entries.into_iter().filter(|entry| entry.seq <= last) {
        task.apply(entry).unwrap();
    }
    task
}

impl Life {
    async fn look(&mut self) {
        for key in &self.keys {
            let task = self.scene.task(*key).await;
            if self.seen.last() != Some(&task) {
                self.seen.push(task);
            }
        }
    }

    async fn step(&mut self) {
        let store = Arc::clone(&self.scene.store);
        let at = self.pick(3);
        let key = self.keys[at];
        match self.dice.roll(12) {
            0..=2 => {
                self.scene.follow_up(key, "more").await;
            }
            3..=5 => self.claim().await,
            6..=8 => {
                let entries = self.entries();
                if let Some(mut run) = self.run() {
                    store.append(run.append(entries)).await.unwrap();
                    self.runs.push(run);
                }
            }
            9 | 10 => {
                if let Some(run) = self.run() {
                    self.settle(run).await;
                }
            }
            _ if self.dice.roll(3) == 0 => {
                store.request_cancel(RequestCancel { key, grace: LONG }).await.unwrap();
            }
            _ => {
                if let Some(run) = self.run() {
                    store.deregister_worker(run.worker).await.unwrap();
                }
            }
        }
    }

    async fn claim(&mut self) {
        let worker = self.scene.worker().await;
        let claimed = self.scene.claim(worker, 1).await;
        for claimed in claimed {
            let task = self.scene.task(claimed.key).await;
            let spoken = task.history.len() + usize::from(task.status.message.is_some());
            assert_eq!(self.scene.history(claimed.key).await.len(), spoken);
            assert_eq!((claimed.last_seq, claimed.state), (task.last_seq, task.status.state));
            self.runs.push(Run::of(worker, claimed));
        }
    }

    /// Settles in a way that is legal or not; what is refused leaves no trace.
    async fn settle(&mut self, mut run: Run) {
        let settle = match self.dice.roll(6) {
            0 => run.end(TerminalState::Completed),
            1 => run.end(TerminalState::Failed),
            2 | 3 => run.park(ParkedState::InputRequired, "which?"),
            4 => run.retry(Duration::ZERO),
            _ => {
                let entries = self.entries();
                run.settle(SettleAs::Release, entries)
            }
        };
        self.scene.store.settle(settle).await.unwrap();
    }

    fn entries(&mut self) -> Vec<EntryBody> {
        (0..=self.dice.roll(3))
            .map(|_| match self.dice.roll(5) {
                0 => working(),
                1 => status(TaskState::Working, "going"),
                _ => {
                    let id = ["a", "b", "c"][self.pick(3)];
                    let append = self.dice.roll(3) > 0;
                    chunk(id, &self.dice.roll(100).to_string(), append)
                }
            })
            .collect()
    }

    /// Takes some run; it may have been lost meanwhile.
    fn run(&mut self) -> Option<Run> {
        if self.runs.is_empty() {
            return None;
        }
        let at = self.pick(self.runs.len() as u64);
        Some(self.runs.swap_remove(at))
    }

    fn pick(&mut self, sides: u64) -> usize {
        usize::try_from(self.dice.roll(sides)).unwrap()
    }
}

pub async fn a_snapshot_read_while_the_log_grows_is_whole(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    let (key, store) = (run.key(), Arc::clone(&scene.store));
    let writer = longhaul_runtime::spawn("writer", async move {
        for n in 0..100 {
            let entries = vec![chunk("a", &n.to_string(), n > 0), status(TaskState::Working, "on")];
            store.append(run.append(entries)).await.unwrap();
        }
    });
    let mut seen = Vec::new();
    while !writer.is_finished() {
        seen.push(scene.task(key).await);
    }
    writer.await.unwrap();
    let entries = scene.log(key).await;
    for task in seen.into_iter().step_by(7) {
        let begin = Task::begin(key, task.agent.clone(), task.context.clone(), task.created_at);
        let mut fold = begin;
        for entry in entries.iter().filter(|entry| entry.seq <= task.last_seq) {
            fold.apply(entry.clone()).unwrap();
        }
        assert_eq!(task, fold);
    }
}

pub async fn a_status_never_goes_back_in_time(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    let mut before = scene.task(run.key()).await.status.at;
    for _ in 0..10 {
        scene.store.append(run.append(vec![working()])).await.unwrap();
        let options = SnapshotOptions::STATUS;
        let task = scene.store.read_task(run.key(), options).await.unwrap().unwrap();
        assert!(task.status.at >= before);
        before = task.status.at;
    }
}
