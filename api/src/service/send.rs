//! Send Message (A2A 3.1.1): waits until the task has ended or needs the client, unless asked not
//! to.
//!
//! The answer to a new task is folded from the events that passed, so waiting costs no read. Of a
//! task that is too large for any response, or that existed before, only the status is kept; the
//! latter is read when the wait is over. A client that goes away does not stop the task.

use super::{
    BudgetPermit, Budgeted, Caller, Result, Service,
    accept::AcceptedSend,
    direct_reply::{DIRECT_REPLY_WINDOW, direct_reply},
    read_tasks::with_history,
    response_size::{fit_to_limit, too_large},
};
use crate::{hub::SharedEntry, size_estimate::SizeEstimate};
use longhaul_domain::{LogEntry, Message, Task};
use longhaul_store::SnapshotOptions;
use longhaul_wire::{ProtocolError, SendOutcome, SendRequest, TaskRef, WaitEnd, trim_history};
use std::{future::pending, sync::Arc};

/// Messages shown in the answer to a follow-up when the client does not ask for a number (A2A 3.2.4
/// leaves it to the server). Bounded, so it costs the same on a task of any length.
pub(super) const DEFAULT_FOLLOW_UP_HISTORY: u32 = 100;

/// Outcome of a wait.
enum WaitOutcome {
    /// The task reached a state that answers the client, or the wait was cut short.
    Task,
    /// A direct reply came in time.
    Reply(Message),
}

impl Service {
    /// Accepts the message and answers.
    pub async fn send(
        &self,
        caller: &Caller,
        request: SendRequest,
    ) -> Result<Budgeted<SendOutcome>> {
        let (immediately, history) = (request.return_immediately, request.history_length);
        let mut accepted = self.accept(caller, request, !immediately).await?;
        let waited =
            if immediately { WaitOutcome::Task } else { self.wait(caller, &mut accepted).await? };
        match waited {
            WaitOutcome::Task => {
                let Budgeted { value: mut task, permit } =
                    self.read_outcome(caller, accepted, history).await?;
                trim_history(&mut task, history);
                let permit = self.show_task(caller, &mut task, permit).await?;
                Ok(Budgeted { value: SendOutcome::Task(Box::new(task)), permit })
            }
            WaitOutcome::Reply(mut message) => {
                self.resolve_message(caller, &mut message).await?;
                Ok(Budgeted {
                    value: SendOutcome::Message(message),
                    permit: BudgetPermit::default(),
                })
            }
        }
    }

    /// The task as it was when the wait ended.
    async fn read_outcome(
        &self,
        caller: &Caller,
        accepted: AcceptedSend,
        history: Option<u32>,
    ) -> Result<Budgeted<Task>> {
        if accepted.complete {
            return Ok(Budgeted { value: accepted.task, permit: BudgetPermit::default() });
        }
        let mut read = self.read_accepted(caller, &accepted, history).await?;
        let AcceptedSend { task: Task { status, last_seq, .. }, .. } = accepted;
        if read.value.last_seq > last_seq {
            // The task has gone on meanwhile; the answer shows the state that ended the wait.
            read.value.history.retain(|item| item.seq <= last_seq && item.seq != status.seq);
            read.value.status = status;
        }
        Ok(read)
    }

    /// Reads the task of a follow-up: with the history asked for, or the newest messages.
    pub(super) async fn read_accepted(
        &self,
        caller: &Caller,
        accepted: &AcceptedSend,
        history: Option<u32>,
    ) -> Result<Budgeted<Task>> {
        let options = with_history(Some(history.unwrap_or(DEFAULT_FOLLOW_UP_HISTORY)));
        self.budgeted_snapshot(caller, &TaskRef::Known(accepted.task.key.task), options).await
    }

    async fn wait(&self, caller: &Caller, accepted: &mut AcceptedSend) -> Result<WaitOutcome> {
        let ends = caller.rules.ends;
        if is_answerable(accepted, ends) {
            let reply = self.earlier_reply(caller, accepted).await?;
            return Ok(reply.map_or(WaitOutcome::Task, WaitOutcome::Reply));
        }
        let limit = async {
            match self.options.longest_wait {
                Some(limit) => tokio::time::sleep(limit).await,
                None => pending().await,
            }
        };
        // After this window the client gets the task, even if a direct reply follows.
        let reply_window = async {
            tokio::time::sleep(DIRECT_REPLY_WINDOW).await;
        };
        let drained = self.draining.cancelled();
        tokio::pin!(limit, reply_window, drained);
        let mut in_time = accepted.agent.direct && caller.rules.replies;
        let mut budget = FoldBudget::new(self.options.max_answer_bytes, &accepted.task);
        loop {
            let entries = tokio::select! {
                entries = accepted.events.next() => entries.map_err(|e| caller.failed(&e))?,
                () = &mut limit => break,
                () = &mut drained => break,
                () = &mut reply_window, if in_time => { in_time = false; continue; }
            };
            accepted.task_begun();
            let direct = entries.iter().find_map(|entry| direct_reply(entry)).cloned();
            if let Some(message) = direct
                && in_time
            {
                return Ok(WaitOutcome::Reply(message));
            }
            let bytes = entries.iter().map(|entry| SizeEstimate::InMemory.entry(entry)).sum();
            self.fold(caller, accepted, entries).await?;
            // After the fold, so that a replaced artifact no longer counts.
            budget.take(bytes, &mut accepted.task);
            if is_answerable(accepted, ends) {
                break;
            }
        }
        if budget.over {
            return Err(too_large(accepted.task.key.task, budget.limit));
        }
        Ok(WaitOutcome::Task)
    }

    /// Applies entries to the snapshot.
    async fn fold(
        &self,
        caller: &Caller,
        accepted: &mut AcceptedSend,
        entries: Vec<Arc<SharedEntry>>,
    ) -> Result<()> {
        let (complete, task) = (accepted.complete, &mut accepted.task);
        for entry in entries {
            if entry.seq <= task.last_seq {
                continue;
            }
            if let Err(gap) = task.apply(LogEntry::clone(&entry)) {
                // Subscriptions have no gaps, so this is a bug; the store knows better than a fold
                // that missed something.
                tracing::error!(%gap, task_id = %task.key.task, "event fold has a gap: reading the task again");
                let budget = longhaul_store::ReadBudget::TrimHistory(self.options.max_answer_bytes);
                let options = SnapshotOptions { budget, ..SnapshotOptions::ALL };
                let read = self.store.read_task(task.key, options).await;
                let read = read.map_err(|e| caller.failed(&e))?;
                *task = read.ok_or_else(|| ProtocolError::Internal {
                    request_id: caller.request_id.clone(),
                })?;
            }
            if !complete {
                // Only the status counts until the wait is over.
                task.history.clear();
                task.artifacts.clear();
            }
        }
        Ok(())
    }
}

/// Memory that a waiting send may hold.
struct FoldBudget {
    limit: u64,
    /// Upper bound of what is held.
    held: u64,
    /// True once it became too much; then only the status is kept.
    over: bool,
}

impl FoldBudget {
    fn new(limit: u64, task: &Task) -> Self {
        Self { limit, held: SizeEstimate::InMemory.task(task), over: false }
    }

    /// Records that the task has grown by at most `bytes`.
    fn take(&mut self, bytes: u64, task: &mut Task) {
        self.held = self.held.saturating_add(bytes);
        if self.held > self.limit && !self.over {
            // History gives way, and replaced artifacts no longer count.
            fit_to_limit(task, self.limit);
            self.held = SizeEstimate::InMemory.task(task);
            self.over = self.held > self.limit;
        }
        if self.over {
            task.history.clear();
            task.artifacts.clear();
        }
    }
}

/// True when the task is in a state that answers a waiting client: an end, or a question asked
/// after its message.
fn is_answerable(accepted: &AcceptedSend, ends: WaitEnd) -> bool {
    let status = &accepted.task.status;
    status.state.is_terminal()
        || (ends.ends_wait(status.state) && status.seq > accepted.message_seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{
        AgentName, Artifact, ArtifactId, ContextId, OwnerId, Part, TaskId, TaskKey, Timestamp,
    };
    use uuid::Uuid;

    fn artifact(bytes: usize) -> Artifact {
        Artifact::new(ArtifactId::new("a").unwrap(), vec![Part::text("x".repeat(bytes))])
    }

    #[test]
    fn a_task_too_large_for_any_response_is_not_held() {
        let key = TaskKey { owner: OwnerId(1), task: TaskId::new(Uuid::from_u128(7)) };
        let (agent, context) = (AgentName::new("echo").unwrap(), ContextId::new("c").unwrap());
        let mut task = Task::begin(key, agent, context, Timestamp::UNIX_EPOCH);
        let mut budget = FoldBudget::new(10_000, &task);
        for _ in 0..5 {
            // Each replaces the one before.
            task.artifacts = vec![artifact(6_000)];
            budget.take(6_000, &mut task);
        }
        assert!(!budget.over && task.artifacts.len() == 1);
        task.artifacts.push(artifact(6_000));
        budget.take(6_000, &mut task);
        assert!(budget.over && task.artifacts.is_empty());
    }
}
