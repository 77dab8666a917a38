//! Hints that something changed.

use futures::stream::BoxStream;
use longhaul_domain::{Seq, TaskKey};

/// Signals as they come. Ends only when the store is closed.
pub type SignalStream<T> = BoxStream<'static, T>;

/// Logs have grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSignal {
    /// These tasks, up to these entries.
    Grown(Vec<(TaskKey, Seq)>),
    /// Signals were lost: every task may have grown.
    Missed,
}

/// Running tasks need their worker's eye.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlSignal {
    /// These were asked to stop.
    Cancel(Vec<TaskKey>),
    /// To these the client has said something.
    Message(Vec<TaskKey>),
    /// Signals were lost: every running task may need a look.
    Missed,
}
