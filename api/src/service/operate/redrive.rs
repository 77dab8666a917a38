//! Redriving: the work of a dead task is begun again, as a new task of the same owner in the same context, that refers to
//! the dead one.
//!
//! The new task and what became of the letter are one commit. Its dedupe key is that of the dead task: whoever redrives
//! again, for whatever reason, gets the task that there is.

use super::{DeadFilter, Refusal, Result, dead::not_dead};
use crate::service::{Caller, Draft, Service};
use futures::{StreamExt, stream};
use longhaul_domain::{EntryBody, Message, Seq, TaskId, TaskKey, log::UserMessage};
use longhaul_store::{DeadLetter, ReadLimit, Redrive, RedriveOutcome};

/// How many are redriven at once.
const AT_ONCE: usize = 8;

/// A task that was redriven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redone {
    /// The dead task.
    pub from: TaskId,
    /// The new one.
    pub to: TaskId,
    /// Whether that had happened before.
    pub already: bool,
}

/// What became of a wish to redrive many.
#[derive(Debug)]
pub struct RedrivenMany {
    /// Those that were.
    pub redriven: Vec<Redone>,
    /// Whether there are more.
    pub more: bool,
}

impl Service {
    /// Redrives one task.
    pub async fn redrive(&self, caller: &Caller, owner: &str, task: &str) -> Result<Redone> {
        let letter = self.dead_letter(caller, owner, task).await?;
        self.redrive_letter(caller, &letter).await?.ok_or_else(|| {
            Refusal::Conflict("the dead letter was dismissed; send its message again".to_owned())
        })
    }

    /// Redrives those that a filter finds, the latest first; at most `limit` of them, 1 to 1,000. What fails ends it: the rest
    /// is there for the next time.
    pub async fn redrive_many(
        &self,
        caller: &Caller,
        filter: &DeadFilter,
        limit: u32,
    ) -> Result<RedrivenMany> {
        let filter = DeadFilter { handled: false, ..filter.clone() };
        let page = self.dead(caller, &filter, None, limit).await?;
        let mut all = stream::iter(page.letters)
            .map(|letter| async move { self.redrive_letter(caller, &letter).await })
            .buffered(AT_ONCE);
        let (mut redriven, mut more) = (Vec::new(), page.next.is_some());
        while let Some(done) = all.next().await {
            match done {
                Ok(done) => redriven.extend(done),
                Err(error) if redriven.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(request_id = caller.request_id, %error, "not all were redriven");
                    more = true;
                    break;
                }
            }
        }
        Ok(RedrivenMany { redriven, more })
    }

    /// Redrives the task of a letter; `None`: it is not on the list any more.
    async fn redrive_letter(&self, caller: &Caller, letter: &DeadLetter) -> Result<Option<Redone>> {
        let (from, agent) = (letter.key.task, letter.agent.clone());
        let first = self.first_message(caller, letter).await?;
        let trace = caller.trace.child(&*self.ids);
        let draft = Draft {
            owner: letter.key.owner,
            agent: agent.clone(),
            context: Some(letter.context.clone()),
            said: UserMessage { message: referring_to(first.message, from), ..first },
            stands_for: format!("redrive of {from}"),
            trace: trace.clone(),
        };
        let new = self.begin(draft).await.map_err(|e| caller.refused(&e))?;
        let key = new.key;
        let done = self.store.redrive(Redrive { dead: letter.key, new }).await;
        Ok(match done.map_err(|e| caller.refused(&e))? {
            RedriveOutcome::Now { task: to } => {
                self.wake(&trace, &agent, TaskKey { task: to, ..key });
                tracing::info!(request_id = caller.request_id, task_id = %from, %to, "redriven");
                Some(Redone { from, to, already: false })
            }
            RedriveOutcome::Already { task: to } => Some(Redone { from, to, already: true }),
            RedriveOutcome::NotDead => None,
        })
    }

    /// The message that the dead task began with, large contents by reference.
    async fn first_message(&self, caller: &Caller, letter: &DeadLetter) -> Result<UserMessage> {
        let limit = ReadLimit { rows: 1, ..ReadLimit::default() };
        let page = self.store.read_log(letter.key, Seq::START, limit).await;
        let page = page.map_err(|e| caller.refused(&e))?.ok_or_else(not_dead)?;
        match page.entries.into_iter().next().map(|entry| entry.body) {
            Some(EntryBody::Message(message)) => Ok(message),
            // Of many that are redriven this one stands in the way: it has to be named.
            _ => Err(Refusal::Conflict(format!(
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
