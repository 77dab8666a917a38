//! Reads what awaited tasks have grown by, for all of them at once.

use super::{Hub, topic::Topic};
use futures::StreamExt;
use longhaul_domain::{Seq, SignalChannel, TaskKey};
use longhaul_runtime::{Backoff, TaskSet, readiness::ComponentHandle};
use longhaul_store::{LogPage, LogSignal, ReadLimit};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// How often all awaited tasks are looked at without a signal.
const POLL: Duration = Duration::from_secs(5);

/// Tasks read at once, entries of each, and bytes: of all of them, and of one at most and at least.
const TASKS: usize = 500;
const ROWS: u32 = 200;
const ROUND_BYTES: u64 = 16 << 20;
const MOST_BYTES: u64 = 1 << 20;
const LEAST_BYTES: u64 = 32 << 10;

/// Starts the hub's work.
pub fn start(hub: &Hub, tasks: &TaskSet, readiness: ComponentHandle) {
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
async fn listen(hub: Hub, readiness: ComponentHandle) {
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
        tokio::time::sleep(Backoff::DATABASE.random_delay(failures)).await;
        failures = failures.saturating_add(1);
    }
}

/// Covers signals that were lost.
async fn poll(hub: Hub) {
    loop {
        tokio::time::sleep(POLL).await;
        hub.follow_all();
        hub.suspect_all();
    }
}

/// Reads for the topics that are behind. Signals that come meanwhile are served by a later round.
async fn fill(hub: Hub) {
    let mut failures = 0;
    loop {
        let wanted = hub.wanted();
        if wanted.is_empty() {
            hub.0.work.notified().await;
            continue;
        }
        let asked: Vec<TaskKey> = wanted.iter().map(|(key, _)| *key).collect();
        let limit = limit(wanted.len());
        match hub.0.store.read_logs(wanted, limit).await {
            Ok(pages) => {
                failures = 0;
                hub.fill(asked, pages);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read what awaited tasks have grown by yet");
                hub.suspect_all();
                tokio::time::sleep(Backoff::DATABASE.random_delay(failures)).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}

/// How much is read of each of so many tasks: together they stay within a budget.
fn limit(tasks: usize) -> ReadLimit {
    let share = ROUND_BYTES / (tasks as u64).max(1);
    ReadLimit { rows: ROWS, bytes: share.clamp(LEAST_BYTES, MOST_BYTES) }
}

impl Hub {
    fn heard(&self, signal: LogSignal) {
        match signal {
            LogSignal::Grown(grown) => {
                let topics = self.topics();
                let awaited = |key: &TaskKey, to| topics.get(key).is_some_and(|t| t.grown(to));
                let behind: Vec<TaskKey> =
                    grown.iter().filter(|(key, to)| awaited(key, *to)).map(|(k, _)| *k).collect();
                drop(topics);
                if !behind.is_empty() {
                    self.look_at(behind);
                }
            }
            LogSignal::Joined(channel) => {
                self.suspect_where(|key| SignalChannel::for_task(key.task) == channel);
            }
            LogSignal::Missed => self.suspect_all(),
        }
    }

    /// Says again which tasks are followed here.
    fn follow_all(&self) {
        let keys: Vec<TaskKey> = self.topics().keys().copied().collect();
        self.0.store.follow_logs(&keys);
    }

    fn suspect_all(&self) {
        self.suspect_where(|_| true);
    }

    fn suspect_where(&self, fits: impl Fn(&TaskKey) -> bool) {
        let topics = self.topics();
        let suspects = topics.iter().filter(|(key, _)| fits(key));
        let keys: Vec<TaskKey> =
            suspects.inspect(|(_, topic)| topic.suspect()).map(|(k, _)| *k).collect();
        drop(topics);
        if !keys.is_empty() {
            self.look_at(keys);
        }
    }

    /// The tasks to read next, and behind which entry.
    fn wanted(&self) -> Vec<(TaskKey, Seq)> {
        loop {
            let next = self.behind().take(TASKS);
            if next.is_empty() {
                return Vec::new();
            }
            let topics = self.topics();
            let wanted: Vec<(TaskKey, Seq)> = next
                .into_iter()
                .filter_map(|key| Some((key, topics.get(&key)?.wanted()?)))
                .collect();
            drop(topics);
            if !wanted.is_empty() {
                return wanted;
            }
        }
    }

    fn fill(&self, asked: Vec<TaskKey>, pages: Vec<(TaskKey, LogPage)>) {
        // Subscribing goes on while many readers are rung.
        let mut awaited: HashMap<TaskKey, Arc<Topic>> = {
            let topics = self.topics();
            let topic = |key| Some((key, Arc::clone(topics.get(&key)?)));
            asked.into_iter().filter_map(topic).collect()
        };
        let mut behind = Vec::new();
        let mut served = |key, topic: &Topic| {
            if topic.is_behind() {
                behind.push(key);
            }
        };
        for (key, page) in pages {
            if let Some(topic) = awaited.remove(&key) {
                topic.fill(page.entries, page.last_seq);
                served(key, &topic);
            }
        }
        for (key, topic) in awaited {
            topic.nothing_new();
            served(key, &topic);
        }
        if !behind.is_empty() {
            self.look_at(behind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_tasks_together_read_no_more_than_a_few_in_bytes() {
        assert_eq!(limit(1).bytes, MOST_BYTES);
        assert_eq!(limit(16).bytes * 16, ROUND_BYTES);
        assert!(limit(TASKS).bytes * TASKS as u64 <= ROUND_BYTES);
    }
}
