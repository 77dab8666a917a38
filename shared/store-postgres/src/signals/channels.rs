//! Notification channels that this process listens to: those of followed tasks, and the control
//! channel in processes with workers.
//!
//! Joining a channel late loses nothing: once the server confirms it, followers of its tasks are
//! told to read their logs.

use longhaul_domain::{SignalChannel, TaskKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Time that a channel stays joined after its last request.
///
/// It exceeds the pause between requests for tasks that are still followed, and spares a node with
/// few clients from resubscribing for each of them.
const CHANNEL_LINGER: Duration = Duration::from_secs(300);

/// A notification channel of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotifyChannel {
    /// Signals to workers.
    Control,
    /// Growth of the logs of some tasks.
    Log(SignalChannel),
}

impl NotifyChannel {
    /// Name of the channel on the server.
    pub fn name(self) -> String {
        match self {
            Self::Control => "longhaul_control".to_owned(),
            Self::Log(channel) => format!("longhaul_log_{:03x}", channel.number()),
        }
    }
}

/// Requested channels.
#[derive(Default)]
pub struct ChannelSubscriptions {
    requests: Mutex<RequestedChannels>,
    changed: Notify,
}

#[derive(Default)]
struct RequestedChannels {
    control: bool,
    /// Time of each channel's last request.
    logs: BTreeMap<SignalChannel, Instant>,
}

impl ChannelSubscriptions {
    /// Requests the signals of these tasks.
    pub fn request(&self, tasks: &[TaskKey]) {
        let now = Instant::now();
        let mut requests = self.requests();
        let mut new = false;
        for task in tasks {
            let channel = SignalChannel::for_task(task.task);
            new |= requests.logs.insert(channel, now).is_none();
        }
        drop(requests);
        if new {
            self.changed.notify_one();
        }
    }

    /// Requests the signals to workers, from now on.
    pub fn request_control(&self) {
        if !std::mem::replace(&mut self.requests().control, true) {
            self.changed.notify_one();
        }
    }

    /// Waits until a channel is requested that was not before.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns the channels to listen to, and forgets those without a recent request.
    pub fn wanted(&self) -> BTreeSet<NotifyChannel> {
        let mut requests = self.requests();
        // Channels of tasks without followers expire here.
        requests.logs.retain(|_, request| request.elapsed() < CHANNEL_LINGER);
        let logs = requests.logs.keys().map(|channel| NotifyChannel::Log(*channel));
        requests.control.then_some(NotifyChannel::Control).into_iter().chain(logs).collect()
    }

    fn requests(&self) -> MutexGuard<'_, RequestedChannels> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{OwnerId, TaskId};
    use uuid::Uuid;

    fn task(id: u128) -> TaskKey {
        TaskKey { owner: OwnerId(1), task: TaskId::new(Uuid::from_u128(id)) }
    }

    #[tokio::test(start_paused = true)]
    async fn channels_are_wanted_while_their_tasks_are_followed() {
        let subscriptions = ChannelSubscriptions::default();
        assert!(subscriptions.wanted().is_empty(), "no channel without a request");
        subscriptions.request(&[task(1), task(2), task(1_025)]);
        subscriptions.changed().await;
        let [one, two] = [1, 2].map(|bits| NotifyChannel::Log(SignalChannel::from_bits(bits)));
        assert_eq!(subscriptions.wanted(), BTreeSet::from([one, two]));
        tokio::time::advance(CHANNEL_LINGER / 2).await;
        subscriptions.request(&[task(2)]);
        subscriptions.request_control();
        tokio::time::advance(CHANNEL_LINGER / 2).await;
        assert_eq!(subscriptions.wanted(), BTreeSet::from([NotifyChannel::Control, two]));
    }
}
