//! Dead letters: what has failed for good and waits for somebody.

use super::{Refusal, Result};
use crate::service::{Caller, Held, Service, fit::fit};
use longhaul_domain::{
    AgentName, FailureKind, LogEntry, OwnerId, Seq, Task, TaskId, TaskKey, Timestamp,
};
use longhaul_store::{
    DeadLetter, DeadLetterQuery, DeadLetterResolution, QueueRecord, ReadBudget, ReadLimit,
    SnapshotOptions, StoreError, WorkerRecord,
};
use std::collections::VecDeque;

/// How many entries of a dead task's log are shown at most: the last ones.
const LAST_ENTRIES: i64 = 100;

/// The most letters that the store gives at once.
const MOST: u32 = 1_000;

/// Where a page ends: time and task of its last letter.
pub type Place = (Timestamp, TaskId);

/// Which dead letters are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadFilter {
    /// Name or number of an owner; none: of all.
    pub owner: Option<String>,
    /// Of one agent.
    pub agent: Option<AgentName>,
    /// Of one kind.
    pub because: Option<FailureKind>,
    /// Failed at or after this time.
    pub from: Option<Timestamp>,
    /// Failed before this time.
    pub before: Option<Timestamp>,
    /// With this text in the cause.
    pub cause: Option<String>,
    /// Also those that were dealt with.
    pub handled: bool,
}

/// One page of dead letters.
pub struct DeadPage {
    /// The latest first.
    pub letters: Vec<DeadLetter>,
    /// Where the next page begins, when there is one.
    pub next: Option<Place>,
}

/// A dead letter with what is known of its task.
pub struct DeadTask {
    /// The letter.
    pub letter: DeadLetter,
    /// The task, without messages and artifacts where it is too large to be shown.
    pub task: Task,
    /// The end of its log, large contents by reference.
    pub log: Vec<LogEntry>,
}

impl Service {
    /// One page of dead letters; at most `limit` of them, 1 to 1,000.
    pub async fn dead(
        &self,
        caller: &Caller,
        filter: &DeadFilter,
        after: Option<Place>,
        limit: u32,
    ) -> Result<DeadPage> {
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
            // One more than is shown, to see whether there is a next page.
            limit: (limit + 1).min(MOST),
        };
        let mut letters = self.store.dead(query).await.map_err(|e| caller.refused(&e))?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = letters.len() > shown || (limit == MOST && letters.len() == shown);
        letters.truncate(shown);
        let next = letters.last().filter(|_| more).map(|last| (last.at, last.key.task));
        Ok(DeadPage { letters, next })
    }

    /// One dead letter, by owner and task.
    pub async fn dead_task(&self, caller: &Caller, owner: &str, task: &str) -> Result<DeadTask> {
        let letter = self.dead_letter(caller, owner, task).await?;
        let caller = caller.acting_for(letter.key.owner);
        let read = |options| self.store.read_task(letter.key, options);
        let budget = ReadBudget::TrimHistory(self.options.max_answer_bytes);
        let found = match read(SnapshotOptions { budget, ..SnapshotOptions::ALL }).await {
            Err(StoreError::TooLarge { .. }) => read(SnapshotOptions::STATUS).await,
            found => found,
        };
        let mut task = found.map_err(|e| caller.refused(&e))?.ok_or_else(not_dead)?;
        if !fit(&mut task, self.options.max_answer_bytes) {
            task.history.clear();
            task.artifacts.clear();
        }
        let _held = self.show_task(&caller, &mut task, Held::default()).await?;
        let log = self.end_of_log(&caller, letter.key, task.last_seq).await?;
        Ok(DeadTask { letter, task, log })
    }

    /// Takes a dead letter off the list. Says whether somebody had done so before.
    pub async fn dismiss(&self, caller: &Caller, owner: &str, task: &str) -> Result<bool> {
        let letter = self.dead_letter(caller, owner, task).await?;
        if self.store.dismiss(letter.key).await.map_err(|e| caller.refused(&e))? {
            tracing::info!(request_id = caller.request_id, task_id = %letter.key.task, "dismissed");
            return Ok(false);
        }
        match self.dead_letter(caller, owner, task).await?.handled {
            Some(DeadLetterResolution::Redriven(new)) => Err(Refusal::Conflict(format!(
                "the task was redriven as {new}; there is nothing to dismiss"
            ))),
            Some(DeadLetterResolution::Dismissed) | None => Ok(true),
        }
    }

    /// What waits and what runs, by agent.
    pub async fn queues(&self, caller: &Caller) -> Result<Vec<QueueRecord>> {
        self.store.queues().await.map_err(|e| caller.refused(&e))
    }

    /// Every worker that is known.
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

    /// The last entries, fewer where they would be too large together.
    async fn end_of_log(&self, caller: &Caller, key: TaskKey, last: Seq) -> Result<Vec<LogEntry>> {
        let mut log = VecDeque::new();
        let mut size = 0;
        let mut place = Seq((last.0 - LAST_ENTRIES).max(0));
        while place < last {
            let page = self.store.read_log(key, place, ReadLimit::default()).await;
            let page = page.map_err(|e| caller.refused(&e))?.ok_or_else(not_dead)?;
            let Some(end) = page.entries.last() else { break };
            place = end.seq;
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

pub(super) fn not_dead() -> Refusal {
    Refusal::NotFound("no task of this owner and id is listed as dead".to_owned())
}
