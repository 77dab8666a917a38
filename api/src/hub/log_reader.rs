//! Background tasks of the hub: listening for signals, and reading new log entries for all awaited
//! tasks at once.

use super::{
    Hub,
    topic::{Topic, ring_share_bytes},
};
use futures::StreamExt;
use longhaul_domain::{Seq, SignalChannel, TaskKey};
use longhaul_runtime::{Backoff, TaskSet, readiness::ComponentHandle};
use longhaul_store::{LogPage, LogSignal, ReadLimit};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Interval at which all awaited tasks are read without a signal.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Tasks read per round, entries per task, and bytes: per round, and per task at most and at least.
const MAX_TASKS_PER_ROUND: usize = 500;
const MAX_ENTRIES_PER_TASK: u32 = 200;
const MAX_BYTES_PER_ROUND: u64 = 16 << 20;
const MAX_BYTES_PER_TASK: u64 = 1 << 20;
const MIN_BYTES_PER_TASK: u64 = 32 << 10;

/// Starts the background tasks.
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

/// Listens for signals and reconnects when the connection fails.
async fn listen(hub: Hub, readiness: ComponentHandle) {
    let mut failures = 0;
    loop {
        match hub.0.store.log_signals().await {
            Ok(mut signals) => {
                readiness.set_ok();
                failures = 0;
                while let Some(signal) = signals.next().await {
                    hub.on_signal(signal);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "signal listener failed");
                readiness.set_failed("signal listener failed");
            }
        }
        // Signals sent while nobody listened are lost.
        hub.mark_all_suspect();
        tokio::time::sleep(Backoff::DATABASE.random_delay(failures)).await;
        failures = failures.saturating_add(1);
    }
}

/// Covers lost signals: marks every topic suspect from time to time.
async fn poll(hub: Hub) {
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        // The store may have lost the list with its connection.
        hub.follow_every_task();
        hub.mark_all_suspect();
        hub.trim_rings();
    }
}

/// Reads for the topics that are behind. Signals that arrive meanwhile are served by a later round.
async fn fill(hub: Hub) {
    let mut failures = 0;
    loop {
        let reads = hub.next_reads();
        if reads.is_empty() {
            hub.0.work.notified().await;
            continue;
        }
        let keys: Vec<TaskKey> = reads.iter().map(|(key, _)| *key).collect();
        let task_limit = task_limit(reads.len());
        match hub.0.store.read_logs(reads, task_limit).await {
            Ok(pages) => {
                failures = 0;
                hub.fill(keys, pages);
            }
            Err(error) => {
                tracing::warn!(%error, "log read failed");
                hub.mark_all_suspect();
                tokio::time::sleep(Backoff::DATABASE.random_delay(failures)).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}

/// Limit of one task in a round of `tasks`, so that all of them stay within the round's bytes.
fn task_limit(tasks: usize) -> ReadLimit {
    let share = MAX_BYTES_PER_ROUND / (tasks as u64).max(1);
    ReadLimit {
        rows: MAX_ENTRIES_PER_TASK,
        bytes: share.clamp(MIN_BYTES_PER_TASK, MAX_BYTES_PER_TASK),
    }
}

impl Hub {
    fn on_signal(&self, signal: LogSignal) {
        match signal {
            LogSignal::Grown(grown) => {
                let topics = self.topics();
                let awaited = |key: &TaskKey, to| topics.get(key).is_some_and(|t| t.grown(to));
                let behind: Vec<TaskKey> =
                    grown.iter().filter(|(key, to)| awaited(key, *to)).map(|(k, _)| *k).collect();
                // `behind` is locked next, and never together with `topics`.
                drop(topics);
                if !behind.is_empty() {
                    self.enqueue(behind);
                }
            }
            LogSignal::Joined(channel) => {
                self.mark_suspect_where(|key| SignalChannel::for_task(key.task) == channel);
            }
            LogSignal::Missed => self.mark_all_suspect(),
        }
    }

    /// Repeats to the store which tasks are followed here.
    fn follow_every_task(&self) {
        let keys: Vec<TaskKey> = self.topics().keys().copied().collect();
        self.0.store.follow_logs(&keys);
    }

    fn mark_all_suspect(&self) {
        self.mark_suspect_where(|_| true);
    }

    fn mark_suspect_where(&self, fits: impl Fn(&TaskKey) -> bool) {
        let topics = self.topics();
        let suspects = topics.iter().filter(|(key, _)| fits(key));
        let keys: Vec<TaskKey> =
            suspects.inspect(|(_, topic)| topic.suspect()).map(|(k, _)| *k).collect();
        drop(topics);
        if !keys.is_empty() {
            self.enqueue(keys);
        }
    }

    /// The tasks to read next, each with the last entry already read.
    fn next_reads(&self) -> Vec<(TaskKey, Seq)> {
        loop {
            let next = self.behind().take(MAX_TASKS_PER_ROUND);
            if next.is_empty() {
                return Vec::new();
            }
            let topics = self.topics();
            let reads: Vec<(TaskKey, Seq)> = next
                .into_iter()
                .filter_map(|key| Some((key, topics.get(&key)?.read_position()?)))
                .collect();
            drop(topics);
            if !reads.is_empty() {
                return reads;
            }
        }
    }

    /// Trims rings to their share, which has shrunk since they were filled where topics were added.
    fn trim_rings(&self) {
        let topics: Vec<Arc<Topic>> = self.topics().values().cloned().collect();
        let share = ring_share_bytes(topics.len());
        for topic in topics {
            topic.trim(share);
        }
    }

    fn fill(&self, keys: Vec<TaskKey>, pages: Vec<(TaskKey, LogPage)>) {
        // Topics are cloned out of the map: subscribing goes on while many readers are notified.
        let (mut awaited, share): (HashMap<TaskKey, Arc<Topic>>, u64) = {
            let topics = self.topics();
            let topic = |key| Some((key, Arc::clone(topics.get(&key)?)));
            (keys.into_iter().filter_map(topic).collect(), ring_share_bytes(topics.len()))
        };
        let mut behind = Vec::new();
        let mut served = |key, topic: &Topic| {
            if topic.is_behind() {
                behind.push(key);
            }
        };
        for (key, page) in pages {
            if let Some(topic) = awaited.remove(&key) {
                topic.fill(page.entries, page.last_seq, share);
                served(key, &topic);
            }
        }
        for (key, topic) in awaited {
            // No page: nothing follows, or the log cannot be read.
            topic.found_nothing_new();
            served(key, &topic);
        }
        if !behind.is_empty() {
            self.enqueue(behind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_tasks_together_stay_within_the_bytes_of_a_round() {
        assert_eq!(task_limit(1).bytes, MAX_BYTES_PER_TASK);
        assert_eq!(task_limit(16).bytes * 16, MAX_BYTES_PER_ROUND);
        assert!(
            task_limit(MAX_TASKS_PER_ROUND).bytes * MAX_TASKS_PER_ROUND as u64
                <= MAX_BYTES_PER_ROUND
        );
    }
}
