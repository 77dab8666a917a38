//! Dead letters: tasks that failed for good, until an operator redrives or dismisses them.

use super::{OperatorError, Result};
use crate::service::{BudgetPermit, Caller, Service, response_size::fit_to_limit};
use longhaul_domain::{
    AgentName, FailureKind, LogEntry, OwnerId, Seq, Task, TaskId, TaskKey, Timestamp,
};
use longhaul_store::{
    DeadLetter, DeadLetterQuery, DeadLetterResolution, QueueRecord, ReadBudget, ReadLimit,
    SnapshotOptions, StoreError, WorkerRecord,
};
use std::collections::VecDeque;

/// Most log entries shown of a dead task: the last ones.
const MAX_LOG_TAIL_ENTRIES: i64 = 100;

/// Most letters that the store returns at once.
const MAX_LETTERS_PER_READ: u32 = 1_000;

/// End of a page: time and task of its last letter.
pub type DeadLetterCursor = (Timestamp, TaskId);

/// Filter of dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterFilter {
    /// Name or number of an owner; all without it.
    pub owner: Option<String>,
    /// Agent of the task.
    pub agent: Option<AgentName>,
    /// Kind of the failure.
    pub because: Option<FailureKind>,
    /// Earliest time of failure.
    pub from: Option<Timestamp>,
    /// Time before which the task failed.
    pub before: Option<Timestamp>,
    /// Text contained in the cause.
    pub cause: Option<String>,
    /// True to include letters that were redriven or dismissed.
    pub handled: bool,
}

/// One page of dead letters.
pub struct DeadLetterPage {
    /// Latest first.
    pub letters: Vec<DeadLetter>,
    /// Start of the next page, if there is one.
    pub next: Option<DeadLetterCursor>,
}

/// A dead letter with its task.
pub struct DeadTask {
    /// The letter.
    pub letter: DeadLetter,
    /// The task, without messages and artifacts when it is too large to show.
    pub task: Task,
    /// End of its log, large contents by reference.
    pub log: Vec<LogEntry>,
}

impl Service {
    /// One page of at most `limit` dead letters, 1 to 1,000.
    pub async fn dead(
        &self,
        caller: &Caller,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: u32,
    ) -> Result<DeadLetterPage> {
        let owner = match &filter.owner {
            Some(owner) => Some(self.owner(caller, owner).await?),
            None => None,
        };
        let query = DeadLetterQuery {
            owner,
            agent: filter.agent.clone(),
            because: filter.because,
            from: filter.from,
            before: filter.before,
            cause_contains: filter.cause.clone(),
            handled: filter.handled,
            after,
            // One more than is shown, to see if there is a next page.
            limit: (limit + 1).min(MAX_LETTERS_PER_READ),
        };
        let mut letters =
            self.store.list_dead_letters(query).await.map_err(|e| caller.refused(&e))?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let more =
            letters.len() > shown || (limit == MAX_LETTERS_PER_READ && letters.len() == shown);
        letters.truncate(shown);
        let next = letters.last().filter(|_| more).map(|last| (last.at, last.key.task));
        Ok(DeadLetterPage { letters, next })
    }

    /// One dead letter, by owner and task.
    pub async fn dead_task(&self, caller: &Caller, owner: &str, task: &str) -> Result<DeadTask> {
        let letter = self.dead_letter(caller, owner, task).await?;
        let caller = caller.acting_for(letter.key.owner);
        let read = |options| self.store.read_task(letter.key, options);
        let budget = ReadBudget::TrimHistory(self.options.max_answer_bytes);
        let found = match read(SnapshotOptions { budget, ..SnapshotOptions::ALL }).await {
            // Too large to read whole: the status is shown at least.
            Err(StoreError::TooLarge { .. }) => read(SnapshotOptions::STATUS).await,
            found => found,
        };
        let mut task = found.map_err(|e| caller.refused(&e))?.ok_or_else(not_dead)?;
        if !fit_to_limit(&mut task, self.options.max_answer_bytes) {
            task.history.clear();
            task.artifacts.clear();
        }
        let _held = self.show_task(&caller, &mut task, BudgetPermit::default()).await?;
        let log = self.end_of_log(&caller, letter.key, task.last_seq).await?;
        Ok(DeadTask { letter, task, log })
    }

    /// Dismisses a dead letter; true when it was dismissed before.
    pub async fn dismiss(&self, caller: &Caller, owner: &str, task: &str) -> Result<bool> {
        let letter = self.dead_letter(caller, owner, task).await?;
        if self.store.dismiss(letter.key).await.map_err(|e| caller.refused(&e))? {
            tracing::info!(request_id = caller.request_id, task_id = %letter.key.task, "dead letter dismissed");
            return Ok(false);
        }
        match self.dead_letter(caller, owner, task).await?.handled {
            Some(DeadLetterResolution::Redriven(new)) => Err(OperatorError::Conflict(format!(
                "the task was redriven as {new}; there is nothing to dismiss"
            ))),
            Some(DeadLetterResolution::Dismissed) | None => Ok(true),
        }
    }

    /// Queue statistics by agent.
    pub async fn queues(&self, caller: &Caller) -> Result<Vec<QueueRecord>> {
        self.store.queues().await.map_err(|e| caller.refused(&e))
    }

    /// All known workers.
    pub async fn workers(&self, caller: &Caller) -> Result<Vec<WorkerRecord>> {
        self.store.workers().await.map_err(|e| caller.refused(&e))
    }

    /// The dead letter of a task.
    pub(super) async fn dead_letter(
        &self,
        caller: &Caller,
        owner: &str,
        task: &str,
    ) -> Result<DeadLetter> {
        let owner: OwnerId = self.owner(caller, owner).await?;
        let task = task.parse().map_err(|_| not_dead())?;
        let letter = self.store.dead_letter(TaskKey { owner, task }).await;
        letter.map_err(|e| caller.refused(&e))?.ok_or_else(not_dead)
    }

    /// The last entries of a log, fewer when they would be too large together.
    async fn end_of_log(&self, caller: &Caller, key: TaskKey, last: Seq) -> Result<Vec<LogEntry>> {
        let mut log = VecDeque::new();
        let mut size = 0;
        let mut position = Seq((last.0 - MAX_LOG_TAIL_ENTRIES).max(0));
        while position < last {
            let page = self.store.read_log(key, position, ReadLimit::default()).await;
            let page = page.map_err(|e| caller.refused(&e))?.ok_or_else(not_dead)?;
            let Some(end) = page.entries.last() else { break };
            position = end.seq;
            for entry in page.entries {
                let weight = entry.body.encode().len() as u64;
                size += weight;
                log.push_back((weight, entry));
            }
            while size > self.options.max_answer_bytes
                && let Some((weight, _)) = log.pop_front()
            {
                size -= weight;
            }
        }
        Ok(log.into_iter().map(|(_, entry)| entry).collect())
    }
}

pub(super) fn not_dead() -> OperatorError {
    OperatorError::NotFound("no task of this owner and id is listed as dead".to_owned())
}
