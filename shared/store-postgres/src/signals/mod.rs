//! Hints that something changed: to this process at once, to the others by NOTIFY.
//!
//! NOTIFY is never part of a writing transaction, because it takes a lock of the whole database at commit and so turns group
//! commit off: after a commit the changes are handed to one task per process, which sends all that wait together. When the
//! process dies between commit and NOTIFY, the hint is lost; whoever must not miss anything reads from time to time.
//!
//! A process hears about the tasks that it follows only: log signals go to the channel of their task, and a process listens to
//! the channels that its readers have asked for ([`interest`]).

mod interest;
mod listener;
mod notifier;
mod payload;

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

use interest::{Channel, Interest};
pub use listener::{listen, verify};
pub use notifier::{NOTIFY_MANY, notify};

/// How many signals a subscriber may lag behind before it is told that it missed some.
const BACKLOG: usize = 1_024;

/// How long a caller waits until signals to workers are heard.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);

/// What waits to be sent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Waiting {
    grown: BTreeMap<TaskKey, Seq>,
    cancel: BTreeSet<TaskKey>,
    message: BTreeSet<TaskKey>,
    /// One task for each agent that has something to run.
    runnable: BTreeMap<AgentName, TaskKey>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.grown.is_empty()
            && self.cancel.is_empty()
            && self.message.is_empty()
            && self.runnable.is_empty()
    }

    fn merge(&mut self, other: Self) {
        for (key, seq) in other.grown {
            let last = self.grown.entry(key).or_insert(seq);
            *last = seq.max(*last);
        }
        self.cancel.extend(other.cancel);
        self.message.extend(other.message);
        self.runnable.extend(other.runnable);
    }
}

/// Where changes are told and heard.
pub struct Hub {
    /// Names this process in its notifications, so that it does not hear itself twice.
    sender: u64,
    log: broadcast::Sender<LogSignal>,
    control: broadcast::Sender<ControlSignal>,
    waiting: Mutex<Waiting>,
    wake: Notify,
    interest: Interest,
    /// Whether the channel of workers has been listened to.
    control_joined: watch::Sender<bool>,
    closed: CancellationToken,
}

impl Hub {
    /// A hub whose notifications carry this number, which must be random, and whose streams end with the token.
    pub fn new(sender: u64, closed: CancellationToken) -> Self {
        Self {
            sender,
            log: broadcast::Sender::new(BACKLOG),
            control: broadcast::Sender::new(BACKLOG),
            waiting: Mutex::default(),
            wake: Notify::new(),
            interest: Interest::default(),
            control_joined: watch::Sender::default(),
            closed,
        }
    }

    /// These logs have grown, and that is committed.
    pub fn grown(&self, grown: Vec<(TaskKey, Seq)>) {
        let told = Waiting { grown: grown.into_iter().collect(), ..Waiting::default() };
        self.tell(told);
    }

    /// These tasks are new, and that is committed. Told within this process only: nobody elsewhere can have awaited a task before
    /// it was there, and who attaches to it later reads its log.
    pub fn made(&self, made: impl IntoIterator<Item = TaskKey>) {
        let grown: BTreeMap<TaskKey, Seq> = made.into_iter().map(|key| (key, Seq(1))).collect();
        self.deliver(Waiting { grown, ..Waiting::default() });
    }

    /// These running tasks were asked to stop, and that is committed.
    pub fn cancel(&self, keys: impl IntoIterator<Item = TaskKey>) {
        self.tell(Waiting { cancel: keys.into_iter().collect(), ..Waiting::default() });
    }

    /// To these running tasks a client has spoken, and that is committed.
    pub fn message(&self, keys: impl IntoIterator<Item = TaskKey>) {
        self.tell(Waiting { message: keys.into_iter().collect(), ..Waiting::default() });
    }

    /// This agent has something to run, and that is committed.
    pub fn runnable(&self, agent: &AgentName, task: TaskKey) {
        let runnable = BTreeMap::from([(agent.clone(), task)]);
        self.tell(Waiting { runnable, ..Waiting::default() });
    }

    /// Asks for the log signals of these tasks from other processes, for some minutes.
    pub fn follow_logs(&self, tasks: &[TaskKey]) {
        self.interest.follow(tasks);
    }

    /// Signals of the log.
    pub fn log_signals(&self) -> SignalStream<LogSignal> {
        self.until_closed(subscribe(self.log.subscribe(), LogSignal::Missed))
    }

    /// Signals to workers: all that are sent from now on.
    pub async fn control_signals(&self) -> SignalStream<ControlSignal> {
        let signals = subscribe(self.control.subscribe(), ControlSignal::Missed);
        let mut joined = self.control_joined.subscribe();
        self.interest.follow_control();
        // Whoever looks into the store after this call must not miss what is announced after the look. While the database is
        // away there is nothing to miss, and the channel is joined with a notice.
        let _ = timeout(JOIN_TIMEOUT, joined.wait_for(|joined| *joined)).await;
        self.until_closed(signals)
    }

    /// Tells readers that a channel is listened to from now on.
    fn joined(&self, channel: Channel) {
        // Nobody listening is no error.
        match channel {
            Channel::Log(channel) => drop(self.log.send(LogSignal::Joined(channel))),
            Channel::Control => {
                let nobody_waited = self.control_joined.receiver_count() == 0;
                if self.control_joined.send_replace(true) || nobody_waited {
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

    fn tell(&self, told: Waiting) {
        if told.is_empty() {
            return;
        }
        self.deliver(told.clone());
        self.waiting().merge(told);
        self.wake.notify_one();
    }

    /// Delivers within this process. Nobody listening is no error.
    fn deliver(&self, told: Waiting) {
        if !told.grown.is_empty() {
            let _ = self.log.send(LogSignal::Grown(told.grown.into_iter().collect()));
        }
        if !told.cancel.is_empty() {
            let _ = self.control.send(ControlSignal::Cancel(told.cancel.into_iter().collect()));
        }
        if !told.message.is_empty() {
            let _ = self.control.send(ControlSignal::Message(told.message.into_iter().collect()));
        }
        if !told.runnable.is_empty() {
            let due = told.runnable.into_iter().collect();
            let _ = self.control.send(ControlSignal::Runnable(due));
        }
    }

    fn missed(&self) {
        let _ = self.log.send(LogSignal::Missed);
        let _ = self.control.send(ControlSignal::Missed);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn subscribe<T: Clone + Send + 'static>(
    receiver: broadcast::Receiver<T>,
    missed: T,
) -> impl Stream<Item = T> + Send {
    stream::unfold((receiver, missed), |(mut receiver, missed)| async move {
        let signal = match receiver.recv().await {
            Ok(signal) => signal,
            Err(broadcast::error::RecvError::Lagged(_)) => missed.clone(),
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        Some((signal, (receiver, missed)))
    })
}
