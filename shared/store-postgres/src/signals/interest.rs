//! Channels that this process listens to: those of the tasks that it follows, and that of workers where it runs some.
//!
//! Nothing is lost by a channel that is listened to late: as soon as the server has confirmed it, those who follow its tasks
//! are told to look for themselves.

use longhaul_domain::{SignalChannel, TaskKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// How long a channel is listened to after its last request. Longer than the pause between two requests for tasks that are
/// still followed, and long enough that a node with few clients does not subscribe anew for each of them.
const LINGER: Duration = Duration::from_secs(300);

/// A channel of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// What workers need to hear.
    Control,
    /// Growth of the logs of some tasks.
    Log(SignalChannel),
}

impl Channel {
    /// The name by which the server knows it.
    pub fn name(self) -> String {
        match self {
            Self::Control => "longhaul_control".to_owned(),
            Self::Log(channel) => format!("longhaul_log_{:03x}", channel.number()),
        }
    }
}

/// Requests for channels.
#[derive(Default)]
pub struct Interest {
    requests: Mutex<Requests>,
    changed: Notify,
}

#[derive(Default)]
struct Requests {
    control: bool,
    /// When each channel was last asked for.
    logs: BTreeMap<SignalChannel, Instant>,
}

impl Interest {
    /// Asks for the signals of these tasks.
    pub fn follow(&self, tasks: &[TaskKey]) {
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

    /// Asks for what workers need to hear, from now on.
    pub fn follow_control(&self) {
        if !std::mem::replace(&mut self.requests().control, true) {
            self.changed.notify_one();
        }
    }

    /// Ends when a channel was asked for that was not before.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Channels to listen to now. Forgets those that were not asked for recently.
    pub fn wanted(&self) -> BTreeSet<Channel> {
        let mut requests = self.requests();
        requests.logs.retain(|_, asked| asked.elapsed() < LINGER);
        let logs = requests.logs.keys().map(|channel| Channel::Log(*channel));
        requests.control.then_some(Channel::Control).into_iter().chain(logs).collect()
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
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
    async fn channels_are_wanted_for_as_long_as_their_tasks_are_followed() {
        let interest = Interest::default();
        assert!(interest.wanted().is_empty(), "nobody listens to what nobody asked for");
        interest.follow(&[task(1), task(2), task(1_025)]);
        interest.changed().await;
        let [one, two] = [1, 2].map(|bits| Channel::Log(SignalChannel::from_bits(bits)));
        assert_eq!(interest.wanted(), BTreeSet::from([one, two]));
        tokio::time::advance(LINGER / 2).await;
        interest.follow(&[task(2)]);
        interest.follow_control();
        tokio::time::advance(LINGER / 2).await;
        assert_eq!(interest.wanted(), BTreeSet::from([Channel::Control, two]));
    }
}
