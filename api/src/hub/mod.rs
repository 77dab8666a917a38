//! Brings new log entries to those who wait for them on this node.
//!
//! The hub holds one stream of signals and, for every awaited task, a short ring of its latest entries. When tasks have
//! grown it reads the new entries of all of them in one query and puts them into their rings; subscribers take them from
//! there. One that is slow falls out of the ring and reads the log itself, at its own pace: nothing is buffered for it,
//! and nobody waits for it. Signals may be lost; a slow poll of all awaited tasks covers that. Rings and rounds are bounded
//! in entries and in bytes.

mod behind;
#[cfg(feature = "bench")]
pub mod bench;
mod entry;
mod filler;
mod subscription;
mod topic;

pub use entry::Entry;
pub use subscription::Subscription;

use behind::Behind;
use longhaul_domain::{Seq, TaskKey};
use longhaul_runtime::{TaskSet, readiness::ComponentHandle};
use longhaul_store::Store;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};
use tokio::sync::Notify;
use topic::Topic;

/// The hub of a node; clones are the same hub.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    topics: Mutex<HashMap<TaskKey, Arc<Topic>>>,
    /// Topics that are behind their logs. Never locked together with `topics`.
    behind: Mutex<Behind>,
    /// Rung when there are such.
    work: Notify,
}

impl Hub {
    /// Starts the hub; its work goes on until `tasks` is stopped.
    pub fn start(store: Arc<dyn Store>, tasks: &TaskSet, readiness: ComponentHandle) -> Self {
        let hub = Self(Arc::new(Inner {
            store,
            topics: Mutex::default(),
            behind: Mutex::default(),
            work: Notify::new(),
        }));
        filler::start(&hub, tasks, readiness);
        hub
    }

    /// Subscribes to a task before its latest entries are read or even written: what follows `known` will be heard of.
    /// Whoever reads the task afterwards and goes on behind what it read misses nothing.
    pub fn subscribe_ahead(&self, key: TaskKey, known: Seq) -> Subscription {
        self.0.store.follow_logs(&[key]);
        let topic = {
            let mut topics = self.topics();
            let topic = topics.entry(key).or_insert_with(|| Arc::new(Topic::new(known)));
            topic.readers.fetch_add(1, Ordering::Relaxed);
            Arc::clone(topic)
        };
        Subscription::new(self.clone(), key, topic, known)
    }

    /// Subscribes to the entries after a place, of a task that was read before and was at `known` then.
    pub fn subscribe(&self, key: TaskKey, place: Seq, known: Seq) -> Subscription {
        let mut subscription = self.subscribe_ahead(key, known);
        subscription.go_to(place);
        // Signals between the read and now were for nobody.
        subscription.suspect();
        self.look_at([key]);
        subscription
    }

    /// How many tasks are awaited.
    #[cfg(test)]
    pub fn awaited(&self) -> usize {
        self.topics().len()
    }

    /// Takes a topic away that nobody awaits any more.
    fn leave(&self, key: TaskKey, topic: &Topic) {
        let mut topics = self.topics();
        // Counted under the lock: nobody can subscribe between the count and the removal.
        if topic.readers.fetch_sub(1, Ordering::Relaxed) == 1 {
            topics.remove(&key);
        }
    }

    /// Has these topics read, in their turn.
    fn look_at(&self, keys: impl IntoIterator<Item = TaskKey>) {
        let mut behind = self.behind();
        keys.into_iter().for_each(|key| behind.add(key));
        drop(behind);
        self.0.work.notify_one();
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        self.0.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<TaskKey, Arc<Topic>>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
