//! The law of the record: a snapshot is the fold of the log, at every entry, whatever happened.

use crate::kit::{LONG_LEASE, RunWriter, SeededRng, TestClient, chunk, status, working};
use longhaul_domain::{EntryBody, ParkedState, Seq, Task, TaskKey, TaskState, TerminalState};
use longhaul_store::{RequestCancel, SettleAs, SnapshotOptions, Store};
use std::{sync::Arc, time::Duration};

/// Tasks under random operations.
struct Life {
    client: TestClient,
    rng: SeededRng,
    keys: Vec<TaskKey>,
    runs: Vec<RunWriter>,
    /// Snapshots as they were read, to compare with the log at the end.
    seen: Vec<Task>,
}

pub async fn a_snapshot_is_the_fold_of_the_log_at_every_place(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for seed in 0..6 {
        let mut life = Life {
            client: client.clone(),
            rng: SeededRng::new(seed),
            keys: vec![],
            runs: vec![],
            seen: vec![],
        };
        for _ in 0..3 {
            life.keys.push(client.accepted().await);
        }
        for _ in 0..60 {
            life.step().await;
            life.look().await;
        }
        for seen in &life.seen {
            assert_eq!(*seen, folded(&client, seen.key, seen.last_seq).await, "seed {seed}");
        }
    }
}

/// Folds the log of a task up to an entry.
async fn folded(client: &TestClient, key: TaskKey, last: Seq) -> Task {
    let entries = client.log(key).await;
    let now = client.task(key).await;
    let mut task = Task::begin(key, now.agent, now.context, now.created_at);
    for entry in entries.into_iter().filter(|entry| entry.seq <= last) {
        task.apply(entry).unwrap();
    }
    task
}

impl Life {
    async fn look(&mut self) {
        for key in &self.keys {
            let task = self.client.task(*key).await;
            if self.seen.last() != Some(&task) {
                self.seen.push(task);
            }
        }
    }

    async fn step(&mut self) {
        let store = Arc::clone(&self.client.store);
        let at = self.pick(3);
        let key = self.keys[at];
        match self.rng.roll(12) {
            0..=2 => {
                self.client.follow_up(key, "more").await;
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
            _ if self.rng.roll(3) == 0 => {
                store.request_cancel(RequestCancel { key, grace: LONG_LEASE }).await.unwrap();
            }
            _ => {
                if let Some(run) = self.run() {
                    store.deregister_worker(run.worker).await.unwrap();
                }
            }
        }
    }

    async fn claim(&mut self) {
        let worker = self.client.worker().await;
        let claimed = self.client.claim(worker, 1).await;
        for claimed in claimed {
            let task = self.client.task(claimed.key).await;
            let spoken = task.history.len() + usize::from(task.status.message.is_some());
            assert_eq!(self.client.history(claimed.key).await.len(), spoken);
            assert_eq!((claimed.last_seq, claimed.state), (task.last_seq, task.status.state));
            self.runs.push(RunWriter::new(worker, claimed));
        }
    }

    /// Settles a run in a legal or illegal way; a refused settle leaves no trace.
    async fn settle(&mut self, mut run: RunWriter) {
        let settle = match self.rng.roll(6) {
            0 => run.end(TerminalState::Completed),
            1 => run.end(TerminalState::Failed),
            2 | 3 => run.park(ParkedState::InputRequired, "which?"),
            4 => run.retry(Duration::ZERO),
            _ => {
                let entries = self.entries();
                run.settle(SettleAs::Release, entries)
            }
        };
        self.client.store.settle(settle).await.unwrap();
    }

    fn entries(&mut self) -> Vec<EntryBody> {
        (0..=self.rng.roll(3))
            .map(|_| match self.rng.roll(5) {
                0 => working(),
                1 => status(TaskState::Working, "going"),
                _ => {
                    let id = ["a", "b", "c"][self.pick(3)];
                    let append = self.rng.roll(3) > 0;
                    chunk(id, &self.rng.roll(100).to_string(), append)
                }
            })
            .collect()
    }

    /// Takes one of the runs, which may have been lost meanwhile.
    fn run(&mut self) -> Option<RunWriter> {
        if self.runs.is_empty() {
            return None;
        }
        let at = self.pick(self.runs.len() as u64);
        Some(self.runs.swap_remove(at))
    }

    fn pick(&mut self, sides: u64) -> usize {
        usize::try_from(self.rng.roll(sides)).unwrap()
    }
}

pub async fn a_snapshot_read_while_the_log_grows_is_consistent(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let (key, store) = (run.key(), Arc::clone(&client.store));
    let writer = longhaul_runtime::spawn("writer", async move {
        for n in 0..100 {
            let entries = vec![chunk("a", &n.to_string(), n > 0), status(TaskState::Working, "on")];
            store.append(run.append(entries)).await.unwrap();
        }
    });
    let mut seen = Vec::new();
    while !writer.is_finished() {
        seen.push(client.task(key).await);
    }
    writer.await.unwrap();
    let entries = client.log(key).await;
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
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let mut before = client.task(run.key()).await.status.at;
    for _ in 0..10 {
        client.store.append(run.append(vec![working()])).await.unwrap();
        let options = SnapshotOptions::STATUS;
        let task = client.store.read_task(run.key(), options).await.unwrap().unwrap();
        assert!(task.status.at >= before);
        before = task.status.at;
    }
}
