//! The hub: brings new log entries to the subscribers on this node.
//!
//! It holds one stream of signals and, for each awaited task, a short ring of its latest entries.
//! When tasks have grown, it reads the new entries of all of them in one query and puts them into
//! their rings, from which subscribers take them. A slow subscriber falls out of the ring and reads
//! the log itself, at its own pace: nothing is buffered for it, and no other waits for it. Signals
//! may be lost; a slow poll of all awaited tasks covers that. Rings and rounds are bounded in
//! entries and in bytes.

#[cfg(test)]
mod bench;
mod catch_up_queue;
mod entry;
mod log_reader;
mod subscription;
mod topic;

pub use entry::{EncodingSlot, SharedEntry};
pub use subscription::LogSubscription;

use catch_up_queue::CatchUpQueue;
use longhaul_domain::{Seq, TaskKey};
use longhaul_runtime::{TaskSet, readiness::ComponentHandle};
use longhaul_store::Store;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};
use tokio::sync::Notify;
use topic::Topic;

/// The hub of a node; clones share it.
#[derive(Clone)]
pub struct Hub(Arc<HubInner>);

struct HubInner {
    store: Arc<dyn Store>,
    topics: Mutex<HashMap<TaskKey, Arc<Topic>>>,
    /// Topics that are behind their logs. Never locked together with `topics`.
    behind: Mutex<CatchUpQueue>,
    /// Rung when there are such topics.
    work: Notify,
}

impl Hub {
    /// Starts the hub; its tasks run until `tasks` is stopped.
    pub fn start(store: Arc<dyn Store>, tasks: &TaskSet, readiness: ComponentHandle) -> Self {
        let hub = Self(Arc::new(HubInner {
            store,
            topics: Mutex::default(),
            behind: Mutex::default(),
            work: Notify::new(),
        }));
        log_reader::start(&hub, tasks, readiness);
        hub
    }

    /// Subscribes to a task before its latest entries are read or even written: everything after
    /// `known` is delivered. A caller that then reads the task and continues after what it read
    /// misses nothing.
    pub fn subscribe_ahead(&self, key: TaskKey, known: Seq) -> LogSubscription {
        self.0.store.follow_logs(&[key]);
        let topic = {
            let mut topics = self.topics();
            let topic = topics.entry(key).or_insert_with(|| Arc::new(Topic::new(known)));
            topic.readers.fetch_add(1, Ordering::Relaxed);
            Arc::clone(topic)
        };
        LogSubscription::new(self.clone(), key, topic, known)
    }

    /// Subscribes to the entries after `position`, for a task whose last entry was `known` when it was
    /// read.
    pub fn subscribe(&self, key: TaskKey, position: Seq, known: Seq) -> LogSubscription {
        let mut subscription = self.subscribe_ahead(key, known);
        subscription.go_to(position);
        // Signals between the read and now had no subscriber.
        subscription.suspect();
        self.enqueue([key]);
        subscription
    }

    /// Number of awaited tasks.
    #[cfg(test)]
    pub fn awaited(&self) -> usize {
        self.topics().len()
    }

    /// Removes a topic with its last subscription.
    fn leave(&self, key: TaskKey, topic: &Topic) {
        let mut topics = self.topics();
        // Counted under the lock: nobody can subscribe between the count and the removal.
        if topic.readers.fetch_sub(1, Ordering::Relaxed) == 1 {
            topics.remove(&key);
        }
    }

    /// Queues topics to be read.
    fn enqueue(&self, keys: impl IntoIterator<Item = TaskKey>) {
        let mut behind = self.behind();
        keys.into_iter().for_each(|key| behind.add(key));
        drop(behind);
        // A permit is stored, so a reader that is busy finds it afterwards.
        self.0.work.notify_one();
    }

    fn behind(&self) -> MutexGuard<'_, CatchUpQueue> {
        self.0.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<TaskKey, Arc<Topic>>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
