//! Reads what awaited tasks have grown by, for all of them at once.

use super::Hub;
use futures::StreamExt;
use longhaul_domain::{Seq, TaskKey};
use longhaul_runtime::{Backoff, TaskSet, readiness::Handle};
use longhaul_store::{LogSignal, ReadLimit};
use std::{collections::HashSet, time::Duration};

/// How often all awaited tasks are looked at without a signal.
const POLL: Duration = Duration::from_secs(5);

/// Tasks read at once, and entries of each.
const TASKS: usize = 500;
const LIMIT: ReadLimit = ReadLimit { rows: 200, bytes: 1 << 20 };

/// Starts the hub's work.
pub fn start(hub: &Hub, tasks: &TaskSet, readiness: Handle) {
    let stopped = |work| {
        let stop = tasks.stopping().clone();
        async move { stop.run_until_cancelled(work).await }
    };
    let listening: futures::future::BoxFuture<'static, ()> =
        Box::pin(listen(hub.clone(), readiness));
    let filling: futures::future::BoxFuture<'static, ()> = Box::pin(fill(hub.clone()));
    let polling: futures::future::BoxFuture<'static, ()> = Box::pin(poll(hub.clone()));
    tasks.spawn("hub-listen", stopped(listening));
    tasks.spawn("hub-fill", stopped(filling));
    tasks.spawn("hub-poll", stopped(polling));
}

/// Listens for signals, whatever happens to the connection.
async fn listen(hub: Hub, readiness: Handle) {
    let mut failures = 0;
    loop {
        match hub.0.store.log_signals().await {
            Ok(mut signals) => {
                readiness.set_ok();
                failures = 0;
                while let Some(signal) = signals.next().await {
                    hub.heard(signal);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot listen for changes");
                readiness.set_failed("cannot listen for changes");
            }
        }
        hub.suspect_all();
        tokio::time::sleep(Backoff::RECONNECT.random_delay(failures)).await;
        failures = failures.saturating_add(1);
    }
}

/// Covers signals that were lost.
async fn poll(hub: Hub) {
    loop {
        tokio::time::sleep(POLL).await;
        hub.suspect_all();
    }
}

/// Reads for the topics that are behind. Signals that come meanwhile are served by the next round.
async fn fill(hub: Hub) {
    let mut failures = 0;
    loop {
        let wanted = hub.wanted();
        if wanted.is_empty() {
            hub.0.behind.notified().await;
            continue;
        }
        let asked: HashSet<TaskKey> = wanted.iter().map(|(key, _)| *key).collect();
        match hub.0.store.read_logs(wanted, LIMIT).await {
            Ok(pages) => {
                failures = 0;
                hub.fill(asked, pages);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read what awaited tasks have grown by yet");
                hub.suspect_all();
                tokio::time::sleep(Backoff::RECONNECT.random_delay(failures)).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}

impl Hub {
    fn heard(&self, signal: LogSignal) {
        match signal {
            LogSignal::Grown(grown) => {
                let topics = self.topics();
                let behind = grown
                    .iter()
                    .filter(|(key, to)| topics.get(key).is_some_and(|topic| topic.grown(*to)))
                    .count();
                drop(topics);
                if behind > 0 {
                    self.0.behind.notify_one();
                }
            }
            LogSignal::Missed => self.suspect_all(),
        }
    }

    fn suspect_all(&self) {
        self.topics().values().for_each(|topic| topic.suspect());
        self.0.behind.notify_one();
    }

    /// The tasks to read, and behind which entry.
    fn wanted(&self) -> Vec<(TaskKey, Seq)> {
        let topics = self.topics();
        let wanted = topics.iter().filter_map(|(key, topic)| Some((*key, topic.wanted()?)));
        wanted.take(TASKS).collect()
    }

    fn fill(&self, mut asked: HashSet<TaskKey>, pages: Vec<(TaskKey, longhaul_store::LogPage)>) {
        let topics = self.topics();
        for (key, page) in pages {
            asked.remove(&key);
            if let Some(topic) = topics.get(&key) {
                topic.fill(page.entries, page.last_seq);
            }
        }
        for key in asked {
            if let Some(topic) = topics.get(&key) {
                topic.nothing_new();
            }
        }
    }
}
