//! Direct replies: an agent answers with a message instead of a task (A2A 3.1.1).
//!
//! The record is the same either way: the reply is the status message of a completed task, marked
//! as direct. A waiting client gets the message if it came soon enough after its own, and so does
//! one that repeats its message; all others see the task.

use super::{Caller, Result, Service, accept::AcceptedSend};
use longhaul_domain::{EntryBody, LogEntry, Message, Seq, TaskState};
use longhaul_store::ReadLimit;
use std::time::Duration;

/// Time for which the first frame of an agent that may reply directly is held back.
pub const DIRECT_REPLY_WINDOW: Duration = Duration::from_secs(2);

/// The direct reply in an entry, if it is one.
pub fn direct_reply(entry: &LogEntry) -> Option<&Message> {
    match &entry.body {
        EntryBody::Status(change) if change.direct => change.message.as_ref(),
        _ => None,
    }
}

impl Service {
    /// The direct reply with which the task ended before the caller came, if it came in time.
    pub(super) async fn earlier_reply(
        &self,
        caller: &Caller,
        accepted: &AcceptedSend,
    ) -> Result<Option<Message>> {
        let status = &accepted.task.status;
        if !accepted.agent.direct || !caller.rules.replies || status.state != TaskState::Completed {
            return Ok(None);
        }
        let Some(said) = self.entry(caller, accepted, accepted.message_seq).await? else {
            return Ok(None);
        };
        // Measured in log times, so that every node decides alike.
        let in_time = (status.at - said.at).to_std().is_ok_and(|took| took <= DIRECT_REPLY_WINDOW);
        if !in_time {
            return Ok(None);
        }
        let end = self.entry(caller, accepted, status.seq).await?;
        Ok(end.as_ref().and_then(direct_reply).cloned())
    }

    /// Reads one entry of the task's log.
    async fn entry(
        &self,
        caller: &Caller,
        accepted: &AcceptedSend,
        at: Seq,
    ) -> Result<Option<LogEntry>> {
        let limit = ReadLimit { rows: 1, ..ReadLimit::default() };
        let page = self.store.read_log(accepted.task.key, Seq(at.0 - 1), limit).await;
        let page = page.map_err(|e| caller.failed(&e))?;
        Ok(page.and_then(|page| page.entries.into_iter().next()))
    }
}
