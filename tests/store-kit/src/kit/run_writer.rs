//! A claimed run that writes.

use super::{status, working};
use longhaul_domain::{
    Checkpoint, EntryBody, Json, ParkedState, Seq, TaskKey, TerminalState, WorkerId,
};
use longhaul_store::{Append, ClaimedRun, Settle, SettleAs};
use std::time::Duration;

/// A claimed run and its operation counter.
#[derive(Clone)]
pub struct RunWriter {
    pub worker: WorkerId,
    pub claimed: ClaimedRun,
    pub op: i32,
    /// The last client message that its executor has read.
    pub read: Seq,
}

impl RunWriter {
    pub fn new(worker: WorkerId, claimed: ClaimedRun) -> Self {
        let read = claimed.message_seq;
        Self { worker, claimed, op: 0, read }
    }

    pub const fn key(&self) -> TaskKey {
        self.claimed.key
    }

    pub fn append(&mut self, entries: Vec<EntryBody>) -> Append {
        self.op += 1;
        Append {
            key: self.claimed.key,
            fence: self.claimed.fence,
            op: self.op,
            attempt: self.claimed.attempt,
            entries,
            blobs: Vec::new(),
            checkpoints: Vec::new(),
        }
    }

    pub fn settle(&mut self, how: SettleAs, entries: Vec<EntryBody>) -> Settle {
        Settle { how, read_up_to: self.read, output: self.append(entries) }
    }

    pub fn end(&mut self, state: TerminalState) -> Settle {
        self.settle(SettleAs::End(state), vec![working(), status(state.state(), "done")])
    }

    pub fn park(&mut self, state: ParkedState, question: &str) -> Settle {
        self.settle(SettleAs::Park(state), vec![working(), status(state.state(), question)])
    }

    pub fn retry(&mut self, delay: Duration) -> Settle {
        self.settle(SettleAs::Retry(delay), vec![working()])
    }

    pub fn release(&mut self) -> Settle {
        self.settle(SettleAs::Release, Vec::new())
    }

    /// Returns an append with a checkpoint.
    pub fn checkpoint(&mut self, name: &str, value: &str, entries: Vec<EntryBody>) -> Append {
        let checkpoint = Checkpoint::new(name, Json::parse(value).unwrap()).unwrap();
        Append { checkpoints: vec![checkpoint], ..self.append(entries) }
    }
}
