//! Wake-ups within one process: for the embedded mode and small deployments.
//!
//! Guarantee: never blocks, never grows beyond its bound per agent (the oldest hint makes room), and holds at most one hint
//! per task. Everything is in memory: a crash loses the hints, and the restarted process probes its store.

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
    hub: Arc<Hub>,
}

impl LocalDispatch {
    /// Hints that may wait per agent unless told otherwise.
    pub const CAPACITY: usize = 1024;

    /// Makes one that keeps up to [`LocalDispatch::CAPACITY`] hints per agent.
    pub fn new() -> Self {
        Self::with_capacity(Self::CAPACITY)
    }

    /// Makes one that keeps up to `capacity` hints per agent, at least one.
    pub fn with_capacity(capacity: usize) -> Self {
        let hub = Hub {
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

struct Hub {
    state: Mutex<State>,
    changed: Notify,
    counters: Counters,
    capacity: usize,
}

#[derive(Default)]
struct State {
    queues: HashMap<AgentName, Queue>,
    closed: bool,
}

/// The hints of one agent; `tasks` is what `waiting` names.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<WakeHint>,
    tasks: HashSet<TaskKey>,
}

impl Queue {
    fn take(&mut self) -> Option<WakeHint> {
        let wake = self.waiting.pop_front()?;
        self.tasks.remove(&wake.task);
        Some(wake)
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a hint; one that came back goes first.
    fn offer(&self, wake: WakeHint, came_back: bool) {
        let mut state = self.lock();
        if state.closed {
            return self.counters.dropped.one();
        }
        let queue = state.queues.entry(wake.agent.clone()).or_default();
        if !queue.tasks.insert(wake.task) {
            return self.counters.coalesced.one();
        }
        if queue.waiting.len() >= self.capacity {
            queue.take();
            self.counters.dropped.one();
        }
        if came_back {
            queue.waiting.push_front(wake);
        } else {
            queue.waiting.push_back(wake);
            self.counters.published.one();
            self.counters.confirmed.one();
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

impl Waker for Hub {
    fn wake(&self, wake: WakeHint) {
        self.offer(wake, false);
    }
}

struct LocalSource {
    hub: Arc<Hub>,
    agents: Vec<AgentName>,
    // Which agent is asked first: the one after the last served, so that a busy one does not starve the others.
    turn: usize,
    // For which of them nothing is received.
    paused: BTreeSet<AgentName>,
}

/// What a source finds when it looks.
enum Look {
    Found(Delivery),
    Nothing,
    Closed,
}

impl LocalSource {
    fn look(&mut self) -> Look {
        let mut state = self.hub.lock();
        if state.closed {
            return Look::Closed;
        }
        for step in 0..self.agents.len() {
            let place = (self.turn + step) % self.agents.len();
            let agent = &self.agents[place];
            if self.paused.contains(agent) {
                continue;
            }
            if let Some(wake) = state.queues.get_mut(agent).and_then(Queue::take) {
                self.turn = place + 1;
                self.hub.counters.received.one();
                return Look::Found(delivery(&self.hub, wake));
            }
        }
        Look::Nothing
    }
}

fn delivery(hub: &Arc<Hub>, wake: WakeHint) -> Delivery {
    let (hub, again) = (Arc::clone(hub), wake.clone());
    Delivery::new(wake, move |verdict| match verdict {
        DeliveryDecision::Done => {}
        DeliveryDecision::HandedBack => hub.offer(again, true),
    })
}

#[async_trait]
impl WakeSource for LocalSource {
    async fn next(&mut self) -> Option<Delivery> {
        let hub = Arc::clone(&self.hub);
        loop {
            // Registered before looking: a hint that arrives in between is not missed.
            let mut changed = pin!(hub.changed.notified());
            changed.as_mut().enable();
            match self.look() {
                Look::Found(delivery) => return Some(delivery),
                Look::Closed => return None,
                Look::Nothing => changed.await,
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
        Arc::<Hub>::clone(&self.hub)
    }

    async fn source(&self, agents: Vec<AgentName>) -> Result<Box<dyn WakeSource>, DispatchError> {
        if self.hub.lock().closed {
            return Err(DispatchError::Closed);
        }
        let (hub, paused) = (Arc::clone(&self.hub), BTreeSet::new());
        Ok(Box::new(LocalSource { hub, agents, turn: 0, paused }))
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
    use crate::conformance::{
        self,
        support::{agent, wake},
    };

    #[tokio::test]
    async fn keeps_the_promises_of_every_dispatcher() {
        conformance::run(async || LocalDispatch::new()).await;
    }

    #[tokio::test]
    async fn a_task_waits_once_however_often_it_calls() {
        let dispatch = LocalDispatch::new();
        for _ in 0..3 {
            dispatch.waker().wake(wake("a", 1));
        }
        let counts = dispatch.counts();
        assert_eq!((counts.published, counts.coalesced), (1, 2));
    }

    #[tokio::test]
    async fn the_oldest_hint_makes_room() {
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
