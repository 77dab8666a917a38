//! Hints about changes.

use futures::stream::BoxStream;
use longhaul_domain::{AgentName, Seq, SignalChannel, TaskKey};

/// A stream of signals. It ends only when the store is closed.
pub type SignalStream<T> = BoxStream<'static, T>;

/// A hint that logs have grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSignal {
    /// These tasks have grown, up to these entries.
    Grown(Vec<(TaskKey, Seq)>),
    /// The store hears signals of this channel's tasks from now on; earlier ones may have been
    /// lost.
    Joined(SignalChannel),
    /// Signals were lost: every task may have grown.
    Missed,
}

/// A hint that workers have something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlSignal {
    /// These running tasks were asked to stop.
    Cancel(Vec<TaskKey>),
    /// These running tasks received a message of the client.
    Message(Vec<TaskKey>),
    /// These agents have something to run, each because of the given task.
    Runnable(Vec<(AgentName, TaskKey)>),
    /// Signals were lost: every running task may need a check, and there may be runnable tasks.
    Missed,
}
