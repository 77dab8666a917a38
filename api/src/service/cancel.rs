//! Cancel Task (A2A 3.1.5).
//!
//! Answers with the canceled task when the executor confirms in time, with an error when the task
//! ended otherwise, else with the task as it is.

use super::{Budgeted, Caller, Result, Service, not_found, read_tasks::with_history};
use longhaul_domain::{Task, TaskKey, TaskState};
use longhaul_store::{CancelRequested, RequestCancel, SnapshotOptions};
use longhaul_wire::{CancelRequest, ProtocolError, TaskRef};

impl Service {
    /// Requests cancellation of a task.
    pub async fn cancel(&self, caller: &Caller, request: CancelRequest) -> Result<Budgeted<Task>> {
        let known = self.snapshot(caller, &request.id, SnapshotOptions::STATUS).await?;
        // Subscribed before the request, so the executor's confirmation is not missed.
        let mut events = self.hub.subscribe(known.key, known.last_seq, known.last_seq);
        let cancel = RequestCancel { key: known.key, grace: self.options.cancel_grace };
        let requested = self.store.request_cancel(cancel).await;
        match requested.map_err(|e| caller.failed(&e))? {
            CancelRequested::Canceled { .. } => {}
            CancelRequested::Asked { .. } => {
                let ended = async {
                    loop {
                        // Whatever keeps the log from being read, the answer is the task as it is.
                        let Ok(entries) = events.next().await else { return };
                        let ends = |state: TaskState| state.is_terminal();
                        if entries.iter().any(|e| e.body.status().is_some_and(|s| ends(s.state))) {
                            return;
                        }
                    }
                };
                tokio::select! {
                    () = ended => {}
                    // The executor is forced to stop after the same grace period.
                    () = tokio::time::sleep(self.options.cancel_grace) => {}
                    () = self.draining.cancelled() => {}
                }
            }
            CancelRequested::Ended(state) => {
                let task = request.id.to_string();
                return Err(ProtocolError::TaskNotCancelable { task, state });
            }
            CancelRequested::NotFound => return Err(not_found(&request.id)),
        }
        self.canceled(caller, known.key, &request.id).await
    }

    async fn canceled(
        &self,
        caller: &Caller,
        key: TaskKey,
        request: &TaskRef,
    ) -> Result<Budgeted<Task>> {
        let id = TaskRef::Known(key.task);
        let Budgeted { mut value, permit } =
            self.budgeted_snapshot(caller, &id, with_history(caller.rules.history)).await?;
        let state = value.status.state;
        // The executor ended the task in its own way: the cancel lost the race.
        if state.is_terminal() && state != TaskState::Canceled {
            let task = request.to_string();
            return Err(ProtocolError::TaskNotCancelable { task, state });
        }
        let permit = self.show_task(caller, &mut value, permit).await?;
        Ok(Budgeted { value, permit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Node, TEST_TIMEOUT, caller, send, working};
    use longhaul_domain::{EntryBody, Note, Seq, log::StatusChange};
    use longhaul_store::ReadLimit;
    use longhaul_wire::SendOutcome;
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    async fn is_asked(node: &Node, key: TaskKey) -> bool {
        let log = node.store.read_log(key, Seq::START, ReadLimit::default()).await.unwrap();
        let requested = |body: &EntryBody| matches!(body, EntryBody::Note(Note::CancelRequested));
        log.unwrap().entries.iter().any(|entry| requested(&entry.body))
    }

    #[tokio::test]
    async fn a_cancel_that_loses_the_race_says_so() {
        let node = Node::start().await;
        let service = node.service();
        let sent = service.send(&caller(), send("m")).await.unwrap().value;
        let SendOutcome::Task(task) = sent else { panic!("not a task") };
        let mut run = node.claim().await;
        run.append(vec![working()]).await;
        let id = TaskRef::Known(task.key.task);
        let request = CancelRequest { tenant: None, id, metadata: None };
        let asker = caller();
        let cancel = service.cancel(&asker, request);
        let end = async {
            while !is_asked(&node, task.key).await {
                sleep(Duration::from_millis(5)).await;
            }
            run.end(StatusChange::to(TaskState::Completed)).await;
        };
        let (canceled, ()) =
            timeout(TEST_TIMEOUT, async { tokio::join!(cancel, end) }).await.unwrap();
        let state = TaskState::Completed;
        let task = task.key.task.to_string();
        assert_eq!(canceled.err(), Some(ProtocolError::TaskNotCancelable { task, state }));
    }
}
