//! The worker in the model: its view of its run, and its writes in flight.

use super::{
    settle::SettleKind,
    task::{ModelClaim, ModelFence},
};
use longhaul_store::{Appended, Settled};

/// The store's view of a worker's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseState {
    Valid,
    Over,
    /// The store has forgotten the worker.
    Gone,
}

/// Kind of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteKind {
    Append,
    Checkpoint,
    Settle(SettleKind),
}

/// A write in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WriteInFlight {
    pub fence: ModelFence,
    pub op: u8,
    pub what: WriteKind,
    pub read: u8,
    /// Set for the release of a run that the worker does not know.
    pub release: bool,
}

/// A run as seen by the worker that executes it. Only an answer tells the worker that it has lost
/// the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerRun {
    pub fence: ModelFence,
    pub attempt: u8,
    pub read: u8,
    pub op: u8,
    /// Set once the worker has heard about a cancel.
    pub cancel: bool,
    pub sent: Option<WriteInFlight>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModelWorker {
    pub lease: LeaseState,
    /// A claimed run whose answer has yet to arrive.
    pub claiming: Option<ModelClaim>,
    pub running: Option<WorkerRun>,
    /// The release of a run, in flight.
    pub release: Option<WriteInFlight>,
}

/// Answer to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteReply {
    Now,
    HandedBack,
    Already,
    Lost,
}

impl ModelWorker {
    pub const NEW: Self =
        Self { lease: LeaseState::Valid, claiming: None, running: None, release: None };

    /// Returns whether it knows a run.
    pub fn knows(&self, fence: ModelFence) -> bool {
        self.running.is_some_and(|running| running.fence == fence)
    }

    /// Starts the claimed run.
    pub fn begin(&mut self) {
        self.running = self.claiming.take().map(|handed| WorkerRun {
            fence: handed.fence,
            attempt: handed.attempt,
            read: handed.read,
            op: 0,
            cancel: false,
            sent: None,
        });
    }

    /// Receives the answer to a write of its executor.
    pub fn receive(&mut self, what: WriteKind, answer: WriteReply) {
        let Some(running) = self.running.as_mut() else { return };
        running.sent = None;
        if answer == WriteReply::Lost || matches!(what, WriteKind::Settle(_)) {
            self.running = None;
        }
    }
}

impl From<Appended> for WriteReply {
    fn from(appended: Appended) -> Self {
        match appended {
            Appended::Now { .. } => Self::Now,
            Appended::Already { .. } => Self::Already,
            Appended::Fenced | Appended::Ended(_) => Self::Lost,
        }
    }
}

impl From<Settled> for WriteReply {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Now { .. } => Self::Now,
            Settled::HandedBack { .. } => Self::HandedBack,
            Settled::Already { .. } => Self::Already,
            Settled::Fenced | Settled::Ended(_) => Self::Lost,
        }
    }
}
