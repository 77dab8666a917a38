//! Signals that something changed: to this process at once, to others by NOTIFY.
//!
//! NOTIFY never runs inside a writing transaction, because it takes a database-wide lock at commit
//! and would serialise group commits. After a commit the changes go to one notifier task per
//! process, which sends all pending ones together. A crash between commit and NOTIFY loses the
//! signal, so readers also poll.
//!
//! A process receives log signals only for the tasks that it follows: each task maps to a channel,
//! and a process listens to the channels that its readers have requested ([`channels`]).

mod channels;
mod hub;
mod listener;
mod notifier;
mod payload;

pub use hub::SignalHub;
pub use listener::{listen, verify_delivery};
pub use notifier::{NOTIFY_MANY, run_notifier};

use crate::PostgresStore;
use async_trait::async_trait;
use longhaul_domain::{AgentName, TaskKey};
use longhaul_store::{ControlSignal, LogSignal, Result, SignalSource, SignalStream};

#[async_trait]
impl SignalSource for PostgresStore {
    fn follow_logs(&self, tasks: &[TaskKey]) {
        self.db.signals.follow_logs(tasks);
    }

    async fn log_signals(&self) -> Result<SignalStream<LogSignal>> {
        Ok(self.db.signals.log_signals())
    }

    async fn control_signals(&self) -> Result<SignalStream<ControlSignal>> {
        Ok(self.db.signals.control_signals().await)
    }

    fn announce(&self, agent: &AgentName, task: TaskKey) {
        self.db.signals.publish_runnable(agent, task);
    }
}
