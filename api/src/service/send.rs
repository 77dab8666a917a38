//! Send Message (A2A 3.1.1): waits until the task has ended or needs the client, unless asked not to.
//!
//! The answer is folded from what went by, so waiting costs no read. A client that goes away does not stop the task.

use super::{
    Caller, Result, Service,
    accept::InFlight,
    direct::{HOLD_BACK, reply},
};
use longhaul_domain::{LogEntry, Message, Task};
use longhaul_store::SnapshotOptions;
use longhaul_wire::{ProtocolError, SendOutcome, SendRequest, trim_history};
use std::{future::pending, sync::Arc};

/// What waiting came to.
enum Waited {
    /// The task has got where it was awaited, or is as it is for another reason.
    Task,
    /// A reply came in time.
    Reply(Message),
}

impl Service {
    /// Takes the message in and answers.
    pub async fn send(&self, caller: &Caller, request: SendRequest) -> Result<SendOutcome> {
        let mut flight = self.accept(caller, &request).await?;
        let waited = if request.return_immediately {
            Waited::Task
        } else {
            self.wait(caller, &mut flight).await?
        };
        match waited {
            Waited::Task => {
                let mut task = flight.task;
                trim_history(&mut task, request.history_length);
                self.resolve_task(caller, &mut task).await?;
                Ok(SendOutcome::Task(Box::new(task)))
            }
            Waited::Reply(mut message) => {
                self.resolve_message(caller, &mut message).await?;
                Ok(SendOutcome::Message(message))
            }
        }
    }

    async fn wait(&self, caller: &Caller, flight: &mut InFlight) -> Result<Waited> {
        if settled(flight) {
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
        tokio::pin!(limit, late);
        let mut in_time = flight.agent.direct;
        loop {
            let entries = tokio::select! {
                entries = flight.events.next() => entries,
                () = &mut limit => return Ok(Waited::Task),
                () = self.draining.cancelled() => return Ok(Waited::Task),
                () = &mut late, if in_time => { in_time = false; continue; }
            };
            let direct = entries.iter().find_map(|entry| reply(entry)).cloned();
            if let Some(message) = direct
                && in_time
            {
                return Ok(Waited::Reply(message));
            }
            self.fold(caller, &mut flight.task, entries).await?;
            if settled(flight) {
                return Ok(Waited::Task);
            }
        }
    }

    /// Takes entries into a snapshot.
    async fn fold(
        &self,
        caller: &Caller,
        task: &mut Task,
        entries: Vec<Arc<LogEntry>>,
    ) -> Result<()> {
        for entry in entries {
            if entry.seq <= task.last_seq {
                continue;
            }
            if let Err(gap) = task.apply(LogEntry::clone(&entry)) {
                // Cannot be, as subscriptions have no gaps; the store knows better than a fold that missed something.
                tracing::error!(%gap, task_id = %task.key.task, "read again");
                let read = self.store.read_task(task.key, SnapshotOptions::ALL).await;
                let read = read.map_err(|e| caller.failed(&e))?;
                *task = read.ok_or_else(|| ProtocolError::Internal {
                    request_id: caller.request_id.clone(),
                })?;
            }
        }
        Ok(())
    }
}

/// Whether the task has got where a waiting client is answered: an end, or a question asked after its message.
fn settled(flight: &InFlight) -> bool {
    let status = &flight.task.status;
    status.state.is_terminal() || (status.state.is_parked() && status.seq > flight.message)
}
