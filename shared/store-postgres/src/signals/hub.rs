//! Distributes signals within this process and queues them for the others.

use super::channels::{ChannelSubscriptions, NotifyChannel};
use futures::{Stream, StreamExt, stream};
use longhaul_domain::{AgentName, Seq, TaskKey};
use longhaul_store::{ControlSignal, LogSignal, SignalStream};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, broadcast, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Most signals that a subscriber may lag behind; beyond that it receives `Missed`.
const SIGNAL_BUFFER: usize = 1_024;

/// Longest wait until the control channel is joined.
const CONTROL_JOIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Signals waiting to be sent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PendingSignals {
    /// Last sequence of each log that grew.
    pub grown: BTreeMap<TaskKey, Seq>,
    /// Running tasks to cancel.
    pub cancel: BTreeSet<TaskKey>,
    /// Running tasks with a new message.
    pub message: BTreeSet<TaskKey>,
    /// Agents with runnable work, each with one of its tasks.
    pub runnable: BTreeMap<AgentName, TaskKey>,
}

impl PendingSignals {
    fn is_empty(&self) -> bool {
        self.grown.is_empty()
            && self.cancel.is_empty()
            && self.message.is_empty()
            && self.runnable.is_empty()
    }

    pub fn merge(&mut self, other: Self) {
        for (key, seq) in other.grown {
            let last = self.grown.entry(key).or_insert(seq);
            *last = seq.max(*last);
        }
        self.cancel.extend(other.cancel);
        self.message.extend(other.message);
        self.runnable.extend(other.runnable);
    }
}

/// Publishes and delivers signals.
pub struct SignalHub {
    /// Identifies this process in its notifications, so that it ignores its own.
    pub(super) sender: u64,
    log: broadcast::Sender<LogSignal>,
    control: broadcast::Sender<ControlSignal>,
    pending: Mutex<PendingSignals>,
    pub(super) wake: Notify,
    pub(super) channels: ChannelSubscriptions,
    /// Tracks whether the control channel has been joined.
    control_joined: watch::Sender<bool>,
    closed: CancellationToken,
}

impl SignalHub {
    /// Creates a hub. The sender number must be random; the streams end with the token.
    pub fn new(sender: u64, closed: CancellationToken) -> Self {
        Self {
            sender,
            log: broadcast::Sender::new(SIGNAL_BUFFER),
            control: broadcast::Sender::new(SIGNAL_BUFFER),
            pending: Mutex::default(),
            wake: Notify::new(),
            channels: ChannelSubscriptions::default(),
            control_joined: watch::Sender::default(),
            closed,
        }
    }

    /// Publishes committed log growth.
    pub fn publish_growth(&self, grown: Vec<(TaskKey, Seq)>) {
        let pending =
            PendingSignals { grown: grown.into_iter().collect(), ..PendingSignals::default() };
        self.publish(pending);
    }

    /// Publishes committed new tasks, within this process only.
    ///
    /// Other processes cannot have awaited a task before it existed, and read its log when they
    /// attach to it later.
    pub fn publish_created(&self, tasks: impl IntoIterator<Item = TaskKey>) {
        let grown: BTreeMap<TaskKey, Seq> = tasks.into_iter().map(|key| (key, Seq(1))).collect();
        self.deliver(PendingSignals { grown, ..PendingSignals::default() });
    }

    /// Publishes committed cancel requests for running tasks.
    pub fn publish_cancel(&self, keys: impl IntoIterator<Item = TaskKey>) {
        self.publish(PendingSignals {
            cancel: keys.into_iter().collect(),
            ..PendingSignals::default()
        });
    }

    /// Publishes committed client messages to running tasks.
    pub fn publish_message(&self, keys: impl IntoIterator<Item = TaskKey>) {
        self.publish(PendingSignals {
            message: keys.into_iter().collect(),
            ..PendingSignals::default()
        });
    }

    /// Publishes that an agent has committed, runnable work.
    pub fn publish_runnable(&self, agent: &AgentName, task: TaskKey) {
        let runnable = BTreeMap::from([(agent.clone(), task)]);
        self.publish(PendingSignals { runnable, ..PendingSignals::default() });
    }

    /// Requests log signals of these tasks from other processes for some minutes.
    pub fn follow_logs(&self, tasks: &[TaskKey]) {
        self.channels.request(tasks);
    }

    /// Subscribes to log signals.
    pub fn log_signals(&self) -> SignalStream<LogSignal> {
        self.until_closed(subscribe(self.log.subscribe(), LogSignal::Missed))
    }

    /// Subscribes to all control signals sent from now on.
    pub async fn control_signals(&self) -> SignalStream<ControlSignal> {
        let signals = subscribe(self.control.subscribe(), ControlSignal::Missed);
        let mut joined = self.control_joined.subscribe();
        self.channels.request_control();
        // A caller that reads the store after this call must not miss later announcements, so wait
        // for the channel. With the database down there is nothing to miss, and joining later sends
        // `Missed`.
        let _ = timeout(CONTROL_JOIN_TIMEOUT, joined.wait_for(|joined| *joined)).await;
        self.until_closed(signals)
    }

    /// Tells readers that a channel is joined from now on.
    pub(super) fn publish_joined(&self, channel: NotifyChannel) {
        // A send without receivers is not an error.
        match channel {
            NotifyChannel::Log(channel) => drop(self.log.send(LogSignal::Joined(channel))),
            NotifyChannel::Control => {
                let no_waiter = self.control_joined.receiver_count() == 0;
                if self.control_joined.send_replace(true) || no_waiter {
                    let _ = self.control.send(ControlSignal::Missed);
                }
            }
        }
    }

    fn until_closed<T: Send + 'static>(
        &self,
        signals: impl Stream<Item = T> + Send + 'static,
    ) -> SignalStream<T> {
        signals.take_until(self.closed.clone().cancelled_owned()).boxed()
    }

    fn publish(&self, pending: PendingSignals) {
        if pending.is_empty() {
            return;
        }
        // This process hears at once, the others from the notifier.
        self.deliver(pending.clone());
        self.pending().merge(pending);
        self.wake.notify_one();
    }

    /// Delivers within this process. A send without receivers is not an error.
    pub(super) fn deliver(&self, pending: PendingSignals) {
        if !pending.grown.is_empty() {
            let _ = self.log.send(LogSignal::Grown(pending.grown.into_iter().collect()));
        }
        if !pending.cancel.is_empty() {
            let _ = self.control.send(ControlSignal::Cancel(pending.cancel.into_iter().collect()));
        }
        if !pending.message.is_empty() {
            let _ =
                self.control.send(ControlSignal::Message(pending.message.into_iter().collect()));
        }
        if !pending.runnable.is_empty() {
            let due = pending.runnable.into_iter().collect();
            let _ = self.control.send(ControlSignal::Runnable(due));
        }
    }

    pub(super) fn publish_missed(&self) {
        let _ = self.log.send(LogSignal::Missed);
        let _ = self.control.send(ControlSignal::Missed);
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, PendingSignals> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn subscribe<T: Clone + Send + 'static>(
    receiver: broadcast::Receiver<T>,
    missed: T,
) -> impl Stream<Item = T> + Send {
    stream::unfold((receiver, missed), |(mut receiver, missed)| async move {
        let signal = match receiver.recv().await {
            Ok(signal) => signal,
            // The subscriber was too slow; it must read the store instead.
            Err(broadcast::error::RecvError::Lagged(_)) => missed.clone(),
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        Some((signal, (receiver, missed)))
    })
}
