//! The in-process dispatcher, for the embedded mode.
//!
//! Guarantee: it never blocks, holds a bounded number of hints per agent (the oldest are dropped
//! first) and at most one per task. Hints are in memory only: after a crash, the restarted process
//! polls its store.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use longhaul_domain::{AgentName, TaskKey};
use tokio::sync::Notify;

use crate::{
    Delivery, DeliveryDecision, Dispatch, DispatchCounts, DispatchError, WakeHint, WakeSource,
    Waker, counters::Counters,
};

/// The dispatcher of a single process.
pub struct LocalDispatch {
    hub: Arc<LocalHub>,
}

impl LocalDispatch {
    /// Default maximum number of waiting hints per agent.
    pub const DEFAULT_CAPACITY: usize = 1024;

    /// Creates a dispatcher for up to [`LocalDispatch::DEFAULT_CAPACITY`] hints per agent.
    pub fn new() -> Self {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }

    /// Creates a dispatcher for up to `capacity` hints per agent, at least one.
    pub fn with_capacity(capacity: usize) -> Self {
        let hub = LocalHub {
            state: Mutex::default(),
            changed: Notify::new(),
            counters: Counters::default(),
            capacity: capacity.max(1),
        };
        Self { hub: Arc::new(hub) }
    }
}

impl Default for LocalDispatch {
    fn default() -> Self {
        Self::new()
    }
}

struct LocalHub {
    state: Mutex<HubState>,
    changed: Notify,
    counters: Counters,
    capacity: usize,
}

#[derive(Default)]
struct HubState {
    queues: HashMap<AgentName, HintQueue>,
    closed: bool,
}

/// The hints of one agent; `tasks` holds the tasks of `waiting`.
#[derive(Default)]
struct HintQueue {
    waiting: VecDeque<WakeHint>,
    tasks: HashSet<TaskKey>,
}

impl HintQueue {
    fn take(&mut self) -> Option<WakeHint> {
        let wake = self.waiting.pop_front()?;
        self.tasks.remove(&wake.task);
        Some(wake)
    }
}

impl LocalHub {
    fn lock(&self) -> MutexGuard<'_, HubState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a hint; requeued ones go first.
    fn offer(&self, wake: WakeHint, requeued: bool) {
        let mut state = self.lock();
        if state.closed {
            return self.counters.dropped.increment();
        }
        let queue = state.queues.entry(wake.agent.clone()).or_default();
        if !queue.tasks.insert(wake.task) {
            return self.counters.coalesced.increment();
        }
        if queue.waiting.len() >= self.capacity {
            queue.take();
            self.counters.dropped.increment();
        }
        if requeued {
            queue.waiting.push_front(wake);
        } else {
            queue.waiting.push_back(wake);
            self.counters.published.increment();
            self.counters.confirmed.increment();
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

impl Waker for LocalHub {
    fn wake(&self, wake: WakeHint) {
        self.offer(wake, false);
    }
}

struct LocalSource {
    hub: Arc<LocalHub>,
    agents: Vec<AgentName>,
    // The agent to poll first: the one after the last served, so that a busy agent does not starve
    // the others.
    next_agent: usize,
    // Agents for which nothing is received.
    paused: BTreeSet<AgentName>,
}

/// The result of polling the queues.
enum QueuePoll {
    Found(Delivery),
    Empty,
    Closed,
}

impl LocalSource {
    fn poll(&mut self) -> QueuePoll {
        let mut state = self.hub.lock();
        if state.closed {
            return QueuePoll::Closed;
        }
        for step in 0..self.agents.len() {
            let index = (self.next_agent + step) % self.agents.len();
            let agent = &self.agents[index];
            if self.paused.contains(agent) {
                continue;
            }
            if let Some(wake) = state.queues.get_mut(agent).and_then(HintQueue::take) {
                self.next_agent = index + 1;
                self.hub.counters.received.increment();
                return QueuePoll::Found(delivery(&self.hub, wake));
            }
        }
        QueuePoll::Empty
    }
}

fn delivery(hub: &Arc<LocalHub>, wake: WakeHint) -> Delivery {
    let (hub, again) = (Arc::clone(hub), wake.clone());
    Delivery::new(wake, move |decision| match decision {
        DeliveryDecision::Ack => {}
        DeliveryDecision::Requeue => hub.offer(again, true),
    })
}

#[async_trait]
impl WakeSource for LocalSource {
    async fn next(&mut self) -> Option<Delivery> {
        let hub = Arc::clone(&self.hub);
        loop {
            // Register before polling, so that a hint in between is not missed.
            let mut changed = pin!(hub.changed.notified());
            changed.as_mut().enable();
            match self.poll() {
                QueuePoll::Found(delivery) => return Some(delivery),
                QueuePoll::Closed => return None,
                QueuePoll::Empty => changed.await,
            }
        }
    }

    async fn pause(&mut self) {
        self.paused = self.agents.iter().cloned().collect();
    }

    async fn resume(&mut self) {
        self.paused.clear();
    }

    async fn receive_for(&mut self, agents: &BTreeSet<AgentName>) {
        self.paused = self.agents.iter().filter(|agent| !agents.contains(agent)).cloned().collect();
    }
}

#[async_trait]
impl Dispatch for LocalDispatch {
    fn waker(&self) -> Arc<dyn Waker> {
        Arc::<LocalHub>::clone(&self.hub)
    }

    async fn source(&self, agents: Vec<AgentName>) -> Result<Box<dyn WakeSource>, DispatchError> {
        if self.hub.lock().closed {
            return Err(DispatchError::Closed);
        }
        let (hub, paused) = (Arc::clone(&self.hub), BTreeSet::new());
        Ok(Box::new(LocalSource { hub, agents, next_agent: 0, paused }))
    }

    async fn declare(&self, _: &[AgentName]) -> Result<(), DispatchError> {
        Ok(())
    }

    async fn wait_connected(&self, _: Duration) -> Result<(), DispatchError> {
        Ok(())
    }

    fn counts(&self) -> DispatchCounts {
        self.hub.counters.snapshot()
    }

    async fn close(&self) {
        self.hub.lock().closed = true;
        self.hub.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{agent, wake};

    #[tokio::test]
    async fn repeated_hints_for_a_task_coalesce() {
        let dispatch = LocalDispatch::new();
        for _ in 0..3 {
            dispatch.waker().wake(wake("a", 1));
        }
        let counts = dispatch.counts();
        assert_eq!((counts.published, counts.coalesced), (1, 2));
    }

    #[tokio::test]
    async fn the_oldest_hint_is_dropped_first() {
        let dispatch = LocalDispatch::with_capacity(2);
        let mut source = dispatch.source(vec![agent("a")]).await.unwrap();
        for task in 1..=3 {
            dispatch.waker().wake(wake("a", task));
        }
        assert_eq!(dispatch.counts().dropped, 1);
        let first = source.next().await.unwrap();
        assert_eq!(first.wake, wake("a", 2));
        first.ack();
    }

    #[tokio::test]
    async fn a_busy_agent_does_not_starve_another() {
        let dispatch = LocalDispatch::new();
        let mut source = dispatch.source(vec![agent("busy"), agent("calm")]).await.unwrap();
        for task in 1..=3 {
            dispatch.waker().wake(wake("busy", task));
        }
        dispatch.waker().wake(wake("calm", 9));
        source.next().await.unwrap().ack();
        let second = source.next().await.unwrap();
        assert_eq!(second.wake.agent, agent("calm"));
        second.ack();
    }
}
