//! Why a run is told to stop, as the worker knows it. Executors hear less: see [`OutputStopped`].

use longhaul_executor::OutputStopped;

/// Why a run is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The client called the task off.
    Canceled,
    /// The attempt took too long.
    AttemptTimeout,
    /// The attempt showed no sign of progress for too long.
    NoProgress,
    /// The deadline of the task has come.
    Deadline,
    /// The run is not this worker's any more: nothing may be written.
    LeaseLost,
    /// The worker shuts down.
    Draining,
}

impl Why {
    /// What the executor hears of it.
    pub const fn stopped(self) -> OutputStopped {
        match self {
            Self::Canceled => OutputStopped::Canceled,
            Self::AttemptTimeout | Self::NoProgress | Self::Deadline => OutputStopped::TimedOut,
            Self::LeaseLost => OutputStopped::LeaseLost,
            Self::Draining => OutputStopped::Draining,
        }
    }
}
