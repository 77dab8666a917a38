//! Hints within the process, sent once for each committed batch. A listener that lags is told that
//! it missed some.

use crate::SqliteStore;
use async_trait::async_trait;
use futures::{StreamExt, stream};
use longhaul_domain::{AgentName, Seq, TaskKey};
use longhaul_store::{ControlSignal, LogSignal, Result, SignalSource, SignalStream, StoreError};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use tokio::sync::broadcast::{self, error::RecvError};

/// Signals that a listener may lag behind.
const SIGNAL_BUFFER: usize = 1_024;

/// Effects of a batch that listeners are told about.
#[derive(Debug, Default)]
pub struct CommitEffects {
    pub grown: BTreeMap<TaskKey, Seq>,
    pub cancels: Vec<TaskKey>,
    pub messages: Vec<TaskKey>,
    /// Runs that became ready, and their agents.
    pub runnable: Vec<(AgentName, TaskKey)>,
}

impl CommitEffects {
    /// Adds the effects of a later call of the same batch.
    pub fn merge(&mut self, other: Self) {
        self.grown.extend(other.grown);
        self.cancels.extend(other.cancels);
        self.messages.extend(other.messages);
        self.runnable.extend(other.runnable);
    }
}

struct Senders {
    log: broadcast::Sender<LogSignal>,
    control: broadcast::Sender<ControlSignal>,
}

/// Channels to the listeners. Empty once the store is closed, which ends every stream.
pub struct SignalHub(Mutex<Option<Senders>>);

impl Default for SignalHub {
    fn default() -> Self {
        let senders = Senders {
            log: broadcast::Sender::new(SIGNAL_BUFFER),
            control: broadcast::Sender::new(SIGNAL_BUFFER),
        };
        Self(Mutex::new(Some(senders)))
    }
}

impl SignalHub {
    /// Sends the effects of a committed batch to all listeners.
    pub fn send(&self, effects: CommitEffects) {
        let senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(senders) = senders.as_ref() else { return };
        // An error means that there is no listener.
        if !effects.grown.is_empty() {
            let _ = senders.log.send(LogSignal::Grown(effects.grown.into_iter().collect()));
        }
        if !effects.cancels.is_empty() {
            let _ = senders.control.send(ControlSignal::Cancel(effects.cancels));
        }
        if !effects.messages.is_empty() {
            let _ = senders.control.send(ControlSignal::Message(effects.messages));
        }
        if !effects.runnable.is_empty() {
            let _ = senders.control.send(ControlSignal::Runnable(effects.runnable));
        }
    }

    /// Announces a runnable task of an agent.
    pub fn announce(&self, agent: &AgentName, task: TaskKey) {
        let senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(senders) = senders.as_ref() {
            let _ = senders.control.send(ControlSignal::Runnable(vec![(agent.clone(), task)]));
        }
    }

    pub fn log(&self) -> Result<SignalStream<LogSignal>> {
        let senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = senders.as_ref().ok_or_else(closed)?;
        Ok(streamed(senders.log.subscribe(), LogSignal::Missed))
    }

    pub fn control(&self) -> Result<SignalStream<ControlSignal>> {
        let senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = senders.as_ref().ok_or_else(closed)?;
        Ok(streamed(senders.control.subscribe(), ControlSignal::Missed))
    }

    /// Ends every stream.
    pub fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

fn streamed<T: Clone + Send + 'static>(
    receiver: broadcast::Receiver<T>,
    missed: T,
) -> SignalStream<T> {
    let next = |(mut receiver, missed): (broadcast::Receiver<T>, T)| async move {
        match receiver.recv().await {
            Ok(signal) => Some((signal, (receiver, missed))),
            Err(RecvError::Lagged(_)) => Some((missed.clone(), (receiver, missed))),
            Err(RecvError::Closed) => None,
        }
    };
    stream::unfold((receiver, missed), next).boxed()
}

#[async_trait]
impl SignalSource for SqliteStore {
    fn follow_logs(&self, _: &[TaskKey]) {
        // The only process hears about every task.
    }

    async fn log_signals(&self) -> Result<SignalStream<LogSignal>> {
        self.signals.log()
    }

    async fn control_signals(&self) -> Result<SignalStream<ControlSignal>> {
        self.signals.control()
    }

    fn announce(&self, agent: &AgentName, task: TaskKey) {
        self.signals.announce(agent, task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{OwnerId, TaskId};

    fn grown(seq: i64) -> CommitEffects {
        let key = TaskKey { owner: OwnerId(1), task: TaskId::new(uuid::Uuid::nil()) };
        CommitEffects { grown: [(key, Seq(seq))].into(), ..CommitEffects::default() }
    }

    #[tokio::test]
    async fn a_listener_that_lags_is_told_that_it_missed_signals() {
        let signals = SignalHub::default();
        let mut stream = signals.log().unwrap();
        for seq in 0..=i64::try_from(SIGNAL_BUFFER).unwrap() {
            signals.send(grown(seq));
        }
        assert_eq!(stream.next().await, Some(LogSignal::Missed));
        assert!(matches!(stream.next().await, Some(LogSignal::Grown(_))));
    }

    #[tokio::test]
    async fn streams_end_when_the_store_is_closed() {
        let signals = SignalHub::default();
        let mut stream = signals.control().unwrap();
        signals.close();
        assert_eq!(stream.next().await, None);
        assert!(signals.log().is_err());
    }
}
