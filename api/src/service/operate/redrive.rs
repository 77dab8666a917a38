//! Redrive: a dead task begins again as a new task, which has the same owner and context and
//! references the dead one.
//!
//! The new task and the letter's resolution are one commit. The deduplication key is derived from
//! the dead task, so a repeated redrive returns the same new task.

use super::{DeadLetterFilter, OperatorError, Result, dead_letters::not_dead};
use crate::service::{Caller, RedriveDraft, Service};
use futures::{StreamExt, stream};
use longhaul_domain::{EntryBody, Message, Seq, TaskId, TaskKey, log::UserMessage};
use longhaul_store::{DeadLetter, ReadLimit, Redrive, RedriveOutcome};

/// Concurrent redrives of one request.
const MAX_CONCURRENT_REDRIVES: usize = 8;

/// A redriven task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedrivenTask {
    /// The dead task.
    pub from: TaskId,
    /// The new task.
    pub to: TaskId,
    /// True when it was redriven before.
    pub already: bool,
}

/// Result of redriving by filter.
#[derive(Debug)]
pub struct RedriveBatch {
    /// The redriven tasks.
    pub redriven: Vec<RedrivenTask>,
    /// True when there are more.
    pub more: bool,
}

impl Service {
    /// Redrives one task.
    pub async fn redrive(&self, caller: &Caller, owner: &str, task: &str) -> Result<RedrivenTask> {
        let letter = self.dead_letter(caller, owner, task).await?;
        self.redrive_letter(caller, &letter).await?.ok_or_else(|| {
            OperatorError::Conflict(
                "the dead letter was dismissed; send its message again".to_owned(),
            )
        })
    }

    /// Redrives the latest `limit` (1 to 1,000) letters that match a filter. Stops at the first
    /// failure; the rest can be redriven later.
    pub async fn redrive_many(
        &self,
        caller: &Caller,
        filter: &DeadLetterFilter,
        limit: u32,
    ) -> Result<RedriveBatch> {
        let filter = DeadLetterFilter { handled: false, ..filter.clone() };
        let page = self.dead(caller, &filter, None, limit).await?;
        let mut all = stream::iter(page.letters)
            .map(|letter| async move { self.redrive_letter(caller, &letter).await })
            // In order, so that a failure leaves the later letters for the next time.
            .buffered(MAX_CONCURRENT_REDRIVES);
        let (mut redriven, mut more) = (Vec::new(), page.next.is_some());
        while let Some(done) = all.next().await {
            match done {
                Ok(done) => redriven.extend(done),
                Err(error) if redriven.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(request_id = caller.request_id, %error, "redrive stopped early");
                    more = true;
                    break;
                }
            }
        }
        Ok(RedriveBatch { redriven, more })
    }

    /// Redrives the task of a letter; `None` when it is no longer listed.
    async fn redrive_letter(
        &self,
        caller: &Caller,
        letter: &DeadLetter,
    ) -> Result<Option<RedrivenTask>> {
        let (from, agent) = (letter.key.task, letter.agent.clone());
        let first = self.first_message(caller, letter).await?;
        let trace = caller.trace.child(&*self.ids);
        let draft = RedriveDraft {
            owner: letter.key.owner,
            agent: agent.clone(),
            context: Some(letter.context.clone()),
            user_message: UserMessage { message: referring_to(first.message, from), ..first },
            dedupe_source: format!("redrive of {from}"),
            trace: trace.clone(),
        };
        let new = self.draft_task(draft).await.map_err(|e| caller.refused(&e))?;
        let key = new.key;
        let done = self.store.redrive(Redrive { dead: letter.key, new }).await;
        Ok(match done.map_err(|e| caller.refused(&e))? {
            RedriveOutcome::Now { task: to } => {
                self.wake(&trace, &agent, TaskKey { task: to, ..key });
                tracing::info!(request_id = caller.request_id, task_id = %from, %to, "task redriven");
                Some(RedrivenTask { from, to, already: false })
            }
            RedriveOutcome::Already { task: to } => Some(RedrivenTask { from, to, already: true }),
            RedriveOutcome::NotDead => None,
        })
    }

    /// First message of the dead task, large contents by reference.
    async fn first_message(&self, caller: &Caller, letter: &DeadLetter) -> Result<UserMessage> {
        let limit = ReadLimit { rows: 1, ..ReadLimit::default() };
        let page = self.store.read_log(letter.key, Seq::START, limit).await;
        let page = page.map_err(|e| caller.refused(&e))?.ok_or_else(not_dead)?;
        match page.entries.into_iter().next().map(|entry| entry.body) {
            Some(EntryBody::Message(message)) => Ok(message),
            // The error names the task: it may be one of many.
            _ => Err(OperatorError::Conflict(format!(
                "the first message of task {} is not there any more; send it again and dismiss the task",
                letter.key.task
            ))),
        }
    }
}

/// The message with a reference to a task, as the last one.
fn referring_to(mut message: Message, task: TaskId) -> Message {
    let task = task.to_string();
    message.reference_task_ids.retain(|known| *known != task);
    message.reference_task_ids.push(task);
    message
}
