//! Direct replies: an agent that answers with a message instead of a task (A2A 3.1.1).
//!
//! The record is kept either way: the reply is the status message of a completed task, marked as direct. A client that
//! waits gets the message if it came soon enough; whoever comes later sees the task.

use super::{Caller, Result, Service, accept::InFlight};
use longhaul_domain::{EntryBody, LogEntry, Message, Seq, TaskState};
use longhaul_store::ReadLimit;
use std::time::Duration;

/// For how long the first frame of an agent that may reply directly is held back.
pub const HOLD_BACK: Duration = Duration::from_secs(2);

/// The reply, when this entry is one.
pub fn reply(entry: &LogEntry) -> Option<&Message> {
    match &entry.body {
        EntryBody::Status(change) if change.direct => change.message.as_ref(),
        _ => None,
    }
}

impl Service {
    /// The reply that a task ended with before the caller came, when it did so directly.
    pub(super) async fn earlier_reply(
        &self,
        caller: &Caller,
        flight: &InFlight,
    ) -> Result<Option<Message>> {
        let status = &flight.task.status;
        if !flight.agent.direct || status.state != TaskState::Completed {
            return Ok(None);
        }
        let limit = ReadLimit { rows: 1, ..ReadLimit::default() };
        let before = Seq(status.seq.0 - 1);
        let page = self.store.read_log(flight.task.key, before, limit).await;
        let page = page.map_err(|e| caller.failed(&e))?;
        Ok(page.and_then(|page| page.entries.first().and_then(reply).cloned()))
    }
}
