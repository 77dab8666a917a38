//! Hints that something changed.

use futures::stream::BoxStream;
use longhaul_domain::{AgentName, Seq, SignalChannel, TaskKey};

/// Signals as they come. Ends only when the store is closed.
pub type SignalStream<T> = BoxStream<'static, T>;

/// Logs have grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSignal {
    /// These tasks, up to these entries.
    Grown(Vec<(TaskKey, Seq)>),
    /// Signals of the tasks of this channel are heard from now on; those of before may have been lost.
    Joined(SignalChannel),
    /// Signals were lost: every task may have grown.
    Missed,
}

/// Tasks need a worker's eye.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlSignal {
    /// These running tasks were asked to stop.
    Cancel(Vec<TaskKey>),
    /// To these running tasks the client has said something.
    Message(Vec<TaskKey>),
    /// For these agents there is something to run, because of the task beside each.
    Runnable(Vec<(AgentName, TaskKey)>),
    /// Signals were lost: every running task may need a look, and there may be something to run.
    Missed,
}
