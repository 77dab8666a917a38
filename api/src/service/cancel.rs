//! Cancel Task (A2A 3.1.5): answers with the canceled task when the executor confirms in time, else with the task as it is.

use super::{Answer, Caller, Result, Service, get::with_history, not_found};
use longhaul_domain::{Task, TaskKey, TaskState};
use longhaul_store::{CancelRequested, RequestCancel, SnapshotOptions};
use longhaul_wire::{CancelRequest, ProtocolError, TaskRef};

impl Service {
    /// Asks for the end of a task.
    pub async fn cancel(&self, caller: &Caller, request: CancelRequest) -> Result<Answer<Task>> {
        let known = self.snapshot(caller, &request.id, SnapshotOptions::STATUS).await?;
        let mut events = self.hub.subscribe(known.key, known.last_seq, known.last_seq);
        let cancel = RequestCancel { key: known.key, grace: self.options.cancel_grace };
        let asked = self.store.request_cancel(cancel).await;
        match asked.map_err(|e| caller.failed(&e))? {
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
        self.canceled(caller, known.key).await
    }

    async fn canceled(&self, caller: &Caller, key: TaskKey) -> Result<Answer<Task>> {
        let id = TaskRef::Known(key.task);
        let Answer { mut answer, held } =
            self.snapshot_to_show(caller, &id, with_history(caller.rules.history)).await?;
        let held = self.show_task(caller, &mut answer, held).await?;
        Ok(Answer { answer, held })
    }
}
