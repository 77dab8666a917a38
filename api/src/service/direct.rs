//! Direct replies: an agent that answers with a message instead of a task (A2A 3.1.1).
//!
//! The record is kept either way: the reply is the status message of a completed task, marked as direct. A client that
//! waits gets the message if it came soon enough after its own, and so does one that sends the same again; all others see
//! the task.

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
    /// The reply that a task ended with before the caller came, when it did so directly and in time.
    pub(super) async fn earlier_reply(
        &self,
        caller: &Caller,
        flight: &InFlight,
    ) -> Result<Option<Message>> {
        let status = &flight.task.status;
        if !flight.agent.direct || !caller.rules.replies || status.state != TaskState::Completed {
            return Ok(None);
        }
        let Some(said) = self.entry(caller, flight, flight.message).await? else { return Ok(None) };
        let in_time = (status.at - said.at).to_std().is_ok_and(|took| took <= HOLD_BACK);
        if !in_time {
            return Ok(None);
        }
        let end = self.entry(caller, flight, status.seq).await?;
        Ok(end.as_ref().and_then(reply).cloned())
    }

    /// One entry of the task's log.
    async fn entry(&self, caller: &Caller, flight: &InFlight, at: Seq) -> Result<Option<LogEntry>> {
        let limit = ReadLimit { rows: 1, ..ReadLimit::default() };
        let page = self.store.read_log(flight.task.key, Seq(at.0 - 1), limit).await;
        let page = page.map_err(|e| caller.failed(&e))?;
        Ok(page.and_then(|page| page.entries.into_iter().next()))
    }
}
