//! Restores large contents, which are stored as blobs, before anything is shown.

use super::{BudgetPermit, Caller, Result, Service};
use crate::{hub::SharedEntry, size_estimate::SizeEstimate};
use longhaul_domain::{Artifact, BlobHash, BlobRef, BlobSlot, LogEntry, Message, OwnerId, Task};
use longhaul_store::StoreError;
use std::sync::Arc;

/// All contents of a task that may be blobs.
fn blob_slots_of_task(task: &mut Task) -> impl Iterator<Item = BlobSlot<'_>> {
    let history = task.history.iter_mut().flat_map(|item| item.message.blob_slots());
    let status = task.status.message.iter_mut().flat_map(Message::blob_slots);
    let artifacts = task.artifacts.iter_mut().flat_map(Artifact::blob_slots);
    history.chain(status).chain(artifacts)
}

impl Service {
    /// Prepares a task for a response: adds its run report where asked for, fits it to the size
    /// limit, and restores large contents. `permit` is the budget under which it was read; returns
    /// what it needs.
    pub(super) async fn show_task(
        &self,
        caller: &Caller,
        task: &mut Task,
        permit: BudgetPermit,
    ) -> Result<BudgetPermit> {
        self.report(caller, std::slice::from_mut(task)).await?;
        self.fit_task(task)?;
        let permit = self.response_budget.fit(permit, SizeEstimate::WithBlobs.task(task)).await?;
        self.resolve(caller, blob_slots_of_task(task).collect()).await?;
        Ok(permit)
    }

    /// Prepares a page of tasks for a response; their large contents are restored in one read.
    pub(super) async fn show_page(
        &self,
        caller: &Caller,
        tasks: &mut [Task],
        permit: BudgetPermit,
    ) -> Result<BudgetPermit> {
        self.report(caller, tasks).await?;
        self.fit_page(tasks)?;
        let bytes = tasks.iter().map(|task| SizeEstimate::WithBlobs.task(task)).sum();
        let permit = self.response_budget.fit(permit, bytes).await?;
        self.resolve(caller, tasks.iter_mut().flat_map(blob_slots_of_task).collect()).await?;
        Ok(permit)
    }

    /// Restores the large contents of a message.
    pub(super) async fn resolve_message(
        &self,
        caller: &Caller,
        message: &mut Message,
    ) -> Result<()> {
        self.resolve(caller, message.blob_slots().collect()).await
    }

    async fn resolve(&self, caller: &Caller, slots: Vec<BlobSlot<'_>>) -> Result<()> {
        let restored = restore(&*self.store, caller.principal.owner, slots).await;
        restored.map_err(|error| caller.failed(&error))
    }

    /// A log entry with its large contents. All subscribers share an entry; only one with large
    /// contents is copied.
    pub(super) async fn resolve_entry(
        &self,
        owner: OwnerId,
        entry: &Arc<SharedEntry>,
    ) -> std::result::Result<Arc<SharedEntry>, StoreError> {
        if !entry.body.has_blobs() {
            return Ok(Arc::clone(entry));
        }
        // The shared entry stays as it is: its readers may hold it for long.
        let mut copy = LogEntry::clone(entry);
        restore(&*self.store, owner, copy.body.blob_slots().collect()).await?;
        Ok(Arc::new(copy.into()))
    }
}

/// Restores contents from their blobs, in one read.
pub(super) async fn restore(
    store: &dyn longhaul_store::Store,
    owner: OwnerId,
    slots: Vec<BlobSlot<'_>>,
) -> std::result::Result<(), StoreError> {
    let pending: Vec<(BlobRef, BlobSlot<'_>)> =
        slots.into_iter().filter_map(|slot| Some((slot.blob()?, slot))).collect();
    if pending.is_empty() {
        return Ok(());
    }
    let mut hashes: Vec<BlobHash> = pending.iter().map(|(blob, _)| blob.hash).collect();
    hashes.sort_unstable();
    // One blob may stand in several places.
    hashes.dedup();
    let known = store.read_blobs(owner, hashes).await?;
    for (blob, mut slot) in pending {
        let corrupt = |cause: &str| StoreError::Corrupt {
            what: format!("large content {}", blob.hash),
            cause: cause.to_owned(),
        };
        let bytes = known.get(&blob.hash).ok_or_else(|| corrupt("it is missing"))?;
        slot.restore(&blob, bytes.clone()).map_err(|error| corrupt(&error.to_string()))?;
    }
    Ok(())
}
