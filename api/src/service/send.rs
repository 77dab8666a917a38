//! Send Message (A2A 3.1.1): waits until the task has ended or needs the client, unless asked not to.
//!
//! The answer to a new task is folded from what went by, so waiting costs no read. Of a task that no answer can hold, and of one
//! that was there before, only the status is kept; what is shown of the latter is read when the wait is over. A client that goes
//! away does not stop the task.

use super::{
    Answer, Caller, Held, Result, Service,
    accept::InFlight,
    direct::{HOLD_BACK, reply},
    fit::{fit, too_large},
    get::with_history,
};
use crate::{hub::Entry, weight::Count};
use longhaul_domain::{LogEntry, Message, Task};
use longhaul_store::SnapshotOptions;
use longhaul_wire::{ProtocolError, SendOutcome, SendRequest, TaskRef, WaitEnd, trim_history};
use std::{future::pending, sync::Arc};

/// Messages that an answer to a message to a task that was there before shows where nobody says how many (A2A 3.2.4 leaves it to
/// the server): the same cost on a task of any length.
pub(super) const FOLLOW_UP_HISTORY: u32 = 100;

/// What waiting came to.
enum Waited {
    /// The task has got where it was awaited, or is as it is for another reason.
    Task,
    /// A reply came in time.
    Reply(Message),
}

impl Service {
    /// Takes the message in and answers.
    pub async fn send(&self, caller: &Caller, request: SendRequest) -> Result<Answer<SendOutcome>> {
        let (at_once, history) = (request.return_immediately, request.history_length);
        let mut flight = self.accept(caller, request, !at_once).await?;
        let waited = if at_once { Waited::Task } else { self.wait(caller, &mut flight).await? };
        match waited {
            Waited::Task => {
                let Answer { answer: mut task, held } =
                    self.awaited(caller, flight, history).await?;
                trim_history(&mut task, history);
                let held = self.show_task(caller, &mut task, held).await?;
                Ok(Answer { answer: SendOutcome::Task(Box::new(task)), held })
            }
            Waited::Reply(mut message) => {
                self.resolve_message(caller, &mut message).await?;
                Ok(Answer { answer: SendOutcome::Message(message), held: Held::default() })
            }
        }
    }

    /// The task as it was when the wait ended, with what is shown of it.
    async fn awaited(
        &self,
        caller: &Caller,
        flight: InFlight,
        history: Option<u32>,
    ) -> Result<Answer<Task>> {
        if flight.whole {
            return Ok(Answer { answer: flight.task, held: Held::default() });
        }
        let mut read = self.read_flight(caller, &flight, history).await?;
        let InFlight { task: Task { status, last_seq, .. }, .. } = flight;
        if read.answer.last_seq > last_seq {
            // It has gone on meanwhile; the client is told how it stood when its wait was over.
            read.answer.history.retain(|item| item.seq <= last_seq && item.seq != status.seq);
            read.answer.status = status;
        }
        Ok(read)
    }

    /// The task of a message to one that was there before: with as much history as was asked for, or the newest messages.
    pub(super) async fn read_flight(
        &self,
        caller: &Caller,
        flight: &InFlight,
        history: Option<u32>,
    ) -> Result<Answer<Task>> {
        let options = with_history(Some(history.unwrap_or(FOLLOW_UP_HISTORY)));
        self.snapshot_to_show(caller, &TaskRef::Known(flight.task.key.task), options).await
    }

    async fn wait(&self, caller: &Caller, flight: &mut InFlight) -> Result<Waited> {
        let ends = caller.rules.ends;
        if settled(flight, ends) {
            let reply = self.earlier_reply(caller, flight).await?;
            return Ok(reply.map_or(Waited::Task, Waited::Reply));
        }
        let limit = async {
            match self.options.longest_wait {
                Some(limit) => tokio::time::sleep(limit).await,
                None => pending().await,
            }
        };
        let late = async {
            tokio::time::sleep(HOLD_BACK).await;
        };
        let drained = self.draining.cancelled();
        tokio::pin!(limit, late, drained);
        let mut in_time = flight.agent.direct && caller.rules.replies;
        let mut budget = ReadBudget::new(self.options.max_answer_bytes, &flight.task);
        loop {
            let entries = tokio::select! {
                entries = flight.events.next() => entries.map_err(|e| caller.failed(&e))?,
                () = &mut limit => break,
                () = &mut drained => break,
                () = &mut late, if in_time => { in_time = false; continue; }
            };
            flight.begun();
            let direct = entries.iter().find_map(|entry| reply(entry)).cloned();
            if let Some(message) = direct
                && in_time
            {
                return Ok(Waited::Reply(message));
            }
            let bytes = entries.iter().map(|entry| Count::Held.entry(entry)).sum();
            self.fold(caller, flight, entries).await?;
            budget.take(bytes, &mut flight.task);
            if settled(flight, ends) {
                break;
            }
        }
        if budget.over {
            return Err(too_large(flight.task.key.task, budget.limit));
        }
        Ok(Waited::Task)
    }

    /// Takes entries into a snapshot.
    async fn fold(
        &self,
        caller: &Caller,
        flight: &mut InFlight,
        entries: Vec<Arc<Entry>>,
    ) -> Result<()> {
        let (whole, task) = (flight.whole, &mut flight.task);
        for entry in entries {
            if entry.seq <= task.last_seq {
                continue;
            }
            if let Err(gap) = task.apply(LogEntry::clone(&entry)) {
                // Cannot be, as subscriptions have no gaps; the store knows better than a fold that missed something.
                tracing::error!(%gap, task_id = %task.key.task, "read again");
                let budget = longhaul_store::ReadBudget::TrimHistory(self.options.max_answer_bytes);
                let options = SnapshotOptions { budget, ..SnapshotOptions::ALL };
                let read = self.store.read_task(task.key, options).await;
                let read = read.map_err(|e| caller.failed(&e))?;
                *task = read.ok_or_else(|| ProtocolError::Internal {
                    request_id: caller.request_id.clone(),
                })?;
            }
            if !whole {
                // Only the status counts until the wait is over.
                task.history.clear();
                task.artifacts.clear();
            }
        }
        Ok(())
    }
}

/// What a waiting send may hold.
struct ReadBudget {
    limit: u64,
    /// At most this much is held.
    held: u64,
    /// Whether it became too much: then only the status is kept.
    over: bool,
}

impl ReadBudget {
    fn new(limit: u64, task: &Task) -> Self {
        Self { limit, held: Count::Held.task(task), over: false }
    }

    /// Notes that the task has grown by so many bytes at most.
    fn take(&mut self, bytes: u64, task: &mut Task) {
        self.held = self.held.saturating_add(bytes);
        if self.held > self.limit && !self.over {
            // History gives way by itself, and a part that was replaced does not count any more.
            fit(task, self.limit);
            self.held = Count::Held.task(task);
            self.over = self.held > self.limit;
        }
        if self.over {
            task.history.clear();
            task.artifacts.clear();
        }
    }
}

/// Whether the task has got where a waiting client is answered: an end, or a question asked after its message.
fn settled(flight: &InFlight, ends: WaitEnd) -> bool {
    let status = &flight.task.status;
    status.state.is_terminal() || (ends.wait(status.state) && status.seq > flight.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{
        AgentName, Artifact, ArtifactId, ContextId, OwnerId, Part, TaskId, TaskKey, Timestamp,
    };
    use uuid::Uuid;

    fn made(bytes: usize) -> Artifact {
        Artifact::new(ArtifactId::new("a").unwrap(), vec![Part::text("x".repeat(bytes))])
    }

    #[test]
    fn what_no_answer_can_hold_is_not_held() {
        let key = TaskKey { owner: OwnerId(1), task: TaskId::new(Uuid::from_u128(7)) };
        let (agent, context) = (AgentName::new("echo").unwrap(), ContextId::new("c").unwrap());
        let mut task = Task::begin(key, agent, context, Timestamp::UNIX_EPOCH);
        let mut budget = ReadBudget::new(10_000, &task);
        for _ in 0..5 {
            // Each replaces the one before.
            task.artifacts = vec![made(6_000)];
            budget.take(6_000, &mut task);
        }
        assert!(!budget.over && task.artifacts.len() == 1);
        task.artifacts.push(made(6_000));
        budget.take(6_000, &mut task);
        assert!(budget.over && task.artifacts.is_empty());
    }
}
